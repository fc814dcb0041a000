//! The command handlers, by group.

pub mod bitmap;
pub mod client;
pub mod cluster;
pub mod command;
pub mod config;
pub mod connection;
pub mod debug;
pub mod expiry;
pub mod info;
pub mod key;
pub mod keyspace;
pub mod latency;
pub mod memory;
pub mod monitor;
pub mod server;
pub mod slowlog;
pub mod string;
pub mod transaction;

#[cfg(test)]
mod tests;
