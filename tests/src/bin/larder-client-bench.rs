//! `larder-client-bench`: measures a client library on one connection and prints one line of JSON.

use clap::Parser;
use larder_tests::client_bench::{Options, run};

fn main() -> anyhow::Result<()> {
    run(&Options::parse(), None)
}
