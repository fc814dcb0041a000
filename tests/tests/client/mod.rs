//! The client library against real servers: Larder, for what it has, and Redis for all.

mod commands;
mod pipelines;
mod pool;

use larder_client::{Client, Config, Error};
use larder_tests::server::{Kind, Server};

/// A client of a server.
fn client(server: &Server) -> Client {
    Client::connect(&format!("127.0.0.1:{}", server.port())).expect("an address that is one")
}

/// The same over RESP2.
fn old_client(server: &Server) -> Client {
    let mut config = Config::default();
    config.resp3 = false;
    Client::connect_with(&format!("127.0.0.1:{}", server.port()), config).expect("an address that is one")
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
