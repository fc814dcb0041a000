//! Subscriptions: what is published is delivered in order, and what may be missing is told.

use super::{client, code, connections, old_client, until, usage};
use larder_client::{Client, Delivery, Event, Message, Subscription, cmd};
use larder_tests::server::{Kind, Server};
use larder_tests::wait::PATIENCE;
use std::time::Duration;

async fn message(subscription: &mut Subscription) -> Message {
    match tokio::time::timeout(PATIENCE, subscription.next())
        .await
        .expect("in time")
    {
        Delivery::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_arrive_in_order_over_both_protocols() {
    let server = Server::start(Kind::Redis, &[]);
    for client in [client(&server), old_client(&server)] {
        let mut news = client.subscribe(["news", "weather"]).await.expect("subscribed");
        let mut all = client.psubscribe("*e*").await.expect("subscribed");
        assert_eq!(client.publish("news", "first").await.expect("published"), 2);
        for number in 0..1000 {
            client.publish("weather", number).await.expect("published");
        }
        let first = message(&mut news).await;
        assert_eq!(
            (first.channel().into_owned(), first.pattern),
            ("news".to_string(), None)
        );
        assert_eq!(&first.payload[..], b"first");
        for number in 0..1000 {
            assert_eq!(message(&mut news).await.read::<i32>(), Ok(number));
        }
        assert_eq!(message(&mut all).await.pattern.as_deref(), Some(&b"*e*"[..]));
        // On the shared connection all is as it was.
        client.ping().await.expect("an answer");
        drop((news, all));
        until("closed", async || {
            connections(&client, "psub=1").await + connections(&client, " sub=2").await == 0
        })
        .await;
    }
}

#[tokio::test]
async fn a_break_is_told_and_the_channels_are_subscribed_to_again() {
    let server = Server::start(Kind::Redis, &[]);
    let client = client(&server);
    let mut events = client.events();
    let mut news = client.subscribe("news").await.expect("subscribed");
    for round in 0..3 {
        let killed: i64 = client.query(&cmd("CLIENT KILL TYPE pubsub")).await.expect("killed");
        assert_eq!(killed, 1);
        match tokio::time::timeout(PATIENCE, news.next()).await.expect("in time") {
            Delivery::Gap(why) => assert!(why.is_node_failure(), "{why}"),
            other => panic!("{other:?}"),
        }
        client.publish("news", round).await.expect("published");
        assert_eq!(message(&mut news).await.read::<i32>(), Ok(round));
    }
    let mut lost = 0;
    while let Ok(event) = events.try_recv() {
        lost += i32::from(matches!(event, Event::Lost { .. }));
    }
    assert_eq!(lost, 3);
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_and_a_hopeless_one_is_told() {
    const SENT: i32 = 20_000;
    let server = Server::start(Kind::Redis, &["--client-output-buffer-limit", "pubsub 8mb 0 0"]);
    let client = client(&server);
    let mut news = client.subscribe("news").await.expect("subscribed");
    let mut pipe = client.pipeline();
    for number in 0..SENT {
        pipe.publish("news", number);
    }
    pipe.query::<()>().await.expect("published");
    for number in 0..SENT {
        assert_eq!(message(&mut news).await.read::<i32>(), Ok(number));
    }

    // More than all buffers hold.
    let large = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        client.publish("news", &large).await.expect("published");
    }
    let gap = async {
        loop {
            if let Delivery::Gap(_) = news.next().await {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, gap).await.expect("told");
    client.publish("news", "after").await.expect("published");
    assert_eq!(&message(&mut news).await.payload[..], b"after");
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_an_error_at_once() {
    let server = Server::start(Kind::Redis, &[]);
    let local = client(&server);
    assert!(usage(local.subscribe(()).await).contains("no channel"));
    local
        .query::<()>(&cmd("ACL SETUSER").arg(["deaf", "on", ">pw", "+@all", "resetchannels"]))
        .await
        .expect("a user");
    let url = format!("redis://deaf:pw@127.0.0.1:{}", server.port());
    let deaf = Client::connect(&url).expect("a client");
    assert_eq!(code(deaf.subscribe("news").await), "NOPERM");

    let nobody = Client::connect("127.0.0.1:1").expect("a client");
    let refused = tokio::time::timeout(Duration::from_secs(10), nobody.subscribe("news")).await;
    assert!(refused.expect("in time").expect_err("nobody there").is_node_failure());
}
