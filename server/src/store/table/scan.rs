//! Walking a table in an order that growth does not disturb, and drawing entries at random.

use super::super::arena::Handle;
use super::bucket::prefetch;
use super::{Place, Table};

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
        let bits = self.bits_of(home);
        if bits == 0 {
            return None;
        }
        let step = 1u32 << (32 - bits);
        (cursor & !(step - 1)).checked_add(step)
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

    /// Asks the cache for the entries of the bucket at `cursor`, and for the bucket after it.
    pub(in crate::store) fn prefetch_walk(&self, cursor: u32) {
        let home = self.home(u64::from(cursor.reverse_bits()));
        for handle in self.bucket(home).handles.iter().filter_map(|&raw| Handle::new(raw)) {
            prefetch(self.arena.block(handle).as_ptr());
        }
        let bits = self.bits_of(home);
        let next = 1u32
            .checked_shl(32 - bits)
            .map_or(0, |step| (cursor & !(step - 1)).wrapping_add(step));
        prefetch(self.bucket(self.home(u64::from(next.reverse_bits()))));
    }

    /// Asks the cache for a block, if it still belongs to the bucket at `cursor`.
    pub(in crate::store) fn prefetch_handle(&self, cursor: u32, handle: u32) {
        if let Some(place) = self.place_of(cursor, handle) {
            prefetch(self.arena.block(place.handle).as_ptr());
        }
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
