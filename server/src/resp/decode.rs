//! Requests, decoded where they lie: arguments are ranges of the input, nothing is copied.
//!
//! The decoder is incremental. It never looks at a byte of a finished argument again: a request that
//! is cut off is kept as `Partial` (what was found so far, and where to go on), and the caller hands
//! the same bytes in again with more behind them. A bulk string of `LARGE` bytes or more that has not
//! arrived whole can be read straight into its own allocation: see `Decoder::large`.
//!
//! What is an error, and its text, is as in Redis's `processMultibulkBuffer` and
//! `processInlineBuffer`; like Redis, it takes the two bytes behind a line or bulk unseen.

use super::request::{Batch, OWNED, Request, Span};
use crate::config::split_args;
use bytes::Bytes;

/// From this many bytes on, a bulk string gets an allocation of its own.
pub const LARGE: usize = 16 * 1024;
/// Longest inline request, and longest line of a header, in bytes.
const MAX_LINE: usize = 64 * 1024;
/// Limits before authentication, as in Redis.
const MAX_ARGS_UNAUTHENTICATED: i64 = 10;
const MAX_BULK_UNAUTHENTICATED: i64 = 16 * 1024;

/// Bytes of a request's head where both its numbers are one digit.
const USUAL_HEAD: usize = 8;

/// What a peer may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len` in bytes.
    pub bulk_bytes: i64,
    /// False before AUTH, where a request may be but small.
    pub authenticated: bool,
}

/// The peer does not speak the protocol; the connection must be closed after the reply.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProtocolError {
    /// An inline request or its quotes never end.
    #[error("Protocol error: too big inline request")]
    InlineTooLong,
    /// An inline request with a quote that is not closed.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The line with the number of arguments never ends.
    #[error("Protocol error: too big mbulk count string")]
    CountTooLong,
    /// The number of arguments is no number or out of range.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// More arguments than a connection may send before AUTH.
    #[error("Protocol error: unauthenticated multibulk length")]
    CountUnauthenticated,
    /// The line with an argument's length never ends.
    #[error("Protocol error: too big bulk count string")]
    LengthTooLong,
    /// An argument does not start with `$`.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    NoBulk(u8),
    /// An argument's length is no number or out of range.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// A longer argument than a connection may send before AUTH.
    #[error("Protocol error: unauthenticated bulk length")]
    LengthUnauthenticated,
}

impl ProtocolError {
    /// Whether the request is refused only because the connection is not authenticated.
    pub fn is_for_unauthenticated(&self) -> bool {
        matches!(
            self,
            ProtocolError::CountUnauthenticated | ProtocolError::LengthUnauthenticated
        )
    }
}

/// A request of which more must come.
#[derive(Default, Debug)]
struct Partial {
    spans: Vec<Span>,
    owned: Vec<Bytes>,
    /// Arguments still to come; 0 while the request's first line is incomplete.
    missing: i64,
    /// The length of the argument that is being read, once it is known.
    bulk: Option<usize>,
    /// A large argument was supplied, but the two bytes behind it were not seen yet.
    closing: bool,
    /// Where to go on, from the request's start.
    at: usize,
}

/// Decodes the requests of one connection.
#[derive(Default, Debug)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

impl Decoder {
    /// Decodes complete requests from `input` into `batch`, at most `max` of them, and returns how many
    /// bytes they took. What is left over must come again at the head of the next input.
    ///
    /// # Errors
    /// `ProtocolError` if the input can never become a request; the requests before it are in `batch`.
    pub fn decode(
        &mut self,
        input: &[u8],
        limits: Limits,
        batch: &mut Batch,
        max: usize,
    ) -> Result<usize, ProtocolError> {
        let mut cursor = Cursor {
            input,
            start: 0,
            first: 0,
            limits,
            batch,
        };
        if let Some(partial) = self.partial.take()
            && !cursor.resume(*partial, &mut self.partial)?
        {
            return Ok(0);
        }
        while cursor.start < input.len() && cursor.batch.requests.len() < max {
            if !cursor.request(&mut self.partial)? {
                break;
            }
        }
        Ok(cursor.start)
    }

    /// If the decoder waits for the rest of a large argument: its length, and from which offset of the
    /// leftover on its bytes stand there. The caller takes them out of the leftover, reads the rest
    /// behind them, and hands the whole to `supply`.
    pub fn large(&self) -> Option<(usize, usize)> {
        let partial = self.partial.as_ref()?;
        partial.bulk.filter(|&len| len >= LARGE).map(|len| (len, partial.at))
    }

    /// Gives the large argument that `large` told of.
    pub fn supply(&mut self, argument: Bytes) {
        if let Some(partial) = self.partial.as_mut() {
            partial.spans.push(Span {
                start: OWNED | partial.owned.len() as u32,
                len: 0,
            });
            partial.owned.push(argument);
            (partial.bulk, partial.closing) = (None, true);
            partial.missing -= 1;
        }
    }

    /// Whether a request has begun that is not whole yet.
    #[inline]
    pub fn is_inside(&self) -> bool {
        self.partial.is_some()
    }

    /// Bytes held beside the leftover.
    pub fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            partial.spans.capacity() * size_of::<Span>() + partial.owned.iter().map(Bytes::len).sum::<usize>()
        })
    }
}

/// Reads requests from an input, one after the other. The methods return false where the request at
/// `start` is incomplete; what was found of it is then in `keep`.
struct Cursor<'i, 'b> {
    input: &'i [u8],
    /// Where the request begins that is being read.
    start: usize,
    /// The number of its first span.
    first: u32,
    limits: Limits,
    batch: &'b mut Batch,
}

impl Cursor<'_, '_> {
    #[inline]
    fn request(&mut self, keep: &mut Option<Box<Partial>>) -> Result<bool, ProtocolError> {
        if self.usual_request().is_some() {
            return Ok(true);
        }
        if self.input[self.start] != b'*' {
            return self.inline();
        }
        let Some((count, at)) = self.number(self.start + 1, ProtocolError::CountTooLong)? else {
            return Ok(false);
        };
        let missing = count
            .filter(|&count| count <= i64::from(i32::MAX))
            .ok_or(ProtocolError::Count)?;
        if missing > MAX_ARGS_UNAUTHENTICATED && !self.limits.authenticated {
            return Err(ProtocolError::CountUnauthenticated);
        }
        self.arguments(missing.max(0), at, None, keep)
    }

    /// Reads a whole request of up to nine arguments, the first of up to nine bytes and the others of up to 99, as
    /// nearly all are. Of any other nothing is kept.
    #[inline]
    fn usual_request(&mut self) -> Option<()> {
        let input = self.input;
        let (mut missing, mut len) = usual_head(input.get(self.start..)?)?;
        let mut at = self.start + USUAL_HEAD;
        loop {
            let end = at + len + 2;
            let Some(rest) = input.get(end..) else { break };
            self.batch.spans.push(Span {
                start: at as u32,
                len: len as u32,
            });
            missing -= 1;
            if missing == 0 {
                self.finish(end);
                return Some(());
            }
            let Some((short, line)) = short_length(rest) else {
                break;
            };
            (len, at) = (short, end + line);
        }
        self.batch.spans.truncate(self.first as usize);
        None
    }

    #[inline(never)]
    fn resume(&mut self, partial: Partial, keep: &mut Option<Box<Partial>>) -> Result<bool, ProtocolError> {
        let mut at = partial.at;
        if partial.closing && self.input.len() < at + 2 {
            *keep = Some(Box::new(partial));
            return Ok(false);
        }
        at += if partial.closing { 2 } else { 0 };
        // A request that goes on is the first of its input, so its spans become the batch's as they are:
        // copying them at each read would take time quadratic in the length of the request.
        debug_assert!(self.batch.requests.is_empty() && self.start == 0);
        (self.batch.spans, self.batch.owned) = (partial.spans, partial.owned);
        self.arguments(partial.missing, at, partial.bulk, keep)
    }

    /// Reads `missing` arguments from offset `at` on.
    #[inline]
    fn arguments(
        &mut self,
        mut missing: i64,
        mut at: usize,
        mut bulk: Option<usize>,
        keep: &mut Option<Box<Partial>>,
    ) -> Result<bool, ProtocolError> {
        while missing > 0 {
            let found = match bulk.take() {
                Some(len) => Some((len, at)),
                None => self.length(at)?,
            };
            let Some((len, begin)) = found else {
                self.keep(keep, missing, at, None);
                return Ok(false);
            };
            if self.input.len() < begin + len + 2 {
                self.keep(keep, missing, begin, Some(len));
                return Ok(false);
            }
            self.batch.spans.push(Span {
                start: begin as u32,
                len: len as u32,
            });
            at = begin + len + 2;
            missing -= 1;
        }
        self.finish(at);
        Ok(true)
    }

    /// Enters the request that ends at `end`, unless it has no arguments, and goes on behind it.
    #[inline]
    fn finish(&mut self, end: usize) {
        let (first, next) = (self.first, self.batch.spans.len() as u32);
        self.start = end;
        if next > first {
            self.first = next;
            self.batch.requests.push(Request {
                first,
                count: next - first,
                end: end as u32,
            });
        }
    }

    #[cold]
    fn keep(&mut self, keep: &mut Option<Box<Partial>>, missing: i64, at: usize, bulk: Option<usize>) {
        let (spans, owned) = if self.start == 0 {
            (
                std::mem::take(&mut self.batch.spans),
                std::mem::take(&mut self.batch.owned),
            )
        } else {
            (self.cut_spans(self.first as usize), Vec::new())
        };
        *keep = Some(Box::new(Partial {
            spans,
            owned,
            missing,
            bulk,
            closing: false,
            at: at - self.start,
        }));
    }

    /// Takes the spans from number `first` on out of the batch, relative to this request. None of them is
    /// owned: only an inline request and a resumed one have owned arguments.
    fn cut_spans(&mut self, first: usize) -> Vec<Span> {
        let base = self.start as u32;
        let spans = self.batch.spans.drain(first..);
        spans
            .map(|span| Span {
                start: span.start - base,
                ..span
            })
            .collect()
    }

    /// The length of the argument whose `$` stands at `at`, and where its bytes start.
    #[inline]
    fn length(&self, at: usize) -> Result<Option<(usize, usize)>, ProtocolError> {
        match self.input.get(at..).and_then(short_length) {
            Some((len, line)) => Ok(Some((len, at + line))),
            None => self.long_length(at),
        }
    }

    /// What `length` leaves over: lengths of four digits and more, and everything that is wrong.
    #[inline(never)]
    fn long_length(&self, at: usize) -> Result<Option<(usize, usize)>, ProtocolError> {
        match self.input.get(at) {
            None => return Ok(None),
            // Hides its line from Redis, so that more is waited for.
            Some(0) if self.input.len() - at > MAX_LINE => return Err(ProtocolError::LengthTooLong),
            Some(0) => return Ok(None),
            Some(_) => {}
        }
        let Some((len, next)) = self.number(at + 1, ProtocolError::LengthTooLong)? else {
            return Ok(None);
        };
        if self.input[at] != b'$' {
            // Redis looks for the line's end first, and says so only then.
            return Err(ProtocolError::NoBulk(self.input[at]));
        }
        let len = len
            .filter(|&len| (0..=self.limits.bulk_bytes).contains(&len))
            .ok_or(ProtocolError::Length)?;
        if len > MAX_BULK_UNAUTHENTICATED && !self.limits.authenticated {
            return Err(ProtocolError::LengthUnauthenticated);
        }
        Ok(Some((len as usize, next)))
    }

    /// The number in the line from `at` on (`None` if it is none) and where the next line starts; or
    /// nothing while the line is incomplete.
    #[inline]
    fn number(&self, at: usize, too_long: ProtocolError) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
        let line = self.input.get(at..).unwrap_or_default();
        if let Some((value, taken)) = short_number(line) {
            return Ok(Some((Some(value as i64), at + taken)));
        }
        long_number(line, too_long).map(|found| found.map(|(value, taken)| (value, at + taken)))
    }

    #[inline(never)]
    fn inline(&mut self) -> Result<bool, ProtocolError> {
        let rest = &self.input[self.start..];
        let Some(end) = line_end(b'\n', rest) else {
            if rest.len() > MAX_LINE {
                return Err(ProtocolError::InlineTooLong);
            }
            return Ok(false);
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        let args = split_args(line).map_err(|_| ProtocolError::UnbalancedQuotes)?;
        for arg in args {
            self.batch.spans.push(Span {
                start: OWNED | self.batch.owned.len() as u32,
                len: 0,
            });
            self.batch.owned.push(Bytes::from(arg));
        }
        self.finish(self.start + end + 1);
        Ok(true)
    }
}

/// The number of arguments and the length of the first, where both are one digit: then `*N\r\n$L\r\n` is one word
/// of eight bytes.
#[inline]
fn usual_head(input: &[u8]) -> Option<(usize, usize)> {
    let head = input.first_chunk::<USUAL_HEAD>()?;
    let shape = u64::from_le_bytes(*b"*\0\r\n$\0\r\n");
    let digits = u64::from_le_bytes([0, 0xff, 0, 0, 0, 0xff, 0, 0]);
    let (count, len) = (head[1].wrapping_sub(b'0'), head[5].wrapping_sub(b'0'));
    let usual = u64::from_le_bytes(*head) & !digits == shape && (1..=9).contains(&count) && len <= 9;
    usual.then(|| (usize::from(count), usize::from(len)))
}

/// An argument's length of one or two digits, and the bytes of its line. No whole argument is shorter than six bytes.
#[inline]
fn short_length(input: &[u8]) -> Option<(usize, usize)> {
    let &[b'$', first, second, third, _, _] = input.first_chunk()? else {
        return None;
    };
    let (tens, ones) = (first.wrapping_sub(b'0'), second.wrapping_sub(b'0'));
    if (1..=9).contains(&tens) && ones <= 9 && third == b'\r' {
        Some((usize::from(tens) * 10 + usize::from(ones), 5))
    } else if tens <= 9 && second == b'\r' {
        Some((usize::from(tens), 4))
    } else {
        None
    }
}

/// A number of one to three digits and its line end, as most are: its value, and the bytes of the line.
#[inline]
fn short_number(line: &[u8]) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte - b'0');
    match *line {
        [a @ b'0'..=b'9', b'\r', _, ..] => Some((digit(a), 3)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => Some((digit(a) * 10 + digit(b), 4)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', _, ..] => {
            Some((digit(a) * 100 + digit(b) * 10 + digit(c), 5))
        }
        _ => None,
    }
}

/// Any line: the number in it, if it is one, and the bytes of the line with its end.
#[inline(never)]
fn long_number(line: &[u8], too_long: ProtocolError) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
    match line_end(b'\r', line) {
        Some(end) if line.len() > end + 1 => Ok(Some((crate::text::parse_i64(&line[..end]), end + 2))),
        Some(_) => Ok(None),
        None if line.len() > MAX_LINE => Err(too_long),
        None => Ok(None),
    }
}

/// Where the line ends. A NUL hides all that follows, as in Redis, which takes it for the end of the buffer.
fn line_end(end: u8, line: &[u8]) -> Option<usize> {
    memchr::memchr2(end, 0, line).filter(|&at| line[at] == end)
}
