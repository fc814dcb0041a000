//! What happens to a client's connections and nodes, for those who want to know.

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
