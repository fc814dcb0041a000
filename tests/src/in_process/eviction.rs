//! What making room costs: CPU time per operation of writes that evict, of writes with a time to live, and of reads
//! beside a writer that evicts, each beside the same without.
//!
//! As in `workers`, whole turns of connections run over buffers in memory. A node that has room and a full one take turns
//! within each round, so that what drifts drifts for both. Keys that are inserted are new, always.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use hdrhistogram::Histogram;
use larder_server::config::{Config, MaxmemoryPolicy, Settings};
use larder_server::in_process::Driver;
use larder_server::node::Node;

use super::options::Options;
use super::thread::{cpu_ns, on_core, pin};
use crate::load::{Keys, Options as LoadOptions, Requests};

/// Less than a small entry takes in all.
const ENTRY_BYTES: u64 = 80;
/// Entries of a node that has room.
const FILL: u64 = 1_000_000;
/// Keys that are overwritten, or read.
const HOT: u64 = 100_000;
/// Bytes of each value; keys have 16.
const VALUE_BYTES: usize = 64;
const DEPTH: usize = 64;
/// Pipelines that are run, and timed, in one stretch.
const STRETCH: usize = 32;
/// Single operations that are timed one by one.
const SINGLES: u64 = 1_000_000;

/// One line of the result: nanoseconds per operation in each round, of the operation and of what it is compared with.
pub(super) struct Cost {
    pub(super) name: &'static str,
    pub(super) goal: Option<f64>,
    pub(super) rounds: Vec<(f64, f64)>,
}

/// All that was found.
pub(super) struct Costs {
    pub(super) rows: Vec<Cost>,
    /// Of the reads beside a writer, the share that found their key; in the last round.
    pub(super) hit_share: f64,
    /// Thread CPU time of each of many SETs that evict, in nanoseconds.
    pub(super) singles: Histogram<u64>,
}

/// A node with a connection per core.
struct Bench {
    drivers: Vec<Driver>,
    /// The next key that was never used.
    fresh: u64,
}

impl Bench {
    fn new(policy: MaxmemoryPolicy, limit: u64, workers: usize) -> anyhow::Result<Bench> {
        let mut settings = Settings::default();
        (settings.threads, settings.maxmemory) = (workers, limit);
        settings.maxmemory_policy = policy;
        let node = Arc::new(Node::new(Config::new(settings)));
        let drivers = (0..workers).map(|worker| Driver::new(&node, worker)).collect();
        Ok(Bench { drivers, fresh: 0 })
    }

    /// A node that evicts.
    fn full(policy: MaxmemoryPolicy, options: &Options, workers: usize) -> anyhow::Result<Bench> {
        let limit = options.full_mib << 20;
        let mut bench = Bench::new(policy, limit, workers)?;
        bench.insert((limit / ENTRY_BYTES).next_multiple_of(DEPTH as u64))?;
        Ok(bench)
    }

    fn insert(&mut self, count: u64) -> anyhow::Result<()> {
        let mut requests = fresh(self.fresh)?;
        for _ in 0..count / DEPTH as u64 {
            let replies = self.drivers[0].run(requests.next(DEPTH));
            ensure!(
                replies.len() == DEPTH * 5,
                "SET was refused: {}",
                String::from_utf8_lossy(replies)
            );
        }
        self.fresh += count;
        Ok(())
    }

    /// Runs requests for so long on this thread; nanoseconds of CPU time per operation.
    fn time(&mut self, requests: &mut Requests, time: Duration) -> f64 {
        let (cost, operations, _) = run(&mut self.drivers[0], requests, || false, time);
        cost as f64 / operations as f64
    }

    fn time_inserts(&mut self, time: Duration) -> anyhow::Result<f64> {
        let mut requests = fresh(self.fresh)?;
        let (cost, operations, _) = run(&mut self.drivers[0], &mut requests, || false, time);
        self.fresh += operations;
        Ok(cost as f64 / operations as f64)
    }

    /// As `time`, of reads of the hot keys, while another worker does what `writer` says; and the share of hits.
    fn time_beside(&mut self, writer: Option<Requests>, options: &Options, seed: u64) -> anyhow::Result<(f64, f64)> {
        let mut reads = random("get", HOT, seed)?;
        let time = Duration::from_millis(options.phase_ms);
        let stop = AtomicBool::new(false);
        let [reader, other] = &mut self.drivers[..] else {
            anyhow::bail!("two workers are needed");
        };
        let cores = (options.cores[0], options.cores[options.cores.len() - 1]);
        let (read, written) = std::thread::scope(|scope| {
            let stop = &stop;
            let side = scope.spawn(move || {
                pin(cores.1)?;
                let Some(mut requests) = writer else { return Ok(0) };
                let stopped = || stop.load(Ordering::Relaxed);
                anyhow::Ok(run(other, &mut requests, stopped, Duration::MAX).1)
            });
            let read = pin(cores.0).map(|()| run(reader, &mut reads, || false, time));
            stop.store(true, Ordering::Relaxed);
            (read, side.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        self.fresh += written?;
        let (cost, operations, bytes) = read?;
        let miss = b"$-1\r\n".len();
        let hit = VALUE_BYTES + b"$64\r\n\r\n".len();
        let hits = (bytes - operations as usize * miss) as f64 / (hit - miss) as f64;
        Ok((cost as f64 / operations as f64, hits / operations as f64))
    }
}

/// Nanoseconds of CPU time, operations, and bytes of replies.
fn run(driver: &mut Driver, requests: &mut Requests, stopped: impl Fn() -> bool, time: Duration) -> (u64, u64, usize) {
    let began = Instant::now();
    let (mut cost, mut operations, mut replies) = (0, 0, 0);
    while began.elapsed() < time && !stopped() {
        let bytes = requests.next(DEPTH * STRETCH);
        let before = cpu_ns();
        for pipeline in bytes.chunks_exact(bytes.len() / STRETCH) {
            replies += std::hint::black_box(driver.run(pipeline)).len();
        }
        cost += cpu_ns() - before;
        operations += (DEPTH * STRETCH) as u64;
    }
    (cost, operations, replies)
}

fn load(command: &str) -> anyhow::Result<LoadOptions> {
    let (depth, size) = ((DEPTH * STRETCH).to_string(), VALUE_BYTES.to_string());
    let words = ["", "--command", command, "--pipeline", &depth, "--value-size", &size];
    Ok(LoadOptions::try_parse_from(words)?)
}

fn fresh(next: u64) -> anyhow::Result<Requests> {
    Ok(Requests::new(&load("set")?, Keys::Ascending { next }))
}

fn random(command: &str, count: u64, seed: u64) -> anyhow::Result<Requests> {
    Ok(Requests::new(&load(command)?, Keys::Random { state: seed, count }))
}

pub(super) fn measure(options: &Options) -> anyhow::Result<Costs> {
    let core = options.cores[0];
    let mut rows = on_core(core, || writes(options))??;
    let (reads, hit_share) = reads(options)?;
    rows.extend(reads);
    Ok(Costs {
        rows,
        hit_share,
        singles: on_core(core, || singles(options))??,
    })
}

fn cost(name: &'static str, goal: Option<f64>) -> Cost {
    Cost {
        name,
        goal,
        rounds: Vec::new(),
    }
}

fn writes(options: &Options) -> anyhow::Result<Vec<Cost>> {
    let time = Duration::from_millis(options.phase_ms);
    let mut adaptive = Bench::full(MaxmemoryPolicy::AllkeysAdaptive, options, 1)?;
    let mut lru = Bench::full(MaxmemoryPolicy::AllkeysLru, options, 1)?;
    let mut overwritten = Bench::new(MaxmemoryPolicy::AllkeysAdaptive, 0, 1)?;
    overwritten.insert(HOT)?;
    let mut volatile = Bench::new(MaxmemoryPolicy::AllkeysAdaptive, 0, 1)?;
    volatile.time(&mut random("set-ex", HOT, 1)?, time);
    let mut rows = vec![
        cost("SET that evicts, adaptive", Some(1.5)),
        cost("SET that evicts, lru", Some(1.5)),
        cost("SET with EX", Some(1.15)),
    ];
    for round in 0..options.rounds {
        // A node of its own each round: it must never be full, nor the machine's memory.
        let mut roomy = Bench::new(MaxmemoryPolicy::AllkeysAdaptive, 0, 1)?;
        roomy.insert(FILL)?;
        let base = roomy.time_inserts(time)?;
        drop(roomy);
        rows[0].rounds.push((base, adaptive.time_inserts(time)?));
        rows[1].rounds.push((base, lru.time_inserts(time)?));
        let seed = u64::from(round);
        rows[2].rounds.push((
            overwritten.time(&mut random("set", HOT, seed)?, time),
            volatile.time(&mut random("set-ex", HOT, seed)?, time),
        ));
    }
    Ok(rows)
}

fn reads(options: &Options) -> anyhow::Result<(Vec<Cost>, f64)> {
    if options.cores.len() < 2 {
        return Ok((Vec::new(), f64::NAN));
    }
    let mut rows = vec![
        cost("GET beside SETs that evict, to ones that do not", Some(1.1)),
        cost("GET beside SETs that evict, to GET alone", None),
    ];
    let mut full = Bench::full(MaxmemoryPolicy::AllkeysAdaptive, options, 2)?;
    let mut share = 0.0;
    for round in 0..options.rounds {
        let seed = u64::from(round);
        let mut roomy = Bench::new(MaxmemoryPolicy::AllkeysAdaptive, 0, 2)?;
        roomy.insert(FILL)?;
        let writer = fresh(roomy.fresh)?;
        let (base, _) = roomy.time_beside(Some(writer), options, seed)?;
        drop(roomy);
        // What is to be read must be there.
        let mut fill = fresh(0)?;
        for _ in 0..HOT / DEPTH as u64 {
            full.drivers[0].run(fill.next(DEPTH));
        }
        let (alone, _) = full.time_beside(None, options, seed)?;
        let writer = fresh(full.fresh)?;
        let (beside, hits) = full.time_beside(Some(writer), options, seed)?;
        rows[0].rounds.push((base, beside));
        rows[1].rounds.push((alone, beside));
        share = hits;
    }
    Ok((rows, share))
}

/// Each SET of many to a full node, one by one: what a read of the same stripe may have to wait for.
fn singles(options: &Options) -> anyhow::Result<Histogram<u64>> {
    let mut bench = Bench::full(MaxmemoryPolicy::AllkeysAdaptive, options, 1)?;
    let mut requests = fresh(bench.fresh)?;
    let mut times = Histogram::new_with_max(60_000_000_000, 3)?;
    for _ in 0..SINGLES {
        let request = requests.next(1);
        let before = cpu_ns();
        std::hint::black_box(bench.drivers[0].run(request));
        times.saturating_record(cpu_ns() - before);
    }
    Ok(times)
}
