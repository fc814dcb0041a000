//! What happens to a client's connections and nodes, for those who want to know.

use crate::pool::Reason;
use std::sync::Arc;
use tokio::sync::broadcast;

/// How many events a slow listener may be behind before it misses some.
const CAPACITY: usize = 256;

/// Something that happened to a node, as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection is up.
    Connected {
        /// The node's name.
        node: Arc<str>,
    },
    /// A connection broke; the next is being made.
    Lost {
        /// The node's name.
        node: Arc<str>,
        /// What was said.
        why: Arc<str>,
    },
    /// No connection can be made; attempts go on.
    Down {
        /// The node's name.
        node: Arc<str>,
        /// What was said.
        why: Arc<str>,
    },
    /// A node of a pool was taken out of use; what may go elsewhere does.
    BreakerOpened {
        /// The node's name.
        node: Arc<str>,
        /// Why.
        reason: Reason,
    },
    /// A node of a pool is in use again, after it was told what it had missed.
    BreakerClosed {
        /// The node's name.
        node: Arc<str>,
        /// Keys that were deleted there because they had changed elsewhere.
        replayed: usize,
    },
    /// The log of what a node misses is full; from now on it is suspected of old values instead, key by key.
    LogOverflowed {
        /// The node's name.
        node: Arc<str>,
    },
    /// Calls for a node that is out went to others; told at most four times a second and node.
    Redirected {
        /// The name of the node that is out.
        node: Arc<str>,
        /// How many, since this was last told.
        calls: u64,
    },
    /// A pool has other nodes, weights or addresses than before.
    MembershipChanged {
        /// The number of the membership, which grows by one with every change.
        version: u64,
        /// How many nodes there are.
        nodes: usize,
        /// How many of the 16,384 slots have another owner than before.
        moved: usize,
    },
    /// A list of nodes from a file or from DNS could not be had or understood; the pool stays as it is. Told once until
    /// that changes.
    MembershipRefused {
        /// What was wrong.
        why: Arc<str>,
    },
    /// A key is read so often that it has copies from now on.
    HotKey {
        /// How many nodes have it, the owner included.
        holders: usize,
    },
}

/// Where events are told; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Events(broadcast::Sender<Event>);

impl Events {
    pub(crate) fn new() -> Events {
        Events(broadcast::channel(CAPACITY).0)
    }

    pub(crate) fn send(&self, event: Event) {
        tracing::debug!(?event);
        // Nobody listens most of the time.
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
