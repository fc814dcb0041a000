//! The sections that count: Stats, Commandstats, Errorstats, Latencystats, Keyspace.

use super::{Source, Text};
use crate::command;
use crate::stats::{CommandTotals, Counter, WorkerStats};
use std::sync::atomic::Ordering;

pub(super) fn stats(text: &mut Text, source: &Source<'_>) {
    let (node, counters) = (source.node, &source.survey.counters);
    let totals = &node.totals;
    let sum =
        |counter: fn(&WorkerStats) -> &Counter| node.workers.iter().map(|worker| counter(worker).get()).sum::<u64>();
    let kilobytes = |at: usize| {
        format!(
            "{:.2}",
            node.bytes_per_second[at].load(Ordering::Relaxed) as f64 / 1024.0
        )
    };
    text.field("total_connections_received", totals.connections.load(Ordering::Relaxed));
    text.field("total_commands_processed", node.commands_processed());
    text.field("instantaneous_ops_per_sec", node.ops_per_second.load(Ordering::Relaxed));
    text.field("total_net_input_bytes", sum(|worker| &worker.bytes_in));
    text.field("total_net_output_bytes", sum(|worker| &worker.bytes_out));
    text.fields(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"], 0);
    text.field("instantaneous_input_kbps", kilobytes(0));
    text.field("instantaneous_output_kbps", kilobytes(1));
    text.fields(
        &["instantaneous_input_repl_kbps", "instantaneous_output_repl_kbps"],
        "0.00",
    );
    text.field("rejected_connections", totals.rejected.load(Ordering::Relaxed));
    text.fields(&["sync_full", "sync_partial_ok", "sync_partial_err"], 0);
    text.field("expired_keys", counters.expired);
    text.field("expired_stale_perc", "0.00");
    text.fields(&["expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds"], 0);
    text.field("evicted_keys", counters.evicted);
    text.field("evicted_clients", totals.evicted_clients.load(Ordering::Relaxed));
    text.fields(&["total_eviction_exceeded_time", "current_eviction_exceeded_time"], 0);
    text.field("keyspace_hits", counters.hits);
    text.field("keyspace_misses", counters.misses);
    absent(text);
    text.field("total_error_replies", totals.errors.load(Ordering::Relaxed));
    text.field("dump_payload_sanitizations", 0);
    text.field("total_reads_processed", sum(|worker| &worker.reads));
    text.field("total_writes_processed", sum(|worker| &worker.writes));
    text.fields(&["io_threaded_reads_processed", "io_threaded_writes_processed"], 0);
    text.fields(&["reply_buffer_shrinks", "reply_buffer_expands"], 0);
    text.field("acl_access_denied_auth", totals.auth_failures.load(Ordering::Relaxed));
    text.fields(
        &[
            "acl_access_denied_cmd",
            "acl_access_denied_key",
            "acl_access_denied_channel",
        ],
        0,
    );
    text.field(
        "larder_out_of_memory_errors",
        totals.out_of_memory.load(Ordering::Relaxed),
    );
    text.field("larder_protocol_errors", sum(|worker| &worker.protocol_errors));
    let soft = totals.soft_limit_closes.load(Ordering::Relaxed);
    text.field(
        "larder_buffer_limit_disconnections",
        sum(|worker| &worker.limit_closes) + soft,
    );
    text.field("larder_handler_panics", sum(|worker| &worker.panics));
}

/// Fields about what Larder does not have: publish and subscribe, forks, defragmentation, tracking.
fn absent(text: &mut Text) {
    text.fields(
        &[
            "pubsub_channels",
            "pubsub_patterns",
            "pubsubshard_channels",
            "latest_fork_usec",
            "total_forks",
            "migrate_cached_sockets",
            "slave_expires_tracked_keys",
            "active_defrag_hits",
            "active_defrag_misses",
            "active_defrag_key_hits",
            "active_defrag_key_misses",
            "total_active_defrag_time",
            "current_active_defrag_time",
            "tracking_total_keys",
            "tracking_total_items",
            "tracking_total_prefixes",
            "unexpected_error_replies",
        ],
        0,
    );
}

fn each_command(source: &Source<'_>, mut visit: impl FnMut(&str, &CommandTotals)) {
    for command in command::all_with_subcommands() {
        let totals = CommandTotals::of(&source.node.workers, command.id);
        if !totals.is_empty() {
            visit(command.full_name, &totals);
        }
    }
}

pub(super) fn commands(text: &mut Text, source: &Source<'_>) {
    each_command(source, |name, totals| {
        let micros = totals.nanos / 1000;
        let per_call = totals.nanos as f64 / 1000.0 / totals.calls.max(1) as f64;
        text.put(format_args!(
            "cmdstat_{name}:calls={},usec={micros},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}\r\n",
            totals.calls, totals.rejected, totals.failed
        ));
    });
}

pub(super) fn errors(text: &mut Text, source: &Source<'_>) {
    for (code, count) in source.node.errors() {
        text.put(format_args!("errorstat_{code}:count={count}\r\n"));
    }
}

pub(super) fn latency(text: &mut Text, source: &Source<'_>) {
    let percentiles = &source.settings.latency_tracking_info_percentiles.0;
    each_command(source, |name, totals| {
        let shown: Vec<String> = percentiles
            .iter()
            .filter_map(|percent| Some((percent, totals.percentile(*percent)?)))
            .map(|(percent, nanos)| format!("p{percent}={:.3}", nanos as f64 / 1000.0))
            .collect();
        if !shown.is_empty() {
            text.put(format_args!("latency_percentiles_usec_{name}:{}\r\n", shown.join(",")));
        }
    });
}

pub(super) fn keyspace(text: &mut Text, source: &Source<'_>) {
    for (number, database) in source
        .survey
        .databases
        .iter()
        .enumerate()
        .filter(|(_, database)| database.keys > 0)
    {
        text.put(format_args!(
            "db{number}:keys={},expires={},avg_ttl={}\r\n",
            database.keys, database.volatile, database.average_ttl_ms
        ));
    }
}
