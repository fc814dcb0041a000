//! Several commands in one round trip, and in one piece.

use super::{client, code, old_client, servers};
use larder_client::{Error, ServerError, Value, cmd};
use larder_tests::server::{Kind, Server};
use std::time::Duration;

#[tokio::test]
async fn replies_come_in_order_and_errors_stay_in_their_places() {
    for server in servers() {
        for client in [client(&server), old_client(&server)] {
            client.flush_db().await.expect("flushed");
            let mut pipe = client.pipeline();
            pipe.set("a", 1)
                .incr("a")
                .get("b")
                .add(&cmd("PING"))
                .set("t", "x")
                .incr("t");
            assert_eq!(code(pipe.query::<()>().await), "ERR");
            client.flush_db().await.expect("flushed");
            type Replies = ((), i64, Option<String>, String, (), Result<i64, ServerError>);
            let (_, two, none, pong, _, error): Replies = pipe.query().await.expect("replies");
            assert_eq!((two, none, pong.as_str()), (2, None, "PONG"));
            assert_eq!(error.expect_err("no number").code(), "ERR");

            let mut alone = client.pipeline();
            let (kept,): (Result<i64, ServerError>,) = alone.incr("t").query().await.expect("the error is kept");
            assert_eq!(kept.expect_err("no number").code(), "ERR");
            assert_eq!(code(alone.query::<(i64,)>().await), "ERR");
            let mut many = client.pipeline();
            for _ in 0..10_000 {
                many.incr("n");
            }
            let counts: Vec<i64> = many.query().await.expect("replies");
            assert!(counts.into_iter().eq(1..=10_000));
        }
    }
}

#[tokio::test]
async fn an_atomic_pipeline_runs_whole_or_not_at_all() {
    for server in servers() {
        let client = client(&server);
        let mut pipe = client.pipeline();
        pipe.atomic().set("a", 1).incr("a").get("none");
        let (_, two, none): ((), i64, Option<String>) = pipe.query().await.expect("replies");
        assert_eq!((two, none), (2, None));

        // Wrong at run time: the others stay done.
        client.set("t", "x").await.expect("set");
        let mut pipe = client.pipeline();
        pipe.atomic().incr("t").incr("a");
        let (error, three): (Result<i64, ServerError>, i64) = pipe.query().await.expect("replies");
        assert_eq!((error.is_err(), three), (true, 3));

        // Wrong beforehand: nothing is done.
        let mut pipe = client.pipeline();
        pipe.atomic().incr("a").add(&cmd("NO.SUCH"));
        match pipe.query::<()>().await {
            Err(Error::Server(error)) => {
                assert_eq!(error.code(), "EXECABORT");
                assert!(error.message().contains("NO.SUCH was refused"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.get("a").await.expect("a value"), Some(3));
    }
}

#[tokio::test]
async fn pipelines_and_calls_that_are_cancelled_disturb_no_others() {
    let server = Server::start(Kind::Redis, &[]);
    let client = client(&server);
    client.set("a", "value").await.expect("set");
    for round in 0..200u64 {
        let mut pipe = client.pipeline();
        pipe.atomic();
        for _ in 0..round % 7 + 1 {
            pipe.add(&cmd("ECHO").arg("not yours"));
        }
        let wait = Duration::from_micros(round * 5);
        let cancelled = tokio::time::timeout(wait, pipe.query::<Vec<Value>>());
        let (_, value) = tokio::join!(cancelled, client.get::<String>("a"));
        assert_eq!(value.expect("a value").as_deref(), Some("value"));
    }
}
