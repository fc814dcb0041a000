//! What a node tells its operators over HTTP: metrics for Prometheus, whether it is alive, whether it takes connections.
//!
//! The counters are those that `INFO` shows: workers keep them anyway, so a scrape adds them up and costs the request
//! path nothing. The page is written here and not by a metrics library, because such libraries record each value as it
//! happens, at a price per command, and cannot take over a histogram that exists.

mod families;
pub(crate) mod http;
mod prefixes;
mod snapshot;
#[cfg(test)]
mod tests;
mod text;

use crate::node::Node;
use snapshot::Snapshot;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// After how long without a sign of life a worker counts as stuck. A slow command must not have the node restarted.
const STUCK: Duration = Duration::from_secs(10);

/// The page for Prometheus, in its text format, version 0.0.4.
pub fn page(node: &Node) -> String {
    let snapshot = Snapshot::take(node);
    let mut page = String::with_capacity(32 * 1024);
    for family in families::ALL.iter().copied().flatten() {
        family.append(&snapshot, &mut page);
    }
    page
}

/// Whether the loops of all workers turn.
///
/// # Errors
/// A line that says which worker does not.
pub fn alive(node: &Node) -> Result<(), String> {
    let now = node.started.elapsed();
    for (index, worker) in node.workers.iter().enumerate() {
        let last = Duration::from_millis(worker.probed_ms.load(Ordering::Relaxed));
        let silent = now.saturating_sub(last);
        if silent > STUCK {
            return Err(format!("worker {index} has been stuck for {} s", silent.as_secs()));
        }
    }
    Ok(())
}

/// Whether a new connection would be served.
///
/// # Errors
/// A line that says why not.
pub fn ready(node: &Node) -> Result<(), String> {
    let (clients, most) = (node.clients.len(), node.config.settings().maxclients as usize);
    if node.is_stopping() {
        return Err("shutting down".to_owned());
    }
    if clients >= most {
        return Err(format!("{clients} connections are open, and maxclients is {most}"));
    }
    alive(node)
}
