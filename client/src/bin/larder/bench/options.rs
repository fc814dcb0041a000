//! What `larder bench` is asked to do.

use crate::link::Nodes;
use crate::{Usage, units};
use clap::Args;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// The largest value: each client may hold one in its buffer.
const MAX_VALUE_BYTES: usize = 16 << 20;
/// The highest rate: one request each 100 ns, beyond what one core sends.
const MAX_RATE: f64 = 10_000_000.0;

/// Put load on nodes and measure how they answer.
///
/// With --clients alone, each client sends its next request when it has its reply (a closed loop): that finds the
/// highest throughput, but a slow server is asked less. With --rate, requests are due at fixed times (an open loop),
/// and latency counts from when a request was due, even if it could not be sent then: that is what users of a site
/// feel ("coordinated omission" does not hide it). Several nodes are loaded side by side, each with its own keys, as
/// `larder ring` places them.
///
/// Ends with exit code 1 if any request failed.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  larder bench --fill
  larder bench -c 64 --ratio 1:0 --zipf 0.99 -k 1m
  larder bench --rate 50k -d 60s --histogram latency.hgrm
  larder bench -c 1024 --connections 4 --size 64-4kb
  larder bench -u 10.0.0.1,10.0.0.2,10.0.0.3 --json")]
pub(crate) struct Options {
    #[command(flatten)]
    pub(super) nodes: Nodes,
    /// Requests in flight at most, over all nodes.
    #[arg(short, long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) clients: u32,
    /// Connections per node, over which the requests are pipelined [default: one per client].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) connections: Option<u32>,
    /// Requests per second that are due, whatever the server does: 5000, 50k.
    #[arg(short, long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// How long to measure [default: 10s, unless --requests says otherwise].
    #[arg(short, long, value_name = "DURATION", value_parser = units::duration)]
    pub(super) duration: Option<Duration>,
    /// How many requests to measure.
    #[arg(short = 'n', long, value_name = "N", value_parser = amount)]
    pub(super) requests: Option<u64>,
    /// How long to run before that without counting; 0 for not at all.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration_or_none)]
    pub(super) warmup: Duration,
    /// GETs to SETs.
    #[arg(long, value_name = "GET:SET", default_value = "9:1", value_parser = ratio)]
    pub(super) ratio: f64,
    /// Bytes of a value, or a range of which every size is as likely: 64, 4kb, 16-1kb.
    #[arg(short, long, value_name = "SIZE", default_value = "64", value_parser = sizes)]
    pub(super) size: RangeInclusive<usize>,
    /// How many keys there are: 5000, 100k, 1m.
    #[arg(short, long, value_name = "N", default_value = "100k", value_parser = amount)]
    pub(super) keys: u64,
    /// Take keys by Zipf's law with this exponent instead of each alike; sites have 0.6 to 1.2.
    #[arg(long, value_name = "EXPONENT", value_parser = exponent)]
    pub(super) zipf: Option<f64>,
    /// What keys begin with.
    #[arg(long, value_name = "TEXT", default_value = "larder:bench:")]
    pub(super) prefix: String,
    /// The time to live of what is set [default: none].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub(super) ttl: Option<Duration>,
    /// First set each key once.
    #[arg(long)]
    pub(super) fill: bool,
    /// The same number gives the same keys in the same order [default: another one each time].
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Write the latencies' percentiles to a file, in HdrHistogram's text format.
    #[arg(long, value_name = "FILE")]
    pub(super) histogram: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Options {
    /// Checks what no single option can.
    ///
    /// # Errors
    /// If options contradict each other.
    pub(super) fn check(&self) -> Result<(), Usage> {
        let fewest = self.connections.unwrap_or(1) as usize * self.nodes.urls.len();
        if fewest > self.clients as usize {
            return Err(Usage(format!(
                "{} clients cannot use {fewest} connections (--connections times nodes): raise --clients",
                self.clients
            )));
        }
        Ok(())
    }

    /// How many connections each node gets.
    pub(super) fn connections_per_node(&self) -> usize {
        let clients_per_node = self.clients as usize / self.nodes.urls.len();
        self.connections.map_or(clients_per_node, |count| count as usize).max(1)
    }

    /// How long to measure; `None` as long as it takes for all requests.
    pub(super) fn limit(&self) -> Option<Duration> {
        match (self.duration, self.requests) {
            (None, None) => Some(Duration::from_secs(10)),
            (duration, _) => duration,
        }
    }
}

/// A whole number above 0, with k for thousands and m for millions.
fn amount(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, scale) = match lower.strip_suffix(['k', 'm']) {
        Some(digits) if lower.ends_with('k') => (digits, 1000),
        Some(digits) => (digits, 1_000_000),
        None => (lower.as_str(), 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    match number {
        // Keys have twelve digits.
        Some(number @ 1..=1_000_000_000_000) => Ok(number),
        _ => Err("a whole number from 1 on, with k for thousands or m for millions".to_string()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().or_else(|_| amount(text).map(|rate| rate as f64))?;
    if (0.001..=MAX_RATE).contains(&rate) {
        Ok(rate)
    } else {
        Err(format!("a rate is above 0 and at most {MAX_RATE} per second"))
    }
}

fn duration_or_none(text: &str) -> Result<Duration, String> {
    match text.trim_end_matches(|c: char| c.is_ascii_alphabetic()) {
        "0" => Ok(Duration::ZERO),
        _ => units::duration(text),
    }
}

/// The share of GETs.
fn ratio(text: &str) -> Result<f64, String> {
    let part = |text: &str| text.parse::<u32>().ok().map(f64::from);
    let parts = text
        .split_once(':')
        .and_then(|(gets, sets)| Some((part(gets)?, part(sets)?)));
    match parts {
        Some((gets, sets)) if gets + sets > 0.0 => Ok(gets / (gets + sets)),
        _ => Err("GETs and SETs as two whole numbers, as in 9:1, 1:0 or 0:1".to_string()),
    }
}

fn sizes(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (low, high) = match text.split_once('-') {
        Some((low, high)) => (units::size(low)?, units::size(high)?),
        None => (units::size(text)?, units::size(text)?),
    };
    if low > high {
        return Err("the range's first size is above its last".to_string());
    }
    if high > MAX_VALUE_BYTES {
        return Err(format!("values have at most {MAX_VALUE_BYTES} bytes here"));
    }
    Ok(low..=high)
}

fn exponent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(exponent) if exponent > 0.0 && exponent <= 10.0 => Ok(exponent),
        _ => Err("an exponent is above 0 and at most 10".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parse(words: &str) -> Result<Options, String> {
        let words = std::iter::once("bench").chain(words.split_whitespace());
        let options = Line::try_parse_from(words).map_err(|error| error.to_string())?.options;
        options.check().map_err(|usage| usage.to_string())?;
        Ok(options)
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let options = parse("-k 1m --rate 2.5 --ratio 1:3 --size 16-1kb --warmup 0 -n 5k").expect("options");
        assert_eq!(options.keys, 1_000_000);
        assert_eq!(options.rate, Some(2.5));
        assert_eq!(options.ratio, 0.25);
        assert_eq!(options.size, 16..=1024);
        assert_eq!(options.warmup, Duration::ZERO);
        assert_eq!((options.requests, options.limit()), (Some(5000), None));
        assert_eq!(parse("").expect("defaults").limit(), Some(Duration::from_secs(10)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let wrong = [
            "--clients 0",
            "--clients 4 --connections 5",
            "-u a,b,c --clients 2",
            "--rate 0",
            "--rate 1e9",
            "--rate nan",
            "--ratio 0:0",
            "--ratio 1",
            "--size 2-1",
            "--size 1gb",
            "--size 17mb",
            "--keys 0",
            "--keys 9999999m",
            "--zipf 0",
            "--zipf inf",
            "--duration 0",
            "--warmup -1s",
        ];
        for words in wrong {
            assert!(parse(words).is_err(), "{words}");
        }
    }

    #[test]
    fn connections_follow_the_clients() {
        let per_node = |words| parse(words).expect("options").connections_per_node();
        assert_eq!(per_node("-c 8"), 8);
        assert_eq!(per_node("-c 8 -u a,b,c"), 2);
        assert_eq!(per_node("-c 8 -u a,b --connections 3"), 3);
    }
}
