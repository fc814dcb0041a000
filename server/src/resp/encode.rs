//! Replies: appended to one buffer, large strings by reference.

use super::decode::LARGE;
use crate::text::number::{FLOAT_BYTES, INT_BYTES};
use crate::text::{format_f64, format_i64};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// The numbers up to 999 as digits and line end, from the lowest byte on, with their count in the highest byte.
static SHORT_NUMBERS: [u64; 1000] = {
    let mut table = [0; 1000];
    let mut number = 0;
    while number < 1000 {
        let width = 1 + (number >= 10) as usize + (number >= 100) as usize;
        let mut bytes = [0; 8];
        let (mut rest, mut at) = (number, width);
        while at > 0 {
            at -= 1;
            bytes[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        bytes[width] = b'\r';
        bytes[width + 1] = b'\n';
        bytes[7] = width as u8 + 2;
        table[number] = u64::from_le_bytes(bytes);
        number += 1;
    }
    table
};

/// Bytes on their way to a peer: a buffer, with large strings to be sent between its parts.
#[derive(Default, Debug)]
pub struct Output {
    buffer: Vec<u8>,
    /// Large strings, each with the length that the buffer had when it came.
    large: VecDeque<(usize, Bytes)>,
    /// How much of the buffer has been sent.
    sent: usize,
    /// Bytes in `large` that have not been sent.
    large_bytes: usize,
}

impl Output {
    /// Bytes still to be sent.
    #[inline]
    pub fn len(&self) -> usize {
        self.buffer.len() - self.sent + self.large_bytes
    }

    /// Bytes still to be sent that exist for this output alone: not those of values, which the store has too.
    pub fn copied_len(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// Whether large strings wait, which others may hold as well.
    #[inline]
    pub fn has_shared(&self) -> bool {
        !self.large.is_empty()
    }

    /// The large strings that wait: the address at which each ends, which is the same for all who hold it, and how much of it
    /// is unsent.
    pub fn shared(&self) -> impl Iterator<Item = (usize, usize)> {
        let strings = self.large.iter().map(|(_, bytes)| bytes);
        strings.map(|bytes| (bytes.as_ptr_range().end as usize, bytes.len()))
    }

    /// Whether all has been sent.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends raw bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What is to be sent next, when no large string is waiting: everything in one piece.
    #[inline]
    pub fn contiguous(&self) -> Option<&[u8]> {
        self.large.is_empty().then(|| &self.buffer[self.sent..])
    }

    /// What is to be sent next, in pieces; returns how many of `slices` are used.
    pub fn pieces<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut at, mut used) = (self.sent, 0);
        for (position, bytes) in &self.large {
            if used + 2 > slices.len() {
                return used;
            }
            if at < *position {
                slices[used] = IoSlice::new(&self.buffer[at..*position]);
                used += 1;
                at = *position;
            }
            slices[used] = IoSlice::new(bytes);
            used += 1;
        }
        if at < self.buffer.len() && used < slices.len() {
            slices[used] = IoSlice::new(&self.buffer[at..]);
            used += 1;
        }
        used
    }

    /// Notes that `count` bytes were sent.
    pub fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let limit = self.large.front().map_or(self.buffer.len(), |(position, _)| *position);
            let plain = count.min(limit - self.sent);
            self.sent += plain;
            count -= plain;
            let Some((_, bytes)) = self.large.front_mut().filter(|_| count > 0) else {
                break;
            };
            let part = count.min(bytes.len());
            bytes.advance(part);
            let done = bytes.is_empty();
            self.large_bytes -= part;
            count -= part;
            if done {
                self.large.pop_front();
            }
        }
        if self.is_empty() {
            self.clear();
        }
    }

    /// Drops everything; keeps the buffer's memory.
    #[inline]
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.sent = 0;
        if !self.large.is_empty() {
            self.large.clear();
        }
        self.large_bytes = 0;
    }

    /// Bytes that the buffer holds, sent or not.
    pub fn held_bytes(&self) -> usize {
        self.buffer.capacity() + self.large_bytes
    }

    /// Gives memory back when a large burst has passed.
    pub fn shrink(&mut self, keep_bytes: usize) {
        if self.buffer.capacity() > keep_bytes {
            self.buffer.shrink_to(keep_bytes);
        }
    }

    /// Moves everything unsent out.
    pub fn take(&mut self) -> Output {
        let rest = Output {
            buffer: self.buffer[self.sent..].to_vec(),
            large: self
                .large
                .iter()
                .map(|(position, bytes)| (position - self.sent, bytes.clone()))
                .collect(),
            sent: 0,
            large_bytes: self.large_bytes,
        };
        self.clear();
        rest
    }

    /// Appends all that another output still has to send.
    pub fn append(&mut self, other: &Output) {
        let base = self.buffer.len();
        self.buffer.extend_from_slice(&other.buffer[other.sent..]);
        let moved = other
            .large
            .iter()
            .map(|(position, bytes)| (base + position - other.sent, bytes.clone()));
        self.large.extend(moved);
        self.large_bytes += other.large_bytes;
    }

    /// A mark to which `cut` can go back.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark {
            buffer: self.buffer.len(),
            large: self.large.len(),
        }
    }

    /// Takes back all that was appended since the mark; nothing may have been sent since.
    pub fn cut(&mut self, mark: Mark) {
        self.buffer.truncate(mark.buffer);
        self.large.truncate(mark.large);
        self.large_bytes = self.large.iter().map(|(_, bytes)| bytes.len()).sum();
    }

    fn push_large(&mut self, bytes: Bytes) {
        self.large_bytes += bytes.len();
        self.large.push_back((self.buffer.len(), bytes));
    }
}

/// A position in an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    buffer: usize,
    large: usize,
}

/// The protocol version of a connection's replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    /// The only one before Redis 6, and what a connection starts with.
    #[default]
    Resp2,
    /// With maps, sets, doubles, booleans and pushes; chosen by HELLO 3.
    Resp3,
}

/// Writes one connection's replies in its protocol version. Types that RESP2 lacks become what Redis
/// sends there.
pub struct Reply<'o> {
    output: &'o mut Output,
    version: Version,
}

impl<'o> Reply<'o> {
    /// Replies that go to the end of `output`.
    #[inline]
    pub fn new(output: &'o mut Output, version: Version) -> Reply<'o> {
        Reply { output, version }
    }

    /// The version in force.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Changes the version, from the next reply on.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// The output beneath.
    pub fn output(&mut self) -> &mut Output {
        self.output
    }

    fn is_resp3(&self) -> bool {
        self.version == Version::Resp3
    }

    #[inline]
    fn raw(&mut self, bytes: &[u8]) {
        self.output.extend(bytes);
    }

    /// A type byte, a number and a line end.
    #[inline]
    fn header(&mut self, kind: u8, number: i64) {
        let buffer = &mut self.output.buffer;
        if let Some(&line) = usize::try_from(number)
            .ok()
            .and_then(|number| SHORT_NUMBERS.get(number))
        {
            // A fixed size is copied without a call; what was too much is cut off again.
            let start = buffer.len();
            buffer.extend_from_slice(&(line << 8 | u64::from(kind)).to_le_bytes());
            buffer.truncate(start + 1 + (line >> 56) as usize);
            return;
        }
        let mut digits = [0; INT_BYTES];
        let digits = format_i64(number, &mut digits);
        buffer.push(kind);
        buffer.extend_from_slice(digits);
        buffer.extend_from_slice(b"\r\n");
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A simple string; it must not contain a line end.
    pub fn simple(&mut self, text: &str) {
        self.raw(b"+");
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// An error, its code first (`ERR ...`). Line ends in it become spaces, at its end nothing, and characters up to U+00FF the
    /// bytes that `text::shown` made them of.
    pub fn error(&mut self, text: &str) {
        self.raw(b"-");
        for char in text.trim_end_matches(['\r', '\n']).chars() {
            match u8::try_from(char) {
                Ok(b'\r' | b'\n') => self.raw(b" "),
                Ok(byte) => self.raw(&[byte]),
                Err(_) => self.raw(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self.raw(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, number: i64) {
        self.header(b':', number);
    }

    /// A count, which in memory never exceeds what an integer can say.
    pub fn len(&mut self, count: usize) {
        self.int(count as i64);
    }

    /// A string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        let buffer = &mut self.output.buffer;
        buffer.reserve(bytes.len() + 26);
        self.header(b'$', bytes.len() as i64);
        self.raw(bytes);
        self.raw(b"\r\n");
    }

    /// A string that is sent without being copied if it is large.
    pub fn bulk_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < LARGE {
            return self.bulk(bytes);
        }
        self.header(b'$', bytes.len() as i64);
        self.output.push_large(bytes.clone());
        self.raw(b"\r\n");
    }

    /// A string value as the store has it.
    #[inline]
    pub fn text(&mut self, text: &crate::store::Text<'_>) {
        match text {
            crate::store::Text::Inline(bytes) => self.bulk(bytes),
            crate::store::Text::Shared(bytes) => self.bulk_shared(bytes),
        }
    }

    /// The absence of a value.
    #[inline]
    pub fn null(&mut self) {
        if self.is_resp3() {
            self.raw(b"_\r\n");
        } else {
            self.raw(b"$-1\r\n");
        }
    }

    /// The absence of an array.
    pub fn null_array(&mut self) {
        if self.is_resp3() {
            self.raw(b"_\r\n");
        } else {
            self.raw(b"*-1\r\n");
        }
    }

    /// An array's head; `count` replies follow.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.header(b'*', count as i64);
    }

    /// A map's head; `pairs` times two replies follow.
    pub fn map(&mut self, pairs: usize) {
        if self.is_resp3() {
            self.header(b'%', pairs as i64);
        } else {
            self.array(pairs * 2);
        }
    }

    /// A set's head; `count` replies follow.
    pub fn set(&mut self, count: usize) {
        self.header(if self.is_resp3() { b'~' } else { b'*' }, count as i64);
    }

    /// A push's head; `count` replies follow.
    pub fn push(&mut self, count: usize) {
        self.header(if self.is_resp3() { b'>' } else { b'*' }, count as i64);
    }

    /// A floating-point number; in RESP2 the same digits as a string.
    pub fn double(&mut self, number: f64) {
        let mut digits = [0; FLOAT_BYTES];
        let digits = format_f64(number, &mut digits);
        if self.is_resp3() {
            self.raw(b",");
            self.raw(digits);
            self.raw(b"\r\n");
        } else {
            self.bulk(digits);
        }
    }

    /// A truth value; in RESP2 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        match (self.is_resp3(), value) {
            (true, true) => self.raw(b"#t\r\n"),
            (true, false) => self.raw(b"#f\r\n"),
            (false, value) => self.int(i64::from(value)),
        }
    }

    /// Text for people, such as INFO's.
    pub fn verbatim(&mut self, text: &str) {
        if self.is_resp3() {
            self.header(b'=', text.len() as i64 + 4);
            self.raw(b"txt:");
            self.raw(text.as_bytes());
            self.raw(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }
}
