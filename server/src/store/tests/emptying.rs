//! However keys go, their memory is accounted back to nothing.

use super::{NOW, Rng, SHAPES, number, reclaim_all, scan_all, steps, view};
use crate::store::eviction::Eviction;
use crate::store::{Keyspace, NewValue};

const DEADLINE: u64 = NOW + 1000;

/// Keys and values of all sizes, half with a deadline.
fn fill(keyspace: &Keyspace, all_volatile: bool) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(9);
    (0..steps(5000))
        .map(|index| {
            let mut key = number(index);
            key.resize(
                [10, 16, 300, 600, 6000][[0, 0, 0, 1, 1, 2, 3, 4][rng.below(8)]].max(key.len()),
                b'_',
            );
            let value = vec![b'v'; [0, 10, 60, 500, 520, 9000][[0, 1, 1, 1, 2, 2, 3, 4, 5][rng.below(9)]]];
            let deadline = (all_volatile || rng.one_in(2)).then_some(DEADLINE);
            view(keyspace, index % 3, NOW)
                .key(&key)
                .set(NewValue::Bytes(&value), deadline);
            key
        })
        .collect()
}

fn assert_empty(keyspace: &Keyspace) {
    let memory = keyspace.memory();
    assert_eq!(memory.entries, 0);
    let shape = keyspace.shape();
    // Each table keeps a segment or two of buckets, lists of segments, slabs and overflow buckets, and a schedule.
    let lists = 64 * 1024 / shape.stripes.min(8) + 512;
    let rest = shape.stripes * shape.databases * (2 * 4096 + lists + 4096);
    assert!(memory.index <= rest && memory.held <= 2 * rest, "{memory:?} > {rest}");
    for database in 0..shape.databases {
        let mut store = view(keyspace, database, NOW);
        assert_eq!((store.len(database), store.volatile(database)), (0, 0));
        assert!(scan_all(&mut store).is_empty());
        assert_eq!(store.random_key(1), None);
    }
}

/// Fills keyspaces of all shapes, lets `empty` empty them, and looks at what is left.
fn each_shape(all_volatile: bool, empty: impl Fn(&Keyspace, &[Vec<u8>])) {
    for shape in SHAPES {
        let keyspace = Keyspace::new(shape, ahash::RandomState::new());
        for _ in 0..2 {
            let keys = fill(&keyspace, all_volatile);
            assert!(keyspace.memory().entries > 0);
            empty(&keyspace, &keys);
            assert_empty(&keyspace);
        }
    }
}

#[test]
fn by_removing() {
    each_shape(false, |keyspace, keys| {
        for (index, key) in keys.iter().enumerate() {
            assert!(view(keyspace, index % 3, NOW).key(key).remove());
        }
    });
}

#[test]
fn by_taking_values_out() {
    each_shape(false, |keyspace, keys| {
        for (index, key) in keys.iter().enumerate() {
            assert!(view(keyspace, index % 3, NOW).key(key).take().is_some());
        }
    });
}

#[test]
fn by_deadlines_in_the_past() {
    each_shape(false, |keyspace, keys| {
        for (index, key) in keys.iter().enumerate() {
            let mut store = view(keyspace, index % 3, NOW);
            if index % 2 == 0 {
                assert!(store.key(key).set_deadline(Some(NOW)));
            } else {
                store.key(key).set(NewValue::Bytes(b"never seen"), Some(NOW));
            }
        }
    });
}

#[test]
fn by_finding_keys_expired() {
    each_shape(true, |keyspace, keys| {
        for (index, key) in keys.iter().enumerate() {
            let mut store = view(keyspace, index % 3, DEADLINE);
            assert!(!if index % 2 == 0 {
                store.key(key).exists()
            } else {
                store.key(key).read()
            });
        }
        assert_eq!(keyspace.counters().expired % keys.len() as u64, 0);
    });
}

#[test]
fn by_reclaiming_expired_keys() {
    each_shape(true, |keyspace, _| {
        reclaim_all(keyspace, DEADLINE - 1);
        assert!(keyspace.memory().entries > 0, "nothing has expired yet");
        reclaim_all(keyspace, DEADLINE);
    });
}

#[test]
fn by_drawing_expired_keys_at_random() {
    each_shape(true, |keyspace, _| {
        for database in 0..3 {
            assert_eq!(view(keyspace, database, DEADLINE).random_key(5), None);
        }
        reclaim_all(keyspace, DEADLINE);
    });
}

#[test]
fn by_eviction() {
    for name in [
        "allkeys-lru",
        "allkeys-random",
        "allkeys-adaptive",
        "volatile-ttl",
        "volatile-adaptive",
    ] {
        let eviction = Eviction {
            policy: name.parse().expect("a policy"),
            ..Eviction::default()
        };
        each_shape(true, |keyspace, keys| {
            let mut evicted = 0;
            while evicted < keys.len() {
                let draw = keyspace.evict(10, &eviction, NOW, evicted as u64);
                assert!(draw > 0, "all keys are eligible");
                evicted += draw;
            }
        });
    }
}

#[test]
fn by_flushing_each_database() {
    each_shape(false, |keyspace, _| {
        for database in 0..3 {
            let flushed = view(keyspace, 0, NOW).flush(database);
            assert!(!flushed.is_empty() && flushed.frees() > 0);
        }
        assert_eq!(
            (keyspace.memory().held, keyspace.used_bytes()),
            (0, keyspace.spare_bytes())
        );
    });
}

#[test]
fn by_a_flush_inside_of_a_transaction() {
    each_shape(false, |keyspace, _| {
        let mut outer = view(keyspace, 0, NOW);
        outer.hold_all();
        let mut inner = outer.lend(1);
        assert!(inner.holds() && inner.len(1) > 0);
        let flushed = inner.flush_all();
        assert_eq!((inner.len(0), inner.len(1), inner.len(2)), (0, 0, 0));
        drop(inner);
        outer.release();
        drop(flushed);
    });
}
