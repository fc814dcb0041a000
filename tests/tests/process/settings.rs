//! Settings of a process: which source wins, what CONFIG keeps and refuses, what a file gives after a rewrite.

use super::{config, error_text, larder};
use larder_tests::server::{Kind, Launch, Server, built_program};
use larder_tests::wire::Conn;
use std::process::{Command, Output};

/// `(name, variable, default, in the file, in the environment, as a flag)`.
const SOURCES: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("maxclients", "LARDER_MAXCLIENTS", "10000", "101", "102", "103"),
    ("timeout", "LARDER_TIMEOUT", "0", "201", "202", "203"),
    ("slowlog-max-len", "LARDER_SLOWLOG_MAX_LEN", "128", "301", "302", "303"),
    ("tcp-keepalive", "LARDER_TCP_KEEPALIVE", "300", "401", "402", "403"),
    ("databases", "LARDER_DATABASES", "16", "17", "18", "19"),
    (
        "maxmemory",
        "LARDER_MAXMEMORY",
        "0",
        "100000000",
        "200000000",
        "300000000",
    ),
    (
        "maxmemory-policy",
        "LARDER_MAXMEMORY_POLICY",
        "",
        "allkeys-lfu",
        "volatile-ttl",
        "allkeys-random",
    ),
    ("loglevel", "LARDER_LOGLEVEL", "notice", "debug", "verbose", "warning"),
    ("requirepass", "LARDER_REQUIREPASS", "", "", "", ""),
    // One of those that Larder only keeps.
    (
        "hash-max-listpack-entries",
        "LARDER_HASH_MAX_LISTPACK_ENTRIES",
        "512",
        "501",
        "502",
        "503",
    ),
];

#[test]
fn flags_override_the_environment_and_the_environment_the_file() {
    // Bit 0: in the file, bit 1: in the environment, bit 2: a flag.
    for sources in 0..8 {
        let mut file = "port 1\nbind 127.0.0.1\n".to_string();
        let mut env = vec![("LARDER_PORT", "{port}")];
        let mut args = Vec::new();
        for (name, variable, _, in_file, in_env, flag) in SOURCES.iter().filter(|row| !row.3.is_empty()) {
            if sources & 1 != 0 {
                file.push_str(&format!("{name} {in_file}\n"));
            }
            if sources & 2 != 0 {
                env.push((variable, in_env));
            }
            if sources & 4 != 0 {
                args.extend([format!("--{name}"), (*flag).to_string()]);
            }
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let server = larder(&Launch {
            args: &args,
            env: &env,
            file: Some(&file),
            bare: true,
        });
        for (name, _, default, in_file, in_env, flag) in SOURCES {
            let expected = match sources {
                0 => default,
                1 => in_file,
                2 | 3 => in_env,
                _ => flag,
            };
            if !(sources == 0 && *name == "maxmemory-policy") {
                assert_eq!(config(&server, name)[*name], *expected, "{name}, sources {sources:03b}");
            }
        }
    }
}

#[test]
fn each_source_counts_setting_by_setting() {
    let server = larder(&Launch {
        args: &["--timeout", "3"],
        env: &[
            ("LARDER_PORT", "{port}"),
            ("LARDER_TIMEOUT", "2"),
            ("LARDER_MAXCLIENTS", "222"),
            ("LARDER_HZ", ""),
        ],
        file: Some("port 1\ntimeout 1\nmaxclients 111\nslowlog-max-len 99\n"),
        bare: true,
    });
    let found = config(&server, "timeout maxclients slowlog-max-len hz");
    let found: Vec<_> = found.iter().map(|(name, value)| format!("{name} {value}")).collect();
    assert_eq!(found, ["hz 10", "maxclients 222", "slowlog-max-len 99", "timeout 3"]);
}

#[test]
fn a_password_in_the_environment_is_asked_for() {
    let server = larder(&Launch {
        env: &[("LARDER_REQUIREPASS", "from the environment")],
        ..Launch::default()
    });
    let mut conn = server.connect();
    assert_eq!(error_text(&conn.call("GET k")), "NOAUTH Authentication required.");
    assert_eq!(conn.call_args(&["AUTH", "from the environment"]).text(), "OK");
}

const FILE: &str = "# a comment that stays\nport {port}\nbind 127.0.0.1\n\nmaxclients 77\n# another\nslowlog-max-len 5\n\
    requirepass \"pa ss\"\nenable-debug-command yes\nsave \"\"\n";

#[test]
fn what_config_rewrite_wrote_gives_the_same_settings_after_a_restart() {
    let launch = |file: &str| {
        larder(&Launch {
            args: &["--tcp-keepalive", "111"],
            file: Some(file),
            bare: true,
            ..Launch::default()
        })
    };
    let all = |server: &Server, password: &str| {
        let mut conn = server.connect();
        assert_eq!(conn.call_args(&["AUTH", password]).text(), "OK");
        let reply = conn.call("CONFIG GET *");
        let pairs = reply.items().expect("pairs").chunks(2);
        let pairs = pairs.map(|pair| (pair[0].text(), pair[1].text()));
        pairs.filter(|(name, _)| name != "dir").collect::<Vec<_>>()
    };
    let server = launch(FILE);
    let mut conn = server.connect();
    assert_eq!(conn.call_args(&["AUTH", "pa ss"]).text(), "OK");
    let secret = "new \"pass\" \\ # with\ttabs";
    for pair in [
        ["maxclients", "88"],
        ["timeout", "9"],
        ["requirepass", secret],
        ["maxmemory", "100mb"],
        ["maxmemory-policy", "volatile-lfu"],
        ["client-output-buffer-limit", "normal 64mb 1mb 5"],
        ["latency-tracking-info-percentiles", "50 99.99"],
        ["hash-max-listpack-entries", "999"],
        ["loglevel", "verbose"],
        ["lazyfree-lazy-user-del", "yes"],
    ] {
        let reply = conn.call_args(&[&["CONFIG", "SET"][..], &pair].concat());
        assert_eq!(reply.text(), "OK", "{pair:?}: {reply:?}");
    }
    assert_eq!(conn.call("CONFIG REWRITE").text(), "OK");
    let path = server.dir().join("larder.conf");
    let written = std::fs::read_to_string(&path).expect("the file");
    let before = all(&server, secret);
    for line in [
        "# a comment that stays",
        "# another",
        "maxclients 88",
        "slowlog-max-len 5",
        "timeout 9",
    ] {
        assert!(
            written.lines().any(|found| found == line),
            "no line `{line}` in\n{written}"
        );
    }
    assert!(!written.contains("pa ss"), "{written}");
    // A second rewrite has nothing to do.
    assert_eq!(conn.call("CONFIG REWRITE").text(), "OK");
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), written);
    drop(server);

    let restarted = launch(&rewrite_port(&written));
    let after = all(&restarted, secret);
    let ports = |pairs: &[(String, String)]| {
        pairs
            .iter()
            .filter(|(name, _)| name != "port")
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(ports(&before), ports(&after));
}

/// The same file for whichever port the next server gets.
fn rewrite_port(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("port ") {
        Some(_) => "port {port}",
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn without_a_file_there_is_nothing_to_rewrite() {
    for server in [Server::redis(&[]), Server::larder(&[])] {
        let text = error_text(&server.connect().call("CONFIG REWRITE"));
        assert_eq!(
            text,
            "ERR The server is running without a config file",
            "{:?}",
            server.kind()
        );
    }
}

#[test]
fn config_set_sets_all_or_nothing() {
    let refused: &[&[&str]] = &[
        &["maxclients", "50", "timeout", "abc", "slowlog-max-len", "9"],
        &["timeout", "5", "slowlog-max-len", "9", "unixsocket", "x"],
        &["timeout", "5", "timeout", "6"],
        &["slowlog-max-len", "9", "maxmemory", "12xb"],
        &["slowlog-max-len", "9", "appendonly", "nosuch"],
        &["timeout", "5", "slowlog-max-len"],
        &["timeout", "5", "nosuchsetting", "1"],
        &["timeout", "5", "maxclients", "0"],
        &["timeout", "5", "databases", "3"],
        &["timeout", "5", "save", "1 2 3"],
        &["timeout", "5", "", ""],
    ];
    const NAMES: &str = "maxclients timeout slowlog-max-len maxmemory maxmemory-policy save databases";
    let servers = [Server::redis(&[]), Server::larder(&[])];
    for pairs in refused {
        let command = [&["CONFIG", "SET"][..], pairs].concat();
        let [redis, larder] = servers.each_ref().map(|server| {
            let before = config(server, NAMES);
            let text = error_text(&server.connect().call_args(&command));
            assert_eq!(before, config(server, NAMES), "{:?}: {pairs:?}", server.kind());
            text
        });
        assert!(redis.starts_with("ERR"), "{pairs:?}: {redis}");
        assert_eq!(redis, larder, "{pairs:?}");
    }
    for server in &servers {
        let mut conn = server.connect();
        assert_eq!(
            conn.call("CONFIG SET timeout 7 maxclients 70 slowlog-max-len 8").text(),
            "OK"
        );
        let found = config(server, "timeout maxclients slowlog-max-len");
        assert_eq!(found.into_values().collect::<Vec<_>>(), ["70", "8", "7"]);
    }
}

#[test]
fn a_name_that_nobody_knows_suggests_the_nearest() {
    let server = Server::larder(&[]);
    let mut conn = server.connect();
    let head = "ERR Unknown option or number of arguments for CONFIG SET - ";
    for (wrong, near) in [
        ("maxmemroy", "maxmemory"),
        ("max-memory", "maxmemory"),
        ("maxmemory_policy", "maxmemory-policy"),
        ("tiemout", "timeout"),
        ("slowlog-maxlen", "slowlog-max-len"),
        ("hash-max-listpack-entry", "hash-max-listpack-entries"),
    ] {
        let text = error_text(&conn.call(&format!("CONFIG SET {wrong} 1")));
        assert_eq!(text, format!("{head}'{wrong}', did you mean '{near}'?"));
    }
    assert_eq!(
        error_text(&conn.call("CONFIG SET zzzzzzzzzzzz 1")),
        format!("{head}'zzzzzzzzzzzz'")
    );
}

/// Runs the server's program to its end, which a wrong setting makes it reach at once.
fn failed_start(args: &[&str], file: Option<&str>) -> Output {
    let folder = tempfile::tempdir().expect("a temp dir");
    let program = std::env::var_os(larder_tests::server::SERVER_VARIABLE)
        .map_or_else(|| built_program("larder-server").expect("it is built"), Into::into);
    let mut command = Command::new(program);
    if let Some(text) = file {
        let path = folder.path().join("larder.conf");
        std::fs::write(&path, text).expect("a file");
        command.arg(path);
    }
    let output = command.args(args).current_dir(folder.path()).output().expect("it runs");
    assert!(!output.status.success(), "{args:?} {file:?}: it started");
    output
}

#[test]
fn a_wrong_setting_stops_the_start_with_its_place_and_a_suggestion() {
    let cases: &[(&[&str], Option<&str>, &[&str])] = &[
        (&["--maxmemroy", "1gb"], None, &["maxmemroy", "maxmemory"]),
        (&["--maxmemory", "12xb"], None, &["maxmemory", "12xb"]),
        (&["--port", "70000"], None, &["port", "70000"]),
        (
            &["--maxmemory-policy", "nosuch"],
            None,
            &["maxmemory-policy", "nosuch", "allkeys-lru"],
        ),
        (
            &[],
            Some("timeout 1\n\nmaxmemroy 1gb\n"),
            &["larder.conf", "3", "maxmemroy", "maxmemory"],
        ),
        (&[], Some("timeout abc\n"), &["larder.conf", "1", "timeout", "abc"]),
        (&[], Some("requirepass \"unbalanced\n"), &["larder.conf", "1"]),
        (&["/nonexistent/larder.conf"], None, &["/nonexistent/larder.conf"]),
    ];
    for (args, file, wanted) in cases {
        let output = failed_start(args, *file);
        let text = String::from_utf8_lossy(&output.stderr);
        for word in *wanted {
            assert!(text.contains(word), "{args:?} {file:?}: no `{word}` in: {text}");
        }
        assert!(!text.contains("panicked") && text.lines().count() <= 12, "{text}");
    }
}

#[test]
fn config_resetstat_starts_the_counters_anew() {
    for kind in [Kind::Redis, Kind::Larder] {
        let server = Server::start(kind, &[]);
        let mut conn: Conn = server.connect();
        for line in ["SET k v", "GET k", "GET absent", "NOSUCH", "INCR k"] {
            conn.call(line);
        }
        let number = |field: &str| server.info(field).and_then(|text| text.parse::<u64>().ok());
        assert!(
            number("keyspace_hits") >= Some(1) && number("keyspace_misses") >= Some(1),
            "{kind:?}"
        );
        assert!(
            server.info("errorstat_ERR").is_some() && server.info("cmdstat_set").is_some(),
            "{kind:?}"
        );
        assert_eq!(conn.call("CONFIG RESETSTAT").text(), "OK");
        assert_eq!(number("keyspace_hits"), Some(0), "{kind:?}");
        assert_eq!(number("keyspace_misses"), Some(0), "{kind:?}");
        assert_eq!(number("total_error_replies"), Some(0), "{kind:?}");
        assert!(
            server.info("errorstat_ERR").is_none() && server.info("cmdstat_set").is_none(),
            "{kind:?}"
        );
    }
}

/// Settings whose default is not Redis's, or is each server's own.
const OTHER_DEFAULTS: &[(&str, &str)] = &[
    ("maxmemory-policy", "a cache evicts"),
    ("client-output-buffer-limit", "a peer that does not read is bounded"),
    ("maxmemory-clients", "buffers of all peers together are bounded"),
    ("bind", "only this machine, unless asked for"),
    ("port", "chosen by the test"),
    ("dir", "chosen by the test"),
];

fn every_setting(server: &Server) -> Vec<(String, String)> {
    config(server, "*").into_iter().collect()
}

#[test]
fn every_name_of_redis_is_known_and_has_redis_default_or_a_reason() {
    // Without the harness's flags, which set some of them.
    let bare = |kind| {
        Server::launch(
            kind,
            &Launch {
                args: &["--save", "3600 1 300 100 60 10000"],
                file: Some("port {port}\n"),
                bare: true,
                ..Launch::default()
            },
        )
    };
    let (redis, larder) = (every_setting(&bare(Kind::Redis)), config(&bare(Kind::Larder), "*"));
    let mut problems = Vec::new();
    for (name, value) in redis {
        let listed = OTHER_DEFAULTS.iter().any(|(other, _)| *other == name);
        match larder.get(&name) {
            None => problems.push(format!("{name} is unknown")),
            Some(ours) if *ours != value && !listed => problems.push(format!("{name}: {value} in Redis, {ours} here")),
            Some(ours) if *ours == value && listed => {
                problems.push(format!("{name} is as in Redis: drop it from the list"));
            }
            _ => {}
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_file_with_every_setting_of_redis_is_taken() {
    let redis = Server::redis(&[]);
    let mut file = String::new();
    for (name, value) in every_setting(&redis) {
        let several = ["bind", "save", "client-output-buffer-limit", "oom-score-adj-values"].contains(&name.as_str());
        match name.as_str() {
            "port" => file.push_str("port {port}\n"),
            "bind" => file.push_str("bind 127.0.0.1\n"),
            "dir" => {}
            // A value of several words is several arguments.
            _ if several && !value.is_empty() => file.push_str(&format!("{name} {value}\n")),
            _ => file.push_str(&format!("{name} \"{value}\"\n")),
        }
    }
    let before = config(&redis, "*");
    drop(redis);
    let server = larder(&Launch {
        file: Some(&file),
        bare: true,
        ..Launch::default()
    });
    let after = config(&server, "*");
    for (name, value) in &before {
        if !["port", "bind", "dir"].contains(&name.as_str()) {
            assert_eq!(after.get(name), Some(value), "{name}");
        }
    }
}

#[test]
fn the_flags_that_people_type_for_redis_work() {
    for kind in [Kind::Redis, Kind::Larder] {
        let flags = "--maxmemory 1gb --maxmemory-policy allkeys-lru --maxclients 1000 --timeout 300 --tcp-keepalive 60 \
            --requirepass secret --databases 4 --loglevel verbose --logfile node.log --appendonly no \
            --protected-mode no --daemonize no --unixsocket node.sock --unixsocketperm 700";
        let server = Server::start(kind, &flags.split_whitespace().collect::<Vec<_>>());
        let mut conn = server.connect();
        assert_eq!(conn.call("AUTH secret").text(), "OK", "{kind:?}");
        for (name, value) in [
            ("maxmemory", "1073741824"),
            ("maxmemory-policy", "allkeys-lru"),
            ("maxclients", "1000"),
            ("timeout", "300"),
            ("tcp-keepalive", "60"),
            ("databases", "4"),
            ("loglevel", "verbose"),
            ("logfile", "node.log"),
            ("save", ""),
            ("appendonly", "no"),
            ("protected-mode", "no"),
            ("unixsocketperm", "700"),
        ] {
            let reply = conn.call(&format!("CONFIG GET {name}"));
            assert_eq!(
                reply.items().map(|pair| pair[1].text()),
                Some(value.to_string()),
                "{kind:?}: {name}"
            );
        }
        assert!(server.dir().join("node.log").exists() && server.dir().join("node.sock").exists());
    }
}
