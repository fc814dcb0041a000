//! The longest operation while a keyspace grows from nothing to many keys, and back to nothing.

use std::time::Instant;

use anyhow::ensure;
use hdrhistogram::Histogram;
use larder_server::node::{Node, eviction, unix_ms};
use larder_server::store::{NewValue, Shape, Store};

use super::options::Options;
use super::thread::{Disturbances, cpu_ns};

/// What no operation may take.
pub(super) const GOAL_NS: u64 = 1_000_000;
/// Bytes of each value; keys have 16.
const VALUE: [u8; 32] = [b'x'; 32];
/// Operations between two looks at what the kernel has done to the thread.
const WINDOW: u64 = 64;
/// Longer operations are counted as this long.
const LONGEST_NS: u64 = 60_000_000_000;
/// How many of the slowest operations are told of one by one.
const SLOWEST: usize = 5;
/// Readings from which the clock's own share is found.
const CLOCK_READINGS: usize = 100_000;

/// What was found.
pub(super) struct Stalls {
    pub(super) shape: Shape,
    pub(super) limit_bytes: u64,
    /// What the measured time of an operation that does nothing is, in nanoseconds (median).
    pub(super) clock_ns: u64,
    /// Bytes of entries and index with all keys there.
    pub(super) full_bytes: usize,
    pub(super) runs: Vec<Run>,
}

/// One direction: all keys in, or all keys out.
pub(super) struct Run {
    pub(super) name: &'static str,
    /// Thread CPU time of each operation in nanoseconds, the clock's share included.
    pub(super) times: Histogram<u64>,
    pub(super) over_goal: u64,
    /// Those of them with a page fault in them or in the few operations before: the kernel's, or a virtual
    /// machine's host's, time to hand out a page.
    pub(super) over_goal_with_fault: u64,
    /// The slowest, slowest first.
    pub(super) slowest: Vec<Slow>,
    pub(super) seconds: f64,
}

/// One slow operation.
#[derive(Clone, Copy)]
pub(super) struct Slow {
    pub(super) number: u64,
    pub(super) cpu_ns: u64,
    pub(super) wall_ns: u64,
    /// In the operation or in the few before it.
    pub(super) around: Disturbances,
    /// How many operations `around` spans.
    pub(super) span: u64,
}

pub(super) fn measure(node: &Node, options: &Options) -> anyhow::Result<Stalls> {
    let settings = node.config.settings();
    let eviction = eviction(&settings);
    let keyspace = &node.keyspace;
    let count = options.inserts;
    // A key opened by a view that lives for one command, as a handler has it.
    let insert = time_each("insert", count, |key, now_ms| {
        let mut store = Store::new(keyspace, 0, now_ms, &eviction);
        store.key(key).set(NewValue::Bytes(&VALUE), None);
        true
    })?;
    let full_bytes = keyspace.used_bytes();
    check(node, count)?;
    let delete = time_each("delete", count, |key, now_ms| {
        Store::new(keyspace, 0, now_ms, &eviction).key(key).remove()
    })?;
    check(node, 0)?;
    Ok(Stalls {
        shape: keyspace.shape(),
        limit_bytes: node.memory_limit.load(std::sync::atomic::Ordering::Relaxed),
        clock_ns: clock_share(),
        full_bytes,
        runs: vec![insert, delete],
    })
}

fn check(node: &Node, expected: u64) -> anyhow::Result<()> {
    let eviction = eviction(&node.config.settings());
    let found = Store::new(&node.keyspace, 0, unix_ms(), &eviction).len(0);
    ensure!(found as u64 == expected, "{found} keys where {expected} should be");
    Ok(())
}

fn time_each(name: &'static str, count: u64, mut work: impl FnMut(&[u8], u64) -> bool) -> anyhow::Result<Run> {
    let mut run = Run {
        name,
        times: Histogram::new_with_max(LONGEST_NS, 3)?,
        over_goal: 0,
        over_goal_with_fault: 0,
        slowest: Vec::with_capacity(SLOWEST + 1),
        seconds: 0.0,
    };
    let began = Instant::now();
    let (mut now_ms, mut seen) = (unix_ms(), Disturbances::now());
    for number in 0..count {
        if number % WINDOW == 0 {
            (now_ms, seen) = (unix_ms(), Disturbances::now());
        }
        let key = key(number);
        let started = Instant::now();
        let before = cpu_ns();
        let done = work(&key, now_ms);
        let cpu_ns = cpu_ns() - before;
        let wall_ns = started.elapsed().as_nanos() as u64;
        ensure!(done, "{name}: operation {number} did nothing");
        run.times.saturating_record(cpu_ns);
        if cpu_ns > GOAL_NS
            || run.slowest.len() < SLOWEST
            || run.slowest.last().is_some_and(|last| last.cpu_ns < cpu_ns)
        {
            run.note(Slow {
                number,
                cpu_ns,
                wall_ns,
                around: Disturbances::now().since(seen),
                span: number % WINDOW + 1,
            });
        }
    }
    run.seconds = began.elapsed().as_secs_f64();
    Ok(run)
}

impl Run {
    fn note(&mut self, slow: Slow) {
        if slow.cpu_ns > GOAL_NS {
            self.over_goal += 1;
            self.over_goal_with_fault += u64::from(slow.around.faults > 0);
        }
        let at = self.slowest.partition_point(|other| other.cpu_ns >= slow.cpu_ns);
        self.slowest.insert(at, slow);
        self.slowest.truncate(SLOWEST);
    }
}

/// The key with this number: 16 bytes.
fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

fn clock_share() -> u64 {
    let mut readings: Vec<u64> = (0..CLOCK_READINGS)
        .map(|_| {
            let before = cpu_ns();
            cpu_ns() - before
        })
        .collect();
    readings.sort_unstable();
    readings[readings.len() / 2]
}
