//! What is not about one key, over a pool of several nodes.

use super::{address, usage};
use larder_client::{Client, Delivery, Error, PoolBuilder, PoolNode, ScanOptions, ServerError, blocking, cmd};
use larder_tests::server::{Kind, Server};
use std::collections::HashSet;

fn nodes(servers: &[Server]) -> impl Iterator<Item = PoolNode> {
    let named = |(number, server)| PoolNode::new(format!("node-{number}"), &address(server), 1).expect("a node");
    (0..3).zip(servers).map(named)
}

/// A pool of three nodes, and the nodes.
fn pool(kind: Kind) -> (Client, Vec<Server>) {
    let servers: Vec<_> = (0..3).map(|_| Server::start(kind, &[])).collect();
    let pool = PoolBuilder::new().nodes(nodes(&servers)).build().expect("a pool");
    (pool, servers)
}

fn sizes(servers: &[Server]) -> Vec<i64> {
    let size = |server: &Server| server.connect().call("DBSIZE").integer().expect("a size");
    servers.iter().map(size).collect()
}

#[tokio::test]
async fn pipelines_are_split_over_nodes_and_their_replies_merged_in_order() {
    let (client, servers) = pool(Kind::Larder);
    let mut pipe = client.pipeline();
    for number in 0..300 {
        pipe.set(format!("key:{number}"), number)
            .ping()
            .incr(format!("key:{number}"));
    }
    let replies: Vec<larder_client::Value> = pipe.query().await.expect("replies");
    for (number, replies) in (0..).zip(replies.chunks(3)) {
        assert_eq!(replies[2], larder_client::Value::Int(number + 1));
    }
    assert!(sizes(&servers).iter().all(|&size| size > 50), "{:?}", sizes(&servers));
    let mut pipe = client.pipeline();
    pipe.set("text", "x");
    for number in 0..50 {
        pipe.get(format!("key:{number}"));
    }
    pipe.incr("text");
    let values: Vec<Result<String, ServerError>> = pipe.query().await.expect("replies");
    assert!(values[51].is_err());
    for (number, value) in (0..50).zip(&values[1..51]) {
        assert_eq!(value.as_deref(), Ok(format!("{}", number + 1).as_str()));
    }
}

#[tokio::test]
async fn keys_that_must_be_together_are_told_from_those_that_need_not() {
    let (client, _servers) = pool(Kind::Larder);
    let cross = |result: larder_client::Result<()>| match result {
        Err(error @ Error::CrossNode { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let keys: Vec<_> = (0..50).map(|number| format!("key:{number}")).collect();
    let mut pipe = client.pipeline();
    pipe.atomic();
    for key in &keys {
        pipe.incr(key);
    }
    assert!(cross(pipe.query().await).contains("hash tag"));
    let mut pipe = client.pipeline();
    pipe.mget(&keys);
    assert!(cross(pipe.query().await).starts_with("MGET"));
    cross(client.query(&cmd("PFMERGE").arg(&keys)).await);
    cross(client.transaction::<()>(&keys, async |tx| Ok(tx.pipeline())).await);
    let elsewhere = client
        .transaction::<()>("{a}", async |tx| {
            let mut commands = tx.pipeline();
            for key in &keys {
                commands.incr(key);
            }
            Ok(commands)
        })
        .await;
    cross(elsewhere);

    let tagged: Vec<_> = (0..50).map(|number| format!("{{tag}}:{number}")).collect();
    let mut pipe = client.pipeline();
    pipe.atomic();
    for key in &tagged {
        pipe.incr(key);
    }
    let ones: Vec<i64> = pipe.query().await.expect("one node");
    assert_eq!(ones, [1; 50]);
    let (sum,): (i64,) = client
        .transaction(&tagged, async |tx| {
            let values: Vec<Option<i64>> = tx.mget(&tagged).await?;
            let mut commands = tx.pipeline();
            commands.incr_by(&tagged[0], values.into_iter().flatten().sum());
            Ok(commands)
        })
        .await
        .expect("one node");
    assert_eq!(sum, 51);
}

#[tokio::test]
async fn commands_without_a_key_go_to_all_nodes_or_say_why_not() {
    let (client, servers) = pool(Kind::Larder);
    let keys: HashSet<_> = (0..300).map(|number| format!("key:{number}")).collect();
    client.mset(keys.iter().map(|key| (key, 1))).await.expect("set");
    assert_eq!(client.dbsize().await.expect("a size"), 300);
    let listed: HashSet<String> = client.query(&cmd("KEYS *")).await.expect("keys");
    assert_eq!(listed, keys);
    let scanned: HashSet<_> = client.scan::<String>(ScanOptions::new()).collect().await.expect("keys");
    assert_eq!(scanned, keys);
    assert!(usage(client.info(()).await).contains("one node"));
    assert!(usage(client.query::<()>(&cmd("NO.SUCH a")).await).contains("Cmd::key"));
    let sent = client.query::<()>(&cmd("NO.SUCH").key("a")).await;
    assert!(matches!(sent, Err(Error::Server(_))), "{sent:?}");
    client.flush_db().await.expect("flushed");
    assert_eq!(sizes(&servers), [0, 0, 0]);
}

#[tokio::test]
async fn a_subscription_hears_the_channels_of_all_nodes() {
    let (client, _servers) = pool(Kind::Redis);
    let channels: Vec<_> = (0..30).map(|number| format!("channel:{number}")).collect();
    let mut some = client.subscribe(&channels).await.expect("subscribed");
    let mut all = client.psubscribe("channel:*").await.expect("subscribed");
    for channel in &channels {
        assert_eq!(client.publish(channel, channel).await.expect("published"), 2);
    }
    for subscription in [&mut some, &mut all] {
        let mut heard = HashSet::new();
        while heard.len() < channels.len() {
            match subscription.next().await {
                Delivery::Message(message) => assert!(heard.insert(message.channel().into_owned())),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn threads_may_use_a_pool() {
    let servers: Vec<_> = (0..3).map(|_| Server::start(Kind::Larder, &[])).collect();
    let build = || PoolBuilder::new().nodes(nodes(&servers)).build();
    let client = blocking::Client::start(build).expect("a pool");
    let keys: Vec<_> = (0..100).map(|number| format!("key:{number}")).collect();
    client.mset(keys.iter().zip(0..)).expect("set");
    let values: Vec<Option<i32>> = client.mget(&keys).expect("values");
    assert!(values.into_iter().map(Option::unwrap_or_default).eq(0..100));
    assert_eq!(client.del(&keys[..10]).expect("deleted"), 10);
    assert_eq!(client.exists(&keys).expect("counted"), 90);
    assert_eq!(client.dbsize().expect("a size"), 90);
}
