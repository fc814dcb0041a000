//! Compares functions that place keys on nodes: balance, what moves when a node comes or goes, and what they cost.

mod functions;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use larder_cluster::placement::Member;

use crate::plot::{Chart, Series, write_svg};
pub use functions::{Function, Locator, Placed};

/// Command line of `larder-placement`.
#[derive(Debug, Clone, Parser)]
#[command(name = "larder-placement", about = "Compares functions that place keys on nodes")]
pub struct Options {
    /// Pools of each size, with different names.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub sets: u32,
    /// The largest pool; all from 2 on are measured.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub nodes: u32,
    /// Sizes that get rows in the table; with `--rows-only` no others are measured.
    #[arg(long, value_delimiter = ',', default_value = "10,30,100")]
    pub rows: Vec<u32>,
    /// Measures only the sizes of `--rows`.
    #[arg(long)]
    pub rows_only: bool,
    /// Weights of 1 to this, at random; 1 for equal nodes. Above 1, only functions that know weights are compared.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub heaviest: u32,
    /// Only this project's function.
    #[arg(long)]
    pub ours_only: bool,
    /// Folder that the pictures are written to.
    #[arg(long)]
    pub svg: Option<PathBuf>,
}

/// What one function did with pools of one size.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The fullest node's load over its fair share, mean and worst of the pools.
    pub fullest: (f64, f64),
    /// What moved when a node joined, over that node's share; mean and worst.
    pub join: (f64, f64),
    /// The same for a node in the middle of the list that left.
    pub leave: (f64, f64),
    /// From key to node, in nanoseconds.
    pub lookup_ns: f64,
    /// From members to a table, in milliseconds.
    pub build_ms: f64,
}

/// Measures `function` with pools of `nodes` nodes.
///
/// # Errors
/// If it does not take the members.
pub fn measure(function: Function, nodes: u32, options: &Options) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let add = |to: &mut (f64, f64), value: f64| *to = (to.0 + value / f64::from(options.sets), to.1.max(value));
    for set in 0..options.sets {
        let members = members(nodes, set, options.heaviest);
        let all = function.place(&members)?;
        add(&mut outcome.fullest, fullest(&all, &members));
        let total: u32 = members.iter().map(|member| member.weight).sum();
        let share = |index: usize| f64::from(members[index].weight) / f64::from(total);
        let (last, middle) = (members.len() - 1, members.len() / 2);
        let without = |index: usize| {
            let mut fewer = members.clone();
            fewer.remove(index);
            Ok::<_, anyhow::Error>((function.place(&fewer)?, fewer))
        };
        let moved = |(fewer, names): &(Placed, Vec<Member>)| {
            let pairs = all.owners.iter().zip(&fewer.owners);
            let differ = pairs.filter(|(a, b)| members[usize::from(**a)].name != names[usize::from(**b)].name);
            differ.count() as f64 / all.owners.len() as f64
        };
        add(&mut outcome.join, moved(&without(last)?) / share(last));
        add(&mut outcome.leave, moved(&without(middle)?) / share(middle));
    }
    let members = members(nodes, 0, options.heaviest);
    (outcome.build_ms, outcome.lookup_ns) = time(function, &members)?;
    Ok(outcome)
}

/// The members of a pool; those of a smaller one are the first of a larger.
fn members(nodes: u32, set: u32, heaviest: u32) -> Vec<Member> {
    let mut rng = crate::rng::Rng::new(u64::from(set));
    let member = |number| Member::new(format!("cache-{set}-{number}"), 1 + rng.below(heaviest as usize) as u32);
    (0..nodes).map(member).collect()
}

fn fullest(placed: &Placed, members: &[Member]) -> f64 {
    let mut loads = vec![0u32; members.len()];
    placed.owners.iter().for_each(|owner| loads[usize::from(*owner)] += 1);
    let total: f64 = members.iter().map(|member| f64::from(member.weight)).sum();
    let over = |(load, member): (u32, &Member)| {
        let fair = placed.owners.len() as f64 * f64::from(member.weight) / total;
        f64::from(load) / fair
    };
    loads.into_iter().zip(members).map(over).fold(0.0, f64::max)
}

/// Milliseconds to build and nanoseconds to look up, each the best of a few runs.
fn time(function: Function, members: &[Member]) -> anyhow::Result<(f64, f64)> {
    const KEYS: usize = 4096;
    let keys: Vec<_> = (0..KEYS).map(|number| format!("key:{number:012}")).collect();
    let (mut build, mut lookup) = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        let began = Instant::now();
        let locate = function.locator(members)?;
        build = build.min(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        for key in &keys {
            black_box(locate(black_box(key.as_bytes())));
        }
        lookup = lookup.min(began.elapsed().as_secs_f64() * 1e9 / KEYS as f64);
    }
    Ok((build, lookup))
}

/// Measures, prints the table, draws the pictures.
///
/// # Errors
/// If a pool cannot be placed or a picture not be written.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let functions: Vec<_> = Function::ALL
        .into_iter()
        .filter(|function| match function {
            Function::Larder => true,
            Function::Ketama => !options.ours_only,
            _ => !options.ours_only && options.heaviest == 1,
        })
        .collect();
    let mut sizes: HashSet<u32> = options.rows.iter().copied().collect();
    if !options.rows_only {
        sizes.extend(2..=options.nodes);
    }
    let mut sizes: Vec<_> = sizes.into_iter().filter(|size| *size >= 2).collect();
    sizes.sort_unstable();
    let mut table = String::from(
        "| nodes | function | fullest / fair share, mean (worst) | moved on join / its share | on leave | lookup, ns | build, ms |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let mut lines: Vec<(Series, Series)> = functions
        .iter()
        .map(|function| (line(function.name()), line(function.name())))
        .collect();
    for size in sizes {
        for (function, (full, moved)) in functions.iter().zip(&mut lines) {
            let outcome = measure(*function, size, options)?;
            full.points.push((f64::from(size), outcome.fullest.1));
            moved.points.push((f64::from(size), outcome.join.1));
            if options.rows.contains(&size) {
                row(&mut table, size, *function, &outcome);
            }
        }
    }
    print!("{table}");
    let Some(folder) = &options.svg else { return Ok(()) };
    let (full, mut moved): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
    write_svg(
        &folder.join("placement-balance.svg"),
        &chart("The fullest node, worst of the pools", "load / fair share"),
        &full,
    )
    .context("balance")?;
    for series in &mut moved {
        // Otherwise one outlier leaves no room for the others.
        series.points.iter_mut().for_each(|point| point.1 = point.1.min(2.0));
    }
    let title = "What moves when a node joins, worst of the pools (2 and more drawn as 2)";
    write_svg(
        &folder.join("placement-moved.svg"),
        &chart(title, "moved / the node's share"),
        &moved,
    )
}

fn line(name: &str) -> Series {
    Series {
        name: name.to_owned(),
        points: Vec::new(),
    }
}

fn chart(title: &str, y_label: &str) -> Chart {
    Chart {
        title: title.to_owned(),
        x_label: "nodes".to_owned(),
        y_label: y_label.to_owned(),
        log_x: false,
        y_from_zero: false,
    }
}

fn row(table: &mut String, size: u32, function: Function, outcome: &Outcome) {
    let pair = |(mean, worst): (f64, f64)| format!("{mean:.3} ({worst:.3})");
    // Writing to a String cannot fail.
    let _ = writeln!(
        table,
        "| {size} | {} | {} | {} | {} | {:.1} | {:.2} |",
        function.name(),
        pair(outcome.fullest),
        pair(outcome.join),
        pair(outcome.leave),
        outcome.lookup_ns,
        outcome.build_ms
    );
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Function, Options, measure};

    #[test]
    fn the_comparison_knows_good_from_bad() {
        let options = Options::parse_from(["larder-placement", "--sets", "2"]);
        let outcome = |function| measure(function, 20, &options).unwrap();
        let (ours, jump, maglev, ketama) = (
            outcome(Function::Larder),
            outcome(Function::Jump),
            outcome(Function::Maglev),
            outcome(Function::Ketama),
        );
        assert!(ours.fullest.1 <= 1.03 && ours.join.1 <= 1.1, "{ours:?}");
        assert!(maglev.fullest.1 <= 1.01 && maglev.join.1 > ours.join.1, "{maglev:?}");
        assert!(jump.leave.1 > 2.0, "a leave in the middle renumbers: {jump:?}");
        assert!(ketama.fullest.1 > ours.fullest.1, "{ketama:?}");
    }
}
