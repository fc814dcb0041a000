//! After a change of the membership: the new owner of a key is filled from the one before, and what is written or deleted
//! takes the previous owner's value away first.
//!
//! What must not happen is that a value is carried over after it was overwritten or deleted. Within this client that is
//! certain: a write first deletes at the previous owner, then counts itself in its stripe, then goes to the new owner;
//! what is carried over goes to the new owner, on the same connection, only if no write was counted since before it was read.

use super::Pool;
use super::detour::left;
use super::member::Member;
use super::request::{DelMany, Fetch, Words};
use super::view::Spot;
use crate::command::{Access, Request};
use crate::error::Result;
use crate::resp::Value;
use bytes::Bytes;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a key is looked up again that others write meanwhile.
const TRIES: usize = 3;
/// How long writes go on to mind values that are carried over when no more are: what is under way must have arrived before
/// writes do not mind it. What was read before is not sent in the second half of that.
pub(super) const LATE_MS: u64 = 2000;

/// A value and what is left of its time to live.
struct Carried {
    value: Bytes,
    ttl_ms: Option<i64>,
}

impl Pool {
    /// A `GET` at the new owner of a key; if it has no value, the previous owners are asked, and the value is kept.
    pub(super) async fn get_filling(
        &self,
        request: &impl Request,
        spot: Spot<'_>,
        owner: &Arc<Member>,
        previous: &[Arc<Member>],
        deadline: Instant,
    ) -> Result<Value> {
        let pin = spot.slot.index();
        for _ in 0..TRIES {
            let value = owner.node.attempt_pinned(pin, request, left(deadline) / 2).await?;
            if value != Value::Nil {
                return Ok(value);
            }
            if !self.hands_over(0) {
                return Ok(Value::Nil);
            }
            let before = *self.count_of_writes(spot);
            let Some(carried) = self.fetch(spot, previous, deadline).await else {
                return Ok(Value::Nil);
            };
            let ttl = carried.ttl_ms.map(|ms| ms.to_string());
            let mut words: Vec<&[u8]> = vec![b"SET", spot.key, &carried.value, b"NX"];
            if let Some(ttl) = &ttl {
                words.extend([b"PX", ttl.as_bytes()]);
            }
            let access = Access::Write;
            let set = Words { access, words: &words };
            let sent = {
                let count = self.count_of_writes(spot);
                (*count == before && self.hands_over(LATE_MS / 2))
                    .then(|| owner.node.attempt_pinned(pin, &set, left(deadline)))
            };
            let Some(sent) = sent else { continue };
            // If there is one by now, somebody else was faster, and may know better. If it could not be kept, it is the
            // value all the same.
            if sent.await? != Value::Nil {
                return Ok(Value::Bulk(carried.value));
            }
        }
        Ok(Value::Nil)
    }

    fn count_of_writes(&self, spot: Spot<'_>) -> MutexGuard<'_, u64> {
        self.stripe(spot.slot).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether values are still carried over, or were so long ago.
    fn hands_over(&self, ago_ms: u64) -> bool {
        let view = self.view.load();
        let latest = view.before.first();
        latest.is_some_and(|before| self.shared.now_ms() < before.until_ms + ago_ms)
    }

    fn patience(&self, deadline: Instant) -> Duration {
        (left(deadline) / 2).min(self.shared.health.probe_timeout)
    }

    async fn fetch(&self, spot: Spot<'_>, previous: &[Arc<Member>], deadline: Instant) -> Option<Carried> {
        for member in previous {
            if !member.serves() || member.suspects(spot.slot, spot.key) {
                continue;
            }
            let fetch = Fetch(spot.key);
            match member.node.attempt(&fetch, self.patience(deadline)).await {
                Ok(Value::Array(replies)) => {
                    member.succeeded(None);
                    if let [Value::Bulk(value), Value::Int(ttl_ms)] = &*replies
                        && (*ttl_ms > 0 || *ttl_ms == -1)
                    {
                        return Some(Carried {
                            value: value.clone(),
                            ttl_ms: (*ttl_ms > 0).then_some(*ttl_ms),
                        });
                    }
                }
                Ok(_) => {}
                Err(error) => member.failed(&error),
            }
        }
        None
    }

    /// Before a write at the new owner: takes the previous owners' values away, after carrying them over if the write
    /// builds on them.
    pub(super) async fn take_over(
        &self,
        previous: &[(Spot<'_>, Vec<Arc<Member>>)],
        owner: &Arc<Member>,
        fill: bool,
        deadline: Instant,
    ) {
        for (spot, owners) in previous {
            if fill {
                let (access, words) = (Access::Read, &[b"GET".as_slice(), spot.key]);
                let get = Words { access, words };
                if let Err(error) = self.get_filling(&get, *spot, owner, owners, deadline).await {
                    tracing::debug!(%error, "a value could not be carried over");
                }
            }
            for member in owners {
                self.delete_at(member, *spot, deadline).await;
            }
            *self.count_of_writes(*spot) += 1;
        }
    }

    /// Deletes a key at a node, now or before it serves again.
    async fn delete_at(&self, member: &Arc<Member>, spot: Spot<'_>, deadline: Instant) {
        if !member.serves() {
            return member.missed(spot.slot, spot.key, false);
        }
        let keys = [spot.key.into()];
        let pin = spot.slot.index();
        let deleted = member
            .node
            .attempt_pinned(pin, &DelMany(&keys), self.patience(deadline));
        match deleted.await {
            Ok(Value::Error(_)) => member.missed(spot.slot, spot.key, false),
            Ok(_) => {}
            Err(error) => {
                member.failed(&error);
                member.missed(spot.slot, spot.key, error.may_have_run());
            }
        }
    }

    /// A write ended at a node that had lost its keys to others meanwhile: these may have got the value from before.
    pub(super) async fn straddled(&self, request: &impl Request, member: &Arc<Member>) {
        let view = self.view.load_full();
        let mut keys = Vec::new();
        request.keys(&mut |key| keys.push(Spot::new(key)));
        for spot in keys {
            let owner = view.owner(spot.slot, spot.key);
            if !Arc::ptr_eq(owner, member) {
                *self.count_of_writes(spot) += 1;
                let deadline = Instant::now() + self.options.config.response_timeout;
                self.delete_at(owner, spot, deadline).await;
            }
        }
    }
}
