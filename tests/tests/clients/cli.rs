//! redis-cli in all its modes that apply, and redis-benchmark.

use super::{finish, first_lines, run, run_with_input, tool, with_both};
use larder_tests::server::Server;
use larder_tests::wire::encode;
use std::process::Stdio;

fn cli(server: &Server, args: &[&str]) -> String {
    run(tool("redis-cli", server, args))
}

/// 2,000 small keys, one large.
fn fill(server: &Server) {
    let mut conn = server.connect();
    for number in 0..2000 {
        conn.call(&format!("SET key:{number} value:{number}"));
    }
    conn.call_args(&["SET", "the:largest", &"x".repeat(100_000)]);
}

#[test]
fn redis_cli_runs_commands() {
    with_both(&[], |server| {
        assert_eq!(cli(server, &["SET", "k", "v"]), "OK\n");
        assert_eq!(cli(server, &["GET", "k"]), "v\n");
        assert_eq!(cli(server, &["--no-raw", "GET", "absent"]), "(nil)\n");
        assert_eq!(cli(server, &["--no-raw", "INCR", "n"]), "(integer) 1\n");
        assert_eq!(cli(server, &["-r", "3", "INCR", "n"]), "2\n3\n4\n");
        assert_eq!(cli(server, &["-n", "5", "DBSIZE"]), "0\n");
        assert_eq!(
            cli(server, &["-3", "--no-raw", "CONFIG", "GET", "databases"]),
            "1# \"databases\" => \"16\"\n"
        );
        assert_eq!(cli(server, &["--csv", "MGET", "k", "absent"]), "\"v\",NULL\n");
        assert_eq!(cli(server, &["--json", "MGET", "k", "n"]), "[\"v\",\"4\"]\n");
        let piped = run_with_input(tool("redis-cli", server, &["-x", "SET", "k"]), b"from standard input");
        assert_eq!(piped, "OK\n");
        let lines = run_with_input(tool("redis-cli", server, &[]), b"GET k\nSTRLEN k\nNOSUCH\nPING\n");
        assert!(
            lines.starts_with("from standard input\n19\nERR unknown command 'NOSUCH'"),
            "{lines}"
        );
        assert!(lines.ends_with("PONG\n\n") || lines.ends_with("PONG\n"), "{lines}");
        assert!(cli(server, &["INFO", "server"]).contains("redis_version:"));
    });
}

#[test]
fn redis_cli_logs_in() {
    with_both(&["--requirepass", "secret"], |server| {
        assert!(cli(server, &["PING"]).contains("NOAUTH"));
        assert_eq!(cli(server, &["--no-auth-warning", "-a", "secret", "PING"]), "PONG\n");
        assert_eq!(
            cli(
                server,
                &["--no-auth-warning", "--user", "default", "--pass", "secret", "PING"]
            ),
            "PONG\n"
        );
    });
}

#[test]
fn redis_cli_stat_prints_keys_memory_and_clients() {
    with_both(&[], |server| {
        fill(server);
        let lines = first_lines(tool("redis-cli", server, &["--stat", "-i", "0.05"]), 6);
        assert!(lines[1].contains("keys") && lines[1].contains("mem"), "{lines:?}");
        for line in &lines[2..] {
            let fields: Vec<_> = line.split_whitespace().collect();
            assert_eq!(fields.first(), Some(&"2001"), "{line}");
            assert!(
                fields[1].ends_with(['K', 'M', 'G']) && !fields[1].starts_with('0'),
                "{line}"
            );
            assert!(fields[2].parse::<u32>().is_ok_and(|clients| clients >= 1), "{line}");
        }
    });
}

#[test]
fn redis_cli_finds_big_and_hot_keys() {
    with_both(&[], |server| {
        fill(server);
        let big = cli(server, &["--bigkeys"]);
        assert!(big.contains("Sampled 2001 keys in the keyspace!"), "{big}");
        assert!(
            big.contains("Biggest string found '\"the:largest\"' has 100000 bytes"),
            "{big}"
        );
        let mem = cli(server, &["--memkeys"]);
        assert!(mem.contains("Biggest string found '\"the:largest\"' has 1"), "{mem}");
        let samples = cli(server, &["--memkeys-samples", "5"]);
        assert!(samples.contains("Sampled 2001 keys in the keyspace!"), "{samples}");

        assert_eq!(
            cli(server, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"]),
            "OK\n"
        );
        let mut conn = server.connect();
        for _ in 0..3000 {
            conn.call("GET key:7");
        }
        let hot = cli(server, &["--hotkeys"]);
        let summary = hot.split("-------- summary -------").nth(1).unwrap_or_default();
        let hottest = summary
            .lines()
            .find(|line| line.starts_with("hot key found"))
            .unwrap_or_default();
        assert!(hottest.contains("key:7"), "{hot}");
    });
}

#[test]
fn redis_cli_scans() {
    with_both(&[], |server| {
        fill(server);
        let count = |args: &[&str]| {
            let output = cli(server, args);
            let keys: std::collections::BTreeSet<_> = output.lines().collect();
            keys.len()
        };
        assert_eq!(count(&["--scan"]), 2001);
        assert_eq!(count(&["--scan", "--pattern", "key:1?"]), 10);
        assert_eq!(count(&["--scan", "--quoted-pattern", "\"the:*\""]), 1);
    });
}

#[test]
fn redis_cli_measures_latency() {
    with_both(&[], |server| {
        let output = cli(server, &["--latency", "-i", "0.3"]);
        let numbers: Vec<f64> = output.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert!(
            numbers.len() >= 4 && numbers[3] >= 1.0,
            "min, max, avg, count: {output}"
        );
        let history = first_lines(tool("redis-cli", server, &["--latency-history", "-i", "0.2"]), 2);
        assert!(
            history.iter().all(|line| line.split_whitespace().count() >= 4),
            "{history:?}"
        );
        // The name is cut short by people, and by the issue; redis-cli wants it whole.
        let distribution = first_lines(tool("redis-cli", server, &["--latency-dist", "-i", "0.2"]), 2);
        assert!(distribution[0].contains("---"), "{distribution:?}");
    });
}

#[test]
fn latency_histogram_counts_calls_in_buckets_that_double() {
    with_both(&[], |server| {
        let mut conn = server.connect();
        conn.call("CONFIG RESETSTAT");
        for _ in 0..500 {
            conn.call("SET k v");
            conn.call("GET k");
        }
        let text = cli(server, &["LATENCY", "HISTOGRAM", "set", "get", "nosuch"]);
        let lines: Vec<&str> = text.lines().collect();
        for command in ["set", "get"] {
            let at = lines
                .iter()
                .position(|line| *line == command)
                .unwrap_or_else(|| panic!("no {command}: {text}"));
            assert_eq!(lines[at + 1..at + 4], ["calls", "500", "histogram_usec"], "{text}");
            let numbers = lines[at + 4..]
                .iter()
                .map_while(|line| line.parse::<u64>().ok())
                .collect::<Vec<_>>();
            let (bounds, counts): (Vec<u64>, Vec<u64>) = numbers.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
            assert!(
                bounds.is_sorted() && counts.is_sorted() && counts.last() == Some(&500),
                "{text}"
            );
            assert!(bounds.windows(2).all(|pair| pair[1] >= 2 * pair[0]), "{text}");
        }
        assert!(!text.contains("nosuch"), "{text}");
    });
}

#[test]
fn redis_cli_pipe_loads_many_commands() {
    with_both(&[], |server| {
        let commands: Vec<u8> = (0..50_000)
            .flat_map(|number| encode(&["SET", &format!("key:{number}"), "value"]))
            .collect();
        let output = run_with_input(tool("redis-cli", server, &["--pipe"]), &commands);
        assert!(output.contains("errors: 0, replies: 50000"), "{output}");
        assert_eq!(cli(server, &["DBSIZE"]), "50000\n");
        let bad: Vec<u8> = (0..100).flat_map(|_| encode(&["INCRBY", "n", "x"])).collect();
        let mut command = tool("redis-cli", server, &["--pipe"]);
        command.stderr(Stdio::null());
        let shown = format!("{:?}", server.kind());
        let output = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run_with_input(command, &bad)));
        // redis-cli ends with an error then, and so does `run`.
        assert!(output.is_err(), "{shown}: 100 errors went unnoticed");
    });
}

#[test]
fn redis_cli_monitors() {
    with_both(&[], |server| {
        let command = tool("redis-cli", server, &["MONITOR"]);
        let child = { command }.spawn().expect("redis-cli starts");
        let mut conn = server.connect();
        larder_tests::wait::expect_within(larder_tests::wait::PATIENCE, "cmd=monitor in CLIENT LIST", || {
            conn.call("CLIENT LIST").text().contains("cmd=monitor")
        });
        conn.call_args(&["SET", "watched key", "v"]);
        conn.call("PING");
        // Ends redis-cli, which has then printed all that came before.
        conn.call("CLIENT KILL TYPE normal");
        let output = finish(child, "redis-cli MONITOR");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.contains("[0 127.0.0.1:") && text.contains("\"SET\" \"watched key\" \"v\""),
            "{text}"
        );
    });
}

fn benchmark(server: &Server, args: &[&str]) -> Vec<String> {
    let output = run(tool("redis-benchmark", server, args));
    let rows: Vec<_> = output.lines().map(str::to_string).collect();
    for row in rows.iter().skip(1) {
        let fields: Vec<_> = row.split("\",\"").collect();
        let rate = fields
            .get(1)
            .and_then(|text| text.trim_matches('"').parse::<f64>().ok());
        assert!(rate.is_some_and(|rate| rate > 100.0), "{:?}: {row}", server.kind());
    }
    rows.iter()
        .skip(1)
        .map(|row| row.split('"').nth(1).unwrap_or_default().to_string())
        .collect()
}

#[test]
fn redis_benchmark_runs() {
    const ALL: &[&str] = &["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"];
    with_both(&[], |server| {
        let common = ["-t", "ping,set,get,incr,mset", "-q", "--csv", "-n", "20000"];
        for extra in [
            &[][..],
            &["-P", "16"],
            &["-P", "64", "-c", "10", "-r", "100000"],
            &["--threads", "2", "-d", "2000"],
            &["-3"],
        ] {
            let args: Vec<&str> = common.iter().chain(extra).copied().collect();
            assert_eq!(benchmark(server, &args), ALL, "{extra:?}");
        }
        let custom = benchmark(
            server,
            &[
                "-q",
                "--csv",
                "-n",
                "5000",
                "-r",
                "1000",
                "SET",
                "key:__rand_int__",
                "v",
            ],
        );
        assert_eq!(custom, ["SET key:__rand_int__ v"]);
    });
}

#[test]
fn redis_benchmark_logs_in_and_keeps_its_password() {
    with_both(&["--requirepass", "secret"], |server| {
        let mut command = tool(
            "redis-benchmark",
            server,
            &["-t", "set", "-q", "--csv", "-n", "2000", "-a", "secret"],
        );
        command.stdout(Stdio::piped());
        assert!(run(command).contains("\"SET\""));
    });
}
