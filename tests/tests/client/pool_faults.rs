//! A pool whose nodes stay alive while the network to them does not: cut off, slow, refused. The nodes' own view is
//! asked on the side.

use super::harness::{run_in, two_threads};
use larder_client::{Client, Config, Event, GutterConfig, PoolBuilder, SetOptions};
use larder_tests::proxy::{Cut, Direction, Faults, Flow, Proxy};
use larder_tests::server::Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

const NODES: usize = 4;
const KEYS: usize = 400;
const TTL: Duration = Duration::from_secs(100);

/// Nodes, each behind a proxy, and a client of them all.
struct Pool {
    servers: Vec<Server>,
    proxies: Vec<Proxy>,
    client: Client,
    events: Receiver<Event>,
}

impl Pool {
    fn new(gutter: GutterConfig) -> Pool {
        let servers: Vec<_> = (0..NODES).map(|_| Server::larder(&[])).collect();
        let proxies: Vec<_> = servers.iter().map(|server| Proxy::start(server.port(), 1)).collect();
        let mut config = Config::default();
        config.connect_timeout = Duration::from_millis(500);
        config.backoff_max = Duration::from_millis(200);
        let mut builder = PoolBuilder::new().config(config).gutter(gutter);
        for (number, proxy) in proxies.iter().enumerate() {
            let url = format!("127.0.0.1:{}", proxy.port());
            builder = builder.node(format!("node-{number}"), &url, 1).expect("a node");
        }
        let client = builder.build().expect("a pool");
        Pool {
            servers,
            proxies,
            events: client.events(),
            client,
        }
    }

    /// Gives all keys the value `old`; those that a node has.
    async fn fill(&self, node: usize) -> Vec<String> {
        for key in 0..KEYS {
            self.client.set(format!("key:{key}"), "old").await.expect("set");
        }
        let keys = self.servers[node].connect().call("KEYS key:*");
        let keys: Vec<_> = keys.items().expect("keys").iter().map(|key| key.text()).collect();
        assert!(keys.len() > KEYS / NODES / 2, "{} keys", keys.len());
        keys
    }

    /// Nothing that is sent to a node or by it arrives any more: it is lost, or comes when the network has healed.
    fn cut_off(&self, node: usize, flow: Flow) {
        self.proxies[node].set_both(Faults {
            flow,
            ..Faults::default()
        });
    }

    /// Waits for something to happen to a node; how long that took.
    async fn wait(&mut self, what: &str, is_it: impl Fn(&Event) -> bool) -> Duration {
        let start = Instant::now();
        loop {
            match tokio::time::timeout(Duration::from_secs(15), self.events.recv()).await {
                Ok(Ok(event)) if is_it(&event) => return start.elapsed(),
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) => panic!("no more events; waited for: {what}"),
                Err(_) => panic!("not in 15 s: {what}"),
            }
        }
    }

    async fn wait_out(&mut self, node: usize) -> Duration {
        let name = format!("node-{node}");
        let is_it = |event: &Event| matches!(event, Event::BreakerOpened { node, .. } if **node == *name);
        self.wait("the node is taken out", is_it).await
    }

    async fn wait_back(&mut self, node: usize) -> Duration {
        let name = format!("node-{node}");
        let is_it = |event: &Event| matches!(event, Event::BreakerClosed { node, .. } if **node == *name);
        self.wait("the node is in use again", is_it).await
    }
}

/// Readers that go on until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    readers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(client: &Client, allowed: &'static [&'static str]) -> Load {
        let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let reader = |number: usize| {
            let (client, stop, reads) = (client.clone(), Arc::clone(&stop), Arc::clone(&reads));
            tokio::spawn(async move {
                let (mut wrong, mut at) = (Vec::new(), number * 13);
                while !stop.load(Ordering::Relaxed) {
                    at += 1;
                    match client.get::<String>(format!("key:{}", at % KEYS)).await {
                        Ok(None) => {}
                        Ok(Some(value)) if allowed.contains(&value.as_str()) => {}
                        Ok(Some(value)) => wrong.push(value),
                        Err(error) => wrong.push(error.to_string()),
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
                wrong
            })
        };
        Load {
            readers: (0..32).map(reader).collect(),
            stop,
            reads,
        }
    }

    /// Waits until so many more reads were made.
    async fn more(&self, count: u64) {
        let from = self.reads.load(Ordering::Relaxed);
        let start = Instant::now();
        while self.reads.load(Ordering::Relaxed) < from + count {
            assert!(start.elapsed() < Duration::from_secs(15), "no {count} reads in 15 s");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What was read that must not be, errors included.
    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut wrong = Vec::new();
        for reader in self.readers {
            wrong.extend(reader.await.expect("a reader"));
        }
        wrong
    }
}

#[test]
fn what_was_deleted_while_a_node_was_cut_off_is_never_read_from_it_again() {
    deleted_while_cut_off(Flow::Swallow);
}

#[test]
fn nor_if_what_was_sent_to_it_arrives_late() {
    deleted_while_cut_off(Flow::Stop);
}

fn deleted_while_cut_off(flow: Flow) {
    run_in(two_threads, move || async move {
        let mut pool = Pool::new(GutterConfig::default());
        let keys = pool.fill(1).await;
        pool.cut_off(1, flow);
        let load = Load::start(&pool.client, &["old"]);
        pool.wait_out(1).await;
        let wrong = load.stop().await;
        assert!(wrong.is_empty(), "{} reads failed, such as {}", wrong.len(), wrong[0]);
        for key in &keys {
            pool.client.del([key]).await.expect("a delete goes elsewhere");
        }
        pool.proxies[1].heal();
        let client = pool.client.clone();
        let check = async {
            loop {
                for key in &keys {
                    let read = client.get::<String>(key).await.expect("a read");
                    assert_eq!(read, None, "{key} after it was deleted");
                }
            }
        };
        let back = tokio::select! {
            back = pool.wait_back(1) => back,
            () = check => unreachable!("it checks on and on"),
        };
        println!("in use again {back:?} after the network was");
        let mut node = pool.servers[1].connect();
        for key in &keys {
            assert_eq!(
                node.call_args(&["EXISTS", key]).integer(),
                Some(0),
                "{key} is gone from the node itself"
            );
            let read = pool.client.get::<String>(key).await.expect("a read");
            assert_eq!(read, None, "{key}");
        }
    });
}

#[test]
fn when_the_log_of_what_a_node_missed_overflows_no_older_value_is_read() {
    run_in(two_threads, || async {
        let mut gutter = GutterConfig::default();
        gutter.max_log_keys = 10;
        let mut pool = Pool::new(gutter);
        let keys = pool.fill(2).await;
        assert!(keys.len() > 40);
        pool.cut_off(2, Flow::Stop);
        let load = Load::start(&pool.client, &["old"]);
        pool.wait_out(2).await;
        load.stop().await;
        for (number, key) in keys.iter().enumerate() {
            if number % 2 == 0 {
                pool.client.del([key]).await.expect("a delete goes elsewhere");
            } else {
                let set = pool.client.set_with(key, "new", SetOptions::new().ttl(TTL)).await;
                assert!(set.expect("a set with a time to live goes elsewhere"));
            }
        }
        pool.proxies[2].heal();
        let client = pool.client.clone();
        let check = async {
            loop {
                for (number, key) in keys.iter().enumerate() {
                    let read = client.get::<String>(key).await.expect("a read");
                    let is_right = read.is_none() || (number % 2 == 1 && read.as_deref() == Some("new"));
                    assert!(is_right, "{key} is {read:?}");
                }
            }
        };
        tokio::select! {
            _ = pool.wait_back(2) => {}
            () = check => unreachable!("it checks on and on"),
        }
        for key in &keys {
            let read = pool.client.get::<String>(key).await.expect("a read");
            assert_ne!(read.as_deref(), Some("old"), "{key}");
        }
        // What the client writes from now on is believed again.
        for key in &keys {
            pool.client.set(key, "newer").await.expect("set");
            assert_eq!(
                pool.client.get::<String>(key).await.expect("get").as_deref(),
                Some("newer")
            );
        }
    });
}

#[test]
fn a_slow_node_is_drained_within_three_seconds_and_comes_back() {
    run_in(two_threads, || async {
        let mut pool = Pool::new(GutterConfig::default());
        pool.fill(3).await;
        let load = Load::start(&pool.client, &["old"]);
        load.more(5000).await;
        let slow = Faults {
            delay: Duration::from_millis(200),
            ..Faults::default()
        };
        pool.proxies[3].set(Direction::ToClient, slow);
        let drained = pool.wait_out(3).await;
        assert!(drained < Duration::from_secs(3), "{drained:?}");
        // Replies that were under way still take their time; then nobody waits for the slow node.
        load.more(5000).await;
        let quick = Instant::now();
        load.more(5000).await;
        let quick = quick.elapsed();
        assert!(quick < Duration::from_millis(32 * 100), "5000 reads took {quick:?}");
        pool.proxies[3].heal();
        let back = pool.wait_back(3).await;
        assert!(back < Duration::from_secs(3), "{back:?}");
        println!("drained after {drained:?}, back after {back:?}");
        load.more(5000).await;
        let wrong = load.stop().await;
        assert!(wrong.is_empty(), "{} reads failed, such as {}", wrong.len(), wrong[0]);
    });
}

#[test]
fn readers_see_no_error_when_connections_break_and_are_refused_and_the_node_is_back_within_two_seconds() {
    run_in(two_threads, || async {
        let mut pool = Pool::new(GutterConfig::default());
        pool.fill(0).await;
        let load = Load::start(&pool.client, &["old"]);
        for how in [Cut::Reset, Cut::Finish] {
            load.more(3000).await;
            pool.proxies[0].refuse(true);
            pool.proxies[0].cut(how);
            pool.wait_out(0).await;
            load.more(10_000).await;
            pool.proxies[0].refuse(false);
            let back = pool.wait_back(0).await;
            assert!(back < Duration::from_secs(2), "{how:?}: {back:?}");
            println!("{how:?}: in use again after {back:?}");
        }
        load.more(3000).await;
        let wrong = load.stop().await;
        assert!(wrong.is_empty(), "{} reads failed, such as {}", wrong.len(), wrong[0]);
    });
}
