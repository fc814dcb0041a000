//! The client library of the Larder cache; it works with Redis and Valkey, too.
//!
//! ```no_run
//! # async fn example() -> larder_client::Result<()> {
//! use larder_client::Client;
//!
//! let cache = Client::connect("redis://127.0.0.1:6379")?;
//! cache.set("greeting", "hello").await?;
//! let greeting: Option<String> = cache.get("greeting").await?;
//! # assert_eq!(greeting.as_deref(), Some("hello"));
//! # Ok(())
//! # }
//! ```
//!
//! # The tour
//!
//! **One connection for all.** A [`Client`] is a handle: clone it, share it, call it from any number of tasks. What
//! they ask at the same time goes out together, and each gets its own reply, whatever becomes of the others. A call may
//! be dropped at any point. Without an async runtime, use [`blocking::Client`], which has the same methods.
//!
//! **Arguments and replies** are what Rust has: text, bytes, numbers, and lists, tuples and maps of them
//! ([`ToArgs`], [`FromValue`]). Where a reply may be of many types, the place that it goes to says of which:
//!
//! ```no_run
//! # async fn example(cache: larder_client::Client) -> larder_client::Result<()> {
//! cache.hset("user:7", [("name", "Ada"), ("age", "36")]).await?;
//! let (name, age): (String, u8) = cache.hmget("user:7", ("name", "age")).await?;
//! let all: std::collections::HashMap<String, String> = cache.hgetall("user:7").await?;
//! # Ok(())
//! # }
//! ```
//!
//! **Any command** that has no method is written by hand with [`cmd`] and sent with [`Client::query`].
//!
//! **Several commands** go out in one round trip with [`Client::pipeline`], in one piece with
//! [`Pipeline::atomic`], and on the condition that nobody changes what was read with [`Client::transaction`]:
//!
//! ```no_run
//! # async fn example(cache: larder_client::Client) -> larder_client::Result<()> {
//! let mut pipe = cache.pipeline();
//! pipe.incr("visits").get("name");
//! let (visits, name): (i64, Option<String>) = pipe.query().await?;
//! # Ok(())
//! # }
//! ```
//!
//! **Several nodes** that know nothing of each other are one cache for the clients that place keys on them alike:
//! [`Client::pool`] and, with settings, [`PoolBuilder`]. Commands on many keys and pipelines are split and their replies
//! merged; keys that must be on one node get the same hash tag, as in `{user:7}:name` and `{user:7}:mail`.
//!
//! **Waiting.** Commands that block, such as [`Client::blpop`], and [subscriptions](Client::subscribe) have connections
//! of their own.
//!
//! **Walking** through all keys or a large collection is a stream: [`Client::scan`], [`Client::hscan`].
//!
//! **When things go wrong**, [`Error`] says what the caller can do about it: [`Error::is_node_failure`] is the moment to
//! go on without the cache, [`Error::may_have_run`] tells whether a write is in doubt. Every wait and every buffer has a
//! bound, which [`Config`] names with its default. A command is sent again only if that can do no harm, and no more than
//! one for ten that succeed.
//!
//! **Many nodes** that know nothing of each other are one cache with [`Client::pool`]; what that promises, and what not, is in
//! `docs/pool.md`.
//!
//! # Features
//!
//! - `tls`: `rediss://` URLs, by rustls; see the `tls_...` fields of [`Config`].

pub mod blocking;
mod client;
mod command;
mod commands;
mod config;
mod connection;
mod dedicated;
mod error;
mod events;
mod node;
mod pipeline;
mod pool;
mod pubsub;
mod query;
mod resp;
mod retry;
mod scan;
mod stats;
mod transaction;

pub use client::Client;
pub use command::{Cmd, cmd};
pub use commands::{Expiry, KeyType, SetOptions, Ttl};
pub use config::{Address, Config, DEFAULT_PORT, Target};
pub use error::{DecodeError, Error, Result, ServerError};
pub use events::Event;
pub use pipeline::Pipeline;
pub use pool::{GutterConfig, HealthConfig, HotKeyRules, KeyHash, Placement, PoolBuilder, PoolNode, Reason};
pub use pubsub::{Delivery, Message, Subscription};
pub use resp::{Encoder, FromValue, ToArgs, Value};
pub use scan::{Scan, ScanOptions};
pub use stats::{HotKeyStats, NodeState, NodeStats, Stats};
pub use transaction::Transaction;
