//! Room is made by evicting and by emptying sparse slabs, and nothing is lost or changed but what is evicted.

use super::{NOW, Rng, SHAPES, get, number, put, scan_all, steps, view};
use crate::store::eviction::Eviction;
use crate::store::{Keyspace, NewValue, Shape, Store};
use std::collections::HashMap;

fn lru() -> Eviction {
    Eviction {
        policy: "allkeys-lru".parse().expect("a policy"),
        ..Eviction::default()
    }
}

fn compact_all(keyspace: &Keyspace) -> usize {
    let mut moved = 0;
    for index in 0..keyspace.shape().stripes {
        loop {
            let room = keyspace.compact(index);
            moved += room.moved;
            if !room.any() {
                break;
            }
        }
    }
    moved
}

#[test]
fn emptying_slabs_keeps_every_key_and_value_and_gives_memory_back() {
    for shape in SHAPES {
        let keyspace = Keyspace::new(shape, ahash::RandomState::new());
        let mut rng = Rng::new(21);
        let mut map: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let largest = if shape.slab_bytes == 4096 { 700 } else { 9000 };
        for index in 0..steps(30_000) {
            let length = if rng.one_in(20) {
                rng.below(largest)
            } else {
                rng.below(90)
            };
            let (key, value) = (number(index), vec![index as u8; length]);
            put(&keyspace, &key, &value);
            map.insert(key, value);
        }
        let mut keys: Vec<Vec<u8>> = map.keys().cloned().collect();
        keys.sort_unstable();
        for key in keys.iter().filter(|_| !rng.one_in(10)) {
            assert!(view(&keyspace, 0, NOW).key(key).remove());
            map.remove(key);
        }
        let before = keyspace.memory();
        let moved = compact_all(&keyspace);
        let after = keyspace.memory();
        assert_eq!(after.entries, before.entries);
        if shape.stripes == 1 {
            assert!(moved > 0 && after.held < before.held, "{shape:?}: {before:?} {after:?}");
            let classes = 72 * 2 * shape.slab_bytes;
            assert!(after.free <= after.held / 16 + classes, "{shape:?}: {after:?}");
        }
        for (key, value) in &map {
            assert_eq!(get(&keyspace, key).as_ref(), Some(value));
        }
        assert_eq!(scan_all(&mut view(&keyspace, 0, NOW)).len(), map.len());
        for key in map.keys() {
            assert!(view(&keyspace, 0, NOW).key(key).remove());
        }
        compact_all(&keyspace);
        assert_eq!(keyspace.memory().held, 0, "tables that hold nothing go");
        assert_eq!(keyspace.used_bytes(), keyspace.spare_bytes());
    }
}

/// Stores values as a node does: one that is above its limit makes room first.
fn write(keyspace: &Keyspace, limit: usize, key: &[u8], value: &[u8], random: u64) {
    let (eviction, hash) = (lru(), keyspace.hash(key));
    let (mut won, wanted) = (0, keyspace.footprint(key.len() + value.len()));
    while keyspace.used_bytes() > limit && won < wanted {
        let room = keyspace.make_room(Some(hash), wanted, &eviction, NOW, random ^ won as u64);
        assert!(room.any() || room.bytes >= wanted, "there is always something to evict");
        won += room.bytes;
    }
    crate::store::Store::new(keyspace, 0, NOW, &eviction)
        .key(key)
        .set(NewValue::Bytes(value), None);
    // What single writes are too small for, a task does in the background.
    for step in 0.. {
        let stripe = step % keyspace.shape().stripes;
        if keyspace.used_bytes() <= limit + limit / 64 {
            break;
        }
        if !keyspace.compact(stripe).any() {
            assert!(
                keyspace
                    .make_room(None, 4096, &eviction, NOW, random ^ step as u64)
                    .any()
            );
        }
    }
}

#[test]
fn what_is_held_stays_near_the_limit_however_sizes_shift() {
    for limit in [4 << 20, 16 << 20] {
        let keyspace = Keyspace::new(Shape::suiting(limit as u64, 2, 16), ahash::RandomState::new());
        let mut rng = Rng::new(limit as u64);
        let mut index = 0;
        for phase in 0..6 {
            let mut written = 0;
            while written < steps(2 * limit) {
                let length = match phase {
                    0 | 5 => 64,
                    1 => 4096,
                    2 => 300,
                    3 => {
                        let most = 1 << rng.below(17);
                        rng.below(most)
                    }
                    _ => 900,
                };
                let (key, value) = (number(index), vec![phase as u8; length]);
                index += 1;
                written += length + 100;
                write(&keyspace, limit, &key, &value, rng.below(1 << 30) as u64);
                let held = keyspace.used_bytes();
                assert!(
                    held <= limit + limit / 16 + (128 << 10),
                    "phase {phase}: {held} bytes with a limit of {limit}, {:?} spare {}",
                    keyspace.memory(),
                    keyspace.spare_bytes()
                );
            }
            let memory = keyspace.memory();
            println!("limit {limit}, phase {phase}: {memory:?}, {}", keyspace.used_bytes());
        }
    }
}

#[test]
fn a_small_limit_is_used_for_entries() {
    for limit in [2 << 20, 4 << 20, 8 << 20, 64 << 20] {
        let keyspace = Keyspace::new(Shape::suiting(limit as u64, 2, 16), ahash::RandomState::new());
        let count = steps(limit / 40);
        for index in 0..count {
            let mut key = number(index);
            key.resize(16, b'_');
            write(&keyspace, limit, &key, &[b'v'; 64], index as u64);
        }
        let memory = keyspace.memory();
        let share = memory.entries as f64 / limit as f64;
        println!("limit {limit}: {share:.3} {memory:?}");
        assert!(count < limit / 40 || share >= 0.85, "{share} of {limit}: {memory:?}");
    }
}

#[test]
fn nothing_goes_where_nothing_is_eligible() {
    let keyspace = Keyspace::new(SHAPES[0], ahash::RandomState::new());
    (0..100).for_each(|index| put(&keyspace, &number(index), b"value"));
    let volatile = Eviction {
        policy: "volatile-lru".parse().expect("a policy"),
        ..Eviction::default()
    };
    for eviction in [Eviction::default(), volatile] {
        assert!(!keyspace.make_room(None, 1000, &eviction, NOW, 1).any());
    }
    assert_eq!(view(&keyspace, 0, NOW).len(0), 100);
}

#[test]
fn what_is_evicted_is_handed_out_and_not_freed_under_the_lock() {
    let keyspace = Keyspace::new(SHAPES[0], ahash::RandomState::with_seeds(1, 2, 3, 4));
    let eviction = lru();
    let large = vec![b'v'; 4 << 20];
    for key in 0..4 {
        Store::new(&keyspace, 0, NOW, &eviction).write_text(&number(key), &large);
    }
    let mut stripe = keyspace.lock(0);
    let before = stripe.memory().entries;
    let gone = stripe.evict_one(&eviction, NOW, 1).expect("something to evict");
    assert_eq!(before - stripe.memory().entries, gone.bytes);
    assert!(gone.bytes > large.len() && gone.value.is_some_and(|value| value.held_bytes() >= large.len()));
}

#[test]
fn what_was_evicted_ahead_is_spent_once() {
    let keyspace = Keyspace::new(SHAPES[0], ahash::RandomState::with_seeds(1, 2, 3, 4));
    let eviction = lru();
    for key in 0..1000 {
        Store::new(&keyspace, 0, NOW, &eviction).write_text(&number(key), &[b'v'; 64]);
    }
    let hash = keyspace.hash(&number(5));
    assert!(!keyspace.spend_credit(hash, 1));
    let room = keyspace.make_room(Some(hash), 96, &eviction, NOW, 7);
    assert!(room.evicted > 1 && room.bytes >= 96);
    let mut spent = 96;
    while keyspace.spend_credit(hash, 96) {
        spent += 96;
    }
    assert!(spent > 96 && spent <= room.bytes, "{spent} of {}", room.bytes);
}
