//! Making room: which entries go when memory runs out.

use super::Keyspace;
use super::eviction::{self, Eviction};
use super::stripe::{Stripe, Target};

impl Keyspace {
    /// Evicts up to `count` entries from stripes drawn at random; returns how many went.
    pub fn evict(&self, count: usize, eviction: &Eviction, now_ms: u64, random: u64) -> usize {
        let mut evicted = 0;
        let mut misses = 0;
        while evicted < count && misses < 2 * self.stripes.len() * self.shape.databases {
            let draw = eviction::mix(random, (evicted + misses) as u64);
            let mut stripe = self.lock(self.index(draw));
            let tables = stripe.tables.len();
            let table = (0..tables).map(|step| (draw as usize + step) % tables);
            let chosen = table
                .into_iter()
                .find(|&number| stripe.table(number).is_some_and(|table| table.len() > 0));
            if chosen.is_some_and(|number| stripe.evict_one(number, eviction, now_ms, draw)) {
                evicted += 1;
                self.publish(&mut stripe);
            } else {
                misses += 1;
            }
        }
        evicted
    }
}

impl Stripe {
    /// Evicts the worst of a few sampled entries of a table; false if none is eligible.
    pub(super) fn evict_one(&mut self, number: usize, eviction: &Eviction, now_ms: u64, random: u64) -> bool {
        let Some(table) = self.tables[number].as_deref() else {
            return false;
        };
        let candidates = (0..eviction.samples).filter_map(|draw| table.sample(eviction::mix(random, draw)));
        let worst = candidates
            .filter_map(|place| {
                let entry = table.entry(place);
                eviction
                    .coldness(entry.meta(), entry.deadline(), now_ms)
                    .map(|cold| (cold, place))
            })
            .max_by_key(|(cold, _)| *cold);
        let Some((_, place)) = worst else { return false };
        let key = table.entry(place).key().to_vec();
        let hash = self.hasher.hash_one(&key[..]);
        drop(self.remove_at(
            Target {
                table: number,
                key: &key,
                hash,
                now_ms,
            },
            place,
        ));
        self.counters.evicted += 1;
        true
    }
}
