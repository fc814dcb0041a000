//! Memberships that come from elsewhere: a file, or a DNS name.

use super::{Pool, PoolNode};
use crate::config::{Address, Target};
use crate::error::{Error, Result};
use crate::events::Event;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::{Duration, SystemTime};

/// A longer file is no list of nodes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// It is not looked more often than this.
const MIN_PERIOD: Duration = Duration::from_millis(10);

/// Where the nodes of a pool are written down.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    File { path: PathBuf, every: Duration },
    Dns { host: String, port: u16, every: Duration },
}

impl Source {
    /// The nodes to begin with; waits for them.
    ///
    /// # Errors
    /// [`Error::Usage`] if they cannot be had or understood.
    pub(super) fn first(&self) -> Result<Vec<PoolNode>> {
        match self {
            Source::File { path, .. } => read(path),
            Source::Dns { host, port, .. } => {
                let found = (host.as_str(), *port).to_socket_addrs();
                of_addresses(host, found.map_err(|error| wrong(host, &error))?)
            }
        }
    }

    fn every(&self) -> Duration {
        match self {
            Source::File { every, .. } | Source::Dns { every, .. } => *every,
        }
    }

    /// What to tell a change by, without reading all.
    fn mark(&self) -> Option<(SystemTime, u64)> {
        match self {
            Source::File { path, .. } => {
                let about = fs::metadata(path).ok()?;
                Some((about.modified().ok()?, about.len()))
            }
            Source::Dns { .. } => None,
        }
    }

    async fn next(&self) -> Result<Vec<PoolNode>> {
        match self {
            Source::File { path, .. } => {
                let path = path.clone();
                let reading = tokio::task::spawn_blocking(move || read(&path));
                reading.await.unwrap_or(Err(Error::Closed))
            }
            Source::Dns { host, port, .. } => {
                let found = tokio::net::lookup_host((host.as_str(), *port)).await;
                of_addresses(host, found.map_err(|error| wrong(host, &error))?)
            }
        }
    }
}

fn wrong(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::Usage(format!("the nodes of {what}: {why}"))
}

fn read(path: &Path) -> Result<Vec<PoolNode>> {
    let shown = path.display().to_string();
    let mut text = String::new();
    let opened = File::open(path).map(|file| file.take(MAX_FILE_BYTES + 1));
    let read = opened.and_then(|mut file| file.read_to_string(&mut text));
    read.map_err(|error| wrong(&shown, &error))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(wrong(&shown, &format!("over {MAX_FILE_BYTES} bytes")));
    }
    parse(&text).map_err(|error| wrong(&shown, &error))
}

/// Nodes, one a line.
fn parse(text: &str) -> Result<Vec<PoolNode>> {
    let mut nodes = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let node: Result<PoolNode> = line.parse();
        nodes.push(node.map_err(|error| Error::Usage(format!("line {number}: {error}")))?);
    }
    match nodes.len() {
        0 => Err(Error::Usage("no node".to_string())),
        _ => Ok(nodes),
    }
}

/// A node for each address, in an order of their own, so that the same answer in another order is no change.
fn of_addresses(host: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<PoolNode>> {
    let found: BTreeSet<SocketAddr> = found.collect();
    if found.is_empty() {
        return Err(wrong(host, &"no address"));
    }
    let node = |address: SocketAddr| PoolNode {
        name: address.to_string(),
        target: Target::from(Address::Tcp {
            host: address.ip().to_string(),
            port: address.port(),
        }),
        weight: 1,
    };
    Ok(found.into_iter().map(node).collect())
}

/// Changes the pool as its source changes, until nobody has the pool any more.
pub(super) async fn follow(source: Source, pool: Weak<Pool>) {
    let mut known = source.mark();
    let mut refused: Option<String> = None;
    loop {
        tokio::time::sleep(source.every().max(MIN_PERIOD)).await;
        let mark = source.mark();
        if mark.is_some() && mark == known && refused.is_none() {
            if pool.strong_count() == 0 {
                return;
            }
            continue;
        }
        let nodes = source.next().await;
        let Some(pool) = pool.upgrade() else { return };
        match nodes.and_then(|nodes| pool.update(nodes)) {
            Ok(_) => (known, refused) = (mark, None),
            Err(error) => {
                let why = error.to_string();
                if refused.as_ref() != Some(&why) {
                    let why = why.as_str().into();
                    pool.shared.events.send(Event::MembershipRefused { why });
                }
                refused = Some(why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_node_a_line_and_comments() {
        let nodes = parse("# ours\n\ncache-1 10.0.0.1:7000 2 # big\n  cache-2 10.0.0.2  \n").expect("nodes");
        let shown: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.weight)).collect();
        assert_eq!(shown, [("cache-1", 2), ("cache-2", 1)]);
    }

    #[test]
    fn a_file_that_is_none_says_which_line() {
        let error = parse("a 10.0.0.1\nb 10.0.0.1:x\n").expect_err("no port");
        assert!(error.to_string().contains("line 2"), "{error}");
        assert!(parse("# nothing\n").is_err());
        assert!(read(Path::new("/nonexistent/nodes")).is_err());
    }

    #[test]
    fn addresses_are_nodes_whatever_their_order() {
        let one: Vec<SocketAddr> = vec!["10.0.0.2:7".parse().expect("one"), "[::1]:7".parse().expect("one")];
        let other: Vec<_> = one.iter().rev().chain(&one).copied().collect();
        let nodes = of_addresses("h", one.into_iter()).expect("nodes");
        assert_eq!(nodes, of_addresses("h", other.into_iter()).expect("nodes"));
        assert_eq!(nodes[1].name, "[::1]:7");
        assert!(of_addresses("h", std::iter::empty()).is_err());
    }
}
