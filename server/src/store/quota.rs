//! Keeping a prefix within its quota: it evicts keys of its own, and no other.
//!
//! Candidates are found where keys of the prefix were seen (`prefixes::spots`), for drawing entries at random would
//! hardly ever meet a small prefix in a large keyspace. The worst of them goes, as the active policy ranks them.

use super::Keyspace;
use super::eviction::{self, Eviction};
use super::prefixes::Spot;
use super::room::Room;
use super::stripe::{Stripe, Target};
use super::table::Place;
use super::value::Value;

/// Entries that are evicted under one lock.
const PER_LOCK: usize = 4;
/// Buckets that are searched for keys of a prefix, per stripe and eviction, when the node needs memory.
const BUCKETS: usize = 16;
/// Spots that are looked at for one eviction.
const SPOTS_PER_EVICTION: u64 = 8;

/// What a call may do to bring a prefix within its quota.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The prefix shall have room for so many bytes more.
    pub more_bytes: u64,
    /// How many entries may go.
    pub entries: usize,
    /// How many buckets may be searched for keys of the prefix, per stripe and eviction.
    pub buckets: usize,
}

impl Keyspace {
    /// Evicts keys of a prefix of [`Keyspace::prefixes`], by its number, until it is within its quota or no more may be
    /// done; goes over the stripes once, from one drawn at random. Returns how many keys went.
    pub fn evict_prefix(&self, number: usize, effort: Effort, eviction: &Eviction, now_ms: u64, random: u64) -> usize {
        let Some(prefixes) = self.prefixes().filter(|prefixes| number < prefixes.len()) else {
            return 0;
        };
        let (mut evicted, stripes) = (0, self.stripes.len());
        for step in 0..stripes {
            // Freed after the lock is gone, however large the values are.
            let mut values = Vec::new();
            let mut stripe = self.lock((random as usize).wrapping_add(step) % stripes);
            if !stripe.keeps(&prefixes) {
                continue;
            }
            for draw in 0..PER_LOCK {
                if evicted >= effort.entries || !prefixes.is_over(number, effort.more_bytes) {
                    break;
                }
                let random = eviction::mix(random, (step * PER_LOCK + draw) as u64);
                let Some(value) = stripe.evict_of(number, effort.buckets, eviction, now_ms, random) else {
                    break;
                };
                values.extend(value);
                evicted += 1;
            }
            self.publish_if_far(&mut stripe);
            drop(stripe);
            if evicted >= effort.entries || !prefixes.is_over(number, effort.more_bytes) {
                break;
            }
        }
        evicted
    }
}

impl Keyspace {
    /// Evicts up to so many keys of prefixes that are over their quota: where the node needs memory, they go before all
    /// others.
    pub(super) fn evict_over_quota(&self, count: usize, eviction: &Eviction, now_ms: u64, random: u64) -> Room {
        let mut room = Room::default();
        if !self.has_quotas() || !eviction.policy.evicts() {
            return room;
        }
        let Some(prefixes) = self.prefixes() else { return room };
        for number in prefixes.over() {
            let effort = Effort {
                more_bytes: 0,
                entries: count - room.evicted,
                buckets: BUCKETS,
            };
            let before = prefixes.total_bytes(number);
            room.evicted += self.evict_prefix(number, effort, eviction, now_ms, random);
            room.bytes += before.saturating_sub(prefixes.total_bytes(number));
            if room.evicted >= count {
                break;
            }
        }
        room
    }
}

/// What is known of the candidates so far.
#[derive(Default)]
struct Candidates {
    seen: u64,
    /// How much the worst deserves to go, and where it is. One that has expired goes before all others.
    worst: Option<((bool, u64), usize, Place)>,
}

impl Stripe {
    /// Whether the stripe counts for these prefixes.
    fn keeps(&self, prefixes: &std::sync::Arc<super::Prefixes>) -> bool {
        let ledger = self.ledger.as_ref();
        ledger.is_some_and(|ledger| std::sync::Arc::ptr_eq(ledger.prefixes(), prefixes))
    }

    /// Evicts a key of a prefix, and gives its boxed value to the caller to drop; `None` if none was found that may
    /// go.
    fn evict_of(
        &mut self,
        number: usize,
        buckets: usize,
        eviction: &Eviction,
        now_ms: u64,
        random: u64,
    ) -> Option<Option<Box<Value>>> {
        if self.ledger.as_ref()?.usage(number).keys == 0 {
            return None;
        }
        let entries = self.tables.iter().flatten().map(|table| table.len()).sum();
        self.evictor.prepare(entries);
        let mut candidates = Candidates::default();
        for draw in 0..SPOTS_PER_EVICTION {
            let ledger = self.ledger.as_mut()?;
            let Some((at, spot)) = ledger.spots_mut(number).draw(eviction::mix(random, draw)) else {
                break;
            };
            let (found, _) = self.consider(number, spot, &mut candidates, eviction, now_ms);
            if found == 0 {
                self.ledger.as_mut()?.spots_mut(number).forget(at);
            }
            if candidates.seen >= eviction.samples {
                break;
            }
        }
        if candidates.worst.is_none() || self.ledger.as_ref()?.lacks_spots(number) {
            self.walk(number, buckets, &mut candidates, eviction, now_ms);
        }
        let ((expired, _), table, place) = candidates.worst?;
        let key = self.entry(table, place).key().to_vec();
        let hash = self.hasher.hash_one(&key[..]);
        let target = Target {
            table,
            key: &key,
            hash,
            now_ms,
        };
        let value = self.remove_at(target, place);
        if expired {
            self.counters.expired += 1;
        } else {
            self.count_evicted(&key);
        }
        self.ledger.as_mut()?.tell(number);
        Some(value)
    }

    /// Looks at the keys of a prefix in one bucket; returns how many there are, and the cursor of the next bucket.
    fn consider(
        &self,
        number: usize,
        spot: Spot,
        candidates: &mut Candidates,
        eviction: &Eviction,
        now_ms: u64,
    ) -> (u64, Option<u32>) {
        let (Some(table), Some(ledger)) = (self.table(spot.table()), self.ledger.as_ref()) else {
            return (0, None);
        };
        let before = candidates.seen;
        let next = table.scan(spot.order, |place| {
            let entry = table.entry(place);
            if ledger.prefixes().find(entry.key()) != Some(number) {
                return;
            }
            candidates.seen += 1;
            let expired = entry.deadline().is_some_and(|deadline| deadline <= now_ms);
            let cold = self.evictor.coldness(table, place, eviction, (now_ms, candidates.seen));
            let rank = cold.map(|cold| (expired, cold));
            if let Some(rank) = rank
                && candidates.worst.as_ref().is_none_or(|(worst, ..)| rank > *worst)
            {
                candidates.worst = Some((rank, spot.table(), place));
            }
        });
        (candidates.seen - before, next)
    }

    /// Goes on with the walk over the stripe, for so many buckets, and remembers where keys of the prefix are.
    fn walk(&mut self, number: usize, buckets: usize, candidates: &mut Candidates, eviction: &Eviction, now_ms: u64) {
        let Some(ledger) = &mut self.ledger else { return };
        let (mut table, mut cursor) = ledger.spots_mut(number).walk;
        // A database without keys costs a step, too.
        for _ in 0..buckets {
            let spot = Spot::new(table, cursor);
            let (found, next) = self.consider(number, spot, candidates, eviction, now_ms);
            if found > 0
                && let Some(ledger) = &mut self.ledger
            {
                let random = eviction::mix(u64::from(cursor), candidates.seen);
                let before = ledger.bytes();
                ledger.add_spot(number, spot, random);
                self.used = self.used + ledger.bytes() - before;
            }
            (table, cursor) = next.map_or(((table + 1) % self.tables.len(), 0), |cursor| (table, cursor));
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.spots_mut(number).walk = (table, cursor);
        }
    }
}
