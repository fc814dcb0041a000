//! `larder-client-allocations`: the same as `larder-client-bench`, with an allocator that counts. Its times do not
//! count, because counting costs most where allocations are many.

use clap::Parser;
use larder_tests::client_bench::{Options, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> anyhow::Result<()> {
    run(
        &Options::parse(),
        Some(|| {
            let stats = INSTRUMENTED_SYSTEM.stats();
            (stats.allocations + stats.reallocations) as u64
        }),
    )
}
