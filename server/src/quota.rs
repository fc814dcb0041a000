//! Quotas of prefixes: what a write must wait for, and the task that counts and evicts in the background.
//!
//! A write whose prefix has room costs a lookup of the prefix and a comparison, and none of that if no prefix has a
//! quota. One whose prefix is full evicts keys of that prefix first, a bounded number; what is left to do (a quota
//! that was lowered, values that grew by other ways) is the task's, in short slices.

use crate::command::{Command, flag, keys_of};
use crate::node::{Node, eviction, unix_ms};
use crate::pace::Pace;
use crate::resp::request::Args;
use crate::store::eviction::{Eviction, mix};
use crate::store::{Effort, Keyspace, Prefixes};
use crate::worker::Scene;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an entry takes beside its block and value, about: share of the index, what belongs to a value of its own.
const ENTRY_BYTES: usize = 16;
/// Keys that a write may evict, and one more for each so many bytes that it brings.
const EVICTIONS_PER_WRITE: usize = 16;
const BYTES_PER_EVICTION: u64 = 32;
/// The most of these, however large it is: the task does the rest.
const MAX_EVICTIONS_PER_WRITE: u64 = 4096;
/// Buckets that a write searches per stripe and eviction.
const BUCKETS_PER_WRITE: usize = 16;
/// If a write finds no key to evict, its prefix may be over its quota by this share of it.
const TOLERATED: u64 = 8;

/// How often the task looks whether a prefix is over its quota.
const PERIOD: Duration = Duration::from_millis(200);
/// The same while it finds no key that may go.
const STUCK_PERIOD: Duration = Duration::from_secs(1);
/// After how many steps in vain that is so; each walks on through all stripes.
const BARREN_STEPS: u32 = 16;
/// Buckets that it counts under one lock.
const BUCKETS_PER_COUNT: usize = 32;
/// What it evicts per step.
const STEP: Effort = Effort {
    more_bytes: 0,
    entries: 64,
    buckets: 64,
};
/// How long it counts, or evicts, before it looks whether something else was declared.
const ROUND: Duration = Duration::from_millis(100);

/// Whether a command must have room made for it in a prefix before it runs.
#[inline]
pub(crate) fn is_tight(node: &Node, command: &Command, args: Args<'_>) -> bool {
    command.flags.has(flag::DENYOOM) && node.keyspace.has_quotas() && lacks_room(node, command, args)
}

#[inline(never)]
fn lacks_room(node: &Node, command: &Command, args: Args<'_>) -> bool {
    node.keyspace.prefixes_satisfy(|prefixes| {
        demands(&node.keyspace, prefixes, command, args)
            .iter()
            .any(Demand::is_unmet)
    })
}

/// What a command may add to a prefix.
struct Demand<'p> {
    prefixes: &'p Prefixes,
    number: usize,
    bytes: u64,
}

impl Demand<'_> {
    fn is_unmet(&self) -> bool {
        self.prefixes.is_over(self.number, self.bytes)
    }
}

/// What a command brings for each prefix that its keys belong to, taking its arguments for values.
fn demands<'p>(keyspace: &Keyspace, prefixes: &'p Prefixes, command: &Command, args: Args<'_>) -> Demands<'p> {
    let mut demands = Demands::None;
    let taken = |bytes| ENTRY_BYTES + keyspace.footprint(bytes);
    if command.single_key {
        let key = args.get(1).unwrap_or_default();
        if let Some(number) = prefixes.find(key) {
            let bytes = taken(args.iter().skip(1).map(<[u8]>::len).sum());
            demands.add(prefixes, number, bytes);
        }
        return demands;
    }
    let mut keys = keys_of(command, &args).into_iter().flatten().peekable();
    while let Some(key) = keys.next() {
        let end = keys.peek().map_or(args.len(), |next| next.index.max(key.index + 1));
        if let Some(number) = prefixes.find(args.get(key.index).unwrap_or_default()) {
            let words = (key.index..end).filter_map(|index| args.get(index));
            demands.add(prefixes, number, taken(words.map(<[u8]>::len).sum()));
        }
    }
    demands
}

/// The demands of one command, each prefix once.
enum Demands<'p> {
    None,
    One(Demand<'p>),
    Many(Vec<Demand<'p>>),
}

impl<'p> Demands<'p> {
    fn add(&mut self, prefixes: &'p Prefixes, number: usize, bytes: usize) {
        let bytes = bytes as u64;
        if let Some(known) = self.iter_mut().find(|demand| demand.number == number) {
            known.bytes = known.bytes.saturating_add(bytes);
            return;
        }
        let demand = Demand {
            prefixes,
            number,
            bytes,
        };
        *self = match std::mem::replace(self, Demands::None) {
            Demands::None => Demands::One(demand),
            Demands::One(first) => Demands::Many(vec![first, demand]),
            Demands::Many(mut list) => {
                list.push(demand);
                Demands::Many(list)
            }
        };
    }

    fn iter(&self) -> std::slice::Iter<'_, Demand<'p>> {
        match self {
            Demands::None => [].iter(),
            Demands::One(demand) => std::slice::from_ref(demand).iter(),
            Demands::Many(list) => list.iter(),
        }
    }

    fn iter_mut(&mut self) -> std::slice::IterMut<'_, Demand<'p>> {
        match self {
            Demands::None => [].iter_mut(),
            Demands::One(demand) => std::slice::from_mut(demand).iter_mut(),
            Demands::Many(list) => list.iter_mut(),
        }
    }
}

/// Makes room in the prefixes of a command that is about to run, or to be queued; false if it must be refused.
#[cold]
pub(crate) fn admit(scene: &Scene<'_>, command: &Command) -> bool {
    let call = &scene.call;
    let Some(prefixes) = call.node.keyspace.prefixes() else {
        return true;
    };
    let demands = demands(&call.node.keyspace, &prefixes, command, call.args);
    demands.iter().filter(|demand| demand.is_unmet()).all(|demand| {
        let random = mix(call.store.now_ms, call.stats.turns.get());
        make_room(call.node, demand, call.store.eviction, call.store.now_ms, random)
    })
}

fn make_room(node: &Node, demand: &Demand<'_>, eviction: &Eviction, now_ms: u64, random: u64) -> bool {
    let (prefixes, number, bytes) = (demand.prefixes, demand.number, demand.bytes);
    let quota = prefixes.quota(number);
    if !eviction.policy.evicts() || bytes > quota {
        return !demand.is_unmet();
    }
    let entries = EVICTIONS_PER_WRITE + (bytes / BYTES_PER_EVICTION).min(MAX_EVICTIONS_PER_WRITE) as usize;
    let mut left = entries;
    while left > 0 && demand.is_unmet() {
        let effort = Effort {
            more_bytes: bytes,
            entries: left,
            buckets: BUCKETS_PER_WRITE,
        };
        let random = mix(random, left as u64);
        let evicted = node.keyspace.evict_prefix(number, effort, eviction, now_ms, random);
        if evicted == 0 {
            break;
        }
        left = left.saturating_sub(evicted);
    }
    left < entries || (prefixes.total_bytes(number) as u64) < quota.saturating_add(quota / TOLERATED)
}

/// Keeps the accounts by prefix and the quotas until the task is dropped.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        declare(&node);
        let mut pace = Pace::new();
        let counting = count(&node, &mut pace).await;
        let wait = match evict(&node, &mut pace).await {
            _ if counting => continue,
            Kept::NotYet => continue,
            Kept::All => PERIOD,
            Kept::Stuck => STUCK_PERIOD,
        };
        let declared = node.prefixes_declared.notified();
        if node.keyspace.has_quotas() {
            // Whoever declares others wakes the task; until then it looks now and then.
            let _ = tokio::time::timeout(wait, declared).await;
        } else {
            declared.await;
        }
    }
}

/// Takes over the prefixes that a node starts with.
pub(crate) fn begin(node: &Node) {
    declare(node);
    adopt(node);
}

/// Has all stripes count for the prefixes that are declared.
fn adopt(node: &Node) {
    for index in 0..node.keyspace.shape().stripes {
        node.keyspace.adopt_prefixes(index);
    }
}

/// Hands the prefixes of the settings to the keyspace.
pub(crate) fn declare(node: &Node) {
    let settings = node.config.settings();
    let rules: Vec<(Vec<u8>, u64)> = settings
        .prefix_quota
        .0
        .iter()
        .map(|(prefix, quota)| (prefix.clone().into_bytes(), *quota))
        .collect();
    node.keyspace.declare_prefixes(&rules);
}

/// Counts what was there before its prefix; true if it must go on.
async fn count(node: &Node, pace: &mut Pace) -> bool {
    let began = Instant::now();
    adopt(node);
    for index in 0..node.keyspace.shape().stripes {
        while node.keyspace.recount_prefixes(index, BUCKETS_PER_COUNT) {
            pace.keep().await;
            if began.elapsed() > ROUND {
                return true;
            }
        }
    }
    false
}

/// How far the quotas are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// All are.
    All,
    /// There is more to evict.
    NotYet,
    /// No key was found that may go.
    Stuck,
}

/// Brings prefixes within their quotas, as far as the policy lets them.
async fn evict(node: &Node, pace: &mut Pace) -> Kept {
    let began = Instant::now();
    let eviction = eviction(&node.config.settings());
    let Some(prefixes) = node.keyspace.prefixes().filter(|_| eviction.policy.evicts()) else {
        return Kept::All;
    };
    let mut kept = Kept::All;
    let mut step = 0;
    let over: Vec<usize> = prefixes.over().collect();
    for number in over {
        let mut barren = 0;
        while prefixes.is_over(number, 0) && barren < BARREN_STEPS {
            step += 1;
            let now_ms = unix_ms();
            let random = mix(now_ms, step);
            let evicted = node.keyspace.evict_prefix(number, STEP, &eviction, now_ms, random);
            barren = if evicted == 0 { barren + 1 } else { 0 };
            pace.keep().await;
            if began.elapsed() > ROUND {
                return Kept::NotYet;
            }
        }
        if barren == BARREN_STEPS {
            kept = Kept::Stuck;
        }
    }
    kept
}

#[cfg(test)]
mod tests;
