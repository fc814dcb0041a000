//! A pool of real nodes that die, come back, and come and go, while it is used.

use larder_client::{Client, Config, Error, Event, NodeState, PoolBuilder, PoolNode, Reason, SetOptions};
use larder_tests::server::Server;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// The longest that any condition is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn nodes(servers: &[Server]) -> Vec<PoolNode> {
    (0..).zip(servers).map(|(n, server)| node(n, server, 1)).collect()
}

fn node(number: usize, server: &Server, weight: u32) -> PoolNode {
    let url = format!("127.0.0.1:{}", server.port());
    PoolNode::new(format!("node-{number}"), &url, weight).expect("a node")
}

fn servers(count: usize) -> Vec<Server> {
    (0..count).map(|_| Server::larder(&[])).collect()
}

fn builder(servers: &[Server]) -> PoolBuilder {
    PoolBuilder::new().nodes(nodes(servers))
}

async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// For tests that are not of timeouts: machines that run tests are busy.
fn patient() -> Config {
    let mut config = Config::default();
    config.response_timeout = Duration::from_secs(20);
    config.backoff_max = Duration::from_millis(200);
    config
}

/// How many keys each server has.
fn sizes(servers: &[Server]) -> Vec<i64> {
    servers
        .iter()
        .map(|server| server.connect().call("DBSIZE").integer().expect("a size"))
        .collect()
}

#[test]
fn commands_with_many_keys_are_split_and_merged_in_order() {
    let servers = servers(3);
    runtime().block_on(async {
        let pool = builder(&servers).build().expect("a pool");
        let pairs: Vec<_> = (0..300).map(|n| (format!("key:{n}"), n)).collect();
        pool.mset(pairs.iter().map(|(key, n)| (key, n))).await.expect("mset");
        assert!(sizes(&servers).iter().all(|size| *size > 50), "{:?}", sizes(&servers));
        let keys = (0..400).rev().map(|n| format!("key:{n}"));
        let values: Vec<Option<i64>> = pool.mget(keys).await.expect("mget");
        let expected: Vec<_> = (0..400).rev().map(|n| (n < 300).then_some(n)).collect();
        assert_eq!(values, expected);
        let twice = ["key:1", "key:1", "key:2", "none"];
        assert_eq!(pool.exists(twice).await.expect("exists"), 3);
        assert_eq!(pool.touch(["key:1", "key:2", "none"]).await.expect("touch"), 2);
        assert_eq!(pool.del((0..10).map(|n| format!("key:{n}"))).await.expect("del"), 10);
        assert_eq!(
            pool.unlink((0..20).map(|n| format!("key:{n}"))).await.expect("unlink"),
            10
        );
        assert_eq!(sizes(&servers).iter().sum::<i64>(), 280);
        let none: [&str; 0] = [];
        assert_eq!(pool.mget::<String>(none).await.expect("nothing"), []);
    });
}

#[test]
fn two_clients_of_the_same_names_find_each_others_keys_whatever_the_order() {
    let servers = servers(4);
    runtime().block_on(async {
        let one = builder(&servers).build().expect("a pool");
        let mut nodes = nodes(&servers);
        nodes.reverse();
        let other = PoolBuilder::new().nodes(nodes).build().expect("a pool");
        for n in 0..100 {
            one.set(format!("key:{n}"), n).await.expect("set");
            assert_eq!(other.get(format!("key:{n}")).await.expect("get"), Some(n));
        }
    });
}

/// What readers and writers see while something happens to the pool.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    reads: AtomicU64,
    hits: AtomicU64,
    errors: Mutex<Vec<Error>>,
    wrong: AtomicU64,
}

/// Reads random keys, each of which has its own name as its value, and stores what is missing, as an app does.
async fn read(pool: Client, seen: Arc<Seen>, keys: usize) {
    while !seen.stop.load(Ordering::Relaxed) {
        let key = format!("key:{}", fastrand::usize(..keys));
        match pool.get::<String>(&key).await {
            Ok(Some(value)) => {
                seen.hits.fetch_add(1, Ordering::Relaxed);
                seen.wrong.fetch_add(u64::from(value != key), Ordering::Relaxed);
            }
            Ok(None) => {}
            Err(error) => seen.errors.lock().await.push(error),
        }
        seen.reads.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn readers_see_no_error_when_a_node_is_killed_and_it_serves_again_within_two_seconds_of_its_return() {
    let mut servers = servers(4);
    runtime().block_on(async {
        let pool = builder(&servers).config(patient()).build().expect("a pool");
        pool.mset((0..1000).map(|n| (format!("key:{n}"), format!("key:{n}"))))
            .await
            .expect("mset");
        let seen = Arc::new(Seen::default());
        let readers: Vec<_> = (0..32)
            .map(|_| tokio::spawn(read(pool.clone(), Arc::clone(&seen), 1000)))
            .collect();
        let many = {
            let (pool, seen) = (pool.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                while !seen.stop.load(Ordering::Relaxed) {
                    let keys = (0..50).map(|n| format!("key:{n}"));
                    if let Err(error) = pool.mget::<String>(keys).await {
                        seen.errors.lock().await.push(error);
                    }
                }
            })
        };
        let reads = |more: u64| {
            let from = seen.reads.load(Ordering::Relaxed);
            let seen = Arc::clone(&seen);
            move || {
                let now = seen.reads.load(Ordering::Relaxed);
                async move { now > from + more }
            }
        };
        eventually("load", reads(2000)).await;
        let mut events = pool.events();
        let killed = servers.remove(2);
        let port = killed.port();
        drop(killed);
        eventually("load without the node", reads(20_000)).await;
        servers.insert(2, Server::larder_at(port, &[]));
        let back = Instant::now();
        loop {
            match events.recv().await.expect("events") {
                Event::BreakerClosed { node, .. } if &*node == "node-2" => break,
                _ => {}
            }
        }
        let took = back.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        eventually("load with the node", reads(2000)).await;
        seen.stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.await.expect("a reader");
        }
        many.await.expect("the reader of many");
        let errors = seen.errors.lock().await;
        assert!(errors.is_empty(), "{} errors, such as {}", errors.len(), errors[0]);
        assert_eq!(seen.wrong.load(Ordering::Relaxed), 0);
        assert!(seen.hits.load(Ordering::Relaxed) > 2000);
    });
}

#[test]
fn while_a_node_is_out_only_what_may_have_two_owners_goes_elsewhere() {
    let mut servers = servers(3);
    runtime().block_on(async {
        let pool = builder(&servers).build().expect("a pool");
        let key = "the key";
        pool.set(key, "old").await.expect("set");
        let owner = sizes(&servers).iter().position(|size| *size == 1).expect("an owner");
        let port = servers[owner].port();
        drop(servers.remove(owner));
        eventually("the node is out", || {
            let pool = pool.clone();
            async move { matches!(pool.set(key, "new").await, Err(Error::NodeUnavailable { .. })) }
        })
        .await;
        assert_eq!(pool.get::<String>(key).await.expect("a miss"), None);
        let hundred = SetOptions::new().ttl(Duration::from_secs(100));
        let set = pool.set_with(key, "from elsewhere", hundred).await;
        assert!(set.expect("a set with a time to live"));
        assert_eq!(
            pool.get::<String>(key).await.expect("a hit").as_deref(),
            Some("from elsewhere")
        );
        let found: Vec<Option<String>> = pool.mget([key, "none"]).await.expect("a hit");
        assert_eq!(found, [Some("from elsewhere".to_string()), None]);
        for server in &servers {
            let mut conn = server.connect();
            for gutter_key in conn.call("KEYS *").items().expect("keys") {
                let ttl_ms = conn.call_args(&["PTTL", &gutter_key.text()]).integer().expect("a time");
                assert!((1..=10_000).contains(&ttl_ms), "{ttl_ms} ms");
            }
        }
        let lock = pool.set_with(key, "mine", hundred.if_absent()).await;
        assert!(matches!(lock, Err(Error::NodeUnavailable { .. })), "{lock:?}");
        assert!(matches!(pool.unlink([key]).await, Err(Error::NodeUnavailable { .. })));
        assert_eq!(pool.del([key]).await.expect("a delete"), 1);
        assert_eq!(pool.get::<String>(key).await.expect("a miss"), None);
        servers.insert(owner, Server::larder_at(port, &[]));
        // What it has by now is from before what was written and deleted elsewhere.
        servers[owner].connect().call_args(&["SET", key, "stale"]);
        eventually("the node is back", || {
            let pool = pool.clone();
            async move {
                let read = pool.get::<String>(key).await.expect("a read");
                assert_ne!(read.as_deref(), Some("stale"));
                assert_ne!(read.as_deref(), Some("from elsewhere"));
                pool.set(key, "new").await.is_ok()
            }
        })
        .await;
        assert_eq!(pool.get::<String>(key).await.expect("a hit").as_deref(), Some("new"));
    });
}

/// A key's history: what a writer stored last, if anything.
type Truth = Arc<Vec<Mutex<Option<u64>>>>;

/// Writes, deletes and reads keys of its own; a read must give what was stored last, or nothing.
async fn check(pool: Client, truth: Truth, seen: Arc<Seen>, part: usize, parts: usize) {
    let mut next = 0;
    while !seen.stop.load(Ordering::Relaxed) {
        let at = fastrand::usize(..truth.len() / parts) * parts + part;
        let key = format!("key:{at}");
        let mut last = truth[at].lock().await;
        match fastrand::u32(..10) {
            0..2 => {
                next += 1;
                *last = None;
                if pool
                    .set_with(&key, next, SetOptions::new().ttl(Duration::from_secs(1000)))
                    .await
                    .is_ok()
                {
                    *last = Some(next);
                }
            }
            2 => {
                if pool.del([&key]).await.is_ok() {
                    *last = None;
                }
            }
            _ => match pool.get::<u64>(&key).await {
                Ok(Some(value)) => {
                    seen.hits.fetch_add(1, Ordering::Relaxed);
                    if *last != Some(value) {
                        seen.wrong.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Ok(None) => {}
                Err(error) => seen.errors.lock().await.push(error),
            },
        }
        seen.reads.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn no_old_value_is_read_while_nodes_are_added_removed_and_reweighed_under_load() {
    let servers = servers(4);
    runtime().block_on(async {
        let pool = builder(&servers[..3])
            .handover(Duration::from_millis(700))
            .config(patient())
            .build()
            .expect("a pool");
        let truth: Truth = Arc::new((0..2000).map(|_| Mutex::new(None)).collect());
        let seen = Arc::new(Seen::default());
        let checkers: Vec<_> = (0..16)
            .map(|part| tokio::spawn(check(pool.clone(), Arc::clone(&truth), Arc::clone(&seen), part, 16)))
            .collect();
        let mut versions = Vec::new();
        for round in 0..12 {
            let reads = seen.reads.load(Ordering::Relaxed);
            let hits = seen.hits.load(Ordering::Relaxed);
            eventually("load", || {
                let enough =
                    seen.reads.load(Ordering::Relaxed) > reads + 3000 && seen.hits.load(Ordering::Relaxed) > hits;
                async move { enough }
            })
            .await;
            let version = match round % 4 {
                0 => pool.add_member(node(3, &servers[3], 1)),
                1 => pool.reweigh_member("node-0", 3),
                2 => pool.remove_member("node-3"),
                _ => pool.reweigh_member("node-0", 1),
            };
            versions.push(version.expect("a change"));
        }
        seen.stop.store(true, Ordering::Relaxed);
        for checker in checkers {
            checker.await.expect("a checker");
        }
        assert!(versions.is_sorted() && versions[0] == 2, "{versions:?}");
        let errors = seen.errors.lock().await;
        assert!(errors.is_empty(), "{} errors, such as {}", errors.len(), errors[0]);
        assert_eq!(
            seen.wrong.load(Ordering::Relaxed),
            0,
            "values that were overwritten or deleted"
        );
    });
}

#[test]
fn a_new_owner_is_filled_from_the_one_before_with_what_is_left_of_the_time_to_live() {
    let servers = servers(2);
    runtime().block_on(async {
        let pool = builder(&servers[..1]).build().expect("a pool");
        for n in 0..200 {
            let minute = SetOptions::new().ttl(Duration::from_secs(60));
            assert!(pool.set_with(format!("key:{n}"), n, minute).await.expect("set"));
        }
        pool.add_member(node(1, &servers[1], 1)).expect("a change");
        for n in 0..200 {
            assert_eq!(pool.get(format!("key:{n}")).await.expect("get"), Some(n), "key:{n}");
        }
        let mut conn = servers[1].connect();
        let carried = conn.call("KEYS *").items().expect("keys").len();
        assert!((60..140).contains(&carried), "{carried}");
        for key in conn.call("KEYS *").items().expect("keys") {
            let ttl_ms = conn.call_args(&["PTTL", &key.text()]).integer().expect("a time");
            assert!((1..=60_000).contains(&ttl_ms), "{ttl_ms} ms");
        }
        // What is deleted at the new owner must be gone at the old one, too.
        assert_eq!(pool.del((0..200).map(|n| format!("key:{n}"))).await.expect("del"), 200);
        assert_eq!(sizes(&servers), [0, 0]);
    });
}

#[test]
fn deleted_values_do_not_come_back_with_a_node_that_was_away_and_missed_more_than_its_log_holds() {
    let servers = servers(3);
    runtime().block_on(async {
        let mut gutter = larder_client::GutterConfig::default();
        gutter.max_log_keys = 20;
        let mut config = Config::default();
        config.response_timeout = Duration::from_millis(400);
        let pool = builder(&servers).gutter(gutter).config(config).build().expect("a pool");
        let keys: Vec<_> = (0..600).map(|n| format!("key:{n}")).collect();
        pool.mset(keys.iter().map(|key| (key, "old"))).await.expect("mset");
        let size = sizes(&servers)[1];
        let mut events = pool.events();
        servers[1].signal("STOP");
        let mut deleted: HashMap<&str, bool> = HashMap::new();
        let (mut out, mut overflowed) = (false, false);
        while !(out && overflowed && deleted.len() == keys.len()) {
            for key in keys
                .iter()
                .filter(|key| !deleted.contains_key(key.as_str()))
                .collect::<Vec<_>>()
            {
                if pool.del([key]).await.is_ok() {
                    deleted.insert(key, true);
                }
            }
            while let Ok(event) = events.try_recv() {
                out |= matches!(event, Event::BreakerOpened { .. });
                overflowed |= matches!(event, Event::LogOverflowed { .. });
            }
        }
        assert!(size > 100, "{size}");
        servers[1].signal("CONT");
        eventually("the node is back", || {
            let pool = pool.clone();
            let keys = &keys;
            async move {
                let values: Vec<Option<String>> = pool.mget(&keys[50..]).await.expect("mget");
                assert!(values.iter().all(Option::is_none), "a deleted value was read");
                pool.mset(keys[..50].iter().map(|key| (key, "new"))).await.is_ok()
            }
        })
        .await;
        let values: Vec<Option<String>> = pool.mget(&keys[50..]).await.expect("mget");
        assert!(values.iter().all(Option::is_none), "a deleted value was read");
        pool.mset(keys.iter().map(|key| (key, "new"))).await.expect("mset");
        let values: Vec<Option<String>> = pool.mget(&keys).await.expect("mget");
        assert!(
            values.iter().all(|value| value.as_deref() == Some("new")),
            "a new value was lost"
        );
    });
}

/// A way to a server that can be slow, and can be cut off: then what is sent is held back, and arrives when it heals.
struct Way {
    port: u16,
    delay_ms: Arc<AtomicU64>,
    cut: Arc<AtomicBool>,
}

impl Way {
    async fn to(server: &Server) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let way = Way {
            port: listener.local_addr().expect("an address").port(),
            delay_ms: Arc::default(),
            cut: Arc::default(),
        };
        let (delay_ms, cut, to) = (Arc::clone(&way.delay_ms), Arc::clone(&way.cut), server.port());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else {
                    continue;
                };
                let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
                tokio::spawn(Way::carry(
                    client_in,
                    server_out,
                    Arc::clone(&delay_ms),
                    Arc::clone(&cut),
                ));
                tokio::spawn(Way::carry(server_in, client_out, Arc::default(), Arc::clone(&cut)));
            }
        });
        way
    }

    async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay_ms: Arc<AtomicU64>, cut: Arc<AtomicBool>) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            tokio::time::sleep(Duration::from_millis(delay_ms.load(Ordering::Relaxed))).await;
            while cut.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }
}

/// A pool whose last node is reached by a way of its own.
async fn with_way(servers: &[Server], response_timeout: Duration) -> (Client, Way) {
    let (last, others) = servers.split_last().expect("servers");
    let way = Way::to(last).await;
    let mut config = Config::default();
    config.response_timeout = response_timeout;
    config.backoff_max = Duration::from_millis(200);
    let name = format!("node-{}", others.len());
    let pool = builder(others)
        .node(name, &format!("127.0.0.1:{}", way.port), 1)
        .expect("a node")
        .config(config)
        .build()
        .expect("a pool");
    (pool, way)
}

async fn breaker(events: &mut tokio::sync::broadcast::Receiver<Event>, opens: bool) {
    let waiting = async {
        loop {
            match events.recv().await.expect("events") {
                Event::BreakerOpened { .. } if opens => return,
                Event::BreakerClosed { .. } if !opens => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("a change of the breaker");
}

#[test]
fn a_slow_node_is_drained_within_three_seconds_and_is_back_when_it_is_quick() {
    let servers = servers(4);
    runtime().block_on(async {
        let (pool, way) = with_way(&servers, Duration::from_secs(20)).await;
        let seen = Arc::new(Seen::default());
        let readers: Vec<_> = (0..16)
            .map(|_| tokio::spawn(read(pool.clone(), Arc::clone(&seen), 1000)))
            .collect();
        eventually("load", || {
            let enough = seen.reads.load(Ordering::Relaxed) > 2000;
            async move { enough }
        })
        .await;
        let mut events = pool.events();
        // On a machine that is so busy that all nodes are slow, it takes more to be slower than they.
        let usual = pool.stats().nodes.iter().map(|node| node.latency).max().expect("nodes");
        let delay = (usual * 10).max(Duration::from_millis(200));
        way.delay_ms.store(delay.as_millis() as u64, Ordering::Relaxed);
        let slow = Instant::now();
        breaker(&mut events, true).await;
        let bound = Duration::from_secs(3) + (delay - Duration::from_millis(200)) * 5;
        assert!(
            slow.elapsed() < bound,
            "{:?}, with a delay of {delay:?}",
            slow.elapsed()
        );
        let state = |pool: &Client| pool.stats().nodes[3].state;
        assert_eq!(state(&pool), NodeState::Out(Reason::Slow));
        let reads = seen.reads.load(Ordering::Relaxed);
        eventually("load without the node", || {
            let enough = seen.reads.load(Ordering::Relaxed) > reads + 5000;
            async move { enough }
        })
        .await;
        assert_eq!(state(&pool), NodeState::Out(Reason::Slow), "it is still slow");
        way.delay_ms.store(0, Ordering::Relaxed);
        breaker(&mut events, false).await;
        let reads = seen.reads.load(Ordering::Relaxed);
        eventually("load with the node", || {
            let enough = seen.reads.load(Ordering::Relaxed) > reads + 20_000;
            async move { enough }
        })
        .await;
        assert_eq!(state(&pool), NodeState::Serving, "it must not be taken for slow again");
        seen.stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.await.expect("a reader");
        }
        let errors = seen.errors.lock().await;
        assert!(errors.is_empty(), "{} errors, such as {}", errors.len(), errors[0]);
    });
}

#[test]
fn a_node_that_was_cut_off_brings_no_deleted_value_back_when_it_heals() {
    let servers = servers(3);
    runtime().block_on(async {
        let (pool, way) = with_way(&servers, Duration::from_millis(300)).await;
        for round in 0..3 {
            let keys: Vec<_> = (0..300).map(|n| format!("{round}:{n}")).collect();
            pool.mset(keys.iter().map(|key| (key, "old"))).await.expect("mset");
            let mut events = pool.events();
            way.cut.store(true, Ordering::Relaxed);
            // Writes that are held back on the way, and arrive when it heals.
            let late = keys.iter().map(|key| {
                let (pool, key) = (pool.clone(), key.clone());
                tokio::spawn(async move { pool.set(key, "late").await.is_ok() })
            });
            for late in late.collect::<Vec<_>>() {
                late.await.expect("a write");
            }
            for key in &keys {
                while pool.del([key]).await.is_err() {}
            }
            way.cut.store(false, Ordering::Relaxed);
            let healed = Instant::now();
            loop {
                let values: Vec<Option<String>> = pool.mget(&keys).await.expect("mget");
                let found = values.iter().flatten().next();
                assert_eq!(found, None, "a deleted value was read");
                if pool.stats().nodes[2].state == NodeState::Serving && healed.elapsed() > Duration::from_millis(500) {
                    break;
                }
                assert!(healed.elapsed() < PATIENCE);
            }
            while events.try_recv().is_ok() {}
            assert!(sizes(&servers)[2] <= 300, "the node has what was deleted");
        }
    });
}

#[test]
fn a_hot_key_gets_copies_that_are_at_most_a_second_old_and_leave_nothing_behind() {
    const KEY: &str = "celebrity";
    let servers = servers(4);
    runtime().block_on(async {
        let pool = builder(&servers).build().expect("a pool");
        let other = builder(&servers).build().expect("a pool");
        other.set(KEY, 0).await.expect("set");
        // Of each value when it was certainly there.
        let written = Arc::new(Mutex::new(vec![Instant::now()]));
        let seen = Arc::new(Seen::default());
        let readers: Vec<_> = (0..16)
            .map(|_| {
                let (pool, seen, written) = (pool.hot(), Arc::clone(&seen), Arc::clone(&written));
                tokio::spawn(async move {
                    while !seen.stop.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        let value: usize = pool.get(KEY).await.expect("a read").expect("a value");
                        // The next value must not have been there for more than the bound.
                        let next = written.lock().await.get(value + 1).copied();
                        let bound = Duration::from_millis(1000 + 50);
                        seen.wrong.fetch_add(
                            u64::from(next.is_some_and(|next| next + bound < began)),
                            Ordering::Relaxed,
                        );
                        seen.reads.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let copies = |pool: &Client| pool.stats().copy_reads;
        let mut value = 0;
        eventually("reads of copies, while another client writes", || {
            value += 1;
            let (pool, other, written) = (&pool, &other, Arc::clone(&written));
            async move {
                other.set(KEY, value).await.expect("set");
                written.lock().await.push(Instant::now());
                tokio::time::sleep(Duration::from_millis(100)).await;
                copies(pool) > 20_000 && value > 40
            }
        })
        .await;
        let hot = pool.stats().hot_keys;
        assert_eq!(&*hot[0].key, KEY.as_bytes());
        assert_eq!(hot[0].holders.len(), 4, "all of the reads are for one key");
        for server in &servers {
            let mut conn = server.connect();
            for key in conn.call("KEYS ~larder:*").items().expect("keys") {
                let ttl_ms = conn.call_args(&["PTTL", &key.text()]).integer().expect("a time");
                assert!(ttl_ms <= 1000, "{ttl_ms} ms");
            }
        }
        // This client sees its own writes at once, whichever holder it reads.
        for round in 0..20 {
            let value = 1_000_000 + round;
            pool.set(KEY, value).await.expect("set");
            for _ in 0..20 {
                assert_eq!(pool.hot().get::<i64>(KEY).await.expect("get"), Some(value));
            }
        }
        seen.stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.await.expect("a reader");
        }
        assert_eq!(
            seen.wrong.load(Ordering::Relaxed),
            0,
            "older than the bound, of {}",
            seen.reads.load(Ordering::Relaxed)
        );
        eventually("the key has cooled", || {
            let cool = pool.stats().hot_keys.is_empty();
            async move { cool }
        })
        .await;
        eventually("its copies are gone", || {
            let sizes = sizes(&servers);
            async move { sizes.iter().sum::<i64>() == 1 }
        })
        .await;
    });
}

#[test]
fn the_nodes_of_a_file_are_followed_and_a_broken_file_changes_nothing() {
    let servers = servers(3);
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("nodes");
        let write = |text: &str| {
            let beside = dir.path().join("nodes.new");
            std::fs::write(&beside, text).expect("a file");
            std::fs::rename(&beside, &path).expect("a file");
        };
        let lines: Vec<_> = servers
            .iter()
            .enumerate()
            .map(|(n, server)| format!("node-{n} 127.0.0.1:{} 1\n", server.port()))
            .collect();
        write(&lines[..2].concat());
        let pool = PoolBuilder::new()
            .members_from_file(&path, Duration::from_millis(20))
            .build()
            .expect("a pool");
        let mut events = pool.events();
        pool.set("key", "value").await.expect("set");
        write("node-0 nowhere:x\n");
        let refused = async {
            loop {
                if let Event::MembershipRefused { why } = events.recv().await.expect("events") {
                    return why;
                }
            }
        };
        let why = tokio::time::timeout(PATIENCE, refused).await.expect("an event");
        assert!(why.contains("line 1"), "{why}");
        assert_eq!(pool.stats().nodes.len(), 2);
        write(&lines.concat());
        eventually("three nodes", || {
            let nodes = pool.stats().nodes.len();
            async move { nodes == 3 }
        })
        .await;
        assert_eq!(pool.stats().version, 2);
        assert_eq!(pool.get::<String>("key").await.expect("get").as_deref(), Some("value"));
    });
}
