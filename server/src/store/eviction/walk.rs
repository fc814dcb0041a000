//! How victims are found: a hand that walks the buckets, and a few good candidates that are remembered.
//!
//! Nothing links entries to each other, so victims are looked for. Each stripe has a hand (a scan cursor) that goes from
//! bucket to bucket. An eviction looks at the next bucket, more of them if the bucket holds fewer entries than
//! `maxmemory-samples`, and offers what it finds to a pool of the eight coldest candidates seen so far; the coldest of the
//! pool goes. (The pool is Redis's idea, `evict.c`; it makes a few samples as good as many.) Walking costs less than drawing at
//! random: no entry is looked at twice before all others were, and it is known beforehand what will be looked at,
//! so that each eviction asks the cache for the entries that the next one in this stripe will read.
//!
//! Where few keys have a deadline and only those may go, the buckets of the timing wheel that are due next take the
//! place of the hand's.
//!
//! A candidate is known by the handle of its block and by the cursor of its bucket, so nothing must be told when
//! entries move or go: one that is not found there with the metadata it had has been used, moved or removed, and is
//! forgotten. Work is bounded: `BUCKETS` per eviction, found or not.

use super::clock::Clock;
use super::ghost::Ghosts;
use super::hazard::{Learner, Model};
use super::{Eviction, Policy, Scene, Subject, Use, adaptive};
use crate::store::table::{Place, Table};
use std::sync::Arc;

/// Candidates that are remembered.
const POOL: usize = 8;
/// Buckets that one eviction looks at, at most: some hundred entries, or 50 us.
const BUCKETS: u32 = 64;

/// A policy that takes only keys with a deadline would walk in vain if at most this share of the keys has one.
const SCARCE_SHARE: usize = 16;

/// An entry that may be the next to go.
#[derive(Clone, Copy)]
struct Candidate {
    coldness: u64,
    table: u32,
    /// Of its bucket.
    cursor: u32,
    /// Names its block.
    handle: u32,
    meta: u32,
}

/// Whom to evict, and whether its time had come anyway.
pub(in crate::store) struct Victim {
    pub(in crate::store) table: usize,
    pub(in crate::store) place: Place,
    pub(in crate::store) expired: bool,
}

/// What a stripe needs for eviction: its clock, the hand, and what it has learnt.
pub(in crate::store) struct Evictor {
    clock: Clock,
    /// For which policy the pool is good.
    policy: Policy,
    /// A scan cursor: a place in the order of hashes, which is the same in all tables.
    hand: u32,
    /// The coldest last.
    pool: Vec<Candidate>,
    learner: Option<Box<Learner>>,
    ghosts: Ghosts,
    model: Arc<Model>,
    stripes: usize,
}

impl Default for Evictor {
    fn default() -> Evictor {
        Evictor {
            clock: Clock::default(),
            policy: Policy::NOEVICTION,
            hand: 0,
            pool: Vec::new(),
            learner: None,
            ghosts: Ghosts::default(),
            model: Arc::default(),
            stripes: 1,
        }
    }
}

impl Evictor {
    /// Learns together with the other stripes, of which there are so many in all.
    pub(in crate::store) fn join(&mut self, model: &Arc<Model>, stripes: usize) {
        (self.model, self.stripes) = (Arc::clone(model), stripes);
    }

    /// The metadata of a new entry; `entries` tells how many there are.
    #[inline]
    pub(in crate::store) fn fresh(
        &mut self,
        eviction: &Eviction,
        hash: u64,
        now_ms: u64,
        entries: impl FnOnce() -> usize,
    ) -> u32 {
        self.clock.advance(now_ms, entries);
        let mut frequency = eviction.fresh();
        if eviction.policy.is_adaptive()
            && let Some((ticks, before)) = self.ghosts.take(hash, self.clock.now())
        {
            frequency = adaptive::raised(before, ticks);
        }
        self.clock.now() << 8 | u32::from(frequency)
    }

    /// The metadata of an entry that comes from another stripe.
    pub(in crate::store) fn arrived(&mut self, meta: u32) -> u32 {
        super::restamp(meta, &self.clock)
    }

    /// The metadata of an entry after a use. `random` need only differ from use to use and key to key.
    #[inline]
    pub(in crate::store) fn used(
        &mut self,
        usage: Use,
        meta: u32,
        eviction: &Eviction,
        (now_ms, random): (u64, u64),
        entries: impl FnOnce() -> usize,
    ) -> u32 {
        self.clock.advance(now_ms, entries);
        let scene = Scene {
            eviction,
            clock: &self.clock,
            now_ms,
        };
        if eviction.policy.is_adaptive()
            && usage != Use::Overwrite
            && let Some(learner) = &mut self.learner
        {
            learner.hit(adaptive::cell(&scene, meta));
        }
        scene.after(usage, meta, random)
    }

    /// Seconds since an entry's last use.
    pub(in crate::store) fn idle_seconds(&self, meta: u32, now_ms: u64) -> u64 {
        self.clock.seconds_since(meta >> 8, now_ms)
    }

    /// The access counter of an entry, decayed to now: what OBJECT FREQ answers.
    pub(in crate::store) fn frequency(&self, meta: u32, eviction: &Eviction, now_ms: u64) -> u8 {
        let scene = Scene {
            eviction,
            clock: &self.clock,
            now_ms,
        };
        super::lfu::decayed(&scene, meta)
    }

    /// Gets ready to rank entries that are found by other ways than its own.
    pub(in crate::store) fn prepare(&mut self, entries: usize) {
        self.clock.press(entries);
    }

    /// How much an entry of a table deserves to go; `None` if the policy may not take it. Nothing is learnt from it.
    pub(in crate::store) fn coldness(
        &self,
        table: &Table,
        place: Place,
        eviction: &Eviction,
        (now_ms, random): (u64, u64),
    ) -> Option<u64> {
        let scene = Scene {
            eviction,
            clock: &self.clock,
            now_ms,
        };
        let entry = table.entry(place);
        let meta = entry.meta();
        let mut subject = Subject {
            meta,
            deadline: entry.deadline(),
            bytes: 0,
            value: 0,
            random: random ^ u64::from(place.handle.get()),
        };
        if eviction.policy.is_adaptive() {
            let (frequency, age) = (meta as u8, scene.age(meta));
            subject.bytes = table.held_by(place);
            subject.value = match &self.learner {
                Some(learner) => learner.value(frequency, age),
                None => super::hazard::expected(frequency, age),
            };
        }
        scene.coldness(&subject)
    }

    /// Whom to evict from the stripe, having looked at one table more; `None` if no eligible entry was found where
    /// the hand went.
    pub(in crate::store) fn choose(
        &mut self,
        tables: &[Option<Box<Table>>],
        number: usize,
        eviction: &Eviction,
        now_ms: u64,
        random: u64,
    ) -> Option<Victim> {
        let table = tables[number].as_deref()?;
        if table.len() == 0 || eviction.policy.volatile_only() && table.volatile() == 0 {
            return None;
        }
        let entries = tables.iter().flatten().map(|table| table.len()).sum();
        self.begin(entries, eviction.policy);
        self.look((table, number), entries, eviction, (now_ms, random));
        while let Some(candidate) = self.pool.pop() {
            let number = candidate.table as usize;
            let Some(table) = tables[number].as_deref() else {
                continue;
            };
            let found = table.place_of(candidate.cursor, candidate.handle);
            if let Some(place) = found.filter(|&place| table.entry(place).meta() == candidate.meta) {
                let deadline = table.entry(place).deadline();
                let expired = deadline.is_some_and(|deadline| deadline <= now_ms);
                // A deadline may have been taken off since.
                if expired || deadline.is_some() || !eviction.policy.volatile_only() {
                    return Some(Victim {
                        table: number,
                        place,
                        expired,
                    });
                }
            }
        }
        None
    }

    /// Gets ready for a policy and a number of entries.
    fn begin(&mut self, entries: usize, policy: Policy) {
        self.clock.press(entries);
        if self.policy != policy {
            self.policy = policy;
            self.pool.clear();
            if !policy.is_adaptive() {
                self.forget();
            }
        }
        self.pool.reserve_exact(POOL - self.pool.len());
        if policy.is_adaptive() {
            if self.learner.is_none() {
                self.learner = Some(Box::new(Learner::new(&self.model)));
            }
            self.ghosts.resize(entries);
        }
    }

    /// Walks on until enough entries were offered to the pool.
    fn look(
        &mut self,
        (table, number): (&Table, usize),
        entries: usize,
        eviction: &Eviction,
        (now_ms, random): (u64, u64),
    ) {
        let scene = Scene {
            eviction,
            clock: &self.clock,
            now_ms,
        };
        let adaptive = eviction.policy.is_adaptive();
        let mut seen = 0;
        let (pool, learner) = (&mut self.pool, &mut self.learner);
        let mut consider = |cursor: u32, place: Place| {
            let entry = table.entry(place);
            let mut subject = Subject {
                meta: entry.meta(),
                deadline: entry.deadline(),
                bytes: 0,
                value: 0,
                random: random ^ u64::from(place.handle.get()),
            };
            if adaptive && let Some(learner) = learner {
                subject.value = learner.see(subject.meta as u8, scene.age(subject.meta));
                subject.bytes = table.held_by(place);
            }
            if let Some(coldness) = scene.coldness(&subject) {
                let (handle, meta) = (place.handle.get(), subject.meta);
                offer(
                    pool,
                    Candidate {
                        coldness,
                        table: number as u32,
                        cursor,
                        handle,
                        meta,
                    },
                );
                seen += 1;
            }
            seen
        };
        let mut offered = 0;
        if is_scarce(table, eviction.policy) {
            table.visit_soonest(BUCKETS as usize, |cursor, place| {
                offered = consider(cursor, place);
                offered >= eviction.samples
            });
        }
        if offered == 0 {
            for _ in 0..BUCKETS.min(table.bucket_count()) {
                let cursor = self.hand;
                let next = table.scan(cursor, |place| offered = consider(cursor, place));
                self.hand = next.unwrap_or(0);
                if offered >= eviction.samples {
                    break;
                }
            }
        }
        if let Some(learner) = &mut self.learner {
            learner.share(&self.model, entries, self.stripes);
        }
    }

    /// Notes that an entry was evicted for want of room, and asks the cache for what the next eviction will look at.
    pub(in crate::store) fn evicted(&mut self, tables: &[Option<Box<Table>>], number: usize, hash: u64, meta: u32) {
        if self.policy.is_adaptive() {
            self.ghosts.add(hash, meta >> 8, meta as u8);
        }
        if let Some(table) = tables[number].as_deref() {
            table.prefetch_walk(self.hand);
        }
        if let Some(next) = self.pool.last()
            && let Some(table) = tables[next.table as usize].as_deref()
        {
            table.prefetch_handle(next.cursor, next.handle);
        }
    }

    /// Drops what was learnt of entries that may be gone.
    pub(in crate::store) fn forget(&mut self) {
        self.pool = Vec::new();
        self.ghosts = Ghosts::default();
        self.learner = None;
    }

    /// Bytes allocated.
    pub(in crate::store) fn bytes(&self) -> usize {
        let learner = self.learner.as_ref().map_or(0, |_| size_of::<Learner>());
        self.pool.capacity() * size_of::<Candidate>() + self.ghosts.bytes() + learner
    }
}

/// Whether walking would hardly find an entry that the policy may take.
fn is_scarce(table: &Table, policy: Policy) -> bool {
    policy.volatile_only() && table.volatile() <= table.len() / SCARCE_SHARE
}

/// Puts a candidate into the pool, if it is colder than one there or there is room.
fn offer(pool: &mut Vec<Candidate>, candidate: Candidate) {
    let full = pool.len() >= POOL;
    if full && pool[0].coldness >= candidate.coldness {
        return;
    }
    if let Some(known) = pool
        .iter()
        .position(|other| (other.handle, other.table) == (candidate.handle, candidate.table))
    {
        pool.remove(known);
    } else if full {
        pool.remove(0);
    }
    let at = pool.partition_point(|other| other.coldness <= candidate.coldness);
    pool.insert(at, candidate);
}
