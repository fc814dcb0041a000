//! The task behind a connection: it connects, sends what calls have queued, hands them their replies, and connects
//! again when the connection breaks.

use super::backoff::Backoff;
use super::calls::Signs;
use super::handshake::{self, Ready};
use super::{Shared, Taken, micros};
use crate::config::{Config, Target};
use crate::error::Error;
use crate::resp::Value;
use crate::resp::decode::Decoder;
use bytes::BytesMut;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::Sleep;

/// Room for what is read at once.
const READ_BYTES: usize = 64 * 1024;
/// The most that is reserved ahead for a large reply.
const RESERVE_BYTES: usize = 1 << 20;
/// A read buffer that grew beyond this is given back when it is empty.
const KEEP_BYTES: usize = 256 * 1024;
/// Reads and writes before other tasks get a chance.
const ROUNDS: usize = 16;

/// Keeps the connection up until nobody uses it any more.
pub(super) async fn run(shared: Arc<Shared>, target: Target, config: Arc<Config>) {
    // Also when the runtime is shut down around it: nobody must wait for a driver that is gone.
    let _guard = Closing(Arc::clone(&shared));
    let mut backoff = Backoff::new(config.backoff_min, config.backoff_max);
    loop {
        let attempt = tokio::time::timeout(config.connect_timeout, handshake::connect(&target, &config));
        let Some(attempt) = until_closed(&shared, attempt).await else {
            return;
        };
        let connected = attempt.unwrap_or_else(|_| {
            let what = format!("no connection within {:?}", config.connect_timeout);
            Err(io::Error::new(io::ErrorKind::TimedOut, what))
        });
        match connected {
            Ok(ready) => {
                shared.up();
                let began = Instant::now();
                Pump::new(&shared, ready, &config).run().await;
                // After a connection that lasted the next attempt is made at once. One that did not last counts as
                // a failure, so that a server that breaks them all is not stormed.
                if backoff.was_worth_it(began.elapsed()) {
                    backoff.reset();
                    continue;
                }
            }
            Err(error) => shared.down(error),
        }
        let wait = tokio::time::sleep(backoff.next(fastrand::f64()));
        if until_closed(&shared, wait).await.is_none() {
            return;
        }
    }
}

/// Waits for `work`, unless the connection is closed first.
async fn until_closed<W: Future>(shared: &Shared, work: W) -> Option<W::Output> {
    let mut work = pin!(work);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if shared.watch(cx.waker()) {
            return Poll::Ready(None);
        }
        // Calls that wait for the connection do not wait longer than they would for their replies.
        loop {
            let due = match shared.next_deadline_us() {
                u64::MAX => break,
                due_us => shared.instant(due_us),
            };
            let sleep = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            sleep.as_mut().reset(due);
            if sleep.as_mut().poll(cx).is_pending() {
                break;
            }
            shared.expire(shared.now_us());
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Closes the connection when it is dropped.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Why a connection ended.
enum End {
    Io(io::Error),
    Protocol(String),
    Closed,
}

/// One connection while it lasts.
struct Pump<'a> {
    shared: &'a Shared,
    ready: Ready,
    decoder: Decoder,
    /// What is being sent, and how much of it the socket has taken.
    write: Vec<u8>,
    write_at: usize,
    /// How much of all requests the socket has taken.
    written: u64,
    /// When the socket last took something; `u64::MAX` while there is nothing to take.
    flowed_us: u64,
    /// TLS holds bytes that the socket has not taken.
    unflushed: bool,
    /// Others have had their chance to share the next write.
    gathered: bool,
    /// The longest that the socket may take nothing.
    write_timeout_us: u64,
    heard_us: u64,
    caught_up_us: u64,
    patience_us: u64,
    timer: Pin<Box<Sleep>>,
    timer_us: u64,
    wake: Vec<Waker>,
    values: Vec<Value>,
}

impl<'a> Pump<'a> {
    fn new(shared: &'a Shared, ready: Ready, config: &Config) -> Pump<'a> {
        let now_us = shared.now_us();
        Pump {
            shared,
            ready,
            decoder: Decoder::new(config.max_reply_bytes),
            write: Vec::new(),
            write_at: 0,
            written: shared.taken(),
            flowed_us: u64::MAX,
            unflushed: false,
            gathered: false,
            write_timeout_us: micros(config.write_timeout),
            heard_us: now_us,
            caught_up_us: now_us,
            patience_us: micros(config.response_timeout),
            timer: Box::pin(tokio::time::sleep(Duration::from_secs(3600))),
            timer_us: u64::MAX,
            wake: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Until the connection ends.
    async fn run(mut self) {
        // What has come with the greeting was not asked for by any call.
        let end = match self.digest(0) {
            Ok(()) => poll_fn(|cx| self.poll(cx)).await,
            Err(end) => end,
        };
        if !matches!(end, End::Closed) {
            // What the system still has of requests whose outcome is told as unknown must not arrive minutes later.
            self.ready.stream.discard_unsent();
        }
        let error = match end {
            End::Io(error) => Error::Lost {
                node: Arc::clone(&self.shared.node),
                source: Arc::new(error),
            },
            End::Protocol(what) => Error::Protocol {
                node: Arc::clone(&self.shared.node),
                what: what.into(),
            },
            End::Closed => Error::Closed,
        };
        self.shared.lost(self.written, &self.write[self.write_at..], &error);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        for _ in 0..ROUNDS {
            // Reading comes first: what has arrived before a request was sent cannot be its reply.
            let read = match self.poll_read(cx) {
                Ok(read) => read,
                Err(end) => return Poll::Ready(end),
            };
            if self.gathers() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let wrote = match self.poll_write(cx) {
                Ok(wrote) => wrote,
                Err(end) => return Poll::Ready(end),
            };
            if !wrote && !read {
                return self.poll_timer(cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether to let other tasks run once before the next write: where several call at a time, those that are about to
    /// can share it. Runtimes with several threads run the driver right after the first that woke it.
    fn gathers(&mut self) -> bool {
        let has_taken_all = self.write_at == self.write.len();
        let gathers = has_taken_all && !self.gathered && self.shared.is_worth_gathering();
        self.gathered |= gathers;
        gathers
    }

    /// Sends what there is; whether anything was sent.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if self.unflushed {
            self.poll_flush(cx)?;
        }
        if self.write_at == self.write.len() {
            self.write.clear();
            self.write_at = 0;
            match self.shared.take_out(&mut self.write, cx.waker()) {
                Taken::Closed => return Err(End::Closed),
                Taken::Nothing => return Ok(false),
                Taken::From(begins) => self.written = begins,
            }
            self.gathered = false;
        }
        let rest = &self.write[self.write_at..];
        match Pin::new(&mut self.ready.stream).poll_write(cx, rest) {
            Poll::Pending => {
                if self.flowed_us == u64::MAX {
                    self.flowed_us = self.shared.now_us();
                }
                Ok(false)
            }
            Poll::Ready(Ok(0)) => Err(End::Io(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Err(error)) => Err(End::Io(error)),
            Poll::Ready(Ok(sent)) => {
                let in_pieces = sent < self.write.len();
                self.write_at += sent;
                self.written += sent as u64;
                if in_pieces {
                    self.caught_up_us = self.shared.now_us();
                }
                self.flowed_us = self.caught_up_us;
                if self.write_at == self.write.len() {
                    self.poll_flush(cx)?;
                }
                Ok(true)
            }
        }
    }

    /// TLS keeps what it has encrypted until it is told to let it go.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        match Pin::new(&mut self.ready.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.unflushed = false;
                self.flowed_us = u64::MAX;
            }
            Poll::Ready(Err(error)) => return Err(End::Io(error)),
            Poll::Pending if self.unflushed => {}
            Poll::Pending => {
                self.unflushed = true;
                self.flowed_us = self.shared.now_us();
            }
        }
        Ok(())
    }

    /// Reads once and hands out the replies; whether anything came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let input = &mut self.ready.input;
        if input.is_empty() && input.capacity() > KEEP_BYTES {
            *input = BytesMut::new();
        }
        if input.capacity() - input.len() < READ_BYTES / 2 {
            let missing = self.decoder.missing_bytes(input).min(RESERVE_BYTES);
            input.reserve(missing.max(READ_BYTES));
        }
        let read = {
            let read = pin!(self.ready.stream.read_buf(&mut self.ready.input));
            match read.poll(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(0)) => return Err(End::Io(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Err(error)) => return Err(End::Io(error)),
                Poll::Ready(Ok(read)) => read,
            }
        };
        self.heard_us = self.shared.now_us();
        self.digest(read).map(|()| true)
    }

    /// Hands out the replies that have arrived whole.
    fn digest(&mut self, read: usize) -> Result<(), End> {
        let decoded = self.decode();
        let delivered = self
            .shared
            .deliver(&mut self.values, read, self.written, self.heard_us, &mut self.wake);
        for waker in self.wake.drain(..) {
            waker.wake();
        }
        decoded.and(delivered).map_err(End::Protocol)
    }

    /// Decodes all replies that have arrived whole.
    fn decode(&mut self) -> Result<(), String> {
        loop {
            match self.decoder.decode(&mut self.ready.input) {
                // Nobody subscribes on this connection; what a server announces of itself is not for callers.
                Ok(Some(Value::Push(_))) => {}
                Ok(Some(value)) => self.values.push(value),
                Ok(None) => return Ok(()),
                Err(error) => return Err(error.0),
            }
        }
    }

    /// Ends calls whose time is up, and the connection if it is stuck.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let stuck_us = self.flowed_us.saturating_add(self.write_timeout_us);
            let (next_us, dead_us) = self.shared.deadlines_us(Signs {
                written: self.written,
                heard_us: self.heard_us,
                caught_up_us: self.caught_up_us,
                patience_us: self.patience_us,
            });
            let due_us = next_us.min(dead_us).min(stuck_us);
            if due_us == u64::MAX {
                return Poll::Pending;
            }
            // A timer that is early is cheaper than one that is set anew for every call.
            if due_us < self.timer_us || self.timer.is_elapsed() {
                self.timer_us = due_us;
                self.timer.as_mut().reset(self.shared.instant(due_us));
            }
            ready!(self.timer.as_mut().poll(cx));
            self.timer_us = u64::MAX;
            let now_us = self.shared.now_us();
            if now_us >= next_us {
                self.shared.expire(now_us);
            }
            if now_us >= stuck_us {
                return Poll::Ready(End::Io(timed_out("the socket takes nothing")));
            }
            if now_us >= dead_us {
                return Poll::Ready(End::Io(timed_out("the server does not answer")));
            }
        }
    }
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
