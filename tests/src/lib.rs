//! Helpers for tests that span crates.

pub mod load;
