//! `larder-inprocess`: measures a node's work inside its process, where no load generator takes part.

use std::fs;

use anyhow::Context;
use clap::Parser;
use larder_tests::in_process::{Options, run};

/// The server's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let report = run(&options)?;
    print!("{report}");
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", report.to_json());
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
