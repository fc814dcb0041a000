//! Many clients on several workers at once: nothing is lost, nothing is seen half done.

use larder_tests::reply::Reply;
use larder_tests::rng::Rng;
use larder_tests::server::Server;
use larder_tests::wait::{PATIENCE, expect_within};
use larder_tests::wire::{Conn, encode};
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::scope;
use std::time::{Duration, Instant};

/// Ends the loops of a test's threads, also when the test fails: the scope waits for them.
pub(super) struct Ends<'a>(pub(super) &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn node() -> Server {
    Server::larder(&["--threads", "4"])
}

/// Sends a batch and returns its replies.
fn batch(conn: &mut Conn, commands: &[Vec<u8>]) -> Vec<Vec<u8>> {
    conn.send(&commands.concat()).expect("the server reads");
    commands.iter().map(|_| conn.read_raw().expect("a reply")).collect()
}

fn integer(raw: &[u8]) -> i64 {
    larder_tests::reply::decode(raw)
        .ok()
        .and_then(|reply| reply.integer())
        .expect("an integer")
}

#[test]
fn increments_of_many_connections_sum_up_and_no_number_comes_twice() {
    const CLIENTS: usize = 16;
    const EACH: usize = 3000;
    let server = node();
    let seen: Vec<Vec<i64>> = scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let server = &server;
                scope.spawn(move || {
                    let mut conn = server.connect();
                    let mut rng = Rng::new(client as u64);
                    let mut numbers = Vec::new();
                    while numbers.len() < EACH {
                        let count = (1 + rng.below(50)).min(EACH - numbers.len());
                        let replies = batch(&mut conn, &vec![encode(&["INCR", "n"]); count]);
                        let before = numbers.last().copied().unwrap_or(0);
                        numbers.extend(replies.iter().map(|raw| integer(raw)));
                        assert!(numbers.last() > Some(&before));
                    }
                    numbers
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client"))
            .collect()
    });
    let all: HashSet<i64> = seen.iter().flatten().copied().collect();
    let total = i64::try_from(CLIENTS * EACH).expect("a small number");
    assert!(
        seen.iter().all(|numbers| numbers.is_sorted()),
        "a connection's own numbers fall"
    );
    assert_eq!((all.len(), all.iter().max().copied()), (CLIENTS * EACH, Some(total)));
    assert_eq!(server.connect().call("GET n").text(), total.to_string());
}

/// Writers store one value under all keys at once in several ways; whoever reads all must see one value.
#[test]
fn several_keys_are_written_and_read_as_one() {
    const KEYS: &[&str] = &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let server = node();
    let end = Instant::now() + Duration::from_secs(3);
    let checked = AtomicUsize::new(0);
    scope(|scope| {
        for writer in 0..3 {
            let server = &server;
            scope.spawn(move || {
                let mut conn = server.connect();
                let mut rng = Rng::new(writer);
                for round in 0.. {
                    if Instant::now() > end {
                        return;
                    }
                    let value = format!("{writer}:{round}:{}", "x".repeat(rng.below(300)));
                    // In another order each time, which must not matter.
                    let mut keys = KEYS.to_vec();
                    keys.rotate_left(rng.below(KEYS.len()));
                    let pairs: Vec<&str> = keys.iter().flat_map(|key| [*key, &value]).collect();
                    let commands = match round % 4 {
                        0 => vec![encode(&[&["MSET"][..], &pairs].concat())],
                        1 => vec![encode(&[&["MSETEX", "10"][..], &pairs, &["EX", "1000"]].concat())],
                        2 => {
                            let sets = keys.iter().map(|key| encode(&["SET", key, &value]));
                            [encode(&["MULTI"])]
                                .into_iter()
                                .chain(sets)
                                .chain([encode(&["EXEC"])])
                                .collect()
                        }
                        _ => vec![encode(&[&["DEL"][..], &keys].concat())],
                    };
                    batch(&mut conn, &commands);
                }
            });
        }
        for reader in 0..3 {
            let (server, checked) = (&server, &checked);
            scope.spawn(move || {
                let mut conn = server.connect();
                while Instant::now() < end {
                    let reply = match reader {
                        0 => conn.call_args(&[&["MGET"][..], KEYS].concat()),
                        1 => {
                            let gets = KEYS.iter().map(|key| encode(&["GET", key]));
                            let all = [encode(&["MULTI"])].into_iter().chain(gets).chain([encode(&["EXEC"])]);
                            let replies = batch(&mut conn, &all.collect::<Vec<_>>());
                            larder_tests::reply::decode(replies.last().expect("EXEC's")).expect("a reply")
                        }
                        _ => {
                            let reply = conn.call_args(&[&["EXISTS"][..], KEYS].concat());
                            assert!(matches!(reply.integer(), Some(0 | 10)), "{reply:?}");
                            checked.fetch_add(1, Relaxed);
                            continue;
                        }
                    };
                    let values: BTreeSet<&Reply> = reply.items().expect("ten values").iter().collect();
                    assert_eq!(values.len(), 1, "half of a write: {values:?}");
                    checked.fetch_add(1, Relaxed);
                }
            });
        }
    });
    assert!(checked.into_inner() > 300);
}

#[test]
fn a_watched_counter_loses_no_update_however_many_contend() {
    const CLIENTS: usize = 8;
    const EACH: usize = 100;
    let server = node();
    server.connect().call("SET n 0");
    let refused = AtomicUsize::new(0);
    scope(|scope| {
        for _ in 0..CLIENTS {
            let (server, refused) = (&server, &refused);
            scope.spawn(move || {
                let mut conn = server.connect();
                let mut done = 0;
                while done < EACH {
                    conn.call("WATCH n");
                    let value: i64 = conn.call("GET n").text().parse().expect("a number");
                    let set = encode(&["SET", "n", &(value + 1).to_string()]);
                    let replies = batch(&mut conn, &[encode(&["MULTI"]), set, encode(&["EXEC"])]);
                    match replies[2].as_slice() {
                        b"*-1\r\n" => drop(refused.fetch_add(1, Relaxed)),
                        b"*1\r\n+OK\r\n" => done += 1,
                        other => panic!("{}", larder_tests::reply::escape(other)),
                    }
                }
            });
        }
    });
    assert_eq!(server.connect().call("GET n").text(), (CLIENTS * EACH).to_string());
    assert!(
        refused.into_inner() > 0,
        "nobody ever contended: this test shows nothing"
    );
}

#[test]
fn scan_returns_what_stays_while_others_grow_and_shrink_the_table() {
    const STAYS: usize = 3000;
    let server = node();
    let mut conn = server.connect();
    let sets: Vec<_> = (0..STAYS)
        .map(|n| encode(&["SET", &format!("stays:{n}"), "v"]))
        .collect();
    batch(&mut conn, &sets);
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let _ends = Ends(&stop);
        for writer in 0..2 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let mut conn = server.connect();
                while !stop.load(Relaxed) {
                    for command in ["SET", "DEL"] {
                        for chunk in 0..20 {
                            let commands: Vec<_> = (0..1000)
                                .map(|n| format!("moves:{writer}:{chunk}:{n}"))
                                .map(|key| {
                                    if command == "SET" {
                                        encode(&["SET", &key, "v"])
                                    } else {
                                        encode(&["DEL", &key])
                                    }
                                })
                                .collect();
                            batch(&mut conn, &commands);
                        }
                    }
                }
            });
        }
        let scanners: Vec<_> = ["1", "10", "100", "1000"]
            .map(|count| {
                let server = &server;
                scope.spawn(move || {
                    let mut conn = server.connect();
                    let rounds = if count == "1" { 1 } else { 5 };
                    for _ in 0..rounds {
                        let (mut cursor, mut seen) = ("0".to_string(), HashSet::new());
                        loop {
                            let reply = conn.call_args(&["SCAN", &cursor, "COUNT", count]);
                            let parts = reply.items().expect("cursor and keys");
                            seen.extend(parts[1].items().expect("keys").iter().map(Reply::text));
                            cursor = parts[0].text();
                            if cursor == "0" {
                                break;
                            }
                        }
                        let missing = (0..STAYS).filter(|n| !seen.contains(&format!("stays:{n}"))).count();
                        assert_eq!(missing, 0, "COUNT {count}: {missing} of {STAYS} keys were not returned");
                    }
                })
            })
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        stop.store(true, Relaxed);
        for scanner in scanners {
            scanner.expect("a scanner");
        }
    });
}

#[test]
fn flushes_under_load_leave_nothing_behind_and_break_nobody() {
    let server = node();
    let before = server.resident_bytes();
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let _ends = Ends(&stop);
        for writer in 0..4 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let mut conn = server.connect();
                let value = "x".repeat(200);
                for round in 0.. {
                    if stop.load(Relaxed) {
                        return;
                    }
                    let commands: Vec<_> = (0..300)
                        .map(|n| encode(&["SET", &format!("{writer}:{round}:{n}"), &value, "EX", "1000"]))
                        .collect();
                    assert!(batch(&mut conn, &commands).iter().all(|raw| raw == b"+OK\r\n"));
                }
            });
        }
        let mut conn = server.connect();
        for round in 0..40 {
            let line = ["FLUSHALL ASYNC", "FLUSHALL SYNC", "FLUSHDB ASYNC", "FLUSHALL"][round % 4];
            assert_eq!(conn.call(line).text(), "OK");
            // A flush is one moment: what MULTI holds sees it empty.
            conn.call("MULTI");
            conn.call("FLUSHALL ASYNC");
            conn.call("DBSIZE");
            let reply = conn.call("EXEC");
            assert_eq!(
                reply.items().expect("two replies")[1].integer(),
                Some(0),
                "keys right after a flush"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Relaxed);
    });
    let mut conn = server.connect();
    assert_eq!(conn.call("FLUSHALL ASYNC").text(), "OK");
    assert_eq!(conn.call("DBSIZE").integer(), Some(0));
    assert_eq!(conn.call("KEYS *").items().map(<[Reply]>::len), Some(0));
    assert_eq!(server.info("db0"), None);
    expect_within(PATIENCE, "memory is given back", || {
        server.resident_bytes() <= before + (48 << 20)
    });
}

#[test]
fn swapdb_under_load_is_one_moment() {
    let server = node();
    let mut conn = server.connect();
    for (database, value) in [("0", "zero"), ("1", "one")] {
        conn.call(&format!("SELECT {database}"));
        let pairs: Vec<String> = (0..20).flat_map(|n| [format!("k{n}"), value.to_string()]).collect();
        conn.call_args(&[vec!["MSET".to_string()], pairs].concat());
    }
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let _ends = Ends(&stop);
        for _ in 0..3 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let mut conn = server.connect();
                let keys: Vec<String> = (0..20).map(|n| format!("k{n}")).collect();
                while !stop.load(Relaxed) {
                    let reply = conn.call_args(&[vec!["MGET".to_string()], keys.clone()].concat());
                    let values: HashSet<String> = reply.items().expect("values").iter().map(Reply::text).collect();
                    assert_eq!(values.len(), 1, "parts of two databases: {values:?}");
                }
            });
        }
        for _ in 0..2000 {
            assert_eq!(conn.call("SWAPDB 0 1").text(), "OK");
        }
        stop.store(true, Relaxed);
    });
}

#[test]
fn clients_that_are_killed_under_load_lose_no_order_and_leave_nothing() {
    let server = node();
    let stop = AtomicBool::new(false);
    let (killed, counted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    scope(|scope| {
        let _ends = Ends(&stop);
        for worker in 0..6 {
            let (server, stop, killed, counted) = (&server, &stop, &killed, &counted);
            scope.spawn(move || {
                let key = format!("n{worker}");
                let mut last = 0;
                while !stop.load(Relaxed) {
                    let Ok(mut conn) = Conn::open(server.port()) else {
                        continue;
                    };
                    let bytes = encode(&["INCR", &key]).repeat(100);
                    'alive: while !stop.load(Relaxed) && conn.send(&bytes).is_ok() {
                        for _ in 0..100 {
                            let Ok(raw) = conn.read_raw() else { break 'alive };
                            let number = integer(&raw);
                            assert!(number > last, "{number} after {last}");
                            last = number;
                            counted.fetch_add(1, Relaxed);
                        }
                    }
                    killed.fetch_add(1, Relaxed);
                }
            });
        }
        let mut conn = server.connect();
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            let reply = conn.call("CLIENT KILL TYPE normal SKIPME yes");
            assert!(reply.integer().is_some(), "{reply:?}");
            std::thread::sleep(Duration::from_millis(15));
        }
        stop.store(true, Relaxed);
    });
    assert!(killed.into_inner() > 50 && counted.into_inner() > 1000);
    expect_within(PATIENCE, "one client is left", || {
        server.connect().call("CLIENT LIST").text().lines().count() == 1
    });
}

#[test]
fn a_pause_under_load_stops_writes_and_lets_reads_go_on() {
    let server = node();
    let stop = AtomicBool::new(false);
    let reads = AtomicUsize::new(0);
    let sum = AtomicUsize::new(0);
    scope(|scope| {
        let _ends = Ends(&stop);
        for _ in 0..3 {
            let (server, stop, sum) = (&server, &stop, &sum);
            scope.spawn(move || {
                let mut conn = server.connect();
                while !stop.load(Relaxed) {
                    batch(&mut conn, &vec![encode(&["INCR", "n"]); 20]);
                    sum.fetch_add(20, Relaxed);
                }
            });
            let reads = &reads;
            scope.spawn(move || {
                let mut conn = server.connect();
                while !stop.load(Relaxed) {
                    conn.call("GET n");
                    reads.fetch_add(1, Relaxed);
                }
            });
        }
        let mut conn = server.connect();
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(conn.call("CLIENT PAUSE 60000 WRITE").text(), "OK");
            // A worker that was past its check when the pause came ends the one command it was at.
            let now = |conn: &mut Conn| conn.call("GET n").text().parse::<u64>().expect("a number");
            let (begun, read) = (now(&mut conn), reads.load(Relaxed));
            std::thread::sleep(Duration::from_millis(100));
            let before = now(&mut conn);
            assert!(before <= begun + 3, "{} writes ran after the pause", before - begun);
            expect_within(PATIENCE, "reads go on", || reads.load(Relaxed) > read + 50);
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(now(&mut conn), before, "a write ran during the pause");
            assert_eq!(conn.call("CLIENT UNPAUSE").text(), "OK");
            expect_within(PATIENCE, "writes go on", || now(&mut conn) != before);
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(server.connect().call("GET n").text(), sum.into_inner().to_string());
}

#[test]
fn a_peer_that_leaves_while_it_waits_for_a_pause_is_forgotten() {
    let server = node();
    let mut conn = server.connect();
    let clients = |conn: &mut Conn| {
        conn.call("CLIENT LIST")
            .text()
            .lines()
            .filter(|line| !line.is_empty())
            .count()
    };
    assert_eq!(conn.call("CLIENT PAUSE 60000 WRITE").text(), "OK");
    let mut leaver = server.connect();
    leaver.send(&encode(&["SET", "k", "v"])).expect("the server reads");
    expect_within(PATIENCE, "it waits", || {
        conn.call("CLIENT LIST").text().contains("flags=b")
    });
    // The node leaves this unread.
    leaver.send(&encode(&["SET", "k", "w"])).expect("the socket takes it");
    drop(leaver);
    expect_within(PATIENCE, "only one is left", || clients(&mut conn) == 1);
    assert_eq!(conn.call("CLIENT UNPAUSE").text(), "OK");
    assert!(conn.call("GET k").bytes().is_none(), "a write of a peer that had left");
}

#[test]
fn what_comes_during_a_pause_runs_after_it() {
    let server = node();
    let mut conn = server.connect();
    assert_eq!(conn.call("CLIENT PAUSE 60000 WRITE").text(), "OK");
    let mut waiter = server.connect();
    waiter.send(&encode(&["INCR", "n"])).expect("the server reads");
    expect_within(PATIENCE, "it waits", || {
        conn.call("CLIENT LIST").text().contains("flags=b")
    });
    for _ in 0..3 {
        waiter.send(&encode(&["INCR", "n"])).expect("the socket takes it");
        // Another connection's turn on the way, so that the worker has looked.
        conn.call("PING");
    }
    assert_eq!(conn.call("CLIENT UNPAUSE").text(), "OK");
    for n in 1..=4 {
        assert_eq!(waiter.read_raw().expect("a reply"), format!(":{n}\r\n").into_bytes());
    }
}

#[test]
fn settings_that_change_under_load_break_nobody() {
    let server = node();
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let _ends = Ends(&stop);
        for client in 0..4 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let mut conn = server.connect();
                for n in 0.. {
                    if stop.load(Relaxed) {
                        return;
                    }
                    let key = format!("{client}:{}", n % 1000);
                    let replies = batch(
                        &mut conn,
                        &[encode(&["SET", &key, &n.to_string()]), encode(&["GET", &key])],
                    );
                    assert_eq!(replies[0], b"+OK\r\n");
                    assert!(replies[1].ends_with(format!("\r\n{n}\r\n").as_bytes()));
                }
            });
        }
        let mut conn = server.connect();
        for round in 0..100 {
            for line in [
                format!(
                    "CONFIG SET timeout {} slowlog-log-slower-than {}",
                    100 + round,
                    round % 3 - 1
                ),
                format!(
                    "CONFIG SET latency-tracking {}",
                    if round % 2 == 0 { "yes" } else { "no" }
                ),
                format!("CONFIG SET maxmemory {}mb", 200 + round),
                "CONFIG RESETSTAT".to_string(),
            ] {
                assert_eq!(conn.call(&line).text(), "OK", "{line}");
            }
            assert!(conn.call("INFO everything").text().contains("# Keyspace"));
        }
        stop.store(true, Relaxed);
    });
}
