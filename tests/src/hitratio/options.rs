//! What to replay on which caches: the command line of `larder-hitratio`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};

use super::trace::COPIES_MAX;
use crate::load::Protocol;

/// Command line of the hit ratio comparison.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "larder-hitratio",
    about = "Replays request traces on Larder and its peers, prints their hit ratios"
)]
pub struct Options {
    /// Traces (CSV of seconds,key,size; zstd or plain), and limits such as 8mb or 8388608.
    #[arg(required = true, value_name = "TRACE|LIMIT")]
    pub what: Vec<String>,
    /// Limits as percent of the working set: all keys and their values, and 56 bytes for each. Rounded up to
    /// whole MiB. Default, if no LIMIT is given: 4,12,35.
    #[arg(long, value_delimiter = ',', value_name = "PERCENT,...")]
    pub share: Vec<f64>,
    /// Replay so many interleaved copies, each with keys of its own. Default: with --share as many as make
    /// the smallest limit 8 MiB, else 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(COPIES_MAX)))]
    pub copies: Option<u32>,
    /// What the caches have in common: the limit that they are given, the memory that they then hold, or
    /// (Larder beside each policy of Redis) the number of entries.
    #[arg(long, value_enum, default_value_t = Equal::Limit)]
    pub equal: Equal,
    /// Larder's policies to measure. With --equal entries: those that Redis has, too.
    #[arg(long, value_delimiter = ',', value_name = "POLICY,...")]
    pub policies: Vec<String>,
    /// Redis's (and valkey's) policies to measure; as --policies with --equal entries.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "POLICY,...",
        default_value = "allkeys-lru,allkeys-lfu"
    )]
    pub peer_policies: Vec<String>,
    /// Leave out redis, valkey, memcached or larder.
    #[arg(long, value_name = "CACHE")]
    pub skip: Vec<String>,
    /// One more cache, started by a shell command; {port}, {bytes} and {mib} in it are replaced.
    #[arg(long, value_name = "NAME[:memcached]=COMMAND")]
    pub peer: Vec<ExtraPeer>,
    /// Larder's server. Default: the one that was built beside this program.
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,
    /// Lookups per second at most. Default: as fast as the cache answers. Redis and Larder's lru and lfu tell
    /// times apart by the second or minute, so a trace that is replayed in less is harder for them.
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// The most lookups that are sent before their replies are awaited.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub window: u32,
    /// Connections that share the keys.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub connections: u32,
    /// Draw hit ratio over size for each trace into this folder, as hitratio-TRACE.svg.
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
    /// Write all results as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What caches that are compared have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Equal {
    /// The limit that they are given.
    Limit,
    /// The resident memory above that of the idle server.
    Memory,
    /// The number of entries at the end.
    Entries,
}

/// A cache that the command line adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraPeer {
    /// What the tables call it.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// The shell command that starts it.
    pub command: String,
}

impl FromStr for ExtraPeer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("no '=' between name and command")?;
        let (name, protocol) = match name.split_once(':') {
            None | Some((_, "resp")) => (name.trim_end_matches(":resp"), Protocol::Resp),
            Some((name, "memcached")) => (name, Protocol::Memcached),
            Some((_, other)) => return Err(format!("'{other}' is neither resp nor memcached")),
        };
        if name.is_empty() || !command.contains("{port}") {
            return Err("needs a name, and {port} in the command".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            protocol,
            command: command.to_owned(),
        })
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "must be a number above 0".to_owned())
}

/// Bytes, as Redis writes them: `8388608`, `8mb`, `8m`, `8mib`; `kb`, `mb` and `gb` are powers of 1024, `k`, `m`
/// and `g` of 1000. None if it is no such number or 0.
pub(super) fn parse_limit(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" | "b" => 1,
        "k" => 1000,
        "kb" | "kib" => 1 << 10,
        "m" => 1_000_000,
        "mb" | "mib" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)
        .filter(|limit| *limit > 0)
}
