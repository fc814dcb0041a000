//! One connection to one node: what is said on it, how much fits through it, when it ends.

use super::harness::{client, client_of, run, run_in, two_threads, until, value_of};
use larder_client::{Client, Error};
use larder_tests::hostile_server::{Act, HostileServer, Options};
use larder_tests::proxy::{Cut, Proxy};
use larder_tests::server::{Kind, Server};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const BOTH: [Kind; 2] = [Kind::Larder, Kind::Redis];

async fn expect_to_work(client: &Client, what: &str) {
    client
        .set("key", "value")
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let value = client.get::<String>("key").await;
    assert_eq!(
        value.unwrap_or_else(|error| panic!("{what}: {error}")).as_deref(),
        Some("value"),
        "{what}"
    );
    let none = client.get::<String>("no such key").await;
    assert_eq!(none.unwrap_or_else(|error| panic!("{what}: {error}")), None, "{what}");
}

#[test]
fn values_go_there_and_come_back_over_tcp_and_unix_sockets_in_both_protocols() {
    run(|| async {
        for kind in BOTH {
            let server = Server::start(kind, &["--unixsocket", "node.sock", "--unixsocketperm", "700"]);
            let socket = server.dir().join("node.sock");
            let urls = [
                format!("127.0.0.1:{}", server.port()),
                format!("redis://localhost:{}/2", server.port()),
                format!("unix://{}", socket.display()),
            ];
            for url in &urls {
                for resp3 in [true, false] {
                    let what = format!("{kind:?} at {url}, RESP3 {resp3}");
                    expect_to_work(&client_of(url, |config| config.resp3 = resp3), &what).await;
                }
            }
        }
    });
}

#[test]
fn a_server_shows_who_the_client_is() {
    run(|| async {
        for kind in BOTH {
            let server = Server::start(kind, &[]);
            for resp3 in [true, false] {
                let client = client(server.port(), |config| {
                    config.client_name = Some("a-test".into());
                    config.resp3 = resp3;
                });
                client.set("key", "value").await.expect("set");
                let list = server.connect().call("CLIENT LIST").text();
                // The one before may not have gone yet.
                let version = format!(" resp={}", 2 + i32::from(resp3));
                let is_ours = |line: &str| line.contains(" name=a-test ") && line.contains(&version);
                assert!(list.lines().any(is_ours), "{kind:?}: {list}");
                if kind == Kind::Larder {
                    assert!(list.contains("lib-name=larder-client"), "{list}");
                }
            }
        }
    });
}

#[test]
fn a_right_password_is_let_in_and_a_wrong_one_is_told() {
    run(|| async {
        for kind in BOTH {
            let server = Server::start(kind, &["--requirepass", "secret"]);
            for resp3 in [true, false] {
                for login in [":secret@", "default:secret@"] {
                    let url = format!("redis://{login}127.0.0.1:{}", server.port());
                    expect_to_work(&client_of(&url, |config| config.resp3 = resp3), &url).await;
                }
                for (login, says) in [(":wrong@", "WRONGPASS"), ("", "NOAUTH")] {
                    let url = format!("redis://{login}127.0.0.1:{}", server.port());
                    let client = client_of(&url, |config| config.resp3 = resp3);
                    match client.get::<String>("key").await {
                        Err(Error::Connect { source, .. }) => {
                            assert!(source.to_string().starts_with(says), "{kind:?} {url}: {source}");
                        }
                        other => panic!("{kind:?} {url}: {other:?}"),
                    }
                }
            }
        }
    });
}

#[test]
fn a_server_that_knows_only_resp2_is_spoken_to_in_resp2() {
    run(|| async {
        for password in [None, Some("secret")] {
            let options = Options {
                resp2_only: true,
                password,
                ..Options::default()
            };
            let server = HostileServer::start(options, |_| vec![Act::Reply]);
            let login = password.map(|password| format!(":{password}@")).unwrap_or_default();
            let url = format!("redis://{login}127.0.0.1:{}/5", server.port());
            expect_to_work(&client_of(&url, |_| {}), &url).await;
            assert_eq!(server.accepted(), 1);
        }
    });
}

#[test]
fn the_database_is_the_same_after_a_break() {
    run(|| async {
        let server = Server::larder(&[]);
        let proxy = Proxy::start(server.port(), 1);
        let client = client_of(&format!("redis://127.0.0.1:{}/3", proxy.port()), |_| {});
        for version in 0..5 {
            super::harness::set_up(&client, "key", version).await;
            proxy.cut(Cut::Reset);
            until("the break is seen", || {
                proxy.links().is_empty() || proxy.accepted() > version + 1
            })
            .await;
        }
        let mut conn = server.connect();
        assert_eq!(
            conn.call_raw(&["GET", "key"]).expect("a reply"),
            b"$-1\r\n",
            "nothing is in database 0"
        );
        conn.call("SELECT 3");
        assert_eq!(conn.call("GET key").text(), value_of("key", 4));
    });
}

#[test]
fn ten_thousand_calls_at_once_get_each_their_own_reply() {
    for runtime in [super::harness::one_thread, two_threads] {
        run_in(runtime, || async {
            for kind in BOTH {
                let server = Server::start(kind, &[]);
                let client = client(server.port(), |config| config.max_pending = 10_000);
                let mut calls = JoinSet::new();
                for number in 0..10_000 {
                    let client = client.clone();
                    calls.spawn(async move {
                        let key = format!("key:{number}");
                        client.set(&key, value_of(&key, 0)).await?;
                        assert_eq!(client.get(&key).await?, Some(value_of(&key, 0)));
                        Ok::<_, Error>(())
                    });
                }
                for result in calls.join_all().await {
                    result.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
                }
            }
        });
    }
}

#[test]
fn large_values_go_both_ways_beside_small_ones() {
    run_in(two_threads, || async {
        for kind in BOTH {
            let server = Server::start(kind, &[]);
            let client = client(server.port(), |_| {});
            let large: Vec<u8> = (0..50_000_000u32).map(|at| (at * 7 + at / 251) as u8).collect();
            client.set("small", "value").await.expect("set");
            let (stored, small) = tokio::join!(client.set("large", &large), client.get::<String>("small"));
            stored.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            assert_eq!(small.expect("get").as_deref(), Some("value"));
            let (back, small) = tokio::join!(client.get::<Vec<u8>>("large"), client.get::<String>("small"));
            assert!(
                back.expect("get").as_deref() == Some(&large[..]),
                "{kind:?}: not what was stored"
            );
            assert_eq!(small.expect("get").as_deref(), Some("value"));
        }
    });
}

#[test]
fn dropping_the_last_clone_closes_the_socket() {
    run(|| async {
        let server = HostileServer::start(Options::default(), |_| vec![Act::Reply]);
        let first = client(server.port(), |_| {});
        let second = first.clone();
        expect_to_work(&first, "two clones").await;
        drop(first);
        expect_to_work(&second, "one clone").await;
        assert_eq!((server.accepted(), server.ended()), (1, 0));
        drop(second);
        until("the server sees the end", || server.ended() == 1).await;
    });
}

#[test]
fn dropping_the_client_among_calls_that_were_given_up_disturbs_nothing() {
    run(|| async {
        let server = HostileServer::start(Options::default(), |_| vec![Act::Reply]);
        for round in 1..=50 {
            let client = client(server.port(), |_| {});
            expect_to_work(&client, "a new client").await;
            for number in 0..round {
                let call = client.get::<String>(format!("key:{number}"));
                // Polled once, so that its request is queued, and dropped before the driver can take it.
                assert!(futures_poll_once(call).await.is_none());
            }
            drop(client);
            until("the server sees the end", || server.ended() == round).await;
        }
    });
}

/// The result of a future, if its first poll gives one.
async fn futures_poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[test]
fn calls_end_when_the_runtime_of_the_connection_does() {
    run(|| async {
        let server = HostileServer::start(Options::default(), |asked| {
            if asked.is_greeting() {
                vec![Act::Reply]
            } else {
                Vec::new()
            }
        });
        let other = two_threads();
        let port = server.port();
        let client = other
            .spawn(async move { client(port, |_| {}) })
            .await
            .expect("a client");
        let waiting = {
            let client = client.clone();
            tokio::spawn(async move { client.get::<String>("key").await })
        };
        until("the call has arrived", || {
            !server.ran().is_empty() || server.requests() >= 4
        })
        .await;
        other.shutdown_background();
        let result = tokio::time::timeout(Duration::from_secs(5), waiting).await;
        let result = result.expect("in time").expect("no panic");
        assert!(matches!(result, Err(Error::Closed)), "{result:?}");
        let start = Instant::now();
        assert!(matches!(client.get::<String>("key").await, Err(Error::Closed)));
        assert!(start.elapsed() < Duration::from_secs(1));
    });
}
