//! Keys whose time is over leave memory when they are due, not when somebody asks for them.

use larder_tests::reply::Reply;
use larder_tests::server::Server;
use larder_tests::wait::{PATIENCE, wait_until};
use larder_tests::wire::{Conn, encode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How soon after their deadline keys must be gone.
const PROMPT: Duration = Duration::from_millis(100);
/// How often a measurement of time may be disturbed by other programs before it counts as failed: the best
/// round counts, and a node that is late fails all of them.
const ROUNDS: usize = 5;
const BATCH: usize = 1000;

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("the clock is past 1970").as_millis() as u64
}

fn int(reply: &Reply) -> i64 {
    reply.integer().unwrap_or_else(|| panic!("not a number: {reply:?}"))
}

/// Stores so many keys in batches, each with what `expiry` gives for its number.
fn fill(conn: &mut Conn, prefix: &str, count: usize, expiry: impl Fn(usize) -> [String; 2]) {
    for first in (0..count).step_by(BATCH) {
        let numbers = first..count.min(first + BATCH);
        let mut batch = Vec::new();
        for number in numbers.clone() {
            let [option, time] = expiry(number);
            batch.extend(encode(&["SET", &format!("{prefix}:{number}"), "value", &option, &time]));
        }
        conn.send(&batch).expect("the server reads");
        for number in numbers {
            let reply = conn.read_raw().expect("the server answers");
            assert_eq!(reply, b"+OK\r\n", "SET number {number}");
        }
    }
}

fn expired_keys(server: &Server) -> u64 {
    let field = server.info("expired_keys").expect("INFO has it");
    field.parse().expect("a number")
}

/// Sets 1000 keys with one deadline and tells how long after it they were all gone. Nobody touches them.
fn crowd_gone_after(conn: &mut Conn, others: i64, wait_ms: u64) -> Duration {
    let deadline_ms = unix_ms() + wait_ms;
    fill(conn, "due", 1000, |_| ["PXAT".to_owned(), deadline_ms.to_string()]);
    assert_eq!(int(&conn.call("DBSIZE")), others + 1000, "set before their deadline");
    let gone = wait_until(PATIENCE, || int(&conn.call("DBSIZE")) == others);
    assert!(gone, "still {} keys", int(&conn.call("DBSIZE")));
    let late_ms = unix_ms() as i64 - deadline_ms as i64;
    assert!(late_ms >= 0, "gone {late_ms} ms after their deadline");
    Duration::from_millis(late_ms as u64)
}

#[test]
fn keys_are_gone_within_100_ms_of_their_deadline_whatever_else_has_one() {
    let server = Server::larder(&["--threads", "2"]);
    let mut conn = server.connect();
    for others in [0, 100_000] {
        // Spread over all scales of time, from minutes to years.
        fill(&mut conn, "other", others, |number| {
            ["EX".to_owned(), (600u64 << (number % 18)).to_string()]
        });
        let mut best = Duration::MAX;
        for round in 1..=ROUNDS {
            let before = expired_keys(&server);
            best = best.min(crowd_gone_after(&mut conn, others as i64, 1500));
            assert_eq!(expired_keys(&server) - before, 1000, "round {round}");
            if best <= PROMPT {
                break;
            }
        }
        assert!(best <= PROMPT, "beside {others} volatile keys it took {best:?}");
    }
}

#[test]
fn a_deadline_that_comes_at_once_is_not_missed_by_a_node_at_rest() {
    let server = Server::larder(&["--threads", "1"]);
    let mut conn = server.connect();
    let late = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        assert_eq!(conn.call("SET key value PX 1").text(), "OK");
        assert!(wait_until(PATIENCE, || int(&conn.call("DBSIZE")) == 0));
        started.elapsed()
    });
    let best = late.min().unwrap_or_default();
    assert!(best <= PROMPT, "it took {best:?}");
}

#[test]
fn setting_a_time_to_live_again_and_again_takes_no_memory() {
    let server = Server::larder(&["--threads", "1"]);
    let mut conn = server.connect();
    assert_eq!(conn.call("SET key value EX 1000").text(), "OK");
    let used = || -> i64 {
        server
            .info("used_memory")
            .and_then(|used| used.parse().ok())
            .unwrap_or(0)
    };
    let mut round = |from: usize| {
        for first in (from..from + 100_000).step_by(BATCH) {
            let numbers = first..first + BATCH;
            let times = numbers.map(|number| (1000 + number * 7919 % 1_000_000).to_string());
            let batch: Vec<u8> = times.flat_map(|time| encode(&["EXPIRE", "key", &time])).collect();
            conn.send(&batch).expect("the server reads");
            (0..BATCH).for_each(|_| assert_eq!(conn.read_raw().expect("the server answers"), b":1\r\n"));
        }
    };
    round(0);
    let before = used();
    round(100_000);
    let more = used() - before;
    assert!(before > 0 && more < 64 << 10, "{more} bytes more");
}

#[test]
fn active_expiry_stops_and_starts_as_told() {
    let server = Server::larder(&["--threads", "1"]);
    let mut conn = server.connect();
    assert_eq!(conn.call("DEBUG SET-ACTIVE-EXPIRE 0").text(), "OK");
    fill(&mut conn, "key", 100, |_| ["PX".to_owned(), "1".to_owned()]);
    let reclaimed = wait_until(4 * PROMPT, || int(&conn.call("DBSIZE")) < 100);
    assert!(!reclaimed, "{} keys are left", int(&conn.call("DBSIZE")));
    assert_eq!(conn.call("DEBUG SET-ACTIVE-EXPIRE 1").text(), "OK");
    assert!(wait_until(PATIENCE, || int(&conn.call("DBSIZE")) == 0));
    assert_eq!(expired_keys(&server), 100);
}
