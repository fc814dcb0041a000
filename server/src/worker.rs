//! A worker: one thread, one single-threaded runtime, and what its connections share.
//!
//! Buffers that a connection needs only while its turn lasts (input, decoded requests, replies) belong
//! to the worker, so an idle connection holds almost nothing.

use crate::call::Call;
use crate::client::Client;
use crate::clock::monotonic_nanos;
use crate::config::Settings;
use crate::connection::Connection;
use crate::dispatch::Prepared;
use crate::node::{Node, eviction, ttl_rules, unix_ms};
use crate::outbox::Outbox;
use crate::resp::request::Batch;
use crate::resp::{Args, Output, Reply};
use crate::stats::WorkerStats;
use crate::store::eviction::Eviction;
use crate::store::{Prefetcher, Store};
use crate::transport::Stream;
use crate::ttl;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Bytes read at once; a whole burst of pipelined requests.
pub(crate) const INPUT_BYTES: usize = 64 * 1024;
/// An output buffer that grew beyond this is given back after its turn.
const KEEP_OUTPUT_BYTES: usize = 512 * 1024;
/// How often the system's wall clock is read anew, in nanoseconds.
const RESYNC_NANOS: u64 = 10_000_000;
/// Thresholds of the slow log, in microseconds, below which every command is timed alone.
const TIME_EACH_BELOW: i64 = 1000;
/// How often a worker measures how late its timers are.
const LAG_PROBE: Duration = Duration::from_millis(500);

/// Wall time from a monotonic clock: one read of the fast clock per turn, corrected now and then, so
/// that a step of the system's clock is followed within `RESYNC_NANOS`.
#[derive(Clone, Copy)]
struct Clock {
    base_nanos: u64,
    base_ms: u64,
}

impl Clock {
    fn now() -> Clock {
        Clock {
            base_nanos: monotonic_nanos(),
            base_ms: unix_ms(),
        }
    }

    #[inline]
    fn at(&mut self, now_nanos: u64) -> u64 {
        let passed = now_nanos.saturating_sub(self.base_nanos);
        if passed >= RESYNC_NANOS {
            *self = Clock {
                base_nanos: now_nanos,
                base_ms: unix_ms(),
            };
            return self.base_ms;
        }
        self.base_ms + passed / 1_000_000
    }
}

/// Commands that are timed together: how often each ran since the last settlement.
#[derive(Default)]
pub(crate) struct Untimed {
    runs: Vec<(u16, u32)>,
    total: u32,
    excluded_nanos: u64,
}

impl Untimed {
    /// Counts one run.
    #[inline]
    pub(crate) fn add(&mut self, id: u16) {
        self.total += 1;
        match self.runs.last_mut() {
            Some((last, count)) if *last == id => *count += 1,
            _ => self.runs.push((id, 1)),
        }
    }

    /// Whether just one command was counted.
    pub(crate) fn is_single(&self) -> bool {
        self.total == 1
    }

    /// Leaves out the time of a command that was timed alone.
    pub(crate) fn exclude(&mut self, nanos: u64) {
        self.excluded_nanos += nanos;
    }

    /// Shares the time of a window among the runs counted; returns nanoseconds per run.
    pub(crate) fn settle(&mut self, elapsed_nanos: u64, stats: &WorkerStats, track_latency: bool) -> u64 {
        let nanos = elapsed_nanos.saturating_sub(self.excluded_nanos);
        let each = nanos / u64::from(self.total.max(1));
        for (id, count) in self.runs.drain(..) {
            stats.command(id).record(each, u64::from(count), track_latency);
        }
        (self.total, self.excluded_nanos) = (0, 0);
        each
    }
}

/// What one turn of a connection works with.
pub(crate) struct Scene<'w> {
    /// One call for all commands of the turn: what is the same for all of them is set up once.
    pub(crate) call: Call<'w>,
    pub(crate) settings: &'w Settings,
    pub(crate) untimed: &'w mut Untimed,
    pub(crate) prepared: &'w mut Vec<Prepared>,
    pub(crate) prefetcher: &'w mut Prefetcher,
    pub(crate) last_command: u16,
    /// The slow log asks for commands so fast that each must be timed alone.
    pub(crate) time_each: bool,
    /// The settings have changed, so the commands that follow must wait for a turn that knows them.
    pub(crate) stale: bool,
    generation: u64,
}

impl Scene<'_> {
    /// Looks whether a command has changed the settings.
    pub(crate) fn check_settings(&mut self) {
        self.stale = self.call.node.config.generation() != self.generation;
    }
}

/// What the connections of one thread share.
pub(crate) struct Worker {
    pub(crate) node: Arc<Node>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) settings: Arc<Settings>,
    generation: u64,
    eviction: Eviction,
    ttl_rules: Option<ttl::Rules>,
    clock: Clock,
    /// Taken for the length of a turn.
    pub(crate) buffers: Option<Box<Buffers>>,
    pub(crate) outbox: Outbox,
    prepared: Vec<Prepared>,
    prefetcher: Prefetcher,
    untimed: Untimed,
}

/// What a turn needs only while it lasts.
pub(crate) struct Buffers {
    pub(crate) input: Vec<u8>,
    pub(crate) batch: Batch,
    pub(crate) output: Output,
}

impl Buffers {
    fn boxed() -> Box<Buffers> {
        Box::new(Buffers {
            input: vec![0; INPUT_BYTES],
            batch: Batch::default(),
            output: Output::default(),
        })
    }
}

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// Runs `work` with this thread's worker.
pub(crate) fn with<R>(work: impl FnOnce(&mut Worker) -> R) -> R {
    WORKER.with_borrow_mut(|worker| work(worker.as_mut().expect("connections run on worker threads only")))
}

/// Sends what waits in this thread's outbox: nothing else is ready.
pub(crate) fn send_waiting() {
    WORKER.with_borrow_mut(|worker| {
        if let Some(worker) = worker {
            worker.outbox.send(&worker.stats);
        }
    });
}

impl Worker {
    pub(crate) fn new(index: usize, node: Arc<Node>) -> Worker {
        let settings = node.config.settings();
        Worker {
            stats: Arc::clone(&node.workers[index]),
            generation: node.config.generation(),
            eviction: eviction(&settings),
            ttl_rules: ttl_rules(&settings),
            settings,
            clock: Clock::now(),
            buffers: Some(Buffers::boxed()),
            outbox: Outbox::default(),
            prepared: Vec::new(),
            prefetcher: Prefetcher::new(&node.keyspace),
            untimed: Untimed::default(),
            node,
        }
    }

    /// Takes over settings that have changed since the last turn.
    #[inline]
    pub(crate) fn refresh(&mut self) {
        // A turn that panicked outside a handler took them along; the other connections need some.
        self.buffers.get_or_insert_with(Buffers::boxed);
        let generation = self.node.config.generation();
        if generation != self.generation {
            self.generation = generation;
            self.settings = self.node.config.settings();
            self.eviction = eviction(&self.settings);
            self.ttl_rules = ttl_rules(&self.settings);
        }
    }

    /// The wall time that belongs to a reading of the monotonic clock.
    #[inline]
    pub(crate) fn wall_ms(&mut self, now_nanos: u64) -> u64 {
        self.clock.at(now_nanos)
    }

    /// What a turn of `client` works with.
    #[inline]
    pub(crate) fn scene<'w>(&'w mut self, client: &'w mut Client, output: &'w mut Output, now_ms: u64) -> Scene<'w> {
        let mut store = Store::new(&self.node.keyspace, client.database, now_ms, &self.eviction);
        store.touch = !client.no_touch;
        store.ttl = ttl::Scope {
            rules: self.ttl_rules.as_ref(),
            seed: self.stats.turns.get(),
            is_lock: false,
        };
        Scene {
            last_command: client.peer.last_command.load(Ordering::Relaxed),
            call: Call {
                command: &crate::command::all()[0],
                args: Args::default(),
                store,
                reply: Reply::new(output, client.version),
                client,
                node: &self.node,
                stats: &self.stats,
            },
            settings: &self.settings,
            untimed: &mut self.untimed,
            prepared: &mut self.prepared,
            prefetcher: &mut self.prefetcher,
            time_each: (0..TIME_EACH_BELOW).contains(&self.settings.slowlog_log_slower_than),
            stale: false,
            generation: self.generation,
        }
    }

    /// Puts the turn's buffers back for the next one.
    pub(crate) fn put_back(&mut self, mut buffers: Box<Buffers>) {
        buffers.batch.clear();
        buffers.output.clear();
        buffers.output.shrink(KEEP_OUTPUT_BYTES);
        self.buffers = Some(buffers);
    }
}

/// A socket that was accepted, on its way to a worker.
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    pub(crate) client: Client,
}

/// A socket outside any runtime.
pub(crate) enum Socket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// Serves connections until the node stops and all have ended, or the deadline for that has passed.
pub(crate) async fn run(index: usize, node: Arc<Node>, mut mailbox: mpsc::Receiver<Accepted>) {
    WORKER.set(Some(Worker::new(index, Arc::clone(&node))));
    let stats = Arc::clone(&node.workers[index]);
    tokio::spawn(probe_lag(Arc::clone(&stats), node.started));
    while let Some(accepted) = mailbox.recv().await {
        let peer = Arc::clone(&accepted.client.peer);
        match Stream::open(accepted.socket, Arc::clone(&peer)) {
            Ok(stream) => {
                tokio::spawn(Connection::new(stream, accepted.client, Arc::clone(&node)));
            }
            Err(error) => {
                tracing::warn!(client = %peer.address, %error, "could not serve a connection");
                node.clients.remove(peer.id);
                stats.connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
    while stats.connections.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn probe_lag(stats: Arc<WorkerStats>, started: Instant) {
    loop {
        let due = Instant::now() + LAG_PROBE;
        tokio::time::sleep_until(due.into()).await;
        stats.record_lag(due.elapsed(), started.elapsed());
    }
}
