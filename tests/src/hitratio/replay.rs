//! Replays a trace through the socket as a cache-aside app does: look up, and on a miss store.
//!
//! The trace is cut into windows in which no key occurs twice: a repeated key waits for the next window, and
//! so do all its later requests, in order. The lookups of a window are sent at once, spread over the
//! connections (a key always on the same one); when all are answered, the misses are stored, in front of the
//! next window's lookups. So every lookup of a key comes after the store that its last miss led to, as in an
//! app, and since nothing depends on timing, all caches see the same requests in the same order.

use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::protocol::{self, Reply};
use super::trace::Trace;
use crate::load::Protocol;

/// A server that says nothing for this long has failed.
const SILENCE: Duration = Duration::from_secs(20);
/// A window's values have at most this many bytes (if it is more than one request), so that large values
/// are not stored much later than an app would.
const WINDOW_BYTES: u64 = 256 << 10;
const READ_BUFFER: usize = 256 << 10;

/// How a trace is replayed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Interleaved copies of the trace, each with keys of its own.
    pub(super) copies: u32,
    /// Connections that share the keys.
    pub(super) connections: usize,
    /// The most lookups that are sent before their replies are awaited.
    pub(super) window: usize,
    /// Lookups per second at most.
    pub(super) rate: Option<f64>,
}

/// What a replay found.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) hits: u64,
    /// First requests of a key, which no cache can answer.
    pub(super) first_requests: u64,
    /// Bytes asked for, and those of them that were found.
    pub(super) bytes: u64,
    pub(super) hit_bytes: u64,
    /// Stores that the cache answered with an error, and the first of these errors.
    pub(super) refused: u64,
    pub(super) first_refusal: Option<String>,
    pub(super) seconds: f64,
}

impl Tally {
    /// Share of the requests that were answered.
    pub(super) fn hit_ratio(&self) -> f64 {
        self.hits as f64 / self.requests.max(1) as f64
    }

    /// Share of the bytes asked for that were found.
    pub(super) fn byte_hit_ratio(&self) -> f64 {
        self.hit_bytes as f64 / self.bytes.max(1) as f64
    }

    /// Misses except those of first requests.
    pub(super) fn avoidable_misses(&self) -> u64 {
        (self.requests - self.hits).saturating_sub(self.first_requests)
    }
}

/// One request of one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lookup {
    /// Number of the key within all copies.
    pub(super) key: usize,
    pub(super) size: u32,
    /// Whether the key was never asked for before.
    pub(super) is_first: bool,
}

/// Cuts a trace into windows.
pub(super) struct Windows<'a> {
    trace: &'a Trace,
    copies: u32,
    size: usize,
    /// Position in the trace, and the copy whose turn it is there.
    position: usize,
    copy: u32,
    /// Requests that wait because their key was in the window already.
    waiting: VecDeque<Lookup>,
    /// For each key the window that it was in last; 0 for none.
    last_window: Vec<u32>,
    number: u32,
}

impl<'a> Windows<'a> {
    pub(super) fn new(trace: &'a Trace, copies: u32, size: usize) -> Self {
        Self {
            trace,
            copies,
            size: size.max(1),
            position: 0,
            copy: 0,
            waiting: VecDeque::new(),
            last_window: vec![0; trace.keys() * copies as usize],
            number: 0,
        }
    }

    /// The next request of the interleaved copies, in the trace's order.
    fn next_of_trace(&mut self) -> Option<Lookup> {
        let request = *self.trace.requests.get(self.position)?;
        let key = request.key as usize * self.copies as usize + self.copy as usize;
        self.copy += 1;
        if self.copy == self.copies {
            self.copy = 0;
            self.position += 1;
        }
        Some(Lookup {
            key,
            size: request.size,
            is_first: false,
        })
    }

    /// Fills `window` with the next requests; none are left if it stays empty.
    pub(super) fn fill(&mut self, window: &mut Vec<Lookup>) {
        window.clear();
        self.number += 1;
        let mut bytes = 0;
        for _ in 0..self.waiting.len() {
            let lookup = self.waiting.pop_front().expect("as many as were counted");
            if self.is_full(window.len(), bytes) {
                self.waiting.push_back(lookup);
            } else {
                self.admit(lookup, window, &mut bytes);
            }
        }
        while !self.is_full(window.len(), bytes) && self.waiting.len() < self.size {
            let Some(lookup) = self.next_of_trace() else {
                break;
            };
            self.admit(lookup, window, &mut bytes);
        }
    }

    fn is_full(&self, lookups: usize, bytes: u64) -> bool {
        lookups >= self.size || bytes >= WINDOW_BYTES
    }

    fn admit(&mut self, mut lookup: Lookup, window: &mut Vec<Lookup>, bytes: &mut u64) {
        let last = &mut self.last_window[lookup.key];
        if *last == self.number {
            self.waiting.push_back(lookup);
            return;
        }
        lookup.is_first = *last == 0;
        *last = self.number;
        *bytes += u64::from(lookup.size);
        window.push(lookup);
    }
}

/// Replays `trace` on the server at `port` of loopback.
///
/// # Errors
/// If the server cannot be reached, falls silent, closes a connection, refuses a lookup, or answers with
/// what is no reply or a value of the wrong size.
pub(super) fn replay(trace: &Trace, port: u16, protocol: Protocol, pace: &Pace) -> Result<Tally> {
    let mut replay = Replay {
        protocol,
        connections: (0..pace.connections.max(1))
            .map(|_| Connection::open(port))
            .collect::<Result<_>>()?,
        stored: vec![0; trace.keys() * pace.copies as usize],
        trace,
        copies: pace.copies,
        key: Vec::new(),
        line: Vec::new(),
        tally: Tally::default(),
    };
    let mut windows = Windows::new(trace, pace.copies, pace.window);
    let mut window = Vec::new();
    let start = Instant::now();
    loop {
        windows.fill(&mut window);
        replay.run(&window)?;
        if window.is_empty() {
            break;
        }
        if let Some(rate) = pace.rate {
            let due = Duration::from_secs_f64(replay.tally.requests as f64 / rate);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    replay.tally.seconds = start.elapsed().as_secs_f64();
    Ok(replay.tally)
}

struct Replay<'a> {
    trace: &'a Trace,
    copies: u32,
    protocol: Protocol,
    connections: Vec<Connection>,
    /// For each key the size that was stored last: a hit must have it.
    stored: Vec<u32>,
    key: Vec<u8>,
    line: Vec<u8>,
    tally: Tally,
}

impl Replay<'_> {
    /// Sends the stores that the last window led to and the lookups of this one, and takes the replies.
    fn run(&mut self, window: &[Lookup]) -> Result<()> {
        for lookup in window {
            self.key_of(lookup.key);
            let index = lookup.key % self.connections.len();
            let connection = &mut self.connections[index];
            protocol::get(self.protocol, &self.key, &mut connection.unsent);
            connection.lookups.push(*lookup);
        }
        for connection in &mut self.connections {
            connection.send()?;
        }
        for index in 0..self.connections.len() {
            self.receive(index)?;
        }
        Ok(())
    }

    fn key_of(&mut self, number: usize) {
        self.key.clear();
        let copies = self.copies as usize;
        // Below `copies`, which came from a u32.
        let copy = (number % copies) as u32;
        self.trace.name_key(number / copies, copy, self.copies, &mut self.key);
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        for _ in 0..std::mem::take(&mut self.connections[index].stores) {
            let source = &mut self.connections[index].source;
            match protocol::read_reply(self.protocol, source, &mut self.line)? {
                Reply::Stored => {}
                Reply::Refused(why) => {
                    self.tally.refused += 1;
                    self.tally.first_refusal.get_or_insert(why);
                }
                other => bail!("a SET was answered with {other:?}"),
            }
        }
        let mut lookups = std::mem::take(&mut self.connections[index].lookups);
        for lookup in lookups.drain(..) {
            self.take_lookup(index, lookup)?;
        }
        self.connections[index].lookups = lookups;
        Ok(())
    }

    fn take_lookup(&mut self, index: usize, lookup: Lookup) -> Result<()> {
        let source = &mut self.connections[index].source;
        let reply = protocol::read_reply(self.protocol, source, &mut self.line)?;
        let tally = &mut self.tally;
        tally.requests += 1;
        tally.bytes += u64::from(lookup.size);
        tally.first_requests += u64::from(lookup.is_first);
        match reply {
            Reply::Value(size) => {
                let stored = self.stored[lookup.key];
                ensure!(
                    !lookup.is_first && size == stored as usize,
                    "a GET found {size} bytes where {stored} were stored"
                );
                tally.hits += 1;
                tally.hit_bytes += u64::from(lookup.size);
            }
            Reply::Missing => {
                self.stored[lookup.key] = lookup.size;
                self.key_of(lookup.key);
                let connection = &mut self.connections[index];
                protocol::set(self.protocol, &self.key, lookup.size as usize, &mut connection.unsent);
                connection.stores += 1;
            }
            Reply::Refused(why) => bail!("a GET was refused: {why}"),
            Reply::Stored => bail!("a GET was answered as if it were a SET"),
        }
        Ok(())
    }
}

struct Connection {
    socket: TcpStream,
    source: BufReader<TcpStream>,
    /// Stores, then lookups. Lookups come last and are small, so that a server which stops reading until
    /// its replies are taken cannot hold up the writing.
    unsent: Vec<u8>,
    /// Requests among them whose replies are awaited.
    stores: usize,
    lookups: Vec<Lookup>,
}

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port)).context("connecting")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE))?;
        socket.set_write_timeout(Some(SILENCE))?;
        Ok(Self {
            source: BufReader::with_capacity(READ_BUFFER, socket.try_clone()?),
            socket,
            unsent: Vec::new(),
            stores: 0,
            lookups: Vec::new(),
        })
    }

    fn send(&mut self) -> Result<()> {
        self.socket.write_all(&self.unsent).context("sending")?;
        self.unsent.clear();
        // One huge value must not keep its room for ever.
        self.unsent.shrink_to(1 << 20);
        Ok(())
    }
}
