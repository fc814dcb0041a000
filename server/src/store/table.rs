//! A hash table of entries that grows and shrinks by one bucket at a time.
//!
//! Linear hashing (Litwin, VLDB 1980): with N buckets, 2^L <= N < 2^(L+1), a hash belongs to bucket
//! `hash mod 2^(L+1)`, or `hash mod 2^L` if that bucket does not exist yet. Growth adds bucket N and
//! moves there the part of bucket `N - 2^L` that belongs to it, so that no operation waits for more
//! than a few entries. A bucket is one cache line of twelve tags (a byte of the hash each) and twelve
//! handles; what does not fit goes to an overflow bucket of the same form. Buckets live in segments of
//! 4 KiB, which never move.
//!
//! Hash bits: 0..32 bucket, 32..40 tag; the bits above choose the stripe.

use super::arena::{Arena, Handle};
use super::entry::{self, Entry, Parts};
use super::value::{Text, Value};

const LANES: usize = 12;
const SEGMENT: usize = 64;
/// Average entries per bucket, times two, at which a bucket is added. At 7.5 a bucket overflows
/// seldom even at the end of a round, and an entry's share of the table is 10 bytes.
const GROW_AT: usize = 15;
/// The same for taking a bucket away: far enough below that a size at rest does not flap.
const SHRINK_AT: usize = 5;
/// Marks a bucket number as one of the overflow buckets.
const OVERFLOW: u32 = 1 << 31;

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Bucket {
    tags: [u8; LANES],
    /// The next overflow bucket plus 1; 0 ends the chain.
    next: u32,
    handles: [u32; LANES],
}

const EMPTY: Bucket = Bucket {
    tags: [0; LANES],
    next: 0,
    handles: [0; LANES],
};

impl Bucket {
    /// A bit (the top one of a byte) for each lane whose tag may be `tag`; the lowest is certain.
    #[inline]
    fn matches(&self, tag: u8) -> u128 {
        const ONES: u128 = 0x0101_0101_0101_0101_0101_0101;
        let mut bytes = [0; 16];
        bytes[..LANES].copy_from_slice(&self.tags);
        let difference = u128::from_le_bytes(bytes) ^ (ONES * u128::from(tag));
        difference.wrapping_sub(ONES) & !difference & (ONES << 7)
    }

    fn free_lane(&self) -> Option<usize> {
        lane(self.matches(0))
    }
}

fn lane(matches: u128) -> Option<usize> {
    (matches != 0).then(|| matches.trailing_zeros() as usize / 8)
}

/// Where an entry stands: good until the table changes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    bucket: u32,
    lane: u8,
    pub(super) handle: Handle,
}

/// Entries of one database in one stripe.
pub(super) struct Table {
    segments: Vec<Box<[Bucket; SEGMENT]>>,
    buckets: u32,
    overflow: Vec<Bucket>,
    free_overflow: Vec<u32>,
    arena: Arena,
    len: usize,
    volatile: usize,
    apart: usize,
    apart_bytes: usize,
}

/// Where in the order of a scan a hash comes.
pub(super) fn scan_order(hash: u64) -> u32 {
    (hash as u32).reverse_bits()
}

fn tag_of(hash: u64) -> u8 {
    ((hash >> 32) as u8).max(1)
}

impl Table {
    pub(super) fn new(slab_bytes: usize) -> Table {
        Table {
            segments: vec![Box::new([EMPTY; SEGMENT])],
            buckets: 1,
            overflow: Vec::new(),
            free_overflow: Vec::new(),
            arena: Arena::new(slab_bytes),
            len: 0,
            volatile: 0,
            apart: 0,
            apart_bytes: 0,
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many of them have a deadline.
    pub(super) fn volatile(&self) -> usize {
        self.volatile
    }

    /// Buckets in use, overflow aside.
    pub(super) fn bucket_count(&self) -> u32 {
        self.buckets
    }

    /// Bytes of the index alone.
    pub(super) fn index_bytes(&self) -> usize {
        self.segments.len() * size_of::<[Bucket; SEGMENT]>()
            + self.segments.capacity() * size_of::<usize>()
            + self.overflow.capacity() * size_of::<Bucket>()
            + self.free_overflow.capacity() * 4
    }

    /// Bytes of the entries that are there, apart values included.
    pub(super) fn entry_bytes(&self) -> usize {
        self.arena.live_bytes() + self.apart_bytes
    }

    /// Bytes that the table holds in all: index, slabs, apart values.
    pub(super) fn held_bytes(&self) -> usize {
        self.index_bytes() + self.arena.held_bytes() + self.apart_bytes
    }

    /// What dropping the table costs: allocations, large ones counted once per 64 KiB.
    pub(super) fn frees(&self) -> usize {
        self.segments.len() + self.arena.slabs() + self.apart + self.held_bytes() / (64 << 10)
    }

    /// The largest entry that is kept in a slab.
    pub(super) fn max_inline_entry(&self) -> usize {
        self.arena.max_block_bytes()
    }

    #[inline]
    fn home(&self, hash: u64) -> u32 {
        let hash = hash as u32;
        let round = self.buckets.ilog2();
        let mask = (1u32 << round) - 1;
        let wide = hash & (mask << 1 | 1);
        if wide < self.buckets { wide } else { hash & mask }
    }

    #[inline]
    fn bucket(&self, number: u32) -> &Bucket {
        if number & OVERFLOW == 0 {
            &self.segments[number as usize / SEGMENT][number as usize % SEGMENT]
        } else {
            &self.overflow[(number & !OVERFLOW) as usize]
        }
    }

    fn bucket_mut(&mut self, number: u32) -> &mut Bucket {
        if number & OVERFLOW == 0 {
            &mut self.segments[number as usize / SEGMENT][number as usize % SEGMENT]
        } else {
            &mut self.overflow[(number & !OVERFLOW) as usize]
        }
    }

    fn next(&self, number: u32) -> Option<u32> {
        let next = self.bucket(number).next;
        (next != 0).then(|| (next - 1) | OVERFLOW)
    }

    /// Asks the cache for the bucket that `hash` belongs to.
    #[inline]
    pub(super) fn prefetch_bucket(&self, hash: u64) {
        prefetch(self.bucket(self.home(hash)));
    }

    /// Asks the cache for the entry that `hash` most likely names; its bucket should be there already.
    #[inline]
    pub(super) fn prefetch_entry(&self, hash: u64) {
        let bucket = self.bucket(self.home(hash));
        if let Some(handle) = lane(bucket.matches(tag_of(hash))).and_then(|lane| Handle::new(bucket.handles[lane])) {
            let block = self.arena.block(handle).as_ptr();
            prefetch(block);
            prefetch(block.wrapping_add(64));
        }
    }

    #[inline]
    fn at(&self, handle: Handle) -> Entry<'_> {
        // SAFETY: handles in buckets name live entries, and `&self` keeps them from changing.
        unsafe { Entry::at(self.arena.block(handle)) }
    }

    /// The entry at a place.
    #[inline]
    pub(super) fn entry(&self, place: Place) -> Entry<'_> {
        self.at(place.handle)
    }

    /// The entry at a place, to change it.
    #[inline]
    pub(super) fn entry_mut(&mut self, place: Place) -> Entry<'_> {
        self.at(place.handle)
    }

    /// Bytes that one entry takes: its block, its boxed value and its lane in a bucket.
    pub(super) fn held_by(&self, place: Place) -> usize {
        let apart = self.entry(place).apart().map_or(0, Value::held_bytes);
        self.arena.block_bytes(place.handle) + apart + size_of::<Bucket>() / LANES
    }

    /// Finds a key.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        let tag = tag_of(hash);
        let mut number = self.home(hash);
        loop {
            let bucket = self.bucket(number);
            let mut matches = bucket.matches(tag);
            while let Some(lane) = lane(matches) {
                if let Some(handle) = Handle::new(bucket.handles[lane])
                    && self.at(handle).key() == key
                {
                    return Some(Place {
                        bucket: number,
                        lane: lane as u8,
                        handle,
                    });
                }
                matches &= matches - 1;
            }
            number = self.next(number)?;
        }
    }

    /// Puts a key that is not there. `rehash` gives a key's hash, for the entries that growth moves.
    pub(super) fn insert(&mut self, hash: u64, parts: Parts<'_>, rehash: impl Fn(&[u8]) -> u64) {
        self.account(&parts);
        let handle = self.place_entry(parts);
        self.link(self.home(hash), tag_of(hash), handle);
        self.len += 1;
        if self.len * 2 > self.buckets as usize * GROW_AT {
            self.split(rehash);
        }
    }

    /// Replaces the entry at `place` by one with the same key, in place where it fits. The old boxed
    /// value, if there was one, is given back.
    pub(super) fn replace(&mut self, place: Place, parts: Parts<'_>) -> Option<Box<Value>> {
        let room = self.arena.block_bytes(place.handle);
        let bytes = parts.size();
        let mut old = self.at(place.handle);
        let same_form = old.deadline().is_some() == parts.deadline.is_some();
        if let entry::Content::Inline(value) = &parts.content
            && same_form
            && old.apart().is_none()
            && bytes <= room
            && bytes * 8 + 8 * 8 >= room * 7
        {
            if let Some(deadline) = parts.deadline {
                old.set_deadline(deadline);
            }
            old.set_meta(parts.meta);
            // SAFETY: `bytes` is the entry's new size and fits the block; the value is inline.
            unsafe { old.set_inline(value, parts.built) };
            return None;
        }
        self.account(&parts);
        let fresh = self.place_entry(parts);
        let replaced = self.release(place.handle);
        self.bucket_mut(place.bucket).handles[place.lane as usize] = fresh.get();
        replaced
    }

    /// Takes the entry out; its boxed value, if it has one, is given back.
    pub(super) fn remove(&mut self, place: Place, hash: u64, rehash: impl Fn(&[u8]) -> u64) -> Option<Box<Value>> {
        self.unlink(self.home(hash), place);
        self.len -= 1;
        let value = self.release(place.handle);
        if self.buckets > 1 && self.len * 2 < self.buckets as usize * SHRINK_AT {
            self.merge(rehash);
        }
        value
    }

    /// Changes a boxed value in place, and the byte count with it.
    pub(super) fn change_apart<R>(&mut self, place: Place, change: impl FnOnce(&mut Value) -> R) -> Option<R> {
        let mut entry = self.at(place.handle);
        let value = entry.apart_mut()?;
        let before = value.held_bytes();
        let result = change(value);
        let after = value.held_bytes();
        self.apart_bytes = self.apart_bytes - before + after;
        Some(result)
    }

    /// Edits a string: `change` sees it with `len` bytes, cut or padded with zeros. The string counts
    /// as built by parts afterwards.
    pub(super) fn edit(&mut self, place: Place, len: usize, change: impl FnOnce(&mut [u8])) {
        let entry = self.at(place.handle);
        let Some(old) = entry.inline() else {
            self.change_apart(place, |value| match value {
                Value::Text(text) => text.edit(len, change),
            });
            return;
        };
        if entry::size(entry.key().len(), len, entry.deadline().is_some()) <= self.arena.block_bytes(place.handle) {
            let mut entry = self.at(place.handle);
            // SAFETY: the value is inline and the block was just found large enough.
            change(unsafe { entry.resize_inline(len) });
            return;
        }
        let mut edited = Vec::with_capacity(len);
        edited.extend_from_slice(&old[..old.len().min(len)]);
        edited.resize(len, 0);
        change(&mut edited);
        let key = entry.key().to_vec();
        let (deadline, meta) = (entry.deadline(), entry.meta());
        let inline = entry::size(key.len(), len, deadline.is_some()) <= self.max_inline_entry();
        let content = if inline {
            entry::Content::Inline(&edited)
        } else {
            entry::Content::Apart(Box::new(Value::Text(Text::new(edited.into()))))
        };
        self.replace(
            place,
            Parts {
                key: &key,
                content,
                deadline,
                built: true,
                meta,
            },
        );
    }

    /// Gives an entry another deadline, or none.
    pub(super) fn set_deadline(&mut self, place: Place, deadline: Option<u64>) {
        let mut old = self.at(place.handle);
        if let (Some(_), Some(deadline)) = (old.deadline(), deadline) {
            old.set_deadline(deadline);
            return;
        }
        if old.deadline() == deadline {
            return;
        }
        let value = old.inline().map_or(size_of::<usize>(), <[u8]>::len);
        let size = entry::size(old.key().len(), value, deadline.is_some());
        let fresh = self.arena.alloc(size);
        let mut old = self.at(place.handle);
        // SAFETY: the old block is freed below without its boxed value being read again.
        let boxed = unsafe { old.take_apart() };
        let content = match boxed {
            Some(boxed) => entry::Content::Apart(boxed),
            None => entry::Content::Inline(old.inline().unwrap_or_default()),
        };
        let parts = Parts {
            key: old.key(),
            content,
            deadline,
            built: old.built(),
            meta: old.meta(),
        };
        // SAFETY: the block is fresh and large enough; allocating it moved no other block.
        unsafe { entry::write(self.arena.block(fresh), parts) };
        self.arena.free(place.handle);
        self.bucket_mut(place.bucket).handles[place.lane as usize] = fresh.get();
        if deadline.is_some() {
            self.volatile += 1
        } else {
            self.volatile -= 1
        }
    }

    fn place_entry(&mut self, parts: Parts<'_>) -> Handle {
        let handle = self.arena.alloc(parts.size());
        // SAFETY: the block is fresh and as large as asked for.
        unsafe { entry::write(self.arena.block(handle), parts) };
        handle
    }

    fn account(&mut self, parts: &Parts<'_>) {
        self.volatile += usize::from(parts.deadline.is_some());
        if let entry::Content::Apart(value) = &parts.content {
            self.apart += 1;
            self.apart_bytes += value.held_bytes();
        }
    }

    fn release(&mut self, handle: Handle) -> Option<Box<Value>> {
        let mut entry = self.at(handle);
        let had_deadline = entry.deadline().is_some();
        // SAFETY: the block is freed below, and no bucket names it any more.
        let value = unsafe { entry.take_apart() };
        self.volatile -= usize::from(had_deadline);
        if let Some(value) = &value {
            self.apart -= 1;
            self.apart_bytes -= value.held_bytes();
        }
        self.arena.free(handle);
        value
    }

    fn link(&mut self, home: u32, tag: u8, handle: Handle) {
        let mut number = home;
        let lane = loop {
            if let Some(lane) = self.bucket(number).free_lane() {
                break lane;
            }
            number = match self.next(number) {
                Some(next) => next,
                None => self.add_overflow(number),
            };
        };
        let bucket = self.bucket_mut(number);
        bucket.tags[lane] = tag;
        bucket.handles[lane] = handle.get();
    }

    fn add_overflow(&mut self, last: u32) -> u32 {
        let index = self.free_overflow.pop().unwrap_or_else(|| {
            self.overflow.push(EMPTY);
            (self.overflow.len() - 1) as u32
        });
        self.bucket_mut(last).next = index + 1;
        index | OVERFLOW
    }

    /// Empties the lane at `place`, filling the hole from the end of the chain.
    fn unlink(&mut self, home: u32, place: Place) {
        let (mut before, mut last) = (None, home);
        while let Some(next) = self.next(last) {
            (before, last) = (Some(last), next);
        }
        let (hole, lane) = (place.bucket, place.lane as usize);
        let Some(before) = before else {
            let bucket = self.bucket_mut(hole);
            (bucket.tags[lane], bucket.handles[lane]) = (0, 0);
            return;
        };
        let source = self.bucket_mut(last);
        let from = source
            .handles
            .iter()
            .rposition(|&raw| raw != 0)
            .expect("an overflow bucket is never empty");
        let (tag, raw) = (source.tags[from], source.handles[from]);
        (source.tags[from], source.handles[from]) = (0, 0);
        let emptied = source.handles.iter().all(|&raw| raw == 0);
        if (last, from) != (hole, lane) {
            let bucket = self.bucket_mut(hole);
            (bucket.tags[lane], bucket.handles[lane]) = (tag, raw);
        }
        if emptied {
            self.bucket_mut(before).next = 0;
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
        if self.buckets as usize == self.segments.len() * SEGMENT {
            self.segments.push(Box::new([EMPTY; SEGMENT]));
        }
        let mut moved = Vec::with_capacity(2 * LANES);
        self.drain_chain(source, &mut moved);
        self.buckets += 1;
        self.relink(&moved, rehash);
    }

    fn merge(&mut self, rehash: impl Fn(&[u8]) -> u64) {
        let mut moved = Vec::with_capacity(2 * LANES);
        self.drain_chain(self.buckets - 1, &mut moved);
        self.buckets -= 1;
        // One segment stays in hand, so that a size at a segment's edge does not allocate each time.
        if (self.segments.len() - 1) * SEGMENT > self.buckets as usize + SEGMENT {
            self.segments.pop();
        }
        self.relink(&moved, rehash);
        if self.free_overflow.len() == self.overflow.len() {
            self.overflow = Vec::new();
            self.free_overflow = Vec::new();
        }
    }

    /// Visits the entries whose bucket stands at `cursor` and returns the cursor of the next bucket,
    /// or `None` after the last.
    ///
    /// The cursor is a hash with its bits reversed: it moves through the hash space, not through bucket
    /// numbers, so an entry that is there from begin to end of a scan is seen however the table grows or
    /// shrinks meanwhile (the idea of Pieter Noordhuis's `dictScan`, for linear hashing).
    pub(super) fn scan(&self, cursor: u32, mut visit: impl FnMut(Place)) -> Option<u32> {
        let hash = cursor.reverse_bits();
        let home = self.home(u64::from(hash));
        let mut number = home;
        loop {
            let bucket = self.bucket(number);
            for (lane, &raw) in bucket.handles.iter().enumerate() {
                if let Some(handle) = Handle::new(raw) {
                    visit(Place {
                        bucket: number,
                        lane: lane as u8,
                        handle,
                    });
                }
            }
            match self.next(number) {
                Some(next) => number = next,
                None => break,
            }
        }
        let bits = self.bits_of(home);
        if bits == 0 {
            return None;
        }
        let step = 1u32 << (32 - bits);
        (cursor & !(step - 1)).checked_add(step)
    }

    /// Whether `cursor` stands at the beginning of its bucket. If it does not, the bucket was merged from
    /// several of which some were scanned already: those entries whose [`scan_order`] is below the cursor.
    pub(super) fn begins_bucket(&self, cursor: u32) -> bool {
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
    pub(super) fn sample(&self, random: u64) -> Option<Place> {
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

impl Drop for Table {
    fn drop(&mut self) {
        if self.apart == 0 {
            return;
        }
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            cursor = self.scan(at, |place| {
                // SAFETY: the table is going, so each boxed value is taken once and never read again.
                drop(unsafe { self.at(place.handle).take_apart() });
            });
        }
    }
}

#[inline]
fn prefetch<T>(pointer: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing the program can see and cannot fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(pointer.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = pointer;
}
