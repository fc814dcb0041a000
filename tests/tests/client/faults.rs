//! What the client does when networks and servers fail: bounded waits, no wrong reply, nothing sent twice that must not be.

use super::harness::{client, run, run_in, set_up, two_threads, until, value_of};
use larder_client::{Client, Error, Result};
use larder_tests::hostile_server::{Act, HostileServer, Options, bulk};
use larder_tests::proxy::{Cut, Direction, Faults, Flow, Proxy};
use larder_tests::rng::{Rng, fresh_seed};
use larder_tests::server::Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// How much later than promised a timeout may be seen, on a machine that has other work.
const LATE: Duration = Duration::from_millis(700);

fn black_hole() -> Faults {
    Faults {
        flow: Flow::Swallow,
        ..Faults::default()
    }
}

/// The result of a call and how long it took.
async fn timed<T>(call: impl Future<Output = Result<T>>) -> (Result<T>, Duration) {
    let start = Instant::now();
    (call.await, start.elapsed())
}

async fn get(client: &Client, key: &str) -> Result<Option<String>> {
    client.get(key).await
}

/// A server that answers greetings, and whose first word to anything else is `bytes`, on all connections but the last.
fn answering(bytes: &'static [u8], times: u64) -> HostileServer {
    HostileServer::start(Options::default(), move |asked| {
        if asked.is_greeting() || asked.request.is_empty() || asked.connection >= times {
            vec![Act::Reply]
        } else {
            vec![Act::Send(bytes.to_vec())]
        }
    })
}

#[test]
fn no_connection_in_time_is_an_error_in_time() {
    run(|| async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        proxy.set_both(black_hole());
        let client = client(proxy.port(), |config| config.connect_timeout = millis(200));
        let (result, took) = timed(get(&client, "key")).await;
        assert!(matches!(result, Err(Error::Connect { .. })), "{result:?}");
        assert!(took >= millis(150) && took < millis(200) * 3 + LATE, "{took:?}");
        // From then on calls do not wait for the next attempt.
        let (result, took) = timed(client.set("key", 1)).await;
        assert!(matches!(result, Err(Error::Connect { .. })), "{result:?}");
        assert!(took < millis(200) + LATE, "{took:?}");
        proxy.heal();
        proxy.cut(Cut::Reset);
        set_up(&client, "key", 1).await;
    });
}

#[test]
fn calls_that_wait_for_a_connection_wait_no_longer_than_for_a_reply() {
    run(|| async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        proxy.set_both(black_hole());
        let client = client(proxy.port(), |config| config.response_timeout = millis(200));
        let (result, took) = timed(get(&client, "key")).await;
        assert!(matches!(result, Err(Error::Timeout { sent: false, .. })), "{result:?}");
        assert!(took >= millis(200) && took < millis(200) + LATE, "{took:?}");
    });
}

#[test]
fn a_black_hole_costs_one_timeout_and_the_connection() {
    run_in(two_threads, || async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        let client = client(proxy.port(), |config| config.response_timeout = millis(300));
        set_up(&client, "key", 1).await;
        for direction in [Direction::ToServer, Direction::ToClient] {
            let before = proxy.accepted();
            proxy.set(direction, black_hole());
            let (result, took) = timed(get(&client, "key")).await;
            assert!(matches!(result, Err(Error::Timeout { sent: true, .. })), "{result:?}");
            assert!(took >= millis(300) && took < millis(300) + LATE, "{took:?}");
            // The old connection stays a black hole; the client must have made another.
            for link in proxy.links() {
                link.set(direction, black_hole());
            }
            proxy.heal_new();
            until("another connection", || proxy.accepted() > before).await;
            set_up(&client, "key", 2).await;
        }
    });
}

#[test]
fn a_black_hole_is_found_out_even_if_no_caller_waits_so_long() {
    run(|| async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        let client = client(proxy.port(), |config| config.response_timeout = millis(300));
        set_up(&client, "key", 1).await;
        proxy.set(Direction::ToClient, black_hole());
        proxy.heal_new();
        let start = Instant::now();
        loop {
            let result = tokio::time::timeout(millis(20), get(&client, "key")).await;
            if let Ok(value) = result {
                assert_eq!(value.expect("get"), Some(value_of("key", 1)));
                break;
            }
            assert!(start.elapsed() < millis(300) + LATE, "{:?}", start.elapsed());
        }
        assert_eq!(proxy.accepted(), 2);
    });
}

#[test]
fn a_slow_reply_is_a_timeout_and_never_the_next_calls_reply() {
    run(|| async {
        let server = HostileServer::start(Options::default(), |asked| {
            if asked.is("GET") && asked.request[1].starts_with(b"slow") {
                vec![Act::Wait(millis(150)), Act::Reply]
            } else {
                vec![Act::Reply]
            }
        });
        let client = client(server.port(), |_| {});
        for key in ["slow", "quick"] {
            client.set(key, value_of(key, 0)).await.expect("set");
        }
        let hurried = client.with_timeout(millis(50));
        for _ in 0..5 {
            let (slow, quick) = tokio::join!(get(&hurried, "slow"), get(&client, "quick"));
            assert!(matches!(slow, Err(Error::Timeout { sent: true, .. })), "{slow:?}");
            assert_eq!(quick.expect("get"), Some(value_of("quick", 0)));
            assert_eq!(get(&client, "slow").await.expect("get"), Some(value_of("slow", 0)));
        }
        assert_eq!(server.accepted(), 1, "a server that answers late is not dead");
    });
}

#[test]
fn a_peer_that_never_reads_is_given_up() {
    run(|| async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        let client = client(proxy.port(), |config| config.write_timeout = millis(300));
        set_up(&client, "key", 1).await;
        let stopped = Faults {
            flow: Flow::Stop,
            ..Faults::default()
        };
        proxy.set(Direction::ToServer, stopped);
        let large = vec![b'x'; 64 << 20];
        let (result, took) = timed(client.set("large", &large)).await;
        assert!(matches!(result, Err(Error::Lost { .. })), "{result:?}");
        assert!(took >= millis(300) && took < millis(300) + LATE * 2, "{took:?}");
        proxy.heal();
        assert_eq!(get(&client, "key").await.expect("get"), Some(value_of("key", 1)));
    });
}

#[test]
fn a_slow_way_to_the_server_is_not_a_dead_one() {
    run(|| async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        let client = client(proxy.port(), |config| config.write_timeout = millis(1000));
        set_up(&client, "key", 1).await;
        let slow = Faults {
            rate: Some(16 << 20),
            ..Faults::default()
        };
        proxy.set(Direction::ToServer, slow);
        let large = vec![b'x'; 16 << 20];
        let stored = client.set("large", &large);
        // Short calls behind the large one are late, for which nobody must lose the connection.
        let hurried = client.with_timeout(millis(50));
        let others = async {
            tokio::time::sleep(millis(100)).await;
            for _ in 0..5 {
                let result = get(&hurried, "key").await;
                assert!(matches!(result, Err(Error::Timeout { .. })), "{result:?}");
            }
        };
        let (stored, ()) = tokio::join!(stored, others);
        stored.expect("it flows");
        assert_eq!(proxy.accepted(), 1);
    });
}

#[test]
fn over_the_limit_calls_fail_at_once() {
    run(|| async {
        let server = HostileServer::start(Options::default(), |asked| {
            if asked.is("GET") {
                vec![Act::Hang]
            } else {
                vec![Act::Reply]
            }
        });
        let client = client(server.port(), |config| {
            config.max_pending = 8;
            config.response_timeout = millis(500);
        });
        client.set("key", 1).await.expect("set");
        let mut waiting = JoinSet::new();
        for _ in 0..8 {
            let client = client.clone();
            waiting.spawn(async move { get(&client, "key").await });
        }
        until("they have been sent", || server.requests() > 4).await;
        let (result, took) = timed(get(&client, "key")).await;
        assert!(matches!(result, Err(Error::Busy { pending: 8, .. })), "{result:?}");
        assert!(took < millis(100), "{took:?}");
        for result in waiting.join_all().await {
            assert!(matches!(result, Err(Error::Timeout { sent: true, .. })), "{result:?}");
        }
    });
}

#[test]
fn calls_given_up_while_there_is_no_connection_take_no_room() {
    run(|| async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        proxy.set_both(black_hole());
        let client = client(proxy.port(), |config| config.max_pending = 16);
        for _ in 0..100 {
            let given_up = tokio::time::timeout(Duration::ZERO, get(&client, "key")).await;
            assert!(given_up.is_err(), "{given_up:?}");
        }
        proxy.heal();
        proxy.cut(Cut::Reset);
        // The attempt that was under way fails, the next does not; there is room all the time.
        let mut result = get(&client, "key").await;
        while matches!(result, Err(Error::Connect { .. })) {
            result = get(&client, "key").await;
        }
        assert!(matches!(result, Ok(None)), "{result:?}");
    });
}

#[test]
fn calls_given_up_at_any_moment_never_shift_anothers_reply() {
    run_in(two_threads, || async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        proxy.set_both(Faults {
            jitter: millis(1),
            piece: Some(700),
            ..Faults::default()
        });
        let client = client(proxy.port(), |_| {});
        let seed = fresh_seed();
        println!("LARDER_SEED={seed}");
        let mut tasks = JoinSet::new();
        for task in 0..64 {
            let client = client.clone();
            tasks.spawn(async move {
                let mut rng = Rng::new(seed ^ task);
                let (mut whole, mut given_up) = (0, 0);
                for number in 0..150 {
                    let key = format!("{task}:{number}");
                    client.set(&key, value_of(&key, 0)).await.expect("set");
                    let patience = Duration::from_micros(rng.below(4000) as u64);
                    match tokio::time::timeout(patience, get(&client, &key)).await {
                        Ok(value) => {
                            assert_eq!(value.expect("get"), Some(value_of(&key, 0)));
                            whole += 1;
                        }
                        Err(_) => given_up += 1,
                    }
                }
                (whole, given_up)
            });
        }
        let (mut whole, mut given_up) = (0, 0);
        for (task_whole, task_given_up) in tasks.join_all().await {
            whole += task_whole;
            given_up += task_given_up;
        }
        assert!(whole > 100 && given_up > 100, "{whole} {given_up}");
        assert_eq!(proxy.accepted(), 1);
    });
}

/// Cuts all connections every few milliseconds, in all ways, until it is told to stop.
fn cut_on_and_on(proxy: &Arc<Proxy>, seed: u64) -> (Arc<AtomicBool>, std::thread::JoinHandle<()>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (proxy, stopped) = (Arc::clone(proxy), Arc::clone(&stop));
    let thread = std::thread::spawn(move || {
        let mut rng = Rng::new(seed);
        while !stopped.load(Ordering::Relaxed) {
            std::thread::sleep(millis(5 + rng.below(40) as u64));
            for link in proxy.links() {
                match rng.below(4) {
                    0 => link.cut(Cut::Reset),
                    1 => link.cut(Cut::Finish),
                    2 => link.half_close(Direction::ToServer),
                    _ => link.half_close(Direction::ToClient),
                }
            }
        }
    });
    (stop, thread)
}

/// Calls that fail at once would take the processor from the threads that serve the others.
async fn breathe(failed: bool) {
    if failed {
        tokio::time::sleep(millis(2)).await;
    } else {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_write_never_runs_twice_and_runs_if_it_was_confirmed() {
    run_in(two_threads, || async {
        let server = HostileServer::start(Options::default(), |_| vec![Act::Reply]);
        let proxy = Arc::new(Proxy::start(server.port(), 1));
        let client = client(proxy.port(), |config| config.response_timeout = millis(500));
        let seed = fresh_seed();
        println!("LARDER_SEED={seed}");
        let (stop, cutter) = cut_on_and_on(&proxy, seed);
        let mut tasks = JoinSet::new();
        let start = Instant::now();
        for task in 0..32 {
            let client = client.clone();
            tasks.spawn(async move {
                let mut results = Vec::new();
                while start.elapsed() < millis(1500) {
                    let value = format!("{task}:{}", results.len());
                    let result = client.set("key", &value).await;
                    let failed = result.is_err();
                    results.push((value, result));
                    breathe(failed).await;
                }
                results
            });
        }
        let results: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        stop.store(true, Ordering::Relaxed);
        cutter.join().expect("the cutter ends");
        let ran = server.ran();
        let count = |value: &str| {
            let request = [b"SET".to_vec(), b"key".to_vec(), value.as_bytes().to_vec()].to_vec();
            ran.get(&request).copied().unwrap_or(0)
        };
        let (mut confirmed, mut unknown) = (0, 0);
        for (value, result) in &results {
            let ran = count(value);
            match result {
                Ok(()) => {
                    assert_eq!(ran, 1, "{value} was confirmed");
                    confirmed += 1;
                }
                Err(error) if error.may_have_run() => {
                    assert!(ran <= 1, "{value} ran {ran} times: {error}");
                    unknown += 1;
                }
                Err(error) => assert_eq!(ran, 0, "{value}: {error}"),
            }
        }
        println!(
            "{} writes: {confirmed} confirmed, {unknown} unknown, {} connections",
            results.len(),
            proxy.accepted()
        );
        assert!(
            confirmed > 100 && unknown > 0 && proxy.accepted() > 5,
            "{confirmed} {unknown}, {} at the server; {:?}",
            server.accepted(),
            results.iter().find_map(|(_, result)| result.as_ref().err())
        );
    });
}

#[test]
fn a_counter_counts_what_was_confirmed_and_no_more_than_was_sent() {
    run_in(two_threads, || async {
        let server = Server::larder(&[]);
        let proxy = Arc::new(Proxy::start(server.port(), 1));
        let client = client(proxy.port(), |config| config.response_timeout = millis(500));
        let seed = fresh_seed();
        println!("LARDER_SEED={seed}");
        let (stop, cutter) = cut_on_and_on(&proxy, seed);
        let mut tasks = JoinSet::new();
        let start = Instant::now();
        for _ in 0..32 {
            let client = client.clone();
            tasks.spawn(async move {
                let (mut confirmed, mut unknown) = (0, 0);
                while start.elapsed() < millis(1500) {
                    let result = client.incr("counter").await;
                    match &result {
                        Ok(_) => confirmed += 1,
                        Err(error) => unknown += i64::from(error.may_have_run()),
                    }
                    breathe(result.is_err()).await;
                }
                (confirmed, unknown)
            });
        }
        let results = tasks.join_all().await.into_iter();
        let (confirmed, unknown) = results.fold((0, 0), |sum, result| (sum.0 + result.0, sum.1 + result.1));
        stop.store(true, Ordering::Relaxed);
        cutter.join().expect("the cutter ends");
        // What a cut connection had delivered may still be under way to the node.
        let count = || {
            server
                .connect()
                .call("GET counter")
                .text()
                .parse::<i64>()
                .expect("a number")
        };
        until("all that was confirmed has been counted", || count() >= confirmed).await;
        let counted = count();
        println!("{counted} counted, {confirmed} confirmed, {unknown} unknown");
        assert!(
            (confirmed..=confirmed + unknown).contains(&counted),
            "{confirmed} {counted} {unknown}"
        );
        assert!(confirmed > 100 && unknown > 0, "{confirmed} {unknown}");
    });
}

#[test]
fn reads_are_tried_again_and_callers_notice_nothing() {
    run(|| async {
        // Every other connection breaks at its first GET.
        let server = HostileServer::start(Options::default(), |asked| {
            if asked.is("GET") && asked.connection % 2 == 0 {
                vec![Act::Reset]
            } else if asked.is("GET") && asked.number > 13 {
                vec![Act::Reply, Act::Close]
            } else {
                vec![Act::Reply]
            }
        });
        let client = client(server.port(), |_| {});
        for number in 0..30 {
            let result = get(&client, "key").await;
            assert!(matches!(result, Ok(None)), "{number}: {result:?}");
        }
        assert!(server.accepted() >= 5, "{}", server.accepted());
    });
}

#[test]
fn retries_stay_within_their_budget() {
    run(|| async {
        let server = HostileServer::start(Options::default(), |asked| {
            if asked.is("GET") {
                vec![Act::Reset]
            } else {
                vec![Act::Reply]
            }
        });
        let client = client(server.port(), |_| {});
        for _ in 0..100 {
            let result = get(&client, "key").await;
            assert!(matches!(result, Err(Error::Lost { .. })), "{result:?}");
        }
        let sent = server.ran().values().sum::<u64>();
        assert_eq!(sent, 0, "a reset comes before anything is run");
        let gets = server.requests() - 3 * server.accepted();
        assert!(
            gets <= 110,
            "{gets} requests for 100 calls: ten retries are what there is"
        );
    });
}

#[test]
fn all_attempts_together_take_no_longer_than_the_timeout() {
    run(|| async {
        let server = HostileServer::start(Options::default(), |asked| {
            if !asked.is("GET") {
                vec![Act::Reply]
            } else if asked.connection == 0 {
                vec![Act::Wait(millis(400)), Act::Reset]
            } else {
                vec![Act::Hang]
            }
        });
        let client = client(server.port(), |config| config.response_timeout = millis(600));
        let (result, took) = timed(get(&client, "key")).await;
        assert!(result.is_err());
        assert!(took < millis(850), "{took:?}");
    });
}

#[test]
fn a_dead_server_sees_few_attempts_however_many_calls_are_made() {
    run_in(two_threads, || async {
        // It accepts and breaks, so attempts can be counted.
        let dead = HostileServer::start(Options::default(), |_| vec![Act::Reset]);
        let client = client(dead.port(), |config| {
            config.backoff_min = millis(10);
            config.backoff_max = millis(200);
        });
        let start = Instant::now();
        let calls = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..64 {
            let (client, calls) = (client.clone(), Arc::clone(&calls));
            tasks.spawn(async move {
                while start.elapsed() < millis(1500) {
                    let result = get(&client, "key").await;
                    assert!(matches!(result, Err(Error::Connect { .. })), "{result:?}");
                    calls.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            });
        }
        tasks.join_all().await;
        let calls = calls.load(Ordering::Relaxed);
        // 10, 20, 40, 80, 160, 200, 200 ...: half of each on average, so about 16; all lucky draws together are not 50.
        let attempts = dead.accepted();
        assert!((3..50).contains(&attempts), "{attempts} attempts in 1.5 s");
        assert!(
            calls > 1000,
            "{calls} calls: they fail at once while there is no connection"
        );
    });
}

#[test]
fn a_server_that_breaks_after_every_call_is_not_stormed() {
    run_in(two_threads, || async {
        let server = HostileServer::start(Options::default(), |asked| {
            if asked.is_greeting() || asked.request.is_empty() {
                vec![Act::Reply]
            } else {
                vec![Act::Reply, Act::Close]
            }
        });
        let client = client(server.port(), |config| config.backoff_max = millis(200));
        let start = Instant::now();
        while start.elapsed() < millis(1500) {
            let _ = get(&client, "key").await;
        }
        let attempts = server.accepted();
        assert!((3..100).contains(&attempts), "{attempts} connections in 1.5 s");
    });
}

#[test]
fn a_refused_connection_is_made_once_the_server_is_back() {
    run(|| async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        let client = client(proxy.port(), |_| {});
        set_up(&client, "key", 1).await;
        for round in 0..3 {
            proxy.refuse(true);
            proxy.cut(Cut::Reset);
            let mut result = get(&client, "key").await;
            let start = Instant::now();
            while !matches!(result, Err(Error::Connect { .. })) && start.elapsed() < millis(5000) {
                result = get(&client, "key").await;
            }
            assert!(matches!(result, Err(Error::Connect { .. })), "{result:?}");
            proxy.refuse(false);
            let back = Instant::now();
            while get(&client, "key").await.ok() != Some(Some(value_of("key", 1))) {
                assert!(
                    back.elapsed() < millis(100) + LATE,
                    "round {round}: not back after {:?}",
                    back.elapsed()
                );
                tokio::time::sleep(millis(1)).await;
            }
        }
    });
}

/// Replies that are none, or too much.
const GARBAGE: &[(&str, &[u8])] = &[
    ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ("a zero", b"\0"),
    ("an array of two billion", b"*2000000000\r\n"),
    ("a map of two billion", b"%2000000000\r\n"),
    ("a string over the limit", b"$2000000000\r\n"),
    ("a negative length", b"$-5\r\n"),
    ("a length that is none", b"*1x\r\n"),
    ("a length over 64 bits", b"$99999999999999999999999\r\n"),
    ("a string longer than it says", b"$3\r\nabcdef\r\n"),
    ("a streamed string", b"$?\r\n;4\r\nabcd\r\n;0\r\n"),
    ("two replies", b"+OK\r\n+OK\r\n"),
    ("a reply and garbage", b"+OK\r\nxyz"),
    ("a carriage return inside", b"+a\rb\r\n"),
];

#[test]
fn garbage_ends_the_connection_and_the_next_is_in_order() {
    run(|| async {
        for &(what, bytes) in GARBAGE {
            let server = answering(bytes, 1);
            let client = client(server.port(), |_| {});
            let (result, took) = timed(client.set("key", value_of("key", 1))).await;
            // What was in order before the garbage is a reply.
            let is_right = match &result {
                Ok(()) => bytes.starts_with(b"+OK\r\n"),
                Err(error) => matches!(error, Error::Protocol { .. }) && error.may_have_run(),
            };
            assert!(is_right, "{what}: {result:?}");
            assert!(took < LATE, "{what}: {took:?}");
            set_up(&client, "key", 2).await;
            assert_eq!(
                get(&client, "key").await.expect("get"),
                Some(value_of("key", 2)),
                "{what}"
            );
            assert_eq!(server.accepted(), 2, "{what}");
        }
    });
}

#[test]
fn nesting_and_lines_have_an_end() {
    run(|| async {
        let deep: &'static [u8] = b"*1\r\n".repeat(10_000).leak();
        let line: &'static [u8] = [b"+", &[b'x'; 100_000][..]].concat().leak();
        for bytes in [deep, line] {
            let server = answering(bytes, 1);
            let client = client(server.port(), |_| {});
            let result = client.set("key", 1).await;
            assert!(matches!(result, Err(Error::Protocol { .. })), "{result:?}");
            set_up(&client, "key", 2).await;
        }
    });
}

#[test]
fn a_claim_that_is_never_kept_takes_a_timeout_and_no_memory() {
    run(|| async {
        let server = answering(b"$500000000\r\nabc", 1);
        let client = client(server.port(), |config| config.response_timeout = millis(300));
        let before = resident_bytes();
        let result = get(&client, "key").await;
        assert!(matches!(result, Err(Error::Timeout { sent: true, .. })), "{result:?}");
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 100 << 20, "{grown} bytes more are held");
        // What comes next is still part of that string, so the connection must go before there is a reply again.
        let start = Instant::now();
        while get(&client, "key").await.is_err() {
            assert!(start.elapsed() < millis(5000));
        }
        assert_eq!(server.accepted(), 2);
    });
}

/// What this process holds in memory.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|text| text.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

#[test]
fn a_reply_that_nobody_asked_for_is_given_to_nobody() {
    run(|| async {
        for greeting in [true, false] {
            let server = HostileServer::start(Options::default(), move |asked| {
                let lib_ver = asked.request.get(2).is_some_and(|word| word == b"LIB-VER");
                let unasked = asked.connection == 0 && if greeting { lib_ver } else { asked.is("SET") };
                if unasked {
                    vec![Act::Reply, Act::Wait(millis(20)), Act::Send(bulk(b"not yours"))]
                } else {
                    vec![Act::Reply]
                }
            });
            let client = client(server.port(), |_| {});
            if !greeting {
                client.set("key", value_of("key", 1)).await.expect("set");
            }
            until("the connection was given up", || server.accepted() == 2).await;
            set_up(&client, "key", 2).await;
            assert_eq!(get(&client, "key").await.expect("get"), Some(value_of("key", 2)));
        }
    });
}

#[test]
fn a_reply_right_behind_the_greeting_is_not_the_first_calls() {
    run(|| async {
        let server = HostileServer::start(Options::default(), |asked| {
            if asked.connection == 0 && asked.request.get(2).is_some_and(|word| word == b"LIB-VER") {
                vec![Act::Reply, Act::Send(bulk(b"not yours"))]
            } else {
                vec![Act::Reply]
            }
        });
        let client = client(server.port(), |_| {});
        // Queued before the connection is there, so it would be the first to get a reply.
        let result = get(&client, "key").await;
        assert!(matches!(result, Ok(None)), "{result:?}");
    });
}

#[test]
fn pushes_and_attributes_between_replies_are_no_replies() {
    run(|| async {
        let between: &[&[u8]] = &[
            b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
            b">0\r\n",
            b"|1\r\n+ttl\r\n:3600\r\n",
            b"|0\r\n",
        ];
        let server = HostileServer::start(Options::default(), move |asked| {
            let bytes = between[asked.number as usize % between.len()];
            vec![Act::Send(bytes.to_vec()), Act::Reply]
        });
        let client = client(server.port(), |_| {});
        for number in 0..20 {
            let key = format!("key:{number}");
            client.set(&key, value_of(&key, 0)).await.expect("set");
            assert_eq!(get(&client, &key).await.expect("get"), Some(value_of(&key, 0)));
        }
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn errors_of_servers_are_typed_and_cost_no_connection() {
    run(|| async {
        for (bytes, code) in [
            (&b"-LOADING Redis is loading the dataset in memory\r\n"[..], "LOADING"),
            (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
            (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "OOM"),
            (b"!21\r\nSYNTAX invalid syntax\r\n", "SYNTAX"),
            (b"-lower case\r\n", ""),
        ] {
            let server = answering(bytes, 1);
            let client = client(server.port(), |_| {});
            for _ in 0..3 {
                match client.set("key", 1).await {
                    Err(Error::Server(error)) => assert_eq!(error.code(), code),
                    other => panic!("{code}: {other:?}"),
                }
            }
            assert_eq!(server.accepted(), 1, "{code}");
        }
    });
}

#[test]
fn replies_that_drip_in_are_put_together() {
    run(|| async {
        let server = HostileServer::start(Options::default(), |_| vec![Act::Drip(1, millis(0))]);
        let client = client(server.port(), |_| {});
        let value = "x".repeat(300);
        client.set("key", &value).await.expect("set");
        assert_eq!(get(&client, "key").await.expect("get"), Some(value));
    });
}

#[test]
fn a_cut_at_any_byte_gives_a_right_reply_or_an_error() {
    run(|| async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        let client = client(proxy.port(), |_| {});
        set_up(&client, "key", 0).await;
        let (there, back) = {
            let link = &proxy.links()[0];
            (link.sent(Direction::ToServer), link.sent(Direction::ToClient))
        };
        for how in [Cut::Reset, Cut::Finish] {
            for (direction, bytes) in [(Direction::ToServer, there + 60), (Direction::ToClient, back + 40)] {
                for limit in (0..bytes).step_by(3) {
                    proxy.set(
                        direction,
                        Faults {
                            cut_after: Some((limit, how)),
                            ..Faults::default()
                        },
                    );
                    proxy.cut(Cut::Reset);
                    // Some of these calls meet the cut, in the greeting or in the request.
                    for _ in 0..2 {
                        match get(&client, "key").await {
                            Ok(value) => assert_eq!(value, Some(value_of("key", 0)), "{direction:?} {limit}"),
                            Err(error) => assert!(error.is_node_failure(), "{direction:?} {limit}: {error}"),
                        }
                    }
                }
                proxy.heal();
                proxy.cut(Cut::Reset);
                set_up(&client, "key", 0).await;
            }
        }
    });
}

#[test]
fn what_was_not_sent_before_a_break_is_sent_after_it() {
    run(|| async {
        let server = HostileServer::start(Options::default(), |_| vec![Act::Reply]);
        let proxy = Proxy::start(server.port(), 1);
        let client = client(proxy.port(), |_| {});
        set_up(&client, "key", 0).await;
        // Refused connections: calls fail until one is up, but those queued while it is being made wait for it.
        for version in 1..30 {
            proxy.cut(Cut::Reset);
            let mut result = client.set("key", value_of("key", version)).await;
            while result.as_ref().is_err_and(|error| !error.may_have_run()) {
                result = client.set("key", value_of("key", version)).await;
            }
            let seen = get(&client, "key").await.expect("reads are tried again");
            match result {
                Ok(()) => assert_eq!(seen, Some(value_of("key", version))),
                Err(error) => {
                    assert!(matches!(error, Error::Lost { .. }), "{error}");
                    set_up(&client, "key", version).await;
                }
            }
        }
    });
}
