//! The command line of `larder-inprocess`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Command line of the in-process measurements.
#[derive(Debug, Clone, Parser)]
#[command(name = "larder-inprocess", about = "Measures a node's work inside its process")]
pub struct Options {
    /// What to measure; all if not given.
    #[arg(long, value_enum)]
    pub only: Option<Part>,
    /// Keys that are inserted one by one, and then deleted, while each operation is timed.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub inserts: u64,
    /// Keys that the workers read and write: as many strings, and as many counters.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub keys: u64,
    /// Rounds of the measurements of workers and of eviction.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Milliseconds that a worker, or all of them at once, run in each round and row.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub phase_ms: u64,
    /// Limit of the nodes that evict, in MiB; from 512 on they use huge pages, as those that do not evict here.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(16..=16_384))]
    pub full_mib: u64,
    /// Cores to use, one worker on each; the last one inserts.
    #[arg(long, default_value = "0,1", value_delimiter = ',')]
    pub cores: Vec<usize>,
    /// Write all results here as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// One of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The longest operation while the keyspace grows and shrinks.
    Stalls,
    /// CPU time per operation of one worker and of several at once.
    Workers,
    /// CPU time per operation of what evicts, and of what runs beside it.
    Eviction,
}

impl Options {
    pub(super) fn measures(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}
