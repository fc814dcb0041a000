//! Publish and subscribe: `cargo run -p larder-client --example pubsub [URL]`. Larder has no channels yet; use Redis.

use larder_client::{Client, Delivery};

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder_client::Result<()> {
    run(&std::env::args().nth(1).unwrap_or("redis://127.0.0.1:6379".to_string())).await
}

/// The example itself, against one server.
pub async fn run(url: &str) -> larder_client::Result<()> {
    let client = Client::connect(url)?;

    // A connection of its own, made anew if it breaks. It is also a `futures_core::Stream`.
    let mut news = client.psubscribe("news:*").await?;

    let publisher = client.clone();
    tokio::spawn(async move {
        for number in 0..3 {
            if let Err(error) = publisher.publish("news:weather", number).await {
                eprintln!("not published: {error}");
            }
        }
    });

    let mut seen = 0;
    while seen < 3 {
        match news.next().await {
            Delivery::Message(message) => {
                seen += 1;
                println!("{}: {:?}", message.channel(), message.read::<u32>());
            }
            Delivery::Gap(why) => println!("some messages may be missing: {why}"),
            _ => {}
        }
    }
    Ok(())
}
