//! Several nodes as one cache: `cargo run -p larder-client --example pool [URL...]`.

use larder_client::{Client, Error, PoolBuilder};

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder_client::Result<()> {
    let urls: Vec<_> = std::env::args().skip(1).collect();
    if urls.is_empty() {
        return run(&["127.0.0.1:7000".to_string(), "127.0.0.1:7001".to_string()]).await;
    }
    run(&urls).await
}

/// The example itself, against one server.
pub async fn run(urls: &[String]) -> larder_client::Result<()> {
    // Names decide where keys are, so a node may get another address without its keys moving.
    let mut builder = PoolBuilder::new();
    for (number, url) in urls.iter().enumerate() {
        builder = builder.node(format!("cache-{number}"), url, 1)?;
    }
    let cache: Client = builder.build()?;

    // Split over the nodes, sent side by side, merged in order.
    let users: Vec<_> = (0..10).map(|number| format!("user:{number}")).collect();
    cache.mset(users.iter().zip(0..)).await?;
    let values: Vec<Option<u32>> = cache.mget(&users).await?;
    println!("{values:?}, {} keys in all", cache.dbsize().await?);

    // What must be in one piece must be on one node: the part in braces decides.
    let mut order = cache.pipeline();
    order.atomic().incr("{order:1}:items").set("{order:1}:state", "open");
    let (items, ()): (i64, ()) = order.query().await?;
    println!("{items} items");

    let mut apart = cache.pipeline();
    apart.atomic();
    for user in &users {
        apart.incr(user);
    }
    match apart.query::<Vec<i64>>().await {
        Err(error @ Error::CrossNode { .. }) => println!("{error}"),
        other => println!("by chance they are together: {other:?}"),
    }
    Ok(())
}
