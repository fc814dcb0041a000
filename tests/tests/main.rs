//! The one integration binary.

mod clients;
mod conformance;
mod decoder;
mod hitratio;
mod expiry;
mod hostile;
mod style;
mod times_to_live;
