//! What a run counts: operations, hits, errors by kind, latencies.

use super::requests::Kind;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Latencies are told apart from this on, in nanoseconds.
const LOWEST_NS: u64 = 64;
/// Latencies above this count as this: 100 s.
const HIGHEST_NS: u64 = 100_000_000_000;
/// How many kinds of errors are told apart; a server can make up any number of them.
const MAX_KINDS: usize = 32;

/// Latencies in nanoseconds, to three digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, 3).expect("these bounds are in order")
}

/// What was counted.
#[derive(Debug)]
pub(super) struct Tally {
    /// Latencies of GETs and SETs that were answered without an error.
    pub(super) latencies: [Histogram<u64>; 2],
    pub(super) hits: u64,
    pub(super) misses: u64,
    /// Requests that failed, by the error's code, or by what happened to the connection.
    pub(super) errors: BTreeMap<String, u64>,
    /// Answers by node.
    pub(super) by_node: Vec<u64>,
    /// Requests of a fixed rate that could not be sent before the end, and for how long they had been due.
    pub(super) unsent: u64,
    waited: Histogram<u64>,
}

impl Tally {
    pub(super) fn new(nodes: usize) -> Tally {
        Tally {
            latencies: [histogram(), histogram()],
            hits: 0,
            misses: 0,
            errors: BTreeMap::new(),
            by_node: vec![0; nodes],
            unsent: 0,
            waited: histogram(),
        }
    }

    /// A request was answered.
    #[inline]
    pub(super) fn answered(&mut self, kind: Kind, node: usize, latency_ns: u64) {
        self.latencies[kind as usize].saturating_record(latency_ns);
        self.by_node[node] += 1;
    }

    /// A request was due for this long and never sent.
    pub(super) fn waited_in_vain(&mut self, waited_ns: u64) {
        self.unsent += 1;
        self.waited.saturating_record(waited_ns);
    }

    /// Requests failed.
    pub(super) fn failed(&mut self, kind: &str, count: u64) {
        if count == 0 {
            return;
        }
        let is_new = !self.errors.contains_key(kind);
        let kind = if is_new && self.errors.len() >= MAX_KINDS {
            "other"
        } else {
            kind
        };
        *self.errors.entry(kind.to_string()).or_default() += count;
    }

    /// Answers without an error.
    pub(super) fn operations(&self) -> u64 {
        self.latencies.iter().map(Histogram::len).sum()
    }

    pub(super) fn failures(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Latencies of all operations, and of requests that were never sent as far as they are known.
    pub(super) fn all_latencies(&self) -> Histogram<u64> {
        let mut all = histogram();
        for one in self.latencies.iter().chain([&self.waited]) {
            all.add(one).expect("the bounds are the same");
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut tally = Tally::new(1);
        for number in 0..1000 {
            tally.failed(&format!("ERR{number}"), 1);
        }
        tally.failed("ERR0", 1);
        tally.failed("never", 0);
        assert_eq!(tally.failures(), 1001);
        assert_eq!(tally.errors["ERR0"], 2);
        assert!(tally.errors.len() <= MAX_KINDS + 1);
    }

    #[test]
    fn latencies_beyond_the_scale_are_kept_at_its_end() {
        let mut tally = Tally::new(1);
        tally.answered(Kind::Get, 0, u64::MAX);
        tally.answered(Kind::Set, 0, 1000);
        assert_eq!(tally.operations(), 2);
        assert!(tally.all_latencies().max() >= HIGHEST_NS);
    }
}
