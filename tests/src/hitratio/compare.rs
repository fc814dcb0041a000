//! What `scripts/hitratio` does: every trace, at every limit, on every cache; prints tables.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use super::caches::{self, Cache};
use super::measure::{Run, measure, seek};
use super::options::{Equal, Options, parse_limit};
use super::replay::Pace;
use super::report;
use super::trace::{COPIES_MAX, Trace};

const MIB: u64 = 1 << 20;
/// Below it, what a server needs anyhow would decide. Traces are multiplied until limits reach it.
const SMALLEST_LIMIT: u64 = 8 * MIB;
const SHARES: [f64; 3] = [4.0, 12.0, 35.0];

/// A limit to measure at, and what share of the working set it is, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    pub(super) bytes: u64,
    pub(super) share: f64,
}

/// What one cache did, or why there is no result.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) cache: String,
    pub(super) is_larder: bool,
    pub(super) result: Result<Run, String>,
}

/// All results of one trace: at each limit one cell per cache. At equal entries, cells come in pairs: Redis
/// with a policy, then Larder with the same.
#[derive(Debug, Clone)]
pub(super) struct TraceResults {
    pub(super) name: String,
    pub(super) requests: usize,
    pub(super) keys: usize,
    pub(super) copies: u32,
    pub(super) working_set: u64,
    pub(super) limits: Vec<(Limit, Vec<Cell>)>,
}

/// Does what `options` ask for and prints the results. True if every cache was measured at every limit.
///
/// # Errors
/// If a trace is missing or malformed, Larder's server is not there, or the options contradict each other.
pub fn run(options: &Options) -> Result<bool> {
    let (paths, limits) = traces_and_limits(options)?;
    let larder = larder_server(options)?;
    let mut all = Vec::new();
    let mut missing = Vec::new();
    for path in &paths {
        let trace = Trace::open(path)?;
        let copies = copies(options, &trace, &limits)?;
        let limits = limits_for(options, &trace, copies, &limits);
        let results = if options.equal == Equal::Entries {
            let pairs = caches::pairs(options, &larder).map_err(|why| anyhow!(why))?;
            at_equal_entries(options, &trace, copies, &limits, &pairs)
        } else {
            let (caches, absent) = caches::chosen(options, &larder);
            missing = absent;
            at_equal_cost(options, &trace, copies, &limits, &caches)
        };
        all.push(results);
    }
    println!("{}", report::preamble(&missing));
    for results in &all {
        println!("\n{}", report::trace(results, options.equal));
    }
    println!("\n{}", report::summary(&all, options.equal));
    if let Some(path) = &options.json {
        write_json(path, &all, options.equal)?;
    }
    if let Some(folder) = &options.plot {
        for results in &all {
            eprintln!("drew {}", report::plot(folder, results, options.equal)?.display());
        }
    }
    let cells = all
        .iter()
        .flat_map(|results| &results.limits)
        .flat_map(|(_, cells)| cells);
    Ok(cells.into_iter().all(|cell| cell.result.is_ok()))
}

/// Which arguments are traces and which are limits. Every trace must be there before the first is replayed.
fn traces_and_limits(options: &Options) -> Result<(Vec<PathBuf>, Vec<u64>)> {
    let (limits, traces): (Vec<_>, Vec<_>) = options.what.iter().partition(|text| parse_limit(text).is_some());
    ensure!(!traces.is_empty(), "no trace given, only limits: {:?}", options.what);
    let limits: Vec<_> = limits.iter().filter_map(|text| parse_limit(text)).collect();
    ensure!(
        limits.is_empty() || options.share.is_empty(),
        "limits and --share exclude each other"
    );
    for share in &options.share {
        ensure!(share.is_finite() && *share > 0.0, "--share {share}: must be above 0");
    }
    let paths: Vec<_> = traces.iter().map(PathBuf::from).collect();
    for path in &paths {
        if !path.is_file() {
            bail!("no trace at {} (nor is this a limit such as 8mb)", path.display());
        }
    }
    Ok((paths, limits))
}

fn larder_server(options: &Options) -> Result<PathBuf> {
    let path = match &options.server {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("larder-server"),
    };
    // The server runs in a directory of its own, so its path must not be relative.
    path.canonicalize()
        .with_context(|| format!("no Larder server at {}", path.display()))
}

/// In how many copies the trace is replayed.
fn copies(options: &Options, trace: &Trace, limits: &[u64]) -> Result<u32> {
    if let Some(copies) = options.copies {
        return Ok(copies);
    }
    if !limits.is_empty() {
        return Ok(1);
    }
    let least = shares(options).iter().copied().fold(f64::INFINITY, f64::min);
    let fits = |copies: &u32| trace.working_set(*copies) as f64 * least / 100.0 >= SMALLEST_LIMIT as f64;
    (1..=COPIES_MAX).find(fits).with_context(|| {
        format!(
            "{}: {least}% of its working set is too little, even of {COPIES_MAX} copies",
            trace.name
        )
    })
}

fn shares(options: &Options) -> &[f64] {
    if options.share.is_empty() {
        &SHARES
    } else {
        &options.share
    }
}

fn limits_for(options: &Options, trace: &Trace, copies: u32, limits: &[u64]) -> Vec<Limit> {
    let working_set = trace.working_set(copies) as f64;
    let share = |bytes: u64| bytes as f64 / working_set * 100.0;
    if !limits.is_empty() {
        return limits
            .iter()
            .map(|bytes| Limit {
                bytes: *bytes,
                share: share(*bytes),
            })
            .collect();
    }
    let bytes = shares(options)
        .iter()
        .map(|percent| (working_set * percent / 100.0) as u64);
    // Whole MiB, because memcached counts so.
    bytes
        .map(|bytes| bytes.next_multiple_of(MIB))
        .map(|bytes| Limit {
            bytes,
            share: share(bytes),
        })
        .collect()
}

fn pace(options: &Options, copies: u32) -> Pace {
    Pace {
        copies,
        connections: options.connections as usize,
        window: options.window as usize,
        rate: options.rate,
    }
}

/// Every cache with each limit, or so that each holds the limit as resident memory.
fn at_equal_cost(options: &Options, trace: &Trace, copies: u32, limits: &[Limit], caches: &[Cache]) -> TraceResults {
    let pace = pace(options, copies);
    let cell = |limit: &Limit, cache: &Cache| {
        let run_with = |bytes| measure(trace, cache, bytes, &pace);
        let result = match options.equal {
            Equal::Memory => {
                let rounded = |bytes| cache.rounded(bytes);
                seek(
                    limit.bytes,
                    limit.bytes,
                    rounded,
                    |run| Some(run.peak_above_idle),
                    run_with,
                )
            }
            Equal::Limit | Equal::Entries => run_with(limit.bytes),
        };
        cell(cache, result)
    };
    let at = |limit: &Limit| (*limit, caches.iter().map(|cache| cell(limit, cache)).collect());
    results(trace, copies, limits.iter().map(at).collect())
}

/// Redis with each limit, and beside it Larder with the limit at which it holds as many entries.
fn at_equal_entries(
    options: &Options,
    trace: &Trace,
    copies: u32,
    limits: &[Limit],
    pairs: &[(Cache, Cache)],
) -> TraceResults {
    let pace = pace(options, copies);
    let mut by_limit = Vec::new();
    for limit in limits {
        let mut cells = Vec::new();
        for (redis, larder) in pairs {
            let theirs = measure(trace, redis, limit.bytes, &pace);
            let entries = theirs.as_ref().ok().and_then(|run| run.entries);
            let ours = match entries {
                Some(entries) => seek(
                    entries,
                    limit.bytes,
                    |bytes| bytes,
                    |run| run.entries,
                    |bytes| measure(trace, larder, bytes, &pace),
                ),
                None => Err("redis gave no number of entries".to_owned()),
            };
            cells.extend([cell(redis, theirs), cell(larder, ours)]);
        }
        by_limit.push((*limit, cells));
    }
    results(trace, copies, by_limit)
}

fn cell(cache: &Cache, result: Result<Run, String>) -> Cell {
    if let Err(why) = &result {
        eprintln!("ERROR {}: {why}", cache.name);
    }
    Cell {
        cache: cache.name.clone(),
        is_larder: cache.is_larder,
        result,
    }
}

fn results(trace: &Trace, copies: u32, limits: Vec<(Limit, Vec<Cell>)>) -> TraceResults {
    TraceResults {
        name: trace.name.clone(),
        requests: trace.requests.len(),
        keys: trace.keys(),
        copies,
        working_set: trace.working_set(copies),
        limits,
    }
}

fn write_json(path: &Path, all: &[TraceResults], equal: Equal) -> Result<()> {
    let cell = |limit: &Limit, cell: &Cell| match &cell.result {
        Ok(run) => json!({"limit": limit.bytes, "share": limit.share, "cache": cell.cache, "run": run.to_json()}),
        Err(why) => json!({"limit": limit.bytes, "share": limit.share, "cache": cell.cache, "error": why}),
    };
    let traces = all.iter().map(|results| {
        let cells = results
            .limits
            .iter()
            .flat_map(|(limit, cells)| cells.iter().map(move |c| cell(limit, c)));
        json!({
            "trace": results.name, "requests": results.requests, "keys": results.keys, "copies": results.copies,
            "working_set": results.working_set, "cells": cells.collect::<Vec<_>>(),
        })
    });
    let document = json!({"equal": format!("{equal:?}").to_lowercase(), "traces": traces.collect::<Vec<Value>>()});
    let text = serde_json::to_string_pretty(&document)?;
    fs::write(path, text).with_context(|| path.display().to_string())
}
