//! Limits at the edges: too small for anything, larger than the machine, values that cannot fit.

use super::{MIB, bound, field, said, write};
use larder_tests::server::Server;
use larder_tests::wait::{PATIENCE, wait_until};

const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

#[test]
fn without_eviction_writes_are_refused_and_reads_and_deletes_go_on() {
    let server = Server::larder(&["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]);
    let mut conn = server.connect();
    let value = "v".repeat(100);
    let mut stored = 0;
    let refusal = loop {
        let reply = conn.call(&format!("SET key:{stored} {value}"));
        if reply.is_error() {
            break reply;
        }
        stored += 1;
        assert!(stored < 100_000, "4 MiB are never full");
    };
    assert!(said(&refusal).contains(OUT_OF_MEMORY), "{}", said(&refusal));
    assert!(stored > 20_000, "{stored} keys of 4 MiB");
    assert_eq!(conn.call("GET key:1").text(), value);
    assert_eq!(conn.call("DBSIZE").integer(), Some(stored));
    for key in 0..stored / 20 {
        assert_eq!(conn.call(&format!("DEL key:{key}")).integer(), Some(1));
    }
    // The room of the keys that went is there for others.
    for key in 0..stored / 40 {
        let reply = conn.call(&format!("SET new:{key} {value}"));
        assert_eq!(said(&reply), "OK", "after {key} of {}", stored / 20);
    }
}

#[test]
fn a_value_above_the_limit_is_refused_and_nothing_goes_for_it() {
    let server = Server::larder(&["--maxmemory", "16mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut conn = server.connect();
    write(&mut conn, "small", 4 * MIB, || 64);
    let before = conn.call("DBSIZE").integer();
    let resident = server.resident_bytes();
    let huge = vec![b'x'; 20 << 20];
    let reply = conn.call_args(&[&b"SET"[..], b"huge", &huge]);
    assert!(said(&reply).contains(OUT_OF_MEMORY), "{}", said(&reply));
    assert_eq!(conn.call("DBSIZE").integer(), before);
    assert!(server.resident_bytes() < resident + 4 * MIB);
    // One that fits takes what it needs from the others.
    let large = vec![b'x'; 7 << 20];
    write(&mut conn, "more", 16 * MIB, || 64);
    assert_eq!(conn.call_args(&[&b"SET"[..], b"large", &large]).text(), "OK");
    assert_eq!(conn.call("STRLEN large").integer(), Some(7 << 20));
    assert!(wait_until(PATIENCE, || field(&server, "used_memory") <= 17 * MIB));
    assert!(server.resident_bytes() <= bound(16 * MIB));
}

#[test]
fn limits_at_the_edges_are_taken_or_refused_clearly() {
    let server = Server::larder(&["--maxmemory", "1", "--maxmemory-policy", "allkeys-lru"]);
    let mut conn = server.connect();
    for key in 0..100 {
        let reply = conn.call(&format!("SET key:{key} value"));
        assert!(
            said(&reply) == "OK" || said(&reply).contains(OUT_OF_MEMORY),
            "{}",
            said(&reply)
        );
    }
    assert!(conn.call("DBSIZE").integer() <= Some(1));
    let refusal = said(&conn.call("CONFIG SET maxmemory 10gb"));
    assert!(refusal.contains("started for less"), "{refusal}");
    assert_eq!(conn.call("CONFIG SET maxmemory 8mb").text(), "OK");
    assert_eq!(conn.call("SET key value").text(), "OK");
    assert_eq!(conn.call("CONFIG SET maxmemory 0").text(), "OK");
    let server = Server::larder(&["--maxmemory", "100000gb"]);
    let mut conn = server.connect();
    assert_eq!(conn.call("SET key value").text(), "OK");
    assert_eq!(conn.call("CONFIG SET maxmemory 200000gb").text(), "OK");
}

#[test]
fn a_million_tiny_keys_make_way_for_one_large() {
    let server = Server::larder(&["--maxmemory", "32mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut conn = server.connect();
    let mut other = server.connect();
    write(&mut conn, "tiny", 25 * MIB, || 8);
    let large = vec![b'x'; 5 << 20];
    conn.send(&larder_tests::wire::encode(&[&b"SET"[..], b"large", &large]))
        .expect("it is read");
    for _ in 0..50 {
        assert_eq!(other.call("PING").text(), "PONG");
    }
    assert_eq!(conn.read_raw().expect("a reply"), b"+OK\r\n");
    assert_eq!(conn.call("STRLEN large").integer(), Some(5 << 20));
    assert!(wait_until(PATIENCE, || server.resident_bytes() <= bound(32 * MIB)));
}

#[test]
fn a_policy_may_be_changed_while_the_node_is_loaded() {
    let server = Server::larder(&["--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut conn = server.connect();
    write(&mut conn, "lru", 16 * MIB, || 100);
    for policy in [
        "allkeys-adaptive",
        "allkeys-lfu",
        "allkeys-random",
        "allkeys-lrm",
        "allkeys-fifo",
        "allkeys-mru",
        "allkeys-adaptive",
    ] {
        let set = format!("CONFIG SET maxmemory-policy {policy}");
        assert_eq!(conn.call(&set).text(), "OK");
        // Each write is answered with OK, as there is always something that may go.
        write(&mut conn, policy, 4 * MIB, || 100);
        assert!(field(&server, "used_memory") <= 9 * MIB, "{policy}");
    }
    // Nothing has a deadline, so nothing may go: the error, and what is there stays.
    for policy in ["volatile-ttl", "volatile-lru", "noeviction"] {
        let set = format!("CONFIG SET maxmemory-policy {policy}");
        assert_eq!(conn.call(&set).text(), "OK");
        let value = "v".repeat(4096);
        let refused = (0..2000).find_map(|key| {
            let reply = conn.call(&format!("SET {policy}:{key} {value}"));
            reply.is_error().then(|| said(&reply))
        });
        assert!(refused.is_some_and(|error| error.contains(OUT_OF_MEMORY)), "{policy}");
    }
    let refused = conn.call("CONFIG SET maxmemory-policy allkeys-oldest");
    assert!(refused.is_error(), "{}", said(&refused));
}
