//! A bucket: one cache line of tags and handles.

/// Entries that a bucket has room for.
pub(in crate::store) const LANES: usize = 12;
/// Marks a bucket number as one of the overflow buckets.
pub(super) const OVERFLOW: u32 = 1 << 31;

#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct Bucket {
    pub(super) tags: Tags,
    pub(super) handles: [u32; LANES],
}

/// Twelve tags, and above them the next overflow bucket plus 1; 0 ends the chain. A tag of 0 is an
/// empty lane.
#[derive(Clone, Copy)]
pub(super) struct Tags(u128);

pub(super) const EMPTY: Bucket = Bucket {
    tags: Tags(0),
    handles: [0; LANES],
};

impl Tags {
    /// A bit for each lane whose tag is `tag`.
    #[inline]
    #[cfg(target_arch = "x86_64")]
    pub(super) fn matches(self, tag: u8) -> u32 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
        // SAFETY: every x86-64 processor has SSE2, and these work on values alone.
        #[allow(unused_unsafe, reason = "safe since Rust 1.87 where SSE2 is on by default")]
        let mask = unsafe {
            let tags = _mm_set_epi64x((self.0 >> 64) as i64, self.0 as i64);
            _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(tag as i8)))
        };
        mask as u32 & ((1 << LANES) - 1)
    }

    /// A bit for each lane whose tag is `tag`.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn matches(self, tag: u8) -> u32 {
        (0..LANES).fold(0, |mask, lane| mask | u32::from(self.get(lane) == tag) << lane)
    }

    pub(super) fn get(self, lane: usize) -> u8 {
        (self.0 >> (lane * 8)) as u8
    }

    pub(super) fn set(&mut self, lane: usize, tag: u8) {
        self.0 = self.0 & !(0xff << (lane * 8)) | u128::from(tag) << (lane * 8);
    }

    /// The bucket that goes on where this one is full.
    #[inline]
    pub(super) fn next(self) -> Option<u32> {
        ((self.0 >> 96) as u32).checked_sub(1).map(|index| index | OVERFLOW)
    }

    pub(super) fn set_next(&mut self, index: Option<u32>) {
        let link = index.map_or(0, |index| index + 1);
        self.0 = self.0 & ((1 << 96) - 1) | u128::from(link) << 96;
    }
}

impl Bucket {
    pub(super) fn clear_lane(&mut self, lane: usize) -> (u8, u32) {
        let old = (self.tags.get(lane), self.handles[lane]);
        self.set_lane(lane, 0, 0);
        old
    }

    pub(super) fn set_lane(&mut self, lane: usize, tag: u8, raw: u32) {
        self.tags.set(lane, tag);
        self.handles[lane] = raw;
    }
}

/// The first lane of a mask.
#[inline]
pub(super) fn lane(mask: u32) -> Option<usize> {
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}

/// The hash's byte that a tag keeps; never 0.
#[inline]
pub(super) fn tag_of(hash: u64) -> u8 {
    ((hash >> 32) as u8).max(1)
}

/// Asks the cache for what `pointer` points to, which need not be valid.
#[inline]
pub(in crate::store) fn prefetch<T>(pointer: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing the program can see and cannot fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(pointer.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = pointer;
}
