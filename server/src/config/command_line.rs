//! The command line: `larder-server [config-file] [--name value ...]`, as redis-server has it, with help by clap.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, ArgAction, Command, value_parser};

use super::error::{LoadError, Origin};
use super::layer::Layer;
use super::setting::{Place, Setting};
use super::syntax::Syntax;
use super::{lookup, refused};

const FILE: &str = "config-file";

/// What the command line says.
pub(super) struct CommandLine {
    /// The configuration file; `-` means standard input.
    pub(super) file: Option<OsString>,
    /// Names (without dashes) and values, in order for each name.
    flags: Vec<(&'static str, OsString)>,
}

impl CommandLine {
    /// Parses the arguments, the first of which is the program's name.
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut matches = command().try_get_matches_from(with_equals_signs(args.into_iter().collect()))?;
        let file = matches.remove_one::<OsString>(FILE);
        let mut flags = Vec::new();
        for name in lookup::all()
            .map(|setting| setting.name)
            .chain(refused::NAMES.iter().copied())
        {
            let values = matches.remove_many::<OsString>(name).into_iter().flatten();
            flags.extend(values.map(|value| (name, value)));
        }
        Ok(Self { file, flags })
    }

    /// Lays the flags over the settings.
    pub(super) fn apply(&self, layer: &mut Layer<'_>) -> Result<(), LoadError> {
        for (name, value) in &self.flags {
            layer.apply_words(&Origin::Flag, name, &[value.as_bytes().to_vec()])?;
        }
        Ok(())
    }
}

/// The definition of the command line, for parsing, help and completions.
#[must_use]
pub fn command() -> Command {
    let about = "A cache node that speaks the Redis protocol";
    let after = "A flag overrides the environment variable of its name (--maxmemory-policy: \
                 LARDER_MAXMEMORY_POLICY), which overrides the configuration file. Sizes take units: 512mb, 1gb. \
                 The other names of redis.conf are accepted as flags, too. All settings: docs/configuration.md";
    let file = Arg::new(FILE)
        .value_parser(value_parser!(OsString))
        .help("Configuration file in the form of redis.conf; - reads standard input");
    let version = Arg::new("version")
        .short('v')
        .short_alias('V')
        .long("version")
        .action(ArgAction::Version);
    let mut command = Command::new("larder-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(after)
        .disable_version_flag(true)
        .override_usage("larder-server [CONFIG-FILE] [--NAME VALUE]...")
        .arg(file)
        .arg(version.help("Print the version"));
    for setting in lookup::all() {
        command = command.arg(setting_flag(setting));
    }
    for name in refused::NAMES {
        command = command.arg(flag(name).hide(true));
    }
    command
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .num_args(1)
        .action(ArgAction::Append)
        .value_parser(value_parser!(OsString))
}

fn setting_flag(setting: &'static Setting) -> Arg {
    let flag = flag(setting.name)
        .aliases(setting.alias)
        .value_name(value_name(setting.syntax));
    if matches!(setting.place, Place::Kept) {
        return flag.hide(true);
    }
    let default = if setting.default.is_empty() {
        "none"
    } else {
        setting.default
    };
    let choices = match setting.syntax {
        Syntax::Choice(names) => format!("; one of {}", names.join(", ")),
        _ => String::new(),
    };
    let paragraph = setting.paragraph();
    let sentence = paragraph.split_inclusive(". ").next().unwrap_or_default().trim_end();
    let help = format!("{} [default: {default}{choices}]", sentence.replace('`', ""));
    flag.help(help).help_heading(setting.section.title())
}

fn value_name(syntax: Syntax) -> &'static str {
    match syntax {
        Syntax::YesNo => "yes|no",
        Syntax::Int(..) | Syntax::Octal(..) => "number",
        Syntax::Memory(..) => "size",
        Syntax::MemoryOrPercent => "size|percent",
        Syntax::Choice(_) | Syntax::Only(..) => "choice",
        Syntax::Text | Syntax::Secret => "text",
        Syntax::Choices(_)
        | Syntax::Words(_)
        | Syntax::Ints(_)
        | Syntax::SavePoints
        | Syntax::OutputLimits
        | Syntax::Percentiles
        | Syntax::PrefixRules(..) => "words",
    }
}

/// Writes `--name value...` as `--name=value...`, since clap would take a value such as `-::1` for a flag, and
/// one flag's several values for positional arguments.
fn with_equals_signs(args: Vec<OsString>) -> Vec<OsString> {
    let mut rest = args.into_iter().peekable();
    let mut joined: Vec<OsString> = rest.next().into_iter().collect();
    while let Some(arg) = rest.next() {
        let Some((name, takes_many)) = takes_values(&arg) else {
            joined.push(arg);
            continue;
        };
        let mut values = Vec::new();
        while (takes_many || values.is_empty())
            && let Some(value) = rest.next_if(|next| !(is_flag(next) || takes_many && next == "-"))
        {
            values.push(value.into_vec());
        }
        // Redis takes a bare --save for "no snapshots".
        let mut flag = OsString::from(format!("--{name}"));
        if !values.is_empty() || name == "save" {
            flag.push("=");
            flag.push(OsString::from_vec(values.join(&b' ')));
        }
        joined.push(flag);
    }
    joined
}

/// If `arg` is a flag whose value follows it: the name as the table has it, and whether it takes several values.
fn takes_values(arg: &OsStr) -> Option<(&'static str, bool)> {
    let name = arg.to_str()?.strip_prefix("--")?;
    if let Some(directive) = refused::NAMES
        .iter()
        .find(|directive| directive.eq_ignore_ascii_case(name))
    {
        return Some((directive, true));
    }
    lookup::find(name).map(|(known, setting)| (known, setting.syntax.is_list()))
}

fn is_flag(arg: &OsStr) -> bool {
    arg.as_bytes().starts_with(b"--")
}
