//! Helpers for tests that span crates: servers as processes, a client that keeps every reply byte,
//! a load generator, and the small tools (randomness with a seed, waiting with a deadline) they share.

pub mod avalanche;
pub mod hitratio;
pub mod hotkey;
pub mod in_process;
pub mod load;
pub mod placement;
pub mod plot;
pub mod reply;
pub mod rng;
pub mod server;
pub mod wait;
pub mod wire;
