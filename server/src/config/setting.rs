//! What is known of one setting, and the macro that turns the table's rows into the struct of typed values.

use super::settings::Settings;
use super::syntax::{Problem, Syntax};

/// When a setting may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// At any time, with `CONFIG SET`.
    AtRuntime,
    /// Only by a restart.
    AtStart,
    /// Only by a restart, since who can set it could make the server write files elsewhere.
    Protected,
}

/// The part of the documentation that a setting belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Network,
    Security,
    Memory,
    TimesToLive,
    Clients,
    Threads,
    Logs,
    Statistics,
    Process,
    /// Names that Redis has and that cannot matter here.
    Compatibility,
}

impl Section {
    pub(super) const DOCUMENTED: [Self; 9] = [
        Self::Network,
        Self::Security,
        Self::Memory,
        Self::TimesToLive,
        Self::Clients,
        Self::Threads,
        Self::Logs,
        Self::Statistics,
        Self::Process,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Security => "Security",
            Self::Memory => "Memory",
            Self::TimesToLive => "Times to live",
            Self::Clients => "Clients",
            Self::Threads => "Threads",
            Self::Logs => "Logs",
            Self::Statistics => "Statistics",
            Self::Process => "Process",
            Self::Compatibility => "Compatibility",
        }
    }
}

/// Where a setting's value lives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// In a typed field of [`Settings`].
    Field {
        read: fn(&mut Settings, &str, Syntax) -> Result<(), Problem>,
        show: fn(&Settings, Syntax) -> String,
    },
    /// As text, since nothing uses it.
    Kept,
}

/// One setting: everything that flags, files, `CONFIG` and the documentation need.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// An older name that means the same.
    pub(super) alias: Option<&'static str>,
    /// In the form of a value in a file.
    pub(super) default: &'static str,
    pub(super) syntax: Syntax,
    pub(super) change: Change,
    pub(super) section: Section,
    /// One paragraph, as rustdoc gives it: lines that start with a space.
    pub(super) doc: &'static str,
    pub(super) place: Place,
}

impl Setting {
    /// The documentation as one line of Markdown.
    pub(super) fn paragraph(&self) -> String {
        let lines: Vec<&str> = self.doc.lines().map(str::trim).collect();
        lines.join(" ")
    }

    /// The environment variable that sets it.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// The setting's name and its alias.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        std::iter::once(self.name).chain(self.alias)
    }
}

/// What the names of environment variables start with.
pub(super) const VARIABLE_PREFIX: &str = "LARDER_";

/// Turns rows `field: Type = "name", "default", syntax, change;` with their doc comments into
/// `struct Settings` and the list `LIVE`.
macro_rules! settings {
    ($(
        $section:ident {$(
            $(#[doc = $doc:literal])+
            $field:ident: $type:ty = $name:literal $(or $alias:literal)?, $default:literal, $syntax:expr, $change:ident;
        )+}
    )+) => {
        /// The value of every setting. Cheap to share; never changes once published.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($($(#[doc = $doc])+ pub $field: $type,)+)+
            /// Values of settings that are only kept, where they are not the default.
            pub(super) kept: BTreeMap<&'static str, String>,
        }

        impl Settings {
            fn blank() -> Self {
                Self {
                    $($($field: Default::default(),)+)+
                    kept: BTreeMap::new(),
                }
            }
        }

        /// The settings that have a typed field, in the order of the documentation.
        pub(super) static LIVE: &[Setting] = &[$($(Setting {
            name: $name,
            alias: settings!(@alias $($alias)?),
            default: $default,
            syntax: $syntax,
            change: Change::$change,
            section: Section::$section,
            doc: concat!($($doc, "\n"),+),
            place: Place::Field {
                read: |settings, text, syntax| settings.$field.read(text, syntax),
                show: |settings, syntax| settings.$field.show(syntax),
            },
        },)+)+];
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
}
