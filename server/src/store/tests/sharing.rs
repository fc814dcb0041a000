//! Several threads on one keyspace, and a thread that panics.

use super::{NOW, Rng, SHAPES, get, number, put, scan_all, steps, view};
use crate::store::{Dirty, Keyspace, NewValue, Store};
use std::sync::atomic::{AtomicBool, Ordering};

fn add(store: &mut Store<'_>, key: &[u8], amount: i64) {
    let mut key = store.key(key);
    let text = key.text().expect("all values are strings").map(|text| text.to_vec());
    let old = text.map_or(0, |text| crate::text::parse_i64(&text).expect("all values are numbers"));
    key.set_keeping_deadline(NewValue::Bytes((old + amount).to_string().as_bytes()));
}

fn amount(keyspace: &Keyspace, index: usize) -> i64 {
    get(keyspace, &number(index)).map_or(0, |text| crate::text::parse_i64(&text).expect("all values are numbers"))
}

#[test]
fn counts_of_several_threads_add_up() {
    const THREADS: usize = 4;
    for shape in SHAPES {
        let keyspace = Keyspace::new(shape, ahash::RandomState::new());
        let rounds = steps(20_000);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let keyspace = &keyspace;
                scope.spawn(move || {
                    let mut rng = Rng::new(thread as u64);
                    for _ in 0..rounds {
                        add(&mut view(keyspace, 0, NOW), &number(rng.below(50)), 1);
                        let own = format!("thread:{thread}:{}", rng.below(500)).into_bytes();
                        if rng.one_in(2) {
                            view(keyspace, 1, NOW).key(&own).set(NewValue::Bytes(&own), None);
                        } else {
                            view(keyspace, 1, NOW).key(&own).remove();
                        }
                    }
                });
            }
        });
        let sum: i64 = (0..50).map(|index| amount(&keyspace, index)).sum();
        assert_eq!(sum, (THREADS * rounds) as i64);
    }
}

#[test]
fn what_is_done_under_held_stripes_is_seen_whole() {
    const ACCOUNTS: usize = 20;
    for shape in [SHAPES[0], SHAPES[2], SHAPES[3]] {
        let keyspace = Keyspace::new(shape, ahash::RandomState::new());
        (0..ACCOUNTS).for_each(|index| put(&keyspace, &number(index), b"100"));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let movers: Vec<_> = (0..3)
                .map(|thread| {
                    let keyspace = &keyspace;
                    scope.spawn(move || {
                        let mut rng = Rng::new(thread);
                        for _ in 0..steps(5000) {
                            let (from, to) = (number(rng.below(ACCOUNTS)), number(rng.below(ACCOUNTS)));
                            let mut store = view(keyspace, 0, NOW);
                            store.hold([&from[..], &to[..]]);
                            let part = rng.below(10) as i64;
                            add(&mut store, &from, -part);
                            add(&mut store, &to, part);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let mut store = view(&keyspace, 0, NOW);
                    store.hold_all();
                    let mut sum = 0;
                    for index in 0..ACCOUNTS {
                        let key = number(index);
                        let mut key = store.key(&key);
                        let text = key.text().expect("a string").expect("accounts stay").to_vec();
                        sum += crate::text::parse_i64(&text).expect("a number");
                    }
                    assert_eq!(sum, 100 * ACCOUNTS as i64);
                }
            });
            movers
                .into_iter()
                .for_each(|mover| mover.join().expect("no mover panics"));
            done.store(true, Ordering::Release);
        });
    }
}

#[test]
fn a_flush_takes_all_keys_at_one_moment_and_is_freed_under_no_lock() {
    for shape in SHAPES {
        let keyspace = Keyspace::new(shape, ahash::RandomState::new());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Writes a pair in order: the second must never be missing while the first is newer.
            scope.spawn(|| {
                for round in 0..steps(3000) {
                    let text = round.to_string();
                    put(&keyspace, b"first", text.as_bytes());
                    put(&keyspace, b"second", text.as_bytes());
                    let mut store = view(&keyspace, 0, NOW);
                    store.hold([&b"first"[..], b"second"]);
                    let first = store.key(b"first").exists();
                    let second = store.key(b"second").exists();
                    assert!(second || !first, "a flush lost the later write and kept the earlier");
                }
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                let flushed = view(&keyspace, 0, NOW).flush_all();
                // Everything can be locked while the flushed tables still wait to be freed.
                view(&keyspace, 0, NOW).hold_all();
                drop(flushed);
            }
        });
    }
}

#[test]
fn swaps_and_flushes_under_load_leave_a_sound_keyspace() {
    let keyspace = Keyspace::new(SHAPES[2], ahash::RandomState::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let keyspace = &keyspace;
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                for _ in 0..steps(5000) {
                    let (database, key) = (rng.below(3), number(rng.below(300)));
                    let mut store = view(keyspace, database, NOW);
                    match rng.below(200) {
                        0 => store.swap(database, rng.below(3)),
                        1 => drop(store.flush(database)),
                        2 => drop(scan_all(&mut store)),
                        3 => drop(store.random_key(7)),
                        4..100 => store.key(&key).set(NewValue::Bytes(&key), None),
                        100..150 => drop(store.key(&key).remove()),
                        _ => {
                            let mut key = store.key(&key);
                            let text = key.text().expect("all values are strings").map(|text| text.to_vec());
                            assert!(text.is_none_or(|text| text.starts_with(b"key:")));
                        }
                    }
                }
            });
        }
    });
    let lens: usize = (0..3)
        .map(|database| view(&keyspace, database, NOW).len(database))
        .sum();
    let seen: usize = (0..3)
        .map(|database| scan_all(&mut view(&keyspace, database, NOW)).len())
        .sum();
    assert_eq!(lens, seen);
    drop(view(&keyspace, 0, NOW).flush_all());
    assert_eq!(
        (keyspace.memory().held, keyspace.used_bytes()),
        (0, keyspace.spare_bytes())
    );
}

#[test]
fn a_stripe_whose_holder_panicked_is_emptied_and_usable() {
    let keyspace = Keyspace::new(SHAPES[2], ahash::RandomState::new());
    (0..1000).for_each(|index| put(&keyspace, &number(index), b"value"));
    let dirty = Dirty::default();
    view(&keyspace, 0, NOW).watch(0, &number(0), &dirty);
    let panicked = std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let mut store = view(&keyspace, 0, NOW);
            let name = number(0);
            let mut key = store.key(&name);
            key.edit_text(10, |_| panic!("as a bug in a handler would"));
        });
        holder.join().is_err()
    });
    assert!(panicked);
    assert_eq!(get(&keyspace, &number(0)), None);
    assert!(dirty.load(Ordering::Acquire), "who watched a lost key is told");
    let left = view(&keyspace, 0, NOW).len(0);
    assert!(
        (850..1000).contains(&left),
        "only one of 16 stripes was emptied: {left} are left"
    );
    (0..1000).for_each(|index| put(&keyspace, &number(index), b"again"));
    assert!((0..1000).all(|index| get(&keyspace, &number(index)).as_deref() == Some(b"again")));
    drop(view(&keyspace, 0, NOW).flush_all());
    assert_eq!(
        (keyspace.memory().held, keyspace.used_bytes()),
        (0, keyspace.spare_bytes())
    );
}
