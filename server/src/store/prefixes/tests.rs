//! Tests of accounting by prefix: which prefix owns a key, and that what is counted is what is there.

use super::Prefixes;
use crate::store::eviction::{Eviction, Policy};
use crate::store::tests::{NOW, Rng, SHAPES, scan_all, steps};
use crate::store::{Effort, Keyspace, NewValue, Shape, Store};

const MB: u64 = 1 << 20;

fn rules(list: &[(&str, u64)]) -> Vec<(Vec<u8>, u64)> {
    list.iter()
        .map(|(name, quota)| (name.as_bytes().to_vec(), *quota))
        .collect()
}

fn lru() -> Eviction {
    Eviction {
        policy: "allkeys-lru".parse().unwrap(),
        ..Eviction::default()
    }
}

fn keyspace(shape: Shape, list: &[(&str, u64)]) -> Keyspace {
    let keyspace = Keyspace::new(shape, ahash::RandomState::new());
    declare(&keyspace, list);
    keyspace
}

fn declare(keyspace: &Keyspace, list: &[(&str, u64)]) {
    keyspace.declare_prefixes(&rules(list));
    (0..keyspace.shape().stripes).for_each(|index| keyspace.adopt_prefixes(index));
}

fn recount(keyspace: &Keyspace) {
    for index in 0..keyspace.shape().stripes {
        while keyspace.recount_prefixes(index, 3) {}
    }
}

#[test]
fn the_longest_prefix_owns_a_key() {
    let find = |list: &[(&str, u64)], key: &str| Prefixes::new(&rules(list), 1).find(key.as_bytes());
    let list = [("a", 0), ("a:bc", 0), ("a:", 0), ("b", 0), ("é", 0)];
    for (key, owner) in [
        ("", None),
        ("c", None),
        ("a", Some(0)),
        ("ab", Some(0)),
        ("a:", Some(2)),
        ("a:b", Some(2)),
        ("a:bc", Some(1)),
        ("a:bcd", Some(1)),
        ("b:", Some(3)),
        ("éé", Some(4)),
        ("\u{ea}", None),
    ] {
        assert_eq!(find(&list, key), owner, "{key:?}");
    }
    assert_eq!(find(&[], "a"), None);
    let many: Vec<(Vec<u8>, u64)> = (0..64).map(|number| (vec![b'x'; 64 - number], 0)).collect();
    let many = Prefixes::new(&many, 1);
    assert!((1..=64).all(|length| many.find(&vec![b'x'; length]) == Some(64 - length)));
    assert_eq!(many.find(&[b'x'; 100]), Some(0));
}

/// What each prefix has, counted one by one.
fn counted(keyspace: &Keyspace, eviction: &Eviction, now_ms: u64) -> Vec<(usize, usize)> {
    let prefixes = keyspace.prefixes().expect("some are declared");
    let mut found = vec![(0, 0); prefixes.len()];
    for database in 0..keyspace.shape().databases {
        let mut store = Store::new(keyspace, database, now_ms, eviction);
        for key in scan_all(&mut store) {
            if let Some(number) = prefixes.find(&key) {
                let held = store.key(&key).held_bytes().expect("it was scanned");
                found[number].0 += 1;
                found[number].1 += held - 64 / 12 + super::INDEX_SHARE;
            }
        }
    }
    found
}

/// Random operations of every kind, with prefixes that change meanwhile.
struct Mix {
    rng: Rng,
    keyspace: Keyspace,
    eviction: Eviction,
    now_ms: u64,
}

const SETS: [&[(&str, u64)]; 4] = [
    &[("a", 0), ("a:", MB), ("b:", 40_000)],
    &[("b:", 0)],
    &[("a:", 0), ("a:1", 100_000), ("b", 1), ("c", 0), ("k", 0)],
    &[("a", 70_000), ("a:", 0), ("b:", 0)],
];

impl Mix {
    fn new(shape: Shape, seed: u64) -> Mix {
        Mix {
            rng: Rng::new(seed),
            keyspace: keyspace(shape, SETS[0]),
            eviction: lru(),
            now_ms: NOW,
        }
    }

    fn key(&mut self) -> Vec<u8> {
        let prefix = ["a", "a:", "a:1", "b:", "c", "d"][self.rng.below(6)];
        let mut key = format!("{prefix}{}", self.rng.below(200)).into_bytes();
        if self.rng.one_in(20) {
            key.resize([255, 600, 9000][self.rng.below(3)], b'_');
        }
        key
    }

    fn value(&mut self) -> Vec<u8> {
        let length = [0, 10, 60, 500, 520, 9000, 30_000][self.rng.below(7)];
        vec![b'v'; self.rng.below(length + 1)]
    }

    fn step(&mut self) {
        let (key, other, value) = (self.key(), self.key(), self.value());
        let (database, second) = (self.rng.below(3), self.rng.below(3));
        let deadline = (!self.rng.one_in(3)).then(|| self.now_ms - 5 + self.rng.below(300) as u64);
        let (operation, takes) = (self.rng.below(100), self.rng.one_in(2));
        let (keyspace, eviction, now_ms) = (&self.keyspace, &self.eviction, self.now_ms);
        let mut store = Store::new(keyspace, database, now_ms, eviction);
        match operation {
            0..25 => store.key(&key).set(NewValue::Bytes(&value), deadline),
            25..35 => store.write_text(&key, &value),
            35..45 => store.key(&key).edit_text(value.len(), |_| {}),
            45..52 => {
                store.key(&key).remove();
            }
            52..60 => {
                store.key(&key).set_deadline(deadline);
            }
            60..70 => {
                store.hold([&key[..], &other[..]]);
                let stored = if takes {
                    store.key(&key).take()
                } else {
                    store.key(&key).copy()
                };
                stored
                    .into_iter()
                    .for_each(|stored| store.key_in(second, &other).put(stored));
            }
            70..75 => {
                store.key(&key).read();
            }
            75 => store.swap(database, second),
            76 if takes => drop(store.flush(database)),
            77..80 => {
                keyspace.evict(3, eviction, now_ms, operation as u64 ^ now_ms);
            }
            80..85 => {
                let effort = Effort {
                    more_bytes: 0,
                    entries: 5,
                    buckets: 4,
                };
                keyspace.evict_prefix(second, effort, eviction, now_ms, now_ms);
            }
            85..98 => {
                let index = self.rng.below(keyspace.shape().stripes);
                keyspace.recount_prefixes(index, 2);
            }
            98 if self.rng.one_in(5) => declare(keyspace, SETS[self.rng.below(SETS.len())]),
            _ => self.now_ms += self.rng.below(10) as u64,
        }
    }

    fn check(&mut self) {
        recount(&self.keyspace);
        let mut store = Store::new(&self.keyspace, 0, self.now_ms, &self.eviction);
        let survey = store.survey().prefixes;
        assert!(!survey.counting);
        // The scan leaves expired keys out, which are still held.
        let counted = counted(&self.keyspace, &self.eviction, 0);
        let told: Vec<(usize, usize)> = survey.list.iter().map(|prefix| (prefix.keys, prefix.bytes)).collect();
        assert_eq!(told, counted);
        let prefixes = self.keyspace.prefixes().unwrap();
        for (number, (_, bytes)) in counted.iter().enumerate() {
            let untold = prefixes.untold(number) * self.keyspace.shape().stripes;
            let difference = prefixes.total_bytes(number).abs_diff(*bytes);
            assert!(difference <= untold, "{difference} of {bytes} bytes were not told");
        }
    }
}

#[test]
fn what_is_counted_is_what_is_there_whatever_happens() {
    for (shape, seed) in SHAPES
        .into_iter()
        .flat_map(|shape| (0..3).map(move |seed| (shape, seed)))
    {
        println!("{shape:?}, seed {seed}");
        let mut mix = Mix::new(shape, seed);
        for round in 0..steps(8000) {
            mix.step();
            if round % 700 == 0 {
                mix.check();
            }
        }
        mix.check();
        drop(Store::new(&mix.keyspace, 0, mix.now_ms, &mix.eviction).flush_all());
        mix.check();
        let prefixes = mix.keyspace.prefixes().unwrap();
        assert!((0..prefixes.len()).all(|number| prefixes.total_bytes(number) == 0));
    }
}

#[test]
fn a_recount_is_right_while_tables_grow_and_shrink_under_it() {
    let keyspace = keyspace(SHAPES[0], &[]);
    let eviction = Eviction::default();
    let put = |number: usize| {
        let key = format!("p{number}").into_bytes();
        Store::new(&keyspace, 0, NOW, &eviction).write_text(&key, b"value");
    };
    let remove = |number: usize| {
        Store::new(&keyspace, 0, NOW, &eviction)
            .key(format!("p{number}").as_bytes())
            .remove()
    };
    let count = steps(6000);
    for round in 0..4 {
        (0..count).for_each(put);
        declare(&keyspace, [&[("p", 0)][..], &[("p1", 9), ("p", 0)]][round % 2]);
        // Growing in the first rounds, shrinking to almost nothing in the others.
        for number in 0..count {
            if round < 2 {
                put(count + number);
            } else {
                assert!(remove(count - 1 - number));
            }
            if number % 8 == 0 {
                keyspace.recount_prefixes(0, 1);
            }
        }
        recount(&keyspace);
        let survey = Store::new(&keyspace, 0, NOW, &eviction).survey().prefixes;
        let told: Vec<(usize, usize)> = survey.list.iter().map(|prefix| (prefix.keys, prefix.bytes)).collect();
        assert_eq!(told, counted(&keyspace, &eviction, NOW), "round {round}");
        if round == 1 {
            (count..2 * count).for_each(|number| assert!(remove(number)));
        }
    }
}

#[test]
fn counters_follow_their_prefix_and_go_with_it() {
    let keyspace = keyspace(SHAPES[2], &[("a:", 0), ("b:", 0)]);
    let eviction = lru();
    let mut store = Store::new(&keyspace, 0, NOW, &eviction);
    store.write_text(b"a:1", b"value");
    assert!(store.key(b"a:1").read() && store.key(b"a:1").read_untouched());
    assert!(!store.key(b"a:2").read() && !store.key(b"c").read());
    store.read_text(b"b:1", |text| assert!(text.is_none())).unwrap();
    let seen = |store: &mut Store<'_>| -> Vec<(u64, u64)> {
        let list = store.survey().prefixes.list;
        list.iter()
            .map(|prefix| (prefix.counters.hits, prefix.counters.misses))
            .collect()
    };
    assert_eq!(seen(&mut store), [(2, 1), (0, 1)]);
    declare(&keyspace, &[("c", 0), ("a:", MB)]);
    assert_eq!(seen(&mut store), [(0, 0), (2, 1)]);
    recount(&keyspace);
    store.reset_counters();
    let survey = store.survey().prefixes;
    assert_eq!(
        (survey.list[1].counters.hits, survey.list[1].keys, survey.counting),
        (0, 1, false)
    );
    declare(&keyspace, &[]);
    assert!(keyspace.prefixes().is_none() && !keyspace.has_quotas());
    assert!(!keyspace.recount_prefixes(0, 1));
    assert!(store.survey().prefixes.list.is_empty());
}

#[test]
fn another_quota_counts_at_once_and_needs_no_recount() {
    let keyspace = keyspace(SHAPES[2], &[("a:", 0)]);
    let eviction = lru();
    Store::new(&keyspace, 0, NOW, &eviction).write_text(b"a:1", &[b'v'; 400]);
    keyspace.declare_prefixes(&rules(&[("a:", 500)]));
    let survey = Store::new(&keyspace, 0, NOW, &eviction).survey().prefixes;
    assert_eq!(
        (survey.counting, survey.list[0].quota, survey.list[0].keys),
        (false, 500, 1)
    );
    assert!(keyspace.has_quotas());
}

/// Evicts until the prefix is within its quota; how many keys went.
fn evict_all(keyspace: &Keyspace, number: usize, eviction: &Eviction, now_ms: u64) -> usize {
    let (mut evicted, mut barren) = (0, 0);
    let effort = Effort {
        more_bytes: 0,
        entries: 100,
        buckets: 16,
    };
    while keyspace.prefixes().unwrap().is_over(number, 0) && barren < 2000 {
        let now = keyspace.evict_prefix(number, effort, eviction, now_ms, evicted as u64 + barren);
        evicted += now;
        barren += u64::from(now == 0);
    }
    evicted
}

#[test]
fn a_prefix_over_its_quota_evicts_its_own_keys_and_no_other() {
    for shape in SHAPES {
        let keyspace = keyspace(shape, &[("small:", 20_000), ("large:", 0)]);
        let eviction = lru();
        let mut store = Store::new(&keyspace, 1, NOW, &eviction);
        for number in 0..steps(20_000) {
            store.write_text(format!("large:{number}").as_bytes(), b"value");
        }
        for number in 0..1000 {
            store.write_text(format!("small:{number}").as_bytes(), b"value");
        }
        let before = store.survey().prefixes.list;
        let evicted = evict_all(&keyspace, 0, &eviction, NOW);
        let after = store.survey().prefixes.list;
        let bytes = after[0].bytes as u64;
        assert!((15_000..=20_700).contains(&bytes), "{bytes} bytes are left");
        assert_eq!(before[0].keys - after[0].keys, evicted);
        assert_eq!(after[0].counters.evicted, evicted as u64);
        assert_eq!((after[1].keys, after[1].counters.evicted), (before[1].keys, 0));
    }
}

#[test]
fn a_quota_finds_keys_that_were_there_before_it_and_takes_the_coldest() {
    let keyspace = keyspace(SHAPES[2], &[]);
    let eviction = lru();
    let at = |number: u64| NOW + number * 10_000;
    for number in 0..steps(30_000) {
        Store::new(&keyspace, 0, NOW, &eviction).write_text(format!("other:{number}").as_bytes(), b"value");
    }
    for number in 0..1000 {
        let mut store = Store::new(&keyspace, 0, at(number), &eviction);
        store.write_text(format!("mine:{number}").as_bytes(), b"value");
    }
    declare(&keyspace, &[("mine:", 20_000)]);
    recount(&keyspace);
    let evicted = evict_all(&keyspace, 0, &eviction, at(1000));
    assert!(evicted > 300, "{evicted} keys went");
    let mut store = Store::new(&keyspace, 0, at(1000), &eviction);
    let young = (500..1000)
        .filter(|number| store.key(format!("mine:{number}").as_bytes()).exists())
        .count();
    let left = 1000 - evicted;
    assert!(
        young * 10 > left * 7,
        "{young} of the {left} keys that are left are of the younger half"
    );
}

#[test]
fn a_policy_that_may_take_nothing_takes_nothing() {
    let keyspace = keyspace(SHAPES[2], &[("a", 1000)]);
    let volatile = Eviction {
        policy: "volatile-lru".parse::<Policy>().unwrap(),
        ..Eviction::default()
    };
    let mut store = Store::new(&keyspace, 0, NOW, &volatile);
    for number in 0..100 {
        store.write_text(format!("a{number}").as_bytes(), b"value");
    }
    assert_eq!(evict_all(&keyspace, 0, &volatile, NOW), 0);
    store.key(b"a50").set_deadline(Some(NOW + 1000));
    assert_eq!(evict_all(&keyspace, 0, &volatile, NOW), 1);
    assert!(!store.key(b"a50").exists());
    // What has expired goes, whatever the policy.
    store.key(b"a51").set_deadline(Some(NOW + 1000));
    let effort = Effort {
        more_bytes: 0,
        entries: 1,
        buckets: 100,
    };
    let evicted = keyspace.evict_prefix(0, effort, &volatile, NOW + 2000, 0);
    assert_eq!((evicted, keyspace.counters().expired), (1, 1));
}

#[test]
fn a_stripe_that_a_panic_emptied_holds_nothing_of_a_prefix() {
    let keyspace = keyspace(SHAPES[0], &[("a", 0)]);
    let eviction = lru();
    let mut store = Store::new(&keyspace, 0, NOW, &eviction);
    (0..100).for_each(|number| store.write_text(format!("a{number}").as_bytes(), b"value"));
    std::thread::scope(|scope| {
        let poison = scope.spawn(|| {
            let _stripe = keyspace.lock(0);
            panic!("on purpose");
        });
        assert!(poison.join().is_err());
    });
    let survey = store.survey().prefixes;
    assert_eq!((survey.list[0].keys, survey.list[0].bytes), (0, 0));
    assert_eq!(keyspace.prefixes().unwrap().total_bytes(0), 0);
    store.write_text(b"a1", b"value");
    assert_eq!(store.survey().prefixes.list[0].keys, 1);
}

#[test]
fn what_the_accounts_take_counts_as_used_and_no_more_when_they_go() {
    let keyspace = Keyspace::new(SHAPES[0], ahash::RandomState::with_seeds(1, 2, 3, 4));
    let rules: Vec<(Vec<u8>, u64)> = (0..50).map(|n| (format!("p{n:02}:").into_bytes(), 0)).collect();
    keyspace.declare_prefixes(&rules);
    keyspace.adopt_prefixes(0);
    let bare = keyspace.lock(0).used;
    assert!(bare > 50 * 64, "{bare}");
    let eviction = lru();
    let mut store = Store::new(&keyspace, 0, NOW, &eviction);
    for n in 0..5000 {
        store.write_text(format!("p{:02}:{n}", n % 50).as_bytes(), b"x");
    }
    // Lists of places are as good as full: each prefix has 100 keys.
    let tables = keyspace.lock(0).memory().held;
    let accounts = keyspace.lock(0).used - tables;
    assert!((50 * (64 + 800)..50 * 4096).contains(&accounts), "{accounts}");
    store.flush_all();
    drop(store);
    keyspace.declare_prefixes(&[]);
    keyspace.adopt_prefixes(0);
    assert_eq!(keyspace.lock(0).used, 0);
}
