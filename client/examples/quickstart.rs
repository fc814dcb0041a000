//! Connect, set, get, count, expire: `cargo run -p larder-client --example quickstart [URL]`.

use larder_client::{Client, SetOptions, cmd};
use std::collections::HashMap;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder_client::Result<()> {
    run(&std::env::args().nth(1).unwrap_or("redis://127.0.0.1:6379".to_string())).await
}

/// The example itself, against one server.
pub async fn run(url: &str) -> larder_client::Result<()> {
    // Returns at once; the first call waits for the connection. Clone it wherever it is needed.
    let cache = Client::connect(url)?;

    cache.set("greeting", "hello").await?;
    let greeting: Option<String> = cache.get("greeting").await?;
    println!("greeting: {greeting:?}");

    let five_minutes = SetOptions::new().ttl(Duration::from_secs(300));
    cache.set_with("session:7", "user 42", five_minutes).await?;
    println!("session:7 has {:?} left", cache.ttl("session:7").await?.left());

    println!("visits: {}", cache.incr("visits").await?);

    // Whatever has no method of its own is written by hand.
    let settings: HashMap<String, String> = cache.query(&cmd("CONFIG GET").arg("maxmemory*")).await?;
    println!("{settings:?}");

    // An error says what the caller can do about it.
    match cache.incr("greeting").await {
        Ok(number) => println!("{number}"),
        Err(larder_client::Error::Server(error)) => println!("the server refuses: {}", error.message()),
        Err(error) => return Err(error),
    }
    Ok(())
}
