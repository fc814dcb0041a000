//! When which bucket of a table must be looked at for expired entries: a hierarchical timing wheel.
//!
//! The wheel (Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987) holds home buckets, not
//! keys: a bucket's chain is short and is read at one go, so its earliest deadline stands for all of them, and
//! an entry pays only its share of one record of 12 bytes, about 1.6 bytes. The record's tick is a lower bound
//! of the earliest deadline in the chain:
//!
//! - a deadline that is set moves its bucket only if it is earlier than that bound: one load and a compare in
//!   most cases, and setting it a million times leaves nothing behind;
//! - a deadline or key that goes needs no work at all;
//! - a bucket that fires is walked, what is due is removed, and the bucket is filed again under the earliest
//!   deadline of the rest. One that fires in vain, because its entries have changed, is just filed again;
//! - a bucket that is split hands its bound on, one that is merged takes the earlier of two.
//!
//! Time is in ticks of 8 ms, rounded up, so that whatever a fired tick stands for is really due:
//!
//! ```text
//!   at                far = at + 32
//!    |-- near: 64 slots of one tick --|
//!                      |-- level 1: 32 slots of 32 ticks --- ... level 5: of 2^25 ticks, 99 days in all
//! ```
//!
//! A bucket is filed at the lowest level that reaches its tick; what lies beyond the last is filed at its end,
//! and filed again when that comes. As `far` enters a slot of a higher level, the buckets there are filed anew,
//! one level down or more. This happens 32 ticks ahead of time, so that a million buckets with one deadline do
//! not delay those that are due meanwhile. Passing slots only hooks their lists, each in one step, to the list
//! of buckets that are `DUE` or to be filed anew (`ANEW`); occupancy bits find them, so that a clock that jumps by
//! years passes no empty slot. How many buckets of these two lists are worked on is up to the caller.
//!
//! If the clock goes back, all buckets are filed anew from there.
//!
//! Lists are doubly linked through the records, circular, each through a head of its own, so that a bucket leaves
//! its list without knowing which it is. Records come in segments that are allocated with their first scheduled
//! bucket, and are never moved.

mod order;
#[cfg(test)]
mod tests;

/// log2 of a tick in milliseconds.
const TICK_SHIFT: u32 = 3;
/// How far ahead buckets are filed anew, in ticks.
const LEAD: u64 = 32;
/// Slots of one tick: `LEAD` and one slot of level 1.
const NEAR: u64 = 64;
/// Levels above the near one.
const LEVELS: usize = 5;
/// log2 of the slots of such a level.
const LEVEL_SHIFT: u32 = 5;
const SLOTS: u64 = 1 << LEVEL_SHIFT;
/// Ticks from now that can be told apart: all but one slot of the last level.
const HORIZON: u64 = (SLOTS - 1) << (LEVEL_SHIFT * LEVELS as u32);
/// How far the wheel turns at most before the buckets that it has passed were worked on: a record keeps 32 bits of
/// its tick, which must tell past from future.
const MOST_AHEAD: u64 = 1 << 30;

/// The list of buckets to be walked.
const DUE: usize = NEAR as usize + LEVELS * SLOTS as usize;
/// The list of buckets to be filed anew by their tick.
const ANEW: usize = DUE + 1;
const LISTS: usize = ANEW + 1;
/// Marks a link as the head of a list.
const HEAD: u32 = 1 << 31;
/// As a link: the bucket is in no list.
const NONE: u32 = u32::MAX;

/// log2 of a segment's records.
const SEGMENT_SHIFT: u32 = 6;
const SEGMENT: usize = 1 << SEGMENT_SHIFT;

/// A time later than any, in milliseconds: nothing is scheduled.
pub(in crate::store) const NEVER_MS: u64 = u64::MAX;

/// Neighbours in a list.
#[derive(Clone, Copy)]
struct Links {
    prev: u32,
    next: u32,
}

/// What is kept for a bucket.
#[derive(Clone, Copy)]
struct Record {
    links: Links,
    /// The low bits of its tick.
    tick: u32,
}

const UNSCHEDULED: Record = Record {
    links: Links { prev: NONE, next: NONE },
    tick: 0,
};

/// The schedule of a table's buckets.
pub(super) struct Wheel {
    /// The tick up to which buckets have been given out as due.
    at: u64,
    /// The last tick that it may turn to before `DUE` and `ANEW` are empty.
    limit: u64,
    near: u64,
    levels: [u32; LEVELS],
    heads: [Links; LISTS],
    segments: Vec<Option<Box<[Record; SEGMENT]>>>,
    /// How many segments there really are.
    allocated: usize,
    scheduled: usize,
}

/// The first tick at which something with this deadline is due.
fn tick_of(deadline_ms: u64) -> u64 {
    deadline_ms.div_ceil(1 << TICK_SHIFT)
}

impl Wheel {
    pub(super) fn new(now_ms: u64) -> Wheel {
        let mut wheel = Wheel {
            at: 0,
            limit: 0,
            near: 0,
            levels: [0; LEVELS],
            heads: [Links { prev: NONE, next: NONE }; LISTS],
            segments: Vec::new(),
            allocated: 0,
            scheduled: 0,
        };
        for list in 0..LISTS {
            wheel.clear(list);
        }
        wheel.start(now_ms);
        wheel
    }

    /// Begins at this time; nothing may be scheduled.
    fn start(&mut self, now_ms: u64) {
        self.at = now_ms >> TICK_SHIFT;
        self.limit = self.at + MOST_AHEAD;
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Wheel>()
            + self.allocated * size_of::<[Record; SEGMENT]>()
            + self.segments.capacity() * size_of::<Option<Box<[Record; SEGMENT]>>>()
    }

    /// Allocations that dropping it gives back.
    pub(super) fn frees(&self) -> usize {
        self.allocated + 2
    }

    /// Whether it holds neither a bucket nor memory for any.
    pub(super) fn is_bare(&self) -> bool {
        self.scheduled == 0 && self.segments.is_empty()
    }

    #[inline]
    fn record(&self, bucket: u32) -> Option<&Record> {
        let segment = self.segments.get((bucket >> SEGMENT_SHIFT) as usize)?.as_deref()?;
        Some(&segment[bucket as usize & (SEGMENT - 1)])
    }

    fn record_mut(&mut self, bucket: u32) -> &mut Record {
        let segment = self.segments[(bucket >> SEGMENT_SHIFT) as usize]
            .as_deref_mut()
            .expect("a bucket that was scheduled has a record");
        &mut segment[bucket as usize & (SEGMENT - 1)]
    }

    fn is_scheduled(&self, bucket: u32) -> bool {
        self.record(bucket).is_some_and(|record| record.links.next != NONE)
    }

    /// Whether a deadline changes nothing, as its bucket is scheduled no later.
    #[inline]
    pub(super) fn covers(&self, bucket: u32, deadline_ms: u64) -> bool {
        let tick = self.bounded(tick_of(deadline_ms)) as u32;
        self.record(bucket)
            .is_some_and(|record| record.links.next != NONE && tick.wrapping_sub(record.tick) as i32 >= 0)
    }

    /// Where a record may be, to prefetch it.
    #[inline]
    pub(super) fn address(&self, bucket: u32) -> *const u8 {
        self.record(bucket)
            .map_or(std::ptr::null(), |record| (&raw const *record).cast())
    }

    /// The nearest tick that a record can tell.
    #[inline]
    fn bounded(&self, tick: u64) -> u64 {
        tick.clamp(self.at, self.at.saturating_add(HORIZON))
    }

    /// Schedules a bucket for a deadline that `covers` does not hold for. Returns when the wheel must turn for it,
    /// in Unix milliseconds: 0 is at once.
    pub(super) fn schedule(&mut self, bucket: u32, deadline_ms: u64, now_ms: u64) -> u64 {
        if self.scheduled == 0 {
            self.start(now_ms);
        }
        self.provide(bucket);
        self.unschedule(bucket);
        self.file(bucket, self.bounded(tick_of(deadline_ms))) << TICK_SHIFT
    }

    fn provide(&mut self, bucket: u32) {
        let index = (bucket >> SEGMENT_SHIFT) as usize;
        if index >= self.segments.len() {
            self.segments.resize_with(index + 1, || None);
        }
        if self.segments[index].is_none() {
            self.segments[index] = Some(Box::new([UNSCHEDULED; SEGMENT]));
            self.allocated += 1;
        }
    }

    /// Files a bucket that is in no list. Returns the tick at which it must be seen to.
    fn file(&mut self, bucket: u32, tick: u64) -> u64 {
        let (list, when) = self.list_for(tick);
        self.record_mut(bucket).tick = tick as u32;
        self.occupy(list);
        self.insert_after(bucket, self.heads[list].prev);
        when
    }

    /// The list that a tick belongs to, and when the wheel passes that. For what is behind its position, that is at
    /// once: the clock may have gone back without its notice.
    fn list_for(&self, tick: u64) -> (usize, u64) {
        if tick <= self.at {
            return (DUE, 0);
        }
        if tick - self.at < NEAR {
            return ((tick % NEAR) as usize, tick);
        }
        let far = self.at + LEAD;
        let mut level = 0;
        loop {
            let shift = LEVEL_SHIFT * (level + 1);
            let slot = tick >> shift;
            // What the level below does not reach is in no slot that this one has passed.
            if slot - (far >> shift) < SLOTS {
                let list = NEAR + u64::from(level) * SLOTS + slot % SLOTS;
                return (list as usize, (slot << shift) - LEAD);
            }
            level += 1;
        }
    }

    /// The bit that tells whether a list of the near level or of a higher one has buckets.
    fn occupy(&mut self, list: usize) {
        if list < NEAR as usize {
            self.near |= 1 << list;
        } else if list < DUE {
            let beyond = list - NEAR as usize;
            self.levels[beyond / SLOTS as usize] |= 1 << (beyond % SLOTS as usize);
        }
    }

    fn clear(&mut self, list: usize) {
        let head = HEAD | list as u32;
        self.heads[list] = Links { prev: head, next: head };
        if list < NEAR as usize {
            self.near &= !(1 << list);
        } else if list < DUE {
            let beyond = list - NEAR as usize;
            self.levels[beyond / SLOTS as usize] &= !(1 << (beyond % SLOTS as usize));
        }
    }

    fn is_empty(&self, list: usize) -> bool {
        self.heads[list].next & HEAD != 0
    }

    fn links(&mut self, node: u32) -> &mut Links {
        if node & HEAD != 0 {
            &mut self.heads[(node & !HEAD) as usize]
        } else {
            &mut self.record_mut(node).links
        }
    }

    fn insert_after(&mut self, bucket: u32, prev: u32) {
        let next = std::mem::replace(&mut self.links(prev).next, bucket);
        self.links(next).prev = bucket;
        *self.links(bucket) = Links { prev, next };
        self.scheduled += 1;
    }

    /// Takes a bucket out of its list, if it is in one.
    fn unschedule(&mut self, bucket: u32) {
        if !self.is_scheduled(bucket) {
            return;
        }
        let Links { prev, next } = std::mem::replace(self.links(bucket), UNSCHEDULED.links);
        self.links(prev).next = next;
        self.links(next).prev = prev;
        if prev == next && prev & HEAD != 0 {
            self.clear((prev & !HEAD) as usize);
        }
        self.scheduled -= 1;
    }

    /// Moves the buckets of one list to the end of another.
    fn splice(&mut self, from: usize, to: usize) {
        if self.is_empty(from) {
            return;
        }
        let Links {
            prev: last,
            next: first,
        } = self.heads[from];
        let tail = self.heads[to].prev;
        self.links(tail).next = first;
        self.links(first).prev = tail;
        self.links(last).next = HEAD | to as u32;
        self.heads[to].prev = last;
        self.clear(from);
    }

    fn pop(&mut self, list: usize) -> Option<u32> {
        let first = self.heads[list].next;
        if first & HEAD != 0 {
            return None;
        }
        self.unschedule(first);
        Some(first)
    }

    /// Turns the wheel to this time, as far as it may before what it has passed is worked on.
    pub(super) fn turn(&mut self, now_ms: u64) {
        let now = now_ms >> TICK_SHIFT;
        if self.is_empty(DUE) && self.is_empty(ANEW) {
            self.limit = self.at + MOST_AHEAD;
        }
        if now < self.at {
            return self.turn_back(now);
        }
        let to = now.min(self.limit);
        if to <= self.at {
            return;
        }
        let passed = slots(self.at, to, NEAR);
        let mut due = (self.near & passed).rotate_right(((self.at + 1) % NEAR) as u32);
        while due != 0 {
            let tick = self.at + 1 + u64::from(due.trailing_zeros());
            self.splice((tick % NEAR) as usize, DUE);
            due &= due - 1;
        }
        for level in 0..LEVELS {
            let shift = LEVEL_SHIFT * (level as u32 + 1);
            let passed = slots((self.at + LEAD) >> shift, (to + LEAD) >> shift, SLOTS) as u32;
            let mut anew = self.levels[level] & passed;
            while anew != 0 {
                let slot = anew.trailing_zeros() as usize;
                self.splice(NEAR as usize + level * SLOTS as usize + slot, ANEW);
                anew &= anew - 1;
            }
        }
        self.at = to;
    }

    fn turn_back(&mut self, now: u64) {
        for list in 0..DUE {
            self.splice(list, ANEW);
        }
        self.at = now;
        // Ticks in the lists may now be so far ahead that they must not be compared with a later position.
        self.limit = now;
    }

    /// Takes a bucket that is due; it must be walked and given to `settle`, or to `postpone`.
    pub(super) fn next_due(&mut self) -> Option<u32> {
        self.pop(DUE)
    }

    /// Files a bucket that `next_due` gave, under the earliest deadline that is left in it.
    pub(super) fn settle(&mut self, bucket: u32, earliest_ms: Option<u64>) {
        if let Some(deadline_ms) = earliest_ms {
            // It was walked, so it is not due again at this tick.
            let tick = self.bounded(tick_of(deadline_ms)).max(self.at + 1);
            self.file(bucket, tick);
        }
    }

    /// Takes back a bucket that was not walked.
    pub(super) fn postpone(&mut self, bucket: u32) {
        self.insert_after(bucket, self.heads[DUE].prev);
    }

    /// Files up to `count` buckets anew that came near; returns whether that was all of them.
    pub(super) fn file_anew(&mut self, count: usize) -> bool {
        for _ in 0..count {
            let Some(bucket) = self.pop(ANEW) else { return true };
            let ahead = self.record_mut(bucket).tick.wrapping_sub(self.at as u32) as i32;
            self.file(bucket, self.bounded(self.at.saturating_add_signed(i64::from(ahead))));
        }
        self.is_empty(ANEW)
    }

    /// When it must turn or be worked on next, in Unix milliseconds: at once as long as it has memory to give
    /// back, and `NEVER_MS` if there is nothing to do at all.
    pub(super) fn next_ms(&self) -> u64 {
        let trim = self.scheduled == 0 && !self.segments.is_empty();
        if trim || !self.is_empty(DUE) || !self.is_empty(ANEW) {
            return 0;
        }
        let mut next = u64::MAX;
        if self.near != 0 {
            let ahead = self.near.rotate_right(((self.at + 1) % NEAR) as u32).trailing_zeros();
            next = self.at + 1 + u64::from(ahead);
        }
        for (level, &occupied) in self.levels.iter().enumerate().filter(|(_, occupied)| **occupied != 0) {
            let shift = LEVEL_SHIFT * (level as u32 + 1);
            let first = ((self.at + LEAD) >> shift) + 1;
            let slot = first + u64::from(occupied.rotate_right((first % SLOTS) as u32).trailing_zeros());
            next = next.min((slot << shift) - LEAD);
        }
        if next == u64::MAX { NEVER_MS } else { next << TICK_SHIFT }
    }

    /// A bucket was split off from `source`.
    pub(super) fn split(&mut self, source: u32, fresh: u32) {
        if self.is_scheduled(source) {
            self.provide(fresh);
            self.record_mut(fresh).tick = self.record_mut(source).tick;
            self.insert_after(fresh, source);
        }
    }

    /// The last bucket was merged into another.
    pub(super) fn merge(&mut self, last: u32, into: u32) {
        if self.is_scheduled(last) {
            let tick = self.record_mut(last).tick;
            let covered = self
                .record(into)
                .is_some_and(|record| record.links.next != NONE && tick.wrapping_sub(record.tick) as i32 >= 0);
            if !covered {
                self.unschedule(into);
                self.provide(into);
                self.record_mut(into).tick = tick;
                self.insert_after(into, last);
            }
            self.unschedule(last);
        }
        // One segment stays in hand for a size at a segment's edge.
        self.keep_segments((last >> SEGMENT_SHIFT) as usize + 2);
    }

    fn keep_segments(&mut self, count: usize) {
        while self.segments.len() > count {
            self.allocated -= usize::from(self.segments.pop().flatten().is_some());
        }
        if self.segments.len() * 4 < self.segments.capacity() {
            self.segments.shrink_to(self.segments.len() * 2);
        }
    }

    /// Gives memory back while nothing is scheduled, a few segments at a time.
    pub(super) fn trim(&mut self, count: usize) {
        if self.scheduled == 0 {
            self.keep_segments(self.segments.len().saturating_sub(count));
        }
    }
}

/// A bit for each of `count` slots that is passed on the way from one position to a later one.
fn slots(from: u64, to: u64, count: u64) -> u64 {
    let all = u64::MAX >> (64 - count);
    match to - from {
        0 => 0,
        passed if passed >= count => all,
        passed => {
            let low = (1u64 << passed) - 1;
            let first = (from + 1) % count;
            (low << first | low.checked_shr((count - first) as u32).unwrap_or(0)) & all
        }
    }
}
