//! The sections about what the node is and does at present.

use super::{Source, Text, process};
use crate::client::flag;
use crate::node::unix_micros;
use crate::version::{LARDER_VERSION, REDIS_VERSION};
use std::sync::atomic::Ordering;

/// How often the node keeps house, per second.
const HOUSEKEEPING_HZ: u32 = 10;
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

pub(super) fn server(text: &mut Text, source: &Source<'_>) {
    let (node, settings) = (source.node, &source.settings);
    let uptime = node.started.elapsed().as_secs();
    let executable = std::env::current_exe().unwrap_or_default();
    let file = node.config.file().unwrap_or(std::path::Path::new(""));
    let configured_hz = node
        .config
        .get(&[b"hz"])
        .pop()
        .map_or_else(String::new, |(_, value)| value);
    text.field("redis_version", REDIS_VERSION);
    text.field("redis_git_sha1", "00000000");
    text.field("redis_git_dirty", 0);
    text.field("redis_build_id", 0);
    text.field("redis_mode", "standalone");
    text.field("larder_version", LARDER_VERSION);
    text.field("os", process::system());
    text.field("arch_bits", usize::BITS);
    text.field("monotonic_clock", "POSIX clock_gettime");
    text.field("multiplexing_api", "epoll");
    text.field("process_id", std::process::id());
    text.field("process_supervised", "no");
    text.field("run_id", &node.run_id);
    text.field("tcp_port", settings.port);
    text.field("server_time_usec", unix_micros());
    text.field("uptime_in_seconds", uptime);
    text.field("uptime_in_days", uptime / SECONDS_PER_DAY);
    text.field("hz", HOUSEKEEPING_HZ);
    text.field("configured_hz", configured_hz);
    text.field("lru_clock", (source.now_ms / 1000) & 0x00ff_ffff);
    text.field("executable", executable.display());
    text.field("config_file", file.display());
    text.field("io_threads_active", 0);
    text.field("larder_threads", node.workers.len());
    text.field("larder_stripes", node.keyspace.shape().stripes);
}

pub(super) fn clients(text: &mut Text, source: &Source<'_>) {
    let peers = source.node.clients.all();
    let most = |bytes: fn(&crate::client::Peer) -> usize| peers.iter().map(|peer| bytes(peer)).max().unwrap_or(0);
    let watched: Vec<usize> = peers.iter().map(|peer| peer.watched.load(Ordering::Relaxed)).collect();
    text.field("connected_clients", peers.len());
    text.field("cluster_connections", 0);
    text.field("maxclients", source.settings.maxclients);
    text.field(
        "client_recent_max_input_buffer",
        most(|peer| peer.input_bytes.load(Ordering::Relaxed)),
    );
    text.field(
        "client_recent_max_output_buffer",
        most(|peer| peer.output_bytes.load(Ordering::Relaxed)),
    );
    text.field(
        "blocked_clients",
        peers.iter().filter(|peer| peer.has(flag::BLOCKED)).count(),
    );
    text.fields(&["tracking_clients", "pubsub_clients"], 0);
    text.field("watching_clients", watched.iter().filter(|keys| **keys > 0).count());
    text.field("clients_in_timeout_table", 0);
    text.field("total_watched_keys", watched.iter().sum::<usize>());
    text.fields(&["total_blocking_keys", "total_blocking_keys_on_nokey"], 0);
    text.field(
        "larder_monitoring_clients",
        peers.iter().filter(|peer| peer.has(flag::MONITOR)).count(),
    );
    text.field(
        "larder_most_clients_at_once",
        source.node.totals.peak_clients.load(Ordering::Relaxed),
    );
}

/// Nothing is ever saved: these fields say what Redis says with saving switched off.
pub(super) fn persistence(text: &mut Text, source: &Source<'_>) {
    text.fields(
        &[
            "loading",
            "async_loading",
            "current_cow_peak",
            "current_cow_size",
            "current_cow_size_age",
        ],
        0,
    );
    text.field("current_fork_perc", "0.00");
    text.fields(&["current_save_keys_processed", "current_save_keys_total"], 0);
    text.field("rdb_changes_since_last_save", source.survey.counters.changes);
    text.field("rdb_bgsave_in_progress", 0);
    text.field("rdb_last_save_time", source.node.started_ms / 1000);
    text.field("rdb_last_bgsave_status", "ok");
    text.fields(&["rdb_last_bgsave_time_sec", "rdb_current_bgsave_time_sec"], -1);
    text.fields(
        &[
            "rdb_saves",
            "rdb_last_cow_size",
            "rdb_last_load_keys_expired",
            "rdb_last_load_keys_loaded",
        ],
        0,
    );
    text.fields(&["aof_enabled", "aof_rewrite_in_progress", "aof_rewrite_scheduled"], 0);
    text.fields(&["aof_last_rewrite_time_sec", "aof_current_rewrite_time_sec"], -1);
    text.field("aof_last_bgrewrite_status", "ok");
    text.fields(&["aof_rewrites", "aof_rewrites_consecutive_failures"], 0);
    text.field("aof_last_write_status", "ok");
    text.fields(
        &[
            "aof_last_cow_size",
            "module_fork_in_progress",
            "module_fork_last_cow_size",
        ],
        0,
    );
}

/// There is no replication: these fields say what Redis says of a primary without replicas.
pub(super) fn replication(text: &mut Text, source: &Source<'_>) {
    text.field("role", "master");
    text.field("connected_slaves", 0);
    text.field("master_failover_state", "no-failover");
    text.field("master_replid", &source.node.run_id);
    text.field("master_replid2", "0".repeat(40));
    text.field("master_repl_offset", 0);
    text.field("second_repl_offset", -1);
    text.fields(
        &[
            "repl_backlog_active",
            "repl_backlog_size",
            "repl_backlog_first_byte_offset",
            "repl_backlog_histlen",
        ],
        0,
    );
}

pub(super) fn cpu(text: &mut Text, _: &Source<'_>) {
    let times = process::cpu_times();
    for (name, time) in [
        ("", times.process),
        ("_children", times.children),
        ("_main_thread", times.main_thread),
    ] {
        text.field(
            &format!("used_cpu_sys{name}"),
            format_args!("{:.6}", time.system.as_secs_f64()),
        );
        text.field(
            &format!("used_cpu_user{name}"),
            format_args!("{:.6}", time.user.as_secs_f64()),
        );
    }
}

pub(super) fn cluster(text: &mut Text, _: &Source<'_>) {
    text.field("cluster_enabled", 0);
}
