//! What a client knows of its nodes, in numbers.

use crate::client::{Backend, Client, Core};
use crate::node::Node;
use crate::pool::Reason;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often figures are told to the `metrics` facade.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// Figures of a client at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// The number of a pool's membership; 1 for a client of one node.
    pub version: u64,
    /// The nodes, in the order in which they were named.
    pub nodes: Vec<NodeStats>,
    /// The keys that have copies now.
    pub hot_keys: Vec<HotKeyStats>,
    /// Reads that went to copies of hot keys.
    pub copy_reads: u64,
    /// Reads that were sent to a second holder because the first took too long.
    pub hedged_reads: u64,
}

/// Whether a node is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeState {
    /// It serves.
    Serving,
    /// It serves, but some of its values may be old: those are deleted when they are first asked for.
    Suspected,
    /// It is being told what it missed.
    Returning,
    /// It is out of use.
    Out(Reason),
}

/// Figures of a node. Counters start with the client.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodeStats {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is.
    pub address: String,
    /// Its weight; 1 for a client of one node.
    pub weight: u32,
    /// Whether it is in use.
    pub state: NodeState,
    /// Whether any connection to it could be made last.
    pub connected: bool,
    /// Requests that were handed to its connections.
    pub calls: u64,
    /// Requests that failed there, server's errors aside.
    pub errors: u64,
    /// Of these, those whose time was up.
    pub timeouts: u64,
    /// Requests that were made again.
    pub retries: u64,
    /// Connections that were lost.
    pub losses: u64,
    /// Bytes of requests.
    pub bytes_out: u64,
    /// Bytes of replies.
    pub bytes_in: u64,
    /// Requests that wait for a reply.
    pub pending: usize,
    /// The running mean of what a reply takes; zero before the first.
    pub latency: Duration,
    /// About the 95th percentile of that, in a pool; zero before the first.
    pub latency_p95: Duration,
    /// Reads that other nodes answered while it was out.
    pub gutter_reads: u64,
    /// Writes and deletes that other nodes took while it was out.
    pub gutter_writes: u64,
    /// Keys that it missed, and that are to be deleted there.
    pub log_keys: usize,
    /// Bytes of these keys.
    pub log_bytes: usize,
}

/// A key that has copies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HotKeyStats {
    /// The key.
    pub key: Box<[u8]>,
    /// The names of the nodes that have it, the owner first.
    pub holders: Vec<Arc<str>>,
}

impl NodeStats {
    /// What is known of any node.
    pub(crate) fn of(node: &Node) -> NodeStats {
        let counts = node.counts();
        NodeStats {
            name: Arc::clone(node.name()),
            address: node.target().address.to_string(),
            weight: 1,
            state: NodeState::Serving,
            connected: !node.connections().iter().all(|connection| connection.is_down()),
            calls: counts.calls,
            errors: node.errors(),
            timeouts: counts.timeouts,
            retries: node.retries(),
            losses: counts.losses,
            bytes_out: counts.bytes_out,
            bytes_in: counts.bytes_in,
            pending: node.pending(),
            latency: Duration::from_micros(node.latency_us()),
            latency_p95: Duration::ZERO,
            gutter_reads: 0,
            gutter_writes: 0,
            log_keys: 0,
            log_bytes: 0,
        }
    }

    /// Tells the `metrics` facade, whose recorder may be none.
    pub(crate) fn publish(&self) {
        let node = || [metrics::Label::new("node", self.name.to_string())].into_iter();
        let labels = || node().collect::<Vec<_>>();
        let counters = [
            ("larder_client_calls_total", self.calls),
            ("larder_client_errors_total", self.errors),
            ("larder_client_timeouts_total", self.timeouts),
            ("larder_client_retries_total", self.retries),
            ("larder_client_connections_lost_total", self.losses),
            ("larder_client_sent_bytes_total", self.bytes_out),
            ("larder_client_received_bytes_total", self.bytes_in),
            ("larder_client_gutter_reads_total", self.gutter_reads),
            ("larder_client_gutter_writes_total", self.gutter_writes),
        ];
        for (name, value) in counters {
            metrics::counter!(name, labels()).absolute(value);
        }
        let serves = matches!(self.state, NodeState::Serving | NodeState::Suspected);
        let gauges = [
            ("larder_client_pending", self.pending as f64),
            ("larder_client_latency_seconds", self.latency.as_secs_f64()),
            ("larder_client_missed_keys", self.log_keys as f64),
            ("larder_client_node_up", f64::from(u8::from(serves && self.connected))),
        ];
        for (name, value) in gauges {
            metrics::gauge!(name, labels()).set(value);
        }
    }
}

/// Tells the `metrics` facade once a second, until the client is gone. So the way of a call has nothing to tell.
pub(crate) async fn publish(core: Weak<Core>) {
    loop {
        tokio::time::sleep(PUBLISH_EVERY).await;
        let Some(core) = core.upgrade() else { return };
        match &core.backend {
            Backend::Pool(pool) => pool.publish(),
            Backend::One(node) => NodeStats::of(node).publish(),
        }
    }
}

impl Client {
    /// Figures of the client and its nodes.
    #[must_use]
    pub fn stats(&self) -> Stats {
        match &self.core.backend {
            Backend::Pool(pool) => pool.stats(),
            Backend::One(node) => Stats {
                version: 1,
                nodes: vec![NodeStats::of(node)],
                hot_keys: Vec::new(),
                copy_reads: 0,
                hedged_reads: 0,
            },
        }
    }
}
