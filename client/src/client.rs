//! The client: what an app holds, and the way of a command to its node.

use crate::command::{Request, Scope};
use crate::config::{Config, Target};
use crate::connection::Endpoint;
use crate::dedicated::Dedicated;
use crate::error::{Error, Result};
use crate::events::{Event, Events};
use crate::node::Node;
use crate::pipeline::join_all;
use crate::pool::{Options, Pool, PoolNode};
use crate::resp::Value;
use crate::stats;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tracing::Instrument;

/// Where commands go.
#[derive(Debug)]
pub(crate) enum Backend {
    One(Node),
    Pool(Arc<Pool>),
}

/// What all clones of a client share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) backend: Backend,
    events: Events,
}

impl Core {
    fn start(backend: Backend, events: Events) -> Arc<Core> {
        let core = Arc::new(Core { backend, events });
        tokio::spawn(stats::publish(Arc::downgrade(&core)));
        core
    }
}

/// A client of one node or of a pool of nodes. Cheap to clone; clones share connections.
///
/// Calls that are made at the same time share a connection and go out together. A call that is dropped, by a
/// timeout around it or `select!`, disturbs no other.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) core: Arc<Core>,
    pub(crate) timeout: Duration,
    /// Reads of hot keys may go to copies.
    hot: bool,
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
        let node = Node::spawn(&name, &target, &config, &events);
        Ok(Client {
            timeout: config.response_timeout,
            hot: false,
            core: Core::start(Backend::One(node), events),
        })
    }

    /// A client of a pool: nodes that know nothing of each other, among which this client places the keys. Each is
    /// written as `name address weight`, see [`PoolNode`]; with settings, use a [`PoolBuilder`](crate::PoolBuilder).
    /// Returns at once; the first calls wait for the connections.
    ///
    /// ```no_run
    /// # async fn example() -> larder_client::Result<()> {
    /// let cache = larder_client::Client::pool(["cache-1 10.0.0.1:6379", "cache-2 10.0.0.2:6379"])?;
    /// cache.set("greeting", "hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no node, two have the same name, or one makes no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub fn pool(nodes: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Client> {
        let nodes: Result<_> = nodes.into_iter().map(|node| node.as_ref().parse()).collect();
        Client::of_pool(nodes?, Options::default())
    }

    pub(crate) fn of_pool(nodes: Vec<PoolNode>, options: Options) -> Result<Client> {
        let events = Events::new();
        let (timeout, hot) = (options.config.response_timeout, options.hot);
        let pool = Pool::spawn(nodes, options, &events)?;
        Ok(Client {
            timeout,
            hot,
            core: Core::start(Backend::Pool(pool), events),
        })
    }

    fn backend_pool(&self) -> Result<&Arc<Pool>> {
        match &self.core.backend {
            Backend::Pool(pool) => Ok(pool),
            Backend::One(_) => Err(Error::Usage("this is a client of one node, not of a pool".to_string())),
        }
    }

    /// Changes the nodes of the pool to these; the number of the membership, which grows by one with every change. Nodes are
    /// told apart by their names; those that stay keep their connections.
    ///
    /// # Errors
    /// [`Error::Usage`] if this is no client of a pool, there is no node, or a name or weight makes no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub fn update_members(&self, nodes: impl IntoIterator<Item = PoolNode>) -> Result<u64> {
        self.backend_pool()?.update(nodes.into_iter().collect())
    }

    /// Adds a node to the pool, or changes the address and weight of the one with its name; the number of the membership.
    ///
    /// # Errors
    /// [`Error::Usage`] if this is no client of a pool, or the node makes no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub fn add_member(&self, node: PoolNode) -> Result<u64> {
        self.backend_pool()?.add(node)
    }

    /// Removes a node from the pool by its name; the number of the membership.
    ///
    /// # Errors
    /// [`Error::Usage`] if this is no client of a pool, there is no such node, or it is the last.
    pub fn remove_member(&self, name: &str) -> Result<u64> {
        self.backend_pool()?.remove(name)
    }

    /// Changes the weight of a node of the pool by its name; the number of the membership.
    ///
    /// # Errors
    /// [`Error::Usage`] if this is no client of a pool, there is no such node, or the weight is not 1 to 1,000,000.
    pub fn reweigh_member(&self, name: &str, weight: u32) -> Result<u64> {
        self.backend_pool()?.reweigh(name, weight)
    }

    /// Which node owns a key, as a number below [`places`](Client::places).
    #[inline]
    pub(crate) fn place(&self, key: &[u8]) -> usize {
        match &self.core.backend {
            Backend::One(_) => 0,
            Backend::Pool(pool) => pool.place(key),
        }
    }

    /// How many nodes there are.
    pub(crate) fn places(&self) -> usize {
        match &self.core.backend {
            Backend::One(_) => 1,
            Backend::Pool(pool) => pool.places(),
        }
    }

    /// Sends a request to a node by its number, whatever its keys; a server's error is an error.
    pub(crate) async fn run_at(&self, place: usize, request: &impl Request) -> Result<Value> {
        let value = match &self.core.backend {
            Backend::One(node) => node.call(request, self.timeout).await?,
            Backend::Pool(pool) => pool.run_at(place, request, self.timeout).await?,
        };
        Ok(value.into_result()?)
    }

    /// A client that shares all with this one, but whose calls wait this long.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Client {
        Client {
            timeout,
            ..self.clone()
        }
    }

    /// A client that shares all with this one, but whose [`get`](Client::get) of a hot key may read a copy of it on another node
    /// than its own. So a key that is read too often for one node is spread over several; what is read may be up to a second
    /// old, except that this client sees its own writes. Not for locks and sessions. See `docs/pool.md`.
    ///
    /// With a client of one node this changes nothing.
    #[must_use]
    pub fn hot(&self) -> Client {
        if let Backend::Pool(pool) = &self.core.backend {
            pool.use_hot_keys();
        }
        Client {
            hot: true,
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
        // With nobody listening this is one load.
        if tracing::enabled!(tracing::Level::TRACE) {
            let span = tracing::trace_span!("larder call", command = %request.name(), error = tracing::field::Empty);
            let result = Box::pin(self.send(request)).instrument(span.clone()).await;
            if let Err(error) = &result {
                span.record("error", tracing::field::display(error));
            }
            return result;
        }
        self.send(request).await
    }

    #[inline]
    async fn send(&self, request: &impl Request) -> Result<Value> {
        let value = match &self.core.backend {
            Backend::One(node) => node.call(request, self.timeout).await?,
            Backend::Pool(_) if request.key().is_none() => return Box::pin(self.send_keyless(request)).await,
            Backend::Pool(pool) => pool.run(request, self.timeout, self.hot).await?,
        };
        Ok(value.into_result()?)
    }

    /// Sends a request that names no key to those nodes of a pool that it concerns.
    async fn send_keyless(&self, request: &impl Request) -> Result<Value> {
        let wrong = |why: &str| Err(Error::Usage(format!("{}: {why}", request.name())));
        match request.scope() {
            Scope::Any => Ok(self
                .backend_pool()?
                .run(request, self.timeout, false)
                .await?
                .into_result()?),
            Scope::Every => {
                let replies = join_all((0..self.places()).map(|place| self.run_at(place, request))).await;
                Ok(merged(replies.into_iter().collect::<Result<_>>()?))
            }
            Scope::One => wrong("is about one node, and this is a pool; use a client of that node alone"),
            Scope::Unknown => wrong("nobody here knows where its keys are; say so with Cmd::key"),
        }
    }

    /// How long calls wait.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Where the events of connections beside the shared ones are told.
    pub(crate) fn event_sink(&self) -> &Events {
        &self.core.events
    }

    /// A node by its number.
    ///
    /// # Errors
    /// [`Error::NodeUnavailable`] if it is out of use, [`Error::Usage`] if it is gone.
    fn at<T>(&self, place: usize, get: impl FnOnce(&Node) -> T) -> Result<T> {
        match &self.core.backend {
            Backend::One(node) => Ok(get(node)),
            Backend::Pool(pool) => pool.at(place, get),
        }
    }

    /// A node, and how to connect to it.
    ///
    /// # Errors
    /// [`Error::NodeUnavailable`] if it is out of use, [`Error::Usage`] if it is gone.
    pub(crate) fn endpoint(&self, place: usize) -> Result<Endpoint> {
        self.at(place, |node| node.endpoint().clone())
    }

    /// Before a request goes out on a connection that one caller has: minds what its node may have missed.
    ///
    /// # Errors
    /// If old values of its keys could not be deleted there.
    pub(crate) async fn mind(&self, request: &impl Request) -> Result<()> {
        match &self.core.backend {
            Backend::One(_) => Ok(()),
            Backend::Pool(pool) => Box::pin(pool.mind(request, self.timeout)).await,
        }
    }

    /// After it failed there.
    pub(crate) fn mind_failure(&self, request: &impl Request, error: &Error) {
        match &self.core.backend {
            Backend::One(_) => {}
            Backend::Pool(pool) => pool.mind_failure(request, error),
        }
    }

    /// The connections of a node that one caller at a time has.
    ///
    /// # Errors
    /// As [`endpoint`](Client::endpoint).
    pub(crate) fn dedicated(&self, place: usize) -> Result<Arc<Dedicated>> {
        self.at(place, |node| Arc::clone(node.dedicated()))
    }
}

/// One reply of those of all nodes: the sum of numbers, one list of lists, else the first.
fn merged(replies: Vec<Value>) -> Value {
    let mut replies = replies.into_iter();
    let first = replies.next().unwrap_or(Value::Nil);
    replies.fold(first, |all, reply| match (all, reply) {
        (Value::Int(sum), Value::Int(more)) => Value::Int(sum.saturating_add(more)),
        (Value::Array(mut all), Value::Array(more)) => {
            all.extend(more);
            Value::Array(all)
        }
        (first, _) => first,
    })
}
