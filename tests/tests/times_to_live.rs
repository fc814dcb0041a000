//! Jitter, defaults and caps of times to live in a real node: from its flags, through CONFIG SET, in transactions.

use larder_tests::server::{Server, is_stand_in};
use larder_tests::wire::Conn;

const KEYS: usize = 200;

/// What `PTTL` tells of many keys, each stored by `command` (`@` stands for the key).
fn times_left(conn: &mut Conn, command: &str) -> Vec<i64> {
    let mut left = Vec::new();
    for number in 0..KEYS {
        let key = format!("key:{number}");
        let stored = conn.call(&command.replace('@', &key));
        assert!(!stored.is_error(), "{command}: {}", stored.text());
        left.push(conn.call(&format!("PTTL {key}")).integer().expect("a number"));
    }
    left
}

#[test]
fn rules_of_flags_and_of_config_set_are_in_force() {
    if is_stand_in() {
        return;
    }
    let server = Server::larder(&[
        "--ttl-jitter",
        "50",
        "--ttl-jitter-rule",
        "other:",
        "0",
        "--max-ttl",
        "1000",
    ]);
    let mut conn = server.connect();
    let left = times_left(&mut conn, "SET @ v EX 100");
    assert!(left.iter().all(|left| (49_000..=100_000).contains(left)), "{left:?}");
    assert!(left.iter().any(|left| *left < 70_000), "{left:?}");
    let capped = times_left(&mut conn, "SET other:@ v");
    assert!(capped.iter().all(|left| *left < 0 || *left <= 1_000_000));
    assert!(conn.call("TTL other:key:0").integer().is_some_and(|left| left > 990));

    let changed = conn.call_args(&["CONFIG", "SET", "ttl-jitter", "0", "ttl-jitter-rule", "key:1 40"]);
    assert_eq!(changed.text(), "OK");
    assert!(
        times_left(&mut conn, "SET @ v EX 100 JITTER 0")
            .iter()
            .all(|left| *left > 90_000)
    );
    let left = times_left(&mut conn, "SET @ v EX 100");
    assert!(
        left[2] > 90_000 && left[10..20].iter().any(|left| *left < 90_000),
        "{left:?}"
    );
}

#[test]
fn transactions_have_jitter_too() {
    if is_stand_in() {
        return;
    }
    let server = Server::larder(&["--ttl-jitter", "50"]);
    let mut conn = server.connect();
    conn.call("MULTI");
    for number in 0..KEYS {
        assert_eq!(conn.call(&format!("SETEX key:{number} 100 v")).text(), "QUEUED");
    }
    assert_eq!(conn.call("EXEC").items().map(<[_]>::len), Some(KEYS));
    let left: Vec<_> = (0..KEYS)
        .filter_map(|number| conn.call(&format!("PTTL key:{number}")).integer())
        .collect();
    assert!(left.iter().any(|left| *left < 70_000), "{left:?}");
    assert!(left.iter().any(|left| *left > 80_000), "{left:?}");
    assert!(left.iter().all(|left| (40_000..=100_000).contains(left)), "{left:?}");
}
