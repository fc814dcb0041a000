//! The decoder against redis-protocol's own, on random replies, mutations of them, and random cuts.
//!
//! Where they differ on purpose: ours refuses streamed types, `HELLO`, a carriage return inside of a line, and strings
//! that do not end where they should; it knows the nils of RESP2 in RESP3, too; it drops attributes; it keeps the
//! order of maps and sets, and equal keys; it has limits. So: what ours reads, the other must read alike, nils of
//! RESP2 aside; and what is written the one canonical way, ours must read.

use super::*;
use redis_protocol::resp2::decode::decode as oracle2;
use redis_protocol::resp2::types::OwnedFrame as Frame2;
use redis_protocol::resp3::decode::complete::decode as oracle3;
use redis_protocol::resp3::types::OwnedFrame as Frame3;
use std::hash::{BuildHasher, Hasher, RandomState};

const LIMIT: usize = 1 << 20;

/// A reply in one form, whoever decoded it: order and equal keys of maps and sets do not show.
fn shape(value: &Value) -> String {
    let all = |items: &[Value]| items.iter().map(shape).collect::<Vec<_>>();
    match value {
        Value::Nil => "nil".to_string(),
        Value::Status(bytes) => format!("+{}", bytes.escape_ascii()),
        Value::Bulk(bytes) => format!("${}", bytes.escape_ascii()),
        Value::Int(number) => format!(":{number}"),
        Value::Double(number) => format!(",{number:?}"),
        Value::Bool(is) => format!("#{is}"),
        Value::BigNumber(bytes) => format!("({}", bytes.escape_ascii()),
        Value::Error(error) => format!("-{}", error.message()),
        Value::Array(items) => format!("*{:?}", all(items)),
        Value::Set(items) => format!("~{:?}", unordered(all(items))),
        Value::Push(items) => format!(">{:?}", all(items)),
        Value::Map(pairs) => pairs_shape(pairs.iter().map(|(key, value)| (shape(key), shape(value)))),
    }
}

fn unordered(mut items: Vec<String>) -> Vec<String> {
    items.sort();
    items.dedup();
    items
}

fn pairs_shape(pairs: impl Iterator<Item = (String, String)>) -> String {
    let pairs = pairs.map(|(key, value)| format!("{key} => {value}"));
    format!("%{:?}", unordered(pairs.collect()))
}

/// Whether a map in it has equal keys, of which the other decoder keeps one.
fn has_twins(value: &Value) -> bool {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => items.iter().any(has_twins),
        Value::Map(pairs) => {
            let keys: Vec<_> = pairs.iter().map(|(key, _)| shape(key)).collect();
            let count = keys.len();
            unordered(keys).len() < count || pairs.iter().any(|(key, value)| has_twins(key) || has_twins(value))
        }
        _ => false,
    }
}

fn shape3(frame: &Frame3) -> String {
    let all = |items: &[Frame3]| items.iter().map(shape3).collect::<Vec<_>>();
    match frame {
        Frame3::BlobString { data, .. } | Frame3::VerbatimString { data, .. } => format!("${}", data.escape_ascii()),
        Frame3::SimpleString { data, .. } => format!("+{}", data.escape_ascii()),
        Frame3::BlobError { data, .. } => format!("-{}", String::from_utf8_lossy(data)),
        Frame3::SimpleError { data, .. } => format!("-{data}"),
        Frame3::Boolean { data, .. } => format!("#{data}"),
        Frame3::Null => "nil".to_string(),
        Frame3::Number { data, .. } => format!(":{data}"),
        Frame3::Double { data, .. } => format!(",{data:?}"),
        Frame3::BigNumber { data, .. } => format!("({}", data.escape_ascii()),
        Frame3::Array { data, .. } => format!("*{:?}", all(data)),
        Frame3::Push { data, .. } => format!(">{:?}", all(data)),
        Frame3::Set { data, .. } => format!("~{:?}", unordered(data.iter().map(shape3).collect())),
        Frame3::Map { data, .. } => pairs_shape(data.iter().map(|(key, value)| (shape3(key), shape3(value)))),
        Frame3::Hello { .. } | Frame3::ChunkedString(_) => "no reply".to_string(),
    }
}

fn shape2(frame: &Frame2) -> String {
    match frame {
        Frame2::SimpleString(data) => format!("+{}", data.escape_ascii()),
        Frame2::Error(data) => format!("-{data}"),
        Frame2::Integer(number) => format!(":{number}"),
        Frame2::BulkString(data) => format!("${}", data.escape_ascii()),
        Frame2::Array(items) => format!("*{:?}", items.iter().map(shape2).collect::<Vec<_>>()),
        Frame2::Null => "nil".to_string(),
    }
}

/// Replies with where they end, and whether what follows is an error.
fn ours(bytes: &[u8], mut next_piece: impl FnMut() -> usize) -> (Vec<(Value, usize)>, bool) {
    let (mut decoder, mut input) = (Decoder::new(LIMIT), BytesMut::new());
    let (mut values, mut fed) = (Vec::new(), 0);
    while fed < bytes.len() {
        let piece = next_piece().clamp(1, bytes.len() - fed);
        input.extend_from_slice(&bytes[fed..fed + piece]);
        fed += piece;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(value)) => values.push((value, fed - input.len())),
                Ok(None) => break,
                Err(_) => return (values, true),
            }
        }
    }
    (values, false)
}

struct Source(fastrand::Rng);

impl Source {
    fn text(&mut self) -> Vec<u8> {
        let len = match self.0.u32(0..30) {
            0 => self.0.usize(0..40_000),
            1..4 => 0,
            _ => self.0.usize(0..20),
        };
        (0..len).map(|_| self.0.u8(..)).collect()
    }

    fn line(&mut self) -> String {
        (0..self.0.usize(0..12)).map(|_| self.0.alphanumeric()).collect()
    }

    fn string(&mut self, kind: char, out: &mut Vec<u8>) {
        let text = self.text();
        out.extend_from_slice(format!("{kind}{}\r\n", text.len()).as_bytes());
        out.extend_from_slice(&text);
        out.extend_from_slice(b"\r\n");
    }

    fn leaf(&mut self, resp3: bool, out: &mut Vec<u8>) {
        match self.0.u32(0..if resp3 { 10 } else { 5 }) {
            0 => self.string('$', out),
            1 => out.extend_from_slice(format!("+{}\r\n", self.line()).as_bytes()),
            2 => out.extend_from_slice(format!("-ERR {}\r\n", self.line()).as_bytes()),
            3 => out.extend_from_slice(format!(":{}\r\n", self.0.i64(..)).as_bytes()),
            4 if !resp3 => out.extend_from_slice(if self.0.bool() { b"$-1\r\n" } else { b"*-1\r\n" }),
            4 => out.extend_from_slice(b"_\r\n"),
            5 => out.extend_from_slice(format!(",{}\r\n", f64::from(self.0.i32(..)) / 256.0).as_bytes()),
            6 => out.extend_from_slice(if self.0.bool() { b"#t\r\n" } else { b"#f\r\n" }),
            7 => out.extend_from_slice(format!("({}{}\r\n", self.0.u64(..), self.0.u64(..)).as_bytes()),
            8 => self.string('!', out),
            _ => {
                let text = self.line();
                out.extend_from_slice(format!("={}\r\ntxt:{text}\r\n", text.len() + 4).as_bytes());
            }
        }
    }

    fn reply(&mut self, resp3: bool, depth: usize, out: &mut Vec<u8>) {
        let kinds = if resp3 { 9 } else { 7 };
        let kind = self.0.u32(0..kinds);
        if depth == 5 || kind < 6 {
            return self.leaf(resp3, out);
        }
        let count = self.0.usize(0..6);
        match kind {
            6 => {
                out.extend_from_slice(format!("*{count}\r\n").as_bytes());
                (0..count).for_each(|_| self.reply(resp3, depth + 1, out));
            }
            7 => {
                out.extend_from_slice(format!("%{count}\r\n").as_bytes());
                for number in 0..count {
                    // Others cannot be keys to the other decoder.
                    out.extend_from_slice(format!("$6\r\nkey:{number:02}\r\n").as_bytes());
                    self.reply(resp3, depth + 1, out);
                }
            }
            _ => {
                out.extend_from_slice(format!("~{count}\r\n").as_bytes());
                (0..count).for_each(|_| self.string('$', out));
            }
        }
    }

    fn mutate(&mut self, stream: &mut Vec<u8>) {
        const SPICE: &[&[u8]] = &[
            b"\r\n",
            b"\r",
            b"\n",
            b"-1",
            b"$",
            b"*",
            b"%",
            b"~",
            b"|1\r\n",
            b">2\r\n",
            b"_\r\n",
            b"0",
            b"9",
            b"?",
            b"+",
            b"$-1\r\n",
            b"*0\r\n",
            b":7\r\n",
            b"*99999999\r\n",
            b"$99999999999\r\n",
            b"H",
            b";4\r\n",
            b".\r\n",
            b",nan\r\n",
        ];
        for _ in 0..self.0.usize(1..4) {
            if stream.is_empty() {
                return;
            }
            // Headers are where decoders go wrong, and most are at the beginning.
            let reach = if self.0.bool() {
                stream.len().min(60)
            } else {
                stream.len()
            };
            let at = self.0.usize(0..reach);
            match self.0.u32(0..5) {
                0 => stream[at] = self.0.u8(..),
                1 => stream[at] ^= 1 << self.0.u32(0..8),
                2 => drop(stream.remove(at)),
                3 => stream.truncate(at + 1),
                _ => drop(stream.splice(at..at, SPICE[self.0.usize(0..SPICE.len())].iter().copied())),
            }
        }
    }
}

/// Whether the other decoder may see it otherwise.
fn has_its_own_meaning(bytes: &[u8]) -> bool {
    let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    // Nils of RESP2; attributes, and nulls with a text behind them.
    holds(b"-1\r\n") || holds(b"|")
}

/// What is not a number is not equal to itself, but looks alike.
fn shapes(values: &[(Value, usize)]) -> Vec<(String, usize)> {
    values.iter().map(|(value, end)| (shape(value), *end)).collect()
}

fn check(stream: &[u8], resp3: bool, canonical: bool, source: &mut Source) {
    let shown = || stream[..stream.len().min(1000)].escape_ascii().to_string();
    let (whole, failed) = ours(stream, || usize::MAX);
    let mut at = 0;
    for (value, end) in &whole {
        let bytes = &stream[at..*end];
        at = *end;
        let other = if resp3 {
            oracle3(bytes).map(|found| found.map(|(frame, used)| (shape3(&frame), used)))
        } else {
            oracle2(bytes).map(|found| found.map(|(frame, used)| (shape2(&frame), used)))
        };
        match other {
            Ok(Some((other, used))) if canonical || !(has_its_own_meaning(bytes) || has_twins(value)) => {
                assert_eq!((shape(value), bytes.len()), (other, used), "{}", shown());
            }
            _ => assert!(
                !canonical && (has_its_own_meaning(bytes) || is_not_for_the_other(value)),
                "{}",
                shown()
            ),
        }
    }
    if canonical {
        assert!(!failed && at == stream.len(), "{}", shown());
    }
    for longest in [1, 3, 40, 9000] {
        // Bytes one by one take long for long streams, and nothing new happens inside of a string.
        let longest = if stream.len() > 5000 { longest.max(40) } else { longest };
        let (pieces, failed_in_pieces) = ours(stream, || source.0.usize(1..=longest));
        assert!(
            shapes(&pieces) == shapes(&whole) && failed_in_pieces == failed,
            "in pieces of {longest}: {}",
            shown()
        );
    }
}

/// What only ours reads: aggregates as keys or elements of sets, text that is not UTF-8 in an error.
fn is_not_for_the_other(value: &Value) -> bool {
    match value {
        Value::Error(error) => error.message().contains('\u{fffd}'),
        Value::Array(items) | Value::Push(items) => items.iter().any(is_not_for_the_other),
        Value::Set(_) | Value::Map(_) => true,
        _ => false,
    }
}

fn fuzz(seed: u64, rounds: usize) {
    println!("LARDER_SEED={seed}");
    let mut source = Source(fastrand::Rng::with_seed(seed));
    for round in 0..rounds {
        let resp3 = round % 2 == 0;
        let mut stream = Vec::new();
        for _ in 0..source.0.usize(1..8) {
            source.reply(resp3, 0, &mut stream);
        }
        check(&stream, resp3, true, &mut source);
        for _ in 0..8 {
            source.mutate(&mut stream);
            check(&stream, true, false, &mut source);
        }
    }
}

#[test]
fn replies_are_read_as_redis_protocol_reads_them_fixed_seed() {
    fuzz(7, 400);
}

#[test]
fn replies_are_read_as_redis_protocol_reads_them_fresh_seed() {
    let seed = std::env::var("LARDER_SEED").ok().and_then(|text| text.parse().ok());
    fuzz(seed.unwrap_or_else(|| RandomState::new().build_hasher().finish()), 1500);
}
