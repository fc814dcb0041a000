//! MONITOR: a feed of all commands.

use crate::client::{Client, Peer, flag};
use crate::command::Command;
use crate::node::Node;
use crate::resp::decode::Args;
use std::sync::atomic::Ordering;

/// Sends a command to those who monitor.
pub(crate) fn feed(_node: &Node, _client: &Client, _command: &Command, _args: Args<'_>, _now_ms: u64) {}

/// Whether the arguments of a command hold a password.
pub(crate) fn has_secret(_args: Args<'_>) -> bool {
    false
}

/// The arguments of a command with all but its name hidden.
pub(crate) fn masked(args: Args<'_>) -> Vec<Vec<u8>> {
    args.iter().take(1).map(<[u8]>::to_vec).collect()
}

/// Ends a connection's feed, if it has one.
pub(crate) fn leave(node: &Node, peer: &Peer) {
    if peer.has(flag::MONITOR) {
        peer.set(flag::MONITOR, false);
        node.monitors.fetch_sub(1, Ordering::Relaxed);
    }
}
