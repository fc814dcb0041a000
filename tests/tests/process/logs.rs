//! Logs, metrics and INFO hold no keys and no values; SLOWLOG and MONITOR do, unless they are told to mask them.

use super::{error_text, larder};
use larder_tests::reply::escape;
use larder_tests::server::{Launch, Server, free_port};
use larder_tests::wait::PATIENCE;
use larder_tests::wire::{Conn, encode};

const KEY: &str = "MARKEDKEY";
const VALUE: &str = "MARKEDVALUE";
const MARK: &str = "MARKED";

/// Everything that could put a peer's bytes into a log.
fn use_marked_data(server: &Server) {
    let mut conn = server.connect();
    let long = format!("{VALUE}{}", "x".repeat(100_000));
    for command in [
        &["SET", KEY, VALUE][..],
        &["SET", KEY, &long],
        &["GET", KEY],
        &["INCR", KEY],
        &["INCRBY", KEY, VALUE],
        &["SETRANGE", KEY, VALUE, "x"],
        &["EXPIRE", KEY, VALUE],
        &["SET", KEY, VALUE, "PX", "1"],
        &["MSET", KEY, VALUE, "b", VALUE],
        &["MARKEDCOMMAND", KEY, VALUE],
        &["CONFIG", "MARKEDSUB"],
        &["CONFIG", "SET", "MARKEDSETTING", VALUE],
        &["CONFIG", "SET", "timeout", VALUE],
        &["CLIENT", "SETNAME", VALUE],
        &["CLIENT", "SETINFO", "LIB-NAME", VALUE],
        &["CLIENT", "KILL", "ADDR", VALUE],
        &["AUTH", VALUE],
        &["AUTH", VALUE, VALUE],
        &["HELLO", "3", "AUTH", VALUE, VALUE],
        &["HELLO", "3", "SETNAME", VALUE],
        &["OBJECT", "ENCODING", KEY],
        &["DEBUG", "OBJECT", KEY],
        &["DEBUG", "ERROR", "ERR MARKEDVALUE"],
        &["DEBUG", "STRINGMATCH-LEN", VALUE, KEY],
        &["MEMORY", "USAGE", KEY],
        &["LATENCY", "HISTORY", VALUE],
        &["COMMAND", "INFO", VALUE],
        &["COMMAND", "GETKEYS", "GET", KEY],
        &["KEYS", "MARKED*"],
        &["SCAN", "0", "MATCH", "MARKED*"],
        &["WATCH", KEY],
        &["MULTI"],
        &["SET", KEY, VALUE],
        &["EXEC"],
        &["RENAME", KEY, "MARKEDKEY2"],
        &["DEBUG", "DIGEST-VALUE", KEY],
        &["CONFIG", "SET", "slowlog-log-slower-than", "0"],
        &["SET", KEY, VALUE],
        &["CONFIG", "SET", "maxmemory", "1"],
        &["SET", KEY, VALUE],
        &["CONFIG", "SET", "maxmemory", "0"],
    ] {
        conn.call_args(command);
    }
    // What ends a connection is what tends to be logged.
    for bytes in [
        format!("*2\r\n$3\r\nGET\r\n${KEY}\r\n"),
        format!("*{KEY}\r\n"),
        format!("*2\r\n!{KEY}\r\n"),
        format!("GET \"{KEY}\r\n"),
        format!("POST /{KEY} HTTP/1.1\r\n"),
        format!("Host: {VALUE}\r\n"),
        format!("{}\r\n", KEY.repeat(10_000)),
        format!("*3\r\n$3\r\nSET\r\n$9\r\n{KEY}\r\n$20\r\n{VALUE}"),
        String::from_utf8_lossy(&[encode(&["SET", KEY, VALUE]), encode(&["DEBUG", "PANIC"])].concat()).into_owned(),
    ] {
        let mut conn = server.connect();
        let _ = conn.send(bytes.as_bytes());
        conn.finish();
        conn.read_to_close(PATIENCE)
            .unwrap_or_else(|error| panic!("{bytes}: {error}"));
    }
    assert_eq!(server.connect().call("PING").text(), "PONG");
}

#[test]
fn logs_hold_neither_keys_nor_values() {
    for format in ["human", "json"] {
        for to_file in [false, true] {
            let metrics = free_port().to_string();
            let mut args = vec![
                "--loglevel",
                "debug",
                "--log-format",
                format,
                "--metrics-port",
                &metrics,
            ];
            if to_file {
                args.extend(["--logfile", "node.log"]);
            }
            let mut server = larder(&Launch {
                args: &args,
                ..Launch::default()
            });
            use_marked_data(&server);
            let info = server.connect().call("INFO everything").text();
            assert!(!info.contains(MARK), "{info}");
            server.signal("TERM");
            assert_eq!(server.wait_exit(), Some(0), "{}", server.output());
            let printed = server.output();
            let log = match to_file {
                true => std::fs::read_to_string(server.dir().join("node.log")).expect("a log file"),
                false => printed.clone(),
            };
            for text in [&log, &printed] {
                assert!(
                    !text.contains(MARK),
                    "{format}: {}",
                    text.lines().find(|line| line.contains(MARK)).unwrap_or("")
                );
            }
            assert!(log.lines().count() >= 5, "{format}: hardly anything is logged:\n{log}");
            assert!(log.contains("panic"), "{format}: a panic is not logged:\n{log}");
            if format == "json" {
                for line in log.lines() {
                    let object: serde_json::Value =
                        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                    for field in ["timestamp", "level", "message"] {
                        assert!(
                            object.get(field).is_some_and(serde_json::Value::is_string),
                            "{field}: {line}"
                        );
                    }
                }
            } else {
                assert!(!log.contains('\u{1b}'), "colours in a file");
            }
        }
    }
}

#[test]
fn loglevel_changes_while_it_runs() {
    let server = Server::larder(&["--loglevel", "nothing"]);
    let mut conn = server.connect();
    let bad = |server: &Server| {
        let mut conn = server.connect();
        let _ = conn.send(b"POST / HTTP/1.1\r\n\r\n");
        let _ = conn.read_to_close(PATIENCE);
    };
    bad(&server);
    assert_eq!(server.output(), "");
    assert_eq!(conn.call("CONFIG SET loglevel debug").text(), "OK");
    bad(&server);
    assert!(
        larder_tests::wait::wait_until(PATIENCE, || server.output().contains("HTTP")),
        "{}",
        server.output()
    );
}

fn slowlog_args(conn: &mut Conn) -> String {
    let reply = conn.call("SLOWLOG GET -1");
    let entries = reply.items().expect("entries");
    let args = entries.iter().map(|entry| {
        let fields = entry.items().expect("an entry");
        let words = fields[3]
            .items()
            .expect("its arguments")
            .iter()
            .map(larder_tests::reply::Reply::text);
        words.collect::<Vec<_>>().join(" ")
    });
    args.collect::<Vec<_>>().join("\n")
}

#[test]
fn slowlog_and_monitor_show_arguments_unless_they_are_masked_and_passwords_never() {
    for masked in [false, true] {
        let mask = if masked { "yes" } else { "no" };
        let server = Server::larder(&["--mask-args", mask, "--slowlog-log-slower-than", "0"]);
        let mut monitor = server.connect();
        monitor.call("MONITOR");
        let mut conn = server.connect();
        conn.call_args(&["SET", KEY, VALUE]);
        conn.call_args(&["AUTH", "SECRETPASSWORD"]);
        conn.call_args(&["CONFIG", "SET", "requirepass", "SECRETPASSWORD"]);
        conn.call_args(&["HELLO", "2", "AUTH", "default", "SECRETPASSWORD"]);
        conn.call("MULTI");
        conn.call_args(&["APPEND", KEY, VALUE]);
        conn.call("EXEC");
        conn.call("ECHO MARKEDEND");
        let slow = slowlog_args(&mut conn);
        let mut seen = String::new();
        while !seen.to_ascii_lowercase().contains("\"echo\"") {
            seen.push_str(&escape(&monitor.read_raw().expect("a line")));
        }
        for (name, text) in [("SLOWLOG", &slow), ("MONITOR", &seen)] {
            assert!(!text.contains("SECRETPASSWORD"), "{name}: {text}");
            assert_eq!(
                text.contains(KEY) && text.contains(VALUE),
                !masked,
                "{name}, mask-args {mask}: {text}"
            );
            assert!(!masked || !text.contains(MARK), "{name}: {text}");
            assert!(text.contains("SET") && text.contains("APPEND"), "{name}: {text}");
        }
        // While it runs, too.
        assert_eq!(
            conn.call(&format!("CONFIG SET mask-args {}", if masked { "no" } else { "yes" }))
                .text(),
            "OK"
        );
        conn.call_args(&["GET", "MARKEDLATER"]);
        assert_eq!(slowlog_args(&mut conn).contains("MARKEDLATER"), masked);
    }
}

#[test]
fn slowlog_is_documented_behaviour() {
    for server in [Server::redis(&[]), Server::larder(&[])] {
        let kind = server.kind();
        let mut conn = server.connect();
        for (name, value) in [("slowlog-log-slower-than", "0"), ("slowlog-max-len", "3")] {
            assert_eq!(conn.call(&format!("CONFIG SET {name} {value}")).text(), "OK");
        }
        conn.call("CLIENT SETNAME me");
        for number in 0..10 {
            conn.call(&format!("SET k{number} v"));
        }
        assert_eq!(conn.call("SLOWLOG LEN").integer(), Some(3), "{kind:?}");
        conn.call("CONFIG SET slowlog-max-len 100");
        // 40 arguments: 31 are kept, and how many more there were; long ones are cut.
        let long = "y".repeat(500);
        let words: Vec<String> = ["MGET".to_string(), long]
            .into_iter()
            .chain((0..38).map(|n| n.to_string()))
            .collect();
        conn.call_args(&words);
        let reply = conn.call("SLOWLOG GET 1");
        let entry = reply.items().expect("entries")[0].items().expect("an entry").to_vec();
        assert_eq!(entry.len(), 6, "{kind:?}");
        let args: Vec<_> = entry[3]
            .items()
            .expect("arguments")
            .iter()
            .map(|arg| arg.text())
            .collect();
        assert_eq!(args.len(), 32, "{kind:?}");
        assert_eq!(args[31], "... (9 more arguments)", "{kind:?}");
        assert_eq!(args[1], format!("{}... (372 more bytes)", "y".repeat(128)), "{kind:?}");
        assert_eq!(entry[5].text(), "me", "{kind:?}");
        assert!(entry[4].text().starts_with("127.0.0.1:"), "{kind:?}");
        conn.call("CONFIG SET slowlog-log-slower-than -1");
        conn.call("SLOWLOG RESET");
        conn.call("SET k v");
        assert_eq!(conn.call("SLOWLOG LEN").integer(), Some(0), "{kind:?}");
    }
}

#[test]
fn errors_are_counted_by_their_code_only() {
    for server in [Server::redis(&[]), Server::larder(&[])] {
        let mut conn = server.connect();
        for line in ["MARKEDCOMMAND x", "INCRBY k MARKEDVALUE", "SET", "EXEC"] {
            assert!(!error_text(&conn.call(line)).is_empty(), "{:?}: {line}", server.kind());
        }
        let text = conn.call("INFO errorstats").text();
        assert!(text.contains("errorstat_ERR:count=4"), "{:?}: {text}", server.kind());
    }
}
