//! The table of metrics: one row gives a family's place on the page and its line in `docs/observability.md`.
//!
//! After a change: `LARDER_BLESS=1 cargo test -p larder-server metrics` rewrites the documentation's table.

use super::prefixes::PREFIXES;
use super::snapshot::Snapshot;
use super::text::Kind::{Counter, Gauge, Histogram, Summary};
use super::text::{Family, Kind, Samples};
use crate::command::Group;
use crate::info::memory::Usage;
use crate::stats::{self, CommandTotals, WorkerStats};
use std::sync::atomic::Ordering::Relaxed;

pub(super) type Write = fn(&Snapshot<'_>, &mut Samples<'_>);

pub(super) const fn family(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    write: Write,
) -> Family {
    Family {
        name,
        kind,
        labels,
        help,
        write,
    }
}

const COMMAND: &[&str] = &["cmd", "group"];
const WORKER: &[&str] = &["worker"];

/// All families, in the order of the page.
pub(super) const ALL: &[&[Family]] = &[NODE, COMMANDS, WORKERS, CONNECTIONS, KEYSPACE, PREFIXES, MEMORY];

const NODE: &[Family] = &[
    family(
        "larder_build_info",
        Gauge,
        &["version"],
        "Always 1; its label says what runs.",
        |_, to| {
            to.add(&[env!("CARGO_PKG_VERSION")], 1);
        },
    ),
    family(
        "process_start_time_seconds",
        Gauge,
        &[],
        "When the node started, in Unix time.",
        |now, to| {
            to.one(now.node.started_ms as f64 / 1e3);
        },
    ),
    family(
        "process_cpu_seconds_total",
        Counter,
        &[],
        "CPU time used, user and system.",
        |now, to| {
            to.one(now.cpu_seconds);
        },
    ),
    family(
        "process_resident_memory_bytes",
        Gauge,
        &[],
        "Resident memory of the process.",
        |now, to| {
            to.one(now.resident_bytes);
        },
    ),
];

const COMMANDS: &[Family] = &[
    family(
        "larder_commands_total",
        Counter,
        COMMAND,
        "Commands run, failed ones included.",
        |now, to| {
            per_command(now, to, |totals| totals.calls as f64);
        },
    ),
    family(
        "larder_commands_failed_total",
        Counter,
        COMMAND,
        "Commands that ran and answered an error.",
        |now, to| per_command(now, to, |totals| totals.failed as f64),
    ),
    family(
        "larder_commands_rejected_total",
        Counter,
        COMMAND,
        "Commands refused before they ran: wrong number of arguments, no permission, no memory.",
        |now, to| per_command(now, to, |totals| totals.rejected as f64),
    ),
    family(
        "larder_commands_duration_seconds_total",
        Counter,
        COMMAND,
        "Time spent running commands.",
        |now, to| per_command(now, to, |totals| seconds(totals.nanos)),
    ),
    family(
        "larder_command_duration_seconds",
        Histogram,
        &["group"],
        "How long commands ran, by group; absent while latency-tracking is off.",
        durations,
    ),
    family(
        "larder_errors_total",
        Counter,
        &["code"],
        "Error replies by the error's code.",
        |now, to| {
            for (code, count) in now.node.errors() {
                to.add(&[&code], count);
            }
        },
    ),
];

const WORKERS: &[Family] = &[
    family(
        "larder_worker_busy_seconds_total",
        Counter,
        WORKER,
        "Time a worker spent on requests.",
        |now, to| {
            per_worker(now, to, |worker| seconds(worker.busy_nanos.get()));
        },
    ),
    family(
        "larder_worker_connections",
        Gauge,
        WORKER,
        "Connections that a worker serves.",
        |now, to| {
            per_worker(now, to, |worker| worker.connections.load(Relaxed) as f64);
        },
    ),
    family(
        "larder_worker_received_bytes_total",
        Counter,
        WORKER,
        "Bytes read from clients.",
        |now, to| {
            per_worker(now, to, |worker| worker.bytes_in.get() as f64);
        },
    ),
    family(
        "larder_worker_sent_bytes_total",
        Counter,
        WORKER,
        "Bytes written to clients.",
        |now, to| {
            per_worker(now, to, |worker| worker.bytes_out.get() as f64);
        },
    ),
    family(
        "larder_worker_reads_total",
        Counter,
        WORKER,
        "Reads from sockets.",
        |now, to| {
            per_worker(now, to, |worker| worker.reads.get() as f64);
        },
    ),
    family(
        "larder_worker_writes_total",
        Counter,
        WORKER,
        "Writes to sockets.",
        |now, to| {
            per_worker(now, to, |worker| worker.writes.get() as f64);
        },
    ),
    family(
        "larder_worker_turns_total",
        Counter,
        WORKER,
        "Batches of requests worked on.",
        |now, to| {
            per_worker(now, to, |worker| worker.turns.get() as f64);
        },
    ),
    family(
        "larder_worker_longest_turn_seconds",
        Gauge,
        WORKER,
        "The longest time one batch took since the start or CONFIG RESETSTAT.",
        |now, to| per_worker(now, to, |worker| seconds(worker.longest_turn_nanos.get())),
    ),
    family(
        "larder_worker_loop_lag_seconds",
        Summary,
        WORKER,
        "How late a worker's timers fire, measured twice a second; up to 0.001 is the timers' resolution.",
        |now, to| {
            for (index, worker) in now.node.workers.iter().enumerate() {
                let lag = seconds(worker.lag_nanos_total.get());
                to.total(&[&index.to_string()], lag, worker.lag_probes.get());
            }
        },
    ),
    family(
        "larder_worker_longest_loop_lag_seconds",
        Gauge,
        WORKER,
        "The longest such lag since the start or CONFIG RESETSTAT.",
        |now, to| per_worker(now, to, |worker| seconds(worker.longest_lag_nanos.get())),
    ),
    family(
        "larder_panics_total",
        Counter,
        WORKER,
        "Commands that panicked, which is a defect: please report it.",
        |now, to| per_worker(now, to, |worker| worker.panics.get() as f64),
    ),
    family(
        "larder_protocol_errors_total",
        Counter,
        WORKER,
        "Connections closed for bad requests.",
        |now, to| {
            per_worker(now, to, |worker| worker.protocol_errors.get() as f64);
        },
    ),
];

const CONNECTIONS: &[Family] = &[
    family(
        "larder_connections",
        Gauge,
        &[],
        "Connections that are open.",
        |now, to| {
            to.one(now.node.clients.len());
        },
    ),
    family(
        "larder_connections_limit",
        Gauge,
        &[],
        "How many may be open: maxclients.",
        |now, to| {
            to.one(now.settings.maxclients);
        },
    ),
    family(
        "larder_connections_accepted_total",
        Counter,
        &[],
        "Connections accepted.",
        |now, to| {
            to.one(now.node.totals.connections.load(Relaxed));
        },
    ),
    family(
        "larder_connections_rejected_total",
        Counter,
        &[],
        "Connections refused: maxclients or protected mode.",
        |now, to| to.one(now.node.totals.rejected.load(Relaxed)),
    ),
    family(
        "larder_connections_evicted_total",
        Counter,
        &[],
        "Connections closed to keep the buffers of all under maxmemory-clients.",
        |now, to| to.one(now.node.totals.evicted_clients.load(Relaxed)),
    ),
    family(
        "larder_limit_closes_total",
        Counter,
        &[],
        "Connections closed for reaching a limit of their own buffers.",
        |now, to| {
            let hard: u64 = now.node.workers.iter().map(|worker| worker.limit_closes.get()).sum();
            to.one(hard + now.node.totals.soft_limit_closes.load(Relaxed));
        },
    ),
    family(
        "larder_auth_failures_total",
        Counter,
        &[],
        "Wrong passwords.",
        |now, to| {
            to.one(now.node.totals.auth_failures.load(Relaxed));
        },
    ),
];

const KEYSPACE: &[Family] = &[
    family(
        "larder_keyspace_hits_total",
        Counter,
        &[],
        "Reads that found their key.",
        |now, to| {
            to.one(now.keyspace.counters.hits);
        },
    ),
    family(
        "larder_keyspace_misses_total",
        Counter,
        &[],
        "Reads that did not.",
        |now, to| {
            to.one(now.keyspace.counters.misses);
        },
    ),
    family(
        "larder_keys_expired_total",
        Counter,
        &[],
        "Keys removed because their time was over.",
        |now, to| {
            to.one(now.keyspace.counters.expired);
        },
    ),
    family(
        "larder_keys_evicted_total",
        Counter,
        &[],
        "Keys removed to make room.",
        |now, to| {
            to.one(now.keyspace.counters.evicted);
        },
    ),
    family(
        "larder_keyspace_changes_total",
        Counter,
        &[],
        "Changes of keys, whoever caused them.",
        |now, to| {
            to.one(now.keyspace.counters.changes);
        },
    ),
    family(
        "larder_keys",
        Gauge,
        &["db"],
        "Keys of a database; empty databases but 0 are left out.",
        |now, to| {
            per_database(now, to, |keys, _| keys);
        },
    ),
    family(
        "larder_keys_with_ttl",
        Gauge,
        &["db"],
        "Those of them that have a time to live.",
        |now, to| {
            per_database(now, to, |_, volatile| volatile);
        },
    ),
];

const MEMORY: &[Family] = &[
    family(
        "larder_memory_bytes",
        Gauge,
        &["kind"],
        "Memory by use: entries, index, slabs_free (room for entries of the same size), slabs_overhead, spare_pages, \
         connection_buffers.",
        |now, to| {
            for (kind, bytes) in Usage::of(now.node, &now.keyspace).kinds() {
                to.add(&[kind], bytes as usize);
            }
        },
    ),
    family(
        "larder_memory_limit_bytes",
        Gauge,
        &[],
        "maxmemory, or what stands for it; 0: none.",
        |now, to| {
            to.one(now.node.memory_limit.load(Relaxed));
        },
    ),
    family(
        "larder_memory_peak_bytes",
        Gauge,
        &[],
        "The most that entries, index and connection buffers ever took.",
        |now, to| {
            to.one(now.node.totals.peak_bytes.load(Relaxed));
        },
    ),
    family(
        "larder_writes_refused_total",
        Counter,
        &[],
        "Writes refused for want of memory.",
        |now, to| {
            to.one(now.node.totals.out_of_memory.load(Relaxed));
        },
    ),
];

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn per_command(now: &Snapshot<'_>, to: &mut Samples<'_>, value: impl Fn(&CommandTotals) -> f64) {
    for (command, totals) in &now.commands {
        to.add(&[command.full_name, command.group.name()], value(totals));
    }
}

fn per_worker(now: &Snapshot<'_>, to: &mut Samples<'_>, value: impl Fn(&WorkerStats) -> f64) {
    for (index, worker) in now.node.workers.iter().enumerate() {
        to.add(&[&index.to_string()], value(worker));
    }
}

fn per_database(now: &Snapshot<'_>, to: &mut Samples<'_>, value: fn(usize, usize) -> usize) {
    for (index, database) in now.keyspace.databases.iter().enumerate() {
        if database.keys > 0 || index == 0 {
            to.add(&[&index.to_string()], value(database.keys, database.volatile));
        }
    }
}

/// Bounds of the page's buckets: every doubling from 1 us to 17 s; the steps between tell little for their lines.
const FIRST_DOUBLING: usize = 2;
const LAST_DOUBLING: usize = 26;

fn durations(now: &Snapshot<'_>, to: &mut Samples<'_>) {
    if !now.settings.latency_tracking {
        return;
    }
    for group in Group::ALL {
        let (steps, nanos) = now.durations(group);
        let count: u64 = steps.iter().sum();
        for doubling in FIRST_DOUBLING..=LAST_DOUBLING {
            let end = (doubling + 1) * stats::STEPS;
            let le = seconds(stats::Histogram::upper_bound(end - 1)).to_string();
            to.bucket(&[group.name()], &le, steps[..end].iter().sum());
        }
        to.bucket(&[group.name()], "+Inf", count);
        to.total(&[group.name()], seconds(nanos), count);
    }
}
