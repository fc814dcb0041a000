//! Times to live as the node's rules and a call's `JITTER` have them; no other server has these.

use super::tests::{Bench, NOW};
use crate::resp::encode::Version;

impl Bench {
    /// A bench with these settings, name and value in turn.
    fn with(settings: &[(&str, &str)]) -> Bench {
        let bench = Bench::new(Version::Resp2);
        let pairs: Vec<_> = settings
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        bench.node.config.set(&pairs).unwrap();
        bench
    }

    fn pttl(&mut self, key: &str) -> i64 {
        self.run(&format!("pttl {key}"))[1..].parse().unwrap()
    }

    /// Runs `line` for many keys (`@` stands for each); their times to live in milliseconds, shortest first.
    fn spread(&mut self, line: &str) -> Vec<i64> {
        let mut left = Vec::new();
        for number in 0..200 {
            let key = format!("key:{number}");
            self.run(&line.replace('@', &key));
            left.push(self.pttl(&key));
        }
        left.sort_unstable();
        left
    }
}

/// Whether 200 draws from `low..=high` look like draws from all of it.
fn fills(left: &[i64], low: i64, high: i64) -> bool {
    let edge = (high - low) / 10;
    let (first, last) = (left[0], left[left.len() - 1]);
    first >= low && last <= high && first < low + edge && last > high - edge
}

#[test]
fn jitter_of_a_call_shortens_what_is_given_relative_to_now() {
    let mut bench = Bench::new(Version::Resp2);
    for line in [
        "set @ v ex 100 jitter 20",
        "set @ v JITTER 20 nx px 100000",
        "set @ v get ex 100 jitter 99 jitter 20",
        "setex @ 100 v jitter 20",
        "psetex @ 100000 v JiTTeR 20",
        "msetex 1 @ v ex 100 jitter 20",
        "msetex 1 @ v xx jitter 20 px 100000",
        "getex @ ex 100 jitter 20",
        "expire @ 100 jitter 20",
        "pexpire @ 100000 xx jitter 20",
    ] {
        if line.contains("nx") {
            bench = Bench::new(Version::Resp2);
        }
        let left = bench.spread(line);
        assert!(fills(&left, 80_000, 100_000), "{line}: {left:?}");
    }
    assert!(
        bench
            .spread("set @ v ex 100 jitter 0")
            .iter()
            .all(|left| *left == 100_000)
    );
    let left = bench.spread("set @ v px 3 jitter 100");
    assert!(left[0] == 1 && left[199] == 3, "{left:?}");
    assert!(bench.spread("set @ v px 1 jitter 100").iter().all(|left| *left == 1));
}

#[test]
fn keys_of_one_call_get_shares_of_their_own() {
    let mut bench = Bench::new(Version::Resp2);
    let pairs: String = (0..200).map(|number| format!("key:{number} v ")).collect();
    bench.run(&format!("msetex 200 {pairs}ex 100 jitter 20"));
    let mut left: Vec<i64> = (0..200).map(|number| bench.pttl(&format!("key:{number}"))).collect();
    left.sort_unstable();
    assert!(fills(&left, 80_000, 100_000), "{left:?}");
}

#[test]
fn jitter_needs_a_percentage_and_a_time_relative_to_now() {
    const PERCENT: &str = "-ERR JITTER must be a percentage from 0 to 100";
    const NUMBER: &str = "-ERR value is not an integer or out of range";
    const SYNTAX: &str = "-ERR syntax error";
    let mut bench = Bench::new(Version::Resp2);
    bench.expect(&[
        ("set k v ex 10 jitter 101", PERCENT),
        ("set k v ex 10 jitter -1", PERCENT),
        ("set k v ex 10 jitter 9223372036854775807", PERCENT),
        ("set k v ex 10 jitter 9223372036854775808", NUMBER),
        ("set k v ex 10 jitter 1.5", NUMBER),
        ("set k v ex 10 jitter", SYNTAX),
        ("set k v jitter 10", SYNTAX),
        ("set k v exat 1800000000 jitter 10", SYNTAX),
        ("set k v keepttl jitter 10", SYNTAX),
        ("msetex 1 k v jitter 10", SYNTAX),
        ("msetex 1 k v pxat 1800000000000 jitter 10", SYNTAX),
        ("setex k 10 v jitter 101", PERCENT),
        (
            "setex k 10 v jitters 10",
            "-ERR wrong number of arguments for 'setex' command",
        ),
        ("setex k 0 v jitter 10", "-ERR invalid expire time in 'setex' command"),
        ("exists k", ":0"),
        ("set k v", "+OK"),
        ("getex k jitter 10", SYNTAX),
        ("getex k persist jitter 10", SYNTAX),
        ("getex k ex 10 jitter x", NUMBER),
        ("expire k 10 jitter", SYNTAX),
        ("expire k 10 jitter 200", PERCENT),
        ("expire k 10 jitters 10", "-ERR Unsupported option jitters"),
        ("expireat k 1800000000 jitter 10", "-ERR Unsupported option jitter"),
        ("ttl k", ":-1"),
        ("expire k -1 jitter 50", ":1"),
        ("exists k", ":0"),
    ]);
}

#[test]
fn jitter_of_the_node_is_by_prefix_and_spares_locks_and_points_in_time() {
    let mut bench = Bench::with(&[("ttl-jitter", "10"), ("ttl-jitter-rule", "key:1 50 key: 20 key:77 0")]);
    for number in 0..200 {
        bench.run(&format!("set key:{number} v ex 100"));
    }
    for (number, least) in [(0, 80_000), (1, 50_000), (100, 50_000), (2, 80_000)] {
        let left = bench.pttl(&format!("key:{number}"));
        assert!((least..=100_000).contains(&left), "{number}: {left}");
    }
    assert_eq!(bench.pttl("key:77"), 100_000);
    assert!((0..200).any(|number| bench.pttl(&format!("key:{number}")) < 80_000));
    bench.spread("set x@ v ex 100");
    let mut left: Vec<i64> = (0..200).map(|number| bench.pttl(&format!("xkey:{number}"))).collect();
    left.sort_unstable();
    assert!(fills(&left, 90_000, 100_000), "{left:?}");

    for line in [
        "set @ v pxat 1700000100000",
        "set @ v exat 1700000100",
        "getex @ exat 1700000100",
        "expireat @ 1700000100",
        "pexpireat @ 1700000100000",
    ] {
        assert!(bench.spread(line).iter().all(|left| *left == 100_000), "{line}");
    }
    for line in ["set lock@ v nx ex 100", "msetex 1 lock@ v nx ex 100"] {
        let mut bench = Bench::with(&[("ttl-jitter", "50")]);
        bench.spread(line);
        assert!(
            (0..200).all(|number| bench.pttl(&format!("lockkey:{number}")) == 100_000),
            "{line}"
        );
    }
}

#[test]
fn a_default_is_for_what_is_stored_without_a_time_to_live() {
    let mut bench = Bench::with(&[("default-ttl", "100"), ("default-ttl-rule", "no: 0 day: 86400")]);
    bench.expect(&[
        ("set k v", "+OK"),
        ("ttl k", ":100"),
        ("expiretime k", ":1700000100"),
        ("set day:k v", "+OK"),
        ("ttl day:k", ":86400"),
        ("set no:k v", "+OK"),
        ("ttl no:k", ":-1"),
        ("set k v ex 1000", "+OK"),
        ("ttl k", ":1000"),
        ("set k v keepttl", "+OK"),
        ("ttl k", ":1000"),
        ("append k v", ":2"),
        ("ttl k", ":1000"),
        ("persist k", ":1"),
        ("ttl k", ":-1"),
        ("set k 1 keepttl", "+OK"),
        ("incr k", ":2"),
        ("ttl k", ":-1"),
        ("getset k v", "$1 2"),
        ("ttl k", ":100"),
    ]);
    for line in [
        "setnx n v",
        "set n v nx",
        "set n v keepttl",
        "mset n v",
        "msetnx n v",
        "msetex 1 n v",
        "msetex 1 n v keepttl",
        "incr n",
        "incrbyfloat n 1.5",
        "append n v",
        "setrange n 3 v",
        "setbit n 3 1",
        "bitop or n k",
        "bitfield n set u8 0 1",
    ] {
        bench.run("del n");
        bench.run(line);
        assert_eq!(bench.run("ttl n"), ":100", "{line}");
    }
}

#[test]
fn a_cap_is_for_every_deadline_and_for_having_none() {
    let mut bench = Bench::with(&[("default-ttl", "5000"), ("max-ttl", "100"), ("max-ttl-rule", "no: 0")]);
    for line in [
        "set k v",
        "set k v ex 1000",
        "set k v pxat 9223372036854775807",
        "setex k 1000 v",
        "msetex 1 k v ex 1000",
        "expire k 1000",
        "pexpireat k 9223372036854775807",
        "getex k ex 1000",
        "getex k persist",
        "persist k",
    ] {
        bench.run("set k v ex 50");
        bench.run(line);
        assert_eq!(bench.run("pttl k"), ":100000", "{line}");
    }
    bench.expect(&[
        ("set k v ex 99", "+OK"),
        ("ttl k", ":99"),
        ("expire k 1000 gt", ":1"),
        ("expire k 1000 gt", ":0"),
        ("set no:k v", "+OK"),
        ("ttl no:k", ":5000"),
        ("persist no:k", ":1"),
        ("ttl no:k", ":-1"),
        ("rename no:k k", "+OK"),
        ("ttl k", ":-1"),
        // What had no deadline before the cap, or was given one by another name, keeps what it has until it is stored anew.
        ("persist k", ":0"),
        ("incr n", ":1"),
        ("ttl n", ":100"),
        ("expire n -5", ":1"),
        ("exists n", ":0"),
    ]);
    assert_eq!(bench.run_at(NOW + 1, "set k v exat 1"), "+OK");
    assert_eq!(bench.run("exists k"), ":0");
}

#[test]
fn what_a_cap_or_a_default_gives_is_spread_too() {
    let mut bench = Bench::with(&[("max-ttl", "100"), ("ttl-jitter", "20")]);
    for line in ["set @ v", "set @ v ex 86400", "mset @ v", "persist @"] {
        let left = bench.spread(line);
        assert!(fills(&left, 80_000, 100_000), "{line}: {left:?}");
    }
    let left = bench.spread("setnx lock@ v");
    assert_eq!(left.len(), 200);
    assert_eq!(bench.pttl("lockkey:0"), 100_000);
}
