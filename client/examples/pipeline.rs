//! Several commands in one round trip, in one piece, and on a condition:
//! `cargo run -p larder-client --example pipeline [URL]`.

use larder_client::{Client, ServerError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder_client::Result<()> {
    run(&std::env::args().nth(1).unwrap_or("redis://127.0.0.1:6379".to_string())).await
}

/// The example itself, against one server.
pub async fn run(url: &str) -> larder_client::Result<()> {
    let cache = Client::connect(url)?;

    // One round trip. An error stays in its place, if the type has a place for it.
    let mut pipe = cache.pipeline();
    pipe.set("name", "Ada").incr("visits").incr("name").get("name");
    let (_, visits, refused, name): ((), i64, Result<i64, ServerError>, String) = pipe.query().await?;
    println!("{name} was here {visits} times; {refused:?}");

    // In one piece: others see all of it, or nothing.
    let mut transfer = cache.pipeline();
    transfer.atomic().decr_by("account:a", 10).incr_by("account:b", 10);
    let balances: Vec<i64> = transfer.query().await?;
    println!("balances: {balances:?}");

    // On the condition that nobody changes what was read; tried again if somebody does.
    cache.set("stock", 5).await?;
    let (left,): (i64,) = cache
        .transaction("stock", async |tx| {
            let stock: i64 = tx.get("stock").await?.unwrap_or(0);
            let mut commands = tx.pipeline();
            commands.decr_by("stock", stock.min(3));
            Ok(commands)
        })
        .await?;
    println!("{left} left");
    Ok(())
}
