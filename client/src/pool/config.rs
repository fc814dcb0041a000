//! What a pool consists of, and how it behaves.

use super::HealthConfig;
use super::source::Source;
use crate::config::{Config, Target};
use crate::error::{Error, Result};
use larder_cluster::hotkeys::Rules;
use larder_cluster::ketama::KeyHash;
use larder_cluster::placement::Member as Placed;
use std::str::FromStr;
use std::time::Duration;

/// A node of a pool: its name decides which keys it gets, its address where it is.
///
/// As text: `name address weight`, or without the weight, which is 1 then, or the address alone, which is the name as well:
/// `cache-1 10.0.0.1:6379 2`, `10.0.0.1:6379`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolNode {
    /// The name: 1 to 255 bytes. A node that moves to another address keeps its name, and so its keys.
    pub name: String,
    /// Where it is, and how to log in there.
    pub target: Target,
    /// How many keys it gets in proportion to the others: 1 to 1,000,000.
    pub weight: u32,
}

impl PoolNode {
    /// A node by its name, its URL (see [`Target`]) and its weight.
    ///
    /// # Errors
    /// [`Error::Usage`] if the URL makes no sense.
    pub fn new(name: impl Into<String>, url: &str, weight: u32) -> Result<PoolNode> {
        Ok(PoolNode {
            name: name.into(),
            target: url.parse()?,
            weight,
        })
    }

    pub(super) fn placed(&self) -> Placed {
        Placed::new(self.name.as_str(), self.weight)
    }
}

impl FromStr for PoolNode {
    type Err = Error;

    fn from_str(text: &str) -> Result<PoolNode> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match *words {
            [url] => {
                let target: Target = url.parse()?;
                PoolNode::new(target.address.to_string(), url, 1)
            }
            [name, url] => PoolNode::new(name, url, 1),
            [name, url, weight] => {
                let weight = weight.parse();
                let wrong = |_| Error::Usage(format!("node {name}: the weight is no number"));
                PoolNode::new(name, url, weight.map_err(wrong)?)
            }
            _ => Err(Error::Usage(
                "a node is written as 'name address weight', 'name address' or 'address'".to_string(),
            )),
        }
    }
}

/// How keys are placed on the nodes of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placement {
    /// Weighted rendezvous of the nodes' names with a load bound, over 16,384 slots.
    #[default]
    Rendezvous,
    /// As libmemcached and twemproxy place keys on a circle, by the nodes' names and weights, for pools that they share. Name
    /// the nodes as they do: `host:port`, without the port if it is 11211, or the name in twemproxy's configuration. Hash
    /// tags do not count, and less is known of where keys were before a change of the membership: from the second change on
    /// every node that was there before is suspected of old values, so that each key misses once.
    Ketama(KeyHash),
}

/// What happens to the keys of a node that is out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GutterConfig {
    /// Whether other nodes stand in at all; if not, all commands for a node that is out fail. true.
    pub enabled: bool,
    /// The longest that another node keeps a value: the bound on how old a value may be that is read there. 10 s.
    pub ttl: Duration,
    /// How many keys that a node missed are kept. 100,000.
    pub max_log_keys: usize,
    /// How many bytes of such keys are kept, per node. 16 MiB.
    pub max_log_bytes: usize,
}

impl Default for GutterConfig {
    fn default() -> GutterConfig {
        GutterConfig {
            enabled: true,
            ttl: Duration::from_secs(10),
            max_log_keys: 100_000,
            max_log_bytes: 16 << 20,
        }
    }
}

/// How a pool behaves.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) config: Config,
    pub(crate) placement: Placement,
    pub(crate) health: HealthConfig,
    pub(crate) gutter: GutterConfig,
    pub(crate) handover: Duration,
    /// Whether reads of hot keys may go to copies, of all handles.
    pub(crate) hot: bool,
    pub(crate) hot_rules: Rules,
    pub(crate) hedge: bool,
    pub(crate) source: Option<Source>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            config: Config {
                // A pool does well without a node, and wants it back soon.
                backoff_max: Duration::from_millis(500),
                ..Config::default()
            },
            placement: Placement::default(),
            health: HealthConfig::default(),
            gutter: GutterConfig::default(),
            handover: Duration::from_secs(60),
            hot: false,
            hot_rules: Rules::default(),
            hedge: false,
            source: None,
        }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<()> {
        self.config.check()?;
        let wrong = self.health.wrong();
        let wrong = wrong.or_else(|| self.gutter.ttl.is_zero().then_some("gutter.ttl"));
        match wrong {
            Some(name) => Err(Error::Usage(format!("{name} is out of its range"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_written_with_or_without_name_and_weight() {
        let full: PoolNode = "cache-1 redis://:secret@10.0.0.1:7000 3".parse().expect("a node");
        assert_eq!((full.name.as_str(), full.weight), ("cache-1", 3));
        assert_eq!(full.target.address.to_string(), "10.0.0.1:7000");
        let bare: PoolNode = " 10.0.0.1 ".parse().expect("a node");
        assert_eq!((bare.name.as_str(), bare.weight), ("10.0.0.1:6379", 1));
        for wrong in ["", "a b c d", "a 10.0.0.1:x", "a 10.0.0.1 much"] {
            assert!(wrong.parse::<PoolNode>().is_err(), "{wrong}");
        }
    }
}
