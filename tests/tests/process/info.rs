//! INFO's sections and fields, against those of the real Redis and what tools read.

use super::known;
use larder_tests::server::Server;
use std::collections::BTreeMap;

/// Fields of Redis 7.0 that Larder does not have: `field: reason`.
const KNOWN: &str = include_str!("known-info.txt");

/// Fields that redis_exporter (its map of metrics), redis-cli (`--stat`, `--bigkeys`, `--hotkeys`) and redis-py read.
const READ_BY_TOOLS: &str = "uptime_in_seconds process_id connected_clients blocked_clients maxclients tracking_clients \
    clients_in_timeout_table client_recent_max_input_buffer client_recent_max_output_buffer cluster_connections \
    allocator_active allocator_allocated allocator_resident allocator_frag_ratio allocator_frag_bytes \
    allocator_rss_ratio allocator_rss_bytes used_memory used_memory_rss used_memory_peak used_memory_lua \
    used_memory_overhead used_memory_startup used_memory_dataset used_memory_scripts number_of_cached_scripts \
    maxmemory maxmemory_policy mem_fragmentation_ratio mem_fragmentation_bytes mem_clients_slaves mem_clients_normal \
    mem_cluster_links mem_aof_buffer mem_replication_backlog mem_not_counted_for_evict active_defrag_running \
    lazyfree_pending_objects lazyfreed_objects mem_allocator loading async_loading rdb_changes_since_last_save \
    rdb_bgsave_in_progress rdb_last_save_time rdb_last_bgsave_status rdb_last_bgsave_time_sec \
    rdb_current_bgsave_time_sec rdb_saves rdb_last_cow_size rdb_last_load_keys_expired rdb_last_load_keys_loaded \
    aof_enabled aof_rewrite_in_progress aof_rewrite_scheduled aof_last_rewrite_time_sec aof_current_rewrite_time_sec \
    aof_last_cow_size aof_last_bgrewrite_status aof_last_write_status module_fork_in_progress \
    module_fork_last_cow_size total_connections_received total_commands_processed instantaneous_ops_per_sec \
    total_net_input_bytes total_net_output_bytes total_net_repl_input_bytes total_net_repl_output_bytes \
    instantaneous_input_kbps instantaneous_output_kbps rejected_connections sync_full sync_partial_ok \
    sync_partial_err expired_keys expired_stale_perc expired_time_cap_reached_count expire_cycle_cpu_milliseconds \
    evicted_keys evicted_clients total_eviction_exceeded_time current_eviction_exceeded_time keyspace_hits \
    keyspace_misses pubsub_channels pubsub_patterns pubsubshard_channels latest_fork_usec total_forks \
    migrate_cached_sockets slave_expires_tracked_keys active_defrag_hits active_defrag_misses \
    active_defrag_key_hits active_defrag_key_misses total_active_defrag_time current_active_defrag_time \
    tracking_total_keys tracking_total_items tracking_total_prefixes unexpected_error_replies total_error_replies \
    dump_payload_sanitizations total_reads_processed total_writes_processed io_threaded_reads_processed \
    io_threaded_writes_processed acl_access_denied_auth acl_access_denied_cmd acl_access_denied_key \
    acl_access_denied_channel role connected_slaves master_failover_state master_replid master_replid2 \
    master_repl_offset second_repl_offset repl_backlog_active repl_backlog_size repl_backlog_first_byte_offset \
    repl_backlog_histlen used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children \
    used_cpu_sys_main_thread used_cpu_user_main_thread cluster_enabled redis_version redis_mode redis_build_id os \
    run_id tcp_port arch_bits multiplexing_api io_threads_active hz lru_clock executable config_file \
    total_system_memory used_memory_human used_memory_peak_human maxmemory_human db0 cmdstat_set \
    latency_percentiles_usec_set errorstat_ERR";

type Sections = BTreeMap<String, BTreeMap<String, String>>;

fn sections(server: &Server, args: &str) -> Sections {
    let mut conn = server.connect();
    for line in ["SET k v EX 1000", "GET k", "GET absent", "NOSUCH"] {
        conn.call(line);
    }
    let mut found = Sections::new();
    let mut title = String::new();
    for line in conn
        .call(&format!("INFO {args}"))
        .text()
        .split("\r\n")
        .filter(|line| !line.is_empty())
    {
        if let Some(next) = line.strip_prefix("# ") {
            title = next.to_string();
            assert!(
                found.insert(title.clone(), BTreeMap::new()).is_none(),
                "{title} comes twice"
            );
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line}"));
        let section = found.get_mut(&title).expect("a title comes first");
        assert!(
            section.insert(field.to_string(), value.to_string()).is_none(),
            "{field} comes twice"
        );
    }
    found
}

#[test]
fn sections_are_those_of_redis_whatever_is_asked_for() {
    let servers = [Server::redis(&[]), Server::larder(&[])];
    for args in [
        "",
        "default",
        "all",
        "everything",
        "server",
        "clients memory",
        "commandstats",
        "KEYSPACE cpu",
        "nosuch",
        "all nosuch",
    ] {
        let [redis, larder] = servers.each_ref().map(|server| {
            let text = server.connect().call(&format!("INFO {args}")).text();
            let titles = text
                .lines()
                .filter_map(|line| line.strip_prefix("# "))
                .map(str::to_string);
            titles.collect::<Vec<_>>()
        });
        assert_eq!(redis, larder, "INFO {args}");
    }
}

#[test]
fn fields_are_those_of_redis_and_numbers_where_redis_has_numbers() {
    let (redis, larder) = (Server::redis(&[]), Server::larder(&[]));
    let (redis, larder) = (sections(&redis, "everything"), sections(&larder, "everything"));
    let known = known(KNOWN);
    let mut problems = Vec::new();
    for (title, fields) in &redis {
        for (field, value) in fields {
            // Which commands have run is told by the section, not by its fields.
            if field.starts_with("cmdstat_") || field.starts_with("latency_percentiles_usec_") {
                continue;
            }
            let listed = known.contains_key(field.as_str());
            // A hexadecimal number: whether it looks like a decimal one is chance.
            match larder.get(title).and_then(|fields| fields.get(field)) {
                None if !listed => problems.push(format!("{title}: no {field} ({value} in Redis)")),
                Some(_) if listed => problems.push(format!(
                    "{field} is no difference any more: drop it from known-info.txt"
                )),
                Some(ours) if field != "redis_build_id" && shape(value) != shape(ours) => {
                    problems.push(format!("{field}: {value} in Redis, {ours} here"));
                }
                _ => {}
            }
        }
    }
    for field in known.keys() {
        let there = redis.values().any(|fields| fields.contains_key(*field));
        if !there {
            problems.push(format!("Redis has no {field}: drop it from known-info.txt"));
        }
    }
    let ours = larder
        .iter()
        .flat_map(|(title, fields)| fields.keys().map(move |field| (title, field)));
    for (title, field) in ours {
        let theirs = redis.get(title).is_some_and(|fields| fields.contains_key(field));
        let newer = NEWER.contains(&field.as_str()) || field.starts_with("larder_");
        if !theirs && !newer && !field.starts_with("cmdstat_") && !field.starts_with("latency_percentiles_usec_") {
            problems.push(format!("{title}: {field} is neither Redis's nor named larder_*"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Fields that came with Redis 7.2, which Larder follows.
const NEWER: &[&str] = &[
    "pubsub_clients",
    "watching_clients",
    "total_watched_keys",
    "total_blocking_keys",
    "total_blocking_keys_on_nokey",
    "acl_access_denied_auth",
    "acl_access_denied_cmd",
    "acl_access_denied_key",
    "acl_access_denied_channel",
];

/// What a reader can make of a value: `a=1,b=2` is `a=number,b=number`.
fn shape(value: &str) -> String {
    let kind = |text: &str| {
        let text = text.trim_end_matches('%');
        if text.parse::<f64>().is_ok() { "number" } else { "text" }
    };
    if !value.contains('=') {
        return kind(value).to_string();
    }
    let parts = value.split(',').map(|part| match part.split_once('=') {
        Some((name, value)) => format!("{name}={}", kind(value)),
        None => kind(part).to_string(),
    });
    parts.collect::<Vec<_>>().join(",")
}

#[test]
fn what_exporters_and_clients_read_is_there() {
    let found = sections(&Server::larder(&[]), "everything");
    let missing: Vec<&str> = READ_BY_TOOLS
        .split_whitespace()
        .filter(|field| !found.values().any(|fields| fields.contains_key(*field)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let value = |field: &str| {
        found
            .values()
            .find_map(|fields| fields.get(field))
            .cloned()
            .unwrap_or_default()
    };
    for (field, parts) in [
        ("db0", "keys=,expires=,avg_ttl="),
        (
            "cmdstat_set",
            "calls=,usec=,usec_per_call=,rejected_calls=,failed_calls=",
        ),
        ("errorstat_ERR", "count="),
        ("latency_percentiles_usec_set", "p50=,p99=,p99.9="),
    ] {
        let names: Vec<String> = value(field)
            .split(',')
            .map(|part| {
                let (name, number) = part.split_once('=').unwrap_or_else(|| panic!("{field}: {part}"));
                assert!(number.parse::<f64>().is_ok(), "{field}: {part}");
                format!("{name}=")
            })
            .collect();
        assert_eq!(names.join(","), parts, "{field}");
    }
}

#[test]
fn counters_of_info_count() {
    let server = Server::larder(&[]);
    let mut conn = server.connect();
    let number = |field: &str| {
        let text = server.info(field).unwrap_or_else(|| panic!("no {field}"));
        text.parse::<f64>().unwrap_or_else(|_| panic!("{field}: {text}"))
    };
    let fields = [
        "keyspace_hits",
        "keyspace_misses",
        "total_error_replies",
        "expired_keys",
        "total_net_input_bytes",
    ];
    let before = fields.map(number);
    for line in ["SET k v", "GET k", "GET k", "GET absent", "INCR k", "SET gone v PX 1"] {
        conn.call(line);
    }
    larder_tests::wait::expect_within(larder_tests::wait::PATIENCE, "expired", || {
        number("expired_keys") >= before[3] + 1.0
    });
    let rise: Vec<f64> = fields
        .map(number)
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    assert_eq!(rise[..4], [2.0, 1.0, 1.0, 1.0], "{fields:?}");
    assert!(rise[4] > 100.0, "{rise:?}");
    assert!(number("used_memory") > 0.0 && number("used_memory_rss") >= 1e6);
    // This connection and the one that asks; one that has just asked may not be gone yet.
    larder_tests::wait::expect_within(larder_tests::wait::PATIENCE, "two clients", || {
        number("connected_clients") == 2.0
    });
}

#[test]
fn client_list_and_memory_stats_have_the_fields_of_redis() {
    let [redis, larder] = [Server::redis(&[]), Server::larder(&[])].map(|server| {
        let mut conn = server.connect();
        conn.call("SET k v");
        let line = conn.call("CLIENT INFO").text();
        let client: Vec<String> = line
            .split_whitespace()
            .map(|word| word.split('=').next().unwrap_or_default().into())
            .collect();
        let stats = conn.call("MEMORY STATS");
        let memory: Vec<String> = stats
            .items()
            .expect("a map")
            .chunks(2)
            .map(|pair| pair[0].text())
            .collect();
        [client, memory]
    });
    let missing = |at: usize| {
        redis[at]
            .iter()
            .filter(|field| !larder[at].contains(field))
            .collect::<Vec<_>>()
    };
    assert_eq!((missing(0), missing(1)), (vec![], vec![]));
    // In Redis's order, with what later versions added in between.
    let common: Vec<&String> = larder[0].iter().filter(|field| redis[0].contains(field)).collect();
    assert_eq!(common, redis[0].iter().collect::<Vec<_>>());
}
