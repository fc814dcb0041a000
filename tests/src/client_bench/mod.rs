//! Puts load on a server through a client library and measures what that costs the client: larder-client, redis-rs
//! and fred, each on one connection, each with its defaults.

mod subjects;

use crate::rng::Rng;
use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use subjects::{Fred, Larder, RedisRs, Subject};

/// Latencies are taken of one call in so many, so that reading the clock is no part of what is compared.
const SAMPLED: u64 = 16;
const VALUE_BYTES: usize = 64;

/// A client library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Library {
    /// larder-client.
    Larder,
    /// The crate `redis`, its multiplexed connection.
    RedisRs,
    /// The crate `fred`.
    Fred,
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Command {
    /// Of keys that are there.
    Get,
    /// Of the same keys.
    Set,
}

/// Command line of one measurement.
#[derive(Clone, Debug, Parser)]
#[command(name = "larder-client-bench", about = "Measures a client library on one connection")]
pub struct Options {
    /// The library to measure.
    #[arg(long, value_enum)]
    pub library: Library,
    /// The server's port on loopback.
    #[arg(long)]
    pub port: u16,
    /// The command that is sent.
    #[arg(long, value_enum)]
    pub command: Command,
    /// Tasks that call at the same time.
    #[arg(long)]
    pub tasks: usize,
    /// Threads of a multi-thread runtime; 0 is a current-thread runtime.
    #[arg(long, default_value_t = 0)]
    pub workers: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// How long to warm up.
    #[arg(long, default_value_t = 0.2)]
    pub warmup: f64,
    /// Keys that are used.
    #[arg(long, default_value_t = 10_000)]
    pub keys: usize,
}

/// Measures, and prints one line of JSON. `allocations` tells how many allocations there were so far, if they are
/// counted.
///
/// # Errors
/// If the server cannot be reached or a call fails.
pub fn run(options: &Options, allocations: Option<fn() -> u64>) -> Result<()> {
    ensure!(
        options.tasks > 0 && options.keys > 0,
        "--tasks and --keys must be above 0"
    );
    let mut builder = match options.workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if options.workers > 0 {
        builder.worker_threads(options.workers);
    }
    let runtime = builder.enable_all().build()?;
    runtime.block_on(async {
        match options.library {
            Library::Larder => measure(Larder::connect(options.port)?, options, allocations).await,
            Library::RedisRs => measure(RedisRs::connect(options.port).await?, options, allocations).await,
            Library::Fred => measure(Fred::connect(options.port).await?, options, allocations).await,
        }
    })
}

/// What the tasks share.
struct Shared {
    keys: Vec<subjects::Key>,
    value: bytes::Bytes,
    command: Command,
    counts: bool,
    calls: Vec<AtomicU64>,
    measuring: AtomicBool,
    over: AtomicBool,
}

impl Shared {
    fn calls(&self) -> u64 {
        self.calls.iter().map(|calls| calls.load(Ordering::Relaxed)).sum()
    }
}

async fn measure<S: Subject>(subject: S, options: &Options, allocations: Option<fn() -> u64>) -> Result<()> {
    let shared = Arc::new(Shared {
        keys: (0..options.keys).map(subjects::Key::new).collect(),
        value: vec![b'v'; VALUE_BYTES].into(),
        command: options.command,
        counts: allocations.is_some(),
        calls: (0..options.tasks).map(|_| AtomicU64::new(0)).collect(),
        measuring: AtomicBool::new(false),
        over: AtomicBool::new(false),
    });
    for key in &shared.keys {
        subject.set(key, &shared.value).await?;
    }
    let tasks: Vec<_> = (0..options.tasks)
        .map(|number| tokio::spawn(work(subject.clone(), Arc::clone(&shared), number)))
        .collect();
    tokio::time::sleep(Duration::try_from_secs_f64(options.warmup)?).await;
    shared.measuring.store(true, Ordering::Relaxed);
    let (start, cpu_before, calls_before) = (Instant::now(), cpu_ns()?, shared.calls());
    let allocated_before = allocations.map(|count| count());
    tokio::time::sleep(Duration::try_from_secs_f64(options.seconds)?).await;
    let allocated = allocations.map(|count| count()).zip(allocated_before);
    let (elapsed, cpu, calls) = (start.elapsed(), cpu_ns()? - cpu_before, shared.calls() - calls_before);
    shared.over.store(true, Ordering::Relaxed);
    let mut latencies = histogram()?;
    for task in tasks {
        latencies.add(task.await??)?;
    }
    ensure!(calls > 0, "no call was answered");
    println!(
        "{}",
        json!({
            "calls": calls,
            "seconds": elapsed.as_secs_f64(),
            "cpu_ns": cpu as f64 / calls as f64,
            "p50_us": latencies.value_at_quantile(0.5) as f64 / 1e3,
            "p99_us": latencies.value_at_quantile(0.99) as f64 / 1e3,
            "allocations": allocated.map(|(now, then)| (now - then) as f64 / calls as f64),
        })
    );
    Ok(())
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(100, 10_000_000_000, 3)?)
}

/// One task: calls one after the other, until told that it is over.
async fn work<S: Subject>(subject: S, shared: Arc<Shared>, number: usize) -> Result<Histogram<u64>> {
    let mut latencies = histogram()?;
    let mut rng = Rng::new(number as u64);
    let mut calls = 0;
    while !shared.over.load(Ordering::Relaxed) {
        let key = rng.pick(&shared.keys);
        let timed = !shared.counts && calls % SAMPLED == 0 && shared.measuring.load(Ordering::Relaxed);
        let start = timed.then(Instant::now);
        match shared.command {
            Command::Get => ensure!(subject.get(key).await? == VALUE_BYTES, "not the value that was set"),
            Command::Set => subject.set(key, &shared.value).await?,
        }
        if let Some(start) = start {
            latencies.saturating_record(start.elapsed().as_nanos() as u64);
        }
        calls += 1;
        shared.calls[number].store(calls, Ordering::Relaxed);
    }
    Ok(latencies)
}

/// CPU time of this process so far.
fn cpu_ns() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) * 1000)
}
