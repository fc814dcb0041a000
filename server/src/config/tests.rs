//! What the configuration promises as a whole: sources and their order, `CONFIG GET`, `SET` and `REWRITE`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use super::*;

/// A new empty folder that goes away at the end of the test.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("larder-config-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn load(args: &[&str], env: &[(&str, &str)], stdin: &str) -> Result<Config, LoadError> {
    let args = std::iter::once("larder-server")
        .chain(args.iter().copied())
        .map(OsString::from);
    let env = env
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load_with(args, env, stdin.as_bytes())
}

fn flags(args: &[&str]) -> Settings {
    Settings::clone(&load(args, &[], "").unwrap().settings())
}

fn file(text: &str) -> Result<Config, LoadError> {
    load(&["-"], &[], text)
}

fn message(result: Result<Config, LoadError>) -> String {
    result.unwrap_err().to_string()
}

fn get(config: &Config, name: &str) -> String {
    let found = config.get(&[name.as_bytes()]);
    assert_eq!(found.len(), 1, "{name}");
    found.into_iter().next().unwrap().1
}

fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<Applied, SetError> {
    let pairs: Vec<(&[u8], &[u8])> = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    config.set(&pairs)
}

fn refusal(name: &str, value: &str) -> String {
    set(&Config::new(Settings::default()), &[(name, value)])
        .unwrap_err()
        .to_string()
}

/// A folder with a configuration file, and the configuration loaded from it.
fn config_file(text: &str) -> (TempDir, PathBuf, Config) {
    let folder = TempDir::new();
    let path = folder.path().join("larder.conf");
    fs::write(&path, text).unwrap();
    let config = load(&[path.to_str().unwrap()], &[], "").unwrap();
    (folder, path, config)
}

#[test]
fn without_arguments_everything_has_its_default() {
    let settings = flags(&[]);
    assert_eq!(settings.port, 6379);
    assert_eq!(settings.bind, ["127.0.0.1", "-::1"]);
    assert!(settings.protected_mode && settings.requirepass.is_empty());
    assert_eq!(settings.maxmemory_clients, ClientMemory::Percent(10));
    assert_eq!(settings.client_output_buffer_limit.normal.hard_bytes, 256 << 20);
    assert_eq!(
        settings.dir,
        std::env::current_dir()
            .unwrap()
            .canonicalize()
            .unwrap()
            .to_str()
            .unwrap()
    );
}

#[test]
fn flags_override_the_environment_and_the_environment_the_file() {
    let text = "port 1\ntimeout 1\nmaxclients 1\n";
    let env = [
        ("LARDER_PORT", "2"),
        ("LARDER_TIMEOUT", "2"),
        ("HOME", "/"),
        ("LARDER_DATABASES", ""),
    ];
    let settings = load(&["-", "--port", "3"], &env, text).unwrap().settings();
    assert_eq!((settings.port, settings.timeout, settings.maxclients), (3, 2, 1));
    assert_eq!(settings.databases, 16, "an empty variable counts as not set");
}

#[test]
fn flags_of_redis_server_work() {
    let settings = flags(&[
        "--port",
        "7000",
        "--bind",
        "127.0.0.1",
        "-::1",
        "10.0.0.1",
        "--unixsocket",
        "/tmp/larder.sock",
        "--maxmemory",
        "1gb",
        "--maxmemory-policy",
        "allkeys-lfu",
        "--maxclients",
        "77",
        "--timeout=5",
        "--tcp-keepalive",
        "60",
        "--requirepass",
        "a b",
        "--databases",
        "4",
        "--loglevel",
        "WARNING",
        "--logfile",
        "",
        "--save",
        "",
        "--appendonly",
        "no",
        "--protected-mode",
        "no",
        "--daemonize",
        "no",
        "--threads",
        "2",
        "--hash-max-ziplist-entries",
        "9",
        "--PIDFILE",
        "/x",
        "--client-output-buffer-limit",
        "normal",
        "1kb",
        "2",
        "3",
        "pubsub",
        "4",
        "5",
        "6",
        "--slowlog-log-slower-than",
        "-1",
        "--list-max-listpack-size",
        "-5",
    ]);
    assert_eq!(
        (settings.port, settings.threads, settings.databases, settings.timeout),
        (7000, 2, 4, 5)
    );
    assert_eq!(settings.bind, ["127.0.0.1", "-::1", "10.0.0.1"]);
    assert_eq!((settings.maxmemory, settings.maxclients), (1 << 30, 77));
    assert_eq!(settings.maxmemory_policy, MaxmemoryPolicy::AllkeysLfu);
    assert_eq!(
        (settings.requirepass.expose(), settings.loglevel),
        ("a b", LogLevel::Warning)
    );
    assert_eq!(settings.client_output_buffer_limit.normal.hard_bytes, 1024);
    assert_eq!(settings.client_output_buffer_limit.replica.hard_bytes, 256 << 20);
    assert_eq!(settings.client_output_buffer_limit.pubsub.soft_seconds, 6);
    assert_eq!(
        (settings.slowlog_log_slower_than, settings.pidfile.as_str()),
        (-1, "/x")
    );
    assert_eq!(settings.kept["hash-max-listpack-entries"], "9");
}

#[test]
fn flags_may_come_in_other_forms_and_more_than_once() {
    assert_eq!(flags(&["--port=1", "--port", "2"]).port, 2);
    assert_eq!(flags(&["--bind=a b", "--save", "--port", "9"]).bind, ["a", "b"]);
    assert_eq!(flags(&["--requirepass=--x"]).requirepass.expose(), "--x");
    assert_eq!(flags(&["--save", "900 1", "300 10"]).kept["save"], "900 1 300 10");
    assert_eq!(
        flags(&["--save", "900", "1", "--save", "300", "10"]).kept["save"],
        "900 1 300 10"
    );
    let from_stdin = load(&["--port", "5", "--bind", "a", "-"], &[], "timeout 9")
        .unwrap()
        .settings();
    assert_eq!((from_stdin.port, from_stdin.timeout, from_stdin.bind.len()), (5, 9, 1));
}

#[test]
fn help_and_version_are_for_the_caller_to_print() {
    for (args, wanted) in [
        (&["--help"], "--maxmemory-policy"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let Err(LoadError::CommandLine(shown)) = load(args, &[], "") else {
            panic!("{args:?} is no error")
        };
        assert_eq!(shown.exit_code(), 0);
        assert!(shown.to_string().contains(wanted), "{shown}");
    }
    let help = command().render_help().to_string();
    assert!(
        help.contains("Memory:") && !help.contains("hash-max-listpack-entries"),
        "{help}"
    );
    command().debug_assert();
}

#[test]
fn an_unknown_name_is_an_error_that_suggests_the_nearest() {
    let flag = message(load(&["--maxmemroy", "1gb"], &[], ""));
    assert!(flag.contains("--maxmemory"), "{flag}");
    let line = message(file("# comment\n\nmaxmemroy 1gb"));
    assert_eq!(
        line,
        "-, line 3: 'maxmemroy': no setting has this name; did you mean 'maxmemory'?"
    );
    let set = refusal("maxmemroy", "1gb");
    assert_eq!(
        set,
        "ERR Unknown option or number of arguments for CONFIG SET - 'maxmemroy', did you mean 'maxmemory'?"
    );
    assert_eq!(
        refusal("zzz", "1"),
        "ERR Unknown option or number of arguments for CONFIG SET - 'zzz'"
    );
    let variable = load(&[], &[("LARDER_MAXMEMROY", "1gb")], "").unwrap();
    let expected = "the environment variable LARDER_MAXMEMROY sets nothing, did you mean LARDER_MAXMEMORY?";
    assert_eq!(variable.warnings(), [expected]);
}

#[test]
fn variables_that_kubernetes_adds_for_a_service_are_ignored() {
    let env = [
        ("LARDER_PORT", "tcp://10.0.0.1:6379"),
        ("LARDER_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
        ("LARDER_SERVICE_HOST", "10.0.0.1"),
    ];
    let config = load(&[], &env, "").unwrap();
    assert_eq!(config.settings().port, 6379);
    assert!(config.warnings().is_empty());
}

#[test]
fn errors_say_where_and_what_and_what_to_do() {
    assert_eq!(
        message(file("port 6379\nport seven\n")),
        "-, line 2: 'port seven': argument couldn't be parsed into an integer; give a whole number from 0 to 65535"
    );
    assert_eq!(
        message(load(&[], &[("LARDER_DAEMONIZE", "yes")], "")),
        "environment variable LARDER_DAEMONIZE: 'daemonize yes': Larder stays in the foreground: \
         let a service manager run it; give no or leave the setting out"
    );
    assert!(message(load(&["--port", "1x"], &[], "")).starts_with("command line: 'port 1x': "));
    assert!(message(file("port 1 2")).contains("wrong number of arguments"));
    assert!(message(file("port")).contains("wrong number of arguments"));
    assert!(message(file("save \"")).contains("Unbalanced quotes in configuration line"));
    assert!(message(load(&["/nowhere/larder.conf"], &[], "")).contains("/nowhere/larder.conf"));
    assert!(message(load(&["--port", "0"], &[], "")).contains("nothing to listen on"));
    assert!(message(load(&["--dir", "/nowhere"], &[], "")).contains("/nowhere"));
    assert!(message(load(&["--port"], &[], "")).contains("--port"));
}

#[test]
fn directives_that_would_be_ignored_at_a_cost_are_refused() {
    let lines = [
        "cluster-enabled yes",
        "replicaof 10.0.0.1 6379",
        "slaveof a 1",
        "loadmodule /x.so",
        "rename-command CONFIG \"\"",
        "user alice on >x ~* +@all",
        "aclfile /x",
        "tls-port 6380",
        "min-replicas-to-write 1",
        "notify-keyspace-events Ex",
        "sentinel monitor a b 1 2",
    ];
    for line in lines {
        let error = message(file(line));
        assert!(error.starts_with("-, line 1: '"), "{error}");
        let mut words = line.split_whitespace();
        let flag = format!("--{}", words.next().unwrap());
        let args: Vec<&str> = std::iter::once(flag.as_str()).chain(words).collect();
        assert!(message(load(&args, &[], "")).starts_with("command line: '"), "{line}");
    }
    let harmless =
        "cluster-enabled no\nreplicaof \"\"\nuser default on nopass sanitize-payload ~* &* +@all\ntls-port 0\n";
    assert!(file(harmless).is_ok());
}

#[test]
fn what_has_no_effect_is_accepted_with_a_warning() {
    let config = file("save 900 1\nsave 300 10\nappendonly yes\n").unwrap();
    assert_eq!(get(&config, "save"), "900 1 300 10");
    assert_eq!(config.warnings().len(), 2);
    let applied = set(&config, &[("save", ""), ("appendonly", "YES")]).unwrap();
    assert_eq!((applied.changed, applied.warnings.len()), (vec!["save"], 0));
    assert_eq!(get(&config, "save"), "");
}

#[test]
fn save_lines_add_up_within_a_source_and_replace_the_source_before() {
    assert_eq!(
        get(&file("save 900 1\nsave \"\"\nsave 300 10").unwrap(), "save"),
        "300 10"
    );
    let config = load(&["-", "--save", "60", "1"], &[("LARDER_SAVE", "70 1")], "save 900 1").unwrap();
    assert_eq!(get(&config, "save"), "60 1");
}

#[test]
fn includes_work_with_wildcards_in_order_and_only_so_deep() {
    let folder = TempDir::new();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("conf.d")).unwrap();
    fs::write(path("conf.d/1.conf"), "port 1\ntimeout 1").unwrap();
    fs::write(path("conf.d/2.conf"), "port 2").unwrap();
    fs::write(path("conf.d/.hidden.conf"), "port 9").unwrap();
    fs::write(path("conf.d/3.other"), "port 9").unwrap();
    let text = format!(
        "port 7\ninclude \"{}\"\ninclude {}\nmaxclients 5",
        path("conf.d/?.conf"),
        path("no*.conf")
    );
    let settings = file(&text).unwrap().settings();
    assert_eq!((settings.port, settings.timeout, settings.maxclients), (2, 1, 5));

    assert!(message(file(&format!("include {}", path("none.conf")))).contains("none.conf"));
    fs::write(path("self.conf"), format!("include {}", path("self.conf"))).unwrap();
    assert!(message(file(&format!("include {}", path("self.conf")))).contains("nested too deeply"));
    fs::write(path("bad.conf"), "\nport x").unwrap();
    let error = message(file(&format!("include {}", path("bad.conf"))));
    assert!(error.starts_with(&format!("{}, line 2", path("bad.conf"))), "{error}");
}

#[test]
fn files_of_other_systems_are_read() {
    let config = file("\u{feff}PORT 7000\r\n  # comment\r\n\r\nrequirepass \"a\\x62 c\"\r\n").unwrap();
    assert_eq!(config.settings().port, 7000);
    assert_eq!(get(&config, "requirepass"), "ab c");
}

#[test]
fn secrets_are_in_no_message_and_no_debug_text() {
    let config = file("requirepass hunter2").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    for text in ["requirepass hunter2 x", "requirepass \"hunter2", "requirpass hunter2"] {
        let error = file(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    assert!(is_secret(b"RequirePass") && is_secret(b"masterauth") && !is_secret(b"port") && !is_secret(b"\xff"));
}

#[test]
fn config_get_answers_as_redis_does() {
    let config = Config::new(Settings::default());
    for (name, value) in [
        ("save", ""),
        ("appendonly", "no"),
        ("maxmemory", "0"),
        ("proto-max-bulk-len", "536870912"),
        (
            "client-output-buffer-limit",
            "normal 268435456 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
        ("latency-tracking-info-percentiles", "50 99 99.9"),
        ("maxmemory-clients", "10%"),
        ("unixsocketperm", "0"),
        ("bind", "127.0.0.1 -::1"),
        ("REQUIREPASS", ""),
    ] {
        assert_eq!(get(&config, name), value, "{name}");
    }
}

#[test]
fn config_get_lists_every_match_once_in_the_order_of_the_table() {
    let config = Config::new(Settings::default());
    let names = |patterns: &[&[u8]]| {
        config
            .get(patterns)
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
    };
    let expected = [
        "maxmemory",
        "maxmemory-policy",
        "maxmemory-samples",
        "maxmemory-clients",
        "maxclients",
        "maxmemory-eviction-tenacity",
    ];
    assert_eq!(
        names(&[b"MAXCL*", b"maxmemory", b"maxmemory-*", b"maxmemory"]),
        expected
    );
    assert_eq!(
        names(&[b"hash-max-*-value"]),
        ["hash-max-listpack-value", "hash-max-ziplist-value"]
    );
    assert_eq!(names(&[]).len() + names(&[b"nothing", b"\xff\x00", b""]).len(), 0);
    let all = names(&[b"*"]);
    assert_eq!(all.len(), lookup::all().flat_map(Setting::names).count());
}

#[test]
fn a_pattern_full_of_stars_is_matched_in_bounded_time() {
    // With backtracking this would not end.
    let config = Config::new(Settings::default());
    assert!(config.get(&["*a".repeat(10_000).as_bytes()]).is_empty());
}

#[test]
fn config_set_takes_everything_that_config_get_gives() {
    let config = Config::new(Settings::default());
    for setting in lookup::all().filter(|setting| setting.change == Change::AtRuntime) {
        let before = get(&config, setting.name);
        let applied = set(&config, &[(setting.name, &before)]).unwrap();
        assert_eq!(applied.changed, Vec::<&str>::new(), "{}", setting.name);
    }
    assert_eq!(config.generation(), 0, "what changes nothing is no new generation");
}

#[test]
fn config_set_changes_all_or_nothing() {
    let config = Config::new(Settings::default());
    let before = config.settings();
    for last in [
        ("maxclients", "0"),
        ("foo", "1"),
        ("databases", "3"),
        ("TIMEOUT", "5"),
        ("dir", "/tmp"),
    ] {
        assert!(set(&config, &[("timeout", "7"), ("save", "1 1"), last]).is_err());
        assert_eq!((&config.settings(), config.generation()), (&before, 0), "{last:?}");
    }
    let applied = set(
        &config,
        &[
            ("TimeOut", "7"),
            ("maxmemory", "2GB"),
            ("hz", "10"),
            ("lua-time-limit", "9"),
        ],
    )
    .unwrap();
    assert_eq!(applied.changed, ["timeout", "maxmemory", "busy-reply-threshold"]);
    assert_eq!((applied.settings.timeout, applied.settings.maxmemory), (7, 2 << 30));
    assert_eq!((config.settings().busy_reply_threshold, config.generation()), (9, 1));
    assert_eq!(get(&config, "lua-time-limit"), "9");
}

#[test]
fn config_set_refuses_in_the_words_of_redis() {
    let policies = "volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction, \
                    volatile-lrm, allkeys-lrm, allkeys-fifo, allkeys-mru, volatile-adaptive, allkeys-adaptive";
    let one_of = format!("argument(s) must be one of the following: {policies}");
    for (name, value, problem) in [
        ("maxmemory", "5x", "argument must be a memory value"),
        ("maxmemory", "-1", "argument must be a memory value"),
        ("maxmemory", "5.5gb", "argument must be a memory value"),
        ("maxmemory", "99999999999gb", "argument must be a memory value"),
        ("maxclients", "abc", "argument couldn't be parsed into an integer"),
        ("timeout", "+5", "argument couldn't be parsed into an integer"),
        ("timeout", "05", "argument couldn't be parsed into an integer"),
        ("timeout", "", "argument couldn't be parsed into an integer"),
        (
            "timeout",
            "99999999999999999999",
            "argument couldn't be parsed into an integer",
        ),
        ("maxclients", "0", "argument must be between 1 and 4294967295 inclusive"),
        (
            "slowlog-log-slower-than",
            "-2",
            "argument must be between -1 and 9223372036854775807 inclusive",
        ),
        (
            "proto-max-bulk-len",
            "5",
            "argument must be between 1048576 and 2146435072 inclusive",
        ),
        (
            "maxmemory-clients",
            "101%",
            "percentage argument must be less or equal to 100",
        ),
        ("maxmemory-clients", "-5", "argument must be a memory or percent value"),
        ("maxmemory-policy", "foo", &one_of),
        ("protected-mode", "maybe", "argument must be 'yes' or 'no'"),
        (
            "client-output-buffer-limit",
            "normal 0 0",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "foo 0 0 0",
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "normal 5mb -1 0",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        (
            "latency-tracking-info-percentiles",
            "101",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        (
            "latency-tracking-info-percentiles",
            "a",
            "Invalid latency-tracking-info-percentiles parameters",
        ),
        (
            "latency-tracking-info-percentiles",
            "nan",
            "Invalid latency-tracking-info-percentiles parameters",
        ),
        ("save", "900", "Invalid save parameters"),
        ("save", "a b", "Invalid save parameters"),
        ("oom-score-adj-values", "1 2", "wrong number of arguments"),
        (
            "shutdown-on-sigterm",
            "foo",
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
        ("databases", "5", "can't set immutable config"),
        ("unixsocketperm", "5", "can't set immutable config"),
        ("dir", "/tmp", "can't set protected config"),
    ] {
        let expected = format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {problem}");
        assert_eq!(refusal(name, value), expected, "{name} {value}");
    }
    let twice = set(&Config::new(Settings::default()), &[("timeout", "1"), ("TIMEOUT", "1")]).unwrap_err();
    assert_eq!(
        twice.to_string(),
        "ERR CONFIG SET failed (possibly related to argument 'TIMEOUT') - duplicate parameter"
    );
}

#[test]
fn a_partial_set_of_output_limits_leaves_the_other_classes() {
    let config = Config::new(Settings::default());
    set(&config, &[("client-output-buffer-limit", "replica 5mb 1 1")]).unwrap();
    let limits = config.settings().client_output_buffer_limit;
    assert_eq!(
        limits.replica,
        OutputLimit {
            hard_bytes: 5 << 20,
            soft_bytes: 1,
            soft_seconds: 1
        }
    );
    assert_eq!(limits.normal, Settings::default().client_output_buffer_limit.normal);
    assert!(set(&config, &[("client-output-buffer-limit", "normal 1 1 1 pubsub 1 1 x")]).is_err());
    assert_eq!(config.settings().client_output_buffer_limit, limits);
}

#[test]
fn hostile_names_and_values_are_refused_quickly_and_briefly() {
    let config = Config::new(Settings::default());
    let huge = vec![b'9'; 1 << 20];
    let started = Instant::now();
    for setting in lookup::all().filter(|setting| setting.change == Change::AtRuntime) {
        let error = config.set(&[(setting.name.as_bytes(), &huge)]).unwrap_err().to_string();
        assert!(error.len() < 400, "{}: {} bytes", setting.name, error.len());
        for value in [&b"\0"[..], b"1\0", b"\xff\xfe"] {
            assert!(
                config.set(&[(setting.name.as_bytes(), value)]).is_err(),
                "{}",
                setting.name
            );
        }
    }
    let error = config.set(&[(&huge, b"1")]).unwrap_err().to_string();
    assert!(error.len() < 400);
    let error = config.set(&[(b"a\r\n+OK\r\n\xff", b"1")]).unwrap_err().to_string();
    assert!(!error.contains(['\r', '\n']));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn config_rewrite_keeps_comments_and_order_and_touches_only_what_changed() {
    let text = "# hello\nport 7000\nsave 900 1\nsave 300 10\n\nmaxclients 100 \r\nmaxclients 200\n\n# the end";
    let (_folder, path, config) = config_file(text);
    config.rewrite().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    set(
        &config,
        &[
            ("maxclients", "300"),
            ("requirepass", "a b\"c"),
            ("maxmemory", "5gb"),
            ("hz", "1"),
        ],
    )
    .unwrap();
    config.rewrite().unwrap();
    let expected = "# hello\nport 7000\nsave 900 1\nsave 300 10\n\nmaxclients 300\n\n# the end\n\n\
                    # Generated by CONFIG REWRITE\nrequirepass \"a b\\\"c\"\nmaxmemory 5gb\nhz 1\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    config.rewrite().unwrap();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        expected,
        "a second rewrite changes nothing"
    );

    set(&config, &[("save", ""), ("maxmemory", "0"), ("latency-tracking", "no")]).unwrap();
    config.rewrite().unwrap();
    let expected = "# hello\nport 7000\nsave \"\"\n\nmaxclients 300\n\n# the end\n\n\
                    # Generated by CONFIG REWRITE\nrequirepass \"a b\\\"c\"\nmaxmemory 0\nhz 1\nlatency-tracking no\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn what_config_rewrite_wrote_is_read_back_for_every_setting() {
    let (_folder, path, config) = config_file("");
    let mut settings = Settings::clone(&config.settings());
    for setting in lookup::all() {
        settings.read(setting, &another_value(setting)).unwrap();
    }
    rewrite::rewrite(&path, &settings).unwrap();
    let again = load(&[path.to_str().unwrap()], &[], "").unwrap();
    for setting in lookup::all() {
        assert_eq!(
            again.settings().show(setting),
            settings.show(setting),
            "{}",
            setting.name
        );
    }
}

/// A value other than the default, odd where the setting allows it.
fn another_value(setting: &Setting) -> String {
    use syntax::Syntax;
    match setting.syntax {
        Syntax::YesNo if setting.default == "yes" => "no".to_owned(),
        Syntax::YesNo => "yes".to_owned(),
        Syntax::Int(min, max) => (if setting.default == max.to_string() { min } else { max }).to_string(),
        Syntax::Octal(_, max) => format!("{max:o}"),
        Syntax::Memory(_, max) => max.to_string(),
        Syntax::MemoryOrPercent => "100%".to_owned(),
        Syntax::Choice(names) | Syntax::Choices(names) => (*names.last().unwrap()).to_owned(),
        Syntax::Text if setting.name == "dir" => "/".to_owned(),
        Syntax::Text | Syntax::Secret => "# \"odd\" \\ 'täxt'\n\u{1}".to_owned(),
        Syntax::Words(_) => "'a\" ::1".to_owned(),
        Syntax::Ints(_) => "-1 2 3".to_owned(),
        Syntax::SavePoints => "900 1 300 10".to_owned(),
        Syntax::OutputLimits => "normal 1 2 3 slave 4 5 6 pubsub 7 8 9".to_owned(),
        Syntax::Percentiles => "0 12.345679 100".to_owned(),
        Syntax::Only(value, _) => value.to_owned(),
        Syntax::PrefixRules(..) => "user: 1 session: 20".to_owned(),
    }
}

#[test]
fn config_rewrite_wins_over_included_files() {
    let folder = TempDir::new();
    let (main, other) = (folder.path().join("main.conf"), folder.path().join("other.conf"));
    fs::write(&other, "maxclients 7\nport 7001\n").unwrap();
    let text = format!("maxclients 5\ninclude {}\ntimeout 1\n", other.display());
    fs::write(&main, &text).unwrap();
    let config = load(&[main.to_str().unwrap()], &[], "").unwrap();
    config.rewrite().unwrap();
    assert_eq!(fs::read_to_string(&main).unwrap(), text);

    set(&config, &[("maxclients", "10000"), ("timeout", "2")]).unwrap();
    config.rewrite().unwrap();
    let again = load(&[main.to_str().unwrap()], &[], "").unwrap();
    assert_eq!(again.settings(), config.settings());
    assert_eq!(fs::read_to_string(&other).unwrap(), "maxclients 7\nport 7001\n");
}

#[test]
fn config_rewrite_keeps_permissions_and_links_and_leaves_no_other_file() {
    let (folder, path, _) = config_file("port 7000\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link.conf");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let config = load(&[link.to_str().unwrap(), "--timeout", "9"], &[], "").unwrap();
    config.rewrite().unwrap();
    assert!(link.is_symlink());
    assert!(fs::read_to_string(&path).unwrap().ends_with("timeout 9\n"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);

    fs::remove_file(&path).unwrap();
    fs::remove_file(&link).unwrap();
    config.rewrite().unwrap();
    assert_eq!(fs::metadata(&link).unwrap().permissions().mode() & 0o777, 0o600);
    let again = load(&[link.to_str().unwrap()], &[], "").unwrap();
    assert_eq!(again.settings(), config.settings());
}

#[test]
fn config_rewrite_without_a_usable_file_is_an_error() {
    let error = file("port 7000").unwrap().rewrite().unwrap_err();
    assert_eq!(error.to_string(), "ERR The server is running without a config file");
    let (_folder, path, config) = config_file("port 7000\n");
    fs::write(&path, "prot 7000\n").unwrap();
    let error = config.rewrite().unwrap_err().to_string();
    assert!(error.starts_with("ERR Rewriting config file: "), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "prot 7000\n");
}

#[test]
fn paths_start_from_dir() {
    let settings = flags(&["--dir", "/tmp/.."]);
    assert_eq!(settings.dir, "/");
    assert_eq!(settings.path("x.log"), Path::new("/x.log"));
    assert_eq!(settings.path("/var/x.log"), Path::new("/var/x.log"));
}

#[test]
fn rules_of_a_file_add_up_and_survive_a_rewrite() {
    let folder = TempDir::new();
    let (main, other) = (folder.path().join("main.conf"), folder.path().join("other.conf"));
    fs::write(&other, "ttl-jitter-rule a: 10\n").unwrap();
    let text = format!(
        "include {}\nttl-jitter-rule \"b:\" 20 c: 30\nttl-jitter-rule a: 5\n",
        other.display()
    );
    fs::write(&main, &text).unwrap();
    let config = load(&[main.to_str().unwrap()], &[], "").unwrap();
    assert_eq!(config.get(&[b"ttl-jitter-rule"])[0].1, "b: 20 c: 30 a: 5");
    config.rewrite().unwrap();
    assert_eq!(fs::read_to_string(&main).unwrap(), text);

    set(&config, &[("ttl-jitter-rule", "c: 1"), ("max-ttl-rule", "d: 60")]).unwrap();
    config.rewrite().unwrap();
    let again = load(&[main.to_str().unwrap()], &[], "").unwrap();
    assert_eq!(again.settings(), config.settings());
    let rewritten = fs::read_to_string(&main).unwrap();
    again.rewrite().unwrap();
    assert_eq!(fs::read_to_string(&main).unwrap(), rewritten);

    let flags = ["--ttl-jitter-rule", "a", "1", "--ttl-jitter-rule", "b", "2"];
    let flags = load(&flags, &[("LARDER_TTL_JITTER_RULE", "z 3")], "").unwrap();
    assert_eq!(flags.get(&[b"ttl-jitter-rule"])[0].1, "a 1 b 2");
}

#[test]
fn bad_times_to_live_are_refused_by_name() {
    let config = Config::new(Settings::default());
    for (name, value, problem) in [
        ("ttl-jitter", "101", "argument must be between 0 and 100 inclusive"),
        ("ttl-jitter", "-1", "argument must be between 0 and 100 inclusive"),
        ("ttl-jitter", "ten", "argument couldn't be parsed into an integer"),
        ("ttl-jitter-rule", "a", "argument must be pairs of a prefix and percent"),
        ("max-ttl", "-1", "argument must be between 0 and 2147483647 inclusive"),
        (
            "max-ttl-rule",
            "a 2147483648",
            "seconds of a rule: argument must be between 0 and 2147483647 inclusive",
        ),
        (
            "default-ttl-rule",
            "a 1 b",
            "argument must be pairs of a prefix and seconds",
        ),
    ] {
        let error = set(&config, &[(name, value)]).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {problem}")
        );
    }
}
