//! Finding a table's expired entries by the schedule of its buckets.

use super::super::arena::Handle;
use super::bucket::prefetch;
use super::deadlines::{NEVER_MS, Wheel};
use super::{Place, Table};

/// Buckets that are walked together, so that waiting for the memory of one is waiting for that of all.
const BATCH: usize = 16;

/// How much may be done at one go.
pub(in crate::store) struct Budget {
    /// Buckets to walk.
    pub(in crate::store) buckets: usize,
    /// Buckets that are only moved within the schedule, and pieces of its memory to free.
    pub(in crate::store) moves: usize,
    /// Keys to find; the last bucket may go beyond.
    pub(in crate::store) keys: usize,
}

impl Budget {
    /// Whether nothing more may be walked.
    pub(in crate::store) fn is_spent(&self) -> bool {
        self.buckets == 0 || self.keys == 0
    }
}

/// Keys of expired entries.
#[derive(Default)]
pub(in crate::store) struct DueKeys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl DueKeys {
    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    /// The keys, in the order in which they were found.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let key = &self.bytes[start..end];
            start = end;
            key
        })
    }
}

impl Table {
    /// Whether an entry with this deadline is found when that comes, without anything being done.
    #[inline]
    pub(in crate::store) fn is_scheduled(&self, hash: u64, deadline_ms: u64) -> bool {
        let wheel = self.deadlines.as_ref();
        wheel.is_some_and(|wheel| wheel.covers(self.home(hash), deadline_ms))
    }

    /// Sees to it that an entry is found when its deadline comes; to be called with each deadline that is set, unless
    /// `is_scheduled`. Returns when `collect_due` must be called for it, in Unix milliseconds.
    pub(in crate::store) fn schedule(&mut self, hash: u64, deadline_ms: u64, now_ms: u64) -> u64 {
        let (home, before) = (self.home(hash), self.deadline_bytes());
        let wheel = self.deadlines.get_or_insert_with(|| Box::new(Wheel::new(now_ms)));
        let when_ms = wheel.schedule(home, deadline_ms, now_ms);
        self.weigh_deadlines(before);
        when_ms
    }

    /// Asks the cache for what `schedule` will look at.
    #[inline]
    pub(in crate::store) fn prefetch_deadline(&self, hash: u64) {
        if let Some(wheel) = &self.deadlines {
            prefetch(wheel.address(self.home(hash)));
        }
    }

    /// The last bucket was split off from `source`.
    pub(super) fn inherit_schedule(&mut self, source: u32) {
        let before = self.deadline_bytes();
        if let Some(wheel) = self.deadlines.as_mut().filter(|_| self.volatile > 0) {
            wheel.split(source, self.buckets - 1);
            self.weigh_deadlines(before);
        }
    }

    /// The bucket after the last was merged into the one that it was split off from.
    pub(super) fn merge_schedule(&mut self) {
        let before = self.deadline_bytes();
        if let Some(wheel) = &mut self.deadlines {
            wheel.merge(self.buckets, self.buckets - (1 << self.buckets.ilog2()));
            self.weigh_deadlines(before);
        }
    }

    /// Bytes of the schedule.
    pub(super) fn deadline_bytes(&self) -> usize {
        self.deadlines.as_ref().map_or(0, |wheel| wheel.bytes())
    }

    fn weigh_deadlines(&mut self, before: usize) {
        if self.deadline_bytes() != before {
            self.weigh_index();
        }
    }

    /// When `collect_due` must be called next, in Unix milliseconds; `NEVER_MS` if no entry has a deadline.
    pub(in crate::store) fn next_due_ms(&self) -> u64 {
        self.deadlines.as_ref().map_or(NEVER_MS, |wheel| wheel.next_ms())
    }

    /// Finds entries that have expired by `now_ms`, within the budget; the caller must remove them all. If there
    /// may be more, `next_due_ms` is not later than `now_ms` afterwards.
    pub(in crate::store) fn collect_due(&mut self, now_ms: u64, budget: &mut Budget) -> DueKeys {
        let mut due = DueKeys::default();
        let before = self.deadline_bytes();
        let Some(mut wheel) = self.deadlines.take() else {
            return due;
        };
        wheel.turn(now_ms);
        wheel.file_anew(budget.moves);
        while !budget.is_spent() {
            let mut batch = [0; BATCH];
            let mut len = 0;
            while len < BATCH.min(budget.buckets)
                && let Some(bucket) = wheel.next_due()
            {
                prefetch(self.bucket(bucket));
                batch[len] = bucket;
                len += 1;
            }
            if len == 0 {
                break;
            }
            batch[..len].iter().for_each(|&home| self.prefetch_chain(home));
            for &home in &batch[..len] {
                if budget.is_spent() {
                    wheel.postpone(home);
                    continue;
                }
                let found = due.ends.len();
                wheel.settle(home, self.walk_due(home, now_ms, &mut due));
                budget.buckets -= 1;
                budget.keys = budget.keys.saturating_sub(due.ends.len() - found);
            }
        }
        wheel.trim(budget.moves);
        if !wheel.is_bare() {
            self.deadlines = Some(wheel);
        }
        self.weigh_deadlines(before);
        due
    }

    /// Asks the cache for the entries of a chain.
    fn prefetch_chain(&self, home: u32) {
        let mut number = home;
        loop {
            let bucket = self.bucket(number);
            for handle in bucket.handles.iter().filter_map(|&raw| Handle::new(raw)) {
                prefetch(self.arena.block(handle).as_ptr());
            }
            match bucket.tags.next() {
                Some(next) => number = next,
                None => return,
            }
        }
    }

    /// Collects the expired entries of a chain; returns the earliest deadline of the others.
    fn walk_due(&self, home: u32, now_ms: u64, due: &mut DueKeys) -> Option<u64> {
        let mut earliest = None;
        self.visit_chain(home, |place| {
            let entry = self.entry(place);
            match entry.deadline() {
                Some(deadline) if deadline <= now_ms => due.push(entry.key()),
                Some(deadline) => earliest = Some(earliest.map_or(deadline, |other: u64| other.min(deadline))),
                None => {}
            }
        });
        earliest
    }

    /// Visits the entries with a deadline of up to `buckets` buckets, in the order of the wheel's slots: exact for
    /// the next quarter of a second; later slots are as wide as a 32nd of the time that is left, or as half of it.
    /// Expired entries that were not reclaimed yet are among them.
    /// A place comes with the scan cursor of its bucket. After a bucket for which `visit` said that it has enough, no
    /// more are visited.
    pub(in crate::store) fn visit_soonest(&self, buckets: usize, mut visit: impl FnMut(u32, Place) -> bool) {
        let order = self.deadlines.iter().flat_map(|wheel| wheel.in_order());
        let mut enough = false;
        for home in order.take(buckets) {
            self.visit_chain(home, |place| {
                if self.entry(place).deadline().is_some() {
                    enough = visit(home.reverse_bits(), place);
                }
            });
            if enough {
                break;
            }
        }
    }
}
