//! A pool in numbers.

use super::Pool;
use super::health::Reason;
use super::member::{Member, Mode};
use crate::stats::{HotKeyStats, NodeState, NodeStats, Stats};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Pool {
    /// Figures of the pool and its nodes.
    pub(crate) fn stats(&self) -> Stats {
        let view = self.view.load_full();
        let nodes = view.members.iter().zip(view.nodes.iter());
        let hot = self.hot.keys();
        Stats {
            version: view.version,
            nodes: nodes.map(|(member, node)| of_member(member, node.weight)).collect(),
            hot_keys: hot
                .iter()
                .map(|hot| HotKeyStats {
                    key: hot.key.clone(),
                    holders: hot.holders.iter().map(|member| Arc::clone(member.name())).collect(),
                })
                .collect(),
            copy_reads: self.hot.copy_reads.load(Ordering::Relaxed),
            hedged_reads: self.hot.hedges.load(Ordering::Relaxed),
        }
    }

    /// Tells the `metrics` facade.
    pub(crate) fn publish(&self) {
        let stats = self.stats();
        stats.nodes.iter().for_each(NodeStats::publish);
        metrics::gauge!("larder_client_hot_keys").set(stats.hot_keys.len() as f64);
        metrics::counter!("larder_client_copy_reads_total").absolute(stats.copy_reads);
        metrics::counter!("larder_client_hedged_reads_total").absolute(stats.hedged_reads);
    }
}

fn of_member(member: &Member, weight: u32) -> NodeStats {
    let (log_keys, log_bytes) = member.log_size();
    NodeStats {
        weight,
        state: match member.mode() {
            Mode::Plain => NodeState::Serving,
            Mode::Careful => NodeState::Suspected,
            Mode::Returning => NodeState::Returning,
            Mode::Out => NodeState::Out(member.out().unwrap_or(Reason::Failing)),
        },
        latency_p95: member.p95(),
        gutter_reads: member.gutter_reads.load(Ordering::Relaxed),
        gutter_writes: member.gutter_writes.load(Ordering::Relaxed),
        log_keys,
        log_bytes,
        ..NodeStats::of(&member.node)
    }
}
