//! Request traces: CSV of `seconds,key,size`, plain or compressed with zstd, read into memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};

use super::zstd::Frames;

const HEADER: &[u8] = b"seconds,key,size";
/// The first bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Redis takes no larger value.
const SIZE_MAX: u64 = 512 << 20;
/// What an entry costs a cache beside its key and value: a rough mean of the caches' own overheads.
pub(super) const OVERHEAD_BYTES: u64 = 56;
/// Quantiles of a real trace, for traces without sizes: (share of the keys in percent, bytes).
const DRAWN_SIZES: [(u64, u32); 4] = [(50, 54), (25, 200), (20, 568), (5, 1208)];
/// Bytes that every key grows by when a trace is replayed in several copies.
const COPY_SUFFIX: u64 = 3;
/// A suffix has two hexadecimal digits.
pub(super) const COPIES_MAX: u32 = 256;

/// One request: a key's number (in order of first appearance) and the size of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) key: u32,
    pub(super) size: u32,
}

/// A trace in memory.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) name: String,
    pub(super) requests: Vec<Request>,
    /// All keys, one after the other, and where each ends.
    key_bytes: Vec<u8>,
    key_ends: Vec<usize>,
    /// The largest size that each key has.
    largest: Vec<u32>,
}

impl Trace {
    /// Reads the file at `path`. Fails with the line's number at the first line that is not of the format.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let name = name.trim_end_matches(".zst").trim_end_matches(".csv").to_owned();
        let file = File::open(path).with_context(|| format!("no trace at {}", path.display()))?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let start = file.fill_buf().with_context(|| path.display().to_string())?;
        let trace = if start.starts_with(&ZSTD_MAGIC) {
            Self::parse(name, BufReader::with_capacity(1 << 20, Frames::new(file)))
        } else {
            Self::parse(name, file)
        };
        trace.with_context(|| path.display().to_string())
    }

    /// Reads a trace's text.
    pub(super) fn parse(name: String, mut text: impl BufRead) -> Result<Self> {
        let mut trace = Self {
            name,
            ..Self::default()
        };
        let mut numbers: HashMap<Box<[u8]>, u32> = HashMap::new();
        let mut line = Vec::new();
        let mut number = 0_u64;
        loop {
            line.clear();
            if text
                .read_until(b'\n', &mut line)
                .with_context(|| format!("after line {number}"))?
                == 0
            {
                break;
            }
            number += 1;
            let line = line.trim_ascii_end();
            if number == 1 {
                ensure!(
                    line == HEADER,
                    "line 1: not the header seconds,key,size: {}",
                    show(line)
                );
                continue;
            }
            let (key, size) = fields(line).map_err(|what| anyhow!("line {number}: {what}: {}", show(line)))?;
            trace.add(key, size, &mut numbers)?;
        }
        ensure!(!trace.requests.is_empty(), "no requests");
        Ok(trace)
    }

    fn add(&mut self, key: &[u8], size: u32, numbers: &mut HashMap<Box<[u8]>, u32>) -> Result<()> {
        let size = if size == 0 { drawn_size(key) } else { size };
        let key = match numbers.get(key) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.largest.len()).context("over 4 billion keys")?;
                numbers.insert(key.into(), number);
                self.key_bytes.extend_from_slice(key);
                self.key_ends.push(self.key_bytes.len());
                self.largest.push(0);
                number
            }
        };
        let largest = &mut self.largest[key as usize];
        *largest = size.max(*largest);
        self.requests.push(Request { key, size });
        Ok(())
    }

    /// Number of different keys.
    pub(super) fn keys(&self) -> usize {
        self.largest.len()
    }

    fn key(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.key_ends[before]);
        &self.key_bytes[start..self.key_ends[number]]
    }

    /// Appends the name that a key has in one of `copies` copies. With several, every copy's names end alike
    /// and have the same length of ending, so no two keys can meet.
    pub(super) fn name_key(&self, number: usize, copy: u32, copies: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(self.key(number));
        if copies > 1 {
            let digit = |value: u32| b"0123456789abcdef"[(value & 15) as usize];
            out.extend_from_slice(&[b'.', digit(copy >> 4), digit(copy)]);
        }
    }

    /// The largest value.
    pub(super) fn largest_value(&self) -> u32 {
        self.largest.iter().copied().max().unwrap_or(0)
    }

    /// Bytes of all keys and their values at their largest, with the overhead of an entry each.
    pub(super) fn working_set(&self, copies: u32) -> u64 {
        let suffix = if copies > 1 { COPY_SUFFIX } else { 0 };
        let values: u64 = self.largest.iter().map(|size| u64::from(*size)).sum();
        let one = self.key_bytes.len() as u64 + values + (OVERHEAD_BYTES + suffix) * self.keys() as u64;
        one * u64::from(copies)
    }

    /// Why memcached cannot take these keys, if it cannot.
    pub(super) fn memcached_objection(&self, copies: u32) -> Option<String> {
        let room = 250 - if copies > 1 { COPY_SUFFIX as usize } else { 0 };
        (0..self.keys()).map(|number| self.key(number)).find_map(|key| {
            if key.len() > room {
                return Some(format!("a key has {} bytes, over its {room}", key.len()));
            }
            let odd = key.iter().any(|byte| *byte <= b' ' || *byte == 0x7f);
            odd.then(|| format!("a key has a space or control character: {}", show(key)))
        })
    }
}

/// `seconds,key,size`; a key may hold commas.
fn fields(line: &[u8]) -> Result<(&[u8], u32), &'static str> {
    let first = line.iter().position(|byte| *byte == b',').ok_or("no comma")?;
    let last = line.iter().rposition(|byte| *byte == b',').ok_or("no comma")?;
    if first == last {
        return Err("not three fields");
    }
    let seconds = std::str::from_utf8(&line[..first])
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    seconds
        .filter(|seconds| seconds.is_finite())
        .ok_or("seconds are no number")?;
    let key = &line[first + 1..last];
    if key.is_empty() {
        return Err("an empty key");
    }
    let size = std::str::from_utf8(&line[last + 1..])
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    let size = size.ok_or("the size is no number of bytes")?;
    match u32::try_from(size) {
        Ok(fits) if size <= SIZE_MAX => Ok((key, fits)),
        _ => Err("a size over 512 MiB"),
    }
}

/// A size for a key of a trace that has none: always the same one for the same key.
pub(super) fn drawn_size(key: &[u8]) -> u32 {
    let mut percent = hash(key) % 100;
    for (share, size) in DRAWN_SIZES {
        if percent < share {
            return size;
        }
        percent -= share;
    }
    DRAWN_SIZES[0].1
}

/// FNV-1a with SplitMix64's finish: fixed, so that every run and every machine draws the same sizes.
fn hash(key: &[u8]) -> u64 {
    let mut hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn show(line: &[u8]) -> String {
    let start = &line[..line.len().min(60)];
    format!("{:?}", String::from_utf8_lossy(start))
}
