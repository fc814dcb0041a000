//! The client library and the command line tool against real servers, Larder, for what it has, and Redis for all, and
//! against whatever networks and servers can do to them.

mod blocking;
mod cli;
mod commands;
mod connection;
mod dedicated;
mod examples;
mod faults;
mod harness;
mod over_nodes;
mod pipelines;
mod pool;
mod pool_faults;
mod pubsub;
mod scans;
mod soak;
mod tls;

use larder_client::{Client, Config, Error};
use larder_tests::server::{Kind, Server};

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}

/// A client of a server.
fn client(server: &Server) -> Client {
    Client::connect(&address(server)).expect("an address that is one")
}

/// The same over RESP2.
fn old_client(server: &Server) -> Client {
    let mut config = Config::default();
    config.resp3 = false;
    Client::connect_with(&address(server), config).expect("an address that is one")
}

/// One server of each kind.
fn servers() -> [Server; 2] {
    [Server::start(Kind::Larder, &[]), Server::start(Kind::Redis, &[])]
}

/// The code of a server's error.
fn code<T: std::fmt::Debug>(result: larder_client::Result<T>) -> String {
    match result {
        Err(Error::Server(error)) => error.code().to_string(),
        other => panic!("no error of the server: {other:?}"),
    }
}

/// What a usage error says.
fn usage<T: std::fmt::Debug>(result: larder_client::Result<T>) -> String {
    match result {
        Err(Error::Usage(why)) => why,
        other => panic!("no usage error: {other:?}"),
    }
}

/// Waits for a condition that is asked of a server, without keeping the runtime's thread.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + larder_tests::wait::PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// How many connections a server says that it has of a kind, by what `CLIENT LIST` shows of them.
async fn connections(client: &Client, shown: &str) -> usize {
    let list: String = client
        .query(&larder_client::cmd("CLIENT LIST"))
        .await
        .expect("the list of clients");
    list.lines().filter(|line| line.contains(shown)).count()
}
