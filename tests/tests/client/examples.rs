//! The examples of the client library run, against a real server.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "the examples are programs; their `main` is not used here"
)]

use super::address;
use larder_tests::server::{Kind, Server};

#[path = "../../../client/examples/blocking.rs"]
mod blocking;
#[path = "../../../client/examples/pipeline.rs"]
mod pipeline;
#[path = "../../../client/examples/pool.rs"]
mod pool;
#[path = "../../../client/examples/pubsub.rs"]
mod pubsub;
#[path = "../../../client/examples/quickstart.rs"]
mod quickstart;
#[path = "../../../client/examples/timeouts.rs"]
mod timeouts;

#[tokio::test]
async fn they_run() {
    let server = Server::start(Kind::Redis, &[]);
    let url = format!("redis://{}", address(&server));
    quickstart::run(&url).await.expect("quickstart");
    pipeline::run(&url).await.expect("pipeline");
    pubsub::run(&url).await.expect("pubsub");
    timeouts::run(&url).await.expect("timeouts");
    let blocking = tokio::task::spawn_blocking(move || blocking::run(&url));
    blocking.await.expect("no panic").expect("blocking");
}

#[tokio::test]
async fn those_that_need_no_more_than_strings_run_on_larder() {
    let server = Server::start(Kind::Larder, &[]);
    let url = format!("redis://{}", address(&server));
    quickstart::run(&url).await.expect("quickstart");
    pipeline::run(&url).await.expect("pipeline");
    let other = Server::start(Kind::Larder, &[]);
    pool::run(&[url, address(&other)]).await.expect("pool");
}
