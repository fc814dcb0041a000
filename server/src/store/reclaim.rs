//! Reclaiming the memory of keys whose deadline has passed.
//!
//! Each table knows when it must be looked at (`table::deadlines`); a stripe publishes the earliest of these times
//! where it can be read without its lock, so that nobody locks a stripe in vain. What is done under one lock is
//! bounded, and takes about a tenth of a millisecond: a crowd of keys that share a deadline goes lock by lock,
//! and others get theirs in between.

use super::Keyspace;
use super::stripe::{Stripe, Target};
use super::table::{Budget, NEVER_MS};
use super::value::Value;
use std::sync::atomic::Ordering;

/// Buckets that are searched under one lock.
const BUCKETS: usize = 64;
/// Buckets that are moved within the schedule under one lock.
const MOVES: usize = 512;
/// Expired keys after which no more are looked for under one lock, but for those of the same bucket.
const KEYS: usize = 256;

impl Keyspace {
    /// When `reclaim_due` has something to do next, in Unix milliseconds: a time in the past if it has now, `None`
    /// if no key has a deadline.
    pub fn next_due_ms(&self) -> Option<u64> {
        let times = self.due_ms.iter().map(|due_ms| due_ms.load(Ordering::Relaxed));
        times.min().filter(|&due_ms| due_ms != NEVER_MS)
    }

    /// Whether expired keys of a stripe may be waiting to be reclaimed.
    pub fn is_due(&self, index: usize, now_ms: u64) -> bool {
        self.due_ms[index].load(Ordering::Relaxed) <= now_ms
    }

    /// Reclaims expired keys of one stripe, as many as is right under one lock; returns how many went. `is_due`
    /// tells whether there may be more.
    pub fn reclaim_due(&self, index: usize, now_ms: u64) -> usize {
        // Freed after the lock is gone, however large the values are.
        let mut values = Vec::new();
        let mut stripe = self.lock(index);
        let removed = stripe.reclaim_due(now_ms, &mut values);
        self.publish_if_far(&mut stripe);
        drop(stripe);
        removed
    }
}

impl Stripe {
    /// Removes expired keys, and gives their boxed values to the caller to drop; returns the number removed.
    #[expect(clippy::vec_box, reason = "the values come boxed")]
    fn reclaim_due(&mut self, now_ms: u64, values: &mut Vec<Box<Value>>) -> usize {
        let mut budget = Budget {
            buckets: BUCKETS,
            moves: MOVES,
            keys: KEYS,
        };
        let (tables, mut removed) = (self.tables.len(), 0);
        for _ in 0..tables {
            let number = self.reclaim_at % tables;
            if self.table(number).is_some_and(|table| table.next_due_ms() <= now_ms) {
                removed += self.reclaim_table(number, now_ms, &mut budget, values);
            }
            self.reclaim_at = (number + 1) % tables;
            if budget.is_spent() {
                break;
            }
        }
        let next = self.tables.iter().flatten().map(|table| table.next_due_ms());
        self.due_ms.store(next.min().unwrap_or(NEVER_MS), Ordering::Relaxed);
        removed
    }

    #[expect(clippy::vec_box, reason = "the values come boxed")]
    fn reclaim_table(
        &mut self,
        number: usize,
        now_ms: u64,
        budget: &mut Budget,
        values: &mut Vec<Box<Value>>,
    ) -> usize {
        let due = self.change(number, |table, _| table.collect_due(now_ms, budget));
        let mut removed = 0;
        for key in due.iter() {
            let target = Target {
                table: number,
                key,
                hash: self.hasher.hash_one(key),
                now_ms,
            };
            let place = self.table(number).and_then(|table| table.find(target.hash, key));
            if let Some(place) = place {
                values.extend(self.remove_at(target, place));
                removed += 1;
            }
        }
        self.counters.expired += removed as u64;
        removed
    }
}
