//! The way of a request that cannot simply go to the owner of its key: the owner has failed it, is out, is suspected of old
//! values, or has just become the owner.

use super::gutter::{self, Op, Ttl};
use super::member::{Member, Mode};
use super::request::{DelMany, Words};
use super::view::{Spot, View};
use super::{Failed, Pool};
use crate::command::{Access, Request};
use crate::error::{Error, Result};
use crate::node::may_try_again;
use crate::resp::{Encoder, Value};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many other nodes are asked, at most.
const MAX_GUTTERS: usize = 4;

pub(super) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

pub(super) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

impl Pool {
    /// Brings a request to an end that had no usual way, or failed there.
    ///
    /// # Errors
    /// What went wrong last.
    pub(super) async fn detour(
        &self,
        request: &impl Request,
        deadline: Instant,
        mut failed: Option<Failed>,
    ) -> Result<Value> {
        let mut encoded = Vec::new();
        request.encode(&mut Encoder::new(&mut encoded));
        let words = gutter::words(&encoded).unwrap_or_default();
        let op = match gutter::classify(&words) {
            op if self.shared.gutter.enabled => op,
            _ => Op::Other,
        };
        let mut retries = 0;
        loop {
            let view = self.view.load_full();
            let spot = request.key().map(Spot::new);
            if let Some(Failed { member, error }) = failed.take() {
                member.failed(&error);
                self.note_missed(&member, request, &error);
                if !error.is_node_failure() || left(deadline).is_zero() {
                    return Err(error);
                }
                if let Some(spot) = spot.filter(|_| op != Op::Other) {
                    return self.in_gutter(op, spot, deadline, error).await;
                }
                let again = may_try_again(&error, request.access()) && retries < self.options.config.max_retries;
                if !again || !member.node.spend() {
                    return Err(error);
                }
                self.back_off(retries).await;
                retries += 1;
            }
            let member = match spot {
                Some(spot) => Arc::clone(view.owner(spot.slot, spot.key)),
                None => self.any(&view).member,
            };
            match (member.mode(), spot) {
                (Mode::Plain | Mode::Careful, _) => {}
                (Mode::Returning, _) if op == Op::Other => {
                    member.returned(deadline).await?;
                    continue;
                }
                // Nearly always this takes milliseconds; if not, a miss is better than the wait.
                (Mode::Returning, Some(spot)) => {
                    if member.returned(Instant::now() + left(deadline) / 4).await.is_err() {
                        return self.in_gutter(op, spot, deadline, member.unavailable()).await;
                    }
                    continue;
                }
                (Mode::Out, Some(spot)) if op != Op::Other => {
                    return self.in_gutter(op, spot, deadline, member.unavailable()).await;
                }
                (Mode::Out | Mode::Returning, _) => return Err(member.unavailable()),
            }
            match self.at_owner(request, &op, &view, &member, deadline).await {
                Ok(value) => {
                    member.succeeded(None);
                    return Ok(value);
                }
                Err(error) => failed = Some(Failed { member, error }),
            }
        }
    }

    async fn back_off(&self, retries: u32) {
        let config = &self.options.config;
        let most = config
            .backoff_min
            .saturating_mul(1 << retries.min(16))
            .min(config.backoff_max);
        tokio::time::sleep(most.mul_f64(fastrand::f64())).await;
    }

    /// At the owner, minding what must be minded there.
    async fn at_owner(
        &self,
        request: &impl Request,
        op: &Op<'_>,
        view: &View,
        owner: &Arc<Member>,
        deadline: Instant,
    ) -> Result<Value> {
        let mut keys = Vec::new();
        request.keys(&mut |key| keys.push(Spot::new(key)));
        for spot in &keys {
            self.clean(owner, *spot, deadline).await?;
        }
        let mut previous = Vec::new();
        for spot in &keys {
            let owners = view.previous_owners(spot.slot, spot.key);
            if !owners.is_empty() {
                previous.push((*spot, owners));
            }
        }
        let time = match op {
            Op::Get { .. } => left(deadline) / 2,
            Op::Set { .. } | Op::Del { .. } | Op::Other => left(deadline),
        };
        match (&*previous, op) {
            ([], _) => match keys.first() {
                Some(spot) => owner.node.attempt_pinned(spot.slot.index(), request, time).await,
                None => owner.node.attempt(request, time).await,
            },
            ([(spot, owners)], Op::Get { .. }) => self.get_filling(request, *spot, owner, owners, deadline).await,
            (_, _) => {
                if request.access() == Access::Write {
                    let overwrites = matches!(op, Op::Set { .. } | Op::Del { .. });
                    self.take_over(&previous, owner, !overwrites, deadline).await;
                }
                let pin = keys.first().map_or(0, |spot| spot.slot.index());
                owner.node.attempt_pinned(pin, request, left(deadline)).await
            }
        }
    }

    /// Deletes a key at a node if its value there may be old.
    pub(super) async fn clean(&self, member: &Arc<Member>, spot: Spot<'_>, deadline: Instant) -> Result<()> {
        if !member.suspects(spot.slot, spot.key) {
            return Ok(());
        }
        let _one_at_a_time = member.cleaning.lock().await;
        if member.suspects(spot.slot, spot.key) {
            let keys = [spot.key.into()];
            let deleted = member
                .node
                .attempt_pinned(spot.slot.index(), &DelMany(&keys), left(deadline))
                .await?;
            deleted.into_result()?;
            member.trust(spot.slot, spot.key);
        }
        Ok(())
    }

    /// Before a command goes to the owner of its keys otherwise than by [`run`](Pool::run): minds there what must be minded.
    ///
    /// # Errors
    /// If what the owner is suspected of could not be deleted.
    pub(crate) async fn mind(&self, request: &impl Request, timeout: Duration) -> Result<()> {
        let (view, deadline) = (self.view.load_full(), Instant::now() + timeout);
        let mut keys = Vec::new();
        request.keys(&mut |key| keys.push(Spot::new(key)));
        for spot in keys {
            let owner = view.owner(spot.slot, spot.key);
            self.clean(owner, spot, deadline).await?;
            let previous = view.previous_owners(spot.slot, spot.key);
            if !previous.is_empty() {
                self.take_over(&[(spot, previous)], owner, true, deadline).await;
            }
        }
        Ok(())
    }

    /// After such a command failed: notes what the owner may have missed.
    pub(crate) fn mind_failure(&self, request: &impl Request, error: &Error) {
        if let Some(spot) = request.key().map(Spot::new) {
            let view = self.view.load();
            self.note_missed(view.owner(spot.slot, spot.key), request, error);
        }
    }

    /// At the next node in the key's order that serves, for a node that does not. `error` is why.
    pub(super) async fn in_gutter(&self, op: Op<'_>, spot: Spot<'_>, deadline: Instant, error: Error) -> Result<Value> {
        let view = self.view.load_full();
        let owner = view.owner(spot.slot, spot.key);
        owner.redirected.fetch_add(1, Ordering::Relaxed);
        let key = gutter::gutter_key(owner.name(), spot.key);
        let ttl = match op {
            Op::Get { .. } if owner.gutter_is_stale(spot.key) => return Ok(Value::Nil),
            Op::Set { ttl, .. } => Some(self.ttl_text(ttl)),
            Op::Get { .. } | Op::Del { .. } | Op::Other => None,
        };
        let words: Vec<&[u8]> = match (op, &ttl) {
            (Op::Get { .. }, _) => vec![b"GET", &key],
            // Due already: what it replaces must go all the same.
            (Op::Del { .. }, _) | (Op::Set { .. }, Some(None) | None) => vec![b"DEL", &key],
            (Op::Set { value, .. }, Some(Some(ttl))) => vec![b"SET", &key, value, b"PX", ttl.as_bytes()],
            (Op::Other, _) => return Err(error),
        };
        let writes = !matches!(op, Op::Get { .. });
        if writes {
            owner.missed(spot.slot, spot.key, false);
        }
        let request = Words {
            access: if writes { Access::Write } else { Access::Read },
            words: &words,
        };
        let counter = if writes {
            &owner.gutter_writes
        } else {
            &owner.gutter_reads
        };
        let reply = self
            .first_that_serves(&view, owner, spot, &request, deadline, error)
            .await?;
        counter.fetch_add(1, Ordering::Relaxed);
        if writes {
            owner.in_gutter(spot.key);
        }
        match (op, reply) {
            (Op::Set { .. }, Value::Int(_)) => Ok(Value::Status("OK".into())),
            (_, reply) => Ok(reply),
        }
    }

    /// The time to live in the gutter, in milliseconds; `None` if it is over.
    fn ttl_text(&self, ttl: Ttl) -> Option<String> {
        let max_ms = self.shared.gutter.ttl.as_millis() as u64;
        ttl.capped_ms(unix_ms(), max_ms).map(|ms| ms.to_string())
    }

    async fn first_that_serves(
        &self,
        view: &View,
        owner: &Arc<Member>,
        spot: Spot<'_>,
        request: &Words<'_>,
        deadline: Instant,
        mut error: Error,
    ) -> Result<Value> {
        let others = view
            .ranking(spot.slot, spot.key)
            .filter(|member| !Arc::ptr_eq(member, owner));
        let gutter_key = Spot::new(request.words[1]);
        let mut asked = 0;
        for member in others {
            if !member.serves() {
                match request.access {
                    // It may have a copy from before, and would be asked first when it is back.
                    Access::Write => member.missed(gutter_key.slot, gutter_key.key, false),
                    // The next may have one from before this one was last back, and has missed what was written here.
                    Access::Read if member.gutter_is_stale(gutter_key.key) => return Ok(Value::Nil),
                    Access::Read => {}
                }
                continue;
            }
            if asked == MAX_GUTTERS || left(deadline).is_zero() {
                break;
            }
            asked += 1;
            let result = match self.clean(member, gutter_key, deadline).await {
                Ok(()) => member.node.attempt(request, left(deadline)).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(value) => {
                    member.succeeded(None);
                    if request.access == Access::Write {
                        // Those before it in the order missed what it has now.
                        let before = view
                            .ranking(spot.slot, spot.key)
                            .take_while(|before| !Arc::ptr_eq(before, member));
                        before.for_each(|before| before.in_gutter(gutter_key.key));
                    }
                    return Ok(value);
                }
                Err(failure) => {
                    member.failed(&failure);
                    match request.access {
                        // It is in order and has the copy from before, which remains the newest there is.
                        Access::Write if !failure.is_node_failure() => return Err(failure),
                        Access::Write => member.missed(gutter_key.slot, gutter_key.key, failure.may_have_run()),
                        Access::Read if member.gutter_is_stale(gutter_key.key) => return Ok(Value::Nil),
                        Access::Read => {}
                    }
                    error = failure;
                }
            }
        }
        Err(error)
    }
}
