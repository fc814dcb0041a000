//! What one stripe has of each prefix: counted under its lock with every change, and recounted when prefixes change.

use super::spots::{Spot, Spots};
use super::{Prefixes, Usage};
use crate::store::stripe::{Counters, Stripe, Target};
use crate::store::table::{Table, scan_order};
use std::sync::Arc;

/// A table before or after a change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Weight(Usage);

impl Weight {
    #[inline]
    pub(in crate::store) fn of(table: Option<&Table>) -> Weight {
        Weight(table.map_or(Usage::default(), |table| Usage {
            keys: table.len(),
            bytes: table.entry_bytes(),
        }))
    }
}

/// One prefix in one stripe.
#[derive(Default)]
struct Share {
    usage: Usage,
    /// What the node's total has been told of it, in bytes.
    told: usize,
    counters: Counters,
    spots: Spots,
}

/// The accounts of a stripe.
pub(in crate::store) struct Ledger {
    prefixes: Arc<Prefixes>,
    /// What each table has of each prefix, so that a table can be flushed without being walked.
    tables: Box<[Option<Box<[Usage]>>]>,
    shares: Box<[Share]>,
    /// The place in the order of a scan up to which entries are counted: table and cursor.
    counted: (usize, u32),
    /// Bytes that it takes itself.
    bytes: usize,
}

impl Ledger {
    fn new(prefixes: &Arc<Prefixes>, tables: usize) -> Ledger {
        let fixed = size_of::<Ledger>() + tables * size_of::<Option<Box<[Usage]>>>();
        Ledger {
            prefixes: Arc::clone(prefixes),
            tables: (0..tables).map(|_| None).collect(),
            shares: (0..prefixes.len()).map(|_| Share::default()).collect(),
            counted: (0, 0),
            bytes: fixed + prefixes.len() * size_of::<Share>(),
        }
    }

    /// Bytes allocated.
    #[inline]
    pub(in crate::store) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it takes to know what a table has of each prefix.
    fn table_bytes(&self) -> usize {
        self.prefixes.len() * size_of::<Usage>()
    }

    pub(in crate::store) fn prefixes(&self) -> &Arc<Prefixes> {
        &self.prefixes
    }

    pub(in crate::store) fn is_counting(&self) -> bool {
        self.counted.0 < self.tables.len()
    }

    pub(in crate::store) fn usage(&self, number: usize) -> Usage {
        self.shares[number].usage
    }

    pub(in crate::store) fn counters(&self, number: usize) -> Counters {
        self.shares[number].counters
    }

    pub(in crate::store) fn spots_mut(&mut self, number: usize) -> &mut Spots {
        &mut self.shares[number].spots
    }

    pub(in crate::store) fn lacks_spots(&self, number: usize) -> bool {
        let share = &self.shares[number];
        share.spots.are_few(share.usage.keys)
    }

    /// What is counted of the prefix that a key belongs to.
    pub(in crate::store) fn of_key(&mut self, key: &[u8]) -> Option<&mut Counters> {
        let number = self.prefixes.find(key)?;
        Some(&mut self.shares[number].counters)
    }

    /// Whether the recount has passed the place of an entry.
    fn has_counted(&self, table: usize, order: u32) -> bool {
        !self.is_counting() || (table, order) < self.counted
    }

    /// Enters what a change has done to the table that the key is in.
    pub(in crate::store) fn enter(&mut self, target: Target<'_>, before: Weight, after: Weight) {
        if before == after {
            return;
        }
        let Some(number) = self.prefixes.find(target.key) else {
            return;
        };
        let order = scan_order(target.hash);
        if self.has_counted(target.table, order) {
            self.add(number, target.table, before.0, after.0);
            self.tell_if_far(number);
        }
        if after.0.keys > before.0.keys {
            self.note(number, target.table, target.hash);
        }
    }

    /// Remembers where a key of a prefix is, for a quota that it has or may get.
    fn note(&mut self, number: usize, table: usize, hash: u64) {
        let share = &mut self.shares[number];
        let spot = Spot::new(table, scan_order(hash));
        let before = share.spots.bytes();
        share.spots.note(spot, share.usage.keys, hash >> 32);
        self.bytes = self.bytes + share.spots.bytes() - before;
    }

    /// Remembers a spot of a prefix.
    pub(in crate::store) fn add_spot(&mut self, number: usize, spot: Spot, random: u64) {
        let spots = &mut self.shares[number].spots;
        let before = spots.bytes();
        spots.add(spot, random);
        self.bytes = self.bytes + spots.bytes() - before;
    }

    fn add(&mut self, number: usize, table: usize, before: Usage, after: Usage) {
        let (prefixes, bytes) = (self.prefixes.len(), self.table_bytes());
        let of_table = self.tables[table].get_or_insert_with(|| {
            self.bytes += bytes;
            vec![Usage::default(); prefixes].into()
        });
        for usage in [&mut of_table[number], &mut self.shares[number].usage] {
            usage.keys = (usage.keys + after.keys).saturating_sub(before.keys);
            usage.bytes = (usage.bytes + after.bytes).saturating_sub(before.bytes);
        }
    }

    fn tell_if_far(&mut self, number: usize) {
        let share = &self.shares[number];
        if share.usage.held_bytes().abs_diff(share.told) > self.prefixes.untold(number) {
            self.tell(number);
        }
    }

    /// Tells the node's total what is held of a prefix here.
    pub(in crate::store) fn tell(&mut self, number: usize) {
        let share = &mut self.shares[number];
        let held = share.usage.held_bytes();
        self.prefixes.tell(number, share.told, held);
        share.told = held;
    }

    fn tell_all(&mut self) {
        (0..self.shares.len()).for_each(|number| self.tell(number));
    }

    fn forget_table(&mut self, table: usize) {
        let Some(gone) = self.tables[table].take() else { return };
        self.bytes -= self.table_bytes();
        for (share, gone) in self.shares.iter_mut().zip(&gone) {
            share.usage.keys = share.usage.keys.saturating_sub(gone.keys);
            share.usage.bytes = share.usage.bytes.saturating_sub(gone.bytes);
        }
        self.tell_all();
    }

    /// Counts one bucket of what was there before the ledger; where it ends is where changes count from then on.
    fn count_bucket(&mut self, tables: &[Option<Box<Table>>], hasher: &ahash::RandomState) {
        let (number, cursor) = self.counted;
        let next = tables[number].as_deref().and_then(|table| {
            table.scan(cursor, |place| {
                let entry = table.entry(place);
                let Some(prefix) = self.prefixes.find(entry.key()) else {
                    return;
                };
                let hash = hasher.hash_one(entry.key());
                // A bucket that was merged of several may hold entries that were counted before.
                if scan_order(hash) >= cursor {
                    let usage = Usage {
                        keys: 1,
                        bytes: table.entry_bytes_at(place),
                    };
                    self.add(prefix, number, Usage::default(), usage);
                    self.note(prefix, number, hash);
                    self.tell_if_far(prefix);
                }
            })
        });
        self.counted = next.map_or((number + 1, 0), |cursor| (number, cursor));
    }
}

impl Stripe {
    /// Takes over other prefixes, or none: an empty ledger, the counters of prefixes that stay, and all still to be
    /// counted. Returns the old ledger, to be dropped under no lock.
    pub(super) fn adopt_prefixes(&mut self, prefixes: Option<&Arc<Prefixes>>) -> Option<Box<Ledger>> {
        match (&mut self.ledger, prefixes) {
            (None, None) => return None,
            (Some(ledger), Some(prefixes)) if Arc::ptr_eq(&ledger.prefixes, prefixes) => {
                // With other quotas, what was too little to be told may be much.
                ledger.tell_all();
                return None;
            }
            _ => {}
        }
        let mut fresh = prefixes.map(|prefixes| Box::new(Ledger::new(prefixes, self.tables.len())));
        if let Some(fresh) = &mut fresh
            && self.tables.iter().all(Option::is_none)
        {
            fresh.counted = (self.tables.len(), 0);
        }
        if let (Some(old), Some(fresh)) = (&self.ledger, &mut fresh) {
            for (prefix, share) in fresh.prefixes.list.iter().zip(&mut fresh.shares) {
                let same = old.prefixes.list.iter().position(|other| other.name == prefix.name);
                share.counters = same.map_or(Counters::default(), |number| old.counters(number));
            }
        }
        let before = self.ledger_bytes();
        let old = std::mem::replace(&mut self.ledger, fresh);
        self.used = self.used + self.ledger_bytes() - before;
        old
    }

    /// Bytes that the accounts take, which count as used.
    #[inline]
    pub(in crate::store) fn ledger_bytes(&self) -> usize {
        self.ledger.as_ref().map_or(0, |ledger| ledger.bytes())
    }

    /// Counts the keys of so many buckets that were there before their prefix; false once all are counted.
    pub(super) fn recount_prefixes(&mut self, buckets: usize) -> bool {
        let Some(ledger) = &mut self.ledger else { return false };
        let before = ledger.bytes();
        for _ in 0..buckets {
            if !ledger.is_counting() {
                break;
            }
            ledger.count_bucket(&self.tables, &self.hasher);
        }
        if !ledger.is_counting() {
            ledger.tell_all();
        }
        self.used = self.used + ledger.bytes() - before;
        ledger.is_counting()
    }

    /// The weight of a table that is about to change; `None` if nobody asks for it.
    #[inline]
    pub(in crate::store) fn weigh(&self, table: usize) -> Option<Weight> {
        self.ledger.as_ref().map(|_| Weight::of(self.table(table)))
    }

    /// Enters a change of a key in the accounts; `before` is what `weigh` said.
    #[inline]
    pub(in crate::store) fn settle(&mut self, target: Target<'_>, before: Option<Weight>) {
        if let Some(before) = before {
            let after = Weight::of(self.table(target.table));
            if let Some(ledger) = &mut self.ledger {
                let bytes = ledger.bytes();
                ledger.enter(target, before, after);
                self.used = self.used + ledger.bytes() - bytes;
            }
        }
    }

    /// The table is gone with all that it held.
    pub(in crate::store) fn forget_table_prefixes(&mut self, table: usize) {
        if let Some(ledger) = &mut self.ledger {
            let before = ledger.bytes();
            ledger.forget_table(table);
            self.used = self.used + ledger.bytes() - before;
        }
    }

    /// All tables are gone, and what is counted may be inconsistent.
    pub(in crate::store) fn forget_prefixes(&mut self) {
        if let Some(ledger) = &mut self.ledger {
            let tables = ledger.tables.iter().flatten().count();
            ledger.bytes -= tables * ledger.table_bytes();
            ledger.tables.fill_with(|| None);
            ledger
                .shares
                .iter_mut()
                .for_each(|share| share.usage = Usage::default());
            ledger.tell_all();
        }
    }

    /// Counts a read that found its key.
    #[inline]
    pub(in crate::store) fn count_hit(&mut self, key: &[u8]) {
        self.counters.hits += 1;
        if let Some(ledger) = &mut self.ledger
            && let Some(counters) = ledger.of_key(key)
        {
            counters.hits += 1;
        }
    }

    /// Counts a read that did not.
    #[inline]
    pub(in crate::store) fn count_miss(&mut self, key: &[u8]) {
        self.counters.misses += 1;
        if let Some(ledger) = &mut self.ledger
            && let Some(counters) = ledger.of_key(key)
        {
            counters.misses += 1;
        }
    }

    /// Counts an eviction.
    pub(in crate::store) fn count_evicted(&mut self, key: &[u8]) {
        self.counters.evicted += 1;
        if let Some(counters) = self.ledger.as_mut().and_then(|ledger| ledger.of_key(key)) {
            counters.evicted += 1;
        }
    }

    /// Sets what is counted of each prefix to zero, but not what it holds.
    pub(in crate::store) fn reset_prefix_counters(&mut self) {
        if let Some(ledger) = &mut self.ledger {
            let counters = ledger.shares.iter_mut().map(|share| &mut share.counters);
            counters.for_each(|counters| *counters = Counters::default());
        }
    }
}
