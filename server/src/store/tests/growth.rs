//! The table grows and shrinks by small steps, and long chains stay whole.

use super::{NOW, Rng, get, number, put, steps, view};
use crate::store::arena::Pool;
use crate::store::entry::{Content, Parts};
use crate::store::table::Table;
use crate::store::{Keyspace, Shape};
use std::cell::Cell;

/// Entries that one step may move: those of one or two buckets and their overflow.
const MOST_MOVED: usize = 64;

#[test]
fn no_insert_or_removal_moves_more_than_a_few_entries() {
    let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
    let mut table = Table::new(&Pool::new(65536, false));
    let moved = Cell::new(0);
    let rehash = |key: &[u8]| {
        moved.set(moved.get() + 1);
        hasher.hash_one(key)
    };
    let keys = steps(if cfg!(debug_assertions) { 200_000 } else { 1_000_000 });
    for index in 0..keys {
        let (key, buckets) = (number(index), table.bucket_count());
        let parts = Parts {
            key: &key,
            content: Content::Inline(b"value"),
            deadline: None,
            form: crate::store::entry::Form::Given,
            meta: 0,
        };
        table.insert(hasher.hash_one(&key[..]), parts, rehash);
        assert!(table.bucket_count() - buckets <= 1);
        assert!(moved.replace(0) <= MOST_MOVED);
    }
    assert!(table.len() == keys && table.bucket_count() as usize > keys / 8);
    for index in 0..keys {
        let (key, buckets) = (number(index), table.bucket_count());
        let hash = hasher.hash_one(&key[..]);
        let place = table.find(hash, &key).expect("it was inserted");
        assert!(table.remove(place, hash, rehash).is_none());
        assert!(buckets - table.bucket_count() <= 1);
        assert!(moved.replace(0) <= MOST_MOVED);
    }
    assert_eq!((table.len(), table.bucket_count(), table.entry_bytes()), (0, 1, 0));
}

#[test]
fn keys_that_share_a_bucket_are_all_found_in_any_order_of_removal() {
    let keyspace = Keyspace::new(
        Shape {
            stripes: 1,
            slab_bytes: 4096,
            huge_pages: false,
            databases: 1,
        },
        ahash::RandomState::new(),
    );
    // 400 keys make about 54 buckets, so ten equal bits of hash keep them in one.
    let all = (0..).map(number).filter(|key| keyspace.hash(key) & 0x3ff == 5);
    let mut keys: Vec<Vec<u8>> = all.take(400).collect();
    let mut rng = Rng::new(3);
    for round in 0..3 {
        keys.iter().for_each(|key| put(&keyspace, key, key));
        let mut left = keys.len();
        while left > 0 {
            let drawn = rng.below(left);
            left -= 1;
            keys.swap(drawn, left);
            assert!(view(&keyspace, 0, NOW).key(&keys[left]).remove());
            if left.is_multiple_of(20) || round == 0 && left > 380 {
                for (index, key) in keys.iter().enumerate() {
                    let kept = (index < left).then(|| key.clone());
                    assert_eq!(get(&keyspace, key), kept);
                }
            }
        }
        assert_eq!(keyspace.memory().entries, 0);
    }
}

#[test]
fn chains_are_whole_while_the_table_grows_over_them() {
    let keyspace = Keyspace::new(
        Shape {
            stripes: 1,
            slab_bytes: 65536,
            huge_pages: false,
            databases: 1,
        },
        ahash::RandomState::new(),
    );
    let crowd: Vec<Vec<u8>> = (0..)
        .map(number)
        .filter(|key| keyspace.hash(key) & 0xff == 77)
        .take(200)
        .collect();
    let others: Vec<Vec<u8>> = (0..20_000).map(|index| format!("other:{index}").into_bytes()).collect();
    crowd.iter().for_each(|key| put(&keyspace, key, b"crowd"));
    for (index, key) in others.iter().enumerate() {
        put(&keyspace, key, b"other");
        if index % 1000 == 0 {
            assert!(crowd.iter().all(|key| get(&keyspace, key).is_some()));
        }
    }
    for (index, key) in others.iter().enumerate() {
        assert!(view(&keyspace, 0, NOW).key(key).remove());
        if index % 1000 == 0 {
            assert!(crowd.iter().all(|key| get(&keyspace, key).is_some()));
        }
    }
    assert_eq!(view(&keyspace, 0, NOW).len(0), crowd.len());
}
