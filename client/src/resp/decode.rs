//! Replies, decoded as they arrive.
//!
//! Leaves (numbers, errors, verbatim strings) are decoded by redis-protocol, but for the commonest, which a length or
//! a look decides: strings, `OK`, small integers. Aggregates are put together here, on a stack of
//! our own: nesting is bounded before anything is decoded, an aggregate that arrives in pieces is not
//! looked at twice, order and equal keys of maps are kept, and a length that a server claims reserves next to nothing.

use super::Value;
use crate::error::ServerError;
use bytes::{Buf, Bytes, BytesMut};
use redis_protocol::resp3::decode::complete::decode_range;
use redis_protocol::resp3::types::RangeFrame;

/// How deep aggregates may be nested.
const MAX_DEPTH: usize = 32;
/// The longest line: a status, an error, a number, a header.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// A string from this length on is not copied out of the buffer that it arrived in.
const SHARED_BYTES: usize = 16 * 1024;
/// How many elements of an aggregate are reserved ahead of their arrival.
const RESERVED_ELEMENTS: usize = 256;
/// What an element counts towards the limit of a reply, beside its bytes.
const ELEMENT_BYTES: usize = size_of::<Value>();

/// Bytes that are not a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ProtocolError(pub(crate) String);

fn wrong<T>(what: impl Into<String>) -> Result<T, ProtocolError> {
    Err(ProtocolError(what.into()))
}

/// An aggregate whose elements have not all arrived.
#[derive(Debug)]
struct Open {
    kind: u8,
    /// Elements still to come; for maps keys and values count.
    missing: usize,
    elements: Vec<Value>,
}

/// Decodes replies out of a buffer; keeps what is known of one that has not arrived whole.
#[derive(Debug)]
pub(crate) struct Decoder {
    stack: Vec<Open>,
    /// How much of the limit the reply has used.
    used: usize,
    max_reply_bytes: usize,
    /// How many bytes the buffer should hold before it is worth looking again.
    wanted: usize,
}

enum Step {
    /// More bytes are needed.
    Incomplete,
    /// An aggregate was opened.
    Opened,
    Leaf(Value),
}

impl Decoder {
    /// `max_reply_bytes` bounds what one reply may take.
    pub(crate) fn new(max_reply_bytes: usize) -> Decoder {
        Decoder {
            stack: Vec::new(),
            used: 0,
            max_reply_bytes,
            wanted: 0,
        }
    }

    /// How many bytes of the reply that has begun are known to be missing; 0 if that is not known.
    pub(crate) fn missing_bytes(&self, input: &BytesMut) -> usize {
        self.wanted.saturating_sub(input.len())
    }

    /// Takes the next whole reply from the front of `input`; `None` if it has not arrived yet.
    ///
    /// # Errors
    /// If it is not RESP, nested too deep, or larger than allowed. Nothing that follows can be understood then.
    #[inline]
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Value>, ProtocolError> {
        if input.len() < self.wanted {
            return Ok(None);
        }
        self.wanted = 0;
        loop {
            match self.step(input)? {
                Step::Incomplete => return Ok(None),
                Step::Opened => {}
                Step::Leaf(value) => {
                    if let Some(value) = self.close(value) {
                        self.used = 0;
                        return Ok(Some(value));
                    }
                }
            }
        }
    }

    fn step(&mut self, input: &mut BytesMut) -> Result<Step, ProtocolError> {
        let Some(&kind) = input.first() else {
            return Ok(Step::Incomplete);
        };
        match kind {
            b'$' | b'!' | b'=' => self.string(kind, input),
            b'*' | b'%' | b'~' | b'>' | b'|' => self.open(kind, input),
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => self.line(input),
            other => wrong(format!("a reply cannot begin with the byte {other:#04x}")),
        }
    }

    /// A reply of one line.
    #[inline]
    fn line(&mut self, input: &mut BytesMut) -> Result<Step, ProtocolError> {
        let Some(end) = line_end(input)? else {
            return Ok(Step::Incomplete);
        };
        self.charge(end)?;
        // The two that nearly all replies of a line are need no parser.
        let value = match (&input[..end], input[0]) {
            (b"+OK", _) => Value::Status(Bytes::from_static(b"OK")),
            (line, b':') => match small_integer(&line[1..]) {
                Some(number) => Value::Int(number),
                None => leaf(&input[..end + 2])?,
            },
            _ => leaf(&input[..end + 2])?,
        };
        input.advance(end + 2);
        Ok(Step::Leaf(value))
    }

    /// A string with its length in front.
    #[inline]
    fn string(&mut self, kind: u8, input: &mut BytesMut) -> Result<Step, ProtocolError> {
        let Some(end) = line_end(input)? else {
            return Ok(Step::Incomplete);
        };
        let Some(len) = length(&input[1..end])? else {
            // RESP2's nil.
            input.advance(end + 2);
            return Ok(Step::Leaf(Value::Nil));
        };
        if len > self.max_reply_bytes {
            return wrong(format!("a string of {len} bytes; {} are allowed", self.max_reply_bytes));
        }
        let total = end + 2 + len + 2;
        if input.len() < total {
            self.wanted = total;
            return Ok(Step::Incomplete);
        }
        if &input[total - 2..total] != b"\r\n" {
            return wrong("a string does not end where its length says");
        }
        self.charge(len)?;
        if kind == b'$' && len >= SHARED_BYTES {
            input.advance(end + 2);
            let bytes = input.split_to(len).freeze();
            input.advance(2);
            return Ok(Step::Leaf(Value::Bulk(bytes)));
        }
        let value = match kind {
            b'$' => Value::Bulk(Bytes::copy_from_slice(&input[end + 2..total - 2])),
            _ => leaf(&input[..total])?,
        };
        input.advance(total);
        Ok(Step::Leaf(value))
    }

    /// The head of an aggregate.
    fn open(&mut self, kind: u8, input: &mut BytesMut) -> Result<Step, ProtocolError> {
        let Some(end) = line_end(input)? else {
            return Ok(Step::Incomplete);
        };
        let Some(len) = length(&input[1..end])? else {
            input.advance(end + 2);
            return Ok(Step::Leaf(Value::Nil));
        };
        if self.stack.len() == MAX_DEPTH {
            return wrong(format!("nested deeper than {MAX_DEPTH}"));
        }
        let elements = if matches!(kind, b'%' | b'|') {
            len.saturating_mul(2)
        } else {
            len
        };
        self.charge(elements.saturating_mul(ELEMENT_BYTES))?;
        input.advance(end + 2);
        match (elements, kind) {
            // Attributes without content are as if they were not there.
            (0, b'|') => return Ok(Step::Opened),
            (0, _) => return Ok(Step::Leaf(assemble(kind, Vec::new()))),
            _ => {}
        }
        self.stack.push(Open {
            kind,
            missing: elements,
            elements: Vec::with_capacity(elements.min(RESERVED_ELEMENTS)),
        });
        Ok(Step::Opened)
    }

    /// Puts a value where it belongs; returns it if it is the whole reply.
    #[inline]
    fn close(&mut self, mut value: Value) -> Option<Value> {
        loop {
            let Some(open) = self.stack.last_mut() else {
                return Some(value);
            };
            open.elements.push(value);
            open.missing -= 1;
            if open.missing > 0 {
                return None;
            }
            let open = self.stack.pop()?;
            // Attributes say something about the value behind them, which nobody has asked for.
            if open.kind == b'|' {
                return None;
            }
            value = assemble(open.kind, open.elements);
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), ProtocolError> {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.max_reply_bytes {
            return wrong(format!("a reply of over {} bytes", self.max_reply_bytes));
        }
        Ok(())
    }
}

/// Where the first line ends, if it has arrived.
#[inline]
fn line_end(input: &BytesMut) -> Result<Option<usize>, ProtocolError> {
    let seen = &input[..input.len().min(MAX_LINE_BYTES)];
    // Lines hold no carriage return but that of their end.
    match memchr::memchr(b'\r', seen) {
        Some(at) => match input.get(at + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(at)),
            Some(_) => wrong("a carriage return inside of a line"),
        },
        None if seen.len() == MAX_LINE_BYTES => wrong(format!("a line of over {MAX_LINE_BYTES} bytes")),
        None => Ok(None),
    }
}

/// A number of 1 to 18 digits, which cannot overflow.
#[inline]
fn small_integer(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// A length; `None` for the -1 that stands for nil.
#[inline]
fn length(digits: &[u8]) -> Result<Option<usize>, ProtocolError> {
    match small_integer(digits) {
        Some(len) => Ok(Some(len as usize)),
        None if digits == b"-1" => Ok(None),
        None => wrong(format!(
            "'{}' is no length",
            String::from_utf8_lossy(digits).escape_debug()
        )),
    }
}

/// Decodes one whole leaf.
#[inline]
fn leaf(bytes: &[u8]) -> Result<Value, ProtocolError> {
    let (frame, _) = match decode_range(bytes) {
        Ok(Some(decoded)) => decoded,
        Ok(None) => return wrong("a reply that its own length contradicts"),
        Err(error) => return wrong(error.to_string()),
    };
    let copied = |(start, end): (usize, usize)| Bytes::copy_from_slice(&bytes[start..end]);
    let error = |(start, end): (usize, usize)| ServerError::new(&String::from_utf8_lossy(&bytes[start..end]));
    Ok(match frame {
        RangeFrame::BlobString { data, .. } | RangeFrame::VerbatimString { data, .. } => Value::Bulk(copied(data)),
        RangeFrame::SimpleString { data, .. } => Value::Status(copied(data)),
        RangeFrame::SimpleError { data, .. } | RangeFrame::BlobError { data, .. } => Value::Error(error(data)),
        RangeFrame::Number { data, .. } => Value::Int(data),
        RangeFrame::Double { data, .. } => Value::Double(data),
        RangeFrame::Boolean { data, .. } => Value::Bool(data),
        RangeFrame::BigNumber { data, .. } => Value::BigNumber(copied(data)),
        RangeFrame::Null => Value::Nil,
        RangeFrame::Array { .. }
        | RangeFrame::Map { .. }
        | RangeFrame::Set { .. }
        | RangeFrame::Push { .. }
        | RangeFrame::Hello { .. }
        | RangeFrame::ChunkedString(_) => return wrong("an aggregate where a leaf was"),
    })
}

fn assemble(kind: u8, elements: Vec<Value>) -> Value {
    match kind {
        b'%' => {
            let mut elements = elements.into_iter();
            let mut pairs = Vec::with_capacity(elements.len() / 2);
            while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        }
        b'~' => Value::Set(elements),
        b'>' => Value::Push(elements),
        _ => Value::Array(elements),
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn decode_all(bytes: &[u8]) -> Result<Vec<Value>, ProtocolError> {
        let mut decoder = Decoder::new(LIMIT);
        let mut input = BytesMut::from(bytes);
        let mut values = Vec::new();
        while let Some(value) = decoder.decode(&mut input)? {
            values.push(value);
        }
        assert!(values.is_empty() || input.is_empty(), "a rest: {input:?}");
        Ok(values)
    }

    fn one(bytes: &[u8]) -> Value {
        let whole = decode_all(bytes).expect("a reply");
        assert_eq!(whole.len(), 1, "{whole:?}");
        // Byte by byte it must be the same.
        let mut decoder = Decoder::new(LIMIT);
        let mut input = BytesMut::new();
        for (at, byte) in bytes.iter().enumerate() {
            input.extend_from_slice(&[*byte]);
            let value = decoder.decode(&mut input).expect("a part of a reply");
            assert_eq!(value.is_some(), at + 1 == bytes.len(), "at {at}");
            if let Some(value) = value {
                assert_eq!(value, whole[0]);
            }
        }
        whole[0].clone()
    }

    fn bulk(text: &'static str) -> Value {
        Value::Bulk(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn every_type_is_decoded_whole_and_in_pieces() {
        assert_eq!(one(b"+OK\r\n"), Value::Status(Bytes::from_static(b"OK")));
        assert_eq!(one(b"$5\r\nhe\r\no\r\n"), bulk("he\r\no"));
        assert_eq!(one(b"$0\r\n\r\n"), bulk(""));
        assert_eq!(one(b":-9223372036854775808\r\n"), Value::Int(i64::MIN));
        assert_eq!(one(b",-inf\r\n"), Value::Double(f64::NEG_INFINITY));
        assert_eq!(one(b"#t\r\n"), Value::Bool(true));
        assert_eq!(one(b"=7\r\ntxt:abc\r\n"), bulk("abc"));
        assert_eq!(
            one(b"(123456789012345678901234567890\r\n").as_bytes().map(<[u8]>::len),
            Some(30)
        );
        for nil in ["_\r\n", "$-1\r\n", "*-1\r\n"] {
            assert_eq!(one(nil.as_bytes()), Value::Nil, "{nil:?}");
        }
        assert_eq!(one(b"*0\r\n"), Value::Array(Vec::new()));
        assert_eq!(one(b"-ERR no\r\n"), Value::Error(ServerError::new("ERR no")));
        assert_eq!(one(b"!6\r\nERR no\r\n"), Value::Error(ServerError::new("ERR no")));
        let nested = one(b"*2\r\n%2\r\n$1\r\na\r\n:1\r\n$1\r\na\r\n:2\r\n~1\r\n*0\r\n");
        let pairs = vec![(bulk("a"), Value::Int(1)), (bulk("a"), Value::Int(2))];
        assert_eq!(
            nested,
            Value::Array(vec![Value::Map(pairs), Value::Set(vec![Value::Array(Vec::new())])])
        );
        assert_eq!(
            one(b">1\r\n+a\r\n"),
            Value::Push(vec![Value::Status(Bytes::from_static(b"a"))])
        );
    }

    #[test]
    fn attributes_are_left_out_wherever_they_stand() {
        assert_eq!(
            one(b"|1\r\n+ttl\r\n:3600\r\n*2\r\n:1\r\n|0\r\n:2\r\n"),
            Value::Array(vec![Value::Int(1), Value::Int(2)])
        );
    }

    #[test]
    fn a_large_string_is_not_copied() {
        let text = vec![b'x'; SHARED_BYTES];
        let mut bytes = format!("${}\r\n", text.len()).into_bytes();
        bytes.extend_from_slice(&text);
        bytes.extend_from_slice(b"\r\n:1\r\n");
        let mut input = BytesMut::from(&bytes[..]);
        let range = input.as_ptr_range();
        let value = Decoder::new(LIMIT).decode(&mut input).expect("a reply").expect("whole");
        assert!(range.contains(&value.as_bytes().expect("a string").as_ptr()));
        assert_eq!(&input[..], b":1\r\n");
    }

    #[test]
    fn garbage_is_an_error_and_never_waits_for_more() {
        let garbage: &[&[u8]] = &[
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\0",
            b"$-2\r\n",
            b"$3\r\nabcde",
            b"$?\r\n",
            b"*?\r\n",
            b"$99999999999999999999\r\n",
            b"$ 3\r\n",
            b"$+3\r\n",
            b":\r\n",
            b":12a\r\n",
            b"#x\r\n",
            b",1.2.3\r\n",
            b"+a\rb\r\n",
            b"=3\r\nabc\r\n",
            b"=7\r\nxyz:abc\r\n",
            b"*1000000000\r\n",
            b"%9223372036854775807\r\n",
        ];
        for bytes in garbage {
            assert!(decode_all(bytes).is_err(), "{}", bytes.escape_ascii());
        }
        assert!(decode_all(&[b'+'; MAX_LINE_BYTES + 1]).is_err());
        assert!(decode_all(&b"*1\r\n".repeat(MAX_DEPTH)).is_ok_and(|values| values.is_empty()));
        assert!(decode_all(&b"*1\r\n".repeat(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn a_claim_reserves_next_to_nothing() {
        let mut decoder = Decoder::new(1 << 30);
        let mut input = BytesMut::from(&b"*20000000\r\n"[..]);
        assert_eq!(decoder.decode(&mut input), Ok(None));
        assert!(decoder.stack[0].elements.capacity() <= RESERVED_ELEMENTS);
    }

    #[test]
    fn a_reply_over_the_limit_is_refused_however_it_is_cut() {
        let mut decoder = Decoder::new(100);
        let mut input = BytesMut::from(&b"$101\r\n"[..]);
        assert!(decoder.decode(&mut input).is_err());
        let mut decoder = Decoder::new(200);
        let mut input = BytesMut::from(&b"*2\r\n$80\r\n"[..]);
        input.extend_from_slice(&[b'a'; 80]);
        input.extend_from_slice(b"\r\n$80\r\n");
        input.extend_from_slice(&[b'a'; 80]);
        input.extend_from_slice(b"\r\n");
        assert!(decoder.decode(&mut input).is_err());
    }
}
