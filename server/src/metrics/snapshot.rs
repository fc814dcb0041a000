//! Everything that one scrape shows, added up over workers and stripes.

use crate::command::{self, Command, Group};
use crate::config::Settings;
use crate::housekeeping::resident_bytes;
use crate::node::Node;
use crate::stats::{CommandStats, Histogram};
use crate::store::{Counters, Memory};
use std::sync::Arc;

/// Clock ticks per second in `/proc`, which Linux keeps at 100 for programs, whatever the kernel's own.
const TICKS_PER_SECOND: f64 = 100.0;

/// A node at one moment.
pub(super) struct Snapshot<'n> {
    pub(super) node: &'n Node,
    pub(super) settings: Arc<Settings>,
    pub(super) memory: Memory,
    pub(super) counters: Counters,
    /// Keys, and keys with a deadline, of each database.
    pub(super) databases: Vec<(usize, usize)>,
    /// The commands that were called, or refused, at least once.
    pub(super) commands: Vec<CommandTotals>,
    pub(super) resident_bytes: usize,
    pub(super) cpu_seconds: f64,
}

/// What all workers saw of one command.
pub(super) struct CommandTotals {
    pub(super) command: &'static Command,
    pub(super) calls: u64,
    pub(super) nanos: u64,
    pub(super) rejected: u64,
    pub(super) failed: u64,
}

impl<'n> Snapshot<'n> {
    /// Reads everything once.
    pub(super) fn take(node: &'n Node) -> Snapshot<'n> {
        Snapshot {
            settings: node.config.settings(),
            memory: node.keyspace.memory(),
            counters: node.keyspace.counters(),
            databases: node.keyspace.census(),
            commands: command::all_with_subcommands()
                .iter()
                .map(|command| CommandTotals::of(node, command))
                .filter(|totals| totals.calls + totals.rejected > 0)
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
        for totals in self.commands.iter().filter(|totals| totals.command.group == group) {
            nanos += totals.nanos;
            let stats = self.node.workers.iter().map(|worker| worker.command(totals.command.id));
            for histogram in stats.filter_map(CommandStats::histogram) {
                for (step, count) in steps.iter_mut().enumerate() {
                    *count += histogram.count(step);
                }
            }
        }
        (steps, nanos)
    }
}

impl CommandTotals {
    fn of(node: &Node, command: &'static Command) -> CommandTotals {
        let start = CommandTotals {
            command,
            calls: 0,
            nanos: 0,
            rejected: 0,
            failed: 0,
        };
        node.workers.iter().fold(start, |sum, worker| {
            let stats = worker.command(command.id);
            CommandTotals {
                command,
                calls: sum.calls.wrapping_add(stats.calls.get()),
                nanos: sum.nanos.wrapping_add(stats.nanos.get()),
                rejected: sum.rejected.wrapping_add(stats.rejected.get()),
                failed: sum.failed.wrapping_add(stats.failed.get()),
            }
        })
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
