//! A node: everything that its workers share.

use crate::client::{Clients, Monitors, Peer, flag};
use crate::config::{Config, Settings};
use crate::latency::LatencyMonitor;
use crate::memory::Budget;
use crate::pins::Pins;
use crate::slowlog::Slowlog;
use crate::stats::WorkerStats;
use crate::store::eviction::{Eviction, Policy};
use crate::store::{Keyspace, Shape};
use crate::ttl;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Share of the machine's memory that a node takes when nothing is configured.
const DEFAULT_MEMORY_SHARE: f64 = 0.75;
/// Errors counted by code are bounded, as the codes may come from clients' scripts.
const MAX_ERROR_CODES: usize = 128;
/// Longer than the code of any error that the node itself gives.
const MAX_ERROR_CODE_BYTES: usize = 32;

/// Unix time in microseconds, read from the system.
pub fn unix_micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_micros() as u64)
}

/// Unix time in milliseconds, read from the system.
pub fn unix_ms() -> u64 {
    unix_micros() / 1000
}

/// Counts that no single worker keeps.
#[derive(Default, Debug)]
pub struct Totals {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused, for `maxclients` or protected mode.
    pub rejected: AtomicU64,
    /// Errors replied.
    pub errors: AtomicU64,
    /// Failed passwords.
    pub auth_failures: AtomicU64,
    /// Connections closed to keep the buffers of all under `maxmemory-clients`.
    pub evicted_clients: AtomicU64,
    /// Connections closed for staying over the soft limit of their output buffer.
    pub soft_limit_closes: AtomicU64,
    /// Writes refused for want of memory.
    pub out_of_memory: AtomicU64,
    /// The most bytes ever used.
    pub peak_bytes: AtomicUsize,
    /// The most connections that ever were at once.
    pub peak_clients: AtomicUsize,
}

/// Which commands CLIENT PAUSE holds back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paused {
    /// Those that may change data.
    Writes,
    /// All.
    Everything,
}

/// The state of CLIENT PAUSE.
#[derive(Default)]
pub struct Pause {
    active: AtomicBool,
    state: Mutex<PauseState>,
}

#[derive(Default)]
struct PauseState {
    until: Option<(Instant, Paused)>,
    /// Who waits, in the order in which they came.
    parked: BTreeMap<u64, Arc<Peer>>,
    last_ticket: u64,
}

impl Pause {
    /// Whether a pause may be in force.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Whether a command must wait, which only a `write` must if just writes are held back.
    #[inline]
    pub fn holds(&self, write: bool) -> bool {
        self.active.load(Ordering::Acquire) && self.holds_now(write)
    }

    #[cold]
    fn holds_now(&self, write: bool) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.until {
            Some((until, what)) => until > Instant::now() && (write || what == Paused::Everything),
            None => false,
        }
    }

    /// Begins a pause, or extends one: the later end and the wider kind win, as in Redis.
    pub fn begin(&self, length: Duration, what: Paused) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let until = now
            .checked_add(length)
            .unwrap_or(now + Duration::from_secs(u64::from(u32::MAX)));
        state.until = Some(match state.until.filter(|(old, _)| *old > now) {
            Some((old, kind)) => (old.max(until), if kind == Paused::Everything { kind } else { what }),
            None => (until, what),
        });
        self.active.store(true, Ordering::Release);
    }

    /// Ends a pause and wakes who waited.
    pub fn end(&self) {
        self.end_locked(self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn end_locked(&self, mut state: MutexGuard<'_, PauseState>) {
        state.until = None;
        self.active.store(false, Ordering::Release);
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        parked.values().for_each(|peer| peer.wake());
    }

    /// Has a connection woken when the pause is over; at once if it is. Returns its ticket, to be handed in
    /// again if it finds that it must wait on.
    pub fn park(&self, peer: &Arc<Peer>, ticket: Option<u64>) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last_ticket += u64::from(ticket.is_none());
        let ticket = ticket.unwrap_or(state.last_ticket);
        peer.set(flag::BLOCKED, true);
        if state.until.is_some() {
            state.parked.insert(ticket, Arc::clone(peer));
        } else {
            drop(state);
            peer.wake();
        }
        ticket
    }

    /// Takes back a ticket: the connection goes on, or has ended.
    pub fn leave(&self, peer: &Peer, ticket: u64) {
        peer.set(flag::BLOCKED, false);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.parked.remove(&ticket);
    }

    /// Ends a pause whose time is over; housekeeping calls this.
    pub fn expire(&self) {
        if !self.active.load(Ordering::Acquire) {
            return;
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the same lock: a pause that begins in between must not be ended with the old one.
        if state.until.is_some_and(|(until, _)| until <= Instant::now()) {
            self.end_locked(state);
        }
    }

    /// The kind and the rest of the pause in force.
    pub fn remaining(&self) -> Option<(Duration, Paused)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, what) = state.until?;
        let rest = until.checked_duration_since(Instant::now())?;
        Some((rest, what))
    }
}

/// Everything that the workers of a node share.
pub struct Node {
    /// Settings, changed by CONFIG SET.
    pub config: Config,
    /// All keys.
    pub keyspace: Keyspace,
    /// All connections.
    pub clients: Clients,
    /// Statistics per worker.
    pub workers: Vec<Arc<WorkerStats>>,
    /// Slow commands.
    pub slowlog: Slowlog,
    /// Latency events.
    pub latency: LatencyMonitor,
    /// Counts that no worker keeps.
    pub totals: Totals,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// The connections that receive MONITOR's feed.
    pub monitors: Monitors,
    /// Input that unauthenticated connections hold, in bytes.
    pub unauthenticated_bytes: AtomicUsize,
    /// Whether expired keys are reclaimed in the background (DEBUG SET-ACTIVE-EXPIRE).
    pub active_expire: AtomicBool,
    /// Commands per second over the last seconds, kept by housekeeping.
    pub ops_per_second: AtomicU64,
    /// Bytes per second in and out, kept by housekeeping.
    pub bytes_per_second: [AtomicU64; 2],
    /// Resident bytes of the process, read by housekeeping.
    pub resident_bytes: AtomicUsize,
    /// Bytes of connection buffers, kept by the connections themselves.
    pub client_bytes: AtomicUsize,
    /// Large values that wait to be sent.
    pub(crate) pins: Pins,
    /// `maxmemory` in bytes, the default rule applied; 0 is no limit.
    pub memory_limit: AtomicU64,
    /// The limit as it is kept.
    pub budget: Budget,
    /// Woken when other prefixes were declared.
    pub prefixes_declared: tokio::sync::Notify,
    errors: Mutex<BTreeMap<String, u64>>,
    stopping: AtomicBool,
    stop: tokio::sync::Notify,
    /// When the node started.
    pub started: Instant,
    /// The same in Unix milliseconds.
    pub started_ms: u64,
    /// 40 random hexadecimal digits, new at every start.
    pub run_id: String,
}

impl Node {
    /// A node that has not opened a socket yet.
    pub fn new(config: Config) -> Node {
        let settings = config.settings();
        let limit = memory_limit(&settings);
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let seed = ahash::RandomState::new();
        let shape = Shape::suiting(limit.min(machine_memory()), threads, settings.databases);
        // A keyspace that has room for all of the machine needs no bound: more is never there.
        if shape.most_bytes() < machine_memory() {
            config.bound_memory(shape.most_bytes());
        }
        let budget = Budget::default();
        budget.set_limit(limit);
        let run_id: String = (0..3).map(|part| format!("{:016x}", seed.hash_one(part))).collect();
        let node = Node {
            keyspace: Keyspace::new(shape, ahash::RandomState::new()),
            clients: Clients::default(),
            workers: (0..threads).map(|_| Arc::default()).collect(),
            slowlog: Slowlog::default(),
            latency: LatencyMonitor::default(),
            totals: Totals::default(),
            pause: Pause::default(),
            monitors: Monitors::default(),
            unauthenticated_bytes: AtomicUsize::new(0),
            active_expire: AtomicBool::new(true),
            ops_per_second: AtomicU64::new(0),
            bytes_per_second: Default::default(),
            resident_bytes: AtomicUsize::new(0),
            client_bytes: AtomicUsize::new(0),
            pins: Pins::default(),
            memory_limit: AtomicU64::new(limit),
            budget,
            prefixes_declared: tokio::sync::Notify::new(),
            errors: Mutex::default(),
            stopping: AtomicBool::new(false),
            stop: tokio::sync::Notify::new(),
            started: Instant::now(),
            started_ms: unix_ms(),
            run_id: run_id[..40].to_owned(),
            config,
        };
        crate::quota::begin(&node);
        node
    }

    /// Takes over settings that changed at run time and are kept elsewhere in another form.
    pub fn apply(&self, settings: &Settings) {
        let mut limit = memory_limit(settings);
        if settings.maxmemory == 0 {
            limit = limit.min(self.keyspace.shape().most_bytes());
        }
        if self.memory_limit.swap(limit, Ordering::Relaxed) != limit {
            self.budget.set_limit(limit);
        }
        self.slowlog.resize(settings.slowlog_max_len as usize);
        crate::quota::declare(self);
        self.prefixes_declared.notify_one();
        crate::logging::apply(settings);
    }

    /// Bytes that the keyspace and connection buffers hold: what `maxmemory` bounds.
    #[inline]
    pub fn used_bytes(&self) -> usize {
        self.keyspace.used_bytes() + self.client_bytes.load(Ordering::Relaxed)
    }

    /// Whether the keyspace and connection buffers hold more than they may.
    #[inline]
    pub fn over_limit(&self) -> bool {
        self.used_bytes() as u64 > self.budget.ceiling()
    }

    /// Commands run since the start or the last reset.
    pub fn commands_processed(&self) -> u64 {
        let of_worker = |worker: &Arc<WorkerStats>| worker.commands().map(|command| command.calls.get()).sum::<u64>();
        self.workers.iter().map(of_worker).sum()
    }

    /// Counts an error reply by its code. A code that is none, as scripts and DEBUG ERROR may make up, only
    /// counts in the total.
    pub fn count_error(&self, code: &str) {
        self.totals.errors.fetch_add(1, Ordering::Relaxed);
        if code.is_empty()
            || code.len() > MAX_ERROR_CODE_BYTES
            || !code.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return;
        }
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else if errors.len() < MAX_ERROR_CODES {
            errors.insert(code.to_owned(), 1);
        }
    }

    /// Error replies by code.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what CONFIG RESETSTAT forgets, but for the keyspace's counters (`Store::reset_counters`).
    pub fn reset_stats(&self) {
        self.workers.iter().for_each(|worker| worker.reset());
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let totals = &self.totals;
        [
            &totals.connections,
            &totals.rejected,
            &totals.errors,
            &totals.auth_failures,
            &totals.evicted_clients,
            &totals.soft_limit_closes,
            &totals.out_of_memory,
        ]
        .into_iter()
        .for_each(|total| total.store(0, Ordering::Relaxed));
    }

    /// Asks the node to stop: no new connections, what was read is finished, then all are closed.
    pub fn shut_down(&self) {
        self.stopping.store(true, Ordering::Release);
        self.stop.notify_waiters();
        self.stop.notify_one();
        self.clients.all().iter().for_each(|peer| peer.wake());
    }

    /// Whether the node has been asked to stop.
    #[inline]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits until the node is asked to stop.
    pub async fn stopped(&self) {
        let notified = self.stop.notified();
        if !self.is_stopping() {
            notified.await;
        }
    }
}

/// The policy and its parameters that the settings ask for.
pub fn eviction(settings: &Settings) -> Eviction {
    Eviction {
        policy: settings.maxmemory_policy.name().parse().unwrap_or(Policy::NOEVICTION),
        samples: u64::from(settings.maxmemory_samples.min(64)),
        lfu_log_factor: settings.lfu_log_factor,
        lfu_decay_minutes: settings.lfu_decay_time,
    }
}

/// What the settings do to times to live; `None` if nothing.
pub fn ttl_rules(settings: &Settings) -> Option<ttl::Rules> {
    ttl::Rules::new(
        (u64::from(settings.ttl_jitter), &settings.ttl_jitter_rule.0),
        (settings.default_ttl, &settings.default_ttl_rule.0),
        (settings.max_ttl, &settings.max_ttl_rule.0),
    )
}

/// `maxmemory` in bytes, or three quarters of what the machine or its cgroup allows.
fn memory_limit(settings: &Settings) -> u64 {
    match settings.maxmemory {
        0 => (machine_memory() as f64 * DEFAULT_MEMORY_SHARE) as u64,
        limit => limit,
    }
}

/// Memory that this process may have: the machine's, or less if its cgroup says so.
pub fn machine_memory() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?.to_owned();
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    });
    let fallback = 4 << 30;
    machine
        .unwrap_or(fallback)
        .min(cgroup_memory(&read).unwrap_or(u64::MAX))
}

/// What the cgroups of this process allow, of either version: the least of those from its own up to the root.
fn cgroup_memory(read: &impl Fn(&str) -> Option<String>) -> Option<u64> {
    let own = read("/proc/self/cgroup").unwrap_or_default();
    let places = own.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        match (parts.next()?, parts.next()?) {
            ("", path) => Some(("/sys/fs/cgroup", path.to_owned(), "memory.max")),
            (controllers, path) if controllers.split(',').any(|name| name == "memory") => {
                Some(("/sys/fs/cgroup/memory", path.to_owned(), "memory.limit_in_bytes"))
            }
            _ => None,
        }
    });
    // In a container its own group is often mounted as the root, whatever the path says.
    let roots = [
        ("/sys/fs/cgroup", String::new(), "memory.max"),
        ("/sys/fs/cgroup/memory", String::new(), "memory.limit_in_bytes"),
    ];
    let limits = places.chain(roots).flat_map(|(root, path, file)| {
        let path = path.trim_end_matches('/').to_owned();
        let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).chain([path.len()]).collect();
        ends.into_iter()
            .map(move |end| format!("{root}{}/{file}", &path[..end]))
            .collect::<Vec<_>>()
    });
    limits.filter_map(|path| read(&path)?.trim().parse::<u64>().ok()).min()
}
