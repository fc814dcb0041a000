//! What a run found: for people, as JSON, and as a file of percentiles.

use super::engine::Phase;
use super::options::Options;
use super::tally::Tally;
use crate::output::{Align, Style, Table, styled};
use crate::units;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// What the tables show of a distribution.
const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("max", 1.0),
];

/// What a run found.
#[derive(Debug)]
pub(super) struct Report {
    nodes: Vec<String>,
    setting: String,
    rate: Option<f64>,
    elapsed: Duration,
    tally: Tally,
    latencies: Histogram<u64>,
    was_stopped: bool,
}

impl Report {
    pub(super) fn new(
        options: &Options,
        nodes: Vec<String>,
        per_node: usize,
        phase: Phase,
        was_stopped: bool,
    ) -> Report {
        let keys = match options.zipf {
            None => "keys alike".to_string(),
            Some(exponent) => format!("keys by Zipf {exponent}"),
        };
        let setting = format!(
            "{} clients, {} connections, {:.0}% GET, {} {keys}, values of {}",
            options.clients,
            per_node * nodes.len(),
            options.ratio * 100.0,
            units::count(options.keys as f64),
            match (*options.size.start(), *options.size.end()) {
                (low, high) if low == high => format!("{low} B"),
                (low, high) => format!("{low} to {high} B"),
            },
        );
        Report {
            setting,
            nodes,
            rate: options.rate,
            elapsed: phase.elapsed(),
            latencies: phase.tally.all_latencies(),
            tally: phase.tally,
            was_stopped,
        }
    }

    /// Whether something was done and nothing failed.
    pub(super) fn is_clean(&self) -> bool {
        self.tally.failures() == 0 && self.tally.operations() > 0
    }

    fn per_second(&self) -> f64 {
        self.tally.operations() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Hits of all GETs; `None` without any.
    fn hit_ratio(&self) -> Option<f64> {
        let gets = self.tally.hits + self.tally.misses;
        (gets > 0).then(|| self.tally.hits as f64 / gets as f64)
    }

    /// How latency was counted.
    fn mode(&self) -> String {
        match self.rate {
            None => "closed loop, latency from sending on".to_string(),
            Some(rate) if rate < 1000.0 => format!("open loop, {rate} requests/s due, latency from when due"),
            Some(rate) => {
                let rate = units::count(rate);
                format!("open loop, {rate} requests/s due, latency from when due")
            }
        }
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let tally = &self.tally;
        let mut text = format!("{}\n{}\n{}\n\n", self.nodes.join(" "), self.setting, self.mode());
        let _ = write!(
            text,
            "{:.0} ops/s: {} operations in {}",
            self.per_second(),
            tally.operations(),
            units::short(self.elapsed),
        );
        if let Some(ratio) = self.hit_ratio() {
            let _ = write!(text, ", hit ratio {:.1}%", ratio * 100.0);
        }
        text.push_str(if self.was_stopped { " (stopped early)\n" } else { "\n" });
        if tally.unsent > 0 {
            let line = format!(
                "{} requests were due but not sent, all clients waiting: the rate was not reached; they count as waiting",
                tally.unsent
            );
            let _ = writeln!(text, "{}", styled(Style::Bad, &line));
        }
        match tally.failures() {
            0 => text.push_str("no errors\n"),
            count => {
                let line = format!("{count} errors: {}", kinds(&tally.errors));
                let _ = writeln!(text, "{}", styled(Style::Bad, &line));
            }
        }
        text.push('\n');
        text.push_str(&self.latency_table());
        if self.nodes.len() > 1 {
            text.push('\n');
            text.push_str(&self.node_table());
        }
        text
    }

    /// The rows: what they are called, and their latencies.
    fn rows(&self) -> [(&'static str, &Histogram<u64>); 3] {
        let [gets, sets] = &self.tally.latencies;
        [("all", &self.latencies), ("GET", gets), ("SET", sets)]
    }

    fn latency_table(&self) -> String {
        let mut columns = vec![
            (Align::Left, "latency"),
            (Align::Right, "operations"),
            (Align::Right, "mean"),
        ];
        columns.extend(QUANTILES.map(|(name, _)| (Align::Right, name)));
        let mut table = Table::new(&columns);
        for (name, latencies) in self.rows().into_iter().filter(|(_, latencies)| !latencies.is_empty()) {
            let mut row = vec![name.to_string(), latencies.len().to_string()];
            row.push(units::short(Duration::from_nanos(latencies.mean() as u64)));
            row.extend(QUANTILES.map(|(_, share)| units::short(Duration::from_nanos(at(latencies, share)))));
            table.row(row);
        }
        table.render()
    }

    fn node_table(&self) -> String {
        let all = self.tally.by_node.iter().sum::<u64>().max(1) as f64;
        let mut table = Table::new(&[
            (Align::Left, "node"),
            (Align::Right, "operations"),
            (Align::Right, "share"),
        ]);
        for (name, count) in self.nodes.iter().zip(&self.tally.by_node) {
            let share = *count as f64 / all * 100.0;
            table.row(vec![name.clone(), count.to_string(), format!("{share:.1}%")]);
        }
        table.render()
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let tally = &self.tally;
        let us = |ns: f64| (ns / 10.0).round() / 100.0;
        let mut latency = serde_json::Map::new();
        for (name, latencies) in self.rows() {
            let mut row = serde_json::Map::new();
            row.insert("operations".to_string(), json!(latencies.len()));
            if !latencies.is_empty() {
                row.insert("mean_us".to_string(), json!(us(latencies.mean())));
                for (name, share) in QUANTILES {
                    row.insert(format!("{name}_us"), json!(us(at(latencies, share) as f64)));
                }
            }
            latency.insert(name.to_ascii_lowercase(), Value::Object(row));
        }
        let by_node = self.nodes.iter().zip(&tally.by_node);
        json!({
            "nodes": by_node.map(|(name, count)| json!({"node": name, "operations": count})).collect::<Vec<_>>(),
            "loop": if self.rate.is_some() { "open" } else { "closed" },
            "rate": self.rate,
            "seconds": self.elapsed.as_secs_f64(),
            "operations": tally.operations(),
            "ops_per_s": (self.per_second() * 10.0).round() / 10.0,
            "hits": tally.hits,
            "misses": tally.misses,
            "hit_ratio": self.hit_ratio(),
            "errors": tally.errors,
            "unsent": tally.unsent,
            "stopped": self.was_stopped,
            "latency": latency,
        })
    }

    /// Percentiles of all latencies in milliseconds, as HdrHistogram's `outputPercentileDistribution` writes them, so
    /// that its plotter reads them.
    pub(super) fn percentiles(&self) -> String {
        let all = &self.latencies;
        let ms = |ns: f64| ns / 1e6;
        let mut text = format!(
            "{:>12} {:>14} {:>10} {:>14}\n\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        for step in all.iter_quantiles(5) {
            let (value, share) = (ms(step.value_iterated_to() as f64), step.quantile_iterated_to());
            let _ = write!(
                text,
                "{value:12.6} {share:2.12} {:10}",
                all.count_between(0, step.value_iterated_to())
            );
            let _ = match 1.0 - share {
                rest if rest > 0.0 => writeln!(text, " {:14.2}", 1.0 / rest),
                _ => writeln!(text),
            };
        }
        let _ = writeln!(
            text,
            "#[Mean    = {:12.6}, StdDeviation   = {:12.6}]",
            ms(all.mean()),
            ms(all.stdev())
        );
        let _ = writeln!(
            text,
            "#[Max     = {:12.6}, Total count    = {:12}]",
            ms(all.max() as f64),
            all.len()
        );
        let _ = writeln!(text, "#[Buckets = {:12}, SubBuckets     = {:12}]", all.buckets(), 2048);
        text
    }
}

/// What a share of the latencies was no longer than; the maximum as it was measured.
fn at(latencies: &Histogram<u64>, share: f64) -> u64 {
    latencies.value_at_quantile(share).min(latencies.max())
}

/// Errors by kind, the most frequent first.
pub(super) fn kinds(errors: &BTreeMap<String, u64>) -> String {
    let mut kinds: Vec<_> = errors.iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let kinds = kinds.into_iter().map(|(kind, count)| format!("{kind} {count}"));
    kinds.collect::<Vec<_>>().join(", ")
}
