//! The `larder` tool, as people and scripts run it.

use larder_tests::server::{Server, built_program, free_port};
use larder_tests::wait::{PATIENCE, expect_within};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A tool that is not done after this long has hung.
const DEADLINE: Duration = Duration::from_secs(60);

fn larder(args: &[&str]) -> Command {
    let mut command = Command::new(built_program("larder").expect("scripts/test builds it"));
    command.args(args);
    for name in ["LARDER_URL", "NO_COLOR", "LC_ALL", "LANG"] {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits for a child and what it printed; kills it after a minute.
fn finish(mut child: Child) -> Output {
    let began = Instant::now();
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let read = |pipe: &mut Option<_>| {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let pipe: &mut dyn Read = pipe;
            pipe.read_to_end(&mut bytes).expect("output");
        }
        bytes
    };
    std::thread::scope(|scope| {
        let out = scope.spawn(|| read(&mut stdout.as_mut().map(|pipe| pipe as &mut dyn Read)));
        let err = scope.spawn(|| read(&mut stderr.as_mut().map(|pipe| pipe as &mut dyn Read)));
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            if began.elapsed() > DEADLINE {
                child.kill().expect("it runs");
                panic!("larder hangs");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Output {
            status,
            stdout: out.join().expect("no panic"),
            stderr: err.join().expect("no panic"),
        }
    })
}

/// Exit code, standard output, standard error.
fn run_with_input(args: &[&str], input: &[u8]) -> (i32, Vec<u8>, String) {
    let mut child = larder(args).stdin(Stdio::piped()).spawn().expect("larder starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A tool that reads nothing may be gone already.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = finish(child);
    let code = output.status.code().expect("no signal");
    (
        code,
        output.stdout,
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn run(args: &[&str]) -> (i32, String, String) {
    let (code, stdout, stderr) = run_with_input(args, b"");
    (code, String::from_utf8_lossy(&stdout).into_owned(), stderr)
}

fn run_json(args: &[&str]) -> (i32, Value) {
    let (code, stdout, stderr) = run(args);
    let json = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    (code, json)
}

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port())
}

/// The real Redis first: what fails there is no fault of Larder's.
fn with_both(args: &[&str], check: impl Fn(&Server)) {
    for server in [Server::redis(args), Server::larder(args)] {
        println!("{:?}", server.kind());
        check(&server);
    }
}

/// A server on a free port that does `serve` with each connection.
fn stranger(serve: impl Fn(std::net::TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        // Kept open, so that nobody takes a close for an answer.
        for stream in listener.incoming().flatten() {
            serve(stream);
        }
    });
    format!("redis://{address}")
}

#[test]
fn values_are_stored_and_printed_byte_by_byte() {
    with_both(&[], |server| {
        let url = url(server);
        let value: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
        let (code, _, stderr) = run_with_input(&["set", "-u", &url, "k", "-"], &value);
        assert_eq!((code, stderr.as_str()), (0, ""));
        let (code, stdout, _) = run_with_input(&["get", "-u", &url, "k"], b"");
        assert!(code == 0 && stdout == value, "{code}, {} bytes", stdout.len());
        assert_eq!(run(&["set", "-u", &url, "t", "", "--ttl", "100s"]).0, 0);
        let ttl_ms = server.connect().call("PTTL t").integer();
        assert!(matches!(ttl_ms, Some(90_000..=100_000)), "{ttl_ms:?}");
        assert_eq!(run(&["get", "-u", &url, "t"]), (0, String::new(), String::new()));
        // The database of the URL, and what the environment says.
        let other = format!("{url}/3");
        let output = finish(
            larder(&["set", "k", "other"])
                .env("LARDER_URL", &other)
                .spawn()
                .expect("starts"),
        );
        assert!(output.status.success(), "{output:?}");
        assert_eq!(run(&["get", "-u", &other, "k"]).1, "other");
    });
}

#[test]
fn a_missing_key_and_a_wrong_type_are_failures_that_say_so() {
    with_both(&[], |server| {
        let url = url(server);
        let (code, stdout, stderr) = run(&["get", "-u", &url, "absent"]);
        assert_eq!(
            (code, stdout.as_str(), stderr.as_str()),
            (1, "", "larder: no key 'absent'\n")
        );
        let (code, _, stderr) = run(&["set", "-u", &url, "k", "v", "--ttl", "99999999999d"]);
        assert!(code == 2 && stderr.contains("at most 100 years"), "{stderr}");
    });
}

#[test]
fn a_password_is_used_and_never_shown() {
    with_both(&["--requirepass", "secret"], |server| {
        let port = server.port();
        let good = format!("redis://:secret@127.0.0.1:{port}");
        assert_eq!(run(&["set", "-u", &good, "k", "v"]).0, 0);
        for wrong in ["wrongpass@", ""] {
            let bad = format!("redis://{wrong}127.0.0.1:{port}");
            for command in [&["get", "k"][..], &["ping"], &["top", "--once"], &["bench", "-n", "1"]] {
                let mut args = command.to_vec();
                args.extend(["-u", &bad]);
                let (code, stdout, stderr) = run(&args);
                assert_eq!(code, 1, "{args:?}: {stdout}{stderr}");
                let said = stdout + &stderr;
                assert!(
                    said.contains("WRONGPASS") || said.contains("NOAUTH"),
                    "{args:?}: {said}"
                );
                assert!(!said.contains("wrongpass"), "{args:?}: {said}");
            }
        }
        let (code, json) = run_json(&["bench", "-u", &good, "-n", "100", "--warmup", "0", "--json"]);
        assert_eq!((code, json["operations"].as_u64()), (0, Some(100)));
    });
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let wrong: [&[&str]; 10] = [
        &[],
        &["nonsense"],
        &["get"],
        &["ping", "http://host"],
        &["ping", "redis://me:topsecret@host:x"],
        &["get", "k", "-u", "redis://a,redis://b", "--timeout", "0"],
        &["ring", "a", "a"],
        &["ring", "a", "b", "--weights", "1"],
        &["bench", "--ratio", "x"],
        &["top"],
    ];
    for args in wrong {
        let (code, stdout, stderr) = run(args);
        assert_eq!(code, 2, "{args:?}: {stdout}{stderr}");
        assert!(
            !stderr.is_empty() && !stderr.contains("topsecret"),
            "{args:?}: {stderr}"
        );
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    }
}

#[test]
fn every_subcommand_has_examples_in_its_help() {
    for command in ["ping", "get", "set", "ring", "bench", "top", "completions"] {
        let (code, stdout, _) = run(&[command, "--help"]);
        assert!(code == 0 && stdout.contains("Examples:"), "{command}: {stdout}");
        assert!(!stdout.contains('\x1b'), "no colours where there is no terminal");
    }
    let mut script = Command::new("bash");
    script.args(["-n", "/dev/stdin"]).stdin(Stdio::piped());
    let mut bash = script.spawn().expect("bash");
    let (_, completions, _) = run(&["completions", "bash"]);
    bash.stdin
        .take()
        .expect("a pipe")
        .write_all(completions.as_bytes())
        .expect("bash reads");
    assert!(bash.wait().expect("bash").success());
}

#[test]
fn ping_tells_round_trips_and_versions_and_fails_if_a_node_is_unreachable() {
    with_both(&[], |server| {
        let url = url(server);
        let (code, stdout, stderr) = run(&["ping", &url, "-c", "5", "-i", "1ms"]);
        let version = server.info("larder_version").map_or_else(
            || format!("redis {}", server.info("redis_version").expect("a version")),
            |version| format!("larder {version}"),
        );
        assert_eq!((code, stderr.as_str()), (0, ""));
        let line = stdout.lines().nth(1).unwrap_or_default().to_string();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(&words[1..3], ["5", "0"], "{stdout}");
        assert!(line.ends_with(&version), "{stdout}");
        let mut named = larder(&["ping", "-c", "1", "--json"]);
        named.env("LARDER_URL", format!("cache-1 {url} 2,cache-2 {url}"));
        let output = finish(named.spawn().expect("larder starts"));
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            (&json[0]["node"], &json[1]["node"]),
            (&Value::from("cache-1"), &Value::from("cache-2"))
        );
        // What the command line says goes before what the environment says.
        let mut other = larder(&["ping", "-c", "1", "--json", "-u", &url]);
        let output = finish(other.env("LARDER_URL", "nowhere:1").spawn().expect("larder starts"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let closed = format!("127.0.0.1:{}", free_port());
        let (code, json) = run_json(&["ping", &url, &closed, "-c", "3", "-i", "1ms", "--json"]);
        assert_eq!(code, 1, "{json}");
        assert_eq!(
            (&json[0]["received"], &json[1]["reachable"]),
            (&Value::from(3), &Value::from(false))
        );
        let (min, max) = (json[0]["min_us"].as_f64(), json[0]["max_us"].as_f64());
        assert!(min > Some(0.0) && min <= max, "{json}");
        assert!(
            json[1]["error"].as_str().is_some_and(|error| error.contains("refused")),
            "{json}"
        );
    });
}

#[test]
fn strangers_and_servers_that_hang_are_told_of_in_time() {
    let (sender, kept) = std::sync::mpsc::channel();
    let hangs = stranger(move |stream| sender.send(stream).expect("kept"));
    let speaks_http = stranger(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 1024]);
    });
    let closes = stranger(drop);
    for (node, what) in [(&hangs, "within"), (&speaks_http, "byte"), (&closes, "")] {
        for command in [
            &["get", "k"][..],
            &["set", "k", "v"],
            &["ping"],
            &["top", "--once"],
            &["bench"],
        ] {
            let mut args = command.to_vec();
            args.extend(["-u", node, "--timeout", "200ms"]);
            let began = Instant::now();
            let (code, stdout, stderr) = run(&args);
            let said = stdout + &stderr;
            assert_eq!(code, 1, "{args:?}: {said}");
            assert!(said.contains(what) || said.contains("no reply"), "{args:?}: {said}");
            assert!(began.elapsed() < Duration::from_secs(10), "{args:?}: {said}");
        }
    }
    drop(kept);
}

#[test]
fn ring_tells_owners_and_moves_without_a_server_and_stops_when_nobody_reads() {
    let (code, json) = run_json(&[
        "ring", "a", "b", "c", "--key", "{x}:1", "--key", "{x}:2", "--add", "d", "--remove", "a", "--json",
    ]);
    assert_eq!(code, 0);
    let slots: u64 = json["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter_map(|node| node["slots"].as_u64())
        .sum();
    assert_eq!(slots, 16384);
    assert_eq!(json["keys"][0]["owner"], json["keys"][1]["owner"]);
    assert_eq!(json["keys"][0]["ranking"].as_array().map(Vec::len), Some(3));
    for (change, nodes) in [(0, 4.0), (1, 3.0)] {
        let moved = json["changes"][change]["moved"].as_f64().expect("a share");
        assert!(moved > 0.9 / nodes && moved < 1.1 / nodes, "{json}");
    }
    // So long an output that it does not fit a pipe.
    let names: Vec<String> = (0..900)
        .map(|number| format!("a-node-with-a-rather-long-name-{number}"))
        .collect();
    let mut args = vec!["ring"];
    args.extend(names.iter().map(String::as_str));
    args.extend(["--key", "a"]);
    let mut child = larder(&args).spawn().expect("larder starts");
    drop(child.stdout.take());
    let output = finish(child);
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
        (Some(0), "")
    );
}

#[test]
fn a_closed_loop_does_what_it_was_told_and_no_more() {
    with_both(&[], |server| {
        let url = url(server);
        let (code, json) = run_json(&[
            "bench",
            "-u",
            &url,
            "--fill",
            "-k",
            "500",
            "-n",
            "20000",
            "-c",
            "32",
            "--connections",
            "4",
            "--ratio",
            "3:1",
            "--size",
            "10-2kb",
            "--zipf",
            "0.99",
            "--warmup",
            "0",
            "--ttl",
            "1h",
            "--seed",
            "1",
            "--json",
        ]);
        assert_eq!(code, 0, "{json}");
        assert_eq!(json["operations"], 20_000);
        assert_eq!(
            (&json["hit_ratio"], &json["errors"]),
            (&Value::from(1.0), &serde_json::json!({}))
        );
        let gets = json["latency"]["get"]["operations"].as_u64().expect("GETs");
        assert!((14_000..16_000).contains(&gets), "{json}");
        assert_eq!(json["hits"], gets);
        let (p50, max) = (&json["latency"]["all"]["p50_us"], &json["latency"]["all"]["max_us"]);
        assert!(p50.as_f64() > Some(0.0) && p50.as_f64() <= max.as_f64(), "{json}");
        let mut conn = server.connect();
        assert_eq!(conn.call("DBSIZE").integer(), Some(500));
        assert!(conn.call("TTL larder:bench:000000000000").integer() > Some(0));
    });
}

#[test]
fn an_open_loop_keeps_its_rate_and_writes_percentiles() {
    let server = Server::larder(&[]);
    let (url, file) = (url(&server), server.dir().join("latency.hgrm"));
    let path = file.to_str().expect("text");
    let (code, json) = run_json(&[
        "bench",
        "-u",
        &url,
        "--rate",
        "2k",
        "-d",
        "2s",
        "--warmup",
        "0",
        "-c",
        "64",
        "--histogram",
        path,
        "--json",
    ]);
    assert_eq!((code, &json["loop"]), (0, &Value::from("open")), "{json}");
    let done = json["operations"].as_u64().expect("a number") + json["unsent"].as_u64().expect("a number");
    assert!((3_990..=4_001).contains(&done), "{json}");
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(
        text.contains("Percentile") && text.contains(&format!("Total count    = {done:>12}")),
        "{text}"
    );
}

#[test]
fn several_nodes_share_the_keys_and_a_dead_one_is_counted() {
    let mut nodes: Vec<Server> = (0..3).map(|_| Server::larder(&[])).collect();
    let urls: Vec<String> = nodes.iter().map(url).collect();
    let urls = urls.join(",");
    let (code, json) = run_json(&[
        "bench", "-u", &urls, "--fill", "-k", "3000", "-n", "30000", "--warmup", "0", "--json",
    ]);
    assert_eq!((code, &json["hit_ratio"]), (0, &Value::from(1.0)), "{json}");
    let sizes = nodes
        .iter()
        .map(|node| node.connect().call("DBSIZE").integer().expect("a number"));
    assert_eq!(sizes.sum::<i64>(), 3000);
    // One goes away in the middle.
    let args = ["bench", "-u", &urls, "-d", "3s", "--warmup", "0", "--json"];
    let child = larder(&args).spawn().expect("larder starts");
    let victim = nodes.pop().expect("three");
    let commands = || {
        let count = victim.info("total_commands_processed")?;
        count.parse::<u64>().ok()
    };
    // Requests come once all connections are up; before that a node that goes away is an error of another kind.
    let before = commands().expect("a node that answers");
    expect_within(PATIENCE, "load", || commands() > Some(before + 5000));
    drop(victim);
    let output = finish(child);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(1), "{json}");
    let errors = json["errors"].as_object().expect("errors");
    assert!(
        errors.contains_key("connection lost") && errors.contains_key("no connection"),
        "{json}"
    );
    assert!(json["operations"].as_u64() > Some(0), "{json}");
}

#[test]
fn errors_of_the_server_are_counted_by_kind_and_an_interrupt_still_reports() {
    let server = Server::larder(&["--maxmemory", "3mb"]);
    let url = url(&server);
    let (code, json) = run_json(&[
        "bench", "-u", &url, "-n", "20000", "--ratio", "0:1", "--size", "4kb", "--warmup", "0", "--json",
    ]);
    assert!(code == 1 && json["errors"]["OOM"].as_u64() > Some(0), "{json}");
    let child = larder(&["bench", "-u", &url, "-d", "10m", "--ratio", "1:0", "--json"])
        .spawn()
        .expect("larder starts");
    let before = server.info("keyspace_misses");
    expect_within(PATIENCE, "load", || server.info("keyspace_misses") != before);
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.is_ok_and(|status| status.success()));
    let output = finish(child);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["stopped"], true, "{json}");
}

#[test]
fn top_shows_once_what_nodes_do() {
    with_both(&[], |server| {
        let url = url(server);
        let closed = format!("127.0.0.1:{}", free_port());
        let mut load = larder(&[
            "bench", "-u", &url, "-d", "10m", "--fill", "-k", "100", "--rate", "2000", "-c", "8",
        ])
        .stdout(Stdio::null())
        .spawn()
        .expect("larder starts");
        expect_within(PATIENCE, "load", || {
            server.info("keyspace_hits").is_some_and(|hits| hits != "0")
        });
        let (code, json) = run_json(&["top", "--once", "--json", "-i", "500ms", &url]);
        assert_eq!(code, 0, "{json}");
        let node = &json[0];
        assert!(
            node["ops_per_s"]
                .as_f64()
                .is_some_and(|ops| (200.0..4000.0).contains(&ops)),
            "{json}"
        );
        assert_eq!(node["hit_ratio"], 1.0, "{json}");
        assert!(
            node["p99_us"].as_u64() > Some(0) && node["memory_bytes"].as_u64() > Some(0),
            "{json}"
        );
        assert!(node["clients"].as_u64() >= Some(9), "{json}");
        let (code, stdout, stderr) = run(&["top", "--once", "-i", "100ms", &url, &closed]);
        assert_eq!((code, stderr.as_str()), (1, ""));
        assert!(
            stdout.lines().count() == 3 && stdout.contains("unreachable: "),
            "{stdout}"
        );
        load.kill().expect("it runs");
        load.wait().expect("it ends");
    });
}

/// See tests/clients/top.py.
fn in_a_terminal(scene: &str, args: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/top.py");
    let mut command = Command::new("python3");
    command
        .arg(script)
        .arg(built_program("larder").expect("scripts/test builds it"));
    command.arg(scene).args(args).stdin(Stdio::null());
    let output = finish(
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3"),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{scene}: {said}");
}

#[test]
fn top_shows_nodes_that_go_and_come_back_and_leaves_the_terminal_as_it_was() {
    let server = Server::larder(&[]);
    let here = format!("127.0.0.1:{}", server.port());
    let program = built_program("larder-server").expect("scripts/test builds it");
    let program = program.to_str().expect("text");
    in_a_terminal("watch", &[&here, program]);
}

#[test]
fn top_gives_the_terminal_back_when_it_is_told_to_end() {
    let server = Server::redis(&[]);
    let here = format!("127.0.0.1:{}", server.port());
    for scene in ["control-c", "terminate", "hang"] {
        in_a_terminal(scene, &[&here]);
    }
}
