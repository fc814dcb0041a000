//! Tests of the keyspace: against a model, under growth, under several threads, after a panic.

mod emptying;
mod expiring;
mod growth;
mod hit_ratio;
mod model;
mod policies;
mod room;
mod sharing;
mod walking;
mod watching;

use super::eviction::{Eviction, mix};
use super::{Keyspace, NewValue, Shape, Store};

pub(super) const NOW: u64 = 1_700_000_000_000;

/// Shapes at both ends of what a node can have.
pub(super) const SHAPES: [Shape; 4] = [
    Shape {
        stripes: 1,
        slab_bytes: 4096,
        huge_pages: false,
        databases: 3,
    },
    Shape {
        stripes: 1,
        slab_bytes: 65536,
        huge_pages: false,
        databases: 3,
    },
    Shape {
        stripes: 16,
        slab_bytes: 4096,
        huge_pages: false,
        databases: 3,
    },
    Shape {
        stripes: 64,
        slab_bytes: 65536,
        huge_pages: true,
        databases: 3,
    },
];

static NO_EVICTION: std::sync::LazyLock<Eviction> = std::sync::LazyLock::new(Eviction::default);

/// How much work to do: less when a checker that slows everything down asks for it.
pub(super) fn steps(normal: usize) -> usize {
    let percent = std::env::var("LARDER_TEST_PERCENT")
        .ok()
        .and_then(|percent| percent.parse().ok());
    (normal * percent.unwrap_or(100usize) / 100).max(1)
}

/// Random numbers that a seed repeats.
pub(super) struct Rng {
    seed: u64,
    draws: u64,
}

impl Rng {
    pub(super) fn new(seed: u64) -> Rng {
        Rng { seed, draws: 0 }
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.draws += 1;
        mix(self.seed, self.draws) as usize % bound
    }

    pub(super) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

fn view(keyspace: &Keyspace, database: usize, now_ms: u64) -> Store<'_> {
    Store::new(keyspace, database, now_ms, &NO_EVICTION)
}

fn put(keyspace: &Keyspace, key: &[u8], value: &[u8]) {
    view(keyspace, 0, NOW).key(key).set(NewValue::Bytes(value), None);
}

fn get(keyspace: &Keyspace, key: &[u8]) -> Option<Vec<u8>> {
    let mut store = view(keyspace, 0, NOW);
    let mut key = store.key(key);
    key.text().expect("all values are strings").map(|text| text.to_vec())
}

fn number(number: usize) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

/// All keys of a database, in the order of a scan.
pub(super) fn scan_all(store: &mut Store<'_>) -> Vec<Vec<u8>> {
    let (mut keys, mut cursor) = (Vec::new(), 0);
    loop {
        cursor = store.scan(cursor, &mut |key, _| keys.push(key.to_vec()));
        if cursor == 0 {
            return keys;
        }
    }
}

/// Removes what has expired by `now_ms`, as the background does.
fn reclaim_all(keyspace: &Keyspace, now_ms: u64) {
    for index in 0..keyspace.shape().stripes {
        while keyspace.is_due(index, now_ms) {
            keyspace.reclaim_due(index, now_ms);
        }
    }
}
