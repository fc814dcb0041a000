//! The page `docs/configuration.md`, made from the table of settings.

use std::fmt::{self, Write as _};

use super::lookup;
use super::setting::{Change, Place, Section, Setting};
use super::syntax::Syntax;

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from server/src/config/settings.rs. To change this page, change that table, then run
     LARDER_BLESS=1 cargo test -p larder-server config::docs -->

Larder starts without any configuration. Each setting below can be given, by rising precedence, as

1. a line of a configuration file in the form of redis.conf: `maxmemory 1gb`
2. an environment variable, upper case with underscores: `LARDER_MAXMEMORY=1gb` (an empty one counts as not set)
3. a flag: `--maxmemory 1gb` or `--maxmemory=1gb`

The file is the first argument: `larder-server /etc/larder.conf --port 7000`; `-` reads standard input.
`include other.conf` and `include conf.d/*.conf` work inside files. While the server runs, `CONFIG GET`
shows settings, `CONFIG SET` changes those that may change, and `CONFIG REWRITE` brings the file up to date.
Settings that came from a flag or the environment are then written to the file, too, passwords included.

Sizes take units: `1k` is 1000 bytes, `1kb` is 1024; so do `m`, `mb`, `g` and `gb`, in upper or lower case.
Values with spaces need quotes. A comment is a line that starts with `#`.
";

const COMPATIBILITY: &str = "
## Accepted for compatibility

Redis has these names, and they cannot matter to Larder: it accepts, checks and keeps them, and `CONFIG GET`
returns them. Those marked *only* would change behaviour if they were ignored: Larder accepts the one
value that is true for it, and says why if it is given another. `loadmodule`, `rename-command` and `user` are refused
for the same reason (`user default` with every permission, which Redis writes into files, is accepted).

| name | older name | default | only |
|---|---|---|---|
";

/// The page, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    // Writing to a String cannot fail.
    let _ = write_settings(&mut page);
    page
}

fn write_settings(page: &mut String) -> fmt::Result {
    for section in Section::DOCUMENTED {
        write!(page, "\n## {}\n", section.title())?;
        for setting in lookup::all().filter(|setting| setting.section == section) {
            write_setting(page, setting)?;
        }
    }
    page.push_str(COMPATIBILITY);
    for setting in lookup::all().filter(|setting| matches!(setting.place, Place::Kept)) {
        let alias = setting.alias.map_or(String::new(), |alias| format!("`{alias}`"));
        let only = if matches!(setting.syntax, Syntax::Only(..)) {
            "only"
        } else {
            ""
        };
        writeln!(
            page,
            "| `{}` | {alias} | {} | {only} |",
            setting.name,
            default_text(setting)
        )?;
    }
    Ok(())
}

fn write_setting(page: &mut String, setting: &Setting) -> fmt::Result {
    let change = match setting.change {
        Change::AtRuntime => "may change while running",
        Change::AtStart | Change::Protected => "fixed at start",
    };
    write!(page, "\n### {}\n\n{}\n\n", setting.name, setting.paragraph())?;
    let (form, default) = (setting.syntax.describe(), default_text(setting));
    writeln!(page, "*{form}; default {default}; {change}; `{}`*", setting.variable())?;
    match setting.alias {
        Some(alias) => writeln!(page, "*older name: `{alias}`*"),
        None => Ok(()),
    }
}

fn default_text(setting: &Setting) -> String {
    match setting.default {
        "" => "empty".to_owned(),
        default => format!("`{default}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");

    #[test]
    fn the_page_of_settings_is_up_to_date() {
        if std::env::var_os("LARDER_BLESS").is_some() {
            std::fs::write(PAGE, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert!(
            page == markdown(),
            "run LARDER_BLESS=1 cargo test -p larder-server config::docs, and commit the page"
        );
    }

    #[test]
    fn every_setting_is_on_the_page_once() {
        let page = markdown();
        for setting in lookup::all() {
            let heading = format!("\n### {}\n", setting.name);
            let row = format!("\n| `{}` |", setting.name);
            assert_eq!(
                page.matches(&heading).count() + page.matches(&row).count(),
                1,
                "{}",
                setting.name
            );
        }
    }
}
