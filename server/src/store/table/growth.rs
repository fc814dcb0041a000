//! How a table grows and shrinks: chains, segments, splits and merges.

use super::super::arena::Handle;
use super::bucket::{Bucket, EMPTY, LANES, OVERFLOW, lane, prefetch, tag_of};
use super::{FIRST, Place, Segment, Table};

/// Average entries per bucket, times two, at which a bucket is added. At 7.5 a bucket overflows
/// seldom even at the end of a round, and an entry's share of the table is 10 bytes.
const GROW_AT: usize = 15;
/// The same for taking a bucket away: far enough below that a size at rest does not flap.
const SHRINK_AT: usize = 5;
/// Below so many overflow buckets their list grows by an eighth at a time: on a small node a doubled list is memory
/// that entries could have.
const GROW_GENTLY_BELOW: usize = 4096;

impl Table {
    /// Adds a bucket if the entries have become too many for those that are there.
    #[inline]
    pub(super) fn grow(&mut self, rehash: impl Fn(&[u8]) -> u64) {
        if self.len * 2 > self.buckets as usize * GROW_AT {
            self.split(rehash);
        }
    }

    /// Takes a bucket away if there are too many for the entries.
    #[inline]
    pub(super) fn shrink(&mut self, rehash: impl Fn(&[u8]) -> u64) {
        if self.buckets > 1 && self.len * 2 < self.buckets as usize * SHRINK_AT {
            self.merge(rehash);
        }
    }

    pub(super) fn link(&mut self, home: u32, tag: u8, handle: Handle) {
        let mut number = home;
        let lane = loop {
            if let Some(lane) = lane(self.bucket(number).tags.matches(0)) {
                break lane;
            }
            number = match self.next(number) {
                Some(next) => next,
                None => self.add_overflow(number),
            };
        };
        self.bucket_mut(number).set_lane(lane, tag, handle.get());
    }

    fn add_overflow(&mut self, last: u32) -> u32 {
        let index = self.free_overflow.pop().unwrap_or_else(|| {
            let len = self.overflow.len();
            if len == self.overflow.capacity() && len < GROW_GENTLY_BELOW {
                self.overflow.reserve_exact(len / 8 + 4);
            }
            self.overflow.push(EMPTY);
            self.weigh_index();
            (self.overflow.len() - 1) as u32
        });
        self.bucket_mut(last).tags.set_next(Some(index));
        index | OVERFLOW
    }

    /// Empties the lane at `place`, filling the hole from the end of the chain.
    pub(super) fn unlink(&mut self, home: u32, place: Place) {
        let (mut before, mut last) = (None, home);
        while let Some(next) = self.next(last) {
            (before, last) = (Some(last), next);
        }
        let (hole, lane) = (place.bucket, place.lane as usize);
        let Some(before) = before else {
            self.bucket_mut(hole).clear_lane(lane);
            return;
        };
        let source = self.bucket_mut(last);
        let from = source
            .handles
            .iter()
            .rposition(|&raw| raw != 0)
            .expect("an overflow bucket is never empty");
        let (tag, raw) = source.clear_lane(from);
        let emptied = source.handles.iter().all(|&raw| raw == 0);
        if (last, from) != (hole, lane) {
            self.bucket_mut(hole).set_lane(lane, tag, raw);
        }
        if emptied {
            self.bucket_mut(before).tags.set_next(None);
            self.free_overflow.push(last & !OVERFLOW);
        }
    }

    /// Takes every handle of a chain and leaves it empty.
    fn drain_chain(&mut self, home: u32, out: &mut Vec<Handle>) {
        let mut number = home;
        loop {
            let next = self.next(number);
            let bucket = std::mem::replace(self.bucket_mut(number), EMPTY);
            out.extend(bucket.handles.iter().filter_map(|&raw| Handle::new(raw)));
            if number & OVERFLOW != 0 {
                self.free_overflow.push(number & !OVERFLOW);
            }
            match next {
                Some(next) => number = next,
                None => return,
            }
        }
    }

    fn relink(&mut self, moved: &[Handle], rehash: impl Fn(&[u8]) -> u64) {
        for &handle in moved {
            prefetch(self.arena.block(handle).as_ptr());
        }
        for &handle in moved {
            let hash = rehash(self.at(handle).key());
            self.link(self.home(hash), tag_of(hash), handle);
        }
    }

    fn split(&mut self, rehash: impl Fn(&[u8]) -> u64) {
        if self.buckets == OVERFLOW - 1 {
            return;
        }
        let round = self.buckets.ilog2();
        let source = self.buckets - (1 << round);
        if self.buckets as usize == FIRST + (self.segments.len() << self.segment_shift) {
            self.add_segment();
        }
        let mut moved = Vec::with_capacity(2 * LANES);
        self.drain_chain(source, &mut moved);
        self.set_buckets(self.buckets + 1);
        self.relink(&moved, rehash);
        self.inherit_schedule(source);
    }

    fn add_segment(&mut self) {
        let buckets = self.arena.pool().take(self.arena.pool().slab_bytes()).cast::<Bucket>();
        for index in 0..1 << self.segment_shift {
            // SAFETY: the slab is ours, large enough and aligned to a cache line.
            unsafe { buckets.add(index).write(EMPTY) };
        }
        self.segments.push(Segment { buckets });
        self.weigh_index();
    }

    pub(super) fn drop_segment(&mut self) {
        if let Some(segment) = self.segments.pop() {
            // SAFETY: it came from the pool, and no bucket number refers to it any more.
            unsafe {
                self.arena
                    .pool()
                    .give(segment.buckets.cast(), self.arena.pool().slab_bytes());
            };
            self.weigh_index();
        }
    }

    fn merge(&mut self, rehash: impl Fn(&[u8]) -> u64) {
        let mut moved = Vec::with_capacity(2 * LANES);
        self.drain_chain(self.buckets - 1, &mut moved);
        self.set_buckets(self.buckets - 1);
        self.merge_schedule();
        // One segment stays in hand, so that a size at a segment's edge does not allocate each time.
        let in_hand = FIRST + (self.segments.len().saturating_sub(2) << self.segment_shift);
        if self.segments.len() > 1 && (self.buckets as usize) < in_hand {
            self.drop_segment();
        }
        self.relink(&moved, rehash);
        if self.free_overflow.len() == self.overflow.len() {
            self.overflow = Vec::new();
            self.free_overflow = Vec::new();
            self.weigh_index();
        }
    }
}
