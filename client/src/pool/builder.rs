//! How a pool is described.

use super::config::Options;
use super::source::Source;
use super::{GutterConfig, HealthConfig, HotKeyRules, Placement, PoolNode};
use crate::client::Client;
use crate::config::Config;
use crate::error::Result;
use std::path::PathBuf;
use std::time::Duration;

/// Describes a pool of nodes.
///
/// ```no_run
/// # async fn example() -> larder_client::Result<()> {
/// use larder_client::PoolBuilder;
///
/// let cache = PoolBuilder::new()
///     .node("cache-1", "redis://10.0.0.1:6379", 1)?
///     .node("cache-2", "redis://10.0.0.2:6379", 2)?
///     .build()?;
/// cache.set("greeting", "hello").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PoolBuilder {
    nodes: Vec<PoolNode>,
    options: Options,
}

impl PoolBuilder {
    /// A pool without nodes, with all defaults.
    pub fn new() -> PoolBuilder {
        PoolBuilder::default()
    }

    /// Adds a node by its name, its URL (see [`Target`](crate::Target)) and its weight, 1 to 1,000,000. The name decides which
    /// keys it gets, so the address may be that of a proxy in front of it.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if the URL makes no sense.
    pub fn node(mut self, name: impl Into<String>, url: &str, weight: u32) -> Result<PoolBuilder> {
        self.nodes.push(PoolNode::new(name, url, weight)?);
        Ok(self)
    }

    /// Adds nodes.
    pub fn nodes(mut self, nodes: impl IntoIterator<Item = PoolNode>) -> PoolBuilder {
        self.nodes.extend(nodes);
        self
    }

    /// How keys are placed on the nodes; the same in all clients of a pool.
    pub fn placement(mut self, placement: Placement) -> PoolBuilder {
        self.options.placement = placement;
        self
    }

    /// How the connections behave. By default as [`Config::default`], but with 500 ms as the longest wait between
    /// attempts to connect.
    pub fn config(mut self, config: Config) -> PoolBuilder {
        self.options.config = config;
        self
    }

    /// When a node is taken out of use.
    pub fn health(mut self, health: HealthConfig) -> PoolBuilder {
        self.options.health = health;
        self
    }

    /// What happens to the keys of a node that is out.
    pub fn gutter(mut self, gutter: GutterConfig) -> PoolBuilder {
        self.options.gutter = gutter;
        self
    }

    /// For how long after a change of the membership new owners are filled from the previous ones, 60 s by default; zero for
    /// not at all. All clients should have changed by then.
    pub fn handover(mut self, handover: Duration) -> PoolBuilder {
        self.options.handover = handover;
        self
    }

    /// All `get` calls of the client may read copies of hot keys, which can be up to a second old; see `docs/pool.md`. Without
    /// this only those of [`Client::hot`](crate::Client::hot) do.
    pub fn hot_keys(mut self) -> PoolBuilder {
        self.options.hot = true;
        self
    }

    /// When a key is hot.
    pub fn hot_key_rules(mut self, rules: HotKeyRules) -> PoolBuilder {
        self.options.hot_rules = rules;
        self
    }

    /// A read of a copy of a hot key that takes longer than 19 of 20 others is sent to a second holder as well, for at most one
    /// in 20 such reads; the first answer counts. Off by default.
    pub fn hedge_reads(mut self) -> PoolBuilder {
        self.options.hedge = true;
        self
    }

    /// Takes the nodes from a file, and looks for changes of it that often. Each line is a node, `name address weight`
    /// (see [`PoolNode`]); empty lines and what follows a `#` do not count. A file that cannot be read or understood leaves
    /// the pool as it is, and is told as [`Event::MembershipRefused`](crate::Event::MembershipRefused). Write it beside, then
    /// rename it, so that no half of it is read.
    pub fn members_from_file(mut self, path: impl Into<PathBuf>, every: Duration) -> PoolBuilder {
        let path = path.into();
        self.options.source = Some(Source::File { path, every });
        self
    }

    /// Takes the nodes from the A and AAAA records of a DNS name, which is looked up that often. Nodes are named after their
    /// addresses, `10.0.0.1:6379`, and have weight 1. A look-up that fails or finds nothing leaves the pool as it is.
    pub fn members_from_dns(mut self, host: impl Into<String>, port: u16, every: Duration) -> PoolBuilder {
        let host = host.into();
        self.options.source = Some(Source::Dns { host, port, every });
        self
    }

    /// The client. Returns at once; the first calls wait for the connections.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if there is no node, two have the same name, a setting makes no sense, or the
    /// file or name that has the nodes cannot be read. That is waited for: a DNS name takes as long as its first look-up.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub fn build(mut self) -> Result<Client> {
        if let Some(source) = &self.options.source {
            self.nodes.extend(source.first()?);
        }
        Client::of_pool(self.nodes, self.options)
    }
}
