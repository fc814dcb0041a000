//! A hash table of entries that grows and shrinks by one bucket at a time.
//!
//! Linear hashing (Litwin, VLDB 1980): with N buckets, 2^L <= N < 2^(L+1), a hash belongs to bucket
//! `hash mod 2^(L+1)`, or `hash mod 2^L` if that bucket does not exist yet. Growth adds bucket N and
//! moves there the part of bucket `N - 2^L` that belongs to it, so that no operation waits for more
//! than a few entries. A bucket is one cache line of twelve tags (a byte of the hash each) and twelve
//! handles; what does not fit goes to an overflow bucket of the same form. Buckets live in segments, a
//! slab each, which never move.
//!
//! Hash bits: 0..32 bucket, 32..40 tag; the bits above choose the stripe.

mod bucket;
mod compact;
mod deadlines;
mod due;
mod growth;
mod hint;
mod scan;

pub(super) use bucket::{LANES, prefetch};
pub(super) use deadlines::NEVER_MS;
pub(super) use due::Budget;
pub(super) use hint::Hint;
pub(super) use scan::{Glance, scan_order};

use bucket::{Bucket, EMPTY, OVERFLOW, lane, tag_of};
use deadlines::Wheel;

use super::arena::{Arena, Handle, Pool};
use super::entry::{self, Entry, Form, Parts};
use super::value::{Text, Value};
use std::ptr::NonNull;
use std::sync::Arc;

/// An entry's lane in a bucket.
const LANE_BYTES: usize = size_of::<Bucket>() / LANES;

/// Buckets of the first segment, which a table has from its first entry on.
const FIRST: usize = 64;

/// Where an entry stands: good until the table changes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    bucket: u32,
    lane: u8,
    pub(super) handle: Handle,
    base: NonNull<u8>,
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
    /// When to look at which bucket for expired entries; there once one has had a deadline.
    deadlines: Option<Box<Wheel>>,
    len: usize,
    volatile: usize,
    apart: usize,
    apart_bytes: usize,
    index_bytes: usize,
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
            deadlines: None,
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
            + self.free_overflow.capacity() * 4
            + self.deadline_bytes();
    }

    /// Bytes of the entries that are there, apart values included.
    pub(super) fn entry_bytes(&self) -> usize {
        self.arena.live_bytes() + self.apart_bytes
    }

    /// Bytes that the table holds in all: index, slabs however full they are, apart values.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Table>() + self.index_bytes + self.arena.held_bytes() + self.apart_bytes
    }

    /// What dropping the table costs: allocations, large ones counted once per 64 KiB.
    pub(super) fn frees(&self) -> usize {
        let schedule = self.deadlines.as_ref().map_or(0, |wheel| wheel.frees());
        self.segments.len() + self.arena.slabs() + schedule + self.apart + self.held_bytes() / (64 << 10)
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

    #[inline]
    fn at(&self, handle: Handle) -> Entry<'_> {
        // SAFETY: handles in buckets name live entries, and `&self` keeps them from changing.
        unsafe { Entry::at(self.arena.block(handle)) }
    }

    /// The entry at a place.
    #[inline]
    pub(super) fn entry(&self, place: Place) -> Entry<'_> {
        debug_assert_eq!(place.base, self.arena.block(place.handle), "a place outlived a change");
        // SAFETY: a place is used only until the table changes, so its entry is where it was found.
        unsafe { Entry::at(place.base) }
    }

    /// The entry at a place, to change it.
    #[inline]
    pub(super) fn entry_mut(&mut self, place: Place) -> Entry<'_> {
        debug_assert_eq!(place.base, self.arena.block(place.handle), "a place outlived a change");
        // SAFETY: as above; `&mut self` makes the borrow the only one.
        unsafe { Entry::at(place.base) }
    }

    /// Bytes that one entry takes: its block, its boxed value and its lane in a bucket.
    #[inline]
    pub(super) fn held_by(&self, place: Place) -> usize {
        self.entry_bytes_at(place) + LANE_BYTES
    }

    /// The same without the lane: what one entry adds to `entry_bytes`.
    #[inline]
    pub(super) fn entry_bytes_at(&self, place: Place) -> usize {
        let apart = self.entry(place).apart().map_or(0, Value::held_bytes);
        self.arena.block_bytes(place.handle) + apart
    }

    /// Finds a key.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        let number = self.home(hash);
        let bucket = self.bucket(number);
        let matches = bucket.tags.matches(tag_of(hash));
        // The first lane with the tag is nearly always the one.
        if let Some(lane) = lane(matches)
            && let Some(handle) = Handle::new(bucket.handles[lane])
        {
            let place = self.place(number, lane, handle);
            if self.entry(place).has_key(key) {
                return Some(place);
            }
        } else if bucket.tags.next().is_none() {
            return None;
        }
        self.find_in_chain(number, hash, key)
    }

    #[inline(never)]
    fn find_in_chain(&self, mut number: u32, hash: u64, key: &[u8]) -> Option<Place> {
        loop {
            let bucket = self.bucket(number);
            let mut matches = bucket.tags.matches(tag_of(hash));
            while let Some(lane) = lane(matches) {
                if let Some(handle) = Handle::new(bucket.handles[lane])
                    && self.at(handle).has_key(key)
                {
                    return Some(self.place(number, lane, handle));
                }
                matches &= matches - 1;
            }
            number = bucket.tags.next()?;
        }
    }

    #[inline]
    fn place(&self, bucket: u32, lane: usize, handle: Handle) -> Place {
        Place {
            bucket,
            lane: lane as u8,
            handle,
            base: self.arena.block(handle),
        }
    }

    /// Puts a key that is not there. `rehash` gives a key's hash, for the entries that growth moves.
    pub(super) fn insert(&mut self, hash: u64, parts: Parts<'_>, rehash: impl Fn(&[u8]) -> u64) {
        self.account(&parts);
        let handle = self.place_entry(parts);
        self.link(self.home(hash), tag_of(hash), handle);
        self.len += 1;
        self.grow(rehash);
    }

    /// Replaces the entry at `place` by one with the same key, in place where it fits. The old boxed
    /// value, if there was one, is given back.
    pub(super) fn replace(&mut self, place: Place, parts: Parts<'_>) -> Option<Box<Value>> {
        if let entry::Content::Inline(value) = &parts.content
            && self.overwrite(place, value, parts.deadline, parts.form, parts.meta)
        {
            return None;
        }
        self.account(&parts);
        let fresh = self.place_entry(parts);
        let replaced = self.release(place.handle);
        self.bucket_mut(place.bucket).handles[place.lane as usize] = fresh.get();
        replaced
    }

    /// Replaces the value and what belongs to it where it stands, if both values are inline, the block suits the new
    /// one, and there is a deadline before and after or neither; false if not, and nothing has changed.
    #[inline]
    pub(super) fn overwrite(
        &mut self,
        place: Place,
        value: &[u8],
        deadline: Option<u64>,
        form: Form,
        meta: u32,
    ) -> bool {
        let room = self.arena.block_bytes(place.handle);
        let mut old = self.entry_mut(place);
        let Some(kept) = old.inline() else { return false };
        if old.deadline().is_some() != deadline.is_some() {
            return false;
        }
        // Of the same length it suits the block as well as what is there.
        if kept.len() != value.len() {
            let bytes = entry::size(old.key().len(), value.len(), deadline.is_some());
            if bytes > room || bytes * 8 + 8 * 8 < room * 7 {
                return false;
            }
        }
        if let Some(deadline) = deadline {
            old.set_deadline(deadline);
        }
        old.set_meta(meta);
        // SAFETY: the value is inline, and its new size was just found to fit the block.
        unsafe { old.set_inline(value, form) };
        true
    }

    /// Takes the entry out; its boxed value, if it has one, is given back.
    pub(super) fn remove(&mut self, place: Place, hash: u64, rehash: impl Fn(&[u8]) -> u64) -> Option<Box<Value>> {
        self.unlink(self.home(hash), place);
        self.len -= 1;
        let value = self.release(place.handle);
        self.shrink(rehash);
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
                form: Form::Built,
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
            form: old.form(),
            meta: old.meta(),
        };
        // SAFETY: the block is fresh and large enough; allocating it moved no other block.
        unsafe { entry::write(self.arena.block(fresh), parts) };
        self.arena.free(place.handle);
        self.bucket_mut(place.bucket).handles[place.lane as usize] = fresh.get();
        if deadline.is_some() {
            self.volatile += 1;
        } else {
            self.volatile -= 1;
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
