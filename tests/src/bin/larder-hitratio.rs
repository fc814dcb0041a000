//! `larder-hitratio`: replays request traces on caches and prints their hit ratios; see `scripts/hitratio`.

use std::process::ExitCode;

use clap::Parser;
use larder_tests::hitratio::{Options, run};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("larder-hitratio: {error:#}");
            ExitCode::FAILURE
        }
    }
}
