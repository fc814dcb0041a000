//! Each policy takes the keys that its name says, and copes with what it finds.

use super::{NOW, Rng, SHAPES, number, view};
use crate::store::eviction::Eviction;
use crate::store::{Keyspace, NewValue, Shape, Store};

/// All that evict.
pub(super) const NAMES: [&str; 13] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "allkeys-lrm",
    "allkeys-fifo",
    "allkeys-mru",
    "allkeys-adaptive",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "volatile-lrm",
    "volatile-adaptive",
];

pub(super) fn policy(name: &str) -> Eviction {
    Eviction {
        policy: name.parse().expect("a policy"),
        ..Eviction::default()
    }
}

/// A keyspace used under a policy.
struct Bench {
    keyspace: Keyspace,
    eviction: Eviction,
    now_ms: u64,
    draws: u64,
}

impl Bench {
    fn new(name: &str, shape: Shape) -> Bench {
        Bench {
            keyspace: Keyspace::new(shape, ahash::RandomState::with_seeds(1, 2, 3, 4)),
            eviction: policy(name),
            now_ms: NOW,
            draws: 0,
        }
    }

    fn store(&self) -> Store<'_> {
        Store::new(&self.keyspace, 0, self.now_ms, &self.eviction)
    }

    fn set(&self, key: usize, deadline: Option<u64>) {
        self.store()
            .key(&number(key))
            .set(NewValue::Bytes(b"some value"), deadline);
    }

    fn read(&self, key: usize) -> bool {
        self.store().key(&number(key)).read()
    }

    fn evict(&mut self, count: usize) -> usize {
        self.draws += 1;
        self.keyspace.evict(count, &self.eviction, self.now_ms, self.draws)
    }

    /// How many of these keys are there.
    fn alive(&self, mut keys: std::ops::Range<usize>) -> usize {
        let mut store = view(&self.keyspace, 0, self.now_ms);
        let mut alive = 0;
        keys.all(|key| {
            alive += usize::from(store.key(&number(key)).exists());
            true
        });
        alive
    }
}

/// Stores 1,000 keys, evicts a few, uses 0..300 as `using` says and evicts to 500: what is left of 0..300 and of the
/// rest, in percent.
fn left_after(name: &str, using: impl Fn(&Bench, usize)) -> (usize, usize) {
    let mut bench = Bench::new(name, SHAPES[0]);
    for key in 0..1000 {
        bench.set(key, None);
    }
    bench.evict(20);
    let before = (bench.alive(0..300), bench.alive(300..1000));
    for _ in 0..3 {
        for key in 0..300 {
            if bench.alive(key..key + 1) == 1 {
                using(&bench, key);
            }
        }
    }
    assert_eq!(bench.evict(480), 480);
    let percent = |left: usize, of: usize| left * 100 / of;
    (
        percent(bench.alive(0..300), before.0),
        percent(bench.alive(300..1000), before.1),
    )
}

#[test]
fn keys_that_are_read_stay_under_lru_lfu_and_adaptive_and_go_under_mru() {
    let read = |bench: &Bench, key| assert!(bench.read(key));
    for name in ["allkeys-lru", "allkeys-lfu", "allkeys-adaptive"] {
        let (used, rest) = left_after(name, read);
        assert!(used >= 97 && rest <= 35, "{name}: {used}% and {rest}%");
    }
    let (used, rest) = left_after("allkeys-mru", read);
    assert!(used <= 3, "mru: {used}% and {rest}%");
}

#[test]
fn only_writes_keep_a_key_under_lrm() {
    let (written, rest) = left_after("allkeys-lrm", |bench, key| bench.set(key, None));
    assert!(written >= 97 && rest <= 35, "{written}% and {rest}%");
    // What was stored first is what was modified least recently, however often it is read.
    let (read, _) = left_after("allkeys-lrm", |bench, key| assert!(bench.read(key)));
    assert!(read <= 10, "{read}%");
}

#[test]
fn neither_reads_nor_writes_keep_a_key_under_fifo() {
    let (used, _) = left_after("allkeys-fifo", |bench, key| {
        assert!(bench.read(key));
        bench.set(key, None);
    });
    assert!(used <= 10, "{used}%");
}

#[test]
fn random_takes_from_all_alike() {
    let (used, rest) = left_after("allkeys-random", |bench, key| assert!(bench.read(key)));
    assert!(used.abs_diff(rest) <= 12, "{used}% and {rest}%");
}

#[test]
fn the_nearest_deadline_goes_first_under_ttl() {
    let mut bench = Bench::new("volatile-ttl", SHAPES[0]);
    for key in 0..1000 {
        bench.set(key, Some(NOW + 1000 * (1 + key as u64)));
    }
    bench.evict(500);
    assert!(bench.alive(0..300) <= 15 && bench.alive(700..1000) >= 297);
}

#[test]
fn volatile_policies_take_keys_with_a_deadline_and_no_others() {
    for name in NAMES.into_iter().filter(|name| name.starts_with("volatile")) {
        for shape in SHAPES {
            let mut bench = Bench::new(name, shape);
            for key in 0..2000 {
                bench.set(key, (key % 2 == 0).then_some(NOW + 60_000 + key as u64));
            }
            let evicted: usize = (0..100).map(|_| bench.evict(20)).sum();
            assert_eq!((evicted, bench.alive(0..2000)), (1000, 1000), "{name}");
            assert_eq!(bench.evict(1), 0);
        }
    }
}

#[test]
fn the_only_volatile_key_of_many_is_found_at_once() {
    let mut bench = Bench::new("volatile-lru", SHAPES[1]);
    for key in 0..20_000 {
        bench.set(key, (key == 777).then_some(NOW + 60_000));
    }
    assert_eq!(bench.evict(1), 1);
    assert_eq!((bench.evict(10), bench.alive(0..20_000)), (0, 19_999));
}

#[test]
fn expired_keys_go_before_others() {
    for name in NAMES.into_iter().filter(|name| name.starts_with("allkeys")) {
        let mut bench = Bench::new(name, SHAPES[0]);
        for key in 0..1000 {
            bench.set(key, (key % 10 == 0).then_some(NOW + 10));
        }
        bench.now_ms = NOW + 10;
        assert_eq!(bench.evict(100), 100);
        let counters = bench.keyspace.counters();
        assert_eq!(counters.expired + counters.evicted, 100);
        assert!(counters.expired >= 55, "{name}: {counters:?}");
    }
}

#[test]
fn a_policy_may_change_at_any_time() {
    let mut bench = Bench::new("allkeys-lru", SHAPES[2]);
    let mut rng = Rng::new(5);
    for round in 0..60 {
        bench.eviction = policy(NAMES[rng.below(NAMES.len())]);
        bench.now_ms += rng.below(200_000) as u64;
        for _ in 0..200 {
            let key = rng.below(1000);
            if !bench.read(key) {
                let deadline = rng.one_in(2).then(|| bench.now_ms + 1 + rng.below(1_000_000) as u64);
                bench.set(key, deadline);
            }
        }
        if round % 2 == 1 {
            bench.evict(150);
        }
    }
    assert!(bench.alive(0..1000) > 0);
    bench.eviction = policy("allkeys-adaptive");
    while bench.evict(100) > 0 {}
    assert_eq!((bench.keyspace.memory().entries, bench.alive(0..1000)), (0, 0));
    bench.store().flush_all();
    assert_eq!(bench.keyspace.used_bytes(), 0);
}

#[test]
fn times_are_kept_from_one_policy_to_the_next() {
    let mut bench = Bench::new("allkeys-lru", SHAPES[0]);
    bench.set(1, None);
    bench.now_ms += 90_000;
    for name in NAMES {
        bench.eviction = policy(name);
        assert_eq!(bench.store().key(&number(1)).idle_seconds(), Some(90), "{name}");
    }
    bench.read(1);
    assert_eq!(bench.store().key(&number(1)).idle_seconds(), Some(0));
}

#[test]
fn keys_of_a_single_stripe_are_evicted_as_others_are() {
    for name in ["allkeys-lru", "allkeys-adaptive"] {
        let mut bench = Bench::new(name, SHAPES[3]);
        let keyspace = &bench.keyspace;
        let mine: Vec<usize> = (0..100_000)
            .filter(|&key| keyspace.index(keyspace.hash(&number(key))) == 11)
            .collect();
        mine.iter().for_each(|&key| bench.set(key, None));
        assert_eq!(bench.evict(mine.len() + 5), mine.len(), "{name}");
    }
}

#[test]
fn overwriting_keeps_the_counter_under_lfu_and_counts_as_a_use() {
    let bench = Bench::new("allkeys-lfu", SHAPES[0]);
    bench.set(1, None);
    for _ in 0..1000 {
        bench.read(1);
    }
    let frequency = || bench.store().key(&number(1)).frequency().expect("it is there");
    let before = frequency();
    assert!(before > 10);
    bench.set(1, None);
    bench.store().write_text(&number(1), b"other");
    assert!((before..before + 3).contains(&frequency()));
}

#[test]
fn counters_decay_by_the_minute_under_lfu() {
    let mut bench = Bench::new("allkeys-lfu", SHAPES[0]);
    bench.set(1, None);
    for (minutes, expected) in [(0, 5), (1, 4), (3, 2), (100, 0)] {
        bench.now_ms = NOW + minutes * 60_000;
        assert_eq!(bench.store().key(&number(1)).frequency(), Some(expected));
    }
    bench.eviction.lfu_decay_minutes = 0;
    assert_eq!(bench.store().key(&number(1)).frequency(), Some(5));
}
