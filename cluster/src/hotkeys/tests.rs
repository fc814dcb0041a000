//! Hot keys are found soon, cool by themselves, and level the load.

use super::*;
use crate::placement::{Member, Table};
use crate::slot::slot_of;

const NODES: usize = 4;

/// A generator of numbers that does the same every time (SplitMix64).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn hash(key: &[u8]) -> u64 {
    Rng(key.iter().fold(17, |sum, byte| sum * 31 + u64::from(*byte))).next()
}

/// A window of reads of a celebrity on node 0 and of others all over, `writes` of the celebrity among them.
fn window(detector: &mut Detector, now_ms: &mut u64, celebrity: u64, others: u64, writes: u64) -> Vec<Change> {
    let key = b"celebrity";
    let all = others + celebrity;
    for number in 0..all {
        // Spread evenly among the others.
        if (number + 1) * celebrity / all > number * celebrity / all {
            detector.read(0, hash(key), key, 1);
        } else {
            let other = format!("key:{number}");
            detector.read(number as usize % NODES, hash(other.as_bytes()), other.as_bytes(), 1);
        }
    }
    detector.write(hash(key), writes);
    *now_ms += 1000;
    detector.tick(*now_ms)
}

fn hot(holders: usize) -> Vec<Change> {
    vec![Change::Hot {
        key: (*b"celebrity").into(),
        holders,
    }]
}

fn cooled() -> Vec<Change> {
    vec![Change::Cooled {
        key: (*b"celebrity").into(),
    }]
}

#[test]
fn a_key_is_hot_after_two_windows_and_cools_after_two() {
    let mut now_ms = 5000;
    let mut detector = Detector::new(Rules::default(), NODES, now_ms);
    assert_eq!(window(&mut detector, &mut now_ms, 600, 2000, 0), []);
    let changes = window(&mut detector, &mut now_ms, 600, 2000, 0);
    assert_eq!(changes, hot(2), "a quarter of the reads on 4 nodes");
    assert_eq!(window(&mut detector, &mut now_ms, 600, 2000, 0), []);
    assert_eq!(window(&mut detector, &mut now_ms, 0, 2000, 0), []);
    assert_eq!(window(&mut detector, &mut now_ms, 0, 2000, 0), cooled());
    assert_eq!(detector.hot().count(), 0);
    // One hot window is not enough, nor are two with a cold one between.
    for celebrity in [600, 0, 600, 0] {
        assert_eq!(window(&mut detector, &mut now_ms, celebrity, 2000, 0), []);
    }
}

#[test]
fn between_hot_and_half_of_it_a_key_stays_what_it_is() {
    let mut now_ms = 0;
    let mut detector = Detector::new(Rules::default(), NODES, now_ms);
    // 3% of its node's reads, then 10%, then 3% again.
    for (celebrity, wanted) in [
        (60, false),
        (60, false),
        (250, false),
        (250, true),
        (60, true),
        (60, true),
        (60, true),
    ] {
        window(&mut detector, &mut now_ms, celebrity, 8000, 0);
        assert_eq!(detector.hot().count() == 1, wanted, "{celebrity}");
    }
}

#[test]
fn a_key_that_is_written_much_is_not_hot() {
    let mut now_ms = 0;
    let mut detector = Detector::new(Rules::default(), NODES, now_ms);
    for _ in 0..5 {
        assert_eq!(window(&mut detector, &mut now_ms, 600, 2000, 100), []);
    }
    for _ in 0..2 {
        window(&mut detector, &mut now_ms, 600, 2000, 10);
    }
    assert_eq!(detector.hot().count(), 1);
    assert_eq!(window(&mut detector, &mut now_ms, 600, 2000, 100), cooled());
}

#[test]
fn a_quiet_node_has_no_hot_keys_unless_a_rate_is_set() {
    let mut now_ms = 0;
    let mut detector = Detector::new(Rules::default(), NODES, now_ms);
    for _ in 0..5 {
        assert_eq!(window(&mut detector, &mut now_ms, 50, 60, 0), []);
    }
    let rules = Rules {
        hot_reads_per_s: Some(40.0),
        ..Rules::default()
    };
    let mut detector = Detector::new(rules, NODES, now_ms);
    window(&mut detector, &mut now_ms, 50, 60, 0);
    assert_eq!(window(&mut detector, &mut now_ms, 50, 60, 0).len(), 1);
}

#[test]
fn holders_grow_at_once_and_shrink_after_two_windows() {
    let mut now_ms = 0;
    let mut detector = Detector::new(Rules::default(), NODES, now_ms);
    for celebrity in [400, 400] {
        window(&mut detector, &mut now_ms, celebrity, 4000, 0);
    }
    assert_eq!(detector.hot().next().map(|(_, holders)| holders), Some(1));
    assert_eq!(window(&mut detector, &mut now_ms, 4000, 4000, 0), hot(4));
    assert_eq!(window(&mut detector, &mut now_ms, 400, 4000, 0), []);
    assert_eq!(window(&mut detector, &mut now_ms, 1000, 4000, 0), hot(2));
}

#[test]
fn the_number_of_holders_follows_the_share() {
    assert_eq!(holders(0.3, 4), 3);
    assert_eq!(holders(0.3, 64), MAX_HOLDERS);
    assert_eq!(holders(0.01, 4), 1);
    assert_eq!(holders(1.0, 3), 3);
    assert_eq!(holders(f64::NAN, 3), 1);
    assert_eq!(holders(0.5, 0), 1);
}

#[test]
fn a_uniform_crowd_of_keys_makes_none_hot_and_takes_no_more_memory() {
    let mut detector = Detector::new(Rules::default(), 1, 0);
    let mut rng = Rng(1);
    for second in 1..=5 {
        for _ in 0..100_000 {
            let key = format!("key:{}", rng.below(1_000_000));
            detector.read(0, hash(key.as_bytes()), key.as_bytes(), 1);
        }
        assert_eq!(detector.counters.len(), TRACKED);
        assert_eq!(detector.tick(second * 1000), []);
    }
    let long = vec![b'x'; MAX_KEY_BYTES + 1];
    for second in 6..=9 {
        for _ in 0..10_000 {
            detector.read(0, 7, &long, 1);
        }
        assert_eq!(detector.tick(second * 1000), []);
    }
}

#[test]
fn no_more_than_the_most_are_hot() {
    let rules = Rules {
        hot_reads_per_s: Some(10.0),
        ..Rules::default()
    };
    let mut detector = Detector::new(rules, 1, 0);
    for second in 1..=3 {
        for number in 0..100u64 {
            let key = format!("key:{number}");
            detector.read(0, hash(key.as_bytes()), key.as_bytes(), 100 + number);
        }
        detector.tick(second * 1000);
    }
    assert_eq!(detector.hot().count(), MAX_HOT);
    assert!(detector.hot().any(|(key, _)| key == b"key:99"));
    assert_eq!(detector.reset(1, 4000).len(), MAX_HOT);
    assert_eq!(detector.hot().count(), 0);
}

#[test]
fn the_less_loaded_node_is_the_one_that_would_answer_first() {
    let load = |pending, latency_us| Load { pending, latency_us };
    assert!(load(0, 0).at_most(load(0, 0)));
    assert!(load(3, 100).at_most(load(0, 1000)));
    assert!(!load(usize::MAX, u64::MAX).at_most(load(0, 1)));
}

/// The design's goal: 64 nodes, one key with 30% of the reads, the rest spread evenly. Reads go to the less loaded of two random
/// holders, each node serves what it gets at the same pace. After 5 s no node has over 1.6 times the mean.
#[test]
fn a_celebrity_on_64_nodes_is_level_within_five_seconds() {
    const COUNT: usize = 64;
    const READS_PER_S: usize = 100_000;
    let members: Vec<_> = (0..COUNT)
        .map(|number| Member::new(format!("node-{number}"), 1))
        .collect();
    let table = Table::new(&members).expect("members");
    let celebrity = b"celebrity".as_slice();
    let ranking: Vec<_> = table.ranking(slot_of(celebrity)).collect();
    let mut detector = Detector::new(Rules::default(), COUNT, 0);
    let mut rng = Rng(42);
    let mut loads = vec![0usize; COUNT];
    let mut held_by = 1;
    for second in 0..7 {
        loads.fill(0);
        for _ in 0..READS_PER_S {
            let is_celebrity = rng.below(10) < 3;
            let node = if is_celebrity {
                let mut pick = || ranking[rng.below(held_by as u64) as usize];
                let (one, other) = (pick(), pick());
                let load = |node: usize| Load {
                    pending: loads[node],
                    latency_us: 100,
                };
                if load(one).at_most(load(other)) { one } else { other }
            } else {
                rng.below(COUNT as u64) as usize
            };
            loads[node] += 1;
            // One of eight reads is told of.
            if rng.below(8) == 0 {
                let key = if is_celebrity {
                    celebrity.to_vec()
                } else {
                    rng.next().to_be_bytes().to_vec()
                };
                let owner = if is_celebrity { ranking[0] } else { node };
                detector.read(owner, hash(&key), &key, 8);
            }
        }
        let most = *loads.iter().max().expect("nodes") as f64 * COUNT as f64 / READS_PER_S as f64;
        assert!(second > 0 || most > 19.0, "at first one node has it all: {most}");
        assert!(second < 5 || most <= 1.6, "after {second} s: {most}");
        for change in detector.tick((second + 1) * 1000) {
            match change {
                Change::Hot { key, holders } => {
                    assert_eq!(&*key, celebrity);
                    held_by = holders;
                }
                Change::Cooled { key } => panic!("{key:?} has not cooled"),
            }
        }
    }
    assert_eq!(held_by, MAX_HOLDERS);
    detector.tick(8000);
    detector.tick(9000);
    assert_eq!(detector.hot().count(), 0);
}
