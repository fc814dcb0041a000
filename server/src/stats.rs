//! Counters that a worker keeps and anybody may read.
//!
//! Each worker writes only its own, so a plain load and store do instead of an atomic addition; a
//! reader sees values that are a moment old.

use crate::command::COMMAND_COUNT;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A counter with one writer.
#[derive(Default, Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the counter; only its worker may.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0
            .store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Raises the counter to `value` if it is lower; only its worker may.
    pub fn raise_to(&self, value: u64) {
        self.0.store(self.get().max(value), Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Back to zero. An addition at the same moment may undo it.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Steps per doubling of a histogram: its error is at most an eighth.
pub const STEPS: usize = 8;
/// Nanoseconds below which durations are not told apart, as a power of two.
const FLOOR_LOG2: u32 = 7;
/// Doublings that are told apart: up to 73 minutes.
const DOUBLINGS: usize = 35;

/// Durations of one command on one worker, in logarithmic steps.
#[derive(Debug)]
pub struct Histogram([Counter; STEPS * DOUBLINGS]);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram(std::array::from_fn(|_| Counter::default()))
    }
}

impl Histogram {
    /// How many steps there are.
    pub const LEN: usize = STEPS * DOUBLINGS;

    fn step_of(nanos: u64) -> usize {
        let nanos = nanos.max(1 << FLOOR_LOG2);
        let octave = nanos.ilog2();
        let within = (nanos >> (octave - 3)) as usize & (STEPS - 1);
        ((octave - FLOOR_LOG2) as usize * STEPS + within).min(Histogram::LEN - 1)
    }

    /// The largest duration of a step, in nanoseconds.
    pub fn upper_bound(step: usize) -> u64 {
        let octave = FLOOR_LOG2 + (step / STEPS) as u32;
        let width = 1u64 << (octave - 3);
        (1u64 << octave) + width * (step % STEPS + 1) as u64 - 1
    }

    /// Counts `count` runs that took `nanos` each.
    pub fn record(&self, nanos: u64, count: u64) {
        self.0[Histogram::step_of(nanos)].add(count);
    }

    /// How many runs fell into a step.
    pub fn count(&self, step: usize) -> u64 {
        self.0[step].get()
    }

    fn reset(&self) {
        self.0.iter().for_each(Counter::reset);
    }
}

/// What one worker saw of one command.
#[derive(Default, Debug)]
pub struct CommandStats {
    /// Runs, failed ones included.
    pub calls: Counter,
    /// Time spent, in nanoseconds.
    pub nanos: Counter,
    /// Calls refused before they ran.
    pub rejected: Counter,
    /// Runs that answered an error.
    pub failed: Counter,
    histogram: OnceLock<Box<Histogram>>,
}

impl CommandStats {
    /// Counts runs and their time.
    #[inline]
    pub fn record(&self, nanos_each: u64, count: u64, track_latency: bool) {
        self.calls.add(count);
        self.nanos.add(nanos_each * count);
        if track_latency {
            self.histogram.get_or_init(Box::default).record(nanos_each, count);
        }
    }

    /// The durations; `None` if none was recorded.
    pub fn histogram(&self) -> Option<&Histogram> {
        self.histogram.get().map(Box::as_ref)
    }

    /// Forgets the durations.
    pub fn reset_histogram(&self) {
        if let Some(histogram) = self.histogram() {
            histogram.reset();
        }
    }

    fn reset(&self) {
        [&self.calls, &self.nanos, &self.rejected, &self.failed]
            .into_iter()
            .for_each(Counter::reset);
        self.reset_histogram();
    }
}

/// What one worker counts.
#[derive(Debug)]
pub struct WorkerStats {
    commands: Box<[CommandStats]>,
    /// Bytes read from peers.
    pub bytes_in: Counter,
    /// Bytes written to peers.
    pub bytes_out: Counter,
    /// Reads from sockets.
    pub reads: Counter,
    /// Writes to sockets.
    pub writes: Counter,
    /// Turns: times that a connection's input was worked on.
    pub turns: Counter,
    /// Nanoseconds spent in turns.
    pub busy_nanos: Counter,
    /// The longest turn since the last reset, in nanoseconds.
    pub longest_turn_nanos: Counter,
    /// Handlers that panicked.
    pub panics: Counter,
    /// Protocol errors.
    pub protocol_errors: Counter,
    /// Connections that were closed for reaching a buffer limit.
    pub limit_closes: Counter,
    /// How late the worker's last timer fired, in nanoseconds: the lag of its loop.
    pub lag_nanos: AtomicU64,
    /// How often that lag was measured.
    pub lag_probes: Counter,
    /// The sum of all lags measured, in nanoseconds.
    pub lag_nanos_total: Counter,
    /// The longest lag since the last reset, in nanoseconds.
    pub longest_lag_nanos: Counter,
    /// When the lag was last measured, in milliseconds since the node's start: a sign of life.
    pub probed_ms: AtomicU64,
    /// Connections at present; changed by the acceptor and the worker.
    pub connections: AtomicI64,
}

impl Default for WorkerStats {
    fn default() -> WorkerStats {
        WorkerStats {
            commands: (0..COMMAND_COUNT).map(|_| CommandStats::default()).collect(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            reads: Counter::default(),
            writes: Counter::default(),
            turns: Counter::default(),
            busy_nanos: Counter::default(),
            longest_turn_nanos: Counter::default(),
            panics: Counter::default(),
            protocol_errors: Counter::default(),
            limit_closes: Counter::default(),
            lag_nanos: AtomicU64::new(0),
            lag_probes: Counter::default(),
            lag_nanos_total: Counter::default(),
            longest_lag_nanos: Counter::default(),
            probed_ms: AtomicU64::new(0),
            connections: AtomicI64::new(0),
        }
    }
}

impl WorkerStats {
    /// Notes how late a timer fired, `since_start` after the node's start.
    pub fn record_lag(&self, lag: Duration, since_start: Duration) {
        let nanos = lag.as_nanos() as u64;
        self.lag_nanos.store(nanos, Ordering::Relaxed);
        self.lag_probes.add(1);
        self.lag_nanos_total.add(nanos);
        self.longest_lag_nanos.raise_to(nanos);
        self.probed_ms.store(since_start.as_millis() as u64, Ordering::Relaxed);
    }

    /// What it saw of a command, by the command's id.
    #[inline]
    pub fn command(&self, id: u16) -> &CommandStats {
        &self.commands[usize::from(id)]
    }

    /// What it saw of every command, in the order of ids.
    pub fn commands(&self) -> impl Iterator<Item = &CommandStats> {
        self.commands.iter()
    }

    /// Sets all counters to zero, for CONFIG RESETSTAT.
    pub fn reset(&self) {
        self.commands.iter().for_each(CommandStats::reset);
        let counters = [
            &self.bytes_in,
            &self.bytes_out,
            &self.reads,
            &self.writes,
            &self.turns,
            &self.busy_nanos,
            &self.longest_turn_nanos,
            &self.panics,
            &self.protocol_errors,
            &self.limit_closes,
            &self.lag_probes,
            &self.lag_nanos_total,
            &self.longest_lag_nanos,
        ];
        counters.into_iter().for_each(Counter::reset);
    }
}

/// What all workers saw of one command.
#[derive(Clone, Default, Debug)]
pub struct CommandTotals {
    /// Runs, failed ones included.
    pub calls: u64,
    /// Time spent, in nanoseconds.
    pub nanos: u64,
    /// Calls refused before they ran.
    pub rejected: u64,
    /// Runs that answered an error.
    pub failed: u64,
    /// How many runs fell into each step of a `Histogram`; empty if none was recorded.
    steps: Vec<u64>,
}

impl CommandTotals {
    /// The sum over the workers, of the command with this id.
    pub fn of(workers: &[Arc<WorkerStats>], id: u16) -> CommandTotals {
        let mut totals = CommandTotals::default();
        for stats in workers.iter().map(|worker| worker.command(id)) {
            totals.calls += stats.calls.get();
            totals.nanos += stats.nanos.get();
            totals.rejected += stats.rejected.get();
            totals.failed += stats.failed.get();
            if let Some(histogram) = stats.histogram() {
                totals.steps.resize(Histogram::LEN, 0);
                for (step, count) in totals.steps.iter_mut().enumerate() {
                    *count += histogram.count(step);
                }
            }
        }
        totals
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.calls == 0 && self.rejected == 0 && self.failed == 0
    }

    /// How many runs fell into each step of a `Histogram`; empty if none was recorded.
    pub fn steps(&self) -> &[u64] {
        &self.steps
    }

    /// How many runs the histogram has counted.
    pub fn timed(&self) -> u64 {
        self.steps.iter().sum()
    }

    /// The duration in nanoseconds that this share of the runs did not exceed, at most an eighth too high;
    /// `percent` from 0 to 100. `None` if no run was timed.
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        let timed = self.timed();
        if timed == 0 {
            return None;
        }
        let rank = ((percent / 100.0 * timed as f64).ceil() as u64).clamp(1, timed);
        let mut seen = 0;
        let step = self.steps.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        step.map(Histogram::upper_bound)
    }

    /// The histogram with a step per doubling: for each that has runs, its upper bound in nanoseconds and how
    /// many runs took no longer. The first ends at 1,024 ns.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut rows: Vec<(u64, u64)> = Vec::new();
        let mut seen = 0;
        for (step, &count) in self.steps.iter().enumerate().filter(|(_, count)| **count > 0) {
            seen += count;
            let bound = (Histogram::upper_bound(step) + 1).next_power_of_two().max(1024);
            match rows.last_mut() {
                Some((last, total)) if *last == bound => *total = seen,
                _ => rows.push((bound, seen)),
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_sum_the_workers_and_bound_every_duration() {
        let workers: Vec<Arc<WorkerStats>> = (0..3).map(|_| Arc::default()).collect();
        for worker in &workers {
            worker.command(1).record(500, 10, true);
            worker.command(1).record(70_000, 1, true);
        }
        let totals = CommandTotals::of(&workers, 1);
        assert_eq!((totals.calls, totals.timed(), totals.nanos), (33, 33, 3 * 75_000));
        assert_eq!(totals.cumulative(), [(1024, 30), (131_072, 33)]);
        let (half, all) = (totals.percentile(50.0).unwrap(), totals.percentile(100.0).unwrap());
        assert!((500..=563).contains(&half), "{half}");
        assert!((70_000..=78_750).contains(&all), "{all}");
        assert_eq!(totals.percentile(0.0), Some(half));
        assert_eq!(CommandTotals::of(&workers, 2).percentile(50.0), None);
        assert!(CommandTotals::of(&workers, 2).is_empty());
    }

    #[test]
    fn steps_hold_what_is_put_into_them() {
        for nanos in (0..2000).chain([1 << 20, (1 << 20) - 1, 1 << 41]) {
            let step = Histogram::step_of(nanos);
            assert!(Histogram::upper_bound(step) >= nanos);
            assert!(step == 0 || Histogram::upper_bound(step - 1) < nanos);
        }
    }
}
