//! A load generator cheap enough to share a two-core machine with the server it measures.
//!
//! One thread, one epoll loop, and requests that are written once: before each send only the digits
//! of the keys are replaced. So the generator costs less per operation than the servers do, and a
//! fast server is not limited by it. Latencies are those of the client: from the send (or, with
//! `--rate`, from the time the request was due, so that a stalled server cannot hide its stall) to
//! the reply.

mod cpu;
mod engine;
mod options;
mod replies;
mod report;
mod requests;
#[cfg(test)]
mod tests;

pub use engine::run;
pub use options::{Command, Options, Protocol};
pub use report::Report;
pub(crate) use requests::{Keys, Requests};
