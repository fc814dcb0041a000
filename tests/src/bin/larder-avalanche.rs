//! `larder-avalanche`: shows an origin's load with and without jitter, as a table and a picture.

use std::collections::BTreeSet;

use clap::Parser;
use larder_tests::avalanche::{Options, chart, run, table};
use larder_tests::plot::write_svg;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut outcomes = Vec::new();
    let percentages: BTreeSet<u32> = options.jitter.iter().copied().collect();
    for jitter in percentages {
        eprintln!(
            "ttl-jitter {jitter}: {} s",
            u64::from(options.ttl_ms) * u64::from(options.rounds) / 1000
        );
        let outcome = run(&options, jitter)?;
        if outcome.late_ms > u64::from(options.bin_ms) {
            eprintln!(
                "  requests were up to {} ms late: the machine is too busy for this rate",
                outcome.late_ms
            );
        }
        outcomes.push(outcome);
    }
    print!("{}", table(&options, &outcomes));
    if let Some(path) = &options.svg {
        let (chart, series) = chart(&options, &outcomes);
        write_svg(path, &chart, &series)?;
        eprintln!("the picture is in {}", path.display());
    }
    Ok(())
}
