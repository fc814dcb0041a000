//! The one integration binary.

mod conformance;
mod decoder;
mod hostile;
