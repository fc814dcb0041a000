//! Reclaiming the memory of keys whose deadline has passed.

use super::Keyspace;
use super::stripe::{Stripe, Target};

impl Keyspace {
    /// Reclaims expired keys of one stripe, visiting at most `budget` buckets; returns how many went, and how
    /// many with a deadline are left.
    pub fn reclaim_expired(&self, index: usize, now_ms: u64, budget: usize) -> (usize, usize) {
        let mut stripe = self.lock(index);
        let volatile = stripe.volatile();
        if volatile == 0 {
            return (0, 0);
        }
        let removed = stripe.reclaim_expired(now_ms, budget);
        self.publish_if_far(&mut stripe);
        (removed, volatile.saturating_sub(removed))
    }
}

impl Stripe {
    /// Removes expired keys: visits at most `budget` buckets, returns the number removed.
    pub(super) fn reclaim_expired(&mut self, now_ms: u64, budget: usize) -> usize {
        let mut removed = 0;
        for _ in 0..budget {
            let (number, cursor) = self.reclaim_at;
            let Some(table) = self.tables[number].as_deref().filter(|table| table.volatile() > 0) else {
                self.reclaim_at = ((number + 1) % self.tables.len(), 0);
                if self.reclaim_at.0 == 0 {
                    break;
                }
                continue;
            };
            let mut due: Vec<Vec<u8>> = Vec::new();
            let next = table.scan(cursor, |place| {
                let entry = table.entry(place);
                if entry.deadline().is_some_and(|deadline| deadline <= now_ms) {
                    due.push(entry.key().to_vec());
                }
            });
            for key in due {
                let hash = self.hasher.hash_one(&key[..]);
                removed += usize::from(
                    self.find(Target {
                        table: number,
                        key: &key,
                        hash,
                        now_ms,
                    })
                    .is_none(),
                );
            }
            self.reclaim_at = next.map_or(((number + 1) % self.tables.len(), 0), |cursor| (number, cursor));
        }
        removed
    }
}
