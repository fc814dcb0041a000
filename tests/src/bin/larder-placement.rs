//! `larder-placement`: compares functions that place keys on nodes, as a table and two pictures.

use clap::Parser;
use larder_tests::placement::{Options, run};

fn main() -> anyhow::Result<()> {
    run(&Options::parse())
}
