//! The one integration binary.

mod client;
mod clients;
mod conformance;
mod decoder;
mod expiry;
mod hitratio;
mod hostile;
mod memory;
mod placement;
mod process;
mod style;
mod times_to_live;
