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
pub mod prefixes;
mod quota;
mod reclaim;
mod room;
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
pub use prefixes::{PrefixSurvey, Prefixes};
pub use quota::Effort;
pub use room::{Room, give_back_spare};
pub use session::Store;
pub use stripe::{Counters, Memory, NewValue, Stripe};
pub use survey::{DatabaseSurvey, Survey};
pub use watch::Dirty;

use arena::Pool;
use crossbeam_utils::CachePadded;
use prefixes::Declared;
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
const MIN_STRIPE_BYTES: u64 = 1 << 20;
/// So many stripes a hash tells apart.
const MOST_STRIPES: u64 = 1 << 16;
/// Largest: half of what a table can name even if each entry has a slab to itself.
const MAX_STRIPE_BYTES: u64 = 2 << 30;
/// From this limit on, pages of 2 MiB are small change.
const HUGE_PAGES_FROM: u64 = 512 << 20;
/// Smallest slabs by what a stripe may hold: each class of entries that is in use has one that is partly empty.
const SLAB_BYTES: [(u64, usize); 4] = [
    (256 << 20, 64 << 10),
    (64 << 20, 32 << 10),
    (8 << 20, 16 << 10),
    (2 << 20, 8 << 10),
];

impl Shape {
    /// Stripes and slabs that suit a memory limit and a number of workers: a small node must not lose its
    /// memory to slabs that are barely used, a large one must not lock too coarsely. More stripes than
    /// the workers need would only cost cache.
    pub fn suiting(limit_bytes: u64, workers: usize, databases: usize) -> Shape {
        let most = (limit_bytes / MIN_STRIPE_BYTES).max(1);
        let least = (limit_bytes / MAX_STRIPE_BYTES).max(1);
        let stripes = ((workers * STRIPES_PER_WORKER) as u64)
            .clamp(least, most.max(least))
            .next_power_of_two()
            .min(MOST_STRIPES);
        let per_stripe = limit_bytes / stripes;
        let slab_bytes = SLAB_BYTES
            .iter()
            .find(|(from, _)| per_stripe >= *from)
            .map_or(4096, |(_, slab_bytes)| *slab_bytes);
        let huge_pages = limit_bytes >= HUGE_PAGES_FROM;
        Shape {
            stripes: stripes as usize,
            slab_bytes,
            huge_pages,
            databases,
        }
    }

    /// The largest limit that a keyspace of this shape can be used up to: a stripe's table names a bounded number of
    /// slabs, and stripes never fill quite alike.
    pub fn most_bytes(&self) -> u64 {
        (self.stripes * arena::max_block_bytes(self.slab_bytes) * arena::MAX_SLABS) as u64 / 4 * 3
    }
}

/// Whole tables cut loose by a flush, freed when this is dropped: to be done under no lock.
#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "the tables come boxed, and moving them out would copy them under the lock"
)]
pub struct Flushed {
    tables: Vec<Box<Table>>,
    /// Told of each table that is freed: until then it counts against the node's limit.
    pool: Option<Arc<Pool>>,
}

impl Flushed {
    /// How many keys they held.
    pub fn len(&self) -> usize {
        self.tables.iter().map(|table| table.len()).sum()
    }

    /// What dropping them costs: the number of allocations, large ones counted by their size.
    pub fn frees(&self) -> usize {
        self.tables.iter().map(|table| table.frees()).sum()
    }

    /// Whether they held no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Flushed {
    fn drop(&mut self) {
        for table in self.tables.drain(..) {
            let bytes = table.held_bytes();
            drop(table);
            if let Some(pool) = &self.pool {
                pool.tell(bytes.wrapping_neg());
            }
        }
    }
}

/// A stripe, its lock, and what may be known of it without that.
struct Slot {
    /// Bytes that were evicted ahead for the next writes.
    credit: AtomicUsize,
    stripe: Mutex<Stripe>,
}

/// All keys of a node.
pub struct Keyspace {
    stripes: Box<[CachePadded<Slot>]>,
    /// Which table each database is, so that SWAPDB swaps two numbers. Changed only while all stripes
    /// are held, so whoever holds one reads a settled value.
    databases: Box<[AtomicUsize]>,
    hasher: ahash::RandomState,
    shape: Shape,
    /// Where slabs come from, and the count of bytes held, as last told by each stripe.
    pool: Arc<Pool>,
    /// When each stripe has expired keys to reclaim next.
    due_ms: Box<[Arc<AtomicU64>]>,
    declared: Declared,
}

impl Keyspace {
    /// An empty keyspace. The hash must be seeded at random, so that nobody can choose keys that collide.
    pub fn new(shape: Shape, hasher: ahash::RandomState) -> Keyspace {
        let pool = Pool::new(shape.slab_bytes, shape.huge_pages);
        let model = Arc::default();
        let stripe = || {
            let mut stripe = Stripe::new(hasher.clone(), Arc::clone(&pool), shape.databases);
            stripe.evictor.join(&model, shape.stripes);
            stripe
        };
        let stripes: Vec<Stripe> = (0..shape.stripes).map(|_| stripe()).collect();
        Keyspace {
            due_ms: stripes.iter().map(|stripe| Arc::clone(&stripe.due_ms)).collect(),
            stripes: stripes
                .into_iter()
                .map(|stripe| {
                    CachePadded::new(Slot {
                        credit: AtomicUsize::new(0),
                        stripe: Mutex::new(stripe),
                    })
                })
                .collect(),
            databases: (0..shape.databases).map(AtomicUsize::new).collect(),
            hasher,
            shape,
            pool,
            declared: Declared::default(),
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
        self.stripes[index].stripe.lock().unwrap_or_else(|poisoned| {
            let mut stripe = poisoned.into_inner();
            self.recover(index, &mut stripe);
            stripe
        })
    }

    fn try_lock(&self, index: usize) -> Option<MutexGuard<'_, Stripe>> {
        match self.stripes[index].stripe.try_lock() {
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
        self.stripes[index].stripe.clear_poison();
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
        self.pool.tell(stripe.used.wrapping_sub(stripe.published));
        stripe.published = stripe.used;
    }

    /// Bytes that the keyspace holds, short of what stripes have not told yet (a slab each): slabs however full,
    /// large values, the index, spare pages, and flushed tables until they are freed.
    #[inline]
    pub fn used_bytes(&self) -> usize {
        self.pool.total_bytes()
    }

    /// Bytes of huge pages that no slab has taken.
    pub fn spare_bytes(&self) -> usize {
        self.pool.spare_bytes()
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
