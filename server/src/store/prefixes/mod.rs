//! Prefixes of keys that are accounted for: which there are, which one a key belongs to, what each holds in all.
//!
//! A key belongs to the longest prefix that it begins with. What each prefix holds is counted in every stripe, under
//! its lock, in a `Ledger`; stripes tell the node's totals here in chunks that are small against the quota, so that
//! a write needs one load to know whether its prefix may grow.
//!
//! When the prefixes change, each stripe gets an empty ledger and counts what it holds bucket by bucket, in the order
//! of SCAN, which growth does not disturb. Changes meanwhile count if they are to keys before the place that
//! the recount has reached: so each key is counted once, whatever happens to it.

mod ledger;
mod spots;
#[cfg(test)]
mod tests;

pub(super) use ledger::Ledger;
pub(super) use spots::Spot;

use super::{Counters, Keyspace, Stripe};
use arc_swap::ArcSwapOption;
use crossbeam_utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// How many prefixes there may be: as many as a set in a `u64` tells apart.
pub const MAX_PREFIXES: usize = 64;
/// An entry's share of the index: a lane of a bucket that is filled as usual.
const INDEX_SHARE: usize = 10;
/// Into how many parts a quota is divided, over which all stripes together may be untold.
const QUOTA_PARTS: u64 = 32;
/// What a stripe keeps untold at most.
const MAX_UNTOLD: u64 = 16 << 10;

/// How much there is of something.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Usage {
    pub(super) keys: usize,
    /// Of entries alone.
    pub(super) bytes: usize,
}

impl Usage {
    /// Bytes with the keys' share of the index.
    pub(super) fn held_bytes(self) -> usize {
        self.bytes + self.keys * INDEX_SHARE
    }
}

/// A prefix, and what the whole node has of it.
struct Prefix {
    name: Box<[u8]>,
    /// Most bytes; 0 is no limit.
    quota: AtomicU64,
    /// How far a stripe's count may be from what it has told.
    untold: AtomicUsize,
    total: CachePadded<AtomicUsize>,
}

/// The prefixes that are accounted for, by number in the order of their declaration.
pub struct Prefixes {
    list: Box<[Prefix]>,
    /// Numbers of the prefixes, the longest first.
    by_length: Box<[u8]>,
    /// Which of `by_length` begin with each byte, as a set of bits.
    by_first_byte: Box<[u64; 256]>,
}

impl Prefixes {
    /// At most [`MAX_PREFIXES`] of the rules count; an empty prefix owns nothing.
    fn new(rules: &[(Vec<u8>, u64)], stripes: usize) -> Prefixes {
        let list: Box<[Prefix]> = rules
            .iter()
            .take(MAX_PREFIXES)
            .map(|(name, _)| Prefix {
                name: name.as_slice().into(),
                quota: AtomicU64::new(0),
                untold: AtomicUsize::new(0),
                total: CachePadded::default(),
            })
            .collect();
        let mut by_length: Box<[u8]> = (0..list.len() as u8).collect();
        by_length.sort_by_key(|&number| std::cmp::Reverse(list[usize::from(number)].name.len()));
        let mut by_first_byte = Box::new([0; 256]);
        for (place, &number) in by_length.iter().enumerate() {
            if let Some(&first) = list[usize::from(number)].name.first() {
                by_first_byte[usize::from(first)] |= 1 << place;
            }
        }
        let prefixes = Prefixes {
            list,
            by_length,
            by_first_byte,
        };
        prefixes.set_quotas(rules, stripes);
        prefixes
    }

    fn set_quotas(&self, rules: &[(Vec<u8>, u64)], stripes: usize) {
        for (prefix, (_, quota)) in self.list.iter().zip(rules) {
            let untold = if *quota == 0 {
                MAX_UNTOLD
            } else {
                (quota / (QUOTA_PARTS * stripes as u64)).min(MAX_UNTOLD)
            };
            prefix.untold.store(untold as usize, Ordering::Relaxed);
            prefix.quota.store(*quota, Ordering::Relaxed);
        }
    }

    fn has_names_of(&self, rules: &[(Vec<u8>, u64)]) -> bool {
        self.list.len() == rules.len()
            && self
                .list
                .iter()
                .zip(rules)
                .all(|(prefix, (name, _))| *prefix.name == **name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of the prefix that a key belongs to: the longest that it begins with.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let mut places = self.by_first_byte[usize::from(*key.first()?)];
        while places != 0 {
            let number = usize::from(self.by_length[places.trailing_zeros() as usize]);
            if key.starts_with(&self.list[number].name) {
                return Some(number);
            }
            places &= places - 1;
        }
        None
    }

    /// The most bytes that a prefix may hold; 0 is no limit.
    pub fn quota(&self, number: usize) -> u64 {
        self.list[number].quota.load(Ordering::Relaxed)
    }

    /// Bytes that the keys of a prefix hold, short of a thirty-second of its quota that stripes may not have told.
    pub fn total_bytes(&self, number: usize) -> usize {
        self.list[number].total.load(Ordering::Relaxed)
    }

    /// Whether a prefix would be over its quota with so many bytes more.
    #[inline]
    pub fn is_over(&self, number: usize, more_bytes: u64) -> bool {
        let quota = self.quota(number);
        quota != 0 && (self.total_bytes(number) as u64).saturating_add(more_bytes) > quota
    }

    /// The prefixes that hold more than their quota.
    pub fn over(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|&number| self.is_over(number, 0))
    }

    fn untold(&self, number: usize) -> usize {
        self.list[number].untold.load(Ordering::Relaxed)
    }

    fn tell(&self, number: usize, before: usize, after: usize) {
        let total = &self.list[number].total;
        total.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
}

/// What the operator has declared; stripes take it over one by one.
#[derive(Default)]
pub(super) struct Declared {
    current: ArcSwapOption<Prefixes>,
    /// Whether any of them has a quota.
    limited: AtomicBool,
}

impl Keyspace {
    /// Declares the prefixes that are accounted for, with the most bytes of each (0 is no limit). Unless only
    /// these numbers differ from before, nothing is counted until every stripe has been told to `adopt_prefixes` and
    /// to `recount_prefixes`; and if they do, the former has the totals told as exactly as the numbers want it.
    pub fn declare_prefixes(&self, rules: &[(Vec<u8>, u64)]) {
        let declared = &self.declared;
        let limited = rules.iter().any(|(_, quota)| *quota > 0);
        match declared.current.load_full() {
            _ if rules.is_empty() => declared.current.store(None),
            Some(current) if current.has_names_of(rules) => current.set_quotas(rules, self.stripes.len()),
            _ => {
                let prefixes = Prefixes::new(rules, self.stripes.len());
                declared.current.store(Some(Arc::new(prefixes)));
            }
        }
        declared.limited.store(limited, Ordering::Relaxed);
    }

    /// The prefixes that are accounted for; `None` if there is none.
    pub fn prefixes(&self) -> Option<Arc<Prefixes>> {
        self.declared.current.load_full()
    }

    /// Whether something holds of the prefixes that are accounted for; false if there is none. Costs less than
    /// `prefixes`, which makes workers share a count of references.
    #[inline]
    pub fn prefixes_satisfy(&self, holds: impl FnOnce(&Prefixes) -> bool) -> bool {
        self.declared.current.load().as_deref().is_some_and(holds)
    }

    /// Whether any prefix has a quota.
    #[inline]
    pub fn has_quotas(&self) -> bool {
        self.declared.limited.load(Ordering::Relaxed)
    }

    /// Has a stripe count for the prefixes that are declared now; it begins with nothing.
    pub fn adopt_prefixes(&self, index: usize) {
        let current = self.prefixes();
        // Its old ledger is freed after the lock is gone.
        let mut stripe = self.lock(index);
        let old = stripe.adopt_prefixes(current.as_ref());
        self.publish(&mut stripe);
        drop(stripe);
        drop(old);
    }

    /// Counts the keys of at most `buckets` buckets of a stripe; false once all have been counted.
    pub fn recount_prefixes(&self, index: usize, buckets: usize) -> bool {
        self.lock(index).recount_prefixes(buckets)
    }
}

/// What a prefix has, and has seen.
#[derive(Clone, Debug)]
pub struct PrefixSurvey {
    /// The prefix.
    pub name: Box<[u8]>,
    /// The most bytes that it may hold; 0 is no limit.
    pub quota: u64,
    /// Keys, expired ones that were not reclaimed yet included.
    pub keys: usize,
    /// Bytes of their entries and their share of the index.
    pub bytes: usize,
    /// Reads, and keys evicted, since it was declared or the last reset. The other counters are not kept by prefix.
    pub counters: Counters,
}

/// What all prefixes have.
#[derive(Clone, Default, Debug)]
pub struct PrefixesSurvey {
    /// One by one, in the order of their declaration.
    pub list: Vec<PrefixSurvey>,
    /// Keys that were there before their prefix are still being counted.
    pub counting: bool,
    declared: Option<Arc<Prefixes>>,
}

impl std::fmt::Debug for Prefixes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prefixes({})", self.len())
    }
}

impl PrefixesSurvey {
    pub(super) fn new(declared: Option<Arc<Prefixes>>) -> PrefixesSurvey {
        let list = declared.iter().flat_map(|prefixes| {
            prefixes.list.iter().map(|prefix| PrefixSurvey {
                name: prefix.name.clone(),
                quota: prefix.quota.load(Ordering::Relaxed),
                keys: 0,
                bytes: 0,
                counters: Counters::default(),
            })
        });
        PrefixesSurvey {
            list: list.collect(),
            counting: false,
            declared,
        }
    }

    pub(super) fn add(&mut self, stripe: &Stripe) {
        let Some(declared) = &self.declared else { return };
        match &stripe.ledger {
            Some(ledger) if Arc::ptr_eq(ledger.prefixes(), declared) => {
                self.counting |= ledger.is_counting();
                for (number, prefix) in self.list.iter_mut().enumerate() {
                    let usage = ledger.usage(number);
                    prefix.keys += usage.keys;
                    prefix.bytes += usage.held_bytes();
                    prefix.counters = prefix.counters.plus(ledger.counters(number));
                }
            }
            _ => self.counting = true,
        }
    }
}
