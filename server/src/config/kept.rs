//! The names that Redis has and that cannot matter to Larder: accepted, checked, kept and returned, and never used.
//!
//! What would change a server's behaviour if it were ignored is not here with a free choice: it has the syntax
//! `Only`, or is refused as a directive in `refused.rs`. Names and defaults are Redis 7.2's, with later additions.

use super::setting::{Change, Place, Section, Setting};
use super::syntax::MAX_MEMORY;
use super::syntax::Syntax::{self, Choice, Choices, Int, Ints, Memory, Only, SavePoints, Secret, Text, YesNo};

const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;
const BYTES: Syntax = Memory(0, MAX_MEMORY);
const COUNT: Syntax = Int(0, INT);
const LARGE: Syntax = Int(0, LONG);

const SHUTDOWN: Syntax = Choices(&["default", "save", "nosave", "now", "force"]);
const FACILITY: Syntax = Choice(&[
    "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]);

const NO_CLUSTER: &str = "this version of Larder has no cluster mode yet";
const NO_REPLICATION: &str = "this version of Larder does not replicate yet";
const NO_TLS: &str = "this version of Larder has no TLS yet; put a TLS proxy before it";
const NO_EVENTS: &str = "this version of Larder sends no keyspace events yet";
const NO_ACL: &str = "this version of Larder has no access control lists yet; use requirepass";
const FOREGROUND: &str = "Larder stays in the foreground: let a service manager run it";

const fn kept(name: &'static str, default: &'static str, syntax: Syntax) -> Setting {
    Setting {
        name,
        alias: None,
        default,
        syntax,
        change: Change::AtRuntime,
        section: Section::Compatibility,
        doc: "",
        place: Place::Kept,
    }
}

const fn aliased(name: &'static str, alias: &'static str, default: &'static str, syntax: Syntax) -> Setting {
    let mut setting = kept(name, default, syntax);
    setting.alias = Some(alias);
    setting
}

/// The kept settings, by subject.
#[rustfmt::skip]
pub(super) static KEPT: &[Setting] = &[
    kept("daemonize", "no", Only("no", FOREGROUND)),
    kept("supervised", "no", Choice(&["upstart", "systemd", "auto", "no"])),
    kept("set-proc-title", "yes", YesNo),
    kept("proc-title-template", "{title} {listen-addr} {server-mode}", Text),
    kept("always-show-logo", "no", YesNo),
    kept("syslog-enabled", "no", YesNo),
    kept("syslog-ident", "redis", Text),
    kept("syslog-facility", "local0", FACILITY),
    kept("crash-log-enabled", "yes", YesNo),
    kept("crash-memcheck-enabled", "yes", YesNo),
    kept("disable-thp", "yes", YesNo),
    kept("oom-score-adj", "no", Choice(&["no", "yes", "relative", "absolute"])),
    kept("oom-score-adj-values", "0 200 800", Ints(3)),
    kept("shutdown-on-sigterm", "default", SHUTDOWN),
    kept("shutdown-on-sigint", "default", SHUTDOWN),
    kept("ignore-warnings", "", Text),
    kept("locale-collate", "", Text),
    kept("enable-protected-configs", "no", Choice(&["no", "yes", "local"])),
    kept("enable-module-command", "no", Choice(&["no", "yes", "local"])),
    kept("hide-user-data-from-log", "no", YesNo),

    kept("save", "", SavePoints),
    kept("dbfilename", "dump.rdb", Text),
    kept("rdbcompression", "yes", YesNo),
    kept("rdbchecksum", "yes", YesNo),
    kept("rdb-del-sync-files", "no", YesNo),
    kept("rdb-save-incremental-fsync", "yes", YesNo),
    kept("stop-writes-on-bgsave-error", "yes", YesNo),
    kept("sanitize-dump-payload", "no", Choice(&["no", "yes", "clients"])),
    kept("appendonly", "no", YesNo),
    kept("appendfilename", "appendonly.aof", Text),
    kept("appenddirname", "appendonlydir", Text),
    kept("appendfsync", "everysec", Choice(&["everysec", "always", "no"])),
    kept("no-appendfsync-on-rewrite", "no", YesNo),
    kept("auto-aof-rewrite-percentage", "100", COUNT),
    kept("auto-aof-rewrite-min-size", "67108864", BYTES),
    kept("aof-load-truncated", "yes", YesNo),
    kept("aof-load-corrupt-tail-max-size", "0", BYTES),
    kept("aof-use-rdb-preamble", "yes", YesNo),
    kept("aof-rewrite-incremental-fsync", "yes", YesNo),
    kept("aof-timestamp-enabled", "no", YesNo),
    kept("aof-disable-auto-gc", "no", YesNo),

    kept("io-threads", "1", Int(1, 128)),
    kept("io-threads-do-reads", "no", YesNo),
    aliased("server-cpulist", "server_cpulist", "", Text),
    aliased("bio-cpulist", "bio_cpulist", "", Text),
    aliased("aof-rewrite-cpulist", "aof_rewrite_cpulist", "", Text),
    aliased("bgsave-cpulist", "bgsave_cpulist", "", Text),
    kept("hz", "10", COUNT),
    kept("dynamic-hz", "yes", YesNo),
    kept("activerehashing", "yes", YesNo),
    kept("active-expire-effort", "1", Int(1, 10)),
    kept("maxmemory-eviction-tenacity", "10", Int(0, 100)),
    kept("lazyfree-lazy-eviction", "no", YesNo),
    kept("lazyfree-lazy-expire", "no", YesNo),
    kept("lazyfree-lazy-server-del", "no", YesNo),
    kept("lazyfree-lazy-user-del", "no", YesNo),
    kept("lazyfree-lazy-user-flush", "no", YesNo),
    kept("jemalloc-bg-thread", "yes", YesNo),
    kept("activedefrag", "no", YesNo),
    kept("active-defrag-cycle-min", "1", Int(1, 99)),
    kept("active-defrag-cycle-max", "25", Int(1, 99)),
    kept("active-defrag-threshold-lower", "10", Int(0, 1000)),
    kept("active-defrag-threshold-upper", "100", Int(0, 1000)),
    kept("active-defrag-ignore-bytes", "104857600", BYTES),
    kept("active-defrag-max-scan-fields", "1000", Int(1, LONG)),
    kept("lookahead", "16", Int(1, INT)),

    aliased("hash-max-listpack-entries", "hash-max-ziplist-entries", "512", LARGE),
    aliased("hash-max-listpack-value", "hash-max-ziplist-value", "64", BYTES),
    aliased("list-max-listpack-size", "list-max-ziplist-size", "-2", Int(-INT - 1, INT)),
    kept("list-compress-depth", "0", COUNT),
    kept("set-max-intset-entries", "512", LARGE),
    kept("set-max-listpack-entries", "128", LARGE),
    kept("set-max-listpack-value", "64", LARGE),
    aliased("zset-max-listpack-entries", "zset-max-ziplist-entries", "128", LARGE),
    aliased("zset-max-listpack-value", "zset-max-ziplist-value", "64", BYTES),
    kept("hll-sparse-max-bytes", "3000", BYTES),
    kept("stream-node-max-bytes", "4096", BYTES),
    kept("stream-node-max-entries", "100", LARGE),
    kept("tracking-table-max-keys", "1000000", LARGE),
    kept("notify-keyspace-events", "", Only("", NO_EVENTS)),
    kept("max-new-connections-per-cycle", "10", Int(1, 1000)),
    kept("max-new-tls-connections-per-cycle", "1", Int(1, 1000)),
    kept("bind-source-addr", "", Text),
    kept("socket-mark-id", "0", Int(0, u32::MAX as i64)),

    kept("aclfile", "", Only("", NO_ACL)),
    kept("acllog-max-len", "128", LARGE),
    kept("acl-pubsub-default", "resetchannels", Choice(&["allchannels", "resetchannels"])),

    aliased("replicaof", "slaveof", "", Only("", NO_REPLICATION)),
    kept("masteruser", "", Text),
    kept("masterauth", "", Secret),
    aliased("min-replicas-to-write", "min-slaves-to-write", "0", Only("0", NO_REPLICATION)),
    aliased("min-replicas-max-lag", "min-slaves-max-lag", "10", COUNT),
    aliased("replica-serve-stale-data", "slave-serve-stale-data", "yes", YesNo),
    aliased("replica-read-only", "slave-read-only", "yes", YesNo),
    aliased("replica-ignore-maxmemory", "slave-ignore-maxmemory", "yes", YesNo),
    aliased("replica-lazy-flush", "slave-lazy-flush", "no", YesNo),
    aliased("replica-priority", "slave-priority", "100", COUNT),
    aliased("replica-announce-ip", "slave-announce-ip", "", Text),
    aliased("replica-announce-port", "slave-announce-port", "0", Int(0, 65535)),
    kept("replica-announced", "yes", YesNo),
    kept("replica-ignore-disk-write-errors", "no", YesNo),
    kept("replica-full-sync-buffer-limit", "0", BYTES),
    aliased("repl-ping-replica-period", "repl-ping-slave-period", "10", Int(1, INT)),
    kept("repl-backlog-size", "1048576", Memory(1, MAX_MEMORY)),
    kept("repl-backlog-ttl", "3600", LARGE),
    kept("repl-timeout", "60", Int(1, INT)),
    kept("repl-disable-tcp-nodelay", "no", YesNo),
    kept("repl-diskless-sync", "yes", YesNo),
    kept("repl-diskless-sync-delay", "5", COUNT),
    kept("repl-diskless-sync-max-replicas", "0", COUNT),
    kept("repl-diskless-load", "disabled", Choice(&["disabled", "on-empty-db", "swapdb", "flush-before-load"])),
    kept("propagation-error-behavior", "ignore", Choice(&["ignore", "panic", "panic-on-replicas"])),

    kept("cluster-enabled", "no", Only("no", NO_CLUSTER)),
    kept("cluster-config-file", "nodes.conf", Text),
    kept("cluster-node-timeout", "15000", LARGE),
    kept("cluster-port", "0", Int(0, 65535)),
    kept("cluster-announce-ip", "", Text),
    kept("cluster-announce-hostname", "", Text),
    kept("cluster-announce-human-nodename", "", Text),
    kept("cluster-announce-port", "0", Int(0, 65535)),
    kept("cluster-announce-tls-port", "0", Int(0, 65535)),
    kept("cluster-announce-bus-port", "0", Int(0, 65535)),
    kept("cluster-preferred-endpoint-type", "ip", Choice(&["ip", "hostname", "unknown-endpoint"])),
    kept("cluster-require-full-coverage", "yes", YesNo),
    kept("cluster-allow-reads-when-down", "no", YesNo),
    kept("cluster-allow-pubsubshard-when-down", "yes", YesNo),
    kept("cluster-allow-replica-migration", "yes", YesNo),
    kept("cluster-migration-barrier", "1", COUNT),
    aliased("cluster-replica-validity-factor", "cluster-slave-validity-factor", "10", COUNT),
    aliased("cluster-replica-no-failover", "cluster-slave-no-failover", "no", YesNo),
    kept("cluster-link-sendbuf-limit", "0", BYTES),
    kept("cluster-slot-stats-enabled", "no", YesNo),

    kept("tls-port", "0", Only("0", NO_TLS)),
    kept("tls-cluster", "no", Only("no", NO_TLS)),
    kept("tls-replication", "no", Only("no", NO_TLS)),
    kept("tls-auth-clients", "yes", Choice(&["no", "yes", "optional"])),
    kept("tls-cert-file", "", Text),
    kept("tls-key-file", "", Text),
    kept("tls-key-file-pass", "", Secret),
    kept("tls-client-cert-file", "", Text),
    kept("tls-client-key-file", "", Text),
    kept("tls-client-key-file-pass", "", Secret),
    kept("tls-dh-params-file", "", Text),
    kept("tls-ca-cert-file", "", Text),
    kept("tls-ca-cert-dir", "", Text),
    kept("tls-protocols", "", Text),
    kept("tls-ciphers", "", Text),
    kept("tls-ciphersuites", "", Text),
    kept("tls-prefer-server-ciphers", "no", YesNo),
    kept("tls-session-caching", "yes", YesNo),
    kept("tls-session-cache-size", "20480", COUNT),
    kept("tls-session-cache-timeout", "300", COUNT),
];

/// What an operator should hear about a kept setting's value, if it promises something that Larder does not do.
pub(super) fn warning(name: &str, value: &str) -> Option<&'static str> {
    match (name, value) {
        ("save", points) if !points.is_empty() => Some("Larder is a cache: it takes no snapshots"),
        ("appendonly", "yes") => Some("Larder is a cache: it writes no append-only file"),
        ("supervised", "systemd") => Some("Larder does not notify systemd: use Type=exec or Type=simple"),
        ("syslog-enabled", "yes") => Some("Larder logs to standard output or to logfile"),
        _ => None,
    }
}
