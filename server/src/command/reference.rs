//! The command reference, `docs/commands.md`, written from the table.

use std::fmt::Write as _;

use super::{Command, Group, all, args};

/// The whole page, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Commands\n\n\
         Written from the command table in `server/src/command/`; do not edit. `LARDER_BLESS=1 cargo test -p \
         larder-server reference` writes it anew.\n\n\
         \"Since\" is the version of Redis that introduced a command. In the syntax, `[x]` may be left out, `x | y` \
         is one or the other, and `...` may be repeated.\n",
    );
    for group in Group::ALL {
        let commands = || all().iter().filter(|command| command.group == group);
        let names: Vec<String> = commands().map(link).collect();
        push(
            &mut page,
            format_args!("\n## {}\n\n{}\n", title(group), names.join(" ")),
        );
        for command in commands() {
            describe(&mut page, command, "###");
            for sub in command.subcommands() {
                describe(&mut page, sub, "####");
            }
        }
    }
    page
}

fn describe(page: &mut String, command: &Command, heading: &str) {
    let name = spoken_name(command);
    let syntax = args::syntax(command.args);
    let space = if syntax.is_empty() { "" } else { " " };
    push(page, format_args!("\n{heading} {name}\n\n"));
    if !command.is_container() {
        push(page, format_args!("```\n{name}{space}{syntax}\n```\n\n"));
    }
    push(page, format_args!("{}\n", command.summary));
    if let Some(deprecation) = command.deprecated {
        let (since, instead) = (deprecation.since, deprecation.replaced_by);
        push(page, format_args!("Out of date since {since}: better is {instead}.\n"));
    }
    push(
        page,
        format_args!("\n- Time: {}\n- Since: {}\n", command.complexity, command.since),
    );
    for (version, change) in command.history {
        push(page, format_args!("- Since {version}: {change}\n"));
    }
    let categories: Vec<String> = command.categories.names().map(|name| format!("@{name}")).collect();
    push(page, format_args!("- Categories: {}\n", categories.join(" ")));
}

/// The name as one types it: `CONFIG GET`.
#[must_use]
pub fn spoken_name(command: &Command) -> String {
    command.full_name.replace('|', " ").to_uppercase()
}

fn link(command: &Command) -> String {
    format!("[{}](#{})", spoken_name(command), command.full_name)
}

fn title(group: Group) -> &'static str {
    match group {
        Group::String => "Strings",
        Group::Bitmap => "Bitmaps",
        Group::Generic => "Keys",
        Group::Connection => "Connection",
        Group::Server => "Server",
        Group::Transactions => "Transactions",
        Group::Cluster => "Clusters",
    }
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// With `LARDER_BLESS=1` the page is written instead of compared.
    #[test]
    fn the_reference_page_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
        let page = super::page();
        if std::env::var_os("LARDER_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &page).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == page,
            "docs/commands.md is out of date: LARDER_BLESS=1 cargo test -p larder-server reference"
        );
    }
}
