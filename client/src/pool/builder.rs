//! How a pool is described.

use super::config::Options;
use super::{GutterConfig, HealthConfig, Placement, PoolNode};
use crate::client::Client;
use crate::config::Config;
use crate::error::Result;
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

    /// The client. Returns at once; the first calls wait for the connections.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if there is no node, two have the same name, or a setting makes no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub fn build(self) -> Result<Client> {
        Client::of_pool(self.nodes, self.options)
    }
}
