//! Commands that block, and transactions that watch: each on a connection of its own.

use super::{address, client, code, connections, old_client, servers, until, usage};
use larder_client::{Client, Config, Error, cmd};
use larder_tests::server::{Kind, Server};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_call_that_blocks_keeps_no_other_waiting_and_may_outlast_the_timeout() {
    let server = Server::start(Kind::Redis, &[]);
    for client in [client(&server), old_client(&server)] {
        client.flush_db().await.expect("flushed");
        let waiting = {
            let client = client.with_timeout(SHORT);
            tokio::spawn(async move { client.blpop::<(String, String)>(["a", "b"], LONG).await })
        };
        until("it waits", async || connections(&client, "cmd=blpop").await == 1).await;
        client.ping().await.expect("others go on");
        let began = Instant::now();
        tokio::time::sleep(2 * SHORT).await;
        assert!(!waiting.is_finished(), "after {:?}", began.elapsed());
        client.rpush("b", "x").await.expect("pushed");
        let popped = waiting.await.expect("no panic").expect("no error");
        assert_eq!(popped, Some(("b".to_string(), "x".to_string())));

        let none = client.brpop::<(String, String)>("a", SHORT).await;
        assert_eq!(none.expect("no error"), None);
        client.zadd("z", (1.5, "m")).await.expect("added");
        let lowest = client.bzpopmin::<(String, String, f64)>("z", LONG).await;
        assert_eq!(lowest.expect("no error"), Some(("z".to_string(), "m".to_string(), 1.5)));
        let none = client.bzpopmax::<(String, String, f64)>("z", SHORT).await;
        assert_eq!(none.expect("no error"), None);
    }
}

#[tokio::test]
async fn waits_of_the_odd_kinds() {
    let server = Server::start(Kind::Redis, &[]);
    let client = client(&server);
    assert!(usage(client.blpop::<(String, String)>("a", Duration::ZERO).await).contains("without end"));
    let replicas: i64 = client.query(&cmd("WAIT 1 20")).await.expect("no error");
    assert_eq!(replicas, 0);
    let nothing: Option<()> = client
        .query(&cmd("XREAD BLOCK 20 STREAMS s $"))
        .await
        .expect("no error");
    assert_eq!(nothing, None);
    client.set("t", "x").await.expect("set");
    assert_eq!(code(client.blpop::<(String, String)>("t", LONG).await), "WRONGTYPE");
    assert_eq!(code(client.query::<()>(&cmd("BLPOP a x")).await), "ERR");
}

#[tokio::test]
async fn a_blocking_call_that_is_dropped_takes_nothing_later() {
    let server = Server::start(Kind::Redis, &[]);
    let client = client(&server);
    let dropped = tokio::time::timeout(SHORT, client.blpop::<(String, String)>("a", LONG)).await;
    assert!(dropped.is_err());
    until("the connection is closed", async || {
        connections(&client, "cmd=blpop").await == 0
    })
    .await;
    client.rpush("a", "x").await.expect("pushed");
    assert_eq!(client.llen("a").await.expect("length"), 1);
}

#[tokio::test]
async fn connections_of_their_own_are_few_and_used_again() {
    let server = Server::start(Kind::Redis, &[]);
    let mut config = Config::default();
    config.dedicated_connections_per_node = 2;
    let client = Client::connect_with(&address(&server), config).expect("a client");
    for _ in 0..20 {
        client
            .blpop::<(String, String)>("a", Duration::from_millis(1))
            .await
            .expect("none");
    }
    let all = connections(&client, "id=").await;
    assert_eq!(all, 2, "the shared one, and one that was used again");

    let wait = || client.blpop::<(String, String)>("a", LONG);
    let (first, second) = (wait(), wait());
    let third = async {
        until("two wait", async || connections(&client, "cmd=blpop").await == 2).await;
        wait().await
    };
    tokio::select! {
        _ = first => panic!("nothing was pushed"),
        _ = second => panic!("nothing was pushed"),
        refused = third => assert!(matches!(refused, Err(Error::Busy { pending: 2, .. })), "{refused:?}"),
    }
    // What was dropped made room.
    client
        .blpop::<(String, String)>("a", Duration::from_millis(1))
        .await
        .expect("none");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_not_used_again() {
    let server = Server::start(Kind::Redis, &[]);
    let client = client(&server);
    for _ in 0..3 {
        client
            .blpop::<(String, String)>("a", Duration::from_millis(1))
            .await
            .expect("none");
        let killed: i64 = client
            .query(&cmd("CLIENT KILL TYPE normal SKIPME yes"))
            .await
            .expect("killed");
        assert_eq!(killed, 1);
        until("it is gone", async || connections(&client, "id=").await == 1).await;
    }
}

#[tokio::test]
async fn transactions_that_compete_lose_no_update() {
    for server in servers() {
        let client = client(&server);
        let adders: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        loop {
                            let added = client
                                .transaction::<((),)>("n", async |tx| {
                                    let n: i64 = tx.get("n").await?.unwrap_or(0);
                                    let mut commands = tx.pipeline();
                                    commands.set("n", n + 1);
                                    Ok(commands)
                                })
                                .await;
                            match added {
                                Ok(_) => break,
                                Err(Error::Conflict { attempts: 16 }) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                    }
                })
            })
            .collect();
        for adder in adders {
            adder.await.expect("no panic");
        }
        assert_eq!(client.get("n").await.expect("a value"), Some(80));
    }
}

#[tokio::test]
async fn a_transaction_whose_keys_always_change_gives_up() {
    let server = Server::start(Kind::Larder, &[]);
    let client = client(&server);
    let mut calls = 0;
    let result = client
        .transaction::<()>("n", async |tx| {
            calls += 1;
            client.incr("n").await?;
            let mut commands = tx.pipeline();
            commands.set("never", 1);
            Ok(commands)
        })
        .await;
    assert!(matches!(result, Err(Error::Conflict { attempts: 16 })), "{result:?}");
    assert_eq!((calls, client.get::<i64>("never").await.expect("none")), (16, None));

    let stopped = client
        .transaction::<()>("n", async |_| Err(Error::Usage("enough".to_string())))
        .await;
    assert_eq!(usage(stopped), "enough");
    assert!(usage(client.transaction::<()>((), async |tx| Ok(tx.pipeline())).await).contains("keys to watch"));
    client
        .transaction::<()>("n", async |tx| Ok(tx.pipeline()))
        .await
        .expect("nothing to do");
}
