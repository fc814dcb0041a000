//! Nodes that come and go in awkward orders: nothing that this client has deleted or overwritten is read.

use super::member::Mode;
use super::*;
use crate::client::{Backend, Client};
use crate::commands::SetOptions;
use crate::config::Config;
use std::collections::HashMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const TTL: Duration = Duration::from_secs(100);

type Data = Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>;

/// A node in this process, which keeps its data while it cannot be reached.
struct Fake {
    port: u16,
    data: Data,
    reachable: watch::Sender<bool>,
    /// While it is true, a `PTTL` waits, and all behind it.
    held: watch::Sender<bool>,
    asked: watch::Receiver<bool>,
}

impl Fake {
    async fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (reachable, is_reachable) = watch::channel(true);
        let ((held, is_held), (ask, asked)) = (watch::channel(false), watch::channel(false));
        let ask = Arc::new(ask);
        let data = Data::default();
        let shared = Arc::clone(&data);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (data, mut reachable) = (Arc::clone(&shared), is_reachable.clone());
                let (ask, is_held) = (Arc::clone(&ask), is_held.clone());
                if *reachable.borrow_and_update() {
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = serve(stream, data, ask, is_held) => {}
                            _ = reachable.changed() => {}
                        }
                    });
                }
            }
        });
        Fake {
            port,
            data,
            reachable,
            held,
            asked,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Vec<u8>>> {
        self.data.lock().expect("no panic")
    }
}

async fn serve(
    mut stream: TcpStream,
    data: Data,
    ask: Arc<watch::Sender<bool>>,
    mut held: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let (mut input, mut begins) = (Vec::new(), 0);
    loop {
        // A request is as many bytes as it takes until it is one.
        while let Some(end) = (begins + 1..=input.len()).find(|end| gutter::words(&input[begins..*end]).is_some()) {
            let words = gutter::words(&input[begins..end]).expect("it was whole");
            if words[0] == b"PTTL" {
                ask.send_replace(true);
                let _ = held.wait_for(|held| !held).await;
            }
            let reply = answer(&words, &mut data.lock().expect("no panic"));
            stream.write_all(&reply).await?;
            begins = end;
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

fn answer(words: &[&[u8]], data: &mut HashMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    match words {
        [b"GET", key] => match data.get(*key) {
            None => b"$-1\r\n".to_vec(),
            Some(value) => [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
        },
        [b"SET", key, value, ..] => {
            data.insert(key.to_vec(), value.to_vec());
            b"+OK\r\n".to_vec()
        }
        [b"DEL", keys @ ..] => {
            let deleted = keys.iter().filter(|key| data.remove(**key).is_some()).count();
            format!(":{deleted}\r\n").into_bytes()
        }
        [b"PTTL", _] => b":100000\r\n".to_vec(),
        [b"PING" | b"WATCH" | b"CLIENT", ..] => b"+OK\r\n".to_vec(),
        _ => b"-ERR unknown command\r\n".to_vec(),
    }
}

/// Three nodes and a client of them; nodes are named by their place in the order of the key `k`.
struct Bed {
    client: Client,
    pool: Arc<Pool>,
    fakes: Vec<Fake>,
}

impl Bed {
    async fn new(gutter: GutterConfig) -> Bed {
        let mut fakes = Vec::new();
        let mut builder = PoolBuilder::new().gutter(gutter);
        let config = Config {
            backoff_max: Duration::from_millis(20),
            response_timeout: Duration::from_secs(20),
            ..Config::default()
        };
        let health = HealthConfig {
            probe_timeout: Duration::from_secs(20),
            ..HealthConfig::default()
        };
        builder = builder
            .config(config)
            .health(health)
            .handover(Duration::from_millis(200));
        for number in 0..3 {
            let fake = Fake::start().await;
            let url = format!("127.0.0.1:{}", fake.port);
            builder = builder.node(format!("node-{number}"), &url, 1).expect("a node");
            fakes.push(fake);
        }
        let client = builder.build().expect("a pool");
        let Backend::Pool(pool) = &client.core.backend else {
            panic!("it is a pool")
        };
        let pool = Arc::clone(pool);
        let order: Vec<_> = ranking(&pool).iter().map(|member| member.name().to_string()).collect();
        let mut named: Vec<_> = (0..3).map(|number| format!("node-{number}")).zip(fakes).collect();
        named.sort_by_key(|(name, _)| order.iter().position(|other| other == name));
        let fakes = named.into_iter().map(|(_, fake)| fake).collect();
        Bed { client, pool, fakes }
    }

    fn member(&self, rank: usize) -> Arc<Member> {
        Arc::clone(&ranking(&self.pool)[rank])
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(10), "not in 10 s: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A node cannot be reached, and its connections have seen it; the pool has not.
    async fn cut(&self, rank: usize) {
        self.fakes[rank].reachable.send_replace(false);
        let member = self.member(rank);
        let is_down = || {
            member
                .node
                .connections()
                .iter()
                .all(crate::connection::Connection::is_down)
        };
        self.until("a connection is down", is_down).await;
    }

    async fn heal(&self, rank: usize) {
        self.fakes[rank].reachable.send_replace(true);
        let member = self.member(rank);
        self.until("a node serves again", || member.serves()).await;
        let is_up = || {
            !member
                .node
                .connections()
                .iter()
                .any(crate::connection::Connection::is_down)
        };
        self.until("a connection is up again", is_up).await;
    }

    async fn read(&self) -> Option<String> {
        self.client.get("k").await.expect("a read")
    }

    async fn write(&self, value: &str) {
        let set = self.client.set_with("k", value, SetOptions::new().ttl(TTL)).await;
        assert!(set.expect("a write goes elsewhere"));
    }

    fn has(&self, rank: usize) -> bool {
        self.fakes[rank].lock().keys().any(|key| key.ends_with(b"k"))
    }
}

fn ranking(pool: &Pool) -> Vec<Arc<Member>> {
    let (view, spot) = (pool.view.load(), Spot::new(b"k"));
    view.ranking(spot.slot, spot.key).cloned().collect()
}

#[tokio::test]
async fn a_gutter_that_missed_a_delete_is_not_read_when_it_is_back() {
    let bed = Bed::new(GutterConfig::default()).await;
    bed.cut(0).await;
    bed.write("new").await;
    assert!(bed.has(1) && bed.read().await.as_deref() == Some("new"));
    // No connection: nothing was sent to it, but it has the value.
    bed.cut(1).await;
    bed.client.del(["k"]).await.expect("a delete goes to the last node");
    bed.heal(1).await;
    assert_eq!(bed.read().await, None, "it was deleted");
}

#[tokio::test]
async fn a_second_gutter_is_not_read_for_what_the_first_has_deleted_since() {
    let bed = Bed::new(GutterConfig::default()).await;
    bed.cut(0).await;
    bed.cut(1).await;
    bed.write("new").await;
    assert!(bed.has(2) && bed.read().await.as_deref() == Some("new"));
    bed.heal(1).await;
    bed.client.del(["k"]).await.expect("a delete goes to the first gutter");
    bed.cut(1).await;
    for _ in 0..3 {
        assert_eq!(bed.read().await, None, "it was deleted");
    }
    // What is written now is read again.
    bed.write("newer").await;
    assert_eq!(bed.read().await.as_deref(), Some("newer"));
}

#[tokio::test]
async fn a_transaction_does_not_read_what_its_node_is_suspected_of() {
    let gutter = GutterConfig {
        max_log_keys: 0,
        ..GutterConfig::default()
    };
    let bed = Bed::new(gutter).await;
    bed.write("old").await;
    bed.cut(0).await;
    bed.client.del(["k"]).await.expect("a delete goes elsewhere");
    assert!(bed.has(0), "the node has missed it");
    bed.heal(0).await;
    assert_eq!(bed.member(0).mode(), Mode::Careful);
    let mut seen = None;
    let ended = bed.client.transaction::<()>("k", async |tx| {
        seen = Some(tx.get::<String>("k").await?);
        Err(Error::Usage("enough".to_string()))
    });
    assert!(matches!(ended.await, Err(Error::Usage(why)) if why == "enough"));
    assert_eq!(seen, Some(None), "it was deleted");
}

#[tokio::test]
async fn what_is_carried_over_while_the_handover_ends_does_not_come_back_after_a_delete() {
    let bed = Bed::new(GutterConfig::default()).await;
    bed.write("old").await;
    let before = bed.member(0);
    bed.fakes[0].held.send_replace(true);
    let heavier = |nodes: &[PoolNode]| {
        let mut nodes = nodes.to_vec();
        let others = nodes.iter_mut().filter(|node| *node.name != **before.name());
        others.for_each(|node| node.weight = 100_000);
        Ok(nodes)
    };
    bed.pool.change(heavier).expect("a change");
    let now = bed.member(0);
    assert!(!Arc::ptr_eq(&now, &before), "the key has moved");
    let client = bed.client.clone();
    let reader = tokio::spawn(async move { client.get::<String>("k").await });
    let mut asked = bed.fakes[0].asked.clone();
    asked.wait_for(|asked| *asked).await.expect("it is asked");
    bed.until("the handover has ended", || bed.pool.view.load().before.is_empty())
        .await;
    bed.client.del(["k"]).await.expect("a delete");
    bed.fakes[0].held.send_replace(false);
    reader.await.expect("no panic").expect("a read");
    assert_eq!(bed.read().await, None, "it was deleted");
}
