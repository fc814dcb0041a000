//! How a pipeline goes out: to which nodes, and what becomes of the replies.

use super::Pipeline;
use crate::command::{Access, Request, Scope};
use crate::error::{Error, Result, ServerError};
use crate::resp::{Encoder, Value};
use std::task::Poll;

/// What opens and closes a transaction, encoded.
const MULTI: &[u8] = b"$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"$4\r\nEXEC\r\n";
/// Replies of a transaction beside those of its commands.
const FRAME: u32 = 2;

/// The commands of a pipeline that go to one node.
struct Part<'a> {
    pipeline: &'a Pipeline,
    /// Their positions; all of them if `None`.
    commands: Option<Vec<usize>>,
    place: usize,
}

impl Part<'_> {
    fn len(&self) -> usize {
        self.commands.as_ref().map_or(self.pipeline.len(), Vec::len)
    }

    fn all(&self, holds: impl Fn(usize) -> bool) -> bool {
        match &self.commands {
            Some(commands) => commands.iter().all(|&command| holds(command)),
            None => (0..self.pipeline.len()).all(holds),
        }
    }
}

impl Request for Part<'_> {
    fn access(&self) -> Access {
        let reads = self.all(|command| self.pipeline.commands[command].access == Access::Read);
        if reads { Access::Read } else { Access::Write }
    }

    fn name(&self) -> String {
        "a pipeline".to_string()
    }

    fn key(&self) -> Option<&[u8]> {
        let first = |command| {
            let mut keys = self.pipeline.keys_of(command);
            keys.next().map(|number| self.pipeline.key(number))
        };
        match &self.commands {
            Some(commands) => commands.iter().copied().find_map(first),
            None => (0..self.pipeline.len()).find_map(first),
        }
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8])) {
        let mut keys_of = |command| {
            let keys = self.pipeline.keys_of(command);
            keys.for_each(|key| visit(self.pipeline.key(key)));
        };
        match &self.commands {
            Some(commands) => commands.iter().for_each(|&command| keys_of(command)),
            None => (0..self.pipeline.len()).for_each(keys_of),
        }
    }

    fn replies(&self) -> u32 {
        self.len() as u32
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        match &self.commands {
            None => out.raw(&self.pipeline.out),
            Some(commands) => commands
                .iter()
                .for_each(|&command| out.raw(self.pipeline.encoded(command))),
        }
    }
}

/// All commands of a pipeline in one piece.
pub(crate) struct Transacted<'a>(pub(crate) &'a Pipeline);

impl Transacted<'_> {
    fn whole(&self) -> Part<'_> {
        Part {
            pipeline: self.0,
            commands: None,
            place: 0,
        }
    }

    /// The replies of the commands; `None` if a watched key was changed.
    ///
    /// # Errors
    /// [`Error::Server`] if nothing was run.
    pub(crate) fn replies_of(&self, answer: Value) -> Result<Option<Vec<Value>>> {
        let Value::Array(mut answers) = answer else {
            return Err(Error::Decode(crate::DecodeError::new(
                "the replies of a transaction",
                &answer,
            )));
        };
        let last = answers.pop().unwrap_or(Value::Nil);
        let refused = answers.iter().enumerate().find_map(|(position, answer)| match answer {
            Value::Error(error) => Some((position, error)),
            _ => None,
        });
        match (last, refused) {
            (_, Some((0, error))) => Err(Error::Server(error.clone())),
            (Value::Error(_), Some((position, error))) => Err(Error::Server(ServerError::new(&format!(
                "EXECABORT nothing was run, as {} was refused: {error}",
                self.0.name(position - 1)
            )))),
            (Value::Error(error), None) => Err(Error::Server(error)),
            (Value::Nil, _) => Ok(None),
            (Value::Array(replies), _) => Ok(Some(replies)),
            (other, _) => Err(Error::Decode(crate::DecodeError::new("the replies of EXEC", &other))),
        }
    }
}

impl Request for Transacted<'_> {
    fn access(&self) -> Access {
        self.whole().access()
    }

    fn name(&self) -> String {
        "an atomic pipeline".to_string()
    }

    fn key(&self) -> Option<&[u8]> {
        let number = (!self.0.key_ends.is_empty()).then_some(0)?;
        Some(self.0.key(number))
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8])) {
        (0..self.0.key_ends.len()).for_each(|number| visit(self.0.key(number)));
    }

    fn replies(&self) -> u32 {
        self.0.len() as u32 + FRAME
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.encoded(1, MULTI);
        out.raw(&self.0.out);
        out.encoded(1, EXEC);
    }
}

impl Pipeline {
    /// Where a command belongs; `None` if that is all the same.
    fn place_of(&self, command: usize) -> Result<Option<usize>> {
        let mut first: Option<(usize, usize)> = None;
        for number in self.keys_of(command) {
            let place = self.client.place(self.key(number));
            match first {
                None => first = Some((place, number)),
                Some((known, _)) if known == place => {}
                Some((_, other)) => return Err(self.cross_node(self.name(command), other, number)),
            }
        }
        let scope = self.commands[command].scope;
        match first {
            Some((place, _)) => Ok(Some(place)),
            None if self.client.places() == 1 || scope == Scope::Any => Ok(None),
            None => Err(Error::Usage(format!(
                "{}: not in a pipeline over several nodes, as it names no key",
                self.name(command)
            ))),
        }
    }

    fn cross_node(&self, command: String, first: usize, second: usize) -> Error {
        let shown = |number| String::from_utf8_lossy(self.key(number)).into_owned();
        Error::CrossNode {
            command,
            first: shown(first),
            second: shown(second),
        }
    }

    /// Sends each node its commands, side by side; the replies in the order of the commands.
    pub(super) async fn send_parts(&self) -> Result<Vec<Value>> {
        let parts = self.parts()?;
        if let [whole] = &parts[..] {
            return self.send_part(whole).await;
        }
        let mut replies = vec![Value::Nil; self.len()];
        for (part, result) in parts
            .iter()
            .zip(join_all(parts.iter().map(|part| self.send_part(part))).await)
        {
            let positions = part.commands.iter().flatten();
            for (&position, reply) in positions.zip(result?) {
                replies[position] = reply;
            }
        }
        Ok(replies)
    }

    fn parts(&self) -> Result<Vec<Part<'_>>> {
        let mut parts: Vec<Part<'_>> = Vec::new();
        let mut places = Vec::with_capacity(self.len());
        for command in 0..self.len() {
            places.push(self.place_of(command)?);
        }
        let anywhere = places.iter().flatten().next().copied().unwrap_or(0);
        for (command, place) in places.into_iter().enumerate() {
            let place = place.unwrap_or(anywhere);
            match parts.iter_mut().find(|part| part.place == place) {
                Some(part) => part.commands.get_or_insert_default().push(command),
                None => parts.push(Part {
                    pipeline: self,
                    commands: Some(vec![command]),
                    place,
                }),
            }
        }
        if let [whole] = &mut parts[..] {
            whole.commands = None;
        }
        Ok(parts)
    }

    async fn send_part(&self, part: &Part<'_>) -> Result<Vec<Value>> {
        match (self.client.run(part).await, part.len()) {
            // The only reply comes as itself.
            (Ok(reply), 1) => Ok(vec![reply]),
            (Err(Error::Server(error)), 1) => Ok(vec![Value::Error(error)]),
            (Ok(Value::Array(replies)), count) if replies.len() == count => Ok(replies),
            (Ok(other), _) => Err(Error::Decode(crate::DecodeError::new(
                "the replies of a pipeline",
                &other,
            ))),
            (Err(error), _) => Err(error),
        }
    }

    pub(super) async fn send_atomic(&self) -> Result<Vec<Value>> {
        self.one_place()?;
        let request = Transacted(self);
        let answer = self.client.run(&request).await?;
        // Nothing is watched on a connection that others share.
        Ok(request.replies_of(answer)?.unwrap_or_default())
    }

    /// Checks that all keys are on one node.
    ///
    /// # Errors
    /// [`Error::CrossNode`] if they are not.
    pub(crate) fn one_place(&self) -> Result<()> {
        for command in 0..self.len() {
            self.place_of(command)?;
        }
        let Some(first) = (0..self.key_ends.len()).next() else {
            return Ok(());
        };
        let place = self.client.place(self.key(first));
        let other = (1..self.key_ends.len()).find(|&number| self.client.place(self.key(number)) != place);
        match other {
            None => Ok(()),
            Some(other) => Err(self.cross_node("an atomic pipeline".to_string(), first, other)),
        }
    }
}

/// Waits for all, side by side; the results in order.
pub(crate) async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(|future| Some(Box::pin(future))).collect();
    let mut outputs: Vec<_> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in running.iter_mut().zip(&mut outputs) {
            if let Some(Poll::Ready(done)) = future.as_mut().map(|future| future.as_mut().poll(cx)) {
                *output = Some(done);
                *future = None;
            }
        }
        match running.iter().all(Option::is_none) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
