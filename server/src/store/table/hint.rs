//! A guess at where buckets are, for prefetching without a lock.

use super::FIRST;
use super::bucket::{Bucket, prefetch};

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
