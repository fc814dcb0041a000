//! Which version of Redis a node speaks as, and which version of Larder it is.

/// The version of Redis whose commands and replies these are; clients choose features by it.
pub const REDIS_VERSION: &str = "7.2.4";

/// The version of Larder.
pub const LARDER_VERSION: &str = env!("CARGO_PKG_VERSION");
