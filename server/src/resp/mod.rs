//! The Redis serialization protocol: requests in place, replies into one buffer. No I/O here.

pub mod decode;
pub mod encode;
pub mod request;

pub use encode::{Output, Reply, Version};
pub use request::Args;
