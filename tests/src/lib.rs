//! Helpers for tests that span crates.
