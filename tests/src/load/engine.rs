//! The event loop: keeps connections busy, counts replies, takes times.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use hdrhistogram::Histogram;
use mio::net::{TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Registry, Token};

use super::cpu::cpu_time_ns;
use super::options::{Command, Options};
use super::replies::{Format, Replies, Tally};
use super::report::Report;
use super::requests::{Keys, Requests};

/// A server that says nothing for this long has failed.
const SILENCE: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_BUFFER: usize = 256 * 1024;
const MAX_LATENCY_NS: u64 = 100_000_000_000;

/// Puts the load on the server that `options` describe. Fails if the server cannot be reached,
/// closes a connection, falls silent for 10 s, or sends what is no reply to the request; error
/// replies are only counted.
pub fn run(options: &Options) -> Result<Report> {
    ensure!(options.rate.is_none_or(|rate| rate > 0.0), "--rate must be above 0");
    let mut engine = Engine::connect(options)?;
    let (warmup, _, _) = if options.warmup > 0.0 {
        engine.phase(u64::MAX, Some(seconds(options.warmup)?))?
    } else {
        engine.phase(0, None)?
    };

    let (count, limit) = match (options.fill, options.requests, options.seconds) {
        (true, ..) => (options.keys.saturating_sub(options.fill_from), None),
        (_, Some(requests), _) => (requests, None),
        (_, None, limit) => (u64::MAX, Some(seconds(limit.unwrap_or(5.0))?)),
    };
    let server_cpu_ns = || match options.server_pid {
        Some(pid) => cpu_time_ns(pid).map(Some).context(format!("CPU time of process {pid}")),
        None => Ok(None),
    };
    let server_before = server_cpu_ns()?;
    let client_before = cpu_time_ns(std::process::id())?;
    let (tally, latencies, elapsed) = engine.phase(count, limit)?;
    let mut report = Report::new(&warmup, tally, latencies);
    report.elapsed = elapsed;
    report.server_cpu_ns = server_cpu_ns()?
        .zip(server_before)
        .map(|(now, then)| now.saturating_sub(then));
    report.client_cpu_ns = cpu_time_ns(std::process::id())? - client_before;
    Ok(report)
}

fn seconds(seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| anyhow!("{seconds} seconds: {error}"))
}

/// What one phase, the warm-up or the measured one, works off.
struct Phase {
    /// Requests not yet sent.
    left: u64,
    /// When to stop sending, in nanoseconds since the engine started.
    deadline_ns: u64,
    /// With `--rate`: when the next request is due, and the time between two.
    due_ns: f64,
    interval_ns: f64,
    tally: Tally,
    latencies: Histogram<u64>,
    last_reply_ns: u64,
}

impl Phase {
    fn is_over(&self, time_ns: u64) -> bool {
        self.left == 0 || time_ns >= self.deadline_ns
    }
}

struct Engine {
    poll: Poll,
    connections: Vec<Connection>,
    requests: Requests,
    format: Format,
    pipeline: u64,
    in_flight: u64,
    rate: Option<f64>,
    /// With `--rate`: connections that may send, the one that waited longest first.
    ready: VecDeque<usize>,
    buffer: Vec<u8>,
    started: Instant,
}

impl Engine {
    fn connect(options: &Options) -> Result<Self> {
        let keys = if options.fill {
            ensure!(
                matches!(
                    options.command,
                    Command::Set | Command::SetEx | Command::SetWithEx | Command::Incr
                ),
                "--fill needs set, setex or incr"
            );
            Keys::Ascending {
                next: options.fill_from,
            }
        } else {
            Keys::Random {
                state: options.seed,
                count: options.keys,
            }
        };
        let poll = Poll::new()?;
        let connections = (0..options.clients as usize)
            .map(|index| Connection::open(options, poll.registry(), Token(index)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            poll,
            ready: (0..connections.len()).collect(),
            connections,
            requests: Requests::new(options, keys),
            format: Format::new(options),
            pipeline: u64::from(options.pipeline),
            in_flight: 0,
            rate: options.rate,
            buffer: vec![0; READ_BUFFER],
            started: Instant::now(),
        })
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Sends `count` requests, or for as long as `limit`, and waits for all replies.
    fn phase(&mut self, count: u64, limit: Option<Duration>) -> Result<(Tally, Histogram<u64>, Duration)> {
        let start_ns = self.now_ns();
        let limit_ns = limit.map_or(u64::MAX, |limit| limit.as_nanos() as u64);
        let mut phase = Phase {
            left: count,
            deadline_ns: start_ns.saturating_add(limit_ns),
            due_ns: start_ns as f64,
            interval_ns: self.rate.map_or(0.0, |rate| 1e9 / rate),
            tally: Tally::default(),
            latencies: Histogram::new_with_bounds(100, MAX_LATENCY_NS, 3)?,
            last_reply_ns: start_ns,
        };
        if self.rate.is_none() {
            for index in 0..self.connections.len() {
                self.send_pipeline(index, start_ns, &mut phase)?;
            }
        }
        let mut events = Events::with_capacity(1024);
        loop {
            if self.rate.is_some() {
                self.send_due(&mut phase)?;
            }
            let all_sent = self.rate.is_none() || phase.is_over(phase.due_ns as u64);
            if self.in_flight == 0 && all_sent {
                break;
            }
            self.turn(&mut events, &mut phase)?;
        }
        let elapsed = Duration::from_nanos(phase.last_reply_ns - start_ns);
        Ok((phase.tally, phase.latencies, elapsed))
    }

    /// Waits for the network once and serves every connection that is ready.
    fn turn(&mut self, events: &mut Events, phase: &mut Phase) -> Result<()> {
        // Requests of an open loop are due microseconds apart, which no timer of epoll can wait for.
        let timeout = if self.rate.is_some() { Duration::ZERO } else { SILENCE };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        if events.is_empty() {
            let oldest_ns = self
                .connections
                .iter()
                .filter_map(|c| c.sent.front())
                .map(|s| s.0)
                .min();
            let silent_since = oldest_ns.map(|oldest| oldest.max(phase.last_reply_ns));
            let silent_ns = silent_since.map_or(0, |since| self.now_ns().saturating_sub(since));
            ensure!(u128::from(silent_ns) < SILENCE.as_nanos(), "no reply for {SILENCE:?}");
        }
        for event in events.iter() {
            let index = event.token().0;
            if event.is_writable() {
                self.connections[index].flush()?;
            }
            if event.is_readable() {
                self.receive(index, phase)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, phase: &mut Phase) -> Result<()> {
        let connection = &mut self.connections[index];
        let before = phase.tally.replies;
        loop {
            let read = match connection.socket.read(&mut self.buffer) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading"),
            };
            connection
                .replies
                .feed(&self.buffer[..read], &self.format, &mut phase.tally)
                .map_err(|what| anyhow!("bad reply: {what}"))?;
            // A short read emptied the socket; epoll will tell of what comes later.
            if read < self.buffer.len() {
                break;
            }
        }
        let replies = phase.tally.replies - before;
        if replies == 0 {
            return Ok(());
        }
        let now_ns = self.started.elapsed().as_nanos() as u64;
        phase.last_reply_ns = now_ns;
        let was_full = connection.in_flight == self.pipeline;
        connection.settle(replies, now_ns, &mut phase.latencies)?;
        self.in_flight -= replies;
        if self.rate.is_none() && connection.in_flight == 0 {
            self.send_pipeline(index, now_ns, phase)?;
        } else if self.rate.is_some() && was_full {
            self.ready.push_back(index);
        }
        Ok(())
    }

    /// Closed loop: the next pipeline of a connection that waits for nothing.
    fn send_pipeline(&mut self, index: usize, now_ns: u64, phase: &mut Phase) -> Result<()> {
        if phase.is_over(now_ns) {
            return Ok(());
        }
        let count = self.pipeline.min(phase.left);
        phase.left -= count;
        self.in_flight += count;
        self.connections[index].send(self.requests.next(count as usize), count, now_ns)
    }

    /// Open loop: all requests that are due by now, as far as connections have room.
    fn send_due(&mut self, phase: &mut Phase) -> Result<()> {
        let now_ns = self.now_ns();
        while phase.due_ns <= now_ns as f64 && !phase.is_over(phase.due_ns as u64) {
            let Some(index) = self.ready.pop_front() else {
                break;
            };
            let connection = &mut self.connections[index];
            connection.send(self.requests.next(1), 1, phase.due_ns as u64)?;
            if connection.in_flight < self.pipeline {
                self.ready.push_back(index);
            }
            phase.left -= 1;
            self.in_flight += 1;
            phase.due_ns += phase.interval_ns;
        }
        Ok(())
    }
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

struct Connection {
    socket: Socket,
    /// Bytes that the socket had no room for.
    unsent: Vec<u8>,
    replies: Replies,
    in_flight: u64,
    /// For requests in flight: when they were sent (or due), and how many at that time.
    sent: VecDeque<(u64, u64)>,
}

impl Connection {
    fn open(options: &Options, registry: &Registry, token: Token) -> Result<Self> {
        // Both directions from the start: epoll reports a socket as writable again only after it
        // was full, so this wakes nobody in vain.
        let interest = Interest::READABLE | Interest::WRITABLE;
        let socket = if let Some(path) = &options.unixsocket {
            let stream = std::os::unix::net::UnixStream::connect(path)
                .with_context(|| format!("connecting to {}", path.display()))?;
            stream.set_nonblocking(true)?;
            let mut stream = UnixStream::from_std(stream);
            registry.register(&mut stream, token, interest)?;
            Socket::Unix(stream)
        } else {
            let (host, port) = (options.host.as_str(), options.port);
            let address = (host, port).to_socket_addrs()?.next().context("unknown host")?;
            let stream = std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
                .with_context(|| format!("connecting to {address}"))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            registry.register(&mut stream, token, interest)?;
            Socket::Tcp(stream)
        };
        Ok(Self {
            socket,
            unsent: Vec::new(),
            replies: Replies::default(),
            in_flight: 0,
            sent: VecDeque::new(),
        })
    }

    fn send(&mut self, bytes: &[u8], count: u64, time_ns: u64) -> Result<()> {
        self.in_flight += count;
        self.sent.push_back((time_ns, count));
        let written = if self.unsent.is_empty() { self.write(bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if !self.unsent.is_empty() {
            let bytes = std::mem::take(&mut self.unsent);
            let written = self.write(&bytes)?;
            self.unsent.extend_from_slice(&bytes[written..]);
        }
        Ok(())
    }

    /// Writes until all is written or the socket is full, and tells how much it took.
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.socket.write(&bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing"),
            }
        }
        Ok(written)
    }

    /// Books `replies` to the requests that were sent first.
    fn settle(&mut self, replies: u64, now_ns: u64, latencies: &mut Histogram<u64>) -> Result<()> {
        let mut left = replies;
        while left > 0 {
            let (time_ns, count) = self.sent.front_mut().context("more replies than requests")?;
            let settled = left.min(*count);
            let latency_ns = now_ns.saturating_sub(*time_ns);
            latencies.saturating_record_n(latency_ns, settled);
            *count -= settled;
            left -= settled;
            if *count == 0 {
                self.sent.pop_front();
            }
        }
        self.in_flight -= replies;
        Ok(())
    }
}
