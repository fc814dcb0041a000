//! Room under the memory limit, in steps that are short: evict a few entries, or empty a part of a sparse slab.
//!
//! What counts is what is held, whole slabs. To evict an entry frees a block, which only an entry of the same size can
//! use; so where the free blocks of a stripe have become more than it needs, a step moves entries out of a sparse slab
//! instead, and the slab goes back to where any size can have it. With one size of entries the block that was freed is
//! taken by the next entry, and nothing is moved: a write makes room in the stripe that it goes to.

use super::Keyspace;
use super::eviction::{self, Eviction};
use super::stripe::Stripe;
use super::value::Value;
use std::sync::atomic::Ordering;

/// Entries that one step evicts at most.
const EVICTIONS: usize = 16;
/// Entries that one step moves at most.
const MOVES: usize = 64;
/// Stripes that are drawn to find one that holds its fair share.
const DRAWS: u64 = 4;
/// Share of what a stripe holds that may be free blocks; at least two slabs.
const FREE_SHARE: usize = 32;

/// What a step that evicts for a write wants at least, in bytes. What is too much is to the stripe's credit: the next
/// writes to it need not evict. Not more, as whoever wants a key of the stripe waits meanwhile: it is worth six
/// small entries.
const AHEAD: usize = 512;

/// What a step has done.
#[derive(Clone, Copy, Default, Debug)]
pub struct Room {
    /// Entries that were evicted.
    pub evicted: usize,
    /// Entries that were moved.
    pub moved: usize,
    /// Bytes that were won: of entries that were evicted, or of slabs that were given back.
    pub bytes: usize,
}

impl Room {
    /// Whether the step did anything: if not, nothing may be evicted and nothing is sparse, as far as was looked.
    pub fn any(&self) -> bool {
        self.evicted + self.moved > 0
    }
}

/// Has the allocator give back to the system what it keeps for later.
pub fn give_back_spare() {
    super::arena::purge();
}

impl Keyspace {
    /// Bytes that a new entry takes, of which the key and value have so many.
    pub fn footprint(&self, bytes: usize) -> usize {
        super::arena::footprint(super::entry::size(bytes, 0, false), self.shape.slab_bytes)
    }

    /// One step toward room for `wanted` bytes: of keys of prefixes that are over their quota, if there are any; else in
    /// the stripe of the key with the hash `near`, if there is one and it holds its share, else in one drawn at
    /// random. Entries go only if the policy allows.
    pub fn make_room(&self, near: Option<u64>, wanted: usize, eviction: &Eviction, now_ms: u64, random: u64) -> Room {
        let of_prefixes = self.evict_over_quota(EVICTIONS, eviction, now_ms, random);
        if of_prefixes.any() {
            return of_prefixes;
        }
        let fair = self.used_bytes() / self.stripes.len() / 8 * 7;
        let drawn = (0..DRAWS).map(|draw| self.index(eviction::mix(random, draw)));
        if near.is_some_and(|hash| self.spend_credit(hash, wanted)) {
            return Room {
                bytes: wanted,
                ..Room::default()
            };
        }
        let mut stripe = None;
        for index in near.map(|hash| self.index(hash)).into_iter().chain(drawn) {
            // One lock at a time: the last is let go before the next is taken.
            drop(stripe.take());
            let locked = stripe.insert(self.lock(index));
            if locked.used >= fair {
                break;
            }
        }
        let Some(mut stripe) = stripe else {
            return Room::default();
        };
        // Freed after the lock is gone, however large the values are.
        let mut values = Vec::new();
        let mut room = stripe.make_room(wanted.max(AHEAD), eviction, (now_ms, random), &mut values);
        self.publish_if_far(&mut stripe);
        drop(stripe);
        drop(values);
        if let Some(hash) = near.filter(|_| room.evicted > 0 && wanted < AHEAD) {
            self.give_credit(hash, room.bytes.saturating_sub(wanted));
        }
        if !room.any() && eviction.policy.evicts() {
            let before = self.used_bytes();
            room.evicted = self.evict(EVICTIONS, eviction, now_ms, random);
            room.bytes = before.saturating_sub(self.used_bytes());
        }
        room
    }

    /// Takes bytes that were evicted ahead for the next writes to the stripe of a key; false if there are not so many.
    ///
    /// The count is no lock's, so that a write need not take one to learn that it may go on: of two writers at once
    /// one's change may be lost, which is worth at most the credit.
    #[inline]
    pub fn spend_credit(&self, hash: u64, bytes: usize) -> bool {
        let credit = &self.stripes[self.index(hash)].credit;
        let left = credit.load(Ordering::Relaxed).checked_sub(bytes);
        left.inspect(|&left| credit.store(left, Ordering::Relaxed)).is_some()
    }

    /// What was evicted too much is to the credit of the stripe, within bounds: a large value that went has made room
    /// already, whoever comes next.
    fn give_credit(&self, hash: u64, bytes: usize) {
        let credit = &self.stripes[self.index(hash)].credit;
        let more = credit.load(Ordering::Relaxed).saturating_add(bytes).min(AHEAD);
        credit.store(more, Ordering::Relaxed);
    }

    /// Moves entries out of a sparse slab of one stripe, and drops its tables that are empty; the result says what
    /// was won.
    pub fn compact(&self, index: usize) -> Room {
        let mut stripe = self.lock(index);
        stripe.drop_empty_tables();
        let tolerated = stripe.tolerated();
        let room = stripe.compact(tolerated);
        self.publish(&mut stripe);
        room
    }
}

impl Stripe {
    /// Bytes of free blocks that are left alone.
    fn tolerated(&self) -> usize {
        (self.used / FREE_SHARE).max(2 * self.slab_bytes())
    }

    #[expect(clippy::vec_box, reason = "the values come boxed")]
    fn make_room(
        &mut self,
        wanted: usize,
        eviction: &Eviction,
        when: (u64, u64),
        values: &mut Vec<Box<Value>>,
    ) -> Room {
        let room = self.compact(self.tolerated());
        if room.any() || !eviction.policy.evicts() {
            return room;
        }
        self.evict_bytes(wanted, eviction, when, values)
    }

    /// Moves entries out of a sparse slab, if there is one.
    fn compact(&mut self, tolerated: usize) -> Room {
        let mut room = Room::default();
        for number in 0..self.tables.len() {
            let hasher = &self.hasher;
            let Some(table) = self.tables[number].as_deref_mut() else {
                continue;
            };
            if !table.is_sparse(tolerated) {
                continue;
            }
            let before = table.held_bytes();
            room.moved += table.compact(MOVES, |key| hasher.hash_one(key));
            let after = table.held_bytes();
            self.used = self.used + after - before;
            room.bytes += before.saturating_sub(after);
            if room.any() {
                break;
            }
        }
        room
    }

    /// Evicts entries until they are worth `wanted` bytes or a step's worth is done; gives their boxed values to the
    /// caller to drop.
    #[expect(clippy::vec_box, reason = "the values come boxed")]
    fn evict_bytes(
        &mut self,
        wanted: usize,
        eviction: &Eviction,
        (now_ms, random): (u64, u64),
        values: &mut Vec<Box<Value>>,
    ) -> Room {
        let mut room = Room::default();
        while room.evicted < EVICTIONS && room.bytes < wanted {
            let random = eviction::mix(random, room.evicted as u64);
            let Some(gone) = self.evict_one(eviction, now_ms, random) else {
                break;
            };
            room.evicted += 1;
            room.bytes += gone.bytes;
            values.extend(gone.value);
        }
        room
    }
}
