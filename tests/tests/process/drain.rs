//! The end of a process: what was read is answered, nobody new comes in, nobody can hold it up.

use super::larder;
use larder_tests::reply::escape;
use larder_tests::server::{Launch, Server};
use larder_tests::wait::{PATIENCE, expect_within};
use larder_tests::wire::{Conn, encode};
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const SOCKET: &str = "node.sock";
const PIDFILE: &str = "node.pid";

fn start(more: &[&str]) -> Server {
    let usual = ["--threads", "2", "--unixsocket", SOCKET, "--pidfile", PIDFILE];
    larder(&Launch {
        args: &[&usual, more].concat(),
        ..Launch::default()
    })
}

/// Commands in one write, the first of which holds the worker up until the signal has come.
fn batch_behind_a_sleep(count: usize) -> Vec<u8> {
    let mut bytes = encode(&["DEBUG", "SLEEP", "3"]);
    bytes.extend(encode(&["INCR", "n"]).repeat(count));
    // Larger would not be sure to arrive in one read.
    assert!(bytes.len() < 32 << 10);
    bytes
}

fn drains_after(signal: &str) {
    const COUNT: usize = 1000;
    let mut server = start(&[]);
    assert!(server.dir().join(SOCKET).exists() && server.dir().join(PIDFILE).exists());
    let mut conn = server.connect();
    conn.call("PING");
    let mut half = server.connect();
    half.send(b"*2\r\n$3\r\nGET\r\n$1").expect("the server waits for more");
    conn.send(&batch_behind_a_sleep(COUNT)).expect("the server reads");
    std::thread::sleep(Duration::from_millis(300));
    server.signal(signal);
    let socket = server.dir().join(SOCKET);
    expect_within(Duration::from_secs(2), "new connections are refused", || {
        let refused = |error: std::io::Error| error.kind() == ErrorKind::ConnectionRefused;
        Conn::open(server.port()).is_err_and(refused) && UnixStream::connect(&socket).is_err()
    });
    assert!(!server.has_exited(), "it ended before it had answered what it had read");
    assert_eq!(escape(&conn.read_raw().expect("the reply to DEBUG SLEEP")), "+OK\\r\\n");
    for number in 1..=COUNT {
        let reply = conn
            .read_raw()
            .unwrap_or_else(|error| panic!("reply {number} of {COUNT}: {error}"));
        assert_eq!(reply, format!(":{number}\r\n").into_bytes());
    }
    for mut conn in [conn, half] {
        assert_eq!(conn.read_to_close(PATIENCE).expect("a close"), b"");
    }
    assert_eq!(server.wait_exit(), Some(0), "{}", server.output());
    assert!(!server.dir().join(SOCKET).exists(), "the Unix socket is left behind");
    assert!(!server.dir().join(PIDFILE).exists(), "the pidfile is left behind");
}

#[test]
fn sigterm_answers_what_was_read_and_ends_with_0() {
    drains_after("TERM");
}

#[test]
fn sigint_answers_what_was_read_and_ends_with_0() {
    drains_after("INT");
}

#[test]
fn a_peer_that_does_not_read_holds_up_the_end_for_shutdown_timeout_only() {
    for signal in ["TERM", "INT"] {
        let mut server = start(&["--shutdown-timeout", "1"]);
        let mut conn = server.connect();
        conn.call_args(&["SET", "big", &"x".repeat(1 << 20)]);
        conn.send(&encode(&["GET", "big"]).repeat(100))
            .expect("the server reads");
        expect_within(PATIENCE, "replies wait for the peer", || {
            let waiting = server.info("client_recent_max_output_buffer");
            waiting.is_some_and(|bytes| bytes.parse::<u64>().is_ok_and(|bytes| bytes > 0))
        });
        let start = Instant::now();
        server.signal(signal);
        assert_eq!(server.wait_exit(), Some(0), "{}", server.output());
        let took = start.elapsed();
        assert!(
            took >= Duration::from_millis(900),
            "{took:?}: the peer was given no time"
        );
        assert!(took < Duration::from_secs(6), "{took:?} with a shutdown-timeout of 1 s");
        assert!(!server.dir().join(SOCKET).exists());
        drop(conn);
    }
}

#[test]
fn peers_with_nothing_to_come_do_not_hold_up_the_end() {
    let mut server = start(&["--shutdown-timeout", "60"]);
    let mut idle: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
    idle[0].call("MONITOR");
    idle[1].call("MULTI");
    idle[1].call("SET k v");
    idle[2].call("WATCH k");
    idle[3]
        .send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nabc")
        .expect("the server waits");
    idle[4].send(b"SET k ").expect("the server waits");
    idle[5].call("CLIENT REPLY SKIP CLIENT"); // an error: only its reply matters
    idle[6].call("CLIENT PAUSE 100000 WRITE");
    // Waits for the pause, and was read: it is answered.
    idle[7].send(&encode(&["INCR", "waited"])).expect("the server reads");
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait_exit(), Some(0), "{}", server.output());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(idle[7].read_raw().expect("the reply after the pause"), b":1\r\n");
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = start(&["--shutdown-timeout", "60"]);
    let mut conn = server.connect();
    conn.call("PING");
    conn.send(&encode(&["DEBUG", "SLEEP", "30"])).expect("the server reads");
    std::thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    expect_within(PATIENCE, "it has heard the first", || {
        server.output().contains("told to stop")
    });
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait_exit(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(!server.dir().join(SOCKET).exists());
}

#[test]
fn shutdown_ends_with_0_and_answers_nothing() {
    for line in ["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN NOW FORCE"] {
        for mut server in [Server::redis(&[]), start(&[])] {
            let mut conn = server.connect();
            conn.send(&encode(&line.split(' ').collect::<Vec<_>>()))
                .expect("the server reads");
            let kind = server.kind();
            assert_eq!(
                escape(&conn.read_to_close(PATIENCE).expect("a close")),
                "",
                "{kind:?}: {line}"
            );
            assert_eq!(server.wait_exit(), Some(0), "{kind:?}: {line}");
        }
    }
}
