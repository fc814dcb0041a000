//! What can go wrong with a call, by what the caller can do about it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
///
/// Cheap to clone: several callers may be told of the same broken connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be made; the command was not sent.
    #[error("{node}: could not connect: {source}")]
    Connect {
        /// The node's name.
        node: Arc<str>,
        /// What the system, the TLS layer or the handshake said.
        source: Arc<io::Error>,
    },
    /// The connection broke after the command was sent: it may have run, or not.
    #[error("{node}: the connection was lost before the reply came: {source}")]
    Lost {
        /// The node's name.
        node: Arc<str>,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// No reply came in time; if the command was sent it may have run, or may run yet.
    #[error("{node}: no reply within {after:?}{}", if *.sent { "" } else { " (the command was not sent)" })]
    Timeout {
        /// The node's name.
        node: Arc<str>,
        /// How long the call waited.
        after: Duration,
        /// Whether any byte of the command was given to the socket.
        sent: bool,
    },
    /// Too many calls wait for this node already, see [`Config::max_pending`](crate::Config::max_pending);
    /// the command was not sent.
    #[error("{node}: {pending} calls are pending already; the limit is there to shed load")]
    Busy {
        /// The node's name.
        node: Arc<str>,
        /// How many calls are pending.
        pending: usize,
    },
    /// The node is taken out after failures or because it became slow, and the command may not go to another
    /// one; it was not sent.
    #[error("{node}: taken out of use for now")]
    NodeUnavailable {
        /// The node's name.
        node: Arc<str>,
    },
    /// The keys of one command belong to different nodes.
    #[error(
        "{command}: the keys '{first}' and '{second}' are on different nodes; give them the same hash tag, \
         as in '{{user:1}}:name' and '{{user:1}}:mail'"
    )]
    CrossNode {
        /// The command's name.
        command: String,
        /// A key, as far as it is text.
        first: String,
        /// A key on another node.
        second: String,
    },
    /// The keys that a transaction watched were changed by others, each time that it was tried; nothing was run.
    #[error("the watched keys were changed by others during each of {attempts} attempts")]
    Conflict {
        /// How often it was tried.
        attempts: u32,
    },
    /// The server answered with an error.
    #[error("{0}")]
    Server(ServerError),
    /// The reply is not of the type that was asked for.
    #[error("{0}")]
    Decode(DecodeError),
    /// What the server sent is not RESP; the connection was closed. The command may have run.
    #[error("{node}: not RESP: {what}")]
    Protocol {
        /// The node's name.
        node: Arc<str>,
        /// What was wrong with it.
        what: Arc<str>,
    },
    /// The call makes no sense as it was written; it was not sent.
    #[error("{0}")]
    Usage(String),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl Error {
    /// Whether the command may have been executed.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        match self {
            Error::Lost { .. } | Error::Protocol { .. } | Error::Decode(_) => true,
            Error::Timeout { sent, .. } => *sent,
            // A transaction or script may fail halfway.
            Error::Server(_) => true,
            Error::Connect { .. }
            | Error::Busy { .. }
            | Error::NodeUnavailable { .. }
            | Error::CrossNode { .. }
            | Error::Conflict { .. }
            | Error::Usage(_)
            | Error::Closed => false,
        }
    }

    /// Whether the node or the way to it failed, rather than the call.
    #[must_use]
    pub fn is_node_failure(&self) -> bool {
        match self {
            Error::Connect { .. }
            | Error::Lost { .. }
            | Error::Timeout { .. }
            | Error::Protocol { .. }
            | Error::NodeUnavailable { .. } => true,
            Error::Busy { .. }
            | Error::CrossNode { .. }
            | Error::Conflict { .. }
            | Error::Server(_)
            | Error::Decode(_)
            | Error::Usage(_)
            | Error::Closed => false,
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Error {
        Error::Decode(error)
    }
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Error {
        Error::Server(error)
    }
}

/// An error that a server answered: `WRONGTYPE Operation against ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    text: Box<str>,
}

impl ServerError {
    /// An error with the server's text, code and message.
    #[must_use]
    pub fn new(text: &str) -> ServerError {
        ServerError { text: text.into() }
    }

    /// The word in front, as in `ERR`, `WRONGTYPE`, `OOM`, `NOAUTH`, `BUSY`; empty if there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        let word = self.text.split(' ').next().unwrap_or_default();
        let is_code = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if is_code { word } else { "" }
    }

    /// The whole text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ServerError {}

/// A reply that is not of the type that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, the server answered {got}")]
pub struct DecodeError {
    expected: &'static str,
    got: String,
}

impl DecodeError {
    /// How much of a reply an error shows.
    const MAX_SHOWN_BYTES: usize = 64;

    /// `expected` names what was asked for: "an integer".
    #[must_use]
    pub fn new(expected: &'static str, got: &crate::Value) -> DecodeError {
        let mut shown = got.describe();
        if shown.len() > Self::MAX_SHOWN_BYTES {
            let end = (0..=Self::MAX_SHOWN_BYTES).rev().find(|&at| shown.is_char_boundary(at));
            shown.truncate(end.unwrap_or(0));
            shown.push_str("...");
        }
        DecodeError { expected, got: shown }
    }
}
