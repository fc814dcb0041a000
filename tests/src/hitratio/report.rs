//! What `scripts/hitratio` prints: tables in Markdown, and whether the goals are met.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::compare::{Cell, TraceResults};
use super::measure::Run;
use super::options::Equal;
use crate::plot::{Chart, Series, write_svg};

const MIB: f64 = 1_048_576.0;
/// Larder's policies of Redis's names have at least this difference to Redis's hit ratio, at equal entries.
const ENTRIES_GOAL: f64 = -0.005;
/// At equal memory, what holds more or less than so (as a share) is no fair comparison.
const MEMORY_TOLERANCE: f64 = 0.05;
/// The peer whose byte hit ratio Larder's own policy must reach.
const BYTE_GOAL_PEER: &str = "redis allkeys-lru";

/// The machine, and what is missing; one line each.
pub(super) fn preamble(missing: &[String]) -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or(" ?");
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let model = model.trim_start_matches([' ', '\t', ':']);
    let mut lines = vec![format!("- machine: {model}, {count} cores")];
    lines.extend(missing.iter().map(|what| format!("- not measured: {what}")));
    lines.join("\n")
}

/// All tables of one trace.
pub(super) fn trace(results: &TraceResults, equal: Equal) -> String {
    let copies = match results.copies {
        1 => String::new(),
        copies => format!(", in {copies} interleaved copies"),
    };
    let title = format!(
        "**{}**: {} requests, {} keys{copies}; working set {:.1} MiB",
        results.name,
        grouped(results.requests as u64),
        grouped(results.keys as u64),
        results.working_set as f64 / MIB,
    );
    let (header, lines) = match equal {
        Equal::Entries => entries_table(results),
        Equal::Limit | Equal::Memory => cost_table(results, equal),
    };
    let mut parts = vec![title, String::new(), table(&header, &lines)];
    parts.extend(notes(results, equal));
    parts.join("\n")
}

fn cost_table(results: &TraceResults, equal: Equal) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let first = if equal == Equal::Memory { "memory" } else { "limit" };
    let header = vec![
        first,
        "share",
        "cache",
        "hit ratio",
        "byte hit ratio",
        "avoidable misses",
        "fewer than best peer",
        "given",
        "peak above idle",
        "entries",
        "s",
    ];
    let mut lines = Vec::new();
    for (limit, cells) in &results.limits {
        let best = best_peer(cells);
        for cell in cells {
            let mut line = vec![mib(limit.bytes), format!("{:.1}%", limit.share), cell.cache.clone()];
            match &cell.result {
                Ok(run) => {
                    let fewer = fewer_misses(run, best).filter(|_| cell.is_larder);
                    line.extend([
                        format!("{:.4}", run.tally.hit_ratio()),
                        format!("{:.4}", run.tally.byte_hit_ratio()),
                        grouped(run.tally.avoidable_misses()),
                        fewer.map_or_else(String::new, |share| format!("{:.1}%", share * 100.0)),
                        mib(run.limit),
                        mib(run.peak_above_idle),
                        run.entries.map_or_else(|| "?".to_owned(), grouped),
                        format!("{:.1}", run.tally.seconds),
                    ]);
                }
                Err(_) => line.extend(not_measured(header.len() - line.len())),
            }
            lines.push(line);
        }
    }
    (header, lines)
}

fn entries_table(results: &TraceResults) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let header = vec![
        "limit",
        "share",
        "policy",
        "redis",
        "larder",
        "difference",
        "goal",
        "redis's entries",
        "larder's entries",
        "larder's limit",
    ];
    let mut lines = Vec::new();
    for (limit, cells) in &results.limits {
        for pair in cells.chunks_exact(2) {
            let policy = pair[0].cache.rsplit(' ').next().unwrap_or_default();
            let mut line = vec![mib(limit.bytes), format!("{:.1}%", limit.share), policy.to_owned()];
            match (&pair[0].result, &pair[1].result) {
                (Ok(theirs), Ok(ours)) => {
                    let difference = ours.tally.hit_ratio() - theirs.tally.hit_ratio();
                    line.extend([
                        format!("{:.4}", theirs.tally.hit_ratio()),
                        format!("{:.4}", ours.tally.hit_ratio()),
                        points(difference),
                        met(reaches_goal(difference)).to_owned(),
                        theirs.entries.map_or_else(String::new, grouped),
                        ours.entries.map_or_else(String::new, grouped),
                        mib(ours.limit),
                    ]);
                }
                _ => line.extend(not_measured(header.len() - line.len())),
            }
            lines.push(line);
        }
    }
    (header, lines)
}

fn not_measured(cells: usize) -> impl Iterator<Item = String> {
    (0..cells).map(|index| {
        if index == 0 {
            "not measured".to_owned()
        } else {
            String::new()
        }
    })
}

/// Why there is no result, and what was refused.
fn notes(results: &TraceResults, equal: Equal) -> Vec<String> {
    let mut notes = Vec::new();
    for (limit, cells) in &results.limits {
        for cell in cells {
            let of = format!("- {} at {}", cell.cache, mib(limit.bytes));
            let run = match &cell.result {
                Ok(run) => run,
                Err(why) => {
                    notes.push(format!("{of}: not measured: {why}"));
                    continue;
                }
            };
            if run.tally.refused > 0 {
                let why = run.tally.first_refusal.as_deref().unwrap_or("?");
                notes.push(format!("{of}: refused {} stores, the first: {why}", run.tally.refused));
            }
            let off = run.peak_above_idle.abs_diff(limit.bytes) as f64 / limit.bytes as f64;
            if equal == Equal::Memory && off > MEMORY_TOLERANCE {
                notes.push(format!(
                    "{of}: it could not be brought nearer than {}",
                    mib(run.peak_above_idle)
                ));
            }
            if let Some(bytes) = run.slabs_over_limit {
                notes.push(format!(
                    "{of}: below its minimum: given {}, it took {} for slabs, a page for each class of sizes",
                    mib(run.limit),
                    mib(bytes)
                ));
            }
        }
    }
    if !notes.is_empty() {
        notes.insert(0, String::new());
    }
    notes
}

/// The fewest avoidable misses of any peer.
fn best_peer(cells: &[Cell]) -> Option<u64> {
    let runs = cells
        .iter()
        .filter(|cell| !cell.is_larder)
        .filter_map(|cell| cell.result.as_ref().ok());
    runs.map(|run| run.tally.avoidable_misses()).min()
}

/// By which share a run has fewer avoidable misses than `best`; negative if it has more.
fn fewer_misses(run: &Run, best: Option<u64>) -> Option<f64> {
    let best = best.filter(|misses| *misses > 0)?;
    Some(1.0 - run.tally.avoidable_misses() as f64 / best as f64)
}

/// Over all traces and limits: how each of Larder's policies compares.
pub(super) fn summary(all: &[TraceResults], equal: Equal) -> String {
    match equal {
        Equal::Entries => entries_summary(all),
        Equal::Limit | Equal::Memory => cost_summary(all),
    }
}

fn cost_summary(all: &[TraceResults]) -> String {
    let groups: Vec<_> = all
        .iter()
        .flat_map(|results| &results.limits)
        .map(|(_, cells)| cells)
        .collect();
    let names = groups.first().map_or(&[][..], |cells| cells.as_slice());
    let mut lines = Vec::new();
    for name in names.iter().filter(|cell| cell.is_larder).map(|cell| &cell.cache) {
        let mut fewer = Vec::new();
        let mut byte_differences = Vec::new();
        for cells in &groups {
            let Some(run) = run_of(cells, name) else {
                continue;
            };
            fewer.extend(fewer_misses(run, best_peer(cells)));
            let peer = run_of(cells, BYTE_GOAL_PEER);
            byte_differences.extend(peer.map(|peer| run.tally.byte_hit_ratio() - peer.tally.byte_hit_ratio()));
        }
        let percent = |share: f64| format!("{:.1}%", share * 100.0);
        let mean = (!fewer.is_empty()).then(|| fewer.iter().sum::<f64>() / fewer.len() as f64);
        lines.push(vec![
            name.clone(),
            format!("{} of {}", fewer.len(), groups.len()),
            mean.map_or_else(String::new, percent),
            least(&fewer).map_or_else(String::new, percent),
            least(&byte_differences).map_or_else(String::new, points),
        ]);
    }
    let header = [
        "cache",
        "compared",
        "fewer avoidable misses than the best peer: mean",
        "least",
        "byte hit ratio above redis LRU's, least",
    ];
    table(&header, &lines)
}

fn entries_summary(all: &[TraceResults]) -> String {
    let pairs: Vec<_> = all
        .iter()
        .flat_map(|results| &results.limits)
        .flat_map(|(_, cells)| cells.chunks_exact(2))
        .collect();
    let mut names: Vec<&str> = pairs.iter().map(|pair| pair[1].cache.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let line = |name: &str| {
        let of_policy: Vec<_> = pairs.iter().filter(|pair| pair[1].cache == name).collect();
        let differences: Vec<_> = of_policy
            .iter()
            .filter_map(|pair| pair[0].result.as_ref().ok().zip(pair[1].result.as_ref().ok()))
            .map(|(theirs, ours)| ours.tally.hit_ratio() - theirs.tally.hit_ratio())
            .collect();
        let worst = least(&differences);
        let complete = differences.len() == of_policy.len();
        vec![
            name.to_owned(),
            format!("{} of {}", differences.len(), of_policy.len()),
            worst.map_or_else(String::new, points),
            met(complete && worst.is_some_and(reaches_goal)).to_owned(),
        ]
    };
    let lines: Vec<_> = names.into_iter().map(line).collect();
    table(
        &[
            "cache",
            "compared",
            "hit ratio above redis's at equal entries, least",
            "goal: -0.5 points",
        ],
        &lines,
    )
}

/// Draws hit ratio over size, one line per cache, into `folder`; gives the file's path.
pub(super) fn plot(folder: &Path, results: &TraceResults, equal: Equal) -> Result<PathBuf> {
    let mut series: Vec<Series> = Vec::new();
    for (limit, cells) in &results.limits {
        for cell in cells {
            let Ok(run) = &cell.result else {
                continue;
            };
            let bytes = if equal == Equal::Memory {
                run.peak_above_idle
            } else {
                limit.bytes
            };
            let point = (bytes as f64 / MIB, run.tally.hit_ratio() * 100.0);
            match series.iter_mut().find(|line| line.name == cell.cache) {
                Some(line) => line.points.push(point),
                None => series.push(Series {
                    name: cell.cache.clone(),
                    points: vec![point],
                }),
            }
        }
    }
    for line in &mut series {
        line.points.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    let (size, suffix) = match equal {
        Equal::Limit => ("memory limit", ""),
        Equal::Memory => ("resident memory above idle", "-memory"),
        Equal::Entries => ("memory limit of Redis", "-entries"),
    };
    let chart = Chart {
        title: format!("Hit ratio on {}", results.name),
        x_label: format!(
            "{size}, MiB; the working set has {:.0} MiB",
            results.working_set as f64 / MIB
        ),
        y_label: "hit ratio, %".to_owned(),
        log_x: true,
        y_from_zero: false,
    };
    let path = folder.join(format!("hitratio-{}{suffix}.svg", results.name));
    write_svg(&path, &chart, &series)?;
    Ok(path)
}

fn run_of<'a>(cells: &'a [Cell], name: &str) -> Option<&'a Run> {
    cells.iter().find(|cell| cell.cache == name)?.result.as_ref().ok()
}

fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::min)
}

/// Counts are whole, so a difference is never by chance this close to the goal: it is a rounding error.
fn reaches_goal(difference: f64) -> bool {
    difference >= ENTRIES_GOAL - 1e-9
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}

/// A difference of ratios, in points (hundredths).
fn points(difference: f64) -> String {
    format!("{:+.2}", difference * 100.0)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB)
}

/// With commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A table in Markdown whose source is readable, too.
pub(super) fn table(header: &[&str], lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let row = |cells: Vec<&str>| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{}{}", cell.replace('|', "\\|"), pad(cell, *width)));
        format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut all = vec![row(header.to_vec()), row(rule.iter().map(String::as_str).collect())];
    all.extend(lines.iter().map(|line| row(line.iter().map(String::as_str).collect())));
    all.join("\n")
}

fn pad(cell: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(cell.chars().count()))
}
