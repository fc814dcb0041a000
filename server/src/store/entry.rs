//! An entry: one block that holds a key, its value and its metadata.
//!
//! ```text
//! offset 0   u32  eviction metadata (see `eviction`)
//!        4   u8   flags
//!        5   u8   key length, unless LONG_KEY
//!        6   u16  length of an inline value
//!        8   u64  deadline in Unix milliseconds      (only with DEADLINE)
//!        .   u32  key length                         (only with LONG_KEY)
//!        .        key
//!        .        value: its bytes, or with APART the pointer to a boxed `Value`
//! ```
//! A key of 16 bytes with a value of 32 takes 56 bytes, with a deadline 64.

use super::key::Text;
use super::value::Value;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The entry has a deadline.
const DEADLINE: u8 = 1;
/// The key is longer than a byte can say.
const LONG_KEY: u8 = 2;
/// The value lives in a box of its own.
const APART: u8 = 4;
/// See `Form::Built`.
const BUILT: u8 = 8;

const HEADER: usize = 8;
const POINTER: usize = size_of::<usize>();

/// See `Form::Text`.
const TEXT: u8 = 16;

/// How a string came to be, which shows only in OBJECT ENCODING.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Form {
    /// As it was given: an integer, or short or long text.
    #[default]
    Given,
    /// Text even if it reads like an integer, as INCRBYFLOAT leaves it.
    Text,
    /// Built by parts: APPEND, SETRANGE, SETBIT.
    Built,
}

impl Form {
    fn flag(self) -> u8 {
        match self {
            Form::Given => 0,
            Form::Text => TEXT,
            Form::Built => BUILT,
        }
    }
}

/// What an entry is made from.
pub(super) enum Content<'a> {
    /// Bytes kept inside the entry.
    Inline(&'a [u8]),
    /// A value kept in its own box.
    Apart(Box<Value>),
}

/// Everything that a new entry holds.
pub(super) struct Parts<'a> {
    pub(super) key: &'a [u8],
    pub(super) content: Content<'a>,
    pub(super) deadline: Option<u64>,
    pub(super) form: Form,
    pub(super) meta: u32,
}

impl Parts<'_> {
    /// Bytes that the entry takes.
    pub(super) fn size(&self) -> usize {
        let value = match &self.content {
            Content::Inline(bytes) => bytes.len(),
            Content::Apart(_) => POINTER,
        };
        size(self.key.len(), value, self.deadline.is_some())
    }
}

/// The first and the last `N` bytes.
#[inline]
fn ends<const N: usize>(bytes: &[u8]) -> Option<([u8; N], [u8; N])> {
    Some((*bytes.first_chunk()?, *bytes.last_chunk()?))
}

/// Whether two keys are the same. Most are short: two loads that overlap compare them without a call.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        8..=16 => ends::<8>(one) == ends::<8>(other),
        17..=32 => ends::<16>(one) == ends::<16>(other),
        _ => one == other,
    }
}

/// Copies bytes between slices of the same length. Most numbers are short: two writes that overlap, or three of a byte
/// each, copy them without a call.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
        if let Some((first, last)) = ends::<N>(from) {
            to[..N].copy_from_slice(&first);
            let at = to.len() - N;
            to[at..].copy_from_slice(&last);
        }
    }
    match from.len() {
        0 => {}
        len @ 1..=3 => [0, len / 2, len - 1].into_iter().for_each(|at| to[at] = from[at]),
        4..=7 => copy_ends::<4>(to, from),
        8..=16 => copy_ends::<8>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// Bytes of an entry with this much key and inline value.
#[inline]
pub(super) fn size(key: usize, value: usize, deadline: bool) -> usize {
    let long_key = if key > u8::MAX as usize { 4 } else { 0 };
    HEADER + if deadline { 8 } else { 0 } + long_key + key + value
}

/// The first word of an entry.
#[derive(Clone, Copy, Default)]
pub(super) struct Head(u64);

impl Head {
    /// The 32 bits that belong to eviction.
    #[inline]
    pub(super) fn meta(self) -> u32 {
        self.0 as u32
    }

    /// Whether the entry has no deadline, and its value with it.
    #[inline]
    pub(super) fn is_plain(self) -> bool {
        (self.0 >> 32) as u8 & (DEADLINE | APART) == 0
    }
}

/// A borrowed entry. `&self` reads; `&mut self` writes.
pub(super) struct Entry<'a> {
    base: NonNull<u8>,
    arena: PhantomData<&'a mut ()>,
}

/// Writes a new entry.
///
/// # Safety
/// `base` must be a free block of at least `parts.size()` bytes, aligned to 8.
pub(super) unsafe fn write(base: NonNull<u8>, parts: Parts<'_>) {
    let key = parts.key;
    assert!(u32::try_from(key.len()).is_ok(), "no request is as long as such a key");
    let long_key = key.len() > u8::MAX as usize;
    let mut flags = 0;
    flags |= if parts.deadline.is_some() { DEADLINE } else { 0 };
    flags |= if long_key { LONG_KEY } else { 0 };
    flags |= parts.form.flag();
    let inline_len = match &parts.content {
        Content::Inline(bytes) => bytes.len() as u16,
        Content::Apart(_) => {
            flags |= APART;
            POINTER as u16
        }
    };
    let header =
        u64::from(parts.meta) | u64::from(flags) << 32 | (key.len() as u64 & 0xff) << 40 | u64::from(inline_len) << 48;
    // SAFETY: the caller gives `size()` bytes; the writes below cover exactly those, in order. The
    // header and the deadline are aligned because the block is.
    unsafe {
        base.cast::<u64>().write(header.to_le());
        let mut at = base.add(HEADER);
        if let Some(deadline) = parts.deadline {
            at.cast::<u64>().write(deadline);
            at = at.add(8);
        }
        if long_key {
            at.cast::<u32>().write(key.len() as u32);
            at = at.add(4);
        }
        at.copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
        at = at.add(key.len());
        match parts.content {
            Content::Inline(bytes) => at.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()),
            Content::Apart(value) => at.cast::<*mut Value>().write_unaligned(Box::into_raw(value)),
        }
    }
}

impl<'a> Entry<'a> {
    /// # Safety
    /// `base` must point to an entry that `write` made, which lives and is not otherwise borrowed
    /// mutably for `'a`.
    #[inline]
    pub(super) unsafe fn at(base: NonNull<u8>) -> Entry<'a> {
        Entry {
            base,
            arena: PhantomData,
        }
    }

    #[inline]
    fn header(&self) -> u64 {
        // SAFETY: an entry starts with its aligned header.
        u64::from_le(unsafe { self.base.cast::<u64>().read() })
    }

    /// The first word.
    #[inline]
    pub(super) fn head(&self) -> Head {
        Head(self.header())
    }

    #[inline]
    fn flags(&self) -> u8 {
        (self.header() >> 32) as u8
    }

    /// Offset and length of the key.
    #[inline]
    fn key_span(&self) -> (usize, usize) {
        let header = self.header();
        let flags = (header >> 32) as u8;
        let at = HEADER + if flags & DEADLINE != 0 { 8 } else { 0 };
        if flags & LONG_KEY == 0 {
            return (at, (header >> 40) as u8 as usize);
        }
        // SAFETY: with LONG_KEY the key's length stands here, aligned to 4.
        (at + 4, unsafe { self.base.add(at).cast::<u32>().read() } as usize)
    }

    #[inline]
    fn slice(&self, at: usize, len: usize) -> &[u8] {
        // SAFETY: `write` and the setters keep every span inside the block and initialised.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(at), len) }
    }

    /// The key.
    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        let (at, len) = self.key_span();
        self.slice(at, len)
    }

    /// Whether the key is this one.
    #[inline]
    pub(super) fn has_key(&self, key: &[u8]) -> bool {
        same(self.key(), key)
    }

    #[inline]
    fn payload(&self) -> (usize, usize) {
        let (at, len) = self.key_span();
        (at + len, (self.header() >> 48) as usize)
    }

    /// The value's bytes when they are inline.
    #[inline]
    pub(super) fn inline(&self) -> Option<&[u8]> {
        if self.flags() & APART != 0 {
            return None;
        }
        let (at, len) = self.payload();
        Some(self.slice(at, len))
    }

    /// The string in the entry, wherever it is kept; `None` if the value is no string. It lives as long
    /// as what the entry was borrowed from.
    #[inline]
    pub(super) fn into_text(self) -> Option<Text<'a>> {
        if self.flags() & APART == 0 {
            let (at, len) = self.payload();
            // SAFETY: as in `slice`; the entry itself lives and stays unchanged for 'a.
            return Some(Text::Inline(unsafe {
                std::slice::from_raw_parts(self.base.as_ptr().add(at), len)
            }));
        }
        // SAFETY: the box belongs to the entry and lives as long.
        match self.boxed().map(|pointer| unsafe { pointer.as_ref() })? {
            Value::Text(text) => Some(Text::Shared(text.bytes())),
        }
    }

    #[inline]
    fn boxed(&self) -> Option<NonNull<Value>> {
        if self.flags() & APART == 0 {
            return None;
        }
        let (at, _) = self.payload();
        // SAFETY: with APART the payload is the pointer that `write` put there.
        NonNull::new(unsafe { self.base.add(at).cast::<*mut Value>().read_unaligned() })
    }

    /// The boxed value, if the value is kept apart.
    pub(super) fn apart(&self) -> Option<&Value> {
        // SAFETY: the box belongs to this entry and lives as long.
        self.boxed().map(|pointer| unsafe { pointer.as_ref() })
    }

    /// The boxed value, to change it in place.
    pub(super) fn apart_mut(&mut self) -> Option<&mut Value> {
        // SAFETY: as above; `&mut self` makes the borrow the only one.
        self.boxed().map(|mut pointer| unsafe { pointer.as_mut() })
    }

    /// Takes the boxed value out; the entry must be freed or written anew right after.
    ///
    /// # Safety
    /// Nothing may read the entry's value afterwards.
    pub(super) unsafe fn take_apart(&mut self) -> Option<Box<Value>> {
        // SAFETY: the pointer came from `Box::into_raw`, and the caller gives up the entry's claim.
        self.boxed().map(|pointer| unsafe { Box::from_raw(pointer.as_ptr()) })
    }

    /// Overwrites an inline value; the caller has checked that the block is large enough.
    ///
    /// # Safety
    /// The block must hold `size(key, value.len(), deadline)` bytes, and the value must be inline.
    #[inline]
    pub(super) unsafe fn set_inline(&mut self, value: &[u8], form: Form) {
        let (at, _) = self.payload();
        let header = self.header() & 0x0000_ffff_ffff_ffff & !(u64::from(BUILT | TEXT) << 32);
        let header = header | u64::from(form.flag()) << 32 | (value.len() as u64) << 48;
        // SAFETY: the caller vouches for the room; `value` may not overlap it, as it is another's memory.
        unsafe {
            self.base.cast::<u64>().write(header.to_le());
            self.base
                .add(at)
                .copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
        }
    }

    /// Replaces an inline value by one of the same length, given and not built, and the eviction metadata with it.
    /// False, and nothing has changed, if the value is kept apart or has another length.
    #[inline]
    pub(super) fn set_alike(&mut self, value: &[u8], meta: u32) -> bool {
        let header = self.header();
        if header & u64::from(APART) << 32 != 0 || header >> 48 != value.len() as u64 {
            return false;
        }
        let (at, _) = self.payload();
        let kept = header & !(u64::from(u32::MAX) | u64::from(BUILT | TEXT) << 32);
        // SAFETY: the header stands first, and the value's span stays as it is; `&mut self` makes the slice the only
        // borrow of it, and `value` is another's memory.
        let inline = unsafe {
            self.base.cast::<u64>().write((kept | u64::from(meta)).to_le());
            std::slice::from_raw_parts_mut(self.base.as_ptr().add(at), value.len())
        };
        copy(inline, value);
        true
    }

    /// Makes an inline string `len` bytes long, zeros where it grows, and gives it to edit. It counts
    /// as built by parts afterwards.
    ///
    /// # Safety
    /// The block must hold `size(key, len, deadline)` bytes, and the value must be inline.
    pub(super) unsafe fn resize_inline(&mut self, len: usize) -> &mut [u8] {
        let (at, old_len) = self.payload();
        let header = self.header() & 0x0000_ffff_ffff_ffff | u64::from(BUILT) << 32 | (len as u64) << 48;
        // SAFETY: the caller vouches for the room; `&mut self` makes the slice the only borrow.
        unsafe {
            self.base.cast::<u64>().write(header.to_le());
            let value = self.base.add(at);
            if len > old_len {
                value.add(old_len).write_bytes(0, len - old_len);
            }
            std::slice::from_raw_parts_mut(value.as_ptr(), len)
        }
    }

    /// When the entry expires, in Unix milliseconds.
    #[inline]
    pub(super) fn deadline(&self) -> Option<u64> {
        if self.flags() & DEADLINE == 0 {
            return None;
        }
        // SAFETY: with DEADLINE it stands behind the header, aligned.
        Some(unsafe { self.base.add(HEADER).cast::<u64>().read() })
    }

    /// Changes the deadline of an entry that has one.
    pub(super) fn set_deadline(&mut self, deadline: u64) {
        debug_assert!(self.flags() & DEADLINE != 0);
        // SAFETY: as in `deadline`.
        unsafe { self.base.add(HEADER).cast::<u64>().write(deadline) };
    }

    /// How the string came to be.
    pub(super) fn form(&self) -> Form {
        match self.flags() & (BUILT | TEXT) {
            0 => Form::Given,
            TEXT => Form::Text,
            _ => Form::Built,
        }
    }

    /// The 32 bits that belong to eviction.
    #[inline]
    pub(super) fn meta(&self) -> u32 {
        self.header() as u32
    }

    /// Replaces the eviction metadata.
    #[inline]
    pub(super) fn set_meta(&mut self, meta: u32) {
        // SAFETY: the metadata is the first word of the header.
        unsafe { self.base.cast::<u32>().write(meta.to_le()) };
    }
}
