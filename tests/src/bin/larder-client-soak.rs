//! `larder-client-soak`: makes calls through larder-client while everything fails, and says what came of it.

use std::process::ExitCode;

use clap::Parser;
use larder_tests::soak::{Options, run};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(report) => {
            print!("{report}");
            if report.is_good() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("larder-client-soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}
