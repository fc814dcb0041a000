//! Hot keys: copies of a few keys on several nodes, for reads that would be too many for one.
//!
//! `cluster/hotkeys.rs` says which keys and on how many nodes. Here is how: the copy of a key is kept under a reserved key on
//! the next nodes in its order, until one second after the read at the owner began, by `SET ... PXAT`: that is the bound on how
//! old a value can be that is read from a copy. While the key is hot, one task at a time reads it at the owner, shortly
//! before the copies end, and writes them anew; nobody else asks the owner for that. A write of this client deletes the copies
//! before it returns. When the key cools the copies end by themselves, so nothing is left behind.

use super::Pool;
use super::detour::{left, unix_ms};
use super::gutter::RESERVED;
use super::member::{Member, Shared};
use super::request::{DelMany, Words};
use super::view::{Spot, View};
use crate::command::{Access, Request};
use crate::error::Result;
use crate::events::Event;
use crate::pipeline::join_all;
use crate::resp::Value;
use ahash::RandomState;
use arc_swap::ArcSwap;
use larder_cluster::hotkeys::{Change, Detector, Load, Rules};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long a copy may be read, from when its value was asked for at the owner.
const LIFE_MS: u64 = 1000;
/// After how much of that it is made anew.
const RENEW_MS: u64 = 600;
/// Larger values are not copied: every holder gets one a second.
const MAX_COPY_BYTES: usize = 256 * 1024;
/// Of how many calls one is counted.
const COUNT_EVERY: u64 = 8;
/// One second request is sent for at most this many reads of copies.
const HEDGE_EVERY: u64 = 20;

/// A key that has copies.
#[derive(Debug)]
pub(crate) struct HotKey {
    hash: u64,
    pub(crate) key: Box<[u8]>,
    copy_key: Vec<u8>,
    /// Who has it; the owner first.
    pub(crate) holders: Vec<Arc<Member>>,
    /// Counts the writes of this client. A copy that was read before a write is not kept after it.
    /// It is the same as long as the key is hot, whatever its holders.
    writes: Arc<Mutex<u64>>,
    /// When the copies are made anew, in milliseconds of the pool's clock; never, while somebody does.
    renew_at_ms: AtomicU64,
    /// Until then there is nothing to copy, and reads go to the owner.
    alone_until_ms: AtomicU64,
    renewed: tokio::sync::Mutex<Option<Renewed>>,
}

/// What the owner last answered to the one who asked for all.
#[derive(Debug)]
struct Renewed {
    at: Instant,
    writes: u64,
    value: Value,
}

impl HotKey {
    fn writes(&self) -> MutexGuard<'_, u64> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pin(&self) -> usize {
        self.hash as usize
    }

    /// Two different holders at random, the less loaded first; only those that serve.
    fn two(&self) -> Option<(&Arc<Member>, &Arc<Member>)> {
        let count = self.holders.len();
        if count < 2 {
            return None;
        }
        let first = fastrand::usize(..count);
        let second = (first + fastrand::usize(1..count)) % count;
        let (first, second) = (&self.holders[first], &self.holders[second]);
        match (first.serves(), second.serves()) {
            (true, false) => Some((first, first)),
            (false, true) => Some((second, second)),
            (false, false) => None,
            (true, true) if is_idler(first, second) => Some((first, second)),
            (true, true) => Some((second, first)),
        }
    }

    fn is_owner(&self, member: &Arc<Member>) -> bool {
        Arc::ptr_eq(&self.holders[0], member)
    }
}

/// Whether the first is less loaded. Calls in flight and latency tell a node that is busy or slow; where these differ
/// by less than a factor of two that is chance, and the one with fewer calls lately has more room.
fn is_idler(first: &Member, second: &Member) -> bool {
    let load = |member: &Member, times: usize| Load {
        pending: (member.node.pending() + 1) * times - 1,
        latency_us: member.node.latency_us(),
    };
    if load(first, 2).at_most(load(second, 1)) {
        return true;
    }
    if load(second, 2).at_most(load(first, 1)) {
        return false;
    }
    first.recent() <= second.recent()
}

/// What a pool knows of its hot keys.
#[derive(Debug)]
pub(crate) struct Hot {
    random: RandomState,
    detector: Mutex<Detector>,
    /// The membership that the detector counts for.
    version: AtomicU64,
    keys: ArcSwap<Vec<Arc<HotKey>>>,
    hedge: bool,
    pub(crate) copy_reads: AtomicU64,
    pub(crate) hedges: AtomicU64,
}

impl Hot {
    pub(crate) fn new(rules: Rules, hedge: bool) -> Hot {
        Hot {
            random: RandomState::new(),
            detector: Mutex::new(Detector::new(rules, 0, 0)),
            version: AtomicU64::new(0),
            keys: ArcSwap::from_pointee(Vec::new()),
            hedge,
            copy_reads: AtomicU64::new(0),
            hedges: AtomicU64::new(0),
        }
    }

    /// The keys that are hot.
    pub(crate) fn keys(&self) -> Arc<Vec<Arc<HotKey>>> {
        self.keys.load_full()
    }

    /// Counts a read, if it is one of those that are counted; the key, if it is hot.
    #[inline]
    pub(super) fn read(&self, place: usize, key: &[u8]) -> Option<Arc<HotKey>> {
        let keys = self.keys.load();
        let counted = fastrand::u64(..COUNT_EVERY) == 0;
        if keys.is_empty() && !counted {
            return None;
        }
        let hash = self.random.hash_one(key);
        // A sample may be lost to another thread; waiting for it would cost more.
        if counted && let Ok(mut detector) = self.detector.try_lock() {
            detector.read(place, hash, key, COUNT_EVERY);
        }
        let mut hot = keys.iter().filter(|hot| hot.hash == hash);
        hot.find(|hot| *hot.key == *key).cloned()
    }

    /// Counts the writes of a request; its keys that are hot.
    pub(super) fn written(&self, request: &impl Request) -> Vec<Arc<HotKey>> {
        let keys = self.keys.load();
        let counted = fastrand::u64(..COUNT_EVERY) == 0;
        let mut hot = Vec::new();
        if keys.is_empty() && !counted {
            return hot;
        }
        request.keys(&mut |key| {
            let hash = self.random.hash_one(key);
            let found = keys.iter().find(|hot| hot.hash == hash && *hot.key == *key);
            let times = if counted { COUNT_EVERY } else { 0 };
            if times > 0
                && let Ok(mut detector) = self.detector.try_lock()
            {
                detector.write(hash, times);
            }
            hot.extend(found.cloned());
        });
        hot
    }

    /// Looks whether a window is over, and what has changed.
    pub(super) fn tick(&self, view: &View, shared: &Arc<Shared>) {
        let now_ms = shared.now_ms();
        let mut detector = self.detector.lock().unwrap_or_else(PoisonError::into_inner);
        if self.version.swap(view.version, Ordering::Relaxed) != view.version {
            // Others own the keys now, and others have the copies, which end by themselves.
            detector.reset(view.members.len(), now_ms);
            self.keys.store(Arc::new(Vec::new()));
            return;
        }
        let changes = detector.tick(now_ms);
        drop(detector);
        for change in changes {
            match change {
                Change::Cooled { key } => self.replace(&key, None),
                Change::Hot { key, holders } => {
                    let hot = Arc::new(self.heat(view, key, holders));
                    self.replace(&hot.key, Some(&hot));
                    let holders = hot.holders.len();
                    shared.events.send(Event::HotKey { holders });
                    if holders > 1 {
                        shared.runtime.spawn(renew_ahead(Arc::clone(shared), hot));
                    }
                }
            }
        }
    }

    fn heat(&self, view: &View, key: Box<[u8]>, holders: usize) -> HotKey {
        let spot = Spot::new(&key);
        let holders = view.ranking(spot.slot, &key).take(holders).cloned().collect();
        let keys = self.keys.load();
        let known = keys.iter().find(|known| known.key == key);
        HotKey {
            hash: self.random.hash_one(&*key),
            copy_key: [RESERVED, b"copy:", &*key].concat(),
            holders,
            writes: known.map(|known| Arc::clone(&known.writes)).unwrap_or_default(),
            renew_at_ms: AtomicU64::new(u64::MAX),
            alone_until_ms: AtomicU64::new(0),
            renewed: tokio::sync::Mutex::new(None),
            key,
        }
    }

    fn replace(&self, key: &[u8], with: Option<&Arc<HotKey>>) {
        self.keys.rcu(|keys| {
            let others = keys.iter().filter(|known| *known.key != *key);
            others.chain(with).cloned().collect::<Vec<_>>()
        });
    }

    /// Whether a second request may be sent.
    fn may_hedge(&self) -> bool {
        let hedges = self.hedges.load(Ordering::Relaxed);
        let may = self.hedge && hedges * HEDGE_EVERY < self.copy_reads.load(Ordering::Relaxed);
        if may {
            self.hedges.fetch_add(1, Ordering::Relaxed);
        }
        may
    }
}

async fn renew_ahead(shared: Arc<Shared>, key: Arc<HotKey>) {
    let timeout = key.holders[0].node.config().response_timeout;
    if let Err(error) = renew(&shared, &key, Instant::now(), Instant::now() + timeout).await {
        tracing::debug!(%error, "copies of a hot key could not be made");
    }
}

/// The value at the owner, of which copies are made; of those who ask at the same time only one goes there.
async fn renew(shared: &Shared, key: &HotKey, asked: Instant, deadline: Instant) -> Result<Value> {
    let owner = &key.holders[0];
    let Ok(mut renewed) = tokio::time::timeout_at(deadline.into(), key.renewed.lock()).await else {
        return Err(owner.unavailable());
    };
    let writes = *key.writes();
    if let Some(renewed) = renewed
        .as_ref()
        .filter(|last| last.at >= asked && last.writes == writes)
    {
        return Ok(renewed.value.clone());
    }
    let (began_ms, ends_at_ms) = (shared.now_ms(), unix_ms() + LIFE_MS);
    let get = Words {
        access: Access::Read,
        words: &[b"GET", &key.key],
    };
    let asked_owner = owner.node.attempt_pinned(key.pin(), &get, left(deadline)).await;
    let value = match asked_owner {
        Ok(value) => {
            owner.succeeded(None);
            value
        }
        Err(error) => {
            // Whoever comes next tries again.
            key.renew_at_ms.store(began_ms + RENEW_MS, Ordering::Relaxed);
            owner.failed(&error);
            return Err(error);
        }
    };
    let copies = match &value {
        Value::Bulk(bytes) if bytes.len() <= MAX_COPY_BYTES => Some(bytes.clone()),
        _ => None,
    };
    let at = Instant::now();
    *renewed = Some(Renewed {
        at,
        writes,
        value: value.clone(),
    });
    drop(renewed);
    match copies {
        Some(bytes) => put(key, &bytes, writes, &ends_at_ms.to_string(), left(deadline)).await,
        None => key.alone_until_ms.store(began_ms + LIFE_MS, Ordering::Relaxed),
    }
    key.renew_at_ms.store(began_ms + RENEW_MS, Ordering::Relaxed);
    Ok(value)
}

/// Writes the copies, unless the key was written since the value was read.
async fn put(key: &HotKey, value: &[u8], writes: u64, ends_at_ms: &str, timeout: Duration) {
    let set = Words {
        access: Access::Write,
        words: &[b"SET", &key.copy_key, value, b"PXAT", ends_at_ms.as_bytes()],
    };
    let sent: Vec<_> = {
        let now = key.writes();
        let others = key.holders[1..]
            .iter()
            .filter(|member| *now == writes && member.serves());
        others
            .map(|member| (member, member.node.attempt_pinned(key.pin(), &set, timeout)))
            .collect()
    };
    let results = sent
        .into_iter()
        .map(|(member, sent)| async move { (member, sent.await) });
    for (member, result) in join_all(results).await {
        match result {
            Ok(_) => member.succeeded(None),
            Err(error) => member.failed(&error),
        }
    }
}

impl Pool {
    /// A read of a hot key: from the less loaded of two holders. `None` if it should go the usual way.
    pub(super) async fn get_hot(&self, key: &Arc<HotKey>, timeout: Duration) -> Option<Value> {
        let asked = Instant::now();
        let deadline = asked + timeout / 2;
        let now_ms = self.shared.now_ms();
        let (member, other) = key.two()?;
        if now_ms < key.alone_until_ms.load(Ordering::Relaxed) {
            return None;
        }
        let renew_at_ms = key.renew_at_ms.load(Ordering::Relaxed);
        let claim = || {
            let (order, never) = (Ordering::Relaxed, u64::MAX);
            key.renew_at_ms.compare_exchange(renew_at_ms, never, order, order)
        };
        if renew_at_ms <= now_ms && claim().is_ok() {
            let (shared, key) = (Arc::clone(&self.shared), Arc::clone(key));
            self.shared.runtime.spawn(renew_ahead(shared, key));
        }
        if key.is_owner(member) {
            return None;
        }
        self.hot.copy_reads.fetch_add(1, Ordering::Relaxed);
        let get = Words {
            access: Access::Read,
            words: &[b"GET", &key.copy_key],
        };
        match self.hedged(key, &get, member, other, left(deadline)).await {
            Ok(Value::Nil) => renew(&self.shared, key, asked, deadline).await.ok(),
            // That its holder cannot answer says nothing of the owner.
            Ok(Value::Error(_)) => None,
            Ok(value) => Some(value),
            Err(error) => {
                member.failed(&error);
                None
            }
        }
    }

    /// Asks a holder, and another one as well if the first takes unusually long ("hedged requests", Dean and Barroso 2013).
    async fn hedged(
        &self,
        key: &HotKey,
        get: &Words<'_>,
        member: &Arc<Member>,
        other: &Arc<Member>,
        timeout: Duration,
    ) -> Result<Value> {
        let timing = member.start_timing();
        let mut first = pin!(member.node.attempt_pinned(key.pin(), get, timeout));
        if self.hot.hedge && !Arc::ptr_eq(member, other) && !key.is_owner(other) {
            let usual = member.p95().max(Duration::from_millis(1));
            let early = tokio::time::timeout(usual, first.as_mut()).await;
            if early.is_err() && self.hot.may_hedge() {
                let mut second = pin!(other.node.attempt_pinned(key.pin(), get, timeout));
                return std::future::poll_fn(|cx| {
                    if let Poll::Ready(Ok(value)) = second.as_mut().poll(cx) {
                        other.succeeded(None);
                        return Poll::Ready(Ok(value));
                    }
                    first.as_mut().poll(cx)
                })
                .await;
            }
            if let Ok(result) = early {
                return result.inspect(|_| member.succeeded(timing));
            }
        }
        first.await.inspect(|_| member.succeeded(timing))
    }

    /// After a write: takes the copies of its keys away.
    pub(super) async fn delete_copies(&self, hot: Vec<Arc<HotKey>>) {
        for key in hot {
            *key.writes() += 1;
            let keys = [key.copy_key.as_slice().into()];
            let delete = DelMany(&keys);
            let timeout = self.shared.health.probe_timeout;
            let deletes = key.holders[1..]
                .iter()
                .map(|member| member.node.attempt_pinned(key.pin(), &delete, timeout));
            if !join_all(deletes).await.iter().all(Result::is_ok) {
                // What could not be deleted ends by itself.
                let ended_ms = self.shared.now_ms() + LIFE_MS;
                key.alone_until_ms.store(ended_ms, Ordering::Relaxed);
            }
        }
    }

    /// Whether any handle of this client has asked for copies.
    #[inline]
    pub(super) fn counts_hot_keys(&self) -> bool {
        self.uses_hot.load(Ordering::Relaxed)
    }
}
