//! Sizes: which class a block falls into, how large its slabs are, what the allocator really gives.

use super::GRANULE;

/// Classes of one granule each, before the geometric ones begin.
const LINEAR_CLASSES: usize = 16;
/// Enough for the largest block that shares a slab.
pub(super) const CLASSES: usize = LINEAR_CLASSES + 8 * 6 + 1;
/// The largest slab; a handle's offset reaches so far.
pub(super) const MAX_SLAB_BYTES: usize = 64 << 10;
/// The largest block that shares a slab, on any node.
const MAX_BLOCK_BYTES: usize = MAX_SLAB_BYTES / BLOCKS_PER_SLAB;
/// A slab has room for at least so many blocks, so that what is left over at its end is a ninth at most.
const BLOCKS_PER_SLAB: usize = 8;

/// Granules of the class that a request for `granules` falls into, and the class's number.
#[inline]
pub(super) fn class_of(granules: usize) -> (usize, usize) {
    if granules <= LINEAR_CLASSES {
        return (granules, granules);
    }
    let octave = (granules - 1).ilog2() as usize;
    let shift = octave - 3;
    let step = (granules - 1) >> shift;
    ((step + 1) << shift, LINEAR_CLASSES + (octave - 4) * 8 + step - 7)
}

/// The largest block that shares a slab, by the size of the smallest slabs: every class in use has a slab
/// that is partly empty, so a small node has fewer of the large classes.
pub(in crate::store) fn max_block_bytes(slab_bytes: usize) -> usize {
    (slab_bytes * slab_bytes / (MAX_SLAB_BYTES / 2)).clamp(slab_bytes / BLOCKS_PER_SLAB, MAX_BLOCK_BYTES)
}

/// Bytes of a slab for blocks of so many granules, where the smallest slabs have `slab_bytes`.
pub(super) fn slab_bytes_for(granules: usize, slab_bytes: usize) -> usize {
    (granules * GRANULE * BLOCKS_PER_SLAB)
        .next_power_of_two()
        .max(slab_bytes)
}

/// Bytes that an entry of `bytes`, its header included, takes where the smallest slabs have `slab_bytes`.
pub(in crate::store) fn footprint(bytes: usize, slab_bytes: usize) -> usize {
    /// The block, the box and the count of references of a value that is kept apart.
    const APART: usize = 128;
    if bytes <= max_block_bytes(slab_bytes) {
        class_of(bytes.div_ceil(GRANULE)).0 * GRANULE
    } else {
        allocated_bytes(bytes) + APART
    }
}

/// What jemalloc gives for a request of `bytes`: multiples of 16, from 128 on quarters of a power of two, and in the end
/// whole pages.
pub(in crate::store) fn allocated_bytes(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        _ => bytes.next_multiple_of((1 << ((bytes - 1).ilog2() - 2)).min(4096)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_they_are_asked_for_and_waste_an_eighth_at_most() {
        let mut last = 0;
        for granules in 1..=MAX_BLOCK_BYTES / GRANULE {
            let (size, class) = class_of(granules);
            assert!(
                size >= granules && size <= granules + granules.div_ceil(8),
                "{granules} -> {size}"
            );
            assert!(class < CLASSES && class >= last && class <= last + 1);
            assert_eq!(class_of(size), (size, class), "a class's size is in that class");
            last = class;
        }
    }

    #[test]
    fn a_slab_holds_eight_blocks_at_least() {
        for slab in [4096, 8192, 16384, 32768, 65536] {
            let most = max_block_bytes(slab);
            assert!((512..=MAX_BLOCK_BYTES).contains(&most));
            for granules in 1..=most / GRANULE {
                let bytes = slab_bytes_for(granules, slab);
                assert!(bytes >= granules * GRANULE * BLOCKS_PER_SLAB && (slab..=MAX_SLAB_BYTES).contains(&bytes));
            }
        }
    }

    #[test]
    fn the_allocator_gives_what_is_said() {
        // SAFETY: `nallocx` computes a size and touches nothing.
        let real = |bytes| unsafe { tikv_jemalloc_sys::nallocx(bytes, 0) };
        for bytes in (1..70_000).chain((20..30).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            assert_eq!(allocated_bytes(bytes), real(bytes), "{bytes}");
        }
    }
}
