//! Shows what copies of hot keys are for: the load on each node of a pool while one key, the celebrity, takes a great share
//! of all reads.
//!
//! A client in this process reads from real nodes, as fast as its tasks can: the celebrity with a fixed share, all other keys by
//! Zipf's law. How many commands each node executes is what the node says of itself (`INFO`), so copying counts as well.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use larder_client::{Client, PoolBuilder};

use crate::plot::{Chart, Series};
use crate::rng::Rng;
use crate::server::Server;

/// The goal: from this second on the busiest node has at most this many times the mean.
pub const GOAL_FROM_S: f64 = 5.0;
/// See [`GOAL_FROM_S`].
pub const GOAL_RATIO: f64 = 1.15;

/// Command line of `larder-hotkey`.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "larder-hotkey",
    about = "Shows the load on each node of a pool while one key takes a great share of the reads"
)]
pub struct Options {
    /// Nodes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=16))]
    pub nodes: u32,
    /// Keys beside the celebrity.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub keys: u32,
    /// Zipf's exponent: how uneven the other keys are read; 0 is evenly.
    #[arg(long, default_value_t = 0.99)]
    pub zipf: f64,
    /// The celebrity's share of all reads, in percent.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub celebrity: u32,
    /// Tasks that read at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub tasks: u32,
    /// Seconds per run.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(6..=600))]
    pub seconds: u32,
    /// Seed of the keys that are read.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// File that the picture is written to.
    #[arg(long)]
    pub svg: Option<PathBuf>,
}

/// The load in one interval.
#[derive(Debug, Clone)]
pub struct Interval {
    /// The end of the interval, in seconds since the first read.
    pub at_s: f64,
    /// Commands per second of each node.
    pub rates: Vec<f64>,
}

impl Interval {
    fn mean(&self) -> f64 {
        self.rates.iter().sum::<f64>() / self.rates.len() as f64
    }

    /// The load of the busiest node, in means.
    pub fn busiest(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max) / self.mean().max(1.0)
    }
}

/// What one run showed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whether hot keys had copies.
    pub fans_out: bool,
    /// The load over time.
    pub intervals: Vec<Interval>,
}

impl Outcome {
    /// The whole of what came from [`GOAL_FROM_S`] on: the busiest node's load, in means.
    pub fn settled(&self) -> f64 {
        let late = self.intervals.iter().filter(|interval| interval.at_s > GOAL_FROM_S);
        let mut rates = vec![0.0; self.intervals.first().map_or(0, |first| first.rates.len())];
        for interval in late {
            for (sum, rate) in rates.iter_mut().zip(&interval.rates) {
                *sum += rate;
            }
        }
        Interval { at_s: 0.0, rates }.busiest()
    }
}

/// Keys by Zipf's law: key `k` of `0..keys` is read in proportion to `1 / (k + 1)^exponent`.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(keys: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=keys).map(|rank| {
            sum += f64::from(rank).powf(-exponent);
            sum
        });
        Self(sums.collect())
    }

    fn pick(&self, rng: &mut Rng) -> usize {
        let total = self.0.last().copied().unwrap_or(0.0);
        let at = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
        self.0.partition_point(|sum| *sum < at).min(self.0.len() - 1)
    }
}

/// One run against fresh nodes.
///
/// # Errors
/// If a node or a read fails.
pub fn run(options: &Options, fans_out: bool) -> anyhow::Result<Outcome> {
    let servers: Vec<_> = (0..options.nodes).map(|_| Server::larder(&[])).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut builder = PoolBuilder::new();
    for (number, server) in servers.iter().enumerate() {
        builder = builder.node(format!("node-{number}"), &format!("127.0.0.1:{}", server.port()), 1)?;
    }
    if fans_out {
        builder = builder.hot_keys();
    }
    let entered = runtime.enter();
    let pool = builder.build()?;
    drop(entered);
    let keys: Arc<Vec<String>> = Arc::new((0..options.keys).map(|key| format!("key:{key}")).collect());
    let value = "v".repeat(64);
    runtime.block_on(async {
        for some in keys.chunks(1000) {
            pool.mset(some.iter().map(|key| (key, &value))).await?;
        }
        pool.set("celebrity", &value).await
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    let zipf = Arc::new(Zipf::new(options.keys, options.zipf));
    let readers: Vec<_> = (0..options.tasks)
        .map(|task| {
            let rng = Rng::new(options.seed + u64::from(task));
            let (pool, keys, zipf, stop) = (pool.clone(), Arc::clone(&keys), Arc::clone(&zipf), Arc::clone(&stop));
            runtime.spawn(read(pool, options.celebrity as usize, keys, zipf, stop, rng))
        })
        .collect();
    let intervals = watch(options, &servers);
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        runtime.block_on(reader)?.context("a read failed")?;
    }
    let outcome = Outcome {
        fans_out,
        intervals: intervals?,
    };
    ensure!(!outcome.intervals.is_empty(), "nothing was measured");
    Ok(outcome)
}

async fn read(
    pool: Client,
    celebrity: usize,
    keys: Arc<Vec<String>>,
    zipf: Arc<Zipf>,
    stop: Arc<AtomicBool>,
    mut rng: Rng,
) -> larder_client::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let key = if rng.chance(celebrity) {
            "celebrity"
        } else {
            &keys[zipf.pick(&mut rng)]
        };
        let value: Option<larder_client::Value> = pool.get(key).await?;
        debug_assert!(value.is_some(), "{key} is gone");
    }
    Ok(())
}

/// Asks the nodes twice a second what they have done.
fn watch(options: &Options, servers: &[Server]) -> anyhow::Result<Vec<Interval>> {
    let commands = |server: &Server| -> anyhow::Result<f64> {
        let field = server.info("total_commands_processed");
        Ok(field.context("no total_commands_processed")?.trim().parse()?)
    };
    let all = || servers.iter().map(commands).collect::<anyhow::Result<Vec<f64>>>();
    let began = Instant::now();
    let mut last = (began, all()?);
    let mut intervals = Vec::new();
    for tick in 1..=options.seconds * 2 {
        let due = began + Duration::from_millis(500) * tick;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let now = (Instant::now(), all()?);
        let seconds = (now.0 - last.0).as_secs_f64();
        let rates = now.1.iter().zip(&last.1).map(|(now, last)| (now - last) / seconds);
        intervals.push(Interval {
            at_s: (now.0 - began).as_secs_f64(),
            rates: rates.collect(),
        });
        last = now;
    }
    Ok(intervals)
}

/// The outcomes as a table.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let with = if outcome.fans_out { "with" } else { "without" };
        let _ = writeln!(text, "{with} copies: commands per second of each node, busiest / mean");
        for interval in &outcome.intervals {
            let _ = write!(text, "{:6.1} s ", interval.at_s);
            for rate in &interval.rates {
                let _ = write!(text, "{rate:9.0}");
            }
            let _ = writeln!(text, "{:9.2}", interval.busiest());
        }
        let _ = writeln!(
            text,
            "from {GOAL_FROM_S} s on the busiest node has {:.3} x the mean{}\n",
            outcome.settled(),
            match (outcome.fans_out, outcome.settled() <= GOAL_RATIO) {
                (false, _) => String::new(),
                (true, true) => format!("; the goal is at most {GOAL_RATIO}: held"),
                (true, false) => format!("; the goal is at most {GOAL_RATIO}: MISSED"),
            }
        );
    }
    text
}

/// The outcomes as lines: each node's load in means, with copies and without.
pub fn chart(options: &Options, outcomes: &[Outcome]) -> (Chart, Vec<Series>) {
    let mut series = Vec::new();
    for outcome in outcomes {
        let line = |name: String, load: &dyn Fn(&Interval) -> f64| Series {
            name,
            points: outcome.intervals.iter().map(|at| (at.at_s, load(at))).collect(),
        };
        if outcome.fans_out {
            let least = |at: &Interval| at.rates.iter().copied().fold(f64::INFINITY, f64::min) / at.mean().max(1.0);
            series.push(line("copies: busiest".to_string(), &Interval::busiest));
            series.push(line("copies: idlest".to_string(), &least));
        } else {
            for node in 0..options.nodes as usize {
                let load = move |at: &Interval| at.rates[node] / at.mean().max(1.0);
                series.push(line(format!("no copies: node {node}"), &load));
            }
        }
    }
    let end = f64::from(options.seconds);
    series.push(Series {
        name: format!("goal from {GOAL_FROM_S} s on"),
        points: vec![(GOAL_FROM_S, GOAL_RATIO), (end, GOAL_RATIO)],
    });
    let chart = Chart {
        title: format!(
            "{} nodes, {}% of all reads for one key",
            options.nodes, options.celebrity
        ),
        x_label: "seconds".to_string(),
        y_label: "load of a node / mean of all".to_string(),
        log_x: false,
        y_from_zero: true,
    };
    (chart, series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_picked_by_zipfs_law() {
        let (zipf, mut rng) = (Zipf::new(1000, 1.0), Rng::new(7));
        let mut counts = vec![0u32; 1000];
        (0..100_000).for_each(|_| counts[zipf.pick(&mut rng)] += 1);
        // The first of 1,000 has 1 / 7.485 of all.
        assert!((12_800..14_000).contains(&counts[0]), "{}", counts[0]);
        assert!((6_200..7_200).contains(&counts[1]), "{}", counts[1]);
        assert!(counts[500..].iter().any(|count| *count > 0));
    }

    #[test]
    fn what_has_settled_is_judged_as_a_whole() {
        let interval = |at_s, rates: [f64; 2]| Interval {
            at_s,
            rates: rates.to_vec(),
        };
        let outcome = Outcome {
            fans_out: true,
            intervals: vec![
                interval(1.0, [900.0, 100.0]),
                interval(6.0, [60.0, 40.0]),
                interval(7.0, [50.0, 50.0]),
            ],
        };
        assert!((outcome.settled() - 1.1).abs() < 1e-9);
        assert!(table(&[outcome]).contains("held"));
    }
}
