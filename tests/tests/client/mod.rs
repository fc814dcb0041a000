//! The client library against real servers.

mod pool;
