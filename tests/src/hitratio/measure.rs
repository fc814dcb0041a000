//! One run: a cache is started with a limit, the trace replayed on it, and what it held written down; and the
//! search for the limit at which a cache holds what another one held.

use anyhow::Result;
use serde_json::{Value, json};

use super::caches::Cache;
use super::replay::{Pace, Tally, replay};
use super::running::Running;
use super::trace::Trace;

/// Runs of one cache in search of a limit: the first, and corrections.
const SEEK_RUNS: usize = 4;
/// Close enough to what was sought.
const SEEK_TOLERANCE: f64 = 0.01;
/// No cache is started with less in search of a limit.
const SMALLEST_LIMIT: u64 = 1 << 20;

/// What one cache did with one limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    /// What it was given, in bytes.
    pub(super) limit: u64,
    pub(super) tally: Tally,
    /// Entries at the end, if the cache tells.
    pub(super) entries: Option<u64>,
    /// What memcached took for its slabs, in bytes, if that is more than its limit: it takes a page of 1 MiB for
    /// every class of sizes that occurs, so a small limit does not hold.
    pub(super) slabs_over_limit: Option<u64>,
    /// Peak of resident memory above that of the idle server, in bytes.
    pub(super) peak_above_idle: u64,
}

impl Run {
    /// For `--json`.
    pub(super) fn to_json(&self) -> Value {
        let tally = &self.tally;
        json!({
            "limit": self.limit,
            "requests": tally.requests,
            "hits": tally.hits,
            "hit_ratio": tally.hit_ratio(),
            "byte_hit_ratio": tally.byte_hit_ratio(),
            "avoidable_misses": tally.avoidable_misses(),
            "refused": tally.refused,
            "first_refusal": tally.first_refusal,
            "entries": self.entries,
            "slabs_over_limit": self.slabs_over_limit,
            "peak_above_idle": self.peak_above_idle,
            "seconds": tally.seconds,
        })
    }
}

/// Starts `cache` with `limit` bytes and replays `trace` on it; the error says why there is no result.
pub(super) fn measure(trace: &Trace, cache: &Cache, limit: u64, pace: &Pace) -> Result<Run, String> {
    if cache.protocol == crate::load::Protocol::Memcached
        && let Some(objection) = trace.memcached_objection(pace.copies)
    {
        return Err(objection);
    }
    let limit = cache.rounded(limit);
    let mut running = Running::start(cache, limit, trace.largest_value())?;
    let tally = replay(trace, running.port, cache.protocol, pace).map_err(|error| {
        let end = if running.has_ended() {
            "; the server has ended"
        } else {
            ""
        };
        format!("{error:#}{end}; its output: {}", running.output())
    })?;
    let run = Run {
        limit,
        tally,
        entries: running.entries(),
        slabs_over_limit: running.slab_bytes().filter(|bytes| *bytes > limit),
        peak_above_idle: running.peak_above_idle().ok_or("its memory is not known (no /proc?)")?,
    };
    let tally = &run.tally;
    eprintln!(
        "{} {} x{}: {} with {limit} bytes: hits {:.4}, {:.1} s",
        trace.name,
        tally.requests,
        pace.copies,
        cache.name,
        tally.hit_ratio(),
        tally.seconds
    );
    Ok(run)
}

/// Looks for the limit at which `weight` of a run is `target`: starts with `first`, corrects the limit a few
/// times, and gives the run that came closest. `rounded` says which limit a cache makes of another.
pub(super) fn seek(
    target: u64,
    first: u64,
    rounded: impl Fn(u64) -> u64,
    weight: impl Fn(&Run) -> Option<u64>,
    mut run_with: impl FnMut(u64) -> Result<Run, String>,
) -> Result<Run, String> {
    let mut tried: Vec<(u64, u64)> = Vec::new();
    let mut best: Option<(u64, Run)> = None;
    let mut limit = rounded(first);
    for _ in 0..SEEK_RUNS {
        let run = match run_with(limit) {
            Ok(run) => run,
            // A limit that was too small for it: what there is must do.
            Err(why) => return best.map(|(_, run)| run).ok_or(why),
        };
        let held = weight(&run).ok_or("the cache does not tell what it holds")?;
        let distance = held.abs_diff(target);
        if best.as_ref().is_none_or(|(nearest, _)| distance < *nearest) {
            best = Some((distance, run));
        }
        tried.push((limit, held));
        limit = rounded(corrected(target, &tried).max(SMALLEST_LIMIT));
        let was_tried = tried.iter().any(|(before, _)| *before == limit);
        if was_tried || distance as f64 <= SEEK_TOLERANCE * target as f64 {
            break;
        }
    }
    best.map(|(_, run)| run).ok_or_else(|| "never run".to_owned())
}

/// The next limit to try: on the line through the two (limit, held) that came closest, or in proportion to the
/// only one.
fn corrected(target: u64, tried: &[(u64, u64)]) -> u64 {
    let mut near = tried.to_vec();
    near.sort_by_key(|(_, held)| held.abs_diff(target));
    let (limit, held) = (near[0].0 as f64, near[0].1.max(1) as f64);
    let proportional = limit * target as f64 / held;
    let next = match near.get(1) {
        Some(other) if other.1 as f64 != held && other.0 as f64 != limit => {
            let slope = (limit - other.0 as f64) / (held - other.1 as f64);
            let line = limit + (target as f64 - held) * slope;
            // A line through two noisy points may lead anywhere.
            if slope > 0.0 {
                line.clamp(limit / 4.0, limit * 4.0)
            } else {
                proportional
            }
        }
        _ => proportional,
    };
    // Far below 2^53.
    next as u64
}
