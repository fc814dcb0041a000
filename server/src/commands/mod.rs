//! The command handlers, by group.

pub mod bitmap;
pub mod client;
pub mod command;
pub mod connection;
pub mod expiry;
pub mod monitor;
pub mod string;
pub mod transaction;
