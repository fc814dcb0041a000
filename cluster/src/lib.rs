//! What Larder servers and clients must agree on, as pure functions and state machines: no sockets, no clock, no randomness.
//!
//! | module | what it decides |
//! |---|---|
//! | [`slot`] | which of the 16,384 slots a key is in |
//! | [`placement`] | which node of a pool owns a slot, and who comes next |
//! | [`ketama`] | the same for pools that memcached clients and twemproxy share |
//! | [`hotkeys`] | which keys are hot, and how many nodes should hold them |

pub mod hotkeys;
pub mod ketama;
pub mod placement;
pub mod slot;
