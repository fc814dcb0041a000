//! The client: what an app holds, and the way of a command to its node.

use crate::command::Request;
use crate::config::{Config, Target};
use crate::connection::Endpoint;
use crate::dedicated::Dedicated;
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
    endpoint: Endpoint,
    dedicated: Arc<Dedicated>,
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
        let name: Arc<str> = target.address.to_string().into();
        let endpoint = Endpoint {
            name: Arc::clone(&name),
            target: target.clone(),
            config: Arc::clone(&config),
        };
        Ok(Client {
            timeout: config.response_timeout,
            core: Arc::new(Core {
                node: Node::spawn(name, &target, &config, &events),
                dedicated: Arc::new(Dedicated::new(endpoint.clone())),
                endpoint,
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

    /// How long calls wait.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Where the events of connections beside the shared ones are told.
    pub(crate) fn event_sink(&self) -> &Events {
        &self.core.events
    }

    /// A node, and how to connect to it.
    ///
    /// # Errors
    /// [`Error::NodeUnavailable`](crate::Error::NodeUnavailable) if it is gone.
    pub(crate) fn endpoint(&self, _place: usize) -> Result<Endpoint> {
        Ok(self.core.endpoint.clone())
    }

    /// The connections of a node that one caller at a time has.
    ///
    /// # Errors
    /// As [`endpoint`](Client::endpoint).
    pub(crate) fn dedicated(&self, _place: usize) -> Result<Arc<Dedicated>> {
        Ok(Arc::clone(&self.core.dedicated))
    }

    /// Sends a request to a node, whatever its keys.
    pub(crate) async fn run_at(&self, _place: usize, request: &impl Request) -> Result<Value> {
        self.run(request).await
    }
}
