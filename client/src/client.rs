//! The client: what an app holds, and the way of a command to its node.

use crate::command::Request;
use crate::config::{Config, Target};
use crate::error::Result;
use crate::events::{Event, Events};
use crate::node::Node;
use crate::resp::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// What all clones of a client share.
#[derive(Debug)]
struct Core {
    node: Node,
    events: Events,
}

/// A client of one node or of a pool of nodes. Cheap to clone; clones share connections.
///
/// Calls that are made at the same time share a connection and go out together. A call that is dropped, by a
/// timeout around it or `select!`, disturbs no other.
#[derive(Clone, Debug)]
pub struct Client {
    core: Arc<Core>,
    timeout: Duration,
}

impl Client {
    /// A client of one node: `redis://host:port`, `host:port`, `unix:///path`; see [`Target`]. Returns at once; the
    /// first calls wait for the connection.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if the URL or a setting makes no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub fn connect(url: &str) -> Result<Client> {
        Client::connect_with(url, Config::default())
    }

    /// The same with settings.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if the URL or a setting makes no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub fn connect_with(url: &str, config: Config) -> Result<Client> {
        let target: Target = url.parse()?;
        config.check()?;
        let config = Arc::new(config);
        let events = Events::new();
        let name = target.address.to_string().into();
        Ok(Client {
            timeout: config.response_timeout,
            core: Arc::new(Core {
                node: Node::spawn(name, &target, &config, &events),
                events,
            }),
        })
    }

    /// A client that shares all with this one, but whose calls wait this long.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Client {
        Client {
            timeout,
            ..self.clone()
        }
    }

    /// What happens to the connections from now on. A listener that is over 256 events behind misses some.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.core.events.subscribe()
    }

    /// Sends a request where it belongs and waits for the reply; a server's error is an error.
    #[inline]
    pub(crate) async fn run(&self, request: &impl Request) -> Result<Value> {
        Ok(self.core.node.call(request, self.timeout).await?.into_result()?)
    }

    /// Which node a key belongs to, by its place in the list of nodes.
    pub(crate) fn place(&self, _key: &[u8]) -> usize {
        0
    }

    /// How many nodes there are.
    pub(crate) fn places(&self) -> usize {
        1
    }
}
