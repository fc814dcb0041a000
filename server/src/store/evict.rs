//! Evicting: which entry of a stripe goes, and taking it out.

use super::Keyspace;
use super::eviction::{self, Eviction};
use super::stripe::{Stripe, Target};
use super::value::Value;

/// What an eviction has won.
pub(super) struct Evicted {
    /// Bytes that the entry took.
    pub(super) bytes: usize,
    /// Its boxed value: to be dropped when no lock is held, as it may be large.
    pub(super) value: Option<Box<Value>>,
}

impl Keyspace {
    /// Evicts up to `count` entries, first of prefixes that are over their quota, then from one stripe after the other,
    /// beginning with one drawn at random; returns how many went. It gives up once a round over the stripes has found nothing that the policy may take.
    pub fn evict(&self, count: usize, eviction: &Eviction, now_ms: u64, random: u64) -> usize {
        let (mut evicted, mut barren) = (self.evict_over_quota(count, eviction, now_ms, random).evicted, 0);
        let first = self.index(eviction::mix(random, 0));
        while evicted < count && barren < self.stripes.len() && eviction.policy.evicts() {
            let step = evicted + barren;
            let mut stripe = self.lock((first + step) & (self.stripes.len() - 1));
            let gone = stripe.evict_one(eviction, now_ms, eviction::mix(random, step as u64));
            if gone.is_some() {
                evicted += 1;
                barren = 0;
                self.publish(&mut stripe);
            } else {
                barren += 1;
            }
            // The lock goes before the value.
            drop(stripe);
            drop(gone);
        }
        evicted
    }
}

impl Stripe {
    /// Evicts, of the entries that the policy has looked at, the one that it would rather lose; `None` if none was found
    /// that it may take.
    pub(super) fn evict_one(&mut self, eviction: &Eviction, now_ms: u64, random: u64) -> Option<Evicted> {
        let victim = self.evictor.next(&self.tables, eviction, now_ms).or_else(|| {
            let weight = self.evictor.bytes();
            self.evictor
                .choose(&self.tables, eviction, (now_ms, random), &self.hasher);
            self.used = self.used + self.evictor.bytes() - weight;
            self.evictor.next(&self.tables, eviction, now_ms)
        })?;
        let table = self.tables[victim.table].as_deref()?;
        let bytes = table.entry_bytes_at(victim.place);
        let entry = table.entry(victim.place);
        // The entry takes its key along, so whoever must hear of it needs a copy.
        let is_heard = self.watchers.any() || self.ledger.is_some();
        let key = if is_heard { entry.key().to_vec() } else { Vec::new() };
        let meta = entry.meta();
        let hash = self.hasher.hash_one(entry.key());
        let target = Target {
            table: victim.table,
            key: &key,
            hash,
            now_ms,
        };
        let value = self.remove_at(target, victim.place);
        if victim.expired {
            self.counters.expired += 1;
        } else {
            self.count_evicted(&key);
            if self.evictor.remembers() {
                self.evictor.evicted(hash, meta);
            }
        }
        Some(Evicted { bytes, value })
    }
}
