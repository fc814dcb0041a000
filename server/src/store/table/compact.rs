//! Emptying sparse slabs: their entries move to other slabs of the class, and the slab is given back.

use super::super::arena::Handle;
use super::Table;
use super::bucket::{prefetch, tag_of};

impl Table {
    /// Whether moving entries is likely to win memory back, with `tolerated` free bytes left alone.
    #[inline]
    pub(in crate::store) fn is_sparse(&self, tolerated: usize) -> bool {
        self.arena.is_sparse(tolerated)
    }

    /// Bytes of free blocks in slabs.
    pub(in crate::store) fn free_bytes(&self) -> usize {
        self.arena.free_bytes()
    }

    /// Moves at most `count` entries out of a sparse slab; returns how many were moved. Places and handles that
    /// were found before are void.
    pub(in crate::store) fn compact(&mut self, count: usize, rehash: impl Fn(&[u8]) -> u64) -> usize {
        let mut blocks = Vec::with_capacity(count);
        self.arena.blocks_to_move(count, &mut blocks);
        for &handle in &blocks {
            prefetch(self.arena.block(handle).as_ptr());
        }
        let hashes: Vec<u64> = blocks.iter().map(|&handle| rehash(self.at(handle).key())).collect();
        hashes.iter().for_each(|&hash| self.prefetch_bucket(hash));
        let moves = blocks.iter().zip(hashes);
        moves.take_while(|&(&handle, hash)| self.relocate(handle, hash)).count()
    }

    /// Moves one entry; false if there is no room for it.
    fn relocate(&mut self, old: Handle, hash: u64) -> bool {
        let Some((bucket, lane)) = self.lane_of(old, hash) else {
            debug_assert!(false, "every live block is an entry that a bucket names");
            return false;
        };
        let Some(fresh) = self.arena.relocate(old) else {
            return false;
        };
        self.bucket_mut(bucket).handles[lane] = fresh.get();
        true
    }

    /// The bucket and the lane that name a block.
    fn lane_of(&self, handle: Handle, hash: u64) -> Option<(u32, usize)> {
        let mut number = self.home(hash);
        loop {
            let bucket = self.bucket(number);
            let mut matches = bucket.tags.matches(tag_of(hash));
            while let Some(lane) = super::bucket::lane(matches) {
                if bucket.handles[lane] == handle.get() {
                    return Some((number, lane));
                }
                matches &= matches - 1;
            }
            number = bucket.tags.next()?;
        }
    }
}
