//! The client for threads that wait.

use super::{address, servers, usage};
use larder_client::blocking::Client;
use larder_client::{Delivery, Error, ScanOptions, cmd};
use larder_tests::server::{Kind, Server};
use larder_tests::wait::{PATIENCE, expect_within};
use std::time::Duration;

#[test]
fn plain_threads_share_it() {
    for server in servers() {
        let client = Client::connect(&address(&server)).expect("a client");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..250).for_each(|_| assert!(client.incr("n").expect("a number") > 0)));
            }
        });
        assert_eq!(client.get("n").expect("a value"), Some(1000));
        let mut pipe = client.pipeline();
        pipe.set("a", 1).incr("a");
        let (_, two): ((), i64) = client.send(&pipe).expect("replies");
        assert_eq!(two, 2);
        let keys: Vec<String> = client.scan(ScanOptions::new()).map(|key| key.expect("a key")).collect();
        assert_eq!(keys.len(), 2);
        let (three,): (i64,) = client
            .transaction("a", |tx| {
                let before: i64 = tx.get("a")?.unwrap_or(0);
                let mut commands = tx.pipeline();
                commands.incr_by("a", before - 1);
                Ok(commands)
            })
            .expect("done");
        assert_eq!(three, 3);
        assert!(usage(client.query::<()>(&cmd("SELECT 1"))).contains("shared"));
        server.signal("STOP");
        let late = client.with_timeout(Duration::from_millis(50)).get::<String>("a");
        server.signal("CONT");
        assert!(matches!(late, Err(Error::Timeout { sent: true, .. })), "{late:?}");
    }
}

#[test]
fn it_waits_for_messages_and_elements() {
    let server = Server::start(Kind::Redis, &[]);
    let client = Client::connect(&address(&server)).expect("a client");
    let mut news = client.subscribe("news").expect("subscribed");
    assert!(news.next_within(Duration::from_millis(10)).is_none());
    client.publish("news", "hello").expect("published");
    match news.next() {
        Some(Delivery::Message(message)) => assert_eq!(&message.payload[..], b"hello"),
        other => panic!("{other:?}"),
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.blpop::<(String, String)>("a", PATIENCE));
        client.rpush("a", "x").expect("pushed");
        let popped = waiting.join().expect("no panic").expect("no error");
        assert_eq!(popped, Some(("a".to_string(), "x".to_string())));
    });
}

#[test]
fn inside_a_runtime_it_panics_and_may_be_dropped() {
    let server = Server::start(Kind::Larder, &[]);
    let client = Client::connect(&address(&server)).expect("a client");
    client.ping().expect("an answer");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let inside = client.clone();
    let called = runtime.block_on(async move {
        let made_here = Client::connect("127.0.0.1:1").expect("a client");
        drop(made_here);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| inside.ping()))
    });
    let panic = called.expect_err("it must not wait there");
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    assert!(text.contains("within a runtime"), "{text}");
    // Where waiting is allowed, it works.
    let outside = client.clone();
    runtime.block_on(async move {
        let waited = tokio::task::spawn_blocking(move || outside.ping());
        waited.await.expect("no panic").expect("an answer");
    });
}

#[test]
fn its_connections_end_with_the_last_clone() {
    let server = Server::start(Kind::Larder, &[]);
    let client = Client::connect(&address(&server)).expect("a client");
    client.ping().expect("an answer");
    let watcher = Client::connect(&address(&server)).expect("a client");
    let connected = || {
        let list: String = watcher.query(&cmd("CLIENT LIST")).expect("the clients");
        list.lines().count()
    };
    assert_eq!(connected(), 2);
    let other = client.clone();
    drop(client);
    other.ping().expect("a clone goes on");
    drop(other);
    expect_within(PATIENCE, "the connection is closed", || connected() == 1);
}
