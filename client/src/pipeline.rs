//! Several commands in one round trip, and several in one piece (`MULTI` and `EXEC`).

mod send;

use crate::client::Client;
use crate::command::{Access, Cmd, Request, Scope, Wait};
use crate::error::{Error, Result, ServerError};
use crate::resp::{Encoder, FromValue, Value};
use std::ops::Range;

pub(crate) use send::{Transacted, join_all};

/// The most commands that go into a pipeline.
const MAX_COMMANDS: usize = 65_536;
/// The most bytes that its commands may take.
const MAX_BYTES: usize = 64 << 20;

/// Commands that go out together; see [`Client::pipeline`].
///
/// Replies are read all together, as a tuple or a list. A command that failed makes the whole an
/// [`Error::Server`], unless its place in the tuple or list is a `Result<T, ServerError>`:
///
/// ```no_run
/// # async fn example(client: larder_client::Client) -> larder_client::Result<()> {
/// use larder_client::{ServerError, cmd};
///
/// let mut pipe = client.pipeline();
/// pipe.incr("visits").get("name").add(&cmd("LPUSH").arg("log").arg("here"));
/// let (visits, name, log): (i64, Option<String>, Result<u64, ServerError>) = pipe.query().await?;
/// # let _ = (visits, name, log);
/// # Ok(())
/// # }
/// ```
///
/// A pipeline holds up to 65,536 commands and 64 MiB; one more is an [`Error::Usage`] when it is sent.
#[derive(Clone, Debug)]
pub struct Pipeline {
    client: Client,
    atomic: bool,
    /// The commands, encoded, one behind the other.
    out: Vec<u8>,
    commands: Vec<Entry>,
    /// Their keys, one behind the other, and where each ends.
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    /// What was wrong with the first command that could not be taken in.
    error: Option<Error>,
}

/// A command of a pipeline.
#[derive(Clone, Debug)]
struct Entry {
    /// Where it ends in the encoded commands.
    ends: usize,
    /// Where its keys end in the list of keys.
    keys_end: usize,
    access: Access,
    scope: Scope,
}

impl Client {
    /// Collects commands to send them in one round trip. They are run in their order, but others may run in between;
    /// see [`Pipeline::atomic`].
    ///
    /// If their keys are on several nodes, each node gets its share, all at the same time; what one node runs is then
    /// in no order with what another does, and if one of them fails the whole is an error, though others have run theirs.
    #[must_use]
    pub fn pipeline(&self) -> Pipeline {
        Pipeline {
            client: self.clone(),
            atomic: false,
            out: Vec::new(),
            commands: Vec::new(),
            keys: Vec::new(),
            key_ends: Vec::new(),
            error: None,
        }
    }
}

impl Pipeline {
    /// Has the commands run in one piece (`MULTI` and `EXEC`): all of them, with nothing in between, or, if the server
    /// refuses one beforehand, none; then the error has the code `EXECABORT`. A command that fails while they run
    /// does not undo the others. All keys must be on one node.
    pub fn atomic(&mut self) -> &mut Pipeline {
        self.atomic = true;
        self
    }

    /// Adds a command that was written by hand.
    pub fn add(&mut self, cmd: &Cmd) -> &mut Pipeline {
        let checked = cmd.check().and_then(|checked| match checked.wait() {
            // In one piece, servers do not let them wait.
            Wait::Seconds(_) | Wait::Forever if !self.atomic => Err(Error::Usage(format!(
                "{}: in a pipeline it would make others wait; send it alone",
                checked.name()
            ))),
            _ => Ok(checked),
        });
        self.push(checked)
    }

    /// How many commands there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there are none; then nothing is sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub(crate) fn push(&mut self, request: Result<impl Request>) -> &mut Pipeline {
        if self.error.is_some() {
            return self;
        }
        if let Err(error) = request.and_then(|request| self.take_in(&request)) {
            self.error = Some(error);
        }
        self
    }

    fn take_in(&mut self, request: &impl Request) -> Result<()> {
        if self.commands.len() == MAX_COMMANDS {
            return Err(Error::Usage(format!("a pipeline of over {MAX_COMMANDS} commands")));
        }
        let before = self.out.len();
        let mut encoder = Encoder::new(&mut self.out);
        request.encode(&mut encoder);
        let balanced = encoder.is_balanced();
        if !balanced || self.out.len() > MAX_BYTES {
            self.out.truncate(before);
            return Err(Error::Usage(if balanced {
                format!("a pipeline of over {MAX_BYTES} bytes")
            } else {
                format!(
                    "{}: an argument's `count` is not what its `write` appends",
                    request.name()
                )
            }));
        }
        request.keys(&mut |key| {
            self.keys.extend_from_slice(key);
            self.key_ends.push(self.keys.len());
        });
        self.commands.push(Entry {
            ends: self.out.len(),
            keys_end: self.key_ends.len(),
            access: request.access(),
            scope: request.scope(),
        });
        Ok(())
    }

    /// The bytes of a command.
    fn encoded(&self, command: usize) -> &[u8] {
        let begins = command.checked_sub(1).map_or(0, |before| self.commands[before].ends);
        &self.out[begins..self.commands[command].ends]
    }

    /// Which of the keys are a command's.
    fn keys_of(&self, command: usize) -> Range<usize> {
        let begins = command
            .checked_sub(1)
            .map_or(0, |before| self.commands[before].keys_end);
        begins..self.commands[command].keys_end
    }

    fn key(&self, number: usize) -> &[u8] {
        let begins = number.checked_sub(1).map_or(0, |before| self.key_ends[before]);
        &self.keys[begins..self.key_ends[number]]
    }

    /// The name of a command, for messages.
    fn name(&self, command: usize) -> String {
        let words = String::from_utf8_lossy(self.encoded(command));
        words.split("\r\n").nth(2).unwrap_or_default().to_string()
    }

    /// Sends the commands and reads their replies, as a tuple or a list; the pipeline may be sent again.
    ///
    /// # Errors
    /// [`Error::Server`] with the first error of a command, unless the type has a place for it;
    /// [`Error::CrossNode`] if the keys of one command, or of an atomic pipeline, are on several nodes;
    /// [`Error::Usage`] if a command could not be taken in; else see [`Error`].
    pub async fn query<T: FromValue>(&self) -> Result<T> {
        read_all(self.send().await?)
    }

    /// Whether all commands could be taken in.
    ///
    /// # Errors
    /// [`Error::Usage`] if not.
    pub(crate) fn check(&self) -> Result<()> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// Sends the commands; the replies, errors among them.
    async fn send(&self) -> Result<Vec<Value>> {
        self.check()?;
        if self.commands.is_empty() {
            return Ok(Vec::new());
        }
        if self.atomic {
            return self.send_atomic().await;
        }
        self.send_parts().await
    }
}

/// Reads the replies of commands. If that fails for an error among them, that error is told.
pub(crate) fn read_all<T: FromValue>(replies: Vec<Value>) -> Result<T> {
    let first_error: Option<ServerError> = replies.iter().find_map(|reply| match reply {
        Value::Error(error) => Some(error.clone()),
        _ => None,
    });
    T::from_value(Value::Array(replies)).map_err(|error| first_error.map_or(Error::Decode(error), Error::Server))
}

#[cfg(test)]
mod tests;
