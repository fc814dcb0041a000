//! Making room: which entries go when memory runs out.

use super::Keyspace;
use super::eviction::{self, Eviction};
use super::stripe::{Stripe, Target};

impl Keyspace {
    /// Evicts up to `count` entries, first of prefixes that are over their quota, then from one stripe after the other,
    /// beginning with one drawn at random; returns how many went. It gives up once a round over the stripes has found nothing that the policy may take.
    pub fn evict(&self, count: usize, eviction: &Eviction, now_ms: u64, random: u64) -> usize {
        let (mut evicted, mut barren) = (self.evict_over_quota(count, eviction, now_ms, random).evicted, 0);
        let first = self.index(eviction::mix(random, 0));
        while evicted < count && barren < self.stripes.len() && eviction.policy.evicts() {
            let step = evicted + barren;
            let mut stripe = self.lock((first + step) & (self.stripes.len() - 1));
            if stripe.evict_some(eviction, now_ms, eviction::mix(random, step as u64)) {
                evicted += 1;
                barren = 0;
                self.publish(&mut stripe);
            } else {
                barren += 1;
            }
        }
        evicted
    }
}

impl Stripe {
    /// Evicts an entry of a table drawn at random, or of one after it.
    fn evict_some(&mut self, eviction: &Eviction, now_ms: u64, random: u64) -> bool {
        let tables = self.tables.len();
        (0..tables).any(|step| {
            let number = (random as usize % tables + step) % tables;
            self.evict_one(number, eviction, now_ms, random).is_some()
        })
    }

    /// Looks at a few more entries of a table and evicts, of all that the policy has seen in the stripe, the one that it
    /// would rather lose, which may be of another table; returns the bytes that it took, or `None` if none of those is
    /// eligible.
    pub(super) fn evict_one(&mut self, number: usize, eviction: &Eviction, now_ms: u64, random: u64) -> Option<usize> {
        let weight = self.evictor.bytes();
        let victim = self.evictor.choose(&self.tables, number, eviction, now_ms, random);
        self.used = self.used + self.evictor.bytes() - weight;
        let victim = victim?;
        let bytes = self
            .table(victim.table)
            .map_or(0, |table| table.entry_bytes_at(victim.place));
        let entry = self.entry(victim.table, victim.place);
        let (meta, hash) = (entry.meta(), self.hasher.hash_one(entry.key()));
        // The entry takes its key along, so whoever must hear of it needs a copy.
        let key = match self.watchers.any() || self.ledger.is_some() {
            true => entry.key().to_vec(),
            false => Vec::new(),
        };
        let target = Target {
            table: victim.table,
            key: &key,
            hash,
            now_ms,
        };
        drop(self.remove_at(target, victim.place));
        if victim.expired {
            self.counters.expired += 1;
        } else {
            self.count_evicted(&key);
            self.evictor.evicted(&self.tables, number, hash, meta);
        }
        Some(bytes)
    }
}
