//! What a command handler gets, and what it gives back.

use crate::client::Client;
use crate::command::Command;
use crate::node::Node;
use crate::resp::encode::Reply;
use crate::resp::request::Args;
use crate::stats::WorkerStats;
use crate::store::{Store, WrongType};
use std::borrow::Cow;

/// One command being carried out. The fields are apart so that a handler can borrow them side by side.
pub struct Call<'a> {
    /// The row of the command table.
    pub command: &'static Command,
    /// The arguments, the command's name first.
    pub args: Args<'a>,
    /// The keyspace, as of the selected database and this turn's time.
    pub store: Store<'a>,
    /// Where the reply goes. A handler writes exactly one reply, or returns an error.
    pub reply: Reply<'a>,
    /// The connection that asks.
    pub client: &'a mut Client,
    /// The node.
    pub node: &'a Node,
    /// The statistics of the worker that runs this.
    pub stats: &'a WorkerStats,
}

/// What a handler returns: on `Ok` the reply was written, on `Err` none was.
pub type Outcome = Result<(), Error>;

/// An error reply, its code first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub Cow<'static, str>);

impl Error {
    /// An option that the command does not know, or options that exclude each other.
    pub const SYNTAX: Error = Error::new("ERR syntax error");
    /// An argument or value is no 64-bit integer.
    pub const NOT_AN_INTEGER: Error = Error::new("ERR value is not an integer or out of range");
    /// An argument or value is no number.
    pub const NOT_A_FLOAT: Error = Error::new("ERR value is not a valid float");
    /// The value has another type than the command is for.
    pub const WRONG_TYPE: Error = Error::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// The key must exist and does not.
    pub const NO_SUCH_KEY: Error = Error::new("ERR no such key");
    /// The memory limit is reached and nothing may be evicted.
    pub const OUT_OF_MEMORY: Error = Error::new("OOM command not allowed when used memory > 'maxmemory'.");

    /// A fixed text.
    pub const fn new(text: &'static str) -> Error {
        Error(Cow::Borrowed(text))
    }

    /// A text made for the occasion.
    pub fn of(text: impl Into<String>) -> Error {
        Error(Cow::Owned(text.into()))
    }

    /// The command was called with a wrong number of arguments.
    pub fn wrong_arity(command: &Command) -> Error {
        Error::of(format!(
            "ERR wrong number of arguments for '{}' command",
            command.full_name
        ))
    }

    /// The command was given a time to live that is none.
    pub fn invalid_expire(command: &Command) -> Error {
        Error::of(format!("ERR invalid expire time in '{}' command", command.full_name))
    }

    /// The code: the text up to the first space.
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }
}

impl From<WrongType> for Error {
    fn from(_: WrongType) -> Error {
        Error::WRONG_TYPE
    }
}

impl Call<'_> {
    /// An argument as a 64-bit integer.
    ///
    /// # Errors
    /// `NOT_AN_INTEGER` if it is none.
    pub fn int(&self, index: usize) -> Result<i64, Error> {
        crate::text::parse_i64(&self.args[index]).ok_or(Error::NOT_AN_INTEGER)
    }
}

/// The handler of a command that only groups subcommands; the dispatcher has refused it before.
pub fn container(call: &mut Call<'_>) -> Outcome {
    Err(Error::wrong_arity(call.command))
}
