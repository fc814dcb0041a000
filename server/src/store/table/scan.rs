//! Walking a table in an order that growth does not disturb, and drawing entries at random.

use super::super::arena::Handle;
use super::super::entry::{Entry, Head};
use super::bucket::prefetch;
use super::{LANE_BYTES, Place, Table};

/// What there is to see of an entry without reading more than its first word.
#[derive(Clone, Copy, Default)]
pub(in crate::store) struct Glance {
    pub(in crate::store) head: Head,
    /// Names its block.
    pub(in crate::store) handle: u32,
    /// Of its block and its lane.
    pub(in crate::store) bytes: u32,
    /// Of its bucket.
    pub(in crate::store) cursor: u32,
}

/// Where in the order of a scan a hash comes.
pub(in crate::store) fn scan_order(hash: u64) -> u32 {
    (hash as u32).reverse_bits()
}

impl Table {
    /// Visits the entries whose bucket stands at `cursor` and returns the cursor of the next bucket,
    /// or `None` after the last.
    ///
    /// The cursor is a hash with its bits reversed: it moves through the hash space, not through bucket
    /// numbers, so an entry that is there from begin to end of a scan is seen however the table grows or
    /// shrinks meanwhile (the idea of Pieter Noordhuis's `dictScan`, for linear hashing).
    pub(in crate::store) fn scan(&self, cursor: u32, mut visit: impl FnMut(Place)) -> Option<u32> {
        let hash = cursor.reverse_bits();
        let home = self.home(u64::from(hash));
        self.visit_chain(home, &mut visit);
        self.after_bucket(cursor, home)
    }

    /// The cursor of the bucket that comes after the one at `cursor` in a scan; `None` after the last.
    pub(in crate::store) fn after(&self, cursor: u32) -> Option<u32> {
        self.after_bucket(cursor, self.bucket_at(cursor))
    }

    fn after_bucket(&self, cursor: u32, home: u32) -> Option<u32> {
        let bits = self.bits_of(home);
        if bits == 0 {
            return None;
        }
        let step = 1u32 << (32 - bits);
        (cursor & !(step - 1)).checked_add(step)
    }

    /// The bucket at a cursor, to `glance` at.
    pub(in crate::store) fn bucket_at(&self, cursor: u32) -> u32 {
        self.home(u64::from(cursor.reverse_bits()))
    }

    /// Reads the first words of all entries of a bucket, for which there is room behind the first `count`; returns the
    /// bucket that goes on where this one is full.
    #[inline]
    pub(in crate::store) fn glance(
        &self,
        number: u32,
        cursor: u32,
        glances: &mut [Glance],
        count: &mut usize,
    ) -> Option<u32> {
        let bucket = self.bucket(number);
        for handle in bucket.handles.iter().filter_map(|&raw| Handle::new(raw)) {
            glances[*count] = self.glance_by(handle, cursor);
            *count += 1;
        }
        bucket.tags.next()
    }

    /// The same for one entry.
    pub(in crate::store) fn glance_at(&self, place: Place, cursor: u32) -> Glance {
        self.glance_by(place.handle, cursor)
    }

    #[inline]
    fn glance_by(&self, handle: Handle, cursor: u32) -> Glance {
        let (base, bytes) = self.arena.block_with_bytes(handle);
        Glance {
            // SAFETY: handles in buckets name live entries, and `&self` keeps them from changing.
            head: unsafe { Entry::at(base) }.head(),
            handle: handle.get(),
            bytes: bytes + LANE_BYTES as u32,
            cursor,
        }
    }

    /// Visits the entries of a bucket and of its overflow.
    pub(super) fn visit_chain(&self, home: u32, mut visit: impl FnMut(Place)) {
        let mut number = home;
        loop {
            let bucket = self.bucket(number);
            for (lane, &raw) in bucket.handles.iter().enumerate() {
                if let Some(handle) = Handle::new(raw) {
                    visit(self.place(number, lane, handle));
                }
            }
            match self.next(number) {
                Some(next) => number = next,
                None => return,
            }
        }
    }

    /// The entry of a block, if it still stands in the bucket at `cursor`.
    pub(in crate::store) fn place_of(&self, cursor: u32, handle: u32) -> Option<Place> {
        let handle = Handle::new(handle)?;
        let mut number = self.home(u64::from(cursor.reverse_bits()));
        loop {
            let handles = &self.bucket(number).handles;
            if let Some(lane) = handles.iter().position(|&raw| raw == handle.get()) {
                return Some(self.place(number, lane, handle));
            }
            number = self.next(number)?;
        }
    }

    /// Asks the cache for the entries of the bucket at `cursor`; those of an overflow bucket are too few to matter.
    pub(in crate::store) fn prefetch_entries(&self, cursor: u32) {
        let bucket = self.bucket(self.bucket_at(cursor));
        for handle in bucket.handles.iter().filter_map(|&raw| Handle::new(raw)) {
            prefetch(self.arena.block(handle).as_ptr());
        }
    }

    /// Asks the cache for the block of an entry behind its first line, as far as a small one goes.
    pub(in crate::store) fn prefetch_block(&self, place: Place) {
        let (base, bytes) = self.arena.block_with_bytes(place.handle);
        for line in (64..bytes as usize + 63).step_by(64).take(3) {
            prefetch(base.as_ptr().wrapping_add(line.min(bytes as usize - 1)));
        }
    }

    /// Asks the cache for the bucket at `cursor`.
    pub(in crate::store) fn prefetch_at(&self, cursor: u32) {
        prefetch(self.bucket(self.bucket_at(cursor)));
    }

    /// Whether `cursor` stands at the beginning of its bucket. If it does not, the bucket was merged from
    /// several of which some were scanned already: those entries whose [`scan_order`] is below the cursor.
    pub(in crate::store) fn begins_bucket(&self, cursor: u32) -> bool {
        let home = self.home(u64::from(cursor.reverse_bits()));
        cursor << self.bits_of(home) == 0
    }

    /// How many bits of a hash tell that it belongs to a bucket.
    fn bits_of(&self, home: u32) -> u32 {
        let round = self.buckets.ilog2();
        let split = home >= 1 << round || home + (1 << round) < self.buckets;
        round + u32::from(split)
    }

    /// Some entry, each about as likely, from a random number; `None` if the table is empty.
    pub(in crate::store) fn sample(&self, random: u64) -> Option<Place> {
        if self.len == 0 {
            return None;
        }
        let mut cursor = random as u32;
        loop {
            let mut found: Vec<Place> = Vec::new();
            let next = self.scan(cursor, |place| found.push(place));
            if !found.is_empty() {
                return Some(found[(random >> 32) as usize % found.len()]);
            }
            cursor = next.unwrap_or(0);
        }
    }
}
