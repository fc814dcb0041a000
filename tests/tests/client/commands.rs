//! Every typed command does what it says, over RESP3 and RESP2.

use super::{client, code, old_client, servers, usage};
use larder_client::{Client, Expiry, KeyType, SetOptions, Ttl, cmd};
use larder_tests::server::{Kind, Server};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

const MINUTE: Duration = Duration::from_secs(60);

fn is_about(ttl: Ttl, expected: Duration) -> bool {
    let slack = Duration::from_secs(20);
    ttl.left()
        .is_some_and(|left| left < expected + slack && left > expected - slack)
}

async fn strings(client: &Client) -> larder_client::Result<()> {
    client.flush_db().await?;
    assert_eq!(client.get::<String>("a").await?, None);
    client.set("a", "hello").await?;
    assert_eq!(client.get::<String>("a").await?.as_deref(), Some("hello"));
    assert_eq!(client.get::<Vec<u8>>(b"a").await?.as_deref(), Some(&b"hello"[..]));
    assert_eq!(client.append("a", " world").await?, 11);
    assert_eq!(client.strlen("a").await?, 11);
    assert_eq!(client.get_range::<String>("a", -5, -1).await?, "world");
    assert_eq!(client.set_range("a", 0, "J").await?, 11);
    assert_eq!(client.get_set("a", "new").await?, Some("Jello world".to_string()));
    assert!(!client.set_nx("a", "x").await?);
    assert!(client.set_nx("b", "x").await?);
    assert_eq!(client.get_del("b").await?, Some("x".to_string()));
    assert_eq!(client.get_del::<String>("b").await?, None);

    assert_eq!(client.incr("n").await?, 1);
    assert_eq!(client.incr_by("n", 41).await?, 42);
    assert_eq!(client.decr("n").await?, 41);
    assert_eq!(client.decr_by("n", 40).await?, 1);
    assert!((client.incr_by_float("n", 0.5).await? - 1.5).abs() < 1e-9);
    assert_eq!(code(client.incr("a").await), "ERR");
    assert_eq!(client.get::<f64>("n").await?, Some(1.5));
    assert!(client.get::<u8>("a").await.is_err(), "text is no number");

    assert!(!client.setbit("bits", 7, true).await?);
    assert!(client.getbit("bits", 7).await?);
    assert!(!client.getbit("bits", 700).await?);
    assert_eq!(client.bitcount("bits").await?, 1);
    assert_eq!(client.bitcount_range("bits", 1, -1).await?, 0);
    Ok(())
}

async fn times(client: &Client) -> larder_client::Result<()> {
    client.flush_db().await?;
    let options = SetOptions::new().ttl(MINUTE);
    assert!(client.set_with("a", 1, options).await?);
    assert!(is_about(client.ttl("a").await?, MINUTE));
    assert!(!client.set_with("a", 2, options.if_absent()).await?);
    assert!(
        client
            .set_with("a", 2, SetOptions::new().if_present().keep_ttl())
            .await?
    );
    assert!(is_about(client.ttl("a").await?, MINUTE));
    assert_eq!(
        client.get_set_with("a", 3, SetOptions::new().if_absent()).await?,
        Some(2)
    );
    assert_eq!(client.get_set_with("a", 3, SetOptions::new()).await?, Some(2));
    assert_eq!(client.ttl("a").await?, Ttl::Forever);
    let later = SystemTime::now() + 2 * MINUTE;
    assert!(client.set_with("a", 4, SetOptions::new().expire_at(later)).await?);
    assert!(is_about(client.ttl("a").await?, 2 * MINUTE));
    assert_eq!(client.get_ex("a", 3 * MINUTE).await?, Some(4));
    assert!(is_about(client.ttl("a").await?, 3 * MINUTE));
    assert_eq!(client.get_ex("a", Expiry::Never).await?, Some(4));
    assert_eq!(client.ttl("a").await?, Ttl::Forever);
    assert_eq!(client.ttl("none").await?, Ttl::Absent);

    assert!(client.expire("a", MINUTE).await?);
    assert!(!client.expire("none", MINUTE).await?);
    assert!(client.persist("a").await?);
    assert!(!client.persist("a").await?);
    assert!(client.expire_at("a", later).await?);
    assert!(is_about(client.ttl("a").await?, 2 * MINUTE));
    assert!(client.expire_at("a", SystemTime::now() - MINUTE).await?);
    assert_eq!(client.key_type("a").await?, KeyType::Absent);

    assert!(usage(client.expire("a", Duration::ZERO).await).contains("zero"));
    assert!(usage(client.get_ex::<String>("a", Duration::ZERO).await).contains("zero"));
    assert!(usage(client.set_with("a", 1, SetOptions::new().ttl(Duration::ZERO)).await).contains("zero"));
    Ok(())
}

async fn keys_and_server(client: &Client) -> larder_client::Result<()> {
    client.flush_db().await?;
    client.ping().await?;
    assert_eq!(client.dbsize().await?, 0);
    assert_eq!(client.random_key::<String>().await?, None);
    client.set("a", 1).await?;
    assert_eq!(client.dbsize().await?, 1);
    assert_eq!(client.random_key().await?, Some("a".to_string()));
    assert_eq!(client.key_type("a").await?, KeyType::String);
    client.rename("a", "b").await?;
    assert_eq!(code(client.rename("a", "b").await), "ERR");
    client.set("c", 1).await?;
    assert!(!client.rename_nx("b", "c").await?);
    assert!(client.rename_nx("b", "d").await?);
    assert!(client.info("server").await?.contains("redis_version:"));
    assert!(client.info(()).await?.len() > 1000);
    client.config_set(("maxmemory", "100mb")).await?;
    let settings: HashMap<String, String> = client.config_get("maxmemory").await?;
    assert_eq!(settings.get("maxmemory").map(String::as_str), Some("104857600"));
    Ok(())
}

#[tokio::test]
async fn strings_keys_and_times_work_on_larder_and_redis() {
    for server in servers() {
        for client in [client(&server), old_client(&server)] {
            let run = async {
                strings(&client).await?;
                times(&client).await?;
                keys_and_server(&client).await
            };
            run.await.unwrap_or_else(|error| panic!("{:?}: {error}", server.kind()));
        }
    }
}

#[tokio::test]
async fn options_that_only_larder_has_reach_it() {
    let server = Server::larder(&[]);
    let client = client(&server);
    if larder_tests::server::is_stand_in() {
        return;
    }
    let run = async {
        client.set("a", "old").await?;
        assert!(!client.set_with("a", "x", SetOptions::new().if_equal("other")).await?);
        assert!(client.set_with("a", "new", SetOptions::new().if_equal("old")).await?);
        assert!(!client.set_with("a", "x", SetOptions::new().if_different("new")).await?);
        let jittered = SetOptions::new().ttl(MINUTE).jitter(50);
        let mut shortest = MINUTE;
        for _ in 0..50 {
            client.set_with("a", 1, jittered).await?;
            shortest = shortest.min(client.ttl("a").await?.left().expect("a time to live"));
        }
        // By chance all 50 are over 50 s once in 10^9 runs.
        assert!(shortest < Duration::from_secs(50), "{shortest:?}");
        larder_client::Result::Ok(())
    };
    run.await.expect("no error");
}

async fn hashes_and_lists(client: &Client) -> larder_client::Result<()> {
    client.flush_db().await?;
    let fields = BTreeMap::from([("a", 1), ("b", 2)]);
    assert_eq!(client.hset("h", &fields).await?, 2);
    assert_eq!(client.hset("h", ("c", "text")).await?, 1);
    assert_eq!(client.hset("h", [("a", 1), ("d", 4)]).await?, 1);
    assert_eq!(client.hget("h", "a").await?, Some(1));
    assert_eq!(client.hget::<i32>("h", "x").await?, None);
    let (a, c, x): (u8, String, Option<u8>) = client.hmget("h", ("a", "c", "x")).await?;
    assert_eq!((a, c.as_str(), x), (1, "text", None));
    let all: BTreeMap<String, String> = client.hgetall("h").await?;
    assert_eq!(all.len(), 4);
    assert_eq!(all["c"], "text");
    let pairs: Vec<(String, String)> = client.hgetall("h").await?;
    assert_eq!(pairs.into_iter().collect::<BTreeMap<_, _>>(), all);
    assert!(client.hgetall::<HashMap<String, String>>("none").await?.is_empty());
    assert_eq!(client.hincr_by("h", "a", 9).await?, 10);
    assert!(client.hexists("h", "a").await?);
    assert_eq!(client.hkeys::<BTreeSet<String>>("h").await?.len(), 4);
    assert_eq!(client.hvals::<Vec<String>>("h").await?.len(), 4);
    assert_eq!(client.hdel("h", ["a", "b", "x"]).await?, 2);
    assert_eq!(client.hlen("h").await?, 2);
    assert_eq!(code(client.get::<String>("h").await), "WRONGTYPE");
    assert_eq!(client.key_type("h").await?, KeyType::Hash);

    assert_eq!(client.rpush("l", ["a", "b", "c"]).await?, 3);
    assert_eq!(client.lpush("l", "z").await?, 4);
    assert_eq!(client.lrange::<String>("l", 0, -1).await?, ["z", "a", "b", "c"]);
    assert_eq!(client.lpop("l").await?, Some("z".to_string()));
    assert_eq!(client.rpop("l").await?, Some("c".to_string()));
    assert_eq!(client.llen("l").await?, 2);
    assert_eq!(client.lrem("l", 0, "a").await?, 1);
    client.rpush("l", [1, 2, 3]).await?;
    client.ltrim("l", 1, 2).await?;
    assert_eq!(client.lpop_many::<u8>("l", 9).await?, [1, 2]);
    assert_eq!(client.lpop::<String>("l").await?, None);
    assert_eq!(client.rpop_many::<String>("l", 9).await?, Vec::<String>::new());
    Ok(())
}

async fn sets_scripts_and_the_rest(client: &Client) -> larder_client::Result<()> {
    client.flush_db().await?;
    assert_eq!(client.sadd("s", ["a", "b", "a"]).await?, 2);
    assert_eq!(client.srem("s", ["b", "x"]).await?, 1);
    assert!(client.sismember("s", "a").await?);
    assert!(!client.sismember("s", "b").await?);
    assert_eq!(
        client.smembers::<BTreeSet<String>>("s").await?,
        BTreeSet::from(["a".to_string()])
    );
    assert_eq!(client.scard("s").await?, 1);
    assert_eq!(client.spop("s").await?, Some("a".to_string()));
    assert_eq!(client.spop::<String>("s").await?, None);
    client.sadd("s", [1, 2, 3]).await?;
    assert_eq!(client.spop_many::<Vec<i32>>("s", 2).await?.len(), 2);

    assert_eq!(
        client.zadd("z", [(1.0, "a"), (2.5, "b"), (f64::INFINITY, "c")]).await?,
        3
    );
    assert_eq!(client.zadd("z", (1.5, "a")).await?, 0);
    assert_eq!(client.zrange::<String>("z", 0, 1).await?, ["a", "b"]);
    let scored: Vec<(String, f64)> = client.zrange_with_scores("z", 0, -1).await?;
    assert_eq!(scored[2], ("c".to_string(), f64::INFINITY));
    assert_eq!(client.zrange_by_score::<String>("z", 1.5..2.5).await?, ["a"]);
    assert_eq!(client.zrange_by_score::<String>("z", 1.5..=2.5).await?, ["a", "b"]);
    assert_eq!(client.zrange_by_score::<String>("z", ..).await?.len(), 3);
    assert_eq!(client.zscore("z", "b").await?, Some(2.5));
    assert_eq!(client.zscore("z", "x").await?, None);
    assert!((client.zincr_by("z", 0.5, "b").await? - 3.0).abs() < 1e-9);
    assert_eq!(client.zrank("z", "c").await?, Some(2));
    assert_eq!(client.zrank("z", "x").await?, None);
    assert_eq!(client.zrem("z", "a").await?, 1);
    assert_eq!(client.zcard("z").await?, 2);

    let (key, sum): (String, i64) = client.eval("return {KEYS[1], ARGV[1] + ARGV[2]}", "k", (1, 2)).await?;
    assert_eq!((key.as_str(), sum), ("k", 3));
    assert_eq!(client.eval::<i64>("return 7", (), ()).await?, 7);
    let sha: String = client.query(&cmd("SCRIPT LOAD").arg("return #KEYS")).await?;
    assert_eq!(client.eval_sha::<i64>(&sha, ["a", "b"], "c").await?, 2);
    assert_eq!(code(client.eval_sha::<i64>("0".repeat(40), (), ()).await), "NOSCRIPT");
    assert_eq!(client.publish("nobody", "hears").await?, 0);
    Ok(())
}

#[tokio::test]
async fn all_types_and_scripts_work_on_redis() {
    let server = Server::start(Kind::Redis, &[]);
    for client in [client(&server), old_client(&server)] {
        hashes_and_lists(&client).await.expect("no error");
        sets_scripts_and_the_rest(&client).await.expect("no error");
    }
}

#[tokio::test]
async fn commands_by_hand_are_sent_as_they_are_and_dangerous_ones_are_not() {
    for server in servers() {
        let client = client(&server);
        client
            .query::<()>(&cmd("SET").arg("a").arg(1).arg(("PX", 60_000)))
            .await
            .expect("set");
        let values: Vec<Option<String>> = client.query(&cmd("MGET").arg(["a", "b"])).await.expect("values");
        assert_eq!(values, [Some("1".to_string()), None]);
        assert_eq!(code(client.query::<()>(&cmd("NO.SUCH")).await), "ERR");
        for line in [
            "SELECT 3",
            "SUBSCRIBE a",
            "CLIENT REPLY OFF",
            "MULTI",
            "RESET",
            "HELLO 2",
        ] {
            assert!(usage(client.query::<()>(&cmd(line)).await).contains("shared"), "{line}");
        }
        // The connection is what it was.
        assert_eq!(client.get("a").await.expect("a value"), Some(1));
    }
}
