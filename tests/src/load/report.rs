//! What a run found, and its JSON.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::replies::Tally;

/// The result of one run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Replies while measuring.
    pub operations: u64,
    /// Replies, the warm-up's included.
    pub all_operations: u64,
    /// How long was measured: from the first send to the last reply.
    pub elapsed: Duration,
    /// Error replies, the warm-up's included.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
    /// Values found while measuring.
    pub hits: u64,
    /// Values not found while measuring.
    pub misses: u64,
    /// Latencies in nanoseconds.
    pub latencies: Histogram<u64>,
    /// CPU time of the server while measuring, in nanoseconds, if its process is known.
    pub server_cpu_ns: Option<u64>,
    /// CPU time of the load generator while measuring, in nanoseconds.
    pub client_cpu_ns: u64,
}

impl Report {
    pub(super) fn new(warmup: &Tally, tally: Tally, latencies: Histogram<u64>) -> Self {
        Self {
            operations: tally.replies,
            all_operations: tally.replies + warmup.replies,
            elapsed: Duration::ZERO,
            errors: tally.errors + warmup.errors,
            first_error: warmup.first_error.clone().or(tally.first_error),
            hits: tally.hits,
            misses: tally.misses,
            latencies,
            server_cpu_ns: None,
            client_cpu_ns: 0,
        }
    }

    /// One line of JSON; latencies and CPU times per operation in microseconds.
    pub fn to_json(&self) -> String {
        let operations = self.operations.max(1) as f64;
        let us_per_op = |cpu_ns: u64| format!("{:.4}", cpu_ns as f64 / 1000.0 / operations);
        let mut json = format!(
            "{{\"ops\": {}, \"all_ops\": {}, \"seconds\": {:.6}, \"ops_per_s\": {:.1}",
            self.operations,
            self.all_operations,
            self.elapsed.as_secs_f64(),
            self.operations as f64 / self.elapsed.as_secs_f64().max(1e-9),
        );
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
            let latency_ns = self.latencies.value_at_quantile(quantile);
            let _ = write!(json, ", \"{name}_us\": {:.2}", latency_ns as f64 / 1000.0);
        }
        let server = self.server_cpu_ns.map_or_else(|| "null".to_owned(), us_per_op);
        let _ = write!(
            json,
            ", \"hits\": {}, \"misses\": {}, \"errors\": {}, \"first_error\": {}, \
             \"server_cpu_us_per_op\": {server}, \"client_cpu_us_per_op\": {}}}",
            self.hits,
            self.misses,
            self.errors,
            self.first_error.as_deref().map_or_else(|| "null".to_owned(), quoted),
            us_per_op(self.client_cpu_ns),
        );
        json
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
