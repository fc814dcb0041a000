//! Helpers for tests that span crates: servers as processes, a client that keeps every reply byte,
//! a load generator, a proxy and a server that do harm, and the small tools (randomness with a seed, waiting with a deadline) they share.

pub mod avalanche;
#[cfg(feature = "client-bench")]
pub mod client_bench;
pub mod hitratio;
pub mod hostile_server;
pub mod hotkey;
pub mod in_process;
pub mod load;
pub mod placement;
pub mod plot;
pub mod proxy;
pub mod reply;
pub mod rng;
pub mod server;
pub mod soak;
pub mod wait;
pub mod wire;
