//! Counts the replies in a stream of bytes, and checks that each is of the kind that was asked for.

use super::options::{Command, Options, Protocol};

/// No line of a reply that the generator asks for is longer, errors included.
const MAX_LINE: usize = 4096;

/// What replies said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Complete replies, errors included.
    pub(super) replies: u64,
    /// Values found.
    pub(super) hits: u64,
    /// Values not found.
    pub(super) misses: u64,
    /// Replies that are errors, or of another kind or size than asked for.
    pub(super) errors: u64,
    /// The first of the errors.
    pub(super) first_error: Option<String>,
}

/// The kind of reply that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// That a value was stored.
    Stored,
    /// A number.
    Number,
    /// One value.
    Value,
    /// This many values.
    Values(usize),
}

/// What a connection's replies must look like; the same for all connections.
#[derive(Debug, Clone)]
pub(super) struct Format {
    protocol: Protocol,
    expected: Expected,
    value_size: usize,
    /// The usual first line of a RESP value, which is compared before anything is parsed.
    value_header: Vec<u8>,
}

impl Format {
    pub(super) fn new(options: &Options) -> Self {
        let expected = match options.command {
            Command::Incr if options.fill => Expected::Stored,
            Command::Set | Command::SetEx | Command::SetWithEx => Expected::Stored,
            Command::Incr => Expected::Number,
            Command::Get => Expected::Value,
            Command::Mget(keys) => Expected::Values(keys),
        };
        Self {
            protocol: options.protocol,
            expected,
            value_size: options.value_size,
            value_header: format!("${}", options.value_size).into_bytes(),
        }
    }

    /// Whether a line follows the last value of a reply.
    fn ends_with_line(&self) -> bool {
        self.protocol == Protocol::Memcached && self.expected != Expected::Value
    }
}

/// Where one connection's stream of replies stands.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// An incomplete line.
    line: Vec<u8>,
    /// Bytes of a value, line end included, that are still to come.
    skip: usize,
    /// RESP: values that an array still lacks. Memcached: values that the reply has had.
    values: usize,
}

impl Replies {
    /// Takes the next bytes of the stream. Fails if they cannot be replies at all.
    pub(super) fn feed(&mut self, mut data: &[u8], format: &Format, tally: &mut Tally) -> Result<(), String> {
        while !data.is_empty() {
            if self.skip > 0 {
                let taken = self.skip.min(data.len());
                data = &data[taken..];
                self.skip -= taken;
                if self.skip == 0 && !format.ends_with_line() {
                    self.value_done(tally);
                }
                continue;
            }
            let Some(end) = data.iter().position(|byte| *byte == b'\n') else {
                self.line.extend_from_slice(data);
                if self.line.len() > MAX_LINE {
                    return Err(format!("reply line over {MAX_LINE} bytes"));
                }
                return Ok(());
            };
            let (line, rest) = data.split_at(end + 1);
            data = rest;
            if self.line.is_empty() {
                self.take_line(line, format, tally)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take_line(&whole, format, tally)?;
            }
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], format: &Format, tally: &mut Tally) -> Result<(), String> {
        let line = line
            .strip_suffix(b"\r\n")
            .ok_or_else(|| format!("line without CR: {}", show(line)))?;
        match format.protocol {
            Protocol::Resp => self.take_resp(line, format, tally),
            Protocol::Memcached => self.take_memcached(line, format, tally),
        }
    }

    fn take_resp(&mut self, line: &[u8], format: &Format, tally: &mut Tally) -> Result<(), String> {
        let wants_value = self.values > 0 || format.expected == Expected::Value;
        if wants_value && line == format.value_header {
            tally.hits += 1;
            self.skip = format.value_size + 2;
            return Ok(());
        }
        match (line.first(), format.expected) {
            (Some(b'+'), Expected::Stored) if line == b"+OK" => self.value_done(tally),
            (Some(b':'), Expected::Number) if number(&line[1..]).is_some() => {
                self.value_done(tally);
            }
            (Some(b'$'), _) if wants_value && line == b"$-1" => {
                tally.misses += 1;
                self.value_done(tally);
            }
            (Some(b'*'), Expected::Values(values)) if self.values == 0 && number(&line[1..]) == Some(values as i64) => {
                self.values = values;
            }
            (Some(b'-'), _) => {
                fail(tally, line);
                self.value_done(tally);
            }
            // After another kind of reply nobody could tell where the next one begins.
            _ => return Err(format!("not the reply asked for: {}", show(line))),
        }
        Ok(())
    }

    fn value_done(&mut self, tally: &mut Tally) {
        self.values = self.values.saturating_sub(1);
        if self.values == 0 {
            tally.replies += 1;
        }
    }

    fn take_memcached(&mut self, line: &[u8], format: &Format, tally: &mut Tally) -> Result<(), String> {
        let value_follows = match format.expected {
            Expected::Value => line.starts_with(b"VA "),
            Expected::Values(_) => line.starts_with(b"VALUE "),
            Expected::Stored | Expected::Number => false,
        };
        if value_follows {
            let size = line.rsplit(|byte| *byte == b' ').next().and_then(number);
            if size != i64::try_from(format.value_size).ok() {
                return Err(format!("not the value asked for: {}", show(line)));
            }
            tally.hits += 1;
            self.values += usize::from(format.ends_with_line());
            self.skip = format.value_size + 2;
            return Ok(());
        }
        match format.expected {
            Expected::Stored if line == b"STORED" => {}
            Expected::Number if line == b"NOT_FOUND" => tally.misses += 1,
            // Memcached pads a number with spaces to the length of the one it replaces.
            Expected::Number if number(line.trim_ascii_end()).is_some() => {}
            Expected::Value if line == b"EN" => tally.misses += 1,
            Expected::Values(values) if line == b"END" => {
                tally.misses += values.saturating_sub(self.values) as u64;
                self.values = 0;
            }
            _ => fail(tally, line),
        }
        tally.replies += 1;
        Ok(())
    }
}

fn fail(tally: &mut Tally, line: &[u8]) {
    tally.errors += 1;
    if tally.first_error.is_none() {
        tally.first_error = Some(show(line));
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn show(line: &[u8]) -> String {
    let start = &line[..line.len().min(80)];
    String::from_utf8_lossy(start).trim_end().to_owned()
}
