//! A client library under everything at once: many tasks call, and give up at random moments, while connections are
//! cut, delayed, half-closed and silenced, and servers send garbage. Every value names its key, so that a reply to
//! another call is seen.
//!
//! Garbage goes to the client only, and never happens to be a reply: RESP has no numbers by which a client could tell
//! a well-formed reply that nobody asked for from the one that it waits for.

mod chaos;

use crate::hostile_server::{HostileServer, Options as Hostile};
use crate::proxy::Proxy;
use crate::rng::Rng;
use crate::server::Server;
use anyhow::{Result, ensure};
use chaos::Chaos;
use clap::Parser;
use larder_client::{Client, Config, Error};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const RESPONSE_TIMEOUT: Duration = Duration::from_millis(400);
/// What a call may take beyond its timeout on a machine that has other work.
const LATE: Duration = Duration::from_secs(2);
/// After this a call is said to hang, and given up.
const HANGS: Duration = Duration::from_secs(15);
const KEYS_PER_TASK: usize = 8;

/// Command line of the soak.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "larder-client-soak",
    about = "Calls through larder-client while everything fails"
)]
pub struct Options {
    /// Calls to make.
    #[arg(long, default_value_t = 1_000_000)]
    pub calls: u64,
    /// Tasks that call at the same time.
    #[arg(long, default_value_t = 256)]
    pub tasks: u64,
    /// Calls per second, so that much goes wrong between them.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: u64,
    /// Repeats the random choices of a run that printed this seed.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// The seed of all random choices.
    pub seed: u64,
    /// Calls that were made.
    pub calls: u64,
    /// Replies of another call, or values that nobody has set.
    pub wrong: u64,
    /// Calls that took longer than they may.
    pub hangs: u64,
    /// Tasks that panicked.
    pub panics: u64,
    /// Calls by what came of them.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Connections that were made.
    pub connections: u64,
    /// Faults that the network had.
    pub faults: u64,
    /// Resident memory after a tenth of the calls, and the most later, in bytes.
    pub resident_bytes: (u64, u64),
    /// How long it took.
    pub elapsed: Duration,
    /// The first thing that was wrong.
    pub example: Option<String>,
}

impl Report {
    /// Whether all is as promised.
    pub fn is_good(&self) -> bool {
        let (early, late) = self.resident_bytes;
        self.wrong == 0 && self.hangs == 0 && self.panics == 0 && late <= early + (64 << 20)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (early, late) = self.resident_bytes;
        writeln!(
            f,
            "seed {}: {} calls in {:.1} s",
            self.seed,
            self.calls,
            self.elapsed.as_secs_f64()
        )?;
        writeln!(
            f,
            "  {} wrong replies, {} hangs, {} panics",
            self.wrong, self.hangs, self.panics
        )?;
        let faults = (self.faults, self.connections);
        writeln!(f, "  {} faults of the network, {} connections", faults.0, faults.1)?;
        writeln!(
            f,
            "  resident: {} MiB after a tenth, {} MiB at most later",
            early >> 20,
            late >> 20
        )?;
        for (what, count) in &self.outcomes {
            writeln!(f, "  {what}: {count}")?;
        }
        match &self.example {
            Some(example) => writeln!(f, "  for example: {example}"),
            None => Ok(()),
        }
    }
}

/// What the tasks count together.
#[derive(Debug, Default)]
struct Tally {
    made: AtomicU64,
    wrong: AtomicU64,
    hangs: AtomicU64,
    outcomes: Mutex<BTreeMap<&'static str, u64>>,
    example: Mutex<Option<String>>,
}

impl Tally {
    fn bad(&self, counter: &AtomicU64, what: String) {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut example = self.example.lock().unwrap_or_else(PoisonError::into_inner);
        example.get_or_insert(what);
    }
}

/// Runs the soak: half of the tasks call a real node, the others a server that does harm, all through proxies.
///
/// # Errors
/// If there is no client or runtime to be had. What goes wrong with calls is in the report.
pub fn run(options: &Options) -> Result<Report> {
    ensure!(
        options.calls > 0 && options.tasks > 1,
        "--calls must be above 0, --tasks above 1"
    );
    let seed = options.seed.unwrap_or_else(crate::rng::fresh_seed);
    let node = Server::larder(&[]);
    let forgetful = Hostile {
        forgetful: true,
        ..Hostile::default()
    };
    let rule = Mutex::new(Rng::new(seed));
    let hostile = HostileServer::start(forgetful, move |asked| {
        chaos::reply(asked, &mut rule.lock().unwrap_or_else(PoisonError::into_inner))
    });
    let proxies: Vec<_> = [node.port(), hostile.port()]
        .map(|port| Arc::new(Proxy::start(port, seed)))
        .into();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let chaos = Chaos::start(proxies.clone(), seed);
    let mut report = runtime.block_on(call(options, seed, &proxies))?;
    report.faults = chaos.stop();
    report.connections = proxies.iter().map(|proxy| proxy.accepted()).sum();
    Ok(report)
}

async fn call(options: &Options, seed: u64, proxies: &[Arc<Proxy>]) -> Result<Report> {
    let tally = Arc::new(Tally::default());
    let mut config = Config::default();
    config.response_timeout = RESPONSE_TIMEOUT;
    config.connect_timeout = RESPONSE_TIMEOUT;
    config.write_timeout = RESPONSE_TIMEOUT;
    config.backoff_max = Duration::from_millis(40);
    let clients = proxies
        .iter()
        .map(|proxy| Client::connect_with(&format!("127.0.0.1:{}", proxy.port()), config.clone()))
        .collect::<larder_client::Result<Vec<_>>>()?;
    let start = Instant::now();
    let tasks: Vec<_> = (0..options.tasks)
        .map(|number| {
            let task = Task {
                client: clients[number as usize % clients.len()].clone(),
                tally: Arc::clone(&tally),
                rng: Rng::new(seed.wrapping_add(number)),
                number,
                issued: [0; KEYS_PER_TASK],
                limit: options.calls,
                interval: Duration::from_secs(1).div_f64(options.rate.max(1) as f64),
                began: start.into(),
            };
            tokio::spawn(task.run())
        })
        .collect();
    let resident_bytes = watch_memory(&tally, options.calls, &tasks).await;
    let mut report = Report {
        seed,
        resident_bytes,
        ..Report::default()
    };
    for task in tasks {
        report.panics += u64::from(task.await.is_err());
    }
    report.elapsed = start.elapsed();
    report.calls = tally.made.load(Ordering::Relaxed).min(options.calls);
    report.wrong = tally.wrong.load(Ordering::Relaxed);
    report.hangs = tally.hangs.load(Ordering::Relaxed);
    report.outcomes = std::mem::take(&mut *tally.outcomes.lock().unwrap_or_else(PoisonError::into_inner));
    report.example = tally.example.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(report)
}

/// Resident memory after a tenth of the calls, and the most from then on.
async fn watch_memory(tally: &Tally, calls: u64, tasks: &[tokio::task::JoinHandle<()>]) -> (u64, u64) {
    let (mut early, mut most) = (0, 0);
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if tally.made.load(Ordering::Relaxed) >= calls / 10 {
            let now = resident_bytes();
            if early == 0 {
                early = now;
            }
            most = most.max(now);
        }
    }
    (early, most)
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

struct Task {
    client: Client,
    tally: Arc<Tally>,
    rng: Rng,
    number: u64,
    /// The last version of each key that was ever sent.
    issued: [u64; KEYS_PER_TASK],
    limit: u64,
    interval: Duration,
    began: tokio::time::Instant,
}

impl Task {
    async fn run(mut self) {
        let mut outcomes = BTreeMap::new();
        loop {
            let number = self.tally.made.fetch_add(1, Ordering::Relaxed);
            if number >= self.limit {
                break;
            }
            tokio::time::sleep_until(self.began + self.interval.mul_f64(number as f64)).await;
            let start = Instant::now();
            let patience = self.patience();
            let outcome = match tokio::time::timeout(patience, self.one()).await {
                Ok(outcome) => outcome,
                Err(_) if patience == HANGS => "hangs",
                Err(_) => "given up",
            };
            *outcomes.entry(outcome).or_insert(0) += 1;
            if start.elapsed() > RESPONSE_TIMEOUT + LATE {
                let what = format!("task {}: {outcome} after {:?}", self.number, start.elapsed());
                self.tally.bad(&self.tally.hangs, what);
            }
        }
        let mut all = self.tally.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        for (outcome, count) in outcomes {
            *all.entry(outcome).or_insert(0) += count;
        }
    }

    /// How long the caller waits: one in four gives up soon, some of them at once.
    fn patience(&mut self) -> Duration {
        match self.rng.below(16) {
            0 => Duration::ZERO,
            1..4 => Duration::from_micros(self.rng.below(3000) as u64),
            _ => HANGS,
        }
    }

    async fn one(&mut self) -> &'static str {
        let which = self.rng.below(KEYS_PER_TASK);
        let key = format!("{}:{which}", self.number);
        let result = if self.rng.chance(40) {
            self.issued[which] += 1;
            // Lengths differ, so that a shifted reply is no reply; some do not fit into one read.
            let filler = match self.rng.below(200) {
                0 => 100_000,
                1..20 => self.rng.below(2000),
                _ => self.rng.below(20),
            };
            let value = format!("{key}#{}#{}", self.issued[which], "-".repeat(filler));
            self.client.set(&key, value).await
        } else {
            match self.client.get::<String>(&key).await {
                Ok(value) => {
                    if let Some(value) = value.filter(|value| !self.is_ours(&key, which, value)) {
                        let shown: String = value.chars().take(80).collect();
                        self.tally.bad(&self.tally.wrong, format!("{key} is {shown}"));
                    }
                    Ok(())
                }
                Err(error) => Err(error),
            }
        };
        match result {
            Ok(()) => "answered",
            Err(error) => self.name(&error),
        }
    }

    /// Whether the value is one that this task gave this key.
    fn is_ours(&self, key: &str, which: usize, value: &str) -> bool {
        let version = value
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix('#'))
            .and_then(|rest| rest.split_once('#'))
            .filter(|(_, filler)| filler.bytes().all(|byte| byte == b'-'))
            .and_then(|(version, _)| version.parse::<u64>().ok());
        version.is_some_and(|version| (1..=self.issued[which]).contains(&version))
    }

    fn name(&self, error: &Error) -> &'static str {
        match error {
            Error::Connect { .. } => "not connected",
            Error::Lost { .. } => "lost",
            Error::Timeout { sent: true, .. } => "no reply in time",
            Error::Timeout { sent: false, .. } => "not sent in time",
            Error::Busy { .. } => "too many pending",
            Error::Protocol { .. } => "garbage",
            other => {
                self.tally
                    .bad(&self.tally.wrong, format!("task {}: {other}", self.number));
                "unexpected"
            }
        }
    }
}
