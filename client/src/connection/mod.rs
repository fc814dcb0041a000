//! One connection to a node, on which any number of calls share one stream: requests of calls that are made at the
//! same time go out together, and replies are handed out in their order.
//!
//! ```text
//!   callers                    Shared                        driver, one task
//!   submit: encode ---> [ requests | queue of calls ] ---> write, read, decode
//!   wait   <--- wake -- [ a slot per call, its reply ] <--- deliver in order
//! ```
//!
//! A caller that goes away leaves its place in the queue, so that no reply is ever given to another call.

mod backoff;
mod calls;
mod driver;
mod handshake;
mod session;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod waiting;

pub(crate) use backoff::Backoff;
pub(crate) use session::{Endpoint, Session};
pub(crate) use waiting::{Asking, Pending};

use crate::config::{Config, Target};
use crate::error::{Error, Result};
use crate::events::{Event, Events};
use crate::resp::{Encoder, Value};
use calls::{Calls, Order, Refused, Signs, Ticket};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// How much of a new latency goes into the running mean: 1/8, as in TCP's round-trip estimate (RFC 6298).
const LATENCY_SHIFT: u32 = 3;

/// Counters of a connection, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) timeouts: u64,
    pub(crate) connects: u64,
    pub(crate) losses: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// Whether calls can be made.
#[derive(Debug)]
enum Phase {
    /// Calls wait for the first connection, or for one after a break.
    Connecting,
    Up,
    /// The last attempt failed; until one succeeds, calls fail at once.
    Down(Error),
    Closed,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    calls: Calls,
    /// The driver, and whether it must be woken to see a new call.
    driver: Option<Waker>,
    driver_sleeps: bool,
    counts: Counts,
}

/// What the driver has got to send.
enum Taken {
    Closed,
    Nothing,
    /// It begins there in all that was ever encoded.
    From(u64),
}

/// What callers and the driver share.
#[derive(Debug)]
struct Shared {
    node: Arc<str>,
    epoch: Instant,
    events: Events,
    state: Mutex<State>,
    pending: AtomicUsize,
    /// There are requests that the driver has not taken.
    queued: AtomicBool,
    latency_us: AtomicU64,
}

/// A handle of a connection; dropping it closes the connection and ends its calls.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
}

impl Connection {
    /// Starts connecting, in a task of the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn spawn(node: Arc<str>, target: Target, config: Arc<Config>, events: Events) -> Connection {
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            events,
            state: Mutex::new(State {
                phase: Phase::Connecting,
                calls: Calls::new(Arc::clone(&node), config.max_pending, config.max_pending_bytes),
                driver: None,
                driver_sleeps: false,
                counts: Counts::default(),
            }),
            pending: AtomicUsize::new(0),
            queued: AtomicBool::new(false),
            latency_us: AtomicU64::new(0),
            node,
        });
        tokio::spawn(driver::run(Arc::clone(&shared), target, config));
        Connection { shared }
    }

    /// Sends what `encode` appends, and waits for `replies` replies; several come as an array. The request has its place
    /// among others when this returns. A future that is dropped before its request was sent cancels it.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Connect`], [`Error::Lost`], [`Error::Timeout`], [`Error::Protocol`], or
    /// [`Error::Usage`] if the arguments write other than what they count. A server's error is a value.
    pub(crate) fn call(&self, replies: u32, timeout: Duration, encode: impl FnOnce(&mut Encoder<'_>)) -> Pending<'_> {
        let submitted = self.shared.submit(replies, timeout, encode, None);
        Pending::new(&self.shared, submitted.map(|(ticket, _)| ticket))
    }

    /// The same for a caller to whom it does not matter when the request gets its place: when the future is polled
    /// first, which saves a look at the connection.
    #[inline]
    pub(crate) fn ask<F: FnOnce(&mut Encoder<'_>)>(&self, replies: u32, timeout: Duration, encode: F) -> Asking<'_, F> {
        Asking::new(&self.shared, replies, timeout, encode)
    }

    /// How many calls wait for a reply.
    pub(crate) fn pending(&self) -> usize {
        self.shared.pending.load(Ordering::Relaxed)
    }

    /// The running mean of what calls took, in microseconds; 0 before the first reply.
    pub(crate) fn latency_us(&self) -> u64 {
        self.shared.latency_us.load(Ordering::Relaxed)
    }

    /// Whether the last attempt to connect failed.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.shared.lock().phase, Phase::Down(_))
    }

    pub(crate) fn counts(&self) -> Counts {
        self.shared.lock().counts
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    /// A panic under the lock is an `encode`'s, which leaves the state in order.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }

    /// The time on tokio's clock of a time on this connection's.
    fn instant(&self, at_us: u64) -> tokio::time::Instant {
        (self.epoch + Duration::from_micros(at_us)).into()
    }

    /// Takes a call in, and tells when that was; the driver is woken if need be.
    fn submit(
        &self,
        replies: u32,
        timeout: Duration,
        encode: impl FnOnce(&mut Encoder<'_>),
        waker: Option<Waker>,
    ) -> Result<(Ticket, u64)> {
        let now_us = self.now_us();
        let order = Order {
            replies,
            now_us,
            deadline_us: now_us.saturating_add(micros(timeout)),
        };
        let mut state = self.lock();
        match &state.phase {
            Phase::Connecting | Phase::Up => {}
            Phase::Down(error) => return Err(error.clone()),
            Phase::Closed => return Err(Error::Closed),
        }
        // A driver that waits for the socket is not woken by calls, but it must not sleep through their deadlines.
        let is_due_first = order.deadline_us < state.calls.next_deadline_us();
        let ticket = match state.calls.submit(order, encode, waker) {
            Ok(ticket) => ticket,
            Err(refused) => return Err(self.refusal(refused)),
        };
        state.counts.calls += 1;
        self.pending.store(state.calls.pending(), Ordering::Relaxed);
        self.queued.store(true, Ordering::Relaxed);
        let wakes = std::mem::take(&mut state.driver_sleeps) || is_due_first;
        let driver = wakes.then(|| state.driver.clone()).flatten();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok((ticket, now_us))
    }

    #[cold]
    fn refusal(&self, refused: Refused) -> Error {
        match refused {
            Refused::Busy(pending) => Error::Busy {
                node: Arc::clone(&self.node),
                pending,
            },
            Refused::Miscounted => Error::Usage(
                "an argument's `count` is not what its `write` appends, or nothing is asked for".to_string(),
            ),
        }
    }

    /// Has the driver woken by new calls; whether the connection is closed.
    fn watch(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        state.sleep(waker);
        matches!(state.phase, Phase::Closed)
    }

    /// Hands what is to be sent to the driver. If there is nothing, the driver is woken once there is.
    fn take_out(&self, into: &mut Vec<u8>, waker: &Waker) -> Taken {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Closed) {
            return Taken::Closed;
        }
        let begins = state.calls.take_out(into);
        self.queued.store(false, Ordering::Relaxed);
        if into.is_empty() {
            state.sleep(waker);
            return Taken::Nothing;
        }
        state.counts.bytes_out += into.len() as u64;
        Taken::From(begins)
    }

    /// Whether there are requests to send, and more than one caller.
    fn is_worth_gathering(&self) -> bool {
        self.queued.load(Ordering::Relaxed) && self.pending.load(Ordering::Relaxed) > 1
    }

    fn next_deadline_us(&self) -> u64 {
        self.lock().calls.next_deadline_us()
    }

    /// When the next call is due, and when the connection must be taken for dead.
    fn deadlines_us(&self, signs: Signs) -> (u64, u64) {
        let state = self.lock();
        (state.calls.next_deadline_us(), state.calls.dead_at_us(signs))
    }

    /// Where the requests begin that the driver takes next, in all that was ever encoded.
    fn taken(&self) -> u64 {
        self.lock().calls.taken()
    }

    /// Gives replies, out of `read` bytes, to their calls, in order; fills `wake` with who is to be woken.
    fn deliver(
        &self,
        values: &mut Vec<Value>,
        read: usize,
        written: u64,
        now_us: u64,
        wake: &mut Vec<Waker>,
    ) -> std::result::Result<(), String> {
        let mut state = self.lock();
        state.counts.bytes_in += read as u64;
        let mut latency_us = self.latency_us.load(Ordering::Relaxed);
        for value in values.drain(..) {
            if let Some(took_us) = state.calls.reply(value, written, now_us, wake)? {
                latency_us = match latency_us {
                    0 => took_us,
                    mean => mean - (mean >> LATENCY_SHIFT) + (took_us >> LATENCY_SHIFT),
                };
            }
        }
        self.latency_us.store(latency_us, Ordering::Relaxed);
        self.pending.store(state.calls.pending(), Ordering::Relaxed);
        Ok(())
    }

    /// Ends the calls whose time is up.
    fn expire(&self, now_us: u64) {
        self.change(|state, wake| {
            state.counts.timeouts += state.calls.expire(now_us, wake);
        });
    }

    fn up(&self) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Closed) {
            state.phase = Phase::Up;
        }
        state.counts.connects += 1;
        drop(state);
        self.events.send(Event::Connected {
            node: Arc::clone(&self.node),
        });
    }

    /// The connection broke; the next attempt is made, and calls that were not sent wait for it.
    fn lost(&self, written: u64, unwritten: &[u8], error: &Error) {
        let closed = self.change(|state, wake| {
            state.calls.lose(written, unwritten, error, wake);
            let closed = matches!(state.phase, Phase::Closed);
            if !closed {
                state.phase = Phase::Connecting;
                state.counts.losses += 1;
            }
            closed
        });
        if closed {
            return;
        }
        self.events.send(Event::Lost {
            node: Arc::clone(&self.node),
            why: error.to_string().into(),
        });
    }

    /// An attempt to connect failed.
    fn down(&self, error: io::Error) {
        let error = Error::Connect {
            node: Arc::clone(&self.node),
            source: Arc::new(error),
        };
        let first = self.change(|state, wake| {
            state.calls.fail_all(&error, wake);
            let first = matches!(state.phase, Phase::Connecting);
            if !matches!(state.phase, Phase::Closed) {
                state.phase = Phase::Down(error.clone());
            }
            first
        });
        if first {
            self.events.send(Event::Down {
                node: Arc::clone(&self.node),
                why: error.to_string().into(),
            });
        }
    }

    fn close(&self) {
        self.change(|state, wake| {
            state.phase = Phase::Closed;
            state.calls.fail_all(&Error::Closed, wake);
            wake.extend(state.driver.take());
        });
    }

    /// Changes the state and wakes whom that concerns, after the lock was let go of.
    fn change<R>(&self, change: impl FnOnce(&mut State, &mut Vec<Waker>) -> R) -> R {
        let mut wake = Vec::new();
        let mut state = self.lock();
        let result = change(&mut state, &mut wake);
        self.pending.store(state.calls.pending(), Ordering::Relaxed);
        drop(state);
        for waker in wake {
            waker.wake();
        }
        result
    }
}

/// A time in microseconds; more than there can be is the most that there can be.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl State {
    /// Notes that the driver sleeps until there is a new call.
    fn sleep(&mut self, waker: &Waker) {
        match &mut self.driver {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        self.driver_sleeps = true;
    }
}
