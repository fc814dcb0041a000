//! `larder set`: stores a value, byte by byte.

use crate::link::{Link, Nodes};
use crate::units;
use anyhow::Context;
use clap::Args;
use larder_client::cmd;
use std::borrow::Cow;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;

/// The largest value that is read; servers refuse larger ones (`proto-max-bulk-len`).
const MAX_VALUE_BYTES: u64 = 512 << 20;

/// Set the value of a key.
///
/// A time to live that the key had is gone, unless a new one is given. Of several nodes, the one is written to that owns
/// the key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  larder set user:1 Ada --ttl 60s
  larder set picture:7 - < picture.png")]
pub(crate) struct Options {
    /// The key.
    key: OsString,
    /// The value; `-` reads it from standard input, to its end.
    value: OsString,
    /// After how long the key goes away: 500ms, 60s, 5m, 1h, 7d; without it, never.
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    ttl: Option<Duration>,
    #[command(flatten)]
    nodes: Nodes,
}

/// Stores the value.
///
/// # Errors
/// If it cannot be read, the node cannot be reached, or refuses it.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let link = Link::to_owner(&options.nodes, options.key.as_bytes())?;
    let value = match options.value.as_bytes() {
        b"-" => Cow::Owned(read_all(std::io::stdin().lock(), MAX_VALUE_BYTES)?),
        bytes => Cow::Borrowed(bytes),
    };
    // A time to live of less than a millisecond is one of one.
    let ttl = options.ttl.map(|ttl| ("PX", ttl.as_millis().max(1) as u64));
    let set = cmd("SET").arg(options.key.as_bytes()).arg(&value[..]).arg(ttl);
    let reply = link.call(&set).await?;
    anyhow::ensure!(reply.is_ok(), "{}: SET was not answered with OK", link.name);
    Ok(ExitCode::SUCCESS)
}

fn read_all(input: impl Read, most_bytes: u64) -> anyhow::Result<Vec<u8>> {
    let mut value = Vec::new();
    let read = input.take(most_bytes + 1).read_to_end(&mut value);
    read.context("standard input")?;
    anyhow::ensure!(
        value.len() as u64 <= most_bytes,
        "the value has over {most_bytes} bytes, which no server takes"
    );
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_read_to_its_end_but_never_without_bound() {
        assert_eq!(read_all(&b"a\0b\n"[..], 4).expect("it fits"), b"a\0b\n");
        assert!(read_all(&b"abcde"[..], 4).is_err());
        assert!(read_all(std::io::repeat(0), 1000).is_err());
    }
}
