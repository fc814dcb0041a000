//! A Larder node: a cache server that speaks RESP.

pub mod config;
