//! One connection: fill, decode, execute, send, and around again.
//!
//! A connection is a future of its worker. Its turn is plain code: it reads once, decodes every whole
//! request, runs them, and writes once. What cannot be finished (a request that is cut off, replies
//! that the socket does not take, commands held back by a pause) moves into the connection until the
//! next turn; everything else lies in buffers of the worker.

mod sending;

use crate::client::Client;
use crate::clock::monotonic_nanos;
use crate::large::Large;
use crate::memory;
use crate::node::{Node, unix_ms};
use crate::outbox::Ticket;
use crate::resp::decode::{Decoder, Limits};
use crate::resp::encode::{Output, Reply};
use crate::resp::request::Batch;
use crate::stats::WorkerStats;
use crate::transport::Transport;
use crate::turn::{Stop, TURN_COMMANDS, TURN_NANOS, execute};
use crate::worker::{self, Buffers, INPUT_BYTES, Worker};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

/// A leftover up to this size is copied before the next read instead of being read behind.
const COPY_BYTES: usize = 16 * 1024;
/// What is read first where a large argument is expected: its bytes then go straight to where they stay.
const PEEK_BYTES: usize = 1024;

/// Requests that were decoded but must run later, with the input that they and the leftover lie in.
struct Parked {
    batch: Batch,
    input: Vec<u8>,
}

/// Where the input of one turn is.
enum Input {
    /// In the worker's buffer, this many bytes.
    Shared(usize),
    /// In a buffer of the connection.
    Own(Vec<u8>),
    /// Decoded in an earlier turn.
    Parked(Box<Parked>),
}

/// What of a turn's input is kept.
enum Rest {
    Nothing,
    Copied(Vec<u8>),
    /// The whole buffer: a long request of which nothing could run yet must not be copied at each read.
    Everything,
    /// Decoded requests, and whether a pause holds them.
    Parked(Box<Parked>, bool),
}

/// A connection and all that it keeps between turns.
pub(crate) struct Connection<T: Transport> {
    stream: T,
    client: Client,
    node: Arc<Node>,
    stats: Arc<WorkerStats>,
    decoder: Decoder,
    /// Input that waits for its rest.
    leftover: Vec<u8>,
    /// The leftover may hold whole requests, which the last turn had no room for.
    more: bool,
    large: Option<Large>,
    /// The last request had a large argument, so the next may have one.
    expects_large: bool,
    parked: Option<Box<Parked>>,
    /// The place among those who wait for the end of a pause.
    ticket: Option<u64>,
    /// Replies that the socket has not taken yet.
    output: Output,
    /// Where the replies of the last turn wait to be sent with those of others.
    posted: Option<Ticket>,
    /// How much of the node's allowance for unauthenticated input this connection uses.
    unauthenticated_bytes: usize,
    /// What the node was told that its buffers hold, large values in the output aside.
    counted_bytes: usize,
    /// Large values that the node was told of.
    pinned: Vec<usize>,
}

impl<T: Transport> Future for Connection<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let connection = self.get_mut();
        worker::with(|worker| connection.poll_turns(worker, cx))
    }
}

impl<T: Transport> Connection<T> {
    pub(crate) fn new(stream: T, client: Client, node: Arc<Node>) -> Connection<T> {
        let stats = Arc::clone(&node.workers[client.peer.worker]);
        Connection {
            stream,
            client,
            node,
            stats,
            decoder: Decoder::default(),
            leftover: Vec::new(),
            more: false,
            large: None,
            expects_large: false,
            parked: None,
            ticket: None,
            output: Output::default(),
            posted: None,
            unauthenticated_bytes: 0,
            counted_bytes: 0,
            pinned: Vec::new(),
        }
    }

    /// What it reads from and writes to.
    pub(crate) fn transport(&mut self) -> &mut T {
        &mut self.stream
    }

    /// Turns until it must wait or has used up its share of the worker; ready when the connection has ended.
    pub(crate) fn poll_turns(&mut self, worker: &mut Worker, cx: &mut Context<'_>) -> Poll<()> {
        self.client.peer.register(cx.waker());
        self.take_back(worker, cx);
        let mut commands = 0;
        let mut began = None;
        loop {
            worker.refresh();
            if self.client.peer.is_killed() {
                // What was for it before it was closed still goes out, as far as its socket takes it.
                self.take_back(worker, cx);
                let _ = self.flush(cx);
                return Poll::Ready(());
            }
            if ready!(self.flush(cx)).is_err() || self.client.close {
                return Poll::Ready(());
            }
            let input = ready!(self.fill(worker, cx));
            self.take_back(worker, cx);
            let Some(input) = input else {
                return Poll::Ready(());
            };
            let now = monotonic_nanos();
            let (ran, ended) = self.turn(worker, cx, input, now);
            commands += ran;
            if self.ticket.is_some() {
                return self.wait_for_pause(cx);
            }
            if commands >= TURN_COMMANDS || ended - *began.get_or_insert(now) >= TURN_NANOS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Sends what is left and waits, unless the peer has gone; the end of the pause wakes the task.
    fn wait_for_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.flush(cx)).is_err() || self.client.peer.is_killed() || self.stream.poll_gone(cx) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Works on one input: decode, execute, send. Returns how many commands ran, and when they had.
    fn turn(&mut self, worker: &mut Worker, cx: &mut Context<'_>, input: Input, now: u64) -> (usize, u64) {
        let mut buffers = worker.buffers.take().expect("a turn puts the buffers back");
        let Buffers {
            input: shared,
            batch,
            output,
        } = &mut *buffers;
        let (bytes, decoded) = match &input {
            Input::Shared(len) => (&shared[..*len], self.decode(worker, &shared[..*len], batch)),
            Input::Own(bytes) => (&bytes[..], self.decode(worker, bytes, batch)),
            Input::Parked(parked) => (&parked.input[..], Ok(parked.batch.end())),
        };
        let run = match &input {
            Input::Parked(parked) => &parked.batch,
            Input::Shared(_) | Input::Own(_) => &*batch,
        };
        let (stop, ended) = execute(worker, &mut self.client, bytes, run, output, now);
        let decoded = match decoded {
            // It was decoded before the AUTH in front of it had run: look again.
            Err(error) if error.is_for_unauthenticated() && self.client.authenticated => {
                self.more = true;
                Ok(run.end())
            }
            decoded => decoded,
        };
        let ran = match stop {
            Stop::Finished => run.requests().len(),
            Stop::Before(next) | Stop::PausedBefore(next) => next,
        };
        match self.rest(bytes, run, &stop, decoded.as_ref().ok().copied()) {
            Rest::Nothing if self.ticket.is_none() => {}
            rest => self.keep(input, rest),
        }
        self.check_input(worker);
        match decoded {
            // What was decoded before the error comes first; then it is found again.
            Err(_) if self.parked.is_some() => self.more = true,
            Err(error) if !self.client.close => self.refuse(&error, output),
            _ => {}
        }
        self.reply(worker, cx, output, ended);
        worker.put_back(buffers);
        (ran, ended)
    }

    /// Reads what the peer has sent, unless there is work left already; `None` when the connection ends.
    fn fill(&mut self, worker: &mut Worker, cx: &mut Context<'_>) -> Poll<Option<Input>> {
        if let Some(parked) = self.parked.take() {
            return Poll::Ready(Some(Input::Parked(parked)));
        }
        if std::mem::take(&mut self.more) {
            return Poll::Ready(Some(Input::Own(std::mem::take(&mut self.leftover))));
        }
        if self.node.is_stopping() {
            return Poll::Ready(None);
        }
        if self.large.is_some() && !ready!(self.fill_large(worker, cx)) {
            return Poll::Ready(None);
        }
        if self.leftover.len() > COPY_BYTES {
            self.leftover.reserve(INPUT_BYTES);
            let Ok(read @ 1..) = ready!(self.stream.poll_append(cx, &mut self.leftover, usize::MAX)) else {
                return Poll::Ready(None);
            };
            self.count_read(read);
            return Poll::Ready(Some(Input::Own(std::mem::take(&mut self.leftover))));
        }
        let kept = self.leftover.len();
        let shared = &mut worker.buffers.as_mut().expect("a turn puts the buffers back").input;
        let end = if self.expects_large {
            kept + PEEK_BYTES
        } else {
            shared.len()
        };
        let Ok(read @ 1..) = ready!(self.stream.poll_read(cx, &mut shared[kept..end])) else {
            return Poll::Ready(None);
        };
        // Set again if a large argument begins in what was read; a read that left room did no harm.
        self.expects_large &= read < PEEK_BYTES;
        if kept > 0 {
            shared[..kept].copy_from_slice(&self.leftover);
            self.leftover = Vec::new();
        }
        self.count_read(read);
        Poll::Ready(Some(Input::Shared(kept + read)))
    }

    /// Reads into the large argument until it is whole; false when the connection ends.
    fn fill_large(&mut self, worker: &Worker, cx: &mut Context<'_>) -> Poll<bool> {
        while let Some(large) = &mut self.large {
            let missing = large.missing();
            if missing == 0 {
                self.client.oversized |= large.is_dropped();
                if let Some(large) = self.large.take() {
                    self.decoder.supply(large.finish());
                }
                return Poll::Ready(true);
            }
            let (bytes, most) = large.buffer(missing);
            let Ok(read @ 1..) = ready!(self.stream.poll_append(cx, bytes, most)) else {
                return Poll::Ready(false);
            };
            self.count_read(read);
            self.note_progress();
            self.check_input(worker);
            if self.client.peer.is_killed() {
                return Poll::Ready(false);
            }
        }
        Poll::Ready(true)
    }

    /// A peer that takes long to send one large argument or to take its replies is not idle.
    fn note_progress(&self) {
        self.client.peer.active_ms.store(unix_ms(), Ordering::Relaxed);
    }

    fn count_read(&self, bytes: usize) {
        self.stats.reads.add(1);
        let before = self.stats.bytes_in.get();
        self.stats.bytes_in.add(bytes as u64);
        memory::note_read(&self.node, before, before + bytes as u64);
    }

    /// Finds the whole requests in the input; returns how many bytes they take.
    fn decode(
        &mut self,
        worker: &Worker,
        input: &[u8],
        batch: &mut Batch,
    ) -> Result<usize, crate::resp::decode::ProtocolError> {
        let limits = Limits {
            bulk_bytes: worker.settings.proto_max_bulk_len.min(i64::MAX as u64) as i64,
            authenticated: self.client.authenticated,
        };
        let result = self.decoder.decode(input, limits, batch, TURN_COMMANDS);
        self.more = result.is_ok() && batch.requests().len() == TURN_COMMANDS;
        result
    }

    /// What of the input must be kept for another turn.
    fn rest(&mut self, input: &[u8], batch: &Batch, stop: &Stop, decoded: Option<usize>) -> Rest {
        if self.client.close {
            return Rest::Nothing;
        }
        match *stop {
            Stop::Finished => match decoded.unwrap_or(input.len()) {
                consumed if consumed == input.len() => Rest::Nothing,
                // Most often so: a copy that is just large enough for what an idle connection keeps.
                consumed if consumed > 0 || input.len() <= INPUT_BYTES => Rest::Copied(input[consumed..].to_vec()),
                _ => Rest::Everything,
            },
            Stop::Before(next) | Stop::PausedBefore(next) => {
                let (batch, input) = batch.split_off(input, next);
                Rest::Parked(Box::new(Parked { batch, input }), matches!(stop, Stop::PausedBefore(_)))
            }
        }
    }

    /// Moves the rest of a turn's input into the connection.
    #[inline(never)]
    fn keep(&mut self, input: Input, rest: Rest) {
        let (peer, pause) = (&self.client.peer, &self.node.pause);
        if matches!(rest, Rest::Parked(_, true)) {
            self.ticket = Some(pause.park(peer, self.ticket));
        } else if let Some(ticket) = self.ticket.take() {
            pause.leave(peer, ticket);
        }
        match (rest, input) {
            (Rest::Nothing, _) => {}
            (Rest::Parked(parked, _), _) => self.parked = Some(parked),
            (Rest::Copied(leftover), _) | (Rest::Everything, Input::Own(leftover)) => {
                self.leftover = leftover;
                self.begin_large();
            }
            (Rest::Everything, Input::Shared(_) | Input::Parked(_)) => unreachable!("`rest` copies these"),
        }
    }

    /// If a large argument is being awaited, moves its part of the leftover into an allocation of its own.
    fn begin_large(&mut self) {
        let Some((len, at)) = self.decoder.large() else { return };
        if self.more || self.leftover.len() >= at + len {
            return;
        }
        let large = Large::begin(&self.node, len, &self.leftover[at..]);
        self.leftover.truncate(at);
        self.leftover.shrink_to_fit();
        self.large = Some(large);
        self.expects_large = true;
    }

    /// Closes a connection whose pending input is over its limit.
    #[inline]
    fn check_input(&mut self, worker: &Worker) {
        if self.holds_something() || self.counts_something() {
            self.weigh_input(worker);
        }
    }

    /// Whether anything waits in the connection.
    fn holds_something(&self) -> bool {
        !self.leftover.is_empty()
            || self.decoder.is_inside()
            || self.parked.is_some()
            || self.large.is_some()
            || !self.output.is_empty()
            || self.client.transaction_bytes() != 0
    }

    /// Whether others were told that something does.
    fn counts_something(&self) -> bool {
        self.counted_bytes != 0
            || self.unauthenticated_bytes != 0
            || self.client.peer.input_bytes.load(Ordering::Relaxed) != 0
    }

    #[inline(never)]
    fn weigh_input(&mut self, worker: &Worker) {
        let parked = self
            .parked
            .as_ref()
            .map_or(0, |parked| parked.input.len() + parked.batch.held_bytes());
        let large = self.large.as_ref().map_or(0, Large::held_bytes);
        let held = self.leftover.len() + self.decoder.held_bytes() + parked + large;
        let peer = &self.client.peer;
        if held != 0 || peer.input_bytes.load(Ordering::Relaxed) != 0 {
            peer.input_bytes.store(held, Ordering::Relaxed);
        }
        self.count_buffers(held);
        let (settings, node) = (&worker.settings, &self.node);
        // Queued commands are input that waits, as in Redis.
        let waiting = held + self.client.transaction_bytes();
        let mut over = waiting as u64 > settings.client_query_buffer_limit;
        let counted = if self.client.authenticated { 0 } else { held };
        if counted != self.unauthenticated_bytes {
            let before = node
                .unauthenticated_bytes
                .fetch_add(counted.wrapping_sub(self.unauthenticated_bytes), Ordering::Relaxed);
            let total = before.wrapping_add(counted).wrapping_sub(self.unauthenticated_bytes);
            self.unauthenticated_bytes = counted;
            over |= counted as u64 > settings.unauth_query_buffer_limit || total as u64 > settings.unauth_total_limit;
        }
        if over {
            tracing::warn!(client = %self.client.peer.address, bytes = held, "closed for too much pending input");
            self.stats.limit_closes.add(1);
            self.client.peer.kill();
        }
    }

    /// Tells the peer that it does not speak the protocol; the connection closes when that is sent.
    fn refuse(&mut self, error: &crate::resp::decode::ProtocolError, output: &mut Output) {
        self.stats.protocol_errors.add(1);
        self.node.count_error("ERR");
        Reply::new(output, self.client.version).error(&format!("ERR {error}"));
        self.client.close = true;
    }
}

impl<T: Transport> Drop for Connection<T> {
    fn drop(&mut self) {
        let peer = &self.client.peer;
        if let Some(ticket) = self.ticket {
            self.node.pause.leave(peer, ticket);
        }
        memory::count_buffers(&self.node, self.counted_bytes, 0);
        self.node
            .pins
            .exchange(&self.node, &mut self.pinned, std::iter::empty());
        crate::commands::transaction::unwatch_all(&mut self.client.watches, &self.node.keyspace);
        crate::commands::monitor::leave(&self.node, peer);
        self.node
            .unauthenticated_bytes
            .fetch_sub(self.unauthenticated_bytes, Ordering::Relaxed);
        self.node.clients.remove(peer.id);
        self.stats.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
