//! What the in-process measurements found, as text and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::eviction::{Cost, Costs};
use super::stalls::{self, Run, Slow, Stalls};
use super::workers::{self, Round, Row};

const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("max", 1.0),
];
/// Below this share of its core a worker was disturbed.
const UNDISTURBED: f64 = 0.95;

/// The result of one run.
pub struct Report {
    pub(super) stalls: Option<Stalls>,
    pub(super) workers: Option<Vec<Row>>,
    pub(super) eviction: Option<Costs>,
}

impl Report {
    pub(super) fn new() -> Report {
        Report {
            stalls: None,
            workers: None,
            eviction: None,
        }
    }

    /// All results, round by round; times in nanoseconds.
    pub fn to_json(&self) -> Value {
        json!({
            "stalls": self.stalls.as_ref().map(stalls_json),
            "workers": self.workers.as_ref().map(|rows| json!({
                "goal_ratio": workers::GOAL,
                "rows": rows.iter().map(row_json).collect::<Vec<_>>(),
            })),
            "eviction": self.eviction.as_ref().map(costs_json),
        })
    }
}

fn met(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stalls) = &self.stalls {
            show_stalls(stalls, f)?;
        }
        if let Some(rows) = &self.workers {
            if self.stalls.is_some() {
                writeln!(f)?;
            }
            show_workers(rows, f)?;
        }
        if let Some(costs) = &self.eviction {
            show_costs(costs, f)?;
        }
        Ok(())
    }
}

fn show_stalls(stalls: &Stalls, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let shape = stalls.shape;
    let pages = if shape.huge_pages {
        "huge pages"
    } else {
        "the allocator"
    };
    writeln!(
        f,
        "Longest operation while keys are inserted and deleted one by one (16 B keys, 32 B values)"
    )?;
    writeln!(
        f,
        "- {} stripes, slabs of {} KiB from {pages}; limit {:.1} GiB, {:.0} MiB used when full",
        shape.stripes,
        shape.slab_bytes >> 10,
        stalls.limit_bytes as f64 / f64::from(1 << 30),
        stalls.full_bytes as f64 / f64::from(1 << 20),
    )?;
    writeln!(
        f,
        "- thread CPU time in microseconds, {:.2} of it the clock's own; goal: none over {} us\n",
        stalls.clock_ns as f64 / 1e3,
        stalls::GOAL_NS / 1000,
    )?;
    write!(f, "{:<8}{:>12}", "", "operations")?;
    QUANTILES.iter().try_for_each(|(name, _)| write!(f, "{name:>10}"))?;
    writeln!(f, "{:>11}{:>12}  goal", "over 1 ms", "with fault")?;
    for run in &stalls.runs {
        write!(f, "{:<8}{:>12}", run.name, run.times.len())?;
        for (_, quantile) in QUANTILES {
            write!(f, "{:>10.2}", run.times.value_at_quantile(quantile) as f64 / 1e3)?;
        }
        let (over, with_fault) = (run.over_goal, run.over_goal_with_fault);
        writeln!(f, "{over:>11}{with_fault:>12}  {}", met(over == 0))?;
    }
    writeln!(f, "\nSlowest:")?;
    for run in &stalls.runs {
        for slow in &run.slowest {
            writeln!(f, "- {}", slow_line(run, slow))?;
        }
    }
    Ok(())
}

fn slow_line(run: &Run, slow: &Slow) -> String {
    format!(
        "{} {}: {:.0} us CPU, {:.0} us wall; within {} operations: {} page faults, {} preemptions",
        run.name,
        slow.number,
        slow.cpu_ns as f64 / 1e3,
        slow.wall_ns as f64 / 1e3,
        slow.span,
        slow.around.faults,
        slow.around.preemptions,
    )
}

/// The median over a row's rounds.
fn of_rounds(row: &Row, figure: impl Fn(&Round) -> f64) -> f64 {
    median(row.rounds.iter().map(figure))
}

/// The same, with the least and the most.
fn with_range(row: &Row, figure: impl Fn(&Round) -> f64) -> String {
    let figures = || row.rounds.iter().map(&figure);
    let (least, most) = (figures().fold(f64::MAX, f64::min), figures().fold(0.0, f64::max));
    format!("{:.3} ({least:.3}-{most:.3})", median(figures()))
}

fn show_workers(rows: &[Row], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "CPU time per operation in nanoseconds, each worker alone and all at once (64 B values)"
    )?;
    writeln!(f, "- medians over the rounds; goal: ratio at most {}", workers::GOAL)?;
    writeln!(
        f,
        "- apart is the control: all at once, each on a node of its own; sharing is what is beyond it\n"
    )?;
    writeln!(
        f,
        "{:<12}{:>8}{:>10}{:>8}  {:<22}{:<22}{:<22}goal",
        "", "alone", "together", "apart", "ratio", "control", "sharing"
    )?;
    for row in rows {
        writeln!(
            f,
            "{:<12}{:>8.1}{:>10.1}{:>8.1}  {:<22}{:<22}{:<22}{}",
            format!("{}-P{}", row.name, row.depth),
            of_rounds(row, |round| round.alone),
            of_rounds(row, |round| round.together),
            of_rounds(row, |round| round.apart),
            with_range(row, Round::ratio),
            with_range(row, Round::control),
            with_range(row, Round::sharing),
            met(of_rounds(row, Round::ratio) <= workers::GOAL),
        )?;
    }
    let rounds = || rows.iter().flat_map(|row| &row.rounds);
    let disturbed = rounds().filter(|round| round.on_core < UNDISTURBED).count();
    if disturbed > 0 {
        writeln!(
            f,
            "\nDisturbed: in {disturbed} of {} measurements a worker had its core for less than {:.0}% of the time.",
            rounds().count(),
            UNDISTURBED * 100.0
        )?;
    }
    Ok(())
}

fn show_costs(costs: &Costs, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "CPU time per operation in nanoseconds, at pipeline 64, of 64 B values, against what it is compared with"
    )?;
    writeln!(
        f,
        "- medians over the rounds; a full node has the limit that --full-mib says\n"
    )?;
    writeln!(f, "{:<50}{:>8}{:>8}  {:<22}goal", "", "of that", "of it", "ratio")?;
    for row in &costs.rows {
        let Cost { name, goal, rounds } = row;
        let ratios = || rounds.iter().map(|(base, cost)| cost / base);
        let ratio = median(ratios());
        let least = ratios().fold(f64::MAX, f64::min);
        let range = format!("{ratio:.3} ({least:.3}-{:.3})", ratios().fold(0.0, f64::max));
        let verdict = goal.map_or(String::new(), |goal| format!("{goal} {}", met(ratio <= goal)));
        let (base, cost) = (rounds.iter().map(|round| round.0), rounds.iter().map(|round| round.1));
        writeln!(
            f,
            "{name:<50}{:>8.1}{:>8.1}  {range:<22}{verdict}",
            median(base),
            median(cost)
        )?;
    }
    writeln!(
        f,
        "\nOf the reads beside evicting SETs {:.1}% hit.",
        costs.hit_share * 100.0
    )?;
    write!(f, "One evicting SET, CPU time in microseconds:")?;
    for (name, quantile) in QUANTILES {
        write!(
            f,
            " {name} {:.2}",
            costs.singles.value_at_quantile(quantile) as f64 / 1e3
        )?;
    }
    writeln!(f)
}

fn costs_json(costs: &Costs) -> Value {
    let rows = costs.rows.iter().map(|row| {
        json!({
            "name": row.name,
            "goal_ratio": row.goal,
            "rounds": row.rounds.iter().map(|(base, cost)| json!({"base_ns": base, "cost_ns": cost})).collect::<Vec<_>>(),
        })
    });
    json!({
        "rows": rows.collect::<Vec<_>>(),
        "hit_share": costs.hit_share,
        "longest_ns": costs.singles.max(),
    })
}

fn stalls_json(stalls: &Stalls) -> Value {
    let shape = stalls.shape;
    json!({
        "stripes": shape.stripes,
        "slab_bytes": shape.slab_bytes,
        "huge_pages": shape.huge_pages,
        "limit_bytes": stalls.limit_bytes,
        "full_bytes": stalls.full_bytes,
        "clock_ns": stalls.clock_ns,
        "goal_ns": stalls::GOAL_NS,
        "runs": stalls.runs.iter().map(run_json).collect::<Vec<_>>(),
    })
}

fn run_json(run: &Run) -> Value {
    let quantiles = QUANTILES.map(|(name, quantile)| (format!("{name}_ns"), run.times.value_at_quantile(quantile)));
    let slowest = run.slowest.iter().map(|slow| {
        json!({
            "number": slow.number,
            "cpu_ns": slow.cpu_ns,
            "wall_ns": slow.wall_ns,
            "within_operations": slow.span,
            "page_faults": slow.around.faults,
            "preemptions": slow.around.preemptions,
        })
    });
    let mut json = json!({
        "name": run.name,
        "operations": run.times.len(),
        "seconds": run.seconds,
        "over_goal": run.over_goal,
        "over_goal_with_fault": run.over_goal_with_fault,
        "met": run.over_goal == 0,
        "slowest": slowest.collect::<Vec<_>>(),
    });
    for (name, value) in quantiles {
        json[name] = value.into();
    }
    json
}

fn row_json(row: &Row) -> Value {
    let ratio = of_rounds(row, Round::ratio);
    let rounds = row.rounds.iter().map(|round| {
        json!({
            "alone_ns": round.alone,
            "together_ns": round.together,
            "apart_ns": round.apart,
            "ratio": round.ratio(),
            "control": round.control(),
            "on_core": round.on_core,
        })
    });
    json!({
        "command": row.name,
        "pipeline": row.depth,
        "ratio": ratio,
        "control": of_rounds(row, Round::control),
        "sharing": of_rounds(row, Round::sharing),
        "met": ratio <= workers::GOAL,
        "rounds": rounds.collect::<Vec<_>>(),
    })
}
