//! Tests of quotas, through requests.

use super::run;
use crate::config::{Config, MaxmemoryPolicy, PrefixRules, Settings};
use crate::in_process::Driver;
use crate::node::Node;
use crate::store::PrefixSurvey;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn node(policy: MaxmemoryPolicy, quotas: &[(&str, u64)]) -> Arc<Node> {
    let mut settings = Settings::default();
    (settings.threads, settings.maxmemory) = (4, 256 << 20);
    settings.maxmemory_policy = policy;
    let rules = quotas.iter().map(|(prefix, quota)| ((*prefix).to_owned(), *quota));
    settings.prefix_quota = PrefixRules(rules.collect());
    Arc::new(Node::new(Config::new(settings)))
}

/// Sends a request, its words apart by single spaces, and gives the reply.
fn ask(driver: &mut Driver, request: &str) -> String {
    let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    String::from_utf8_lossy(driver.run(&encoded(&words))).into_owned()
}

fn encoded(words: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend(format!("${}\r\n", word.len()).bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    request
}

fn survey(node: &Node) -> Vec<PrefixSurvey> {
    let eviction = crate::node::eviction(&node.config.settings());
    let survey = crate::store::Store::new(&node.keyspace, 0, 0, &eviction).survey();
    survey.prefixes.list
}

#[test]
fn under_noeviction_a_write_over_the_quota_is_refused_and_all_else_goes_on() {
    let node = node(MaxmemoryPolicy::Noeviction, &[("a:", 10_000), ("b:", 0)]);
    let mut driver = Driver::new(&node, 0);
    let value = "v".repeat(100);
    let stored = (0..1000)
        .take_while(|number| ask(&mut driver, &format!("SET a:{number} {value}")) == "+OK\r\n")
        .count();
    assert!((60..100).contains(&stored), "{stored} keys fit");
    let small = |number: &usize| ask(&mut driver, &format!("SET a:small:{number} x")) == "+OK\r\n";
    assert!((0..100).take_while(small).count() < 10);
    assert!(survey(&node)[0].bytes <= 10_000);
    for request in [
        "APPEND a:1 x",
        "INCR a:n",
        "MSET b:1 1 a:n 2",
        "SETRANGE a:1 0 x",
        "GETSET a:1 x",
    ] {
        assert_eq!(ask(&mut driver, request), OOM, "{request}");
    }
    assert_eq!(ask(&mut driver, "GET a:0"), format!("$100\r\n{value}\r\n"));
    assert_eq!(ask(&mut driver, "MSET b:1 1 c 2"), "+OK\r\n");
    assert_eq!(ask(&mut driver, "EXISTS a:n"), ":0\r\n");
    assert_eq!(ask(&mut driver, "DEL a:0 a:1 a:2"), ":3\r\n");
    assert_eq!(ask(&mut driver, "SET a:new 1"), "+OK\r\n");
    assert_eq!(
        ask(&mut driver, &format!("SET b:large {}", "v".repeat(50_000))),
        "+OK\r\n"
    );
    assert_eq!(survey(&node)[0].counters.evicted, 0);
    assert!(node.totals.out_of_memory.load(Ordering::Relaxed) >= 6);
}

#[test]
fn in_a_transaction_the_write_is_refused_when_it_is_queued() {
    let node = node(MaxmemoryPolicy::Noeviction, &[("a:", 1000)]);
    let mut driver = Driver::new(&node, 0);
    assert_eq!(ask(&mut driver, "MULTI"), "+OK\r\n");
    assert_eq!(ask(&mut driver, "SET b:1 1"), "+QUEUED\r\n");
    assert_eq!(ask(&mut driver, &format!("SET a:1 {}", "v".repeat(1000))), OOM);
    assert!(ask(&mut driver, "EXEC").starts_with("-EXECABORT"));
    assert_eq!(ask(&mut driver, "EXISTS b:1"), ":0\r\n");
}

#[test]
fn a_prefix_stays_within_its_quota_whatever_is_written_and_others_are_left_alone() {
    for policy in [
        MaxmemoryPolicy::AllkeysLru,
        MaxmemoryPolicy::AllkeysLfu,
        MaxmemoryPolicy::AllkeysRandom,
    ] {
        let node = node(policy, &[("a:", 200_000), ("a:b:", 0), ("c:", 1 << 30)]);
        let mut driver = Driver::new(&node, 0);
        for number in 0..3000 {
            ask(
                &mut driver,
                &format!("MSET a:b:{number} value c:{number} value d:{number} value"),
            );
        }
        for number in 0..6000u64 {
            // Sizes shift from small to large and back.
            let size = [10, 10, 700, 9000, 40, 3000][number as usize / 1000];
            let reply = match number % 3 {
                0 => ask(
                    &mut driver,
                    &format!("MSET a:{number} {0} a:x{number} {0}", "v".repeat(size)),
                ),
                1 => ask(&mut driver, &format!("SET a:{number} {} EX 1000", "v".repeat(size))),
                _ => ask(&mut driver, &format!("SETRANGE a:{number} 0 {}", "v".repeat(size))),
            };
            assert!(reply == "+OK\r\n" || reply.starts_with(':'), "{reply}");
            if number % 100 == 0 {
                let bytes = survey(&node)[0].bytes;
                assert!(bytes <= 212_500, "{bytes} bytes after {number} writes of {size}");
            }
        }
        let survey = survey(&node);
        assert!(survey[0].bytes > 150_000 && survey[0].counters.evicted > 5000);
        assert_eq!((survey[1].keys, survey[1].counters.evicted), (3000, 0));
        assert_eq!((survey[2].keys, survey[2].counters.evicted), (3000, 0));
        assert_eq!(node.keyspace.counters().evicted, survey[0].counters.evicted);
    }
}

#[test]
fn what_is_larger_than_the_quota_is_refused_and_costs_no_key() {
    let node = node(MaxmemoryPolicy::AllkeysLru, &[("a:", 10_000)]);
    let mut driver = Driver::new(&node, 0);
    (0..50).for_each(|number| assert_eq!(ask(&mut driver, &format!("SET a:{number} value")), "+OK\r\n"));
    assert_eq!(ask(&mut driver, &format!("SET a:large {}", "v".repeat(10_000))), OOM);
    assert_eq!(survey(&node)[0].keys, 50);
    assert_eq!(
        ask(&mut driver, &format!("SET a:large {}", "v".repeat(7_000))),
        "+OK\r\n"
    );
    assert!(survey(&node)[0].bytes <= 10_300);
}

#[test]
fn when_the_node_is_full_a_prefix_over_its_quota_goes_first() {
    let node = node(MaxmemoryPolicy::AllkeysLru, &[("a:", 0)]);
    let mut driver = Driver::new(&node, 0);
    for number in 0..2000 {
        ask(&mut driver, &format!("MSET a:{number} value b:{number} value"));
    }
    let set: [&[u8]; 6] = [b"CONFIG", b"SET", b"prefix-quota", b"a: 1kb", b"maxmemory", b"100kb"];
    assert_eq!(driver.run(&encoded(&set)), b"+OK\r\n");
    super::adopt(&node);
    for _ in 0..20 {
        assert_eq!(ask(&mut driver, "SET c value"), "+OK\r\n");
    }
    let prefix = &survey(&node)[0];
    assert!(prefix.counters.evicted > 0);
    assert_eq!(
        node.keyspace.counters().evicted,
        prefix.counters.evicted,
        "only keys of the prefix went"
    );
}

#[test]
fn info_shows_what_each_prefix_has() {
    let node = node(MaxmemoryPolicy::AllkeysLru, &[("a:", 1 << 20), ("a,b=ä", 0)]);
    let mut driver = Driver::new(&node, 0);
    for request in [
        "SET a:1 value",
        "SET a,b=ä1 value",
        "GET a:1",
        "GET a:2",
        "MGET a:1 a:3 none",
        "EXISTS a,b=ä1",
    ] {
        ask(&mut driver, request);
    }
    let bytes = survey(&node)[0].bytes;
    let info = ask(&mut driver, "INFO prefixes");
    let (_, text) = info.split_once("\r\n").unwrap();
    let expected = format!(
        "# Prefixes\r\nprefixes:2\r\nprefixes_counting:0\r\n\
         prefix_0:name=a:,keys=1,bytes={bytes},quota=1048576,hits=2,misses=2,evicted=0\r\n\
         prefix_1:name=a\\x2cb\\x3d\\xc3\\xa4,keys=1,bytes={},quota=0,hits=1,misses=0,evicted=0\r\n\r\n",
        survey(&node)[1].bytes
    );
    assert_eq!(text, expected);
    assert!(crate::metrics::page(&node).contains("larder_prefix_hits_total{prefix=\"a:\"} 2\n"));
    assert_eq!(ask(&mut driver, "CONFIG RESETSTAT"), "+OK\r\n");
    assert!(ask(&mut driver, "INFO prefixes").contains("quota=1048576,hits=0,misses=0,evicted=0\r\n"));
    assert!(!ask(&mut driver, "INFO").contains("# Prefixes"));
}

#[test]
fn what_is_no_quota_is_refused_and_changes_nothing() {
    let node = node(MaxmemoryPolicy::AllkeysLru, &[("a:", 1000)]);
    let mut driver = Driver::new(&node, 0);
    let mut set = |value: &[u8]| {
        let words: [&[u8]; 4] = [b"CONFIG", b"SET", b"prefix-quota", value];
        String::from_utf8_lossy(driver.run(&encoded(&words))).into_owned()
    };
    let long = format!("{} 1", "p".repeat(513));
    let many: String = (0..65).map(|number| format!("p{number} 1 ")).collect();
    for (value, problem) in [
        ("a:", "argument must be pairs of a prefix and bytes"),
        ("a: 1 b:", "argument must be pairs of a prefix and bytes"),
        ("a: much", "bytes of a rule: argument must be a memory value"),
        ("a: -1", "bytes of a rule: argument must be a memory value"),
        ("a: 99999999999gb", "bytes of a rule: argument must be a memory value"),
        (&long, "a prefix is longer than 512 bytes"),
        (&many, "argument has more than 64 rules"),
    ] {
        let expected = format!("-ERR CONFIG SET failed (possibly related to argument 'prefix-quota') - {problem}\r\n");
        assert_eq!(set(value.as_bytes()), expected);
    }
    assert!(set(b"\xff 1").contains("argument is not UTF-8"));
    assert_eq!(
        ask(&mut driver, "CONFIG GET prefix-quota"),
        "*2\r\n$12\r\nprefix-quota\r\n$7\r\na: 1000\r\n"
    );
    assert!(
        node.keyspace
            .prefixes()
            .is_some_and(|prefixes| prefixes.len() == 1 && prefixes.quota(0) == 1000)
    );
}

/// Waits until something holds, while the task of the node runs.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn prefixes_declared_under_load_are_counted_and_brought_within_their_quota() {
    let node = node(MaxmemoryPolicy::AllkeysLru, &[]);
    let task = tokio::spawn(run(Arc::clone(&node)));
    let mut driver = Driver::new(&node, 0);
    for number in 0..20_000 {
        ask(&mut driver, &format!("MSET a:{number} value b:{number} value"));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (1..3)
        .map(|worker| {
            let (node, stop) = (Arc::clone(&node), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut driver = Driver::new(&node, worker);
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number = (number + 7) % 30_000;
                    ask(&mut driver, &format!("SET a:{number} value{number}"));
                    ask(&mut driver, &format!("DEL a:{}", number / 2));
                    ask(&mut driver, &format!("APPEND b:{} x", number % 20_000));
                }
            })
        })
        .collect();
    for value in ["a: 0 b: 0", "b: 0", "b: 0 a: 100mb", "a: 200000 b: 0", "a: 100000 b: 0"] {
        let words: [&[u8]; 4] = [b"CONFIG", b"SET", b"prefix-quota", value.as_bytes()];
        assert_eq!(driver.run(&encoded(&words)), b"+OK\r\n");
        until("all keys are counted", || {
            ask(&mut driver, "INFO prefixes").contains("prefixes_counting:0\r\n")
        })
        .await;
    }
    until("within the quota", || survey(&node)[0].bytes <= 104_000).await;
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let found = survey(&node);
    assert!(found[0].bytes <= 104_000 && found[0].counters.evicted > 0);
    assert_eq!((found[1].keys, found[1].counters.evicted), (20_000, 0));
    // Counted anew, there is the same.
    node.config
        .set(&[(b"prefix-quota", b"b: 0 a: 0")])
        .map(|applied| node.apply(&applied.settings))
        .unwrap();
    until("all keys are counted", || {
        ask(&mut driver, "INFO prefixes").contains("prefixes_counting:0\r\n")
    })
    .await;
    let anew = survey(&node);
    assert_eq!(
        [(anew[1].keys, anew[1].bytes), (anew[0].keys, anew[0].bytes)],
        [(found[0].keys, found[0].bytes), (found[1].keys, found[1].bytes)]
    );
    task.abort();
}

#[tokio::test]
async fn what_grew_without_a_check_is_evicted_in_the_background() {
    let node = node(MaxmemoryPolicy::AllkeysLru, &[("a:", 50_000)]);
    let task = tokio::spawn(run(Arc::clone(&node)));
    let mut driver = Driver::new(&node, 0);
    for number in 0..2000 {
        ask(&mut driver, &format!("SET b:{number} value"));
        ask(&mut driver, &format!("RENAME b:{number} a:{number}"));
    }
    until("within the quota", || survey(&node)[0].bytes <= 51_700).await;
    task.abort();
}
