//! What to ask of which server: the command line of `larder-load`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};

/// The most keys: the generator replaces the last eight digits of a key.
const MAX_KEYS: u64 = 100_000_000;

/// Command line of the load generator.
#[derive(Debug, Clone, Parser)]
#[command(name = "larder-load", about = "Puts load on a cache server, prints JSON")]
pub struct Options {
    /// Address of the server.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// TCP port of the server.
    #[arg(long, default_value_t = 6379)]
    pub port: u16,
    /// Path of a Unix socket; used instead of host and port.
    #[arg(long)]
    pub unixsocket: Option<PathBuf>,
    /// Protocol the server speaks.
    #[arg(long, value_enum, default_value_t = Protocol::Resp)]
    pub protocol: Protocol,
    /// One of set, setex and set-ex (TTLs drawn from 10,000 s to 89,999 s, by either command), get, incr, mgetN (N keys each).
    #[arg(long, default_value = "get")]
    pub command: Command,
    /// Bytes of a value: what SET stores and what GET must find.
    #[arg(long, default_value_t = 64)]
    pub value_size: usize,
    /// Number of different keys, each of 16 bytes.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=MAX_KEYS))]
    pub keys: u64,
    /// Seed of the keys' random order.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Number of connections.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub clients: u32,
    /// Requests that a connection sends before it waits for their replies.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pipeline: u32,
    /// Stop after this many requests.
    #[arg(long, conflicts_with = "seconds")]
    pub requests: Option<u64>,
    /// Stop after this many seconds (default: 5, unless --requests or --fill is given).
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Seconds of the same load before anything is measured.
    #[arg(long, default_value_t = 0.0)]
    pub warmup: f64,
    /// Send this many requests per second, whether or not replies arrive (open loop); --pipeline
    /// is then the most that a connection may have in flight. Default: closed loop.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Write each key once, in order, with set, setex or incr (which stores 0).
    #[arg(long, conflicts_with_all = ["requests", "seconds", "rate", "warmup"])]
    pub fill: bool,
    /// With --fill: the first key to write.
    #[arg(long, default_value_t = 0, requires = "fill")]
    pub fill_from: u64,
    /// Process whose CPU time is measured (the server, if it runs on this machine).
    #[arg(long)]
    pub server_pid: Option<u32>,
}

/// How the server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Redis's protocol, version 2.
    Resp,
    /// Memcached's text protocol.
    Memcached,
}

/// What each request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Store a value.
    Set,
    /// Store a value with a time to live, by SETEX.
    SetEx,
    /// The same by SET with EX.
    SetWithEx,
    /// Read a value.
    Get,
    /// Add one to a counter.
    Incr,
    /// Read this many values at once.
    Mget(usize),
}

impl Command {
    /// Number of keys that one request names.
    pub fn keys_per_request(self) -> usize {
        match self {
            Self::Mget(keys) => keys,
            Self::Set | Self::SetEx | Self::SetWithEx | Self::Get | Self::Incr => 1,
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "set" => Ok(Self::Set),
            "setex" => Ok(Self::SetEx),
            "set-ex" => Ok(Self::SetWithEx),
            "get" => Ok(Self::Get),
            "incr" => Ok(Self::Incr),
            _ => name
                .strip_prefix("mget")
                .and_then(|keys| keys.parse().ok())
                .filter(|keys| (1..=1000).contains(keys))
                .map(Self::Mget)
                .ok_or_else(|| format!("'{name}' is none of set, setex, set-ex, get, incr, mget1 to mget1000")),
        }
    }
}
