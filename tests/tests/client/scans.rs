//! Scans find everything.

use super::{client, code, old_client, servers};
use larder_client::ScanOptions;
use larder_tests::server::{Kind, Server};
use std::collections::{BTreeMap, BTreeSet, HashSet};

#[tokio::test]
async fn all_keys_are_found_and_only_those_asked_for() {
    for server in servers() {
        let client = client(&server);
        let mut pipe = client.pipeline();
        for number in 0..5000 {
            pipe.set(format!("key:{number}"), number)
                .set(format!("other:{number}"), number);
        }
        pipe.query::<()>().await.expect("set");
        let all: HashSet<_> = client.scan::<String>(ScanOptions::new()).collect().await.expect("keys");
        assert_eq!(all.len(), 10_000);
        let options = ScanOptions::new().matching("key:*").page(100).of_type("string");
        let mut some = HashSet::new();
        let mut scan = client.scan::<String>(options);
        while let Some(key) = scan.next().await {
            some.insert(key.expect("a key"));
        }
        assert_eq!(some.len(), 5000);
        assert!(some.iter().all(|key| key.starts_with("key:")));
        assert!(scan.next().await.is_none(), "the end stays the end");
        let none: Vec<String> = client
            .scan(ScanOptions::new().of_type("stream"))
            .collect()
            .await
            .expect("keys");
        assert!(none.is_empty());
    }
}

#[tokio::test]
async fn collections_are_walked_through() {
    let server = Server::start(Kind::Redis, &[]);
    for client in [client(&server), old_client(&server)] {
        client.flush_db().await.expect("flushed");
        let fields: BTreeMap<String, i32> = (0..2000).map(|number| (format!("f{number}"), number)).collect();
        client.hset("h", &fields).await.expect("set");
        client.sadd("s", (0..2000).collect::<Vec<_>>()).await.expect("added");
        let scored: Vec<(f64, String)> = (0..2000)
            .map(|number| (f64::from(number), number.to_string()))
            .collect();
        client.zadd("z", &scored).await.expect("added");

        let pairs: BTreeMap<String, i32> = client
            .hscan::<(String, i32)>("h", ScanOptions::new())
            .collect()
            .await
            .expect("fields");
        assert_eq!(pairs, fields);
        let members: BTreeSet<_> = client
            .sscan::<i32>("s", ScanOptions::new())
            .collect()
            .await
            .expect("members");
        assert!(members.into_iter().eq(0..2000));
        let scores: BTreeMap<String, f64> = client
            .zscan::<(String, f64)>("z", ScanOptions::new())
            .collect()
            .await
            .expect("members");
        assert_eq!((scores.len(), scores["1999"]), (2000, 1999.0));

        assert_eq!(
            code(
                client
                    .sscan::<String>("h", ScanOptions::new())
                    .collect::<Vec<_>>()
                    .await
            ),
            "WRONGTYPE"
        );
        let mut broken = client.sscan::<String>("h", ScanOptions::new());
        assert!(broken.next().await.expect("an item").is_err());
        assert!(broken.next().await.is_none(), "it ends after an error");
    }
}
