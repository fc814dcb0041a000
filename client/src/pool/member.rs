//! A node as a member of a pool: whether it serves, what it missed, and what of its content is not believed.
//!
//! One rule holds it together: a member serves only while its log of missed keys is empty. Whoever notes a key takes it out
//! of service by that, and its keeper (`keeper.rs`) brings it back.

use super::health::{Breaker, HealthConfig, Reason};
use super::missed::{Distrust, Missed, SlotSet};
use super::{GutterConfig, keeper};
use crate::error::{Error, Result};
use crate::events::{Event, Events};
use crate::node::Node;
use larder_cluster::slot::Slot;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Of how many calls one is timed.
const TIMED_EVERY: u64 = 8;
/// How long a node that may yet execute what was sent to it before gets for that, before it is told what it missed.
const SETTLE: Duration = Duration::from_millis(100);

/// What all members of a pool share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) health: HealthConfig,
    pub(crate) gutter: GutterConfig,
    pub(crate) events: Events,
    pub(crate) epoch: Instant,
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Shared {
    pub(crate) fn now_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }
}

/// How calls are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Mode {
    /// It serves.
    Plain,
    /// It serves, but some of its values may be old.
    Careful,
    /// It is being told what it missed, which takes a moment.
    Returning,
    /// It does not serve.
    Out,
}

/// What the keeper does next.
#[derive(Debug)]
pub(crate) enum Step {
    Wait(Duration),
    Probe,
    /// Delete these keys; if they are none, the node serves again.
    Replay(Vec<Box<[u8]>>),
    Done,
}

#[derive(Debug)]
struct Inner {
    mode: Mode,
    breaker: Breaker,
    missed: Missed,
    distrust: Distrust,
    /// Keys of the current return that were replayed so far.
    replayed: usize,
    /// When what was replayed may begin.
    settled_at_ms: u64,
    kept: bool,
}

/// Calls that were timed, since they were last looked at.
#[derive(Debug, Default)]
struct Timed {
    sum_us: AtomicU64,
    count: AtomicU64,
}

/// A node of a pool.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) node: Node,
    pub(crate) shared: Arc<Shared>,
    mode: AtomicU8,
    ok: AtomicU64,
    /// How many had succeeded at the last two ticks.
    ok_at_ticks: [AtomicU64; 2],
    timed: Timed,
    /// About the 95th percentile of what calls take, in microseconds.
    p95_us: AtomicU64,
    /// Until then what the gutter has from before is not read, in milliseconds of the pool's clock.
    quiet_until_ms: AtomicU64,
    pub(crate) gutter_reads: AtomicU64,
    pub(crate) gutter_writes: AtomicU64,
    pub(crate) redirected: AtomicU64,
    inner: Mutex<Inner>,
    changed: Notify,
    /// Held while a key that is suspected is looked after, so that two calls do not do it at once.
    pub(crate) cleaning: tokio::sync::Mutex<()>,
}

impl Member {
    pub(crate) fn new(node: Node, shared: &Arc<Shared>) -> Member {
        let gutter = &shared.gutter;
        Member {
            mode: AtomicU8::new(Mode::Plain as u8),
            ok: AtomicU64::new(0),
            ok_at_ticks: Default::default(),
            timed: Timed::default(),
            p95_us: AtomicU64::new(0),
            quiet_until_ms: AtomicU64::new(0),
            gutter_reads: AtomicU64::new(0),
            gutter_writes: AtomicU64::new(0),
            redirected: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                mode: Mode::Plain,
                breaker: Breaker::new(),
                missed: Missed::new(gutter.max_log_keys, gutter.max_log_bytes),
                distrust: Distrust::default(),
                replayed: 0,
                settled_at_ms: 0,
                kept: false,
            }),
            changed: Notify::new(),
            cleaning: tokio::sync::Mutex::new(()),
            shared: Arc::clone(shared),
            node,
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        self.node.name()
    }

    /// No panic happens under the lock; the state is in order whatever happens.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_mode(&self, inner: &mut Inner, mode: Mode) {
        inner.mode = mode;
        self.mode.store(mode as u8, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether calls may go there without more ado.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.mode.load(Ordering::Acquire) == Mode::Plain as u8
    }

    /// Whether it serves calls.
    pub(crate) fn serves(&self) -> bool {
        self.mode.load(Ordering::Acquire) <= Mode::Careful as u8
    }

    pub(crate) fn mode(&self) -> Mode {
        self.lock().mode
    }

    /// Why it is out, if it is.
    pub(crate) fn out(&self) -> Option<Reason> {
        self.lock().breaker.out()
    }

    /// Keys in the log, and their bytes.
    pub(crate) fn log_size(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.missed.len(), inner.missed.bytes())
    }

    /// Calls that succeeded.
    pub(crate) fn ok(&self) -> u64 {
        self.ok.load(Ordering::Relaxed)
    }

    /// Calls that succeeded in the last quarter to half of a second; for all members of a pool it is the same time.
    pub(crate) fn recent(&self) -> u64 {
        self.ok().saturating_sub(self.ok_at_ticks[0].load(Ordering::Relaxed))
    }

    /// About the 95th percentile of what calls take; zero before the first.
    pub(crate) fn p95(&self) -> Duration {
        Duration::from_micros(self.p95_us.load(Ordering::Relaxed))
    }

    /// Begins to time a call, if it is one of those that are.
    #[inline]
    pub(crate) fn start_timing(&self) -> Option<Instant> {
        self.ok().is_multiple_of(TIMED_EVERY).then(Instant::now)
    }

    /// A call succeeded.
    #[inline]
    pub(crate) fn succeeded(&self, began: Option<Instant>) {
        self.ok.fetch_add(1, Ordering::Relaxed);
        self.node.earn();
        if let Some(began) = began {
            self.took(began.elapsed());
        }
    }

    fn took(&self, took: Duration) {
        let took_us = (took.as_micros() as u64).max(1);
        self.timed.sum_us.fetch_add(took_us, Ordering::Relaxed);
        self.timed.count.fetch_add(1, Ordering::Relaxed);
        // A step up is 19 times a step down, so it rests where one in twenty is above (the "frugal" estimate of Ma,
        // Muthukrishnan and Sandler 2013). Lost updates of two threads do no harm.
        let p95_us = self.p95_us.load(Ordering::Relaxed);
        let step = p95_us / 256 + 1;
        let next = match p95_us {
            0 => took_us,
            p95 if took_us > p95 => p95 + 19 * step,
            p95 => p95 - step.min(p95 - 1),
        };
        self.p95_us.store(next, Ordering::Relaxed);
    }

    /// What calls took on average since this was last asked, in microseconds; `None` if there were none.
    pub(crate) fn take_mean_us(&self) -> Option<u64> {
        let count = self.timed.count.swap(0, Ordering::Relaxed);
        let sum_us = self.timed.sum_us.swap(0, Ordering::Relaxed);
        sum_us.checked_div(count)
    }

    /// A quarter of a second has passed.
    pub(crate) fn tick(&self) {
        let [before, last] = &self.ok_at_ticks;
        before.store(last.swap(self.ok(), Ordering::Relaxed), Ordering::Relaxed);
        self.lock().breaker.tick(self.ok());
        let calls = self.redirected.swap(0, Ordering::Relaxed);
        if calls > 0 {
            let node = Arc::clone(self.name());
            self.shared.events.send(Event::Redirected { node, calls });
        }
    }

    /// Looks at a window of half a second; whether the node should be taken out for being slow.
    pub(crate) fn window(&self, mean_us: Option<u64>, limit_us: Option<u64>) -> bool {
        self.lock().breaker.window(mean_us, limit_us)
    }

    /// A call failed. If that is the node's fault, too many of that take it out.
    pub(crate) fn failed(self: &Arc<Self>, error: &Error) {
        self.node.count_error();
        if !error.is_node_failure() {
            return;
        }
        let unreachable = matches!(error, Error::Connect { .. });
        let mut inner = self.lock();
        let (rules, now_ms) = (&self.shared.health, self.shared.now_ms());
        if inner.breaker.failed(rules, now_ms, self.ok(), unreachable) {
            self.take_out(inner, Reason::Failing);
        }
    }

    /// Takes the node out because it is slow.
    pub(crate) fn drain(self: &Arc<Self>) {
        let mut inner = self.lock();
        if inner.breaker.out().is_none() {
            inner.breaker.drain(&self.shared.health, self.shared.now_ms());
            self.take_out(inner, Reason::Slow);
        }
    }

    fn take_out(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>, reason: Reason) {
        self.set_mode(&mut inner, Mode::Out);
        self.keep(inner);
        let node = Arc::clone(self.name());
        self.shared.events.send(Event::BreakerOpened { node, reason });
    }

    /// The node missed a write, or may have: it serves no more until its key was deleted there.
    pub(crate) fn missed(self: &Arc<Self>, slot: Slot, key: &[u8], in_doubt: bool) {
        let mut inner = self.lock();
        let was_suspecting = !inner.distrust.is_empty();
        if !inner.missed.add(key, in_doubt) {
            inner.distrust.suspect(slot, key);
            if !was_suspecting {
                let node = Arc::clone(self.name());
                self.shared.events.send(Event::LogOverflowed { node });
            }
        }
        if in_doubt && inner.mode != Mode::Out {
            inner.settled_at_ms = self.shared.now_ms() + SETTLE.as_millis() as u64;
        }
        if inner.mode <= Mode::Careful {
            self.set_mode(&mut inner, Mode::Returning);
            self.keep(inner);
        }
    }

    /// What the node has in these slots, and the gutter for it, is from before, and not believed.
    pub(crate) fn distrust(&self, slots: &SlotSet) {
        if slots.is_empty() {
            return;
        }
        let mut inner = self.lock();
        inner.distrust.suspect_slots(slots);
        inner.missed.forget(slots);
        self.quiet();
        if inner.mode == Mode::Plain {
            self.set_mode(&mut inner, Mode::Careful);
        }
    }

    /// From now on what the gutter has is not read, unless it is written anew.
    fn quiet(&self) {
        // A write to the gutter may still be on its way.
        let ttl = self.shared.gutter.ttl + self.node.config().response_timeout;
        let until_ms = self.shared.now_ms() + ttl.as_millis() as u64;
        self.quiet_until_ms.store(until_ms, Ordering::Release);
    }

    /// Whether the node's value of this key may be old.
    pub(crate) fn suspects(&self, slot: Slot, key: &[u8]) -> bool {
        self.lock().distrust.suspects(slot, key)
    }

    /// The node's value of this key is not old any more.
    pub(crate) fn trust(&self, slot: Slot, key: &[u8]) {
        self.lock().distrust.trust(slot, key);
    }

    /// Whether the gutter may have a value of this key from before the node last came back or got its slot back: then
    /// it must not be read.
    pub(crate) fn gutter_is_stale(&self, key: &[u8]) -> bool {
        self.shared.now_ms() < self.quiet_until_ms.load(Ordering::Acquire) && !self.lock().missed.is_in_gutter(key)
    }

    /// The gutter has executed a write that the node missed.
    pub(crate) fn in_gutter(&self, key: &[u8]) {
        self.lock().missed.in_gutter(key);
    }

    /// Waits until the node has come back or is out for longer.
    ///
    /// # Errors
    /// [`Error::NodeUnavailable`] if `deadline` comes first.
    pub(crate) async fn returned(&self, deadline: Instant) -> Result<()> {
        loop {
            let changed = self.changed.notified();
            if self.mode() != Mode::Returning {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline.into(), changed).await.is_err() {
                return Err(self.unavailable());
            }
        }
    }

    pub(crate) fn unavailable(&self) -> Error {
        Error::NodeUnavailable {
            node: Arc::clone(self.name()),
        }
    }

    /// Has a task look after the node until it serves again.
    fn keep(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) {
        if !std::mem::replace(&mut inner.kept, true) {
            self.shared.runtime.spawn(keeper::keep(Arc::downgrade(self)));
        }
    }

    /// What its keeper must do.
    pub(crate) fn next_step(&self) -> Step {
        let mut inner = self.lock();
        let now_ms = self.shared.now_ms();
        let wait = |until_ms: u64| Step::Wait(Duration::from_millis(until_ms - now_ms));
        match (inner.mode, inner.breaker.probe_at_ms()) {
            (Mode::Out, Some(at_ms)) if at_ms > now_ms => wait(at_ms),
            (Mode::Out, _) => Step::Probe,
            (Mode::Returning, _) if inner.settled_at_ms > now_ms => wait(inner.settled_at_ms),
            (Mode::Returning, _) => {
                let keys = inner.missed.take();
                if keys.is_empty() {
                    self.serve(inner);
                }
                Step::Replay(keys)
            }
            (Mode::Plain | Mode::Careful, _) => {
                inner.kept = false;
                Step::Done
            }
        }
    }

    fn serve(&self, mut inner: MutexGuard<'_, Inner>) {
        let was_out = inner.breaker.out().is_some();
        if was_out {
            inner.breaker.close(self.ok());
        }
        self.take_mean_us();
        self.quiet();
        let careful = !inner.distrust.is_empty();
        self.set_mode(&mut inner, if careful { Mode::Careful } else { Mode::Plain });
        let replayed = std::mem::take(&mut inner.replayed);
        drop(inner);
        if was_out {
            let node = Arc::clone(self.name());
            self.shared.events.send(Event::BreakerClosed { node, replayed });
        }
    }

    /// A probe was answered after so long, or not at all.
    pub(crate) fn probed(&self, took: Option<Duration>) {
        let mut inner = self.lock();
        let now_ms = self.shared.now_ms();
        let took_us = took.map(|took| took.as_micros() as u64);
        let fit = inner
            .breaker
            .probed(&self.shared.health, now_ms, took_us, fastrand::f64());
        if fit && inner.mode == Mode::Out {
            let settle = inner.missed.in_doubt();
            inner.settled_at_ms = now_ms + if settle { SETTLE.as_millis() as u64 } else { 0 };
            self.set_mode(&mut inner, Mode::Returning);
        }
    }

    /// These keys were deleted at the node, or could not be.
    pub(crate) fn replayed(self: &Arc<Self>, keys: Vec<Box<[u8]>>, done: bool) {
        let mut inner = self.lock();
        if done {
            inner.replayed += keys.len();
            return;
        }
        let mut overflowed = Vec::new();
        for key in keys {
            if !inner.missed.add(&key, true) {
                overflowed.push(key);
            }
        }
        for key in overflowed {
            inner.distrust.suspect(larder_cluster::slot::slot_of(&key), &key);
        }
        self.set_mode(&mut inner, Mode::Out);
        if inner.breaker.trip(&self.shared.health, self.shared.now_ms()) {
            let node = Arc::clone(self.name());
            let reason = Reason::Failing;
            self.shared.events.send(Event::BreakerOpened { node, reason });
        }
    }
}
