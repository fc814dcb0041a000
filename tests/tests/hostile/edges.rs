//! Commands whose arguments are at the edge: Redis's reply, quickly, and nobody waits meanwhile.

use super::{MIB, expect_memory_back, expect_prompt_ping};
use larder_tests::reply::escape;
use larder_tests::server::Server;
use std::time::{Duration, Instant};

/// How long any one of these may take on a busy machine, in a build with checks.
const QUICK: Duration = Duration::from_secs(2);

fn same_and_quick(servers: &[Server; 2], commands: &[Vec<String>]) {
    let [mut redis, mut larder] = [servers[0].connect(), servers[1].connect()];
    for command in commands {
        let shown = escape(command.join(" ").as_bytes());
        let expected = redis
            .call_raw(command)
            .unwrap_or_else(|error| panic!("Redis, {shown}: {error}"));
        let start = Instant::now();
        let got = larder
            .call_raw(command)
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        let took = start.elapsed();
        assert_eq!(escape(&expected), escape(&got), "{shown}");
        assert!(expected == got, "{shown}: the replies differ behind what is shown");
        assert!(took < QUICK, "{shown}: {took:?}");
        expect_prompt_ping(&servers[1], &shown);
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_string).collect()
}

fn both() -> [Server; 2] {
    [Server::redis(&[]), Server::larder(&[])]
}

#[test]
fn offsets_at_the_edge_allocate_nothing() {
    let servers = both();
    let before = servers[1].resident_bytes();
    let lines = [
        "SETRANGE k 9223372036854775807 a",
        "SETRANGE k 9223372036854775806 ab",
        "SETRANGE k 536870912 a",
        "SETBIT k 4294967296 1",
        "SETBIT k -1 1",
        "BITFIELD k SET u8 4294967296 1",
        "BITFIELD k SET u8 #536870912 1",
        "BITFIELD k INCRBY i64 9223372036854775807 1",
        "GETRANGE k 0 9223372036854775807",
        "INCRBY n 9223372036854775807",
        "INCRBY n 1",
        "DECRBY n -9223372036854775808",
        "EXPIRE n 9223372036854775807",
        "PEXPIRE n 9223372036854775807",
        "EXPIRE n -9223372036854775808",
        "SET n v PX 9223372036854775807",
        "EXISTS k",
    ];
    same_and_quick(&servers, &lines.map(words));
    expect_memory_back(&servers[1], before, 8 * MIB, "offsets at the edge");
}

#[test]
fn the_largest_offsets_work_and_give_their_memory_back() {
    let servers = both();
    let before = servers[1].resident_bytes();
    let lines = [
        "SETBIT k 4294967295 1",
        "STRLEN k",
        "GETBIT k 4294967295",
        "BITCOUNT k",
        "BITPOS k 1",
        "BITCOUNT k -1 -1",
        "GETRANGE k -2 -1",
        "APPEND k x",
        "DEL k",
        "SETRANGE r 536870911 a",
        "STRLEN r",
        "SETRANGE r 536870911 ab",
        "DEL r",
    ];
    same_and_quick(&servers, &lines.map(words));
    expect_memory_back(&servers[1], before, 16 * MIB, "the largest strings");
}

#[test]
fn patterns_that_could_explode_do_not() {
    let servers = both();
    let long = "a".repeat(300);
    let class = format!("[{}]", "a-z".repeat(300));
    let commands = [
        vec!["SET".to_string(), long.clone(), "v".to_string()],
        vec!["KEYS".to_string(), format!("{}b", "a*".repeat(50))],
        vec!["KEYS".to_string(), format!("{}b", "*".repeat(50))],
        vec!["KEYS".to_string(), "*".repeat(50)],
        vec!["KEYS".to_string(), format!("{}x", "*a".repeat(20))],
        vec!["KEYS".to_string(), format!("{}*", class.repeat(20))],
        vec!["KEYS".to_string(), "[".repeat(1000)],
        vec!["KEYS".to_string(), "\\".repeat(1001)],
        vec!["KEYS".to_string(), "?".repeat(300)],
        vec!["KEYS".to_string(), "[^b]".repeat(300)],
        vec![
            "SCAN".to_string(),
            "0".to_string(),
            "MATCH".to_string(),
            format!("{}b", "*?".repeat(50)),
        ],
        vec!["CONFIG".to_string(), "GET".to_string(), format!("{}b", "*e".repeat(50))],
    ];
    // Redis 7.0 takes exponential time for some of these without many stars in its favour, so the
    // key is short enough for it; what Larder does with a long one is timed alone below.
    same_and_quick(&servers, &commands);
    let mut conn = servers[1].connect();
    conn.call_args(&["SET", &"a".repeat(20_000), "v"]);
    let start = Instant::now();
    conn.call_args(&["KEYS", &format!("{}b", "a*".repeat(50))]);
    conn.call_args(&["KEYS", &format!("{}b", "*a?".repeat(50))]);
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
}

#[test]
fn lcs_of_large_strings_is_refused_or_quick() {
    let servers = both();
    let (a, b) = ("abcde".repeat(400), "edcab".repeat(400));
    let (big, huge) = ("abcdefgh".repeat(2000), "x".repeat(1 << 20));
    let set = |key: &str, value: &str| vec!["SET".to_string(), key.to_string(), value.to_string()];
    let commands = [
        set("a", &a),
        set("b", &b),
        set("big", &big),
        set("huge", &huge),
        words("LCS a b"),
        words("LCS a b LEN"),
        words("LCS a b IDX MINMATCHLEN 3"),
        words("LCS big huge"),
        words("LCS huge huge LEN"),
        words("LCS huge absent"),
    ];
    same_and_quick(&servers, &commands);
}

#[test]
fn transactions_of_many_commands_stay_bounded() {
    let server = Server::larder(&[]);
    let before = server.resident_bytes();
    let mut conn = server.connect();
    conn.call("MULTI");
    let batch = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n".repeat(1000);
    for _ in 0..100 {
        conn.send(&batch).expect("the server queues");
        for _ in 0..1000 {
            assert_eq!(conn.read_raw().expect("a reply"), b"+QUEUED\r\n");
        }
    }
    expect_prompt_ping(&server, "100,000 queued commands");
    conn.call("DISCARD");
    drop(conn);
    expect_memory_back(&server, before, 16 * MIB, "a large transaction");
}
