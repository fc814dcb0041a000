//! The keyspace: entries in stripes, each under its own lock. It knows no command and no socket.
//!
//! `Keyspace` is what a node has; `Store` is what one command sees of it: a database, a time, and the
//! stripes it holds. `Key` is one key with its stripe locked.

mod arena;
mod direct;
mod entry;
mod evict;
pub mod eviction;
mod key;
mod prefetch;
mod reclaim;
mod session;
mod stripe;
mod survey;
mod table;
#[cfg(test)]
mod tests;
pub mod value;
mod watch;

pub use key::{Key, Stored, Text, WrongType};
pub use prefetch::Prefetcher;
pub use session::Store;
pub use stripe::{Counters, Memory, NewValue, Stripe};
pub use survey::{DatabaseSurvey, Survey};
pub use watch::Dirty;

use arena::Pool;
use crossbeam_utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use table::Table;

/// How a keyspace is cut, fixed at start.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many stripes; a power of two.
    pub stripes: usize,
    /// Bytes per slab; a power of two from 4 KiB to 64 KiB.
    pub slab_bytes: usize,
    /// Whether slabs are cut from huge pages.
    pub huge_pages: bool,
    /// How many databases.
    pub databases: usize,
}

/// Stripes per worker: enough that two seldom want the same.
const STRIPES_PER_WORKER: usize = 16;
/// Smallest share of the limit that is worth a stripe.
const MIN_STRIPE_BYTES: u64 = 512 << 10;
/// Largest: a table holds at most 32 GiB, and stripes never fill quite alike.
const MAX_STRIPE_BYTES: u64 = 8 << 30;
/// From this limit on, pages of 2 MiB are small change.
const HUGE_PAGES_FROM: u64 = 512 << 20;

impl Shape {
    /// Stripes and slabs that suit a memory limit and a number of workers: a small node must not lose its
    /// memory to slabs that are barely used, a large one must not lock too coarsely. More stripes than
    /// the workers need would only cost cache.
    pub fn suiting(limit_bytes: u64, workers: usize, databases: usize) -> Shape {
        let most = (limit_bytes / MIN_STRIPE_BYTES).max(1);
        let least = (limit_bytes / MAX_STRIPE_BYTES).max(1);
        let stripes = ((workers * STRIPES_PER_WORKER) as u64)
            .clamp(least, most.max(least))
            .next_power_of_two();
        let per_stripe = limit_bytes / stripes;
        let slab_bytes = (per_stripe / 2048).next_power_of_two().clamp(4096, 65536) as usize;
        let huge_pages = limit_bytes >= HUGE_PAGES_FROM;
        Shape {
            stripes: stripes as usize,
            slab_bytes,
            huge_pages,
            databases,
        }
    }
}

/// Whole tables cut loose by a flush, freed when this is dropped: to be done under no lock.
#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "the tables come boxed, and moving them out would copy them under the lock"
)]
pub struct Flushed(Vec<Box<Table>>);

impl Flushed {
    /// How many keys they held.
    pub fn len(&self) -> usize {
        self.0.iter().map(|table| table.len()).sum()
    }

    /// What dropping them costs: the number of allocations, large ones counted by their size.
    pub fn frees(&self) -> usize {
        self.0.iter().map(|table| table.frees()).sum()
    }

    /// Whether they held no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All keys of a node.
pub struct Keyspace {
    stripes: Box<[CachePadded<Mutex<Stripe>>]>,
    /// Which table each database is, so that SWAPDB swaps two numbers. Changed only while all stripes
    /// are held, so whoever holds one reads a settled value.
    databases: Box<[AtomicUsize]>,
    hasher: ahash::RandomState,
    shape: Shape,
    /// When each stripe has expired keys to reclaim next.
    due_ms: Box<[Arc<AtomicU64>]>,
    /// Bytes used, as last told by each stripe.
    used: CachePadded<AtomicUsize>,
}

impl Keyspace {
    /// An empty keyspace. The hash must be seeded at random, so that nobody can choose keys that collide.
    pub fn new(shape: Shape, hasher: ahash::RandomState) -> Keyspace {
        let pool = Pool::new(shape.slab_bytes, shape.huge_pages);
        let stripe = || Stripe::new(hasher.clone(), Arc::clone(&pool), shape.databases);
        let stripes: Vec<Stripe> = (0..shape.stripes).map(|_| stripe()).collect();
        Keyspace {
            due_ms: stripes.iter().map(|stripe| Arc::clone(&stripe.due_ms)).collect(),
            stripes: stripes
                .into_iter()
                .map(|stripe| CachePadded::new(Mutex::new(stripe)))
                .collect(),
            databases: (0..shape.databases).map(AtomicUsize::new).collect(),
            hasher,
            shape,
            used: CachePadded::new(AtomicUsize::new(0)),
        }
    }

    /// How the keyspace is cut.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// A key's hash: its stripe, bucket and tag all come from it.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    #[inline]
    fn index(&self, hash: u64) -> usize {
        (hash >> 48) as usize & (self.stripes.len() - 1)
    }

    #[inline]
    fn table_of(&self, database: usize) -> usize {
        self.databases[database].load(Ordering::Relaxed)
    }

    /// Locks a stripe. One whose holder panicked is emptied first.
    #[inline]
    pub fn lock(&self, index: usize) -> MutexGuard<'_, Stripe> {
        self.stripes[index].lock().unwrap_or_else(|poisoned| {
            let mut stripe = poisoned.into_inner();
            self.recover(index, &mut stripe);
            stripe
        })
    }

    fn try_lock(&self, index: usize) -> Option<MutexGuard<'_, Stripe>> {
        match self.stripes[index].try_lock() {
            Ok(stripe) => Some(stripe),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Poisoned(poisoned)) => {
                let mut stripe = poisoned.into_inner();
                self.recover(index, &mut stripe);
                Some(stripe)
            }
        }
    }

    #[cold]
    fn recover(&self, index: usize, stripe: &mut Stripe) {
        stripe.abandon();
        self.stripes[index].clear_poison();
        self.publish(stripe);
    }

    /// Locks several stripes, given in rising order and once each: tries them all and, if one is taken,
    /// lets go of all, so that nobody waits for a lock while holding another.
    pub fn lock_many(&self, indices: &[usize]) -> Vec<(usize, MutexGuard<'_, Stripe>)> {
        loop {
            let mut held = Vec::with_capacity(indices.len());
            let taken = indices.iter().find(|&&index| match self.try_lock(index) {
                Some(stripe) => {
                    held.push((index, stripe));
                    false
                }
                None => true,
            });
            let Some(&taken) = taken else { return held };
            drop(held);
            drop(self.lock(taken));
        }
    }

    /// Tells the node's total what a stripe uses now, once it differs by enough to matter.
    #[inline]
    fn publish_if_far(&self, stripe: &mut Stripe) {
        if stripe.used.abs_diff(stripe.published) >= self.shape.slab_bytes {
            self.publish(stripe);
        }
    }

    fn publish(&self, stripe: &mut Stripe) {
        self.used
            .fetch_add(stripe.used.wrapping_sub(stripe.published), Ordering::Relaxed);
        stripe.published = stripe.used;
    }

    /// Bytes that entries and index use, short of what stripes have not told yet (a slab each).
    pub fn used_bytes(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes by kind, stripe by stripe.
    pub fn memory(&self) -> Memory {
        (0..self.stripes.len()).fold(Memory::default(), |sum, index| sum.plus(self.lock(index).memory()))
    }

    /// Counters summed over the stripes.
    pub fn counters(&self) -> Counters {
        (0..self.stripes.len()).fold(Counters::default(), |sum, index| sum.plus(self.lock(index).counters))
    }
}
