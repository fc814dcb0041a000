//! How a node keeps under `maxmemory`: what a write does before it runs, and what goes on in the background.
//!
//! Counted is what is held: slabs, index, large values, spare pages, buffers of connections. A write that finds the
//! count above the limit makes room for itself, in steps that are short (`Keyspace::make_room`); if that takes longer
//! than others should wait, it lets them go first and goes on later. The rest is done in the background: what a lower
//! limit asks for, and what single writes were too small for.
//!
//! What the process really has is the last word. It is read in the background whenever some input has arrived; if it
//! is more than the count explains, the allocator gives back what it keeps for later, and what is still
//! unexplained then is taken off the limit.

use crate::command::flag;
use crate::housekeeping::{buffer_limit, resident_bytes, status_bytes};
use crate::node::{Node, unix_ms};
use crate::resp::request::Args;
use crate::store::eviction::{Eviction, mix};
use crate::store::give_back_spare;
use crate::worker::Scene;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What a process holds beside its data, its code aside: stacks, the workers' own buffers.
const PROCESS_BYTES: usize = 6 << 20;
/// Share of the limit that the allocator may hold beside what it gave.
const ALLOCATOR_SHARE: usize = 32;
/// At most this part of the limit is taken off for what is unexplained: a part of it may be no fault of the data.
const MAX_UNEXPLAINED_SHARE: usize = 2;
/// Share of the limit by which writes may exceed it before they wait until they have made room for all they bring.
const SLACK_SHARE: u64 = 64;
/// How much a worker reads between two looks at what the process has.
const LOOK_EVERY_BYTES: u64 = 1 << 20;
/// How long a write makes room before it lets others go first; and the background task.
const SLICE: Duration = Duration::from_micros(200);
/// What a step of the background task wants to win.
const STEP_BYTES: usize = 4096;
/// Steps that a write makes at most: some, and more by the bytes it brings.
const STEPS: usize = 4;
const BYTES_PER_STEP: usize = 256;
/// Length of SET, the name of most writes.
const NAME_BYTES: usize = 3;
/// What an entry takes beside its key and value.
const ENTRY_BYTES: usize = 32;
/// Steps between two readings of the clock.
const STEPS_PER_LOOK: usize = 4;
/// An argument of this size was read into an allocation of its own, which counts among the buffers.
const COUNTED_ARGUMENT: usize = crate::resp::decode::LARGE;

/// Whether a write may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// There is room.
    Granted,
    /// There is none, and none can be made.
    Refused,
    /// Room is being made; others go first.
    Later,
}

/// The limit as it is kept, and what the background task knows.
#[derive(Default)]
pub struct Budget {
    /// The limit, less what is unexplained; no bytes above it are used.
    ceiling: AtomicU64,
    /// Bytes that the process has and nothing explains.
    unexplained: AtomicUsize,
    /// Wakes the background task.
    pressure: Notify,
}

impl Budget {
    /// A limit in bytes; 0 is none.
    pub fn set_limit(&self, limit: u64) {
        let unexplained = self.unexplained.load(Ordering::Relaxed) as u64;
        let ceiling = if limit == 0 {
            u64::MAX
        } else {
            limit.saturating_sub(unexplained)
        };
        self.ceiling.store(ceiling, Ordering::Relaxed);
        self.pressure.notify_one();
    }

    /// The bytes that may be used.
    #[inline]
    pub fn ceiling(&self) -> u64 {
        self.ceiling.load(Ordering::Relaxed)
    }

    /// Bytes that the process has beyond what is counted and what it has anyway.
    pub fn unexplained(&self) -> usize {
        self.unexplained.load(Ordering::Relaxed)
    }

    /// Has the background task look around.
    pub fn press(&self) {
        self.pressure.notify_one();
    }
}

/// Tells the background task when a worker has read some more.
#[inline]
pub(crate) fn note_read(node: &Node, before: u64, after: u64) {
    if before / LOOK_EVERY_BYTES != after / LOOK_EVERY_BYTES {
        node.budget.press();
    }
}

/// Changes what connections hold by the difference of two counts of one of them.
pub(crate) fn count_buffers(node: &Node, before: usize, after: usize) {
    let difference = after.wrapping_sub(before);
    let all = node
        .client_bytes
        .fetch_add(difference, Ordering::Relaxed)
        .wrapping_add(difference);
    if after > before {
        let limit = buffer_limit(node, &node.config.settings());
        if (limit > 0 && all as u64 > limit) || node.over_limit() {
            node.budget.press();
        }
    }
}

/// The longest argument that the node takes in: buffers of connections are bounded, and so is what could be stored.
pub(crate) fn longest_argument(node: &Node) -> u64 {
    let limit = node.memory_limit.load(Ordering::Relaxed);
    let buffers = buffer_limit(node, &node.config.settings());
    [limit, buffers]
        .into_iter()
        .filter(|&bytes| bytes > 0)
        .min()
        .unwrap_or(u64::MAX)
}

/// Makes room for a write, if the node is above its limit.
#[cold]
pub(crate) fn admit(scene: &Scene<'_>, near: Option<u64>) -> Admission {
    let (node, eviction) = (scene.call.node, scene.call.store.eviction);
    let limit = node.memory_limit.load(Ordering::Relaxed);
    let arguments = scene.call.args.iter().map(<[u8]>::len);
    let brought: usize = arguments.clone().sum();
    let uncounted: usize = arguments.filter(|&len| len < COUNTED_ARGUMENT).sum();
    if limit != 0 && brought as u64 > limit {
        return Admission::Refused;
    }
    // One entry takes what one like it had; of several, what each takes beside key and value is guessed.
    let wanted = match near {
        Some(_) => node.keyspace.footprint(brought.saturating_sub(NAME_BYTES)),
        None => brought + brought / 16 + ENTRY_BYTES,
    };
    let (now_ms, turns) = (scene.call.store.now_ms, scene.call.stats.turns.get());
    if !eviction.policy.evicts() {
        return without_evicting(node, eviction, now_ms);
    }
    let slack = node.budget.ceiling().saturating_add(limit / SLACK_SHARE);
    let (mut won, mut began) = (0, None);
    for step in 0..STEPS + wanted / BYTES_PER_STEP {
        let random = mix(now_ms, turns ^ (step as u64) << 48 ^ near.unwrap_or_default());
        let room = node.keyspace.make_room(near, wanted, eviction, now_ms, random);
        won += room.bytes;
        let used = (node.used_bytes() + uncounted) as u64;
        if won >= wanted || used <= node.budget.ceiling() || (room.any() && wanted <= STEP_BYTES && used <= slack) {
            break;
        }
        if !room.any() {
            return Admission::Refused;
        }
        if step % STEPS_PER_LOOK == STEPS_PER_LOOK - 1 && began.get_or_insert_with(Instant::now).elapsed() > SLICE {
            return Admission::Later;
        }
    }
    if node.used_bytes() as u64 > slack {
        node.budget.press();
    }
    Admission::Granted
}

/// With nothing to evict, room is what free blocks have: entries of the same size can use them.
fn without_evicting(node: &Node, eviction: &Eviction, now_ms: u64) -> Admission {
    let room = node.keyspace.make_room(None, 0, eviction, now_ms, mix(now_ms, 0));
    if room.any() {
        node.budget.press();
    }
    let (used, free) = (node.used_bytes() as u64, node.keyspace.memory().free as u64);
    let limit = node.memory_limit.load(Ordering::Relaxed);
    let ceiling = node.budget.ceiling();
    if used.saturating_sub(free) <= ceiling && used <= ceiling.saturating_add(limit / SLACK_SHARE) {
        Admission::Granted
    } else {
        Admission::Refused
    }
}

/// Whether a command that is about to run must have room made for it: it brings something, the node is above its limit,
/// and what was evicted ahead in the stripe of its only key, given by its hash, does not suffice.
#[inline]
pub(crate) fn needs_room(node: &Node, flags: crate::command::Flags, args: Args<'_>, near: Option<u64>) -> bool {
    flags.has(flag::DENYOOM) && node.over_limit() && !has_credit(node, args, near)
}

fn has_credit(node: &Node, args: Args<'_>, near: Option<u64>) -> bool {
    let brought: usize = args.iter().skip(1).map(<[u8]>::len).sum();
    near.is_some_and(|hash| node.keyspace.spend_credit(hash, node.keyspace.footprint(brought)))
}

/// Keeps the node under its limit until the task is dropped.
pub(crate) async fn run(node: Arc<Node>) {
    let mut look = Look::default();
    loop {
        node.budget.pressure.notified().await;
        look.run(&node);
        shed_buffers(&node);
        let mut slice = Instant::now();
        let mut stripe = 0;
        while node.over_limit() && step(&node, &mut stripe) {
            if slice.elapsed() > SLICE {
                tokio::task::yield_now().await;
                look.run_again(&node);
                slice = Instant::now();
            }
        }
    }
}

/// One step toward the limit; false if there is nothing that can be done.
fn step(node: &Node, stripe: &mut usize) -> bool {
    let (settings, now_ms) = (node.config.settings(), unix_ms());
    let eviction = crate::node::eviction(&settings);
    *stripe = (*stripe + 1) % node.keyspace.shape().stripes;
    if node.keyspace.compact(*stripe).any() {
        return true;
    }
    let random = mix(now_ms, *stripe as u64 ^ node.keyspace.used_bytes() as u64);
    if eviction.policy.evicts() {
        return node
            .keyspace
            .make_room(None, STEP_BYTES, &eviction, now_ms, random)
            .any();
    }
    // Without evicting, all stripes are looked at once.
    *stripe != 0
}

/// Closes connections if their buffers are too many.
fn shed_buffers(node: &Node) {
    let limit = buffer_limit(node, &node.config.settings());
    let bytes = node.client_bytes.load(Ordering::Relaxed);
    if limit > 0 && bytes as u64 > limit {
        crate::housekeeping::evict(node, bytes, limit);
    }
}

/// Resident memory that is not the program's own file.
fn memory_bytes() -> usize {
    status_bytes("RssAnon:")
}

/// What the process had at the last look.
#[derive(Default)]
struct Look {
    /// What was resident after the allocator had last given back what it kept, and what of it was unexplained.
    purged_bytes: usize,
    kept_bytes: usize,
    at: Option<Instant>,
}

impl Look {
    /// As `run`, if the last look was some time ago.
    fn run_again(&mut self, node: &Node) {
        if self.at.is_none_or(|at| at.elapsed() > Duration::from_millis(2)) {
            self.run(node);
        }
    }

    /// Compares what the process has with what is counted.
    fn run(&mut self, node: &Node) {
        self.at = Some(Instant::now());
        let limit = node.memory_limit.load(Ordering::Relaxed) as usize;
        let mut resident = memory_bytes();
        let tolerated = PROCESS_BYTES + limit / ALLOCATOR_SHARE;
        // Early enough that what arrives meanwhile stays below the bound, and only for what is worth the time.
        let early = limit.saturating_add(PROCESS_BYTES + limit / SLACK_SHARE as usize);
        let worth = PROCESS_BYTES / 8 + limit / 512;
        let explained = node.used_bytes() + tolerated;
        let more = resident > self.purged_bytes + worth || resident > explained + self.kept_bytes + worth;
        if limit != 0 && resident > early && more {
            give_back_spare();
            resident = memory_bytes();
            (self.purged_bytes, self.kept_bytes) = (resident, resident.saturating_sub(explained));
        }
        self.purged_bytes = self.purged_bytes.min(resident);
        self.kept_bytes = self.kept_bytes.min(resident.saturating_sub(explained));
        node.resident_bytes.store(resident_bytes(), Ordering::Relaxed);
        let unexplained = resident.saturating_sub(explained);
        let unexplained = unexplained.min(limit / MAX_UNEXPLAINED_SHARE);
        node.budget.unexplained.store(unexplained, Ordering::Relaxed);
        let ceiling = if limit == 0 {
            u64::MAX
        } else {
            (limit - unexplained) as u64
        };
        node.budget.ceiling.store(ceiling, Ordering::Relaxed);
    }
}
