//! The same client for threads that wait: no async runtime is needed, one thread behind it moves the bytes.

mod runtime;

use crate::client;
use crate::command::{Cmd, cmd};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, read_all};
use crate::pubsub;
use crate::resp::{FromValue, ToArgs};
use crate::scan::{self, ScanOptions};
use crate::transaction::{self, MAX_ATTEMPTS, wait_before};
use runtime::Runtime;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// A client whose calls wait. Cheap to clone; clones share connections and the thread behind them.
///
/// ```no_run
/// let cache = larder_client::blocking::Client::connect("127.0.0.1:6379")?;
/// cache.set("greeting", "hello")?;
/// let greeting: Option<String> = cache.get("greeting")?;
/// # larder_client::Result::Ok(())
/// ```
///
/// It may be used from any thread that may wait, and dropped anywhere. Inside of an async runtime its calls panic, as
/// they would keep other tasks from running: use [`Client`](crate::Client) there, or `spawn_blocking`.
#[derive(Clone, Debug)]
pub struct Client {
    client: client::Client,
    runtime: Arc<Runtime>,
}

impl Client {
    /// A client of one node; see [`Client::connect`](crate::Client::connect).
    ///
    /// # Errors
    /// [`Error::Usage`] if the URL makes no sense, or the system gives no thread.
    pub fn connect(url: &str) -> Result<Client> {
        Client::connect_with(url, Config::default())
    }

    /// The same with settings.
    ///
    /// # Errors
    /// [`Error::Usage`] if the URL or a setting makes no sense, or the system gives no thread.
    pub fn connect_with(url: &str, config: Config) -> Result<Client> {
        Client::start(|| client::Client::connect_with(url, config))
    }

    /// A client of a pool; see [`Client::pool`](crate::Client::pool).
    ///
    /// # Errors
    /// As there, or [`Error::Usage`] if the system gives no thread.
    pub fn pool(nodes: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Client> {
        Client::start(|| client::Client::pool(nodes))
    }

    /// Any client that `make` makes, such as that of a [`PoolBuilder`](crate::PoolBuilder).
    ///
    /// # Errors
    /// What `make` returns, or [`Error::Usage`] if the system gives no thread.
    pub fn start(make: impl FnOnce() -> Result<client::Client>) -> Result<Client> {
        let runtime = Runtime::start().map_err(|error| Error::Usage(format!("no thread for the client: {error}")))?;
        let client = {
            // Its tasks belong to the thread behind it.
            let _entered = runtime.handle().enter();
            make()?
        };
        Ok(Client {
            client,
            runtime: Arc::new(runtime),
        })
    }

    /// A client that shares all with this one, but whose calls wait this long.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Client {
        Client {
            client: self.client.with_timeout(timeout),
            runtime: Arc::clone(&self.runtime),
        }
    }

    /// What is behind it, for what waits for nothing: events, statistics, the members of a pool.
    #[must_use]
    pub fn client(&self) -> &client::Client {
        &self.client
    }

    /// Waits for a call.
    pub(crate) fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.handle().block_on(call)
    }

    /// Sends a command that was written by hand; see [`Client::query`](crate::Client::query).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Inside of an async runtime.
    pub fn query<T: FromValue>(&self, cmd: &Cmd) -> Result<T> {
        self.wait(self.client.query(cmd))
    }

    /// Collects commands to send them in one round trip with [`send`](Client::send).
    #[must_use]
    pub fn pipeline(&self) -> Pipeline {
        self.client.pipeline()
    }

    /// Sends a pipeline; see [`Pipeline::query`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Inside of an async runtime.
    pub fn send<T: FromValue>(&self, pipeline: &Pipeline) -> Result<T> {
        self.wait(pipeline.query())
    }

    /// Reads, decides and writes, as if nobody else were there; see
    /// [`Client::transaction`](crate::Client::transaction).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Inside of an async runtime.
    pub fn transaction<T: FromValue>(
        &self,
        keys: impl ToArgs,
        mut body: impl FnMut(&mut Transaction<'_>) -> Result<Pipeline>,
    ) -> Result<T> {
        let watch = cmd("WATCH").key(&keys);
        let handle = self.runtime.handle();
        for attempt in 0..MAX_ATTEMPTS {
            handle.block_on(wait_before(attempt));
            let inner = handle.block_on(transaction::Transaction::begin(&self.client, &watch))?;
            let mut under_way = Transaction { inner, handle };
            let commands = body(&mut under_way)?;
            if let Some(replies) = handle.block_on(under_way.inner.commit(&commands))? {
                return read_all(replies);
            }
        }
        Err(Error::Conflict { attempts: MAX_ATTEMPTS })
    }

    /// What is published to channels; see [`Client::subscribe`](crate::Client::subscribe).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Inside of an async runtime.
    pub fn subscribe(&self, channels: impl ToArgs) -> Result<Subscription> {
        let inner = self.wait(self.client.subscribe(channels))?;
        let client = self.clone();
        Ok(Subscription { inner, client })
    }

    /// What is published to channels whose names match patterns; see
    /// [`Client::psubscribe`](crate::Client::psubscribe).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Inside of an async runtime.
    pub fn psubscribe(&self, patterns: impl ToArgs) -> Result<Subscription> {
        let inner = self.wait(self.client.psubscribe(patterns))?;
        let client = self.clone();
        Ok(Subscription { inner, client })
    }

    fn iterate<T>(&self, inner: scan::Scan<T>) -> Scan<T> {
        let client = self.clone();
        Scan { inner, client }
    }

    /// All keys, page by page; see [`Client::scan`](crate::Client::scan).
    pub fn scan<T: FromValue>(&self, options: ScanOptions) -> Scan<T> {
        self.iterate(self.client.scan(options))
    }

    /// All fields of a hash, page by page; see [`Client::hscan`](crate::Client::hscan).
    pub fn hscan<T: FromValue>(&self, key: impl AsRef<[u8]>, options: ScanOptions) -> Scan<T> {
        self.iterate(self.client.hscan(key, options))
    }

    /// All members of a set, page by page; see [`Client::sscan`](crate::Client::sscan).
    pub fn sscan<T: FromValue>(&self, key: impl AsRef<[u8]>, options: ScanOptions) -> Scan<T> {
        self.iterate(self.client.sscan(key, options))
    }

    /// All members of a sorted set, page by page; see [`Client::zscan`](crate::Client::zscan).
    pub fn zscan<T: FromValue>(&self, key: impl AsRef<[u8]>, options: ScanOptions) -> Scan<T> {
        self.iterate(self.client.zscan(key, options))
    }
}

/// A transaction under way: it has the methods of a [`Client`], which read on the connection that watches the keys;
/// see [`Client::transaction`].
#[derive(Debug)]
pub struct Transaction<'a> {
    pub(crate) inner: transaction::Transaction,
    pub(crate) handle: &'a Handle,
}

impl Transaction<'_> {
    /// Sends a command that was written by hand; see [`Client::query`]. It must not block.
    ///
    /// # Errors
    /// As there.
    pub fn query<T: FromValue>(&mut self, cmd: &Cmd) -> Result<T> {
        self.handle.block_on(self.inner.query(cmd))
    }

    /// An empty pipeline, for the commands that are to be run in one piece.
    #[must_use]
    pub fn pipeline(&self) -> Pipeline {
        self.inner.pipeline()
    }
}

/// Messages of channels; as an iterator it waits for each, and has no end.
#[derive(Debug)]
pub struct Subscription {
    inner: pubsub::Subscription,
    client: Client,
}

impl Subscription {
    /// What comes next, if it comes within that time.
    ///
    /// # Panics
    /// Inside of an async runtime.
    pub fn next_within(&mut self, wait: Duration) -> Option<pubsub::Delivery> {
        let next = self.inner.next();
        let next = async { tokio::time::timeout(wait, next).await.ok() };
        self.client.wait(next)
    }
}

impl Iterator for Subscription {
    type Item = pubsub::Delivery;

    fn next(&mut self) -> Option<pubsub::Delivery> {
        Some(self.client.wait(self.inner.next()))
    }
}

/// What a scan finds, one by one; ends after an error.
#[derive(Debug)]
pub struct Scan<T> {
    inner: scan::Scan<T>,
    client: Client,
}

impl<T: FromValue> Iterator for Scan<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.client.wait(self.inner.next())
    }
}
