//! Calls that end early: time limits, cancellation, waiting for work:
//! `cargo run -p larder-client --example timeouts [URL]`.

use larder_client::{Client, Config, Error};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder_client::Result<()> {
    run(&std::env::args().nth(1).unwrap_or("redis://127.0.0.1:6379".to_string())).await
}

/// The example itself, against one server.
pub async fn run(url: &str) -> larder_client::Result<()> {
    let mut config = Config::default();
    config.response_timeout = Duration::from_millis(500);
    config.client_name = Some("example".to_string());
    let cache = Client::connect_with(url, config)?;

    // Shares the connection, but gives up earlier.
    let hasty = cache.with_timeout(Duration::from_millis(20));
    match hasty.get::<String>("greeting").await {
        Ok(value) => println!("in time: {value:?}"),
        Err(error @ Error::Timeout { .. }) => println!("{error}; may have run: {}", error.may_have_run()),
        Err(error) if error.is_node_failure() => println!("go on without the cache: {error}"),
        Err(error) => return Err(error),
    }

    // A call may be dropped at any time, by `timeout`, by `select!`: no other gets its reply.
    let dropped = tokio::time::timeout(Duration::from_micros(50), cache.get::<String>("greeting")).await;
    println!("dropped: {}", dropped.is_err());
    cache.set("greeting", "hello").await?;

    // What waits in the server has a connection of its own, so that it keeps nobody else waiting.
    let work = cache.blpop::<(String, String)>("queue", Duration::from_millis(200));
    tokio::select! {
        work = work => println!("work: {:?}", work),
        () = tokio::time::sleep(Duration::from_secs(1)) => println!("enough"),
    }
    Ok(())
}
