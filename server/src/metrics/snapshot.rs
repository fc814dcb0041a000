//! Everything that one scrape shows, added up over workers and stripes.

use crate::command::{self, Command, Group};
use crate::config::Settings;
use crate::housekeeping::resident_bytes;
use crate::node::{Node, eviction, unix_ms};
use crate::stats::{CommandTotals, Histogram};
use crate::store::{Store, Survey};
use std::sync::Arc;

/// Clock ticks per second in `/proc`, which Linux keeps at 100 for programs, whatever the kernel's own.
const TICKS_PER_SECOND: f64 = 100.0;

/// A node at one moment.
pub(super) struct Snapshot<'n> {
    pub(super) node: &'n Node,
    pub(super) settings: Arc<Settings>,
    pub(super) keyspace: Survey,
    /// The commands that were called, or refused, at least once, with what all workers saw of each.
    pub(super) commands: Vec<(&'static Command, CommandTotals)>,
    pub(super) resident_bytes: usize,
    pub(super) cpu_seconds: f64,
}

impl<'n> Snapshot<'n> {
    /// Reads everything once.
    pub(super) fn take(node: &'n Node) -> Snapshot<'n> {
        let settings = node.config.settings();
        let keyspace = Store::new(&node.keyspace, 0, unix_ms(), &eviction(&settings)).survey();
        let totals = |command: &'static Command| (command, CommandTotals::of(&node.workers, command.id));
        Snapshot {
            settings,
            keyspace,
            commands: command::all_with_subcommands()
                .iter()
                .map(totals)
                .filter(|(_, totals)| !totals.is_empty())
                .collect(),
            resident_bytes: resident_bytes(),
            cpu_seconds: cpu_seconds(),
            node,
        }
    }

    /// How many runs of a group's commands fell into each step of the histogram, and the nanoseconds of all runs.
    pub(super) fn durations(&self, group: Group) -> (Vec<u64>, u64) {
        let mut steps = vec![0; Histogram::LEN];
        let mut nanos = 0;
        for (_, totals) in self.commands.iter().filter(|(command, _)| command.group == group) {
            nanos += totals.nanos;
            for (sum, count) in steps.iter_mut().zip(totals.steps()) {
                *sum += count;
            }
        }
        (steps, nanos)
    }
}

/// CPU time of this process, user and system; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in brackets and may hold spaces; times are the 14th and 15th.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    ticks as f64 / TICKS_PER_SECOND
}
