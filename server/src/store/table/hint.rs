//! Prefetching, and a guess at where buckets are, to do it without a lock.

use super::super::arena::Handle;
use super::bucket::{Bucket, lane, prefetch, tag_of};
use super::{FIRST, Table};

/// Where the buckets of a table were when it was last seen. Good for guesses only: nothing is read
/// through it, so it may be out of date.
#[derive(Default)]
pub(in crate::store) struct Hint {
    pub(super) first: usize,
    pub(super) segments: Vec<usize>,
    pub(super) shift: u32,
    pub(super) buckets: u32,
    pub(super) wide_mask: u32,
}

impl Hint {
    /// Asks the cache for the bucket that `hash` most likely belongs to.
    #[inline]
    pub(in crate::store) fn prefetch_bucket(&self, hash: u64) {
        let wide = hash as u32 & self.wide_mask;
        let number = if wide < self.buckets {
            wide
        } else {
            wide & (self.wide_mask >> 1)
        } as usize;
        let (base, index) = match number.checked_sub(FIRST) {
            None => (Some(&self.first), number),
            Some(beyond) => (
                self.segments.get(beyond >> self.shift),
                beyond & ((1 << self.shift) - 1),
            ),
        };
        if let Some(base) = base {
            prefetch((base + index * size_of::<Bucket>()) as *const Bucket);
        }
    }
}

impl Table {
    /// Asks the cache for the bucket that `hash` belongs to.
    #[inline]
    pub(in crate::store) fn prefetch_bucket(&self, hash: u64) {
        prefetch(self.bucket(self.home(hash)));
    }

    /// Notes where the buckets are.
    #[inline]
    pub(in crate::store) fn note(&self, hint: &mut Hint) {
        (hint.buckets, hint.wide_mask) = (self.buckets, self.wide_mask);
        if hint.segments.len() != self.segments.len() || hint.first != &raw const *self.first as usize {
            hint.first = &raw const *self.first as usize;
            hint.shift = self.segment_shift;
            hint.segments.clear();
            let addresses = self.segments.iter().map(|segment| segment.buckets.as_ptr() as usize);
            hint.segments.extend(addresses);
        }
    }

    /// Asks the cache for the entry that `hash` most likely names; its bucket should be there already. False if there is
    /// none.
    #[inline]
    pub(in crate::store) fn prefetch_entry(&self, hash: u64) -> bool {
        let bucket = self.bucket(self.home(hash));
        if let Some(handle) = lane(bucket.tags.matches(tag_of(hash))).and_then(|lane| Handle::new(bucket.handles[lane]))
        {
            let block = self.arena.block(handle).as_ptr();
            prefetch(block);
            prefetch(block.wrapping_add(64));
            return true;
        }
        false
    }
}
