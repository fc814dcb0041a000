//! A Larder node: a cache server that speaks RESP.

pub mod bits;
pub mod call;
pub mod client;
pub mod command;
pub mod commands;
pub mod config;
mod connection;
mod dispatch;
pub mod housekeeping;
pub mod in_process;
pub mod info;
pub mod latency;
pub mod lcs;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod resp;
pub mod server;
pub mod slowlog;
pub mod stats;
pub mod store;
pub mod text;
mod transport;
pub mod ttl;
mod turn;
pub mod version;
mod worker;
