//! The table of settings: one row gives field, flag, file directive, environment variable, `CONFIG` name, help and docs.
//!
//! A row is `field: Type = "name" or "old name", "default", syntax, when it may change;`, its doc comment one
//! paragraph for users. A new setting is one row here and then `LARDER_BLESS=1 cargo test -p larder-server config::docs`,
//! which rewrites `docs/configuration.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::prefix_rules::{BYTES, PrefixRules};
use super::setting::{Change, Place, Section, Setting};
use super::syntax::Syntax::{
    Choice, Int, Memory, MemoryOrPercent, Octal, OutputLimits as Limits, Percentiles as Shares, PrefixRules as Rules,
    Secret as Hidden, Text, Words, YesNo,
};
use super::syntax::{MAX_MEMORY, MAX_REQUEST};
use super::values::{
    ClientMemory, DebugAccess, Field, LogFormat, LogLevel, MaxmemoryPolicy, OutputLimits, Percentiles, Secret,
};

/// The largest value of a setting that is a C int in Redis.
const INT: i64 = i32::MAX as i64;
/// Redis's least value for the limits of requests.
const MB: u64 = 1 << 20;

settings! {
    Network {
        /// TCP port; 0 means no TCP, and then `unixsocket` must be set.
        port: u16 = "port", "6379", Int(0, 65535), AtStart;

        /// Addresses or host names to listen on, at most 16. One that starts with `-` is optional: it is no
        /// error if this machine does not have it. `*` means all IPv4 addresses, `::*` all IPv6 addresses.
        bind: Vec<String> = "bind", "127.0.0.1 -::1", Words(16), AtStart;

        /// Refuse connections from other machines as long as there is no password.
        protected_mode: bool = "protected-mode", "yes", YesNo, AtRuntime;

        /// Path of a Unix socket to listen on, besides TCP. Empty means none.
        unixsocket: String = "unixsocket", "", Text, AtStart;

        /// Permissions of the Unix socket as an octal number such as 700. 0 leaves them to the umask.
        unixsocketperm: u32 = "unixsocketperm", "0", Octal(0, 0o777), AtStart;

        /// How many connections the kernel may hold that were not accepted yet. The kernel's own limit
        /// (`net.core.somaxconn`) applies too.
        tcp_backlog: u32 = "tcp-backlog", "511", Int(0, INT), AtStart;

        /// After how many seconds of silence a connection is probed, so that dead peers are found; 0 means never.
        tcp_keepalive: u32 = "tcp-keepalive", "300", Int(0, INT), AtRuntime;

        /// After how many seconds without a command a connection is closed; 0 means never.
        timeout: u32 = "timeout", "0", Int(0, INT), AtRuntime;
    }

    Security {
        /// Password that clients must give with `AUTH` or `HELLO`. Empty means none. Prefer the file or the
        /// environment to the flag: other users of the machine can read command lines.
        requirepass: Secret = "requirepass", "", Hidden, AtRuntime;

        /// Whether the command `DEBUG` works: for nobody, everybody, or only for connections from this machine.
        enable_debug_command: DebugAccess = "enable-debug-command", "no", Choice(DebugAccess::NAMES), AtStart;

        /// How much input a connection may have pending before it is authenticated.
        unauth_query_buffer_limit: u64 = "unauth-query-buffer-limit", "256kb", Memory(1024, MAX_MEMORY), AtRuntime;

        /// How many bytes of replies a connection may leave unread before it is authenticated.
        unauth_output_buffer_limit: u64 = "unauth-output-buffer-limit", "64kb", Memory(1024, MAX_MEMORY), AtRuntime;

        /// How much input all unauthenticated connections together may have pending.
        unauth_total_limit: u64 = "unauth-total-limit", "16mb", Memory(1024, MAX_MEMORY), AtRuntime;
    }

    Memory {
        /// How much memory the whole process may hold, index and buffers included; 0 means 75% of what the machine
        /// or its cgroup allows.
        maxmemory: u64 = "maxmemory", "0", Memory(0, MAX_MEMORY), AtRuntime;

        /// What is evicted to stay under `maxmemory`: which keys (`allkeys-*`, or `volatile-*`: only those with a
        /// time to live), and by what rank: `lru` the least recently used, `lfu` the least frequently used, `random`
        /// any, `ttl` the next to expire, `lrm` the least recently modified, `fifo` the first that was stored, `mru`
        /// the most recently used, and `adaptive` the one of which, by what the node has learnt of its keys, a byte is
        /// least likely to be read soon. With `noeviction`, writes that need memory are refused instead.
        maxmemory_policy: MaxmemoryPolicy
            = "maxmemory-policy", "allkeys-adaptive", Choice(MaxmemoryPolicy::NAMES), AtRuntime;

        /// How many candidates are compared to choose what to evict: more is more exact and costs more CPU.
        maxmemory_samples: u32 = "maxmemory-samples", "5", Int(1, INT), AtRuntime;

        /// How much memory the buffers of all connections may take; above it, the connections with the largest
        /// are closed. 0 means no limit.
        maxmemory_clients: ClientMemory = "maxmemory-clients", "10%", MemoryOrPercent, AtRuntime;

        /// Account for the keys that begin with a prefix, and bound what they may hold: `prefix-quota session: 64mb`. Over
        /// its quota a prefix evicts its own keys, or under `noeviction` refuses writes; 0 only counts. Several lines add up,
        /// and one value can hold several pairs. Of prefixes that overlap, the longest that fits a key owns it. A prefix
        /// that is given again replaces its quota. All databases count together; `INFO prefixes` shows what each holds.
        prefix_quota: PrefixRules = "prefix-quota", "", Rules(BYTES, i64::MAX), AtRuntime;

        /// How fast the access counter of the `*-lfu` policies saturates: larger values tell apart hotter keys.
        lfu_log_factor: u32 = "lfu-log-factor", "10", Int(0, INT), AtRuntime;

        /// After how many minutes without access the counter of the `*-lfu` policies falls by one. 0 means never.
        lfu_decay_time: u32 = "lfu-decay-time", "1", Int(0, INT), AtRuntime;

        /// How many databases `SELECT` can choose from.
        databases: usize = "databases", "16", Int(1, 256), AtStart;
    }

    TimesToLive {
        /// A time to live that is given relative to now (`EX`, `PX`, `EXPIRE`, ..., or by `default-ttl`) is shortened by
        /// a uniformly random share of up to so many percent, so that keys stored together do not expire together. It
        /// is never lengthened, and at least 1 ms stays. Deadlines given as points in time (`EXAT`, `EXPIREAT`, ...) and
        /// keys stored under `NX` (locks) are left alone. A call's own `JITTER` counts instead, also for `NX`; with a point in
        /// time, or without a time to live, it is a syntax error. `TTL` and `EXPIRETIME`
        /// tell the deadline that the key really has.
        ttl_jitter: u32 = "ttl-jitter", "0", Int(0, 100), AtRuntime;

        /// The same for keys that begin with a prefix: `ttl-jitter-rule session: 20`. Several lines add up, and one
        /// value can hold several pairs. Of prefixes that overlap, the longest that fits a key decides; 0 leaves
        /// such keys alone. A prefix that is given again replaces its rule.
        ttl_jitter_rule: PrefixRules = "ttl-jitter-rule", "", Rules("percent", 100), AtRuntime;

        /// After how many seconds a key expires that is stored anew by a command that gives no time to live, such as a
        /// plain `SET` (with `NX`, too), `GETSET`, `MSET`, or an `INCR` or `APPEND` that creates it. 0 means never. What keeps a key's
        /// time to live (`KEEPTTL`, `INCR`, `APPEND`, `RENAME`, `COPY`) still does, and `PERSIST` still takes it away.
        default_ttl: u64 = "default-ttl", "0", Int(0, INT), AtRuntime;

        /// The same for keys that begin with a prefix; rules work as those of `ttl-jitter-rule`.
        default_ttl_rule: PrefixRules = "default-ttl-rule", "", Rules("seconds", INT), AtRuntime;

        /// The longest time to live in seconds; 0 means any. It bounds every deadline that a command gives, points in
        /// time included, before jitter. A key that would live for ever, because it was stored without a time to live
        /// or by `PERSIST`, gets this one. Deadlines that were given before stay, and so do those that a command
        /// keeps (`KEEPTTL`, `RENAME`, `COPY`, ...).
        max_ttl: u64 = "max-ttl", "0", Int(0, INT), AtRuntime;

        /// The same for keys that begin with a prefix; rules work as those of `ttl-jitter-rule`.
        max_ttl_rule: PrefixRules = "max-ttl-rule", "", Rules("seconds", INT), AtRuntime;
    }

    Clients {
        /// How many connections may be open at once; further ones are told so and closed.
        maxclients: u32 = "maxclients", "10000", Int(1, u32::MAX as i64), AtRuntime;

        /// How much input one connection may have pending.
        client_query_buffer_limit: u64 = "client-query-buffer-limit", "1gb", Memory(MB, MAX_REQUEST), AtRuntime;

        /// How many bytes of replies a connection may leave unread, per class of client: closed at once above the
        /// hard limit, or when above the soft limit for so many seconds. 0 means no limit. A value may give one
        /// class or several; the others stay as they are.
        client_output_buffer_limit: OutputLimits
            = "client-output-buffer-limit", "normal 256mb 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60", Limits, AtRuntime;

        /// How long one argument of a request, and so a string value, may be.
        proto_max_bulk_len: u64 = "proto-max-bulk-len", "512mb", Memory(MB, MAX_REQUEST), AtRuntime;

        /// After how many milliseconds a script is slow, so that other clients are told `-BUSY`. 0 means never.
        /// Kept for later: Larder has no scripts yet.
        busy_reply_threshold: u64 = "busy-reply-threshold" or "lua-time-limit", "5000", Int(0, i64::MAX), AtRuntime;
    }

    Threads {
        /// How many worker threads serve connections; 0 means one per core that this process may use.
        threads: usize = "threads", "0", Int(0, 1024), AtStart;

        /// Bind each worker thread to a core of its own. Helps only where nothing else uses these cores.
        pin_workers: bool = "pin-workers", "no", YesNo, AtStart;
    }

    Logs {
        /// How much is logged.
        loglevel: LogLevel = "loglevel", "notice", Choice(LogLevel::NAMES), AtRuntime;

        /// File that logs are appended to. Empty means standard output.
        logfile: String = "logfile", "", Text, AtStart;

        /// Form of the logs: lines for people, or one JSON object per line.
        log_format: LogFormat = "log-format", "human", Choice(LogFormat::NAMES), AtStart;

        /// Whether logs may contain keys. Keys and values often are personal data, so they are left out unless
        /// asked for.
        log_keys: bool = "log-keys", "no", YesNo, AtRuntime;
    }

    Statistics {
        /// Commands that take at least so many microseconds enter the slow log. 0 logs all, -1 none.
        slowlog_log_slower_than: i64 = "slowlog-log-slower-than", "10000", Int(-1, i64::MAX), AtRuntime;

        /// How many commands the slow log holds; the oldest make room.
        slowlog_max_len: u64 = "slowlog-max-len", "128", Int(0, i64::MAX), AtRuntime;

        /// Hide the arguments of commands in `SLOWLOG` and `MONITOR`, all but the command's name.
        mask_args: bool = "mask-args", "no", YesNo, AtRuntime;

        /// Events that take at least so many milliseconds are kept for `LATENCY`. 0 means none.
        latency_monitor_threshold: u64 = "latency-monitor-threshold", "0", Int(0, i64::MAX), AtRuntime;

        /// Keep a latency histogram per command, for `LATENCY HISTOGRAM` and `INFO latencystats`.
        latency_tracking: bool = "latency-tracking", "yes", YesNo, AtRuntime;

        /// The percentiles that `INFO latencystats` shows.
        latency_tracking_info_percentiles: Percentiles
            = "latency-tracking-info-percentiles", "50 99 99.9", Shares, AtRuntime;

        /// HTTP port with `/metrics` for Prometheus, `/healthz` and `/readyz`. 0 means none.
        metrics_port: u16 = "metrics-port", "0", Int(0, 65535), AtStart;

        /// Address that the metrics port listens on. It asks for no password, so keep it private.
        metrics_bind: String = "metrics-bind", "127.0.0.1", Text, AtStart;
    }

    Process {
        /// Folder that relative paths of other settings start from. The default is where the server was started.
        dir: String = "dir", ".", Text, Protected;

        /// File that the process id is written to. Empty means none.
        pidfile: String = "pidfile", "", Text, AtStart;

        /// How many seconds a shutdown waits for connections to finish what was read.
        shutdown_timeout: u32 = "shutdown-timeout", "10", Int(0, INT), AtRuntime;
    }
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self::blank();
        for setting in LIVE {
            settings
                .read(setting, setting.default)
                .expect("a test reads every default");
        }
        settings
    }
}

impl Settings {
    /// Takes over the value that `text` stands for; on an error nothing changed.
    pub(super) fn read(&mut self, setting: &'static Setting, text: &str) -> Result<(), String> {
        if let Place::Field { read, .. } = setting.place {
            return read(self, text, setting.syntax);
        }
        let value = setting.syntax.canonical(text)?;
        if value == setting.default {
            self.kept.remove(setting.name);
        } else {
            self.kept.insert(setting.name, value);
        }
        Ok(())
    }

    /// The value as `CONFIG GET` shows it.
    pub(super) fn show(&self, setting: &Setting) -> String {
        match setting.place {
            Place::Field { show, .. } => show(self, setting.syntax),
            Place::Kept => self
                .kept
                .get(setting.name)
                .map_or(setting.default, String::as_str)
                .to_owned(),
        }
    }

    /// The path that a setting's `path` means: itself if absolute, else within `dir`.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        Path::new(&self.dir).join(path)
    }

    /// Whether a client could reach the node: by TCP or by a Unix socket.
    #[must_use]
    pub fn listens(&self) -> bool {
        !self.unixsocket.is_empty() || (self.port != 0 && !self.bind.is_empty())
    }
}
