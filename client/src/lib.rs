//! The client library of the Larder cache.
//!
//! ```no_run
//! # async fn example() -> larder_client::Result<()> {
//! let cache = larder_client::Client::connect("redis://127.0.0.1:6379")?;
//! cache.set("greeting", "hello").await?;
//! let greeting: Option<String> = cache.get("greeting").await?;
//! # Ok(())
//! # }
//! ```

mod client;
mod command;
mod commands;
mod config;
mod connection;
mod error;
mod events;
mod node;
mod pipeline;
mod pool;
mod query;
mod resp;
mod retry;

pub use client::Client;
pub use command::{Cmd, cmd};
pub use commands::{Expiry, KeyType, SetOptions, Ttl};
pub use config::{Address, Config, DEFAULT_PORT, Target};
pub use error::{DecodeError, Error, Result, ServerError};
pub use events::Event;
pub use pipeline::Pipeline;
pub use pool::{GutterConfig, HealthConfig, Placement, PoolBuilder, PoolNode, Reason};
pub use resp::{Encoder, FromValue, ToArgs, Value};
