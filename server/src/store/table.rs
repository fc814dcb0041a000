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

use super::arena::{Arena, Handle, Pool};
use super::entry::{self, Entry, Parts};
use super::value::{Text, Value};
use std::ptr::NonNull;
use std::sync::Arc;

const LANES: usize = 12;
/// Buckets of the first segment, which a table has from its first entry on.
const FIRST: usize = 64;
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
    tags: Tags,
    handles: [u32; LANES],
}

/// Twelve tags, and above them the next overflow bucket plus 1; 0 ends the chain. A tag of 0 is an
/// empty lane.
#[derive(Clone, Copy)]
struct Tags(u128);

const EMPTY: Bucket = Bucket {
    tags: Tags(0),
    handles: [0; LANES],
};

impl Tags {
    /// A bit for each lane whose tag is `tag`.
    #[inline]
    #[cfg(target_arch = "x86_64")]
    fn matches(self, tag: u8) -> u32 {
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
    fn matches(self, tag: u8) -> u32 {
        (0..LANES).fold(0, |mask, lane| mask | u32::from(self.get(lane) == tag) << lane)
    }

    fn get(self, lane: usize) -> u8 {
        (self.0 >> (lane * 8)) as u8
    }

    fn set(&mut self, lane: usize, tag: u8) {
        self.0 = self.0 & !(0xff << (lane * 8)) | u128::from(tag) << (lane * 8);
    }

    /// The bucket that goes on where this one is full.
    #[inline]
    fn next(self) -> Option<u32> {
        ((self.0 >> 96) as u32).checked_sub(1).map(|index| index | OVERFLOW)
    }

    fn set_next(&mut self, index: Option<u32>) {
        let link = index.map_or(0, |index| index + 1);
        self.0 = self.0 & ((1 << 96) - 1) | u128::from(link) << 96;
    }
}

impl Bucket {
    fn clear_lane(&mut self, lane: usize) -> (u8, u32) {
        let old = (self.tags.get(lane), self.handles[lane]);
        self.set_lane(lane, 0, 0);
        old
    }

    fn set_lane(&mut self, lane: usize, tag: u8, raw: u32) {
        self.tags.set(lane, tag);
        self.handles[lane] = raw;
    }
}

/// The first lane of a mask.
#[inline]
fn lane(mask: u32) -> Option<usize> {
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}

/// Where an entry stands: good until the table changes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    bucket: u32,
    lane: u8,
    pub(super) handle: Handle,
}

/// A slab of buckets.
struct Segment {
    buckets: NonNull<Bucket>,
}

// SAFETY: a segment belongs to its table alone.
unsafe impl Send for Segment {}

/// Entries of one database in one stripe.
pub(super) struct Table {
    first: Box<[Bucket; FIRST]>,
    segments: Vec<Segment>,
    /// log2 of a segment's buckets.
    segment_shift: u32,
    buckets: u32,
    /// The hash bits that name a bucket, where that bucket exists; one bit less where it does not.
    wide_mask: u32,
    overflow: Vec<Bucket>,
    free_overflow: Vec<u32>,
    arena: Arena,
    len: usize,
    volatile: usize,
    apart: usize,
    apart_bytes: usize,
    index_bytes: usize,
}

#[inline]
fn tag_of(hash: u64) -> u8 {
    ((hash >> 32) as u8).max(1)
}

impl Table {
    /// An empty table whose memory comes from `pool`.
    pub(super) fn new(pool: &Arc<Pool>) -> Table {
        let mut table = Table {
            first: Box::new([EMPTY; FIRST]),
            segments: Vec::new(),
            segment_shift: (pool.slab_bytes() / size_of::<Bucket>()).ilog2(),
            buckets: 1,
            wide_mask: 1,
            overflow: Vec::new(),
            free_overflow: Vec::new(),
            arena: Arena::new(pool),
            len: 0,
            volatile: 0,
            apart: 0,
            apart_bytes: 0,
            index_bytes: 0,
        };
        table.weigh_index();
        table
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
        self.index_bytes
    }

    /// Takes stock of the index after a part of it was allocated or freed.
    fn weigh_index(&mut self) {
        self.index_bytes = size_of::<[Bucket; FIRST]>()
            + self.segments.len() * self.arena.pool().slab_bytes()
            + self.segments.capacity() * size_of::<Segment>()
            + self.overflow.capacity() * size_of::<Bucket>()
            + self.free_overflow.capacity() * 4;
    }

    /// Bytes of the entries that are there, apart values included.
    pub(super) fn entry_bytes(&self) -> usize {
        self.arena.live_bytes() + self.apart_bytes
    }

    /// Bytes that count against the node's limit: entries and index.
    #[inline]
    pub(super) fn used_bytes(&self) -> usize {
        self.arena.live_bytes() + self.apart_bytes + self.index_bytes
    }

    /// Bytes that the table holds in all: index, slabs, apart values.
    pub(super) fn held_bytes(&self) -> usize {
        self.index_bytes() + self.arena.held_bytes() + self.apart_bytes
    }

    /// The largest entry that is kept in a slab.
    pub(super) fn max_inline_entry(&self) -> usize {
        self.arena.max_block_bytes()
    }

    #[inline]
    fn home(&self, hash: u64) -> u32 {
        let wide = hash as u32 & self.wide_mask;
        if wide < self.buckets {
            wide
        } else {
            wide & (self.wide_mask >> 1)
        }
    }

    /// Changes the number of buckets.
    fn set_buckets(&mut self, buckets: u32) {
        self.buckets = buckets;
        self.wide_mask = (2 << buckets.ilog2()) - 1;
    }

    #[inline]
    fn bucket(&self, number: u32) -> &Bucket {
        if number & OVERFLOW != 0 {
            return &self.overflow[(number & !OVERFLOW) as usize];
        }
        let Some(beyond) = (number as usize).checked_sub(FIRST) else {
            return &self.first[number as usize];
        };
        let segment = &self.segments[beyond >> self.segment_shift];
        // SAFETY: a segment holds this many initialised buckets, and lives as long as the table.
        unsafe { segment.buckets.add(beyond & ((1 << self.segment_shift) - 1)).as_ref() }
    }

    fn bucket_mut(&mut self, number: u32) -> &mut Bucket {
        if number & OVERFLOW != 0 {
            return &mut self.overflow[(number & !OVERFLOW) as usize];
        }
        let Some(beyond) = (number as usize).checked_sub(FIRST) else {
            return &mut self.first[number as usize];
        };
        let segment = &self.segments[beyond >> self.segment_shift];
        // SAFETY: as in `bucket`; `&mut self` makes the borrow the only one.
        unsafe { segment.buckets.add(beyond & ((1 << self.segment_shift) - 1)).as_mut() }
    }

    #[inline]
    fn next(&self, number: u32) -> Option<u32> {
        self.bucket(number).tags.next()
    }

    /// Asks the cache for the bucket that `hash` belongs to.
    #[inline]
    pub(super) fn prefetch_bucket(&self, hash: u64) {
        prefetch(self.bucket(self.home(hash)));
    }

    /// Notes where the buckets are.
    #[inline]
    pub(super) fn note(&self, hint: &mut Hint) {
        (hint.buckets, hint.wide_mask) = (self.buckets, self.wide_mask);
        if hint.segments.len() != self.segments.len() || hint.first != &raw const *self.first as usize {
            hint.first = &raw const *self.first as usize;
            hint.shift = self.segment_shift;
            hint.segments.clear();
            let addresses = self.segments.iter().map(|segment| segment.buckets.as_ptr() as usize);
            hint.segments.extend(addresses);
        }
    }

    /// Asks the cache for the entry that `hash` most likely names; its bucket should be there already.
    #[inline]
    pub(super) fn prefetch_entry(&self, hash: u64) {
        let bucket = self.bucket(self.home(hash));
        if let Some(handle) = lane(bucket.tags.matches(tag_of(hash))).and_then(|lane| Handle::new(bucket.handles[lane]))
        {
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

    /// The entry that `get` found.
    #[inline]
    pub(super) fn got(&self, handle: Handle) -> Entry<'_> {
        self.at(handle)
    }

    /// The entry that `get` found, to change it.
    #[inline]
    pub(super) fn got_mut(&mut self, handle: Handle) -> Entry<'_> {
        self.at(handle)
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
        let mut number = self.home(hash);
        loop {
            let bucket = self.bucket(number);
            if let Some((lane, handle)) = self.find_in(bucket, hash, key) {
                return Some(Place {
                    bucket: number,
                    lane: lane as u8,
                    handle,
                });
            }
            number = bucket.tags.next()?;
        }
    }

    /// The handle of a key's entry: for one that is only read, where it stands does not matter.
    #[inline]
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<Handle> {
        let mut bucket = self.bucket(self.home(hash));
        loop {
            if let Some((_, handle)) = self.find_in(bucket, hash, key) {
                return Some(handle);
            }
            bucket = self.bucket(bucket.tags.next()?);
        }
    }

    #[inline]
    fn find_in(&self, bucket: &Bucket, hash: u64, key: &[u8]) -> Option<(usize, Handle)> {
        let mut matches = bucket.tags.matches(tag_of(hash));
        while let Some(lane) = lane(matches) {
            if let Some(handle) = Handle::new(bucket.handles[lane])
                && self.at(handle).key() == key
            {
                return Some((lane, handle));
            }
            matches &= matches - 1;
        }
        None
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

    /// Replaces the entry at `place` by one with the same key, in place where it fits.
    pub(super) fn replace(&mut self, place: Place, parts: Parts<'_>) {
        let room = self.arena.block_bytes(place.handle);
        let bytes = parts.size();
        let mut old = self.at(place.handle);
        let same_form = old.deadline().is_some() == parts.deadline.is_some();
        if let entry::Content::Inline(value) = &parts.content
            && same_form
            && old.apart().is_none()
            && bytes <= room
            && bytes * 8 >= room * 7 - 8 * 8
        {
            if let Some(deadline) = parts.deadline {
                old.set_deadline(deadline);
            }
            old.set_meta(parts.meta);
            // SAFETY: `bytes` is the entry's new size and fits the block; the value is inline.
            unsafe { old.set_inline(value, parts.built) };
            return;
        }
        self.account(&parts);
        let fresh = self.place_entry(parts);
        self.release(place.handle);
        self.bucket_mut(place.bucket).handles[place.lane as usize] = fresh.get();
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
        // Asking for zeroed memory is cheap however much it is.
        let mut edited = vec![0; len];
        let kept = old.len().min(len);
        edited[..kept].copy_from_slice(&old[..kept]);
        change(&mut edited);
        let key = entry.key().to_vec();
        let (deadline, meta) = (entry.deadline(), entry.meta());
        let inline = entry::size(key.len(), len, deadline.is_some()) <= self.max_inline_entry();
        let content = if inline {
            entry::Content::Inline(&edited)
        } else {
            entry::Content::Apart(Box::new(Value::Text(Text::new(std::mem::take(&mut edited).into()))))
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
            if let Some(lane) = lane(self.bucket(number).tags.matches(0)) {
                break lane;
            }
            number = match self.next(number) {
                Some(next) => next,
                None => self.add_overflow(number),
            };
        };
        self.bucket_mut(number).set_lane(lane, tag, handle.get());
    }

    fn add_overflow(&mut self, last: u32) -> u32 {
        let index = self.free_overflow.pop().unwrap_or_else(|| {
            self.overflow.push(EMPTY);
            self.weigh_index();
            (self.overflow.len() - 1) as u32
        });
        self.bucket_mut(last).tags.set_next(Some(index));
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
            self.bucket_mut(hole).clear_lane(lane);
            return;
        };
        let source = self.bucket_mut(last);
        let from = source
            .handles
            .iter()
            .rposition(|&raw| raw != 0)
            .expect("an overflow bucket is never empty");
        let (tag, raw) = source.clear_lane(from);
        let emptied = source.handles.iter().all(|&raw| raw == 0);
        if (last, from) != (hole, lane) {
            self.bucket_mut(hole).set_lane(lane, tag, raw);
        }
        if emptied {
            self.bucket_mut(before).tags.set_next(None);
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
        if self.buckets as usize == FIRST + (self.segments.len() << self.segment_shift) {
            self.add_segment();
        }
        let mut moved = Vec::with_capacity(2 * LANES);
        self.drain_chain(source, &mut moved);
        self.set_buckets(self.buckets + 1);
        self.relink(&moved, rehash);
    }

    fn add_segment(&mut self) {
        let buckets = self.arena.pool().take().cast::<Bucket>();
        for index in 0..1 << self.segment_shift {
            // SAFETY: the slab is ours, large enough and aligned to a cache line.
            unsafe { buckets.add(index).write(EMPTY) };
        }
        self.segments.push(Segment { buckets });
        self.weigh_index();
    }

    fn drop_segment(&mut self) {
        if let Some(segment) = self.segments.pop() {
            // SAFETY: it came from the pool, and no bucket number refers to it any more.
            unsafe { self.arena.pool().give(segment.buckets.cast()) };
            self.weigh_index();
        }
    }

    fn merge(&mut self, rehash: impl Fn(&[u8]) -> u64) {
        let mut moved = Vec::with_capacity(2 * LANES);
        self.drain_chain(self.buckets - 1, &mut moved);
        self.set_buckets(self.buckets - 1);
        // One segment stays in hand, so that a size at a segment's edge does not allocate each time.
        let in_hand = FIRST + (self.segments.len().saturating_sub(2) << self.segment_shift);
        if self.segments.len() > 1 && (self.buckets as usize) < in_hand {
            self.drop_segment();
        }
        self.relink(&moved, rehash);
        if self.free_overflow.len() == self.overflow.len() {
            self.overflow = Vec::new();
            self.free_overflow = Vec::new();
            self.weigh_index();
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
        let round = self.buckets.ilog2();
        let split = home >= 1 << round || home + (1 << round) < self.buckets;
        let bits = round + u32::from(split);
        if bits == 0 {
            return None;
        }
        let step = 1u32 << (32 - bits);
        (cursor & !(step - 1)).checked_add(step)
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
        let mut cursor = (self.apart > 0).then_some(0);
        while let Some(at) = cursor {
            cursor = self.scan(at, |place| {
                // SAFETY: the table is going, so each boxed value is taken once and never read again.
                drop(unsafe { self.at(place.handle).take_apart() });
            });
        }
        while !self.segments.is_empty() {
            self.drop_segment();
        }
    }
}

/// Where the buckets of a table were when it was last seen. Good for guesses only: nothing is read
/// through it, so it may be out of date.
#[derive(Default)]
pub(super) struct Hint {
    first: usize,
    segments: Vec<usize>,
    shift: u32,
    buckets: u32,
    wide_mask: u32,
}

impl Hint {
    /// Asks the cache for the bucket that `hash` most likely belongs to.
    #[inline]
    pub(super) fn prefetch_bucket(&self, hash: u64) {
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
