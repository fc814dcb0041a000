//! Before AUTH: little may be sent, little is answered, all such peers together stay bounded.

use super::{MIB, expect_memory_back, expect_prompt_ping};
use larder_tests::reply::escape;
use larder_tests::server::{Server, is_stand_in};
use larder_tests::wait::{PATIENCE, wait_until};
use larder_tests::wire::{Conn, encode};
use std::time::Duration;

fn both() -> [Server; 2] {
    let password = ["--requirepass", "secret"];
    [Server::redis(&password), Server::larder(&password)]
}

/// Sends `bytes` on a new connection, ends it, and returns all that came back.
fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut conn = server.connect();
    // A refusal in the middle is part of what is tested.
    let _ = conn.send(bytes);
    conn.finish();
    escape(&conn.read_to_close(PATIENCE).expect("the server closes"))
}

#[test]
fn before_auth_arguments_are_few_and_short() {
    let words = |count: usize| encode(&vec!["MGET"; count]);
    let bulk = |length: usize| encode(&["ECHO", &"x".repeat(length)]);
    let unauthenticated = [
        (words(10), "-NOAUTH Authentication required.\\r\\n"),
        (words(11), "-ERR Protocol error: unauthenticated multibulk length\\r\\n"),
        (
            words(100_000),
            "-ERR Protocol error: unauthenticated multibulk length\\r\\n",
        ),
        (bulk(16 << 10), "-NOAUTH Authentication required.\\r\\n"),
        (
            (bulk((16 << 10) + 1)),
            "-ERR Protocol error: unauthenticated bulk length\\r\\n",
        ),
        (
            b"*2\r\n$4\r\nAUTH\r\n$100000\r\n".to_vec(),
            "-ERR Protocol error: unauthenticated bulk length\\r\\n",
        ),
    ];
    for server in both() {
        for (bytes, expected) in &unauthenticated {
            assert_eq!(
                answer(&server, bytes),
                *expected,
                "{:?}: {}",
                server.kind(),
                escape(&bytes[..40])
            );
        }
        let mut conn = server.connect();
        assert_eq!(conn.call("AUTH secret").text(), "OK");
        assert!(conn.call_args(&["DEL"; 20]).integer().is_some(), "{:?}", server.kind());
        assert_eq!(conn.call_args(&["ECHO", &"x".repeat(100_000)]).text().len(), 100_000);
    }
}

#[test]
fn every_command_before_auth_is_refused_alike() {
    let lines = [
        "PING",
        "GET k",
        "SET k v",
        "NOSUCH",
        "GET",
        "HELLO",
        "HELLO 3",
        "HELLO 2 AUTH default wrong",
        "AUTH wrong",
        "AUTH default wrong",
        "AUTH a b c",
        "CLIENT ID",
        "COMMAND",
        "COMMAND DOCS",
        "INFO",
        "CONFIG GET *",
        "MULTI",
        "EXEC",
        "SELECT 1",
        "MONITOR",
        "RESET",
        "QUIT",
        "SHUTDOWN",
        "DEBUG SLEEP 0",
        "CLIENT KILL TYPE normal",
        "CLIENT REPLY OFF",
        "\"\" x",
        "ECHO \"",
        "*1",
        "POST / HTTP/1.1",
    ];
    let servers = both();
    for line in lines {
        let bytes = [line.as_bytes(), b"\r\nPING\r\n"].concat();
        let [redis, larder] = [&servers[0], &servers[1]].map(|server| answer(server, &bytes));
        // The known difference `hello-noauth`: the text of 7.2.
        let [redis, larder] =
            [redis, larder].map(|reply| reply.replace("the HELLO AUTH <user>", "the HELLO <proto> AUTH <user>"));
        assert_eq!(redis, larder, "{line}");
    }
}

#[test]
fn replies_before_auth_are_bounded() {
    let server = Server::larder(&["--requirepass", "secret"]);
    let before = server.resident_bytes();
    let mut conn = server.connect();
    conn.stream()
        .set_write_timeout(Some(Duration::from_millis(300)))
        .expect("a timeout");
    let batch = b"PING\r\n".repeat(10_000);
    for _ in 0..500 {
        if conn.send(&batch).is_err() {
            break;
        }
    }
    expect_prompt_ping(&server, "a flood before AUTH");
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(
        is_stand_in() || grown <= 16 * MIB,
        "{} MiB for one peer before AUTH",
        grown / MIB
    );
}

#[test]
fn all_peers_before_auth_together_are_bounded() {
    const CONNECTIONS: usize = 3000;
    let server = Server::larder(&["--requirepass", "secret"]);
    let before = server.resident_bytes();
    let half = [&b"*3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$16384\r\n"[..], &[b'x'; 16_000]].concat();
    let mut conns = Vec::new();
    for _ in 0..CONNECTIONS {
        // Being refused is one right answer to this.
        if let Ok(mut conn) = Conn::open(server.port())
            && conn.send(&half).is_ok()
        {
            conns.push(conn);
        }
    }
    expect_prompt_ping(&server, "half an AUTH from each of thousands");
    // 16 MiB of input, and what 3,000 connections cost beside it; what was freed takes a moment to go back.
    let grown = || server.resident_bytes().saturating_sub(before);
    assert!(
        is_stand_in() || wait_until(PATIENCE, || grown() <= 40 * MIB),
        "{} MiB for peers before AUTH",
        grown() / MIB
    );
    assert_eq!(server.connect().call("AUTH secret").text(), "OK");
    drop(conns);
    expect_memory_back(&server, before, 24 * MIB, "peers before AUTH");
}
