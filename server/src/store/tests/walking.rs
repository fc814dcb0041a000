//! SCAN sees what stays, however the tables grow and shrink meanwhile, and sees nothing twice.

use super::{NOW, Rng, SHAPES, number, put, steps, view};
use crate::store::{Keyspace, NewValue};
use std::collections::HashMap;

/// What happens between two calls of a scan.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    Grows,
    Shrinks,
    /// Grows in the first half of the hash space and shrinks in the second, then over again.
    Swings,
    Churns,
}

fn disturb(keyspace: &Keyspace, rng: &mut Rng, how: Meanwhile, call: usize, passing: &mut Vec<Vec<u8>>) {
    let grows = match how {
        Meanwhile::Grows => true,
        Meanwhile::Shrinks => false,
        Meanwhile::Swings => (call / 8).is_multiple_of(2),
        Meanwhile::Churns => rng.one_in(2),
    };
    for _ in 0..40 {
        if grows {
            let key = format!("passing:{}", rng.below(20_000)).into_bytes();
            put(keyspace, &key, b"1");
            passing.push(key);
        } else if let Some(key) = passing.pop() {
            view(keyspace, 0, NOW).key(&key).remove();
        }
    }
}

#[test]
fn a_scan_sees_every_key_that_stays_exactly_once() {
    let kinds = [
        Meanwhile::Grows,
        Meanwhile::Shrinks,
        Meanwhile::Swings,
        Meanwhile::Churns,
    ];
    for (shape, how) in SHAPES.into_iter().flat_map(|shape| kinds.map(|how| (shape, how))) {
        for seed in 0..steps(4) as u64 {
            let keyspace = Keyspace::new(shape, ahash::RandomState::new());
            let mut rng = Rng::new(seed);
            let mut passing: Vec<Vec<u8>> = (0..8000).map(|i| format!("passing:{i}").into_bytes()).collect();
            passing.iter().for_each(|key| put(&keyspace, key, b"1"));
            let stay: Vec<Vec<u8>> = (0..300).map(number).collect();
            stay.iter().for_each(|key| put(&keyspace, key, b"1"));
            let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
            let (mut cursor, mut call) = (0, 0);
            loop {
                let visit = &mut |key: &[u8], _| *seen.entry(key.to_vec()).or_default() += 1;
                cursor = view(&keyspace, 0, NOW).scan(cursor, visit);
                call += 1;
                if cursor == 0 {
                    break;
                }
                assert!(call < 100_000, "the scan ends");
                disturb(&keyspace, &mut rng, how, call, &mut passing);
            }
            let missed = stay.iter().filter(|key| !seen.contains_key(*key)).count();
            let twice = seen.values().filter(|&&times| times > 1).count();
            assert_eq!((missed, twice), (0, 0), "{shape:?} {how:?} seed {seed}");
        }
    }
}

#[test]
fn a_scan_skips_expired_keys_and_takes_any_cursor() {
    let keyspace = Keyspace::new(SHAPES[2], ahash::RandomState::new());
    for index in 0..1000 {
        let deadline = (index % 2 == 0).then_some(NOW + 10);
        view(&keyspace, 0, NOW)
            .key(&number(index))
            .set(NewValue::Bytes(b"1"), deadline);
    }
    assert_eq!(super::scan_all(&mut view(&keyspace, 0, NOW + 9)).len(), 1000);
    assert_eq!(super::scan_all(&mut view(&keyspace, 0, NOW + 10)).len(), 500);
    let mut rng = Rng::new(4);
    for _ in 0..1000 {
        let mut cursor = rng.below(usize::MAX) as u64 >> rng.below(64);
        for _ in 0..10_000 {
            cursor = view(&keyspace, 0, NOW).scan(cursor, &mut |_, _| ());
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(cursor, 0, "any cursor comes to an end");
    }
}

#[test]
fn every_key_is_drawn_at_random_about_equally_often() {
    for (shape, keys) in SHAPES.into_iter().flat_map(|shape| [3, 40].map(|keys| (shape, keys))) {
        let keyspace = Keyspace::new(shape, ahash::RandomState::new());
        (0..keys).for_each(|index| put(&keyspace, &number(index), b"1"));
        let mut drawn: HashMap<Vec<u8>, usize> = HashMap::new();
        for random in 0..keys as u64 * 200 {
            let key = view(&keyspace, 0, NOW).random_key(random).expect("there are keys");
            *drawn.entry(key).or_default() += 1;
        }
        assert_eq!(drawn.len(), keys);
        // Buckets are drawn by their share of the hash space, so a key in a crowded one comes up less.
        assert!(
            drawn.values().all(|&times| (10..1200).contains(&times)),
            "{shape:?} {drawn:?}"
        );
    }
}
