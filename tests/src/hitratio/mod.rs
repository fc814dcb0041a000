//! Hit ratios of caches on request traces: each trace is replayed through the socket, as an app does that
//! looks a key up and stores it on a miss, against Larder's policies and every peer that is installed.
//!
//! All caches see the same requests in the same order; what a run did is a `replay::Tally`, what its server
//! was and held is added in `measure`, and `report` puts all of it side by side.

mod caches;
mod compare;
mod measure;
mod options;
mod protocol;
mod replay;
mod report;
mod running;
#[cfg(test)]
mod tests;
mod trace;
mod zstd;

pub use compare::run;
pub use options::Options;
