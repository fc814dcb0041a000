//! Slabs of equal blocks: where a table's entries live, named by 32-bit handles.
//!
//! A slab holds blocks of one size class. Classes are multiples of the 8-byte granule up to 128 bytes
//! and eighths of a power of two above, so a block wastes at most an eighth of itself. A handle counts
//! granules: its high bits name the slab, its low bits the block's offset in it, so that finding a
//! block costs one load. Free blocks of a slab form a list through their own first bytes, and slabs
//! with a free block form a list per class, so that a slab that empties can be given back at once; one that
//! stays sparse can be emptied by moving its blocks (`sparse`).
//! A block that is too large to share a slab (its key must be long, as large values are kept apart) has one
//! of its own size to itself.

mod allocator;
mod class;
mod pool;
mod sparse;

pub(super) use allocator::purge;
pub(super) use class::{allocated_bytes, footprint, max_block_bytes};
pub(super) use pool::Pool;

use class::{CLASSES, MAX_SLAB_BYTES, class_of, slab_bytes_for};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::Arc;

/// The unit of allocation in bytes, and the alignment of every block.
pub(super) const GRANULE: usize = 8;
/// A handle's low bits: the offset of a block in its slab, in granules.
const SHIFT: u32 = (MAX_SLAB_BYTES / GRANULE).ilog2();
/// How many slabs a handle can tell apart.
pub(super) const MAX_SLABS: usize = 1 << (32 - SHIFT);
/// Below so many slabs their list grows by an eighth at a time: on a small node a doubled list is memory that
/// entries could have, on a large one it is next to nothing, and copying it takes time.
const GROW_GENTLY_BELOW: usize = 8192;
/// "No slab" in the lists of slabs with room; number 0 is never given to a slab.
const NONE: u32 = 0;

/// The list of more slabs than this goes when all of them have gone.
const KEPT_SLABS: usize = 64;

/// A block's name within its arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Handle(NonZeroU32);

impl Handle {
    /// The handle as a table's bucket stores it; never 0.
    pub(super) fn get(self) -> u32 {
        self.0.get()
    }

    /// The handle that `get` gave; `None` for 0, an empty lane.
    pub(super) fn new(raw: u32) -> Option<Handle> {
        NonZeroU32::new(raw).map(Handle)
    }
}

struct Slab {
    /// Start of the slab's memory; `None` while the number is unused.
    base: Option<NonNull<u8>>,
    /// Granules per block.
    block: u32,
    /// First free block, in granules from the slab's start, plus 1; 0 when the list is empty.
    free: u32,
    /// Granules handed out so far from the untouched end of the slab.
    fresh: u16,
    /// Granules of all blocks that the slab has room for; 0 for one that a large block has to itself.
    end: u16,
    live: u32,
    /// Neighbours in the class's list of slabs with room.
    prev: u32,
    next: u32,
}

/// Slabs and their free lists.
pub(super) struct Arena {
    pool: Arc<Pool>,
    slabs: Vec<Slab>,
    unused: Vec<u32>,
    /// Per class, the first slab with room.
    with_room: [u32; CLASSES],
    /// Bytes of the smallest slabs.
    slab_bytes: usize,
    /// The largest block that shares a slab.
    max_block_bytes: usize,
    live_bytes: usize,
    /// Bytes of all blocks, free ones included.
    block_bytes: usize,
    /// Bytes of all slabs.
    slabs_bytes: usize,
    /// The slab that is being emptied, which no class lists.
    emptying: u32,
    /// Where the search for a sparse slab goes on: a class.
    search_at: usize,
    /// Free bytes that were found not to be worth the moving.
    futile_bytes: usize,
}

// SAFETY: the slabs belong to the arena alone; nothing in them is tied to a thread.
unsafe impl Send for Arena {}

fn single_layout(granules: usize) -> Layout {
    Layout::from_size_align(granules * GRANULE, GRANULE).expect("no entry is near the size of the address space")
}

/// Memory for a block that has its slab to itself.
fn alloc_single(granules: usize) -> NonNull<u8> {
    let layout = single_layout(granules);
    // SAFETY: the layout's size is not zero, as no block is empty.
    let memory = unsafe { alloc(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}

impl Slab {
    const UNUSED: Slab = Slab {
        base: None,
        block: 1,
        free: 0,
        fresh: 0,
        end: 0,
        live: 0,
        prev: NONE,
        next: NONE,
    };

    #[inline]
    fn is_full(&self) -> bool {
        self.free == 0 && self.fresh == self.end
    }
}

impl Arena {
    /// An empty arena that takes its slabs from `pool`.
    pub(super) fn new(pool: &Arc<Pool>) -> Arena {
        Arena {
            slabs: Vec::new(),
            unused: Vec::new(),
            with_room: [NONE; CLASSES],
            slab_bytes: pool.slab_bytes(),
            max_block_bytes: max_block_bytes(pool.slab_bytes()),
            live_bytes: 0,
            block_bytes: 0,
            slabs_bytes: 0,
            emptying: NONE,
            search_at: 0,
            futile_bytes: 0,
            pool: Arc::clone(pool),
        }
    }

    /// The pool, for what else is kept in slabs.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The largest block that shares a slab; a value that needs more is kept apart.
    pub(super) fn max_block_bytes(&self) -> usize {
        self.max_block_bytes
    }

    /// Bytes in blocks that are in use, each counted as its whole class.
    #[inline]
    pub(super) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Bytes in blocks that are free.
    pub(super) fn free_bytes(&self) -> usize {
        self.block_bytes - self.live_bytes
    }

    /// How many slabs there are or were at once.
    pub(super) fn slabs(&self) -> usize {
        self.slabs.len()
    }

    /// Bytes that the arena holds: its slabs and the list of them.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        self.slabs_bytes + self.slabs.capacity() * size_of::<Slab>() + self.unused.capacity() * size_of::<u32>()
    }

    /// Whether a block of so many granules has its slab to itself.
    fn is_single(&self, granules: usize) -> bool {
        granules * GRANULE > self.max_block_bytes
    }

    /// Bytes of a slab for blocks of so many granules.
    fn slab_size(&self, granules: usize) -> usize {
        if self.is_single(granules) {
            allocated_bytes(granules * GRANULE)
        } else {
            slab_bytes_for(granules, self.slab_bytes)
        }
    }

    /// A block of at least `bytes`, its content undefined.
    #[inline]
    pub(super) fn alloc(&mut self, bytes: usize) -> Handle {
        debug_assert!(bytes > 0);
        let granules = bytes.div_ceil(GRANULE);
        if self.is_single(granules) {
            return self.alloc_single(granules);
        }
        let (granules, class) = class_of(granules);
        let number = match self.with_room[class] {
            NONE => self.add_shared(granules, class),
            number => number,
        };
        self.take_block(number, class)
    }

    #[cold]
    fn add_shared(&mut self, granules: usize, class: usize) -> u32 {
        let number = self.add_slab(granules);
        self.link(number, class);
        number
    }

    /// A free block of a slab that its class lists.
    #[inline]
    fn take_block(&mut self, number: u32, class: usize) -> Handle {
        let slab = &mut self.slabs[number as usize];
        let offset = if slab.free != 0 {
            let offset = slab.free - 1;
            let base = slab.base.expect("a slab with room has memory");
            // SAFETY: `offset` came from the free list, so it is a whole block inside the slab, and
            // its first four bytes hold the next link, written when it was freed.
            slab.free = unsafe { base.add(offset as usize * GRANULE).cast::<u32>().read() };
            offset
        } else {
            let offset = u32::from(slab.fresh);
            slab.fresh += slab.block as u16;
            offset
        };
        slab.live += 1;
        let bytes = slab.block as usize * GRANULE;
        if slab.is_full() {
            self.unlink(number, class);
        }
        self.live_bytes += bytes;
        self.handle(number, offset)
    }

    fn handle(&self, number: u32, offset: u32) -> Handle {
        Handle(NonZeroU32::new((number << SHIFT) | offset).expect("slab numbers start at 1"))
    }

    /// A block with a slab to itself, which no class lists.
    #[cold]
    fn alloc_single(&mut self, granules: usize) -> Handle {
        let number = self.add_slab(granules);
        self.slabs[number as usize].live = 1;
        self.live_bytes += granules * GRANULE;
        self.handle(number, 0)
    }

    /// Gives a block back. The handle must not be used again.
    pub(super) fn free(&mut self, handle: Handle) {
        let number = handle.get() >> SHIFT;
        let offset = handle.get() & ((1 << SHIFT) - 1);
        let slab = &mut self.slabs[number as usize];
        let block = slab.block as usize;
        self.live_bytes -= block * GRANULE;
        if slab.end == 0 {
            return self.drop_slab(number);
        }
        let base = slab.base.expect("a live block's slab has memory");
        let was_full = slab.is_full();
        // SAFETY: the caller owns the block, which lies inside the slab and is aligned to 8.
        unsafe { base.add(offset as usize * GRANULE).cast::<u32>().write(slab.free) };
        slab.free = offset + 1;
        slab.live -= 1;
        if slab.live == 0 {
            if number == self.emptying {
                self.emptying = NONE;
            } else if !was_full {
                self.unlink(number, class_of(block).1);
            }
            self.drop_slab(number);
        } else if was_full {
            self.link(number, class_of(block).1);
        }
    }

    /// Bytes of the block that `handle` names, its whole class.
    pub(super) fn block_bytes(&self, handle: Handle) -> usize {
        self.slabs[(handle.get() >> SHIFT) as usize].block as usize * GRANULE
    }

    /// Where the block is. Valid until the block is freed or the arena is dropped.
    #[inline]
    pub(super) fn block(&self, handle: Handle) -> NonNull<u8> {
        self.block_with_bytes(handle).0
    }

    /// The same, and what `block_bytes` tells.
    #[inline]
    pub(super) fn block_with_bytes(&self, handle: Handle) -> (NonNull<u8>, u32) {
        let raw = handle.get();
        let slab = &self.slabs[(raw >> SHIFT) as usize];
        let base = slab.base.expect("a live block's slab has memory");
        let offset = (raw & ((1 << SHIFT) - 1)) as usize * GRANULE;
        // SAFETY: the mask keeps the offset inside the slab.
        (unsafe { base.add(offset) }, slab.block * GRANULE as u32)
    }

    fn add_slab(&mut self, granules: usize) -> u32 {
        if self.slabs.is_empty() {
            self.slabs.push(Slab::UNUSED);
        }
        let bytes = self.slab_size(granules);
        let (base, end) = if self.is_single(granules) {
            (alloc_single(granules), 0)
        } else {
            (self.pool.take(bytes), bytes / GRANULE / granules * granules)
        };
        let slab = Slab {
            base: Some(base),
            block: granules as u32,
            end: end as u16,
            ..Slab::UNUSED
        };
        let number = match self.unused.pop() {
            Some(number) => {
                self.slabs[number as usize] = slab;
                number
            }
            None => {
                let len = self.slabs.len();
                if len == self.slabs.capacity() && len < GROW_GENTLY_BELOW {
                    self.slabs.reserve_exact(len / 8 + 4);
                }
                self.slabs.push(slab);
                len as u32
            }
        };
        assert!(
            (number as usize) < MAX_SLABS,
            "a limit above `Shape::most_bytes` is refused"
        );
        self.slabs_bytes += bytes;
        self.block_bytes += if end == 0 { granules } else { end } * GRANULE;
        number
    }

    /// Gives a slab's memory back to where `add_slab` took it from.
    ///
    /// # Safety
    /// It is a slab of this arena for blocks of so many granules, and nothing refers to it any more.
    unsafe fn give_slab(&self, base: NonNull<u8>, granules: usize) {
        if self.is_single(granules) {
            // SAFETY: `alloc_single` allocated it with this layout.
            unsafe { dealloc(base.as_ptr(), single_layout(granules)) };
        } else {
            // SAFETY: it was taken from the pool.
            unsafe { self.pool.give(base, self.slab_size(granules)) };
        }
    }

    fn drop_slab(&mut self, number: u32) {
        let slab = &mut self.slabs[number as usize];
        let (granules, end) = (slab.block as usize, slab.end as usize);
        if let Some(base) = slab.base.take() {
            // SAFETY: no block of the slab is live.
            unsafe { self.give_slab(base, granules) };
            self.unused.push(number);
            self.slabs_bytes -= self.slab_size(granules);
            self.block_bytes -= if end == 0 { granules } else { end } * GRANULE;
            self.futile_bytes = self.futile_bytes.min(self.free_bytes());
            if self.slabs_bytes == 0 && self.slabs.len() > KEPT_SLABS {
                (self.slabs, self.unused) = (Vec::new(), Vec::new());
            }
        }
    }

    fn link(&mut self, number: u32, class: usize) {
        let head = self.with_room[class];
        let slab = &mut self.slabs[number as usize];
        (slab.prev, slab.next) = (NONE, head);
        if head != NONE {
            self.slabs[head as usize].prev = number;
        }
        self.with_room[class] = number;
    }

    fn unlink(&mut self, number: u32, class: usize) {
        let Slab { prev, next, .. } = self.slabs[number as usize];
        if prev == NONE {
            self.with_room[class] = next;
        } else {
            self.slabs[prev as usize].next = next;
        }
        if next != NONE {
            self.slabs[next as usize].prev = prev;
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for slab in std::mem::take(&mut self.slabs) {
            if let Some(base) = slab.base {
                // SAFETY: the arena's owner has dropped what the blocks held.
                unsafe { self.give_slab(base, slab.block as usize) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_overlap_and_memory_returns() {
        let mut arena = Arena::new(&Pool::new(4096, false));
        let mut live: Vec<(Handle, usize, u8)> = Vec::new();
        let mut seed = 7u64;
        for step in 0..20_000u32 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let roll = (seed >> 33) as usize;
            if live.len() > 300 || (roll.is_multiple_of(3) && !live.is_empty()) {
                let (handle, bytes, mark) = live.swap_remove(roll % live.len());
                // SAFETY: the block is live and `bytes` long.
                let content = unsafe { std::slice::from_raw_parts(arena.block(handle).as_ptr(), bytes) };
                assert!(content.iter().all(|&byte| byte == mark));
                arena.free(handle);
            } else {
                // One in eight may be above what shares a slab, up to twice a slab.
                let most = if roll & 7 == 0 { 8192 } else { arena.max_block_bytes() };
                let bytes = 1 + (roll >> 3) % most;
                let handle = arena.alloc(bytes);
                assert!(arena.block_bytes(handle) >= bytes);
                // SAFETY: the block is live and at least `bytes` long.
                unsafe { arena.block(handle).write_bytes(step as u8, bytes) };
                live.push((handle, bytes, step as u8));
            }
        }
        for (handle, _, _) in live {
            arena.free(handle);
        }
        assert_eq!((arena.live_bytes(), arena.block_bytes, arena.slabs_bytes), (0, 0, 0));
    }
}
