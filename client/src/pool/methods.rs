//! The commands with many keys, which a pool's nodes answer in parts.

use super::Pool;
use super::request::Part;
use super::split::group;
use super::view::{Spot, View};
use crate::client::{Backend, Client};
use crate::command::Access;
use crate::error::{DecodeError, Error, Result};
use crate::pipeline::join_all;
use crate::resp::{FromValue, ToArgs, Value};
use std::time::{Duration, Instant};

/// How many keys of a part that must be looked after one by one are on their way at once.
const ALONE_AT_ONCE: usize = 64;

/// A command with many keys.
struct Many<'a, K, A> {
    name: &'static str,
    /// The command for one key.
    alone: &'static str,
    access: Access,
    items: &'a [(K, A)],
}

impl<'a, K: AsRef<[u8]>, A: ToArgs> Many<'a, K, A> {
    fn part<'p>(&'p self, name: &'static str, picks: &'p [u32]) -> Part<'p, K, A> {
        Part {
            access: self.access,
            name,
            items: self.items,
            picks,
        }
    }
}

/// The reply to some of the keys, by their places in the list.
struct Answer {
    picks: Vec<u32>,
    /// For a part: with several keys whatever the command answers, with one what that for one key does.
    value: Value,
    alone: bool,
}

impl Client {
    /// The values of many keys, in their order; `None` for each that has none, or is no string.
    ///
    /// In a pool the nodes are asked side by side. A node that is out makes misses (see `docs/pool.md`), not errors.
    ///
    /// # Errors
    /// See [`Error`]; if any node fails to answer the whole call fails, and the error names the node.
    pub async fn mget<T: FromValue>(&self, keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Vec<Option<T>>> {
        let items: Vec<_> = keys.into_iter().map(|key| (key, ())).collect();
        let many = Many {
            name: "MGET",
            alone: "GET",
            access: Access::Read,
            items: &items,
        };
        let mut values = vec![Value::Nil; items.len()];
        for answer in self.many(&many).await? {
            let replies = match answer.value {
                alone if answer.alone => vec![alone],
                Value::Array(replies) if replies.len() == answer.picks.len() => replies,
                other => return Err(DecodeError::new("a value for each key", &other).into()),
            };
            for (pick, reply) in answer.picks.into_iter().zip(replies) {
                // A key that is no string is nil in MGET.
                if !matches!(reply, Value::Error(_)) {
                    values[pick as usize] = reply;
                }
            }
        }
        let read = |value| Option::from_value(value).map_err(Error::Decode);
        values.into_iter().map(read).collect()
    }

    /// Sets many keys, and takes their times to live away.
    ///
    /// In a pool the nodes are told side by side, and **this is not atomic over nodes**: if one fails, the keys of the
    /// others are set. Keys with the same hash tag are on the same node, where they are set at once.
    ///
    /// # Errors
    /// See [`Error`]; the error names a node whose keys may not have been set.
    pub async fn mset(&self, pairs: impl IntoIterator<Item = (impl AsRef<[u8]>, impl ToArgs)>) -> Result<()> {
        let items: Vec<_> = pairs.into_iter().collect();
        let many = Many {
            name: "MSET",
            alone: "SET",
            access: Access::Write,
            items: &items,
        };
        self.many(&many).await.map(drop)
    }

    /// Deletes keys; how many there were.
    ///
    /// In a pool the nodes are told side by side, and if one fails the keys of the others are deleted all the same. While a
    /// node is out its keys are deleted in the gutter, and at the node before it serves again; of these only what the
    /// gutter had is counted.
    ///
    /// # Errors
    /// See [`Error`]; the error names a node whose keys may not have been deleted yet.
    pub async fn del(&self, keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<u64> {
        self.count("DEL", Access::Write, keys).await
    }

    /// As [`del`](Client::del), but the server gives the memory back later; not while a node is out.
    ///
    /// # Errors
    /// See [`Error`]; the error names a node whose keys may not have been deleted.
    pub async fn unlink(&self, keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<u64> {
        self.count("UNLINK", Access::Write, keys).await
    }

    /// How many of the keys there are; one that is named twice counts twice.
    ///
    /// # Errors
    /// See [`Error`]; if any node fails to answer the whole call fails, and the error names the node.
    pub async fn exists(&self, keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<u64> {
        self.count("EXISTS", Access::Read, keys).await
    }

    /// Marks keys as used just now, for eviction; how many there are.
    ///
    /// # Errors
    /// See [`Error`]; the error names a node that failed to answer.
    pub async fn touch(&self, keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<u64> {
        self.count("TOUCH", Access::Read, keys).await
    }

    async fn count(
        &self,
        name: &'static str,
        access: Access,
        keys: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<u64> {
        let items: Vec<_> = keys.into_iter().map(|key| (key, ())).collect();
        let many = Many {
            name,
            alone: name,
            access,
            items: &items,
        };
        let mut sum = 0;
        for answer in self.many(&many).await? {
            sum += u64::from_value(answer.value)?;
        }
        Ok(sum)
    }

    async fn many<K: AsRef<[u8]>, A: ToArgs>(&self, many: &Many<'_, K, A>) -> Result<Vec<Answer>> {
        if many.items.is_empty() {
            return Ok(Vec::new());
        }
        if u32::try_from(many.items.len()).is_err() {
            return Err(Error::Usage(format!("{}: over 4 billion keys", many.name)));
        }
        match &self.core.backend {
            Backend::One(node) => {
                let picks: Vec<u32> = (0..many.items.len() as u32).collect();
                let value = node
                    .call(&many.part(many.name, &picks), self.timeout)
                    .await?
                    .into_result()?;
                Ok(vec![Answer {
                    picks,
                    value,
                    alone: false,
                }])
            }
            Backend::Pool(pool) => Box::pin(pool.many(many, self.timeout)).await,
        }
    }
}

impl Pool {
    async fn many<K: AsRef<[u8]>, A: ToArgs>(&self, many: &Many<'_, K, A>, timeout: Duration) -> Result<Vec<Answer>> {
        let deadline = Instant::now() + timeout;
        let view = self.view.load_full();
        let place = |(key, _): &(K, A)| view.places.owner(Spot::new(key.as_ref()).slot, key.as_ref());
        let groups = group(many.items.iter().map(place));
        let parts = groups
            .into_iter()
            .map(|group| self.part(&view, many, group.place, group.picks, deadline));
        join_all(parts).await.into_iter().flatten().collect()
    }

    /// The keys of one node: all at once if there is nothing to mind there, else one by one.
    async fn part<K: AsRef<[u8]>, A: ToArgs>(
        &self,
        view: &View,
        many: &Many<'_, K, A>,
        place: usize,
        picks: Vec<u32>,
        deadline: Instant,
    ) -> Vec<Result<Answer>> {
        let member = &view.members[place];
        if member.is_plain() && view.before.is_empty() && picks.len() > 1 {
            let request = many.part(many.name, &picks);
            let left = deadline.saturating_duration_since(Instant::now());
            let allowed = if many.name == "MGET" { left / 2 } else { left };
            let timing = member.start_timing();
            let result = member.node.attempt(&request, allowed).await;
            if many.access == Access::Write && self.counts_hot_keys() {
                self.written(&request).await;
            }
            let error = match result {
                Ok(value) => {
                    member.succeeded(timing);
                    if many.access == Access::Write && self.view.load().version != view.version {
                        self.straddled(&request, member).await;
                    }
                    let answer = value.into_result().map(|value| Answer {
                        picks,
                        value,
                        alone: false,
                    });
                    return vec![answer.map_err(Error::Server)];
                }
                Err(error) => error,
            };
            member.failed(&error);
            self.note_missed(member, &request, &error);
            // Deleting twice does no harm, and what the node missed is noted.
            let harmless = many.access == Access::Read || !error.may_have_run() || many.name == "DEL";
            if !error.is_node_failure() || !harmless || Instant::now() >= deadline {
                return vec![Err(error)];
            }
        }
        let mut answers = Vec::with_capacity(picks.len());
        for some in picks.chunks(ALONE_AT_ONCE) {
            let alone = some.iter().map(|pick| self.alone(many, *pick, deadline));
            answers.extend(join_all(alone).await);
        }
        answers
    }

    async fn alone<K: AsRef<[u8]>, A: ToArgs>(
        &self,
        many: &Many<'_, K, A>,
        pick: u32,
        deadline: Instant,
    ) -> Result<Answer> {
        let picks = vec![pick];
        let request = many.part(many.alone, &picks);
        let left = deadline.saturating_duration_since(Instant::now());
        let value = self.run(&request, left, false).await?;
        // MGET has nil for what is no string.
        let value = match value {
            Value::Error(error) if many.alone == "GET" && error.code() == "WRONGTYPE" => Value::Nil,
            value => value.into_result()?,
        };
        Ok(Answer {
            picks,
            value,
            alone: true,
        })
    }
}
