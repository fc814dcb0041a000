//! What workers cost one another: CPU time per operation of each alone, and of all at once.
//!
//! Each worker runs whole turns of a connection (decode, look up, run, reply) over buffers in memory, on
//! its own core, all on one keyspace. Within a round each works alone, one after the other, and then all
//! together, so that what drifts drifts for both. Requests are made between the timed stretches, on the
//! same thread; a stretch is long enough that the clock's own share vanishes.
//!
//! A control tells what the machine has to do with it: all at once again, but each on a node of its own, so that they
//! share nothing but the hardware. Cores that are two threads of one share its caches and units, and all share the
//! last cache and the memory; what workers cost one another beyond the control is Larder's.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::{Arc, Barrier};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use larder_server::config::{Config, Settings};
use larder_server::in_process::Driver;
use larder_server::node::Node;

use super::options::Options;
use super::thread::{cpu_ns, pin};
use crate::load::{Keys, Options as LoadOptions, Requests};

/// The most that an operation may cost with two workers, as a multiple of its cost with one.
pub(super) const GOAL: f64 = 1.15;
/// Pipelines that are run, and timed, in one stretch.
const STRETCH: usize = 32;
/// Stretches whose replies are checked, untimed, before each measurement.
const CHECKED_STRETCHES: usize = 8;
/// Bytes of each value; keys have 16.
const VALUE_BYTES: usize = 64;
const DEPTHS: [u32; 2] = [64, 16];
const COMMANDS: [&str; 3] = ["get", "set", "incr"];

/// One line of the result: a command at a pipeline depth.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) depth: u32,
    pub(super) rounds: Vec<Round>,
}

/// CPU nanoseconds per operation in one round.
pub(super) struct Round {
    /// The mean of the workers, each alone.
    pub(super) alone: f64,
    /// The mean of the workers, all at once.
    pub(super) together: f64,
    /// The control: the mean of the workers, all at once, each on a node of its own.
    pub(super) apart: f64,
    /// The least share of the wall time for which one of the threads had its core: if below 1, the machine
    /// had other work, and the workers met less than they should have.
    pub(super) on_core: f64,
}

impl Round {
    pub(super) fn ratio(&self) -> f64 {
        self.together / self.alone
    }

    /// The ratio that the machine alone accounts for.
    pub(super) fn control(&self) -> f64 {
        self.apart / self.alone
    }

    /// What sharing a node costs beyond the control.
    pub(super) fn sharing(&self) -> f64 {
        self.together / self.apart
    }
}

/// What one worker did in one phase.
struct Phase {
    operations: u64,
    /// In timed stretches.
    cpu_ns: u64,
    on_core: f64,
    /// Untimed operations included.
    all_operations: u64,
}

/// Workers, and how many increments they have done.
struct Site {
    drivers: Vec<Driver>,
    increments: u64,
}

impl Site {
    /// Workers of one node.
    fn shared(options: &Options) -> anyhow::Result<Site> {
        let node = node(options.cores.len());
        let mut drivers: Vec<Driver> = (0..options.cores.len())
            .map(|index| Driver::new(&node, index))
            .collect();
        fill(&mut drivers[0], options)?;
        Ok(Site { drivers, increments: 0 })
    }

    /// As many, each on a node of its own.
    fn apart(options: &Options) -> anyhow::Result<Site> {
        let mut drivers: Vec<Driver> = options.cores.iter().map(|_| Driver::new(&node(1), 0)).collect();
        drivers.iter_mut().try_for_each(|driver| fill(driver, options))?;
        Ok(Site { drivers, increments: 0 })
    }

    /// Lets the workers in `range` work at once.
    fn run(&mut self, range: Range<usize>, options: &Options, row: &Row, round: u32) -> anyhow::Result<Vec<Phase>> {
        let cores = &options.cores[range.clone()];
        let phases = run_phase(&mut self.drivers[range], cores, options, row, round)?;
        if row.name == "incr" {
            self.increments += phases.iter().map(|phase| phase.all_operations).sum::<u64>();
        }
        Ok(phases)
    }

    /// Fails if the counters, of which each of the first `nodes` workers sees others, do not add up.
    fn check_counters(&mut self, nodes: usize, options: &Options) -> anyhow::Result<()> {
        let sums = self.drivers[..nodes].iter_mut();
        let sum = sums
            .map(|driver| sum_counters(driver, options))
            .sum::<anyhow::Result<u64>>()?;
        let increments = self.increments;
        ensure!(
            sum == increments,
            "the counters hold {sum} after {increments} increments: workers lost or repeated some"
        );
        Ok(())
    }
}

fn node(threads: usize) -> Arc<Node> {
    let mut settings = Settings::default();
    settings.threads = threads;
    Arc::new(Node::new(Config::new(settings)))
}

pub(super) fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let (mut shared, mut apart) = (Site::shared(options)?, Site::apart(options)?);
    let mut rows: Vec<Row> = COMMANDS
        .iter()
        .flat_map(|&name| DEPTHS.map(|depth| (name, depth)))
        .map(|(name, depth)| Row {
            name,
            depth,
            rounds: Vec::new(),
        })
        .collect();
    for number in 0..options.rounds {
        for row in &mut rows {
            let round = measure_round(&mut shared, &mut apart, options, row, number)
                .with_context(|| format!("{} at pipeline {}", row.name, row.depth))?;
            row.rounds.push(round);
        }
    }
    shared.check_counters(1, options)?;
    apart.check_counters(options.cores.len(), options)?;
    Ok(rows)
}

/// One round of one row.
fn measure_round(
    shared: &mut Site,
    apart: &mut Site,
    options: &Options,
    row: &Row,
    number: u32,
) -> anyhow::Result<Round> {
    let workers = options.cores.len();
    let (mut alone, mut together, mut control) = (Vec::new(), Vec::new(), Vec::new());
    // Which comes first changes from round to round.
    for step in 0..3 {
        match (number + step) % 3 {
            0 => {
                for index in 0..workers {
                    alone.extend(shared.run(index..index + 1, options, row, number)?);
                }
            }
            1 => together = shared.run(0..workers, options, row, number)?,
            _ => control = apart.run(0..workers, options, row, number)?,
        }
    }
    let all = alone.iter().chain(&together).chain(&control);
    Ok(Round {
        alone: ns_per_operation(&alone),
        together: ns_per_operation(&together),
        apart: ns_per_operation(&control),
        on_core: all.map(|phase| phase.on_core).fold(1.0, f64::min),
    })
}

fn ns_per_operation(phases: &[Phase]) -> f64 {
    let each = phases
        .iter()
        .map(|phase| phase.cpu_ns as f64 / phase.operations.max(1) as f64);
    each.sum::<f64>() / phases.len() as f64
}

/// Lets the drivers work at once, each on its core.
fn run_phase(
    drivers: &mut [Driver],
    cores: &[usize],
    options: &Options,
    row: &Row,
    number: u32,
) -> anyhow::Result<Vec<Phase>> {
    let ready = Barrier::new(drivers.len());
    let time = Duration::from_millis(options.phase_ms);
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (driver, &core) in drivers.iter_mut().zip(cores) {
            let ready = &ready;
            threads.push(scope.spawn(move || {
                let prepared = prepare(driver, core, options, row, number);
                // Even after an error: the others wait for this thread.
                ready.wait();
                Ok(work(driver, row.depth, prepared?, time))
            }));
        }
        let join = |thread: ScopedJoinHandle<'_, anyhow::Result<Phase>>| {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}

/// All that comes before the measuring: the thread's core, its requests, and a look at their replies.
fn prepare(driver: &mut Driver, core: usize, options: &Options, row: &Row, number: u32) -> anyhow::Result<Requests> {
    pin(core)?;
    let seed = u64::from(number) << 32 | core as u64;
    let mut requests = requests(row.name, row.depth * STRETCH as u32, options, seed)?;
    check_replies(driver, row, &mut requests)?;
    Ok(requests)
}

/// Runs one stretch after the other until the time is over.
fn work(driver: &mut Driver, depth: u32, mut requests: Requests, time: Duration) -> Phase {
    let operations = depth as usize * STRETCH;
    let mut phase = Phase {
        operations: 0,
        cpu_ns: 0,
        on_core: 0.0,
        all_operations: (operations * CHECKED_STRETCHES) as u64,
    };
    let (began, cpu_began) = (Instant::now(), cpu_ns());
    while began.elapsed() < time {
        let bytes = requests.next(operations);
        let before = cpu_ns();
        for pipeline in bytes.chunks_exact(bytes.len() / STRETCH) {
            std::hint::black_box(driver.run(pipeline));
        }
        phase.cpu_ns += cpu_ns() - before;
        phase.operations += operations as u64;
    }
    phase.on_core = (cpu_ns() - cpu_began) as f64 / began.elapsed().as_nanos() as f64;
    phase.all_operations += phase.operations;
    phase
}

/// Runs a few stretches and looks at each reply.
fn check_replies(driver: &mut Driver, row: &Row, requests: &mut Requests) -> anyhow::Result<()> {
    let depth = row.depth as usize;
    let expected = match row.name {
        "get" => format!("${VALUE_BYTES}\r\n{}\r\n", "x".repeat(VALUE_BYTES)).repeat(depth),
        "set" => "+OK\r\n".repeat(depth),
        _ => String::new(),
    };
    for _ in 0..CHECKED_STRETCHES {
        let bytes = requests.next(depth * STRETCH);
        for pipeline in bytes.chunks_exact(bytes.len() / STRETCH) {
            let replies = driver.run(pipeline);
            let right = match row.name {
                "incr" => counters(replies)?.len() == depth,
                _ => replies == expected.as_bytes(),
            };
            ensure!(right, "wrong replies: {}", String::from_utf8_lossy(replies));
        }
    }
    Ok(())
}

/// The integers of a pipeline of replies to INCR.
fn counters(replies: &[u8]) -> anyhow::Result<Vec<u64>> {
    let text = std::str::from_utf8(replies)?;
    let number = |line: &str| line.strip_prefix(':').and_then(|digits| digits.parse().ok());
    text.split_terminator("\r\n")
        .map(|line| {
            number(line)
                .filter(|&n| n > 0)
                .with_context(|| format!("INCR gave {line}"))
        })
        .collect()
}

fn fill(driver: &mut Driver, options: &Options) -> anyhow::Result<()> {
    for name in ["set", "incr"] {
        for_each_key(options, name, &["--fill"], |request| {
            ensure!(driver.run(request) == b"+OK\r\n", "a key could not be set");
            Ok(())
        })?;
    }
    Ok(())
}

fn sum_counters(driver: &mut Driver, options: &Options) -> anyhow::Result<u64> {
    let mut sum = 0;
    // INCR is the request at hand that tells what a counter holds, plus 1.
    for_each_key(options, "incr", &[], |request| {
        let [counter] = counters(driver.run(request))?[..] else {
            bail!("INCR did not give one reply");
        };
        sum += counter - 1;
        Ok(())
    })?;
    Ok(sum)
}

/// Makes one request for each key, in order.
fn for_each_key(
    options: &Options,
    name: &str,
    flags: &[&str],
    mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let load = load_options(name, 1, options, flags)?;
    let mut requests = Requests::new(&load, Keys::Ascending { next: 0 });
    (0..options.keys).try_for_each(|_| each(requests.next(1)))
}

/// As the load generator makes them: `count` at once, of keys drawn at random.
fn requests(name: &str, count: u32, options: &Options, seed: u64) -> anyhow::Result<Requests> {
    let load = load_options(name, count, options, &[])?;
    let keys = Keys::Random {
        state: seed,
        count: options.keys,
    };
    Ok(Requests::new(&load, keys))
}

fn load_options(name: &str, count: u32, options: &Options, flags: &[&str]) -> anyhow::Result<LoadOptions> {
    let numbers = [count.to_string(), options.keys.to_string(), VALUE_BYTES.to_string()];
    let [count, keys, size] = numbers.each_ref();
    let words = [
        "",
        "--command",
        name,
        "--pipeline",
        count,
        "--keys",
        keys,
        "--value-size",
        size,
    ];
    Ok(LoadOptions::try_parse_from(words.iter().chain(flags))?)
}
