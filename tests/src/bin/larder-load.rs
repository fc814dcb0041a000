//! `larder-load`: puts load on a cache server and prints what it cost, as one line of JSON.

use std::process::ExitCode;

use clap::Parser;
use larder_tests::load::{Options, run};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(report) => {
            println!("{}", report.to_json());
            if report.errors == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("larder-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
