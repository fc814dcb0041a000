//! What can go wrong with a configuration: at start, at `CONFIG SET` and at `CONFIG REWRITE`.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::setting::Setting;

/// Where a setting's value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file, counted from 1.
    Line {
        /// The file as it was named; `-` for standard input.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(formatter, "{}, line {line}", file.display()),
            Self::Variable(name) => write!(formatter, "environment variable {name}"),
            Self::Flag => formatter.write_str("command line"),
        }
    }
}

/// Why the server cannot start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The command line has no such flag, or `--help` or `--version` was asked for: print it and
    /// exit with its code ([`clap::Error::exit`] does both).
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// A value or directive that cannot be used.
    #[error("{origin}: '{directive}': {problem}; {advice}")]
    Setting {
        /// Where it stands.
        origin: Origin,
        /// The directive with its value, shortened; a secret value is left out.
        directive: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// A configuration file that cannot be read.
    #[error("cannot read the configuration file '{}': {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither a TCP port nor a Unix socket is configured.
    #[error("nothing to listen on: set port and bind, or unixsocket")]
    NothingToListenOn,
    /// `dir` is no folder that can be used.
    #[error("cannot use dir '{dir}': {source}; give an existing folder")]
    Dir {
        /// The value.
        dir: String,
        /// Why.
        source: io::Error,
    },
}

/// Why `CONFIG SET` changed nothing. The message is the reply, as Redis words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// No setting has this name.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{name}'{hint}")]
    Unknown {
        /// The name as the client gave it, made printable and shortened.
        name: String,
        /// Which name may have been meant; empty if none is near.
        hint: String,
    },
    /// The setting cannot be changed now, or not to this value.
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {problem}")]
    Failed {
        /// The name as the client gave it.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// Why `CONFIG REWRITE` left the file as it was. The message is the reply, as Redis words it.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// There is no file: none was given, or standard input was.
    #[error("ERR The server is running without a config file")]
    NoFile,
    /// The file could not be read or written.
    #[error("ERR Rewriting config file: {0}")]
    Io(#[from] io::Error),
    /// The file has changed since the start and would not be accepted any more.
    #[error("ERR Rewriting config file: {0}")]
    Invalid(#[from] LoadError),
}

/// The longest directive, name or value that a message quotes, in characters.
const MAX_QUOTED: usize = 100;

/// `text` on one line, printable and short enough for a message.
pub(super) fn printable(text: &str) -> String {
    let mut letters = text.chars();
    let clean = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut shown: String = letters.by_ref().take(MAX_QUOTED).map(clean).collect();
    if letters.next().is_some() {
        shown.push_str("...");
    }
    shown
}

/// The directive with its value for a message, without secrets.
pub(super) fn quoted_directive(setting: Option<&Setting>, name: &str, value: &str) -> String {
    match setting {
        Some(setting) if setting.syntax.is_secret() => name.to_owned(),
        _ => printable(format!("{name} {value}").trim_end()),
    }
}
