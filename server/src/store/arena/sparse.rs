//! Which slab is worth emptying: where a class has a slab's worth of free blocks, its sparsest slab can go.
//!
//! When the sizes of values shift, the blocks that are freed lie all over the slabs of their class, and none of
//! those slabs is free for another class. Only one bucket names each block, so the owner of the arena can move
//! the blocks of a sparse slab into the free blocks of others; the slab is then given back.

use super::class::{CLASSES, class_of};
use super::{Arena, GRANULE, Handle, NONE, SHIFT};

/// How many slabs of a class are looked at to find a sparse one.
const LOOK_AT: usize = 64;
/// Words of a bitmap of the granules of the largest slab.
const WORDS: usize = (1 << SHIFT) / 64;

impl Arena {
    /// Whether some free bytes are likely to be won back by moving blocks, with `tolerated` bytes left alone.
    #[inline]
    pub(in crate::store) fn is_sparse(&self, tolerated: usize) -> bool {
        self.emptying != NONE || self.free_bytes() > tolerated.max(self.futile_bytes + 2 * self.slab_bytes)
    }

    /// At most `count` blocks of the slab that is being emptied, to be moved: another one is chosen if there
    /// is none. Nothing if no slab is worth it.
    pub(in crate::store) fn blocks_to_move(&mut self, count: usize, blocks: &mut Vec<Handle>) {
        if self.emptying == NONE {
            match self.find_sparse() {
                Some((number, class)) => {
                    self.unlink(number, class);
                    self.emptying = number;
                }
                None => {
                    self.futile_bytes = self.free_bytes();
                    return;
                }
            }
        }
        self.live_blocks(self.emptying, count, blocks);
    }

    /// The sparsest slab of some class, among those looked at, whose blocks fit the free ones of the others.
    fn find_sparse(&mut self) -> Option<(u32, usize)> {
        for _ in 0..CLASSES {
            let class = self.search_at;
            if let Some(number) = self.sparsest(class) {
                return Some((number, class));
            }
            self.search_at = (class + 1) % CLASSES;
        }
        None
    }

    fn sparsest(&self, class: usize) -> Option<u32> {
        let (mut free, mut best) = (0, None);
        let mut number = self.with_room[class];
        for _ in 0..LOOK_AT {
            if number == NONE {
                break;
            }
            let slab = &self.slabs[number as usize];
            free += u32::from(slab.end) / slab.block - slab.live;
            if best.is_none_or(|(live, _)| slab.live < live) {
                best = Some((slab.live, number));
            }
            number = slab.next;
        }
        let (_, number) = best?;
        let slab = &self.slabs[number as usize];
        (free >= u32::from(slab.end) / slab.block).then_some(number)
    }

    /// Lists live blocks of a slab: those that neither its free list nor its untouched end holds.
    fn live_blocks(&self, number: u32, count: usize, blocks: &mut Vec<Handle>) {
        let slab = &self.slabs[number as usize];
        let Some(base) = slab.base else { return };
        let mut free = [0u64; WORDS];
        let mut next = slab.free;
        while next != 0 {
            let offset = (next - 1) as usize;
            free[offset / 64] |= 1 << (offset % 64);
            // SAFETY: the free list holds offsets of free blocks of this slab, each with the next link in it.
            next = unsafe { base.add(offset * GRANULE).cast::<u32>().read() };
        }
        let offsets = (0..slab.fresh as usize).step_by(slab.block as usize);
        let live = offsets.filter(|offset| free[offset / 64] & 1 << (offset % 64) == 0);
        blocks.extend(live.take(count).map(|offset| self.handle(number, offset as u32)));
    }

    /// Moves the content of a block of the slab that is being emptied to another slab of its class; the old
    /// block is free then. `None`, and the slab is spared, if no other slab has room.
    pub(in crate::store) fn relocate(&mut self, old: Handle) -> Option<Handle> {
        let bytes = self.block_bytes(old);
        let (_, class) = class_of(bytes / GRANULE);
        let number = self.with_room[class];
        if number == NONE {
            self.spare(class);
            return None;
        }
        let fresh = self.take_block(number, class);
        // SAFETY: both are whole blocks of this size, and different ones, as the old one is in use.
        unsafe { self.block(fresh).copy_from_nonoverlapping(self.block(old), bytes) };
        self.free(old);
        Some(fresh)
    }

    /// Lists the slab that is being emptied among those with room again.
    fn spare(&mut self, class: usize) {
        let number = std::mem::replace(&mut self.emptying, NONE);
        if number != NONE {
            self.link(number, class);
        }
        self.futile_bytes = self.free_bytes();
    }
}
