//! Shows what jitter is for: the load on an origin behind a cache whose keys were all stored together.
//!
//! A cache-aside app, simulated against a real node: requests arrive at random times (a Poisson process), each for
//! a key at random; what the node has not got is loaded from the origin and stored with the same time to live.
//! A load takes its time, and whoever asks for the key meanwhile loads it, too, as apps without leases do. The
//! origin is a count of loads per time bin. Only the node's `ttl-jitter` differs from run to run.

mod run;

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Parser;

use crate::plot::{Chart, Series};
pub use run::run;

/// Command line of `larder-avalanche`.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "larder-avalanche",
    about = "Shows an origin's load with and without jitter of times to live"
)]
pub struct Options {
    /// Keys, all stored at the start.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub keys: u32,
    /// Requests per second.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Time to live of every key, in milliseconds.
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(1..=3_600_000))]
    pub ttl_ms: u32,
    /// How many times to live a run lasts.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// How long a load from the origin takes, in milliseconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub origin_ms: u32,
    /// Length of the bins in which loads are counted, in milliseconds.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub bin_ms: u32,
    /// Percentages of jitter, one run each.
    #[arg(long, value_delimiter = ',', default_value = "0,10,30", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub jitter: Vec<u32>,
    /// Seed of arrivals and keys; every run has the same ones.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// File that the picture is written to.
    #[arg(long)]
    pub svg: Option<PathBuf>,
}

/// What the origin saw in one run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The node's `ttl-jitter`.
    pub jitter: u32,
    /// Requests that were made.
    pub requests: u64,
    /// Loads from the origin, per bin.
    pub bins: Vec<u64>,
    /// How much later than planned requests were sent, at most, in milliseconds: above a bin's length the
    /// machine was too busy for this run to count.
    pub late_ms: u64,
}

impl Outcome {
    /// The most loads of any bin.
    pub fn peak(&self) -> u64 {
        self.bins.iter().copied().max().unwrap_or(0)
    }

    /// Loads per bin on average, from when the first keys expired on: before, there is nothing to load.
    pub fn mean(&self) -> f64 {
        let busy = self
            .bins
            .iter()
            .position(|loads| *loads > 0)
            .map_or(&[][..], |first| &self.bins[first..]);
        busy.iter().sum::<u64>() as f64 / busy.len().max(1) as f64
    }
}

/// A table of the runs in Markdown, loads given per second.
pub fn table(options: &Options, outcomes: &[Outcome]) -> String {
    let per_second = 1000.0 / f64::from(options.bin_ms);
    let mut table = String::from(
        "| `ttl-jitter` | origin loads/s, peak | mean | peak / mean | loads in all | hit ratio |\n|---|---|---|---|---|---|\n",
    );
    for run in outcomes {
        let (peak, mean, loads) = (run.peak() as f64, run.mean(), run.bins.iter().sum::<u64>());
        let ratio = if mean > 0.0 { peak / mean } else { 0.0 };
        let hits = 1.0 - loads as f64 / run.requests.max(1) as f64;
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| {} | {:.0} | {:.0} | {ratio:.1} | {loads} | {hits:.3} |",
            run.jitter,
            peak * per_second,
            mean * per_second,
        );
    }
    table
}

/// The picture of the runs: loads per second over time.
pub fn chart(options: &Options, outcomes: &[Outcome]) -> (Chart, Vec<Series>) {
    let chart = Chart {
        title: format!(
            "{} keys stored together for {} s, {} requests/s",
            options.keys,
            f64::from(options.ttl_ms) / 1000.0,
            options.rate
        ),
        x_label: "seconds since they were stored".to_owned(),
        y_label: "loads from the origin per second".to_owned(),
        log_x: false,
        y_from_zero: true,
    };
    let bin_seconds = f64::from(options.bin_ms) / 1000.0;
    let line = |run: &Outcome| Series {
        name: format!("ttl-jitter {}", run.jitter),
        points: (0..)
            .zip(&run.bins)
            .map(|(bin, loads)| ((f64::from(bin) + 0.5) * bin_seconds, *loads as f64 / bin_seconds))
            .collect(),
    };
    (chart, outcomes.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Options, Outcome, chart, table};

    #[test]
    fn a_run_is_told_by_its_peak_and_its_mean() {
        let run = Outcome {
            jitter: 10,
            requests: 1000,
            bins: vec![0, 0, 30, 10, 0, 20],
            late_ms: 0,
        };
        assert_eq!((run.peak(), run.mean()), (30, 15.0));
        let options = Options::parse_from(["larder-avalanche", "--bin-ms", "500"]);
        let table = table(&options, std::slice::from_ref(&run));
        assert!(table.ends_with("| 10 | 60 | 30 | 2.0 | 60 | 0.940 |\n"), "{table}");
        let (_, series) = chart(&options, &[run]);
        assert_eq!(series[0].points[2], (1.25, 60.0));
    }

    #[test]
    fn a_run_without_loads_divides_by_nothing() {
        let run = Outcome {
            jitter: 0,
            requests: 0,
            bins: vec![0; 3],
            late_ms: 0,
        };
        assert_eq!((run.peak(), run.mean()), (0, 0.0));
        let options = Options::parse_from(["larder-avalanche"]);
        assert!(table(&options, &[run]).contains("| 0 | 0 | 0 | 0.0 | 0 | 1.000 |"));
    }
}
