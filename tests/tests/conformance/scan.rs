//! SCAN's promise: what is there from start to end is returned, also while tables grow and shrink.

use larder_tests::reply::Reply;
use larder_tests::server::Server;
use larder_tests::wire::{Conn, encode};
use std::collections::HashMap;

fn both() -> [Server; 2] {
    [Server::redis(&[]), Server::larder(&[])]
}

/// Sets keys `prefix:0..count` in pipelines.
fn fill(conn: &mut Conn, prefix: &str, count: usize) {
    in_batches(conn, count, |number| {
        encode(&["SET", &format!("{prefix}:{number}"), "v"])
    });
}

fn empty(conn: &mut Conn, prefix: &str, count: usize) {
    in_batches(conn, count, |number| encode(&["DEL", &format!("{prefix}:{number}")]));
}

fn in_batches(conn: &mut Conn, count: usize, command: impl Fn(usize) -> Vec<u8>) {
    let numbers: Vec<usize> = (0..count).collect();
    for batch in numbers.chunks(1000) {
        let bytes: Vec<u8> = batch.iter().flat_map(|&number| command(number)).collect();
        conn.send(&bytes).expect("the server reads");
        for _ in batch {
            let raw = conn.read_raw().expect("a reply");
            assert_ne!(raw.first(), Some(&b'-'), "{}", larder_tests::reply::escape(&raw));
        }
    }
}

/// Scans to the end; `between` runs after each call. How often each key came.
fn scan(conn: &mut Conn, options: &[&str], mut between: impl FnMut(usize)) -> HashMap<String, usize> {
    let mut seen = HashMap::new();
    let mut cursor = "0".to_string();
    for turn in 0.. {
        let args: Vec<&str> = ["SCAN", &cursor].into_iter().chain(options.iter().copied()).collect();
        let reply = conn.call_args(&args);
        let [next, keys] = reply.items().expect("an array") else {
            panic!("{reply:?}")
        };
        for key in keys.items().expect("keys") {
            *seen.entry(key.text()).or_insert(0) += 1;
        }
        cursor = next.text();
        if cursor == "0" {
            return seen;
        }
        assert!(turn < 200_000, "SCAN does not end");
        between(turn);
    }
    unreachable!("the loop returns or panics")
}

fn expect_all(seen: &HashMap<String, usize>, prefix: &str, count: usize) {
    let missing = (0..count)
        .filter(|number| !seen.contains_key(&format!("{prefix}:{number}")))
        .count();
    assert_eq!(
        missing, 0,
        "of {count} keys that were always there, {missing} were not returned"
    );
}

#[test]
fn every_key_comes_once_while_nothing_changes() {
    for server in both() {
        let mut conn = server.connect();
        assert!(scan(&mut conn, &[], |_| {}).is_empty());
        fill(&mut conn, "key", 10_000);
        for count in ["1", "7", "10", "1000", "1000000"] {
            let seen = scan(&mut conn, &["COUNT", count], |_| {});
            expect_all(&seen, "key", 10_000);
            assert_eq!(seen.len(), 10_000);
            assert!(
                seen.values().all(|&times| times == 1),
                "{:?}: a key came twice",
                server.kind()
            );
        }
    }
}

#[test]
fn count_bounds_the_work_of_one_call() {
    for server in both() {
        let mut conn = server.connect();
        fill(&mut conn, "key", 20_000);
        let mut calls = 0;
        scan(&mut conn, &["COUNT", "10"], |_| calls += 1);
        assert!(
            calls >= 200,
            "{:?}: 20,000 keys in {calls} calls of COUNT 10",
            server.kind()
        );
    }
}

#[test]
fn a_key_that_stays_is_returned_while_the_table_grows_and_shrinks() {
    for server in both() {
        let mut conn = server.connect();
        fill(&mut conn, "stays", 3000);
        let mut other = server.connect();
        let seen = scan(&mut conn, &["COUNT", "10"], |turn| {
            if turn % 100 == 5 {
                fill(&mut other, "grow", 20_000);
            }
            if turn % 100 == 55 {
                empty(&mut other, "grow", 20_000);
            }
        });
        expect_all(&seen, "stays", 3000);

        empty(&mut other, "grow", 20_000);
        fill(&mut other, "grow", 50_000);
        let seen = scan(&mut conn, &["COUNT", "100"], |turn| {
            if turn == 3 {
                empty(&mut other, "grow", 50_000);
            }
        });
        expect_all(&seen, "stays", 3000);
    }
}

#[test]
fn match_and_type_filter_but_end_the_same() {
    for server in both() {
        let mut conn = server.connect();
        fill(&mut conn, "a", 2000);
        fill(&mut conn, "b", 2000);
        let seen = scan(&mut conn, &["MATCH", "a:*", "COUNT", "50"], |_| {});
        expect_all(&seen, "a", 2000);
        assert_eq!(seen.len(), 2000);
        assert_eq!(scan(&mut conn, &["TYPE", "string", "MATCH", "b:1?"], |_| {}).len(), 10);
        assert_eq!(scan(&mut conn, &["TYPE", "hash"], |_| {}).len(), 0);
    }
}

#[test]
fn any_cursor_is_survived() {
    let server = Server::larder(&[]);
    let mut conn = server.connect();
    fill(&mut conn, "key", 1000);
    let mut rng = larder_tests::rng::Rng::new(7);
    for _ in 0..2000 {
        let cursor = (rng.next_u64() >> rng.below(64)).to_string();
        assert!(
            matches!(conn.call_args(&["SCAN", &cursor]), Reply::Array(..)),
            "cursor {cursor}"
        );
    }
}

#[test]
fn keys_due_during_a_scan_are_not_returned() {
    for server in both() {
        let mut conn = server.connect();
        conn.call("DEBUG SET-ACTIVE-EXPIRE 0");
        fill(&mut conn, "stays", 500);
        in_batches(&mut conn, 500, |number| {
            encode(&["SET", &format!("due:{number}"), "v", "PX", "1"])
        });
        larder_tests::wait::expect_within(larder_tests::wait::PATIENCE, "the last is due", || {
            conn.call("EXISTS due:499").integer() == Some(0)
        });
        let seen = scan(&mut conn, &[], |_| {});
        expect_all(&seen, "stays", 500);
        assert_eq!(seen.len(), 500, "{:?}", server.kind());
    }
}

#[test]
fn randomkey_returns_keys_that_exist_and_not_always_the_same() {
    for server in both() {
        let mut conn = server.connect();
        fill(&mut conn, "key", 100);
        let seen: std::collections::HashSet<_> = (0..200).map(|_| conn.call("RANDOMKEY").text()).collect();
        assert!(seen.iter().all(|key| key.starts_with("key:")));
        assert!(
            seen.len() > 20,
            "{:?}: only {} of 100 keys in 200 draws",
            server.kind(),
            seen.len()
        );
    }
}
