//! What can only be measured inside a node's process, where no load generator and no kernel takes part.
//!
//! Three questions: does any single operation stall while the keyspace grows to many keys and shrinks again
//! (`stalls`), what do workers cost one another (`workers`), and what does it cost to evict (`eviction`)? All count the CPU time of the thread
//! that does the work, which does not run while another program has the core.

mod eviction;
mod options;
mod report;
mod stalls;
mod thread;
mod workers;

pub use options::{Options, Part};
pub use report::Report;

use anyhow::{Context, ensure};
use larder_server::config::{Config, Settings};
use larder_server::node::Node;

/// Measures what the options ask for.
///
/// # Errors
/// A core that cannot be used, a wrong reply, or a count that does not add up.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    ensure!(!options.cores.is_empty(), "--cores: name at least one core");
    let mut report = Report::new();
    if options.measures(Part::Stalls) {
        // As a node starts on this machine with no flags at all.
        let node = Node::new(Config::new(Settings::default()));
        let core = options.cores[options.cores.len() - 1];
        report.stalls = Some(thread::on_core(core, || stalls::measure(&node, options)).context("stalls")??);
    }
    if options.measures(Part::Workers) {
        report.workers = Some(workers::measure(options).context("workers")?);
    }
    if options.measures(Part::Eviction) {
        report.eviction = Some(eviction::measure(options).context("eviction")?);
    }
    Ok(report)
}
