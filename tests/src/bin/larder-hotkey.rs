//! `larder-hotkey`: shows the load on each node of a pool while one key takes a great share of the reads.

use clap::Parser;
use larder_tests::hotkey::{Options, chart, run, table};
use larder_tests::plot::write_svg;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut outcomes = Vec::new();
    for fans_out in [false, true] {
        eprintln!("{} s, copies: {fans_out}", options.seconds);
        outcomes.push(run(&options, fans_out)?);
    }
    print!("{}", table(&outcomes));
    if let Some(path) = &options.svg {
        let (chart, series) = chart(&options, &outcomes);
        write_svg(path, &chart, &series)?;
        eprintln!("the picture is in {}", path.display());
    }
    Ok(())
}
