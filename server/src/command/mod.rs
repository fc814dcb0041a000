//! The command table: everything that is known about a command, once.
//!
//! Arity checks, `COMMAND`, `COMMAND DOCS`, key positions, ACL categories, statistics and `docs/commands.md` all
//! come from here. A command is one row in `table/`; its columns are the methods of [`Command`]:
//!
//! ```text
//! cmd("getex", string::getex, -2, &[WRITE, FAST])     name, handler, arity (name included; -n: n or more), flags
//!     .keys(&[at(1, &[RW, ACCESS, UPDATE])])          where its keys are and what happens to them
//!     .doc("6.2.0", "Reads ...", "O(1)")              since, summary, complexity
//!     .args(&[key("key"), ...])                       the grammar of its arguments
//! ```
//!
//! What follows from a row (the categories that flags imply, the old first/last/step triple, whether keys move)
//! is computed from it when the crate is compiled, so it cannot disagree.

pub mod args;
pub mod bits;
pub mod keys;
mod lookup;
pub mod reference;
mod row;
mod table;

pub use args::{Arg, ArgKind};
pub use bits::{Categories, Flags, KeyFlags, category, flag, key_flag};
pub use keys::{Args, InvalidKeys, KeyRef, KeySpec, keys_of};
pub use lookup::{Unknown, lookup, lookup_full, resolve};
pub use table::{COMMAND_COUNT, TOP_LEVEL_COUNT};

use std::fmt;

/// What runs a command.
pub type Handler = fn(&mut crate::call::Call<'_>) -> crate::call::Outcome;

/// What a command is about: a section of the reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Strings.
    String,
    /// Bits of strings.
    Bitmap,
    /// Keys of any type.
    Generic,
    /// The connection itself.
    Connection,
    /// The node.
    Server,
    /// MULTI and its relatives.
    Transactions,
    /// What is asked of a node in a cluster.
    Cluster,
}

impl Group {
    /// All groups, in the order of the reference.
    pub const ALL: [Group; 7] = [
        Group::String,
        Group::Bitmap,
        Group::Generic,
        Group::Connection,
        Group::Server,
        Group::Transactions,
        Group::Cluster,
    ];

    /// The name in `COMMAND DOCS`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::Bitmap => "bitmap",
            Group::Generic => "generic",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Transactions => "transactions",
            Group::Cluster => "cluster",
        }
    }
}

/// Advice against a command that has been superseded.
#[derive(Clone, Copy, Debug)]
pub struct Deprecation {
    /// The version of Redis that gave it.
    pub since: &'static str,
    /// What to use.
    pub replaced_by: &'static str,
}

/// One command or subcommand.
///
/// What the request path reads of it stands first, so that it shares one cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Command {
    folded: lookup::Folded,
    /// What runs it.
    pub handler: Handler,
    /// What the dispatcher must know.
    pub flags: Flags,
    /// A dense number, below [`COMMAND_COUNT`]: an index for statistics.
    pub id: u16,
    children: (u16, u16),
    /// The number of arguments, name included (for subcommands: both names); negative: at least that many.
    pub arity: i8,
    /// The position of the first key, as `COMMAND INFO` reports it; 0 if there is none.
    pub first_key: u8,
    /// Argument 1 is a key and there is no other.
    pub single_key: bool,
    /// Such a command that takes constant time: it holds no lock when it is done, leaves the connection as it was, and
    /// need not be timed alone.
    pub quick: bool,
    /// The name as statistics and `COMMAND` show it, in lower case: `get`, `config|get`.
    pub full_name: &'static str,
    /// The name without the parent's: `get` in both cases.
    pub name: &'static str,
    /// The position of the last key; negative counts from the end.
    pub last_key: i8,
    /// How far one key is from the next.
    pub key_step: u8,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// The ACL categories it is in.
    pub categories: Categories,
    /// What it is about.
    pub group: Group,
    /// The version of Redis that introduced it.
    pub since: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// What it costs.
    pub complexity: &'static str,
    /// How it is called.
    pub args: &'static [Arg],
    /// Hints for proxies and clients of several nodes.
    pub tips: &'static [&'static str],
    /// What changed in which version of Redis.
    pub history: &'static [(&'static str, &'static str)],
    /// What to use instead.
    pub deprecated: Option<Deprecation>,
    /// A system command, as documentation marks it.
    pub is_system: bool,
    rows: &'static [Command],
}

impl Command {
    /// The subcommands, by name.
    #[must_use]
    pub fn subcommands(&self) -> &'static [Command] {
        let (first, count) = (usize::from(self.children.0), usize::from(self.children.1));
        table::COMMANDS.get(first..first + count).unwrap_or(&[])
    }

    /// The subcommand called `name`, in any case.
    #[must_use]
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Command> {
        self.subcommands()
            .iter()
            .find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether a call with `argc` arguments, names included, has the right number of them.
    #[must_use]
    #[inline]
    pub fn accepts(&self, argc: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity >= 0 {
            argc == wanted || self.takes_option(argc)
        } else {
            argc >= wanted
        }
    }

    /// Whether `argc` arguments are those of a fixed number, and one more option. The table gives the arity of Redis,
    /// which does not have that option.
    #[cold]
    fn takes_option(&self, argc: usize) -> bool {
        let has_option = self
            .args
            .last()
            .is_some_and(|last| last.optional && last.token.is_some());
        has_option && argc == usize::from(self.arity.unsigned_abs()) + 2
    }

    /// Whether a call with `argc` arguments is so cheap that it need not be timed alone.
    #[must_use]
    #[inline]
    pub fn is_const_time(&self, argc: usize) -> bool {
        self.flags.has(flag::CONST_TIME) && (self.last_key >= 0 || argc == 2)
    }

    /// Whether it only groups subcommands and cannot run itself.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.flags.has(flag::CONTAINER)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({})", self.full_name)
    }
}

/// How many commands there are, without subcommands: `COMMAND COUNT`.
#[must_use]
pub fn command_count() -> usize {
    TOP_LEVEL_COUNT
}

/// All commands, without subcommands, in the order of the table.
#[must_use]
pub fn all() -> &'static [Command] {
    table::COMMANDS.split_at(TOP_LEVEL_COUNT).0
}

/// All commands and subcommands; a command's place is its [`id`](Command::id).
#[must_use]
pub fn all_with_subcommands() -> &'static [Command] {
    &table::COMMANDS
}

/// The command with this [`id`](Command::id).
#[must_use]
pub fn by_id(id: u16) -> Option<&'static Command> {
    table::COMMANDS.get(usize::from(id))
}

#[cfg(test)]
mod tests;
