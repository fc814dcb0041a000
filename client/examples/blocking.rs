//! Without an async runtime: `cargo run -p larder-client --example blocking [URL]`.

use larder_client::ScanOptions;
use larder_client::blocking::Client;

fn main() -> larder_client::Result<()> {
    run(&std::env::args().nth(1).unwrap_or("redis://127.0.0.1:6379".to_string()))
}

/// The example itself, against one server.
pub fn run(url: &str) -> larder_client::Result<()> {
    let cache = Client::connect(url)?;

    cache.set("greeting", "hello")?;
    let greeting: Option<String> = cache.get("greeting")?;
    println!("greeting: {greeting:?}");

    // Threads share it; what they ask at the same time goes out together.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| match cache.incr("visits") {
                Ok(visits) => println!("visits: {visits}"),
                Err(error) => eprintln!("not counted: {error}"),
            });
        }
    });

    for key in cache.scan::<String>(ScanOptions::new().page(100)).take(10) {
        println!("key: {}", key?);
    }
    Ok(())
}
