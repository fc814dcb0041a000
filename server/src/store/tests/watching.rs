//! Who watches a key hears of every change of it, and of no other.

use super::{NOW, SHAPES, number, put, view};
use crate::store::{Dirty, Key, Keyspace, NewValue};
use std::sync::atomic::Ordering;

fn watched(keyspace: &Keyspace, database: usize, key: &[u8], now_ms: u64) -> Dirty {
    let dirty = Dirty::default();
    view(keyspace, database, now_ms).watch(database, key, &dirty);
    dirty
}

fn is_told(dirty: &Dirty) -> bool {
    dirty.load(Ordering::Acquire)
}

#[test]
fn changes_are_told_and_reads_are_not() {
    for shape in SHAPES {
        let keyspace = Keyspace::new(shape, ahash::RandomState::new());
        put(&keyspace, b"key", b"value");
        let quiet = watched(&keyspace, 0, b"key", NOW);
        put(&keyspace, b"other", b"value");
        view(&keyspace, 1, NOW).key(b"key").set(NewValue::Bytes(b"value"), None);
        assert!(view(&keyspace, 0, NOW).key(b"key").read());
        assert!(view(&keyspace, 0, NOW).key(b"key").copy().is_some());
        drop(view(&keyspace, 0, NOW).flush(1));
        assert!(!is_told(&quiet));

        let told = |change: &dyn Fn()| {
            put(&keyspace, b"key", b"value");
            let dirty = watched(&keyspace, 0, b"key", NOW);
            change();
            is_told(&dirty)
        };
        let key = |change: &dyn Fn(&mut Key<'_>) -> bool| assert!(change(&mut view(&keyspace, 0, NOW).key(b"key")));
        assert!(told(&|| put(&keyspace, b"key", b"value")));
        assert!(told(&|| view(&keyspace, 0, NOW).key(b"key").edit_text(3, |_| ())));
        assert!(told(&|| key(&|key| key.set_deadline(Some(NOW + 5)))));
        assert!(told(&|| key(&|key| key.remove())));
        assert!(told(&|| key(&|key| key.take().is_some())));
        assert!(told(&|| drop(view(&keyspace, 0, NOW).flush(0))));
        assert!(told(&|| drop(view(&keyspace, 0, NOW).flush_all())));
        assert!(is_told(&quiet));
    }
}

#[test]
fn expiry_is_told_unless_it_came_before_the_watch() {
    let keyspace = Keyspace::new(SHAPES[2], ahash::RandomState::new());
    let expiring = |key: &[u8]| {
        view(&keyspace, 0, NOW)
            .key(key)
            .set(NewValue::Bytes(b"v"), Some(NOW + 10));
    };
    expiring(b"key");
    let before = watched(&keyspace, 0, b"key", NOW);
    assert!(!view(&keyspace, 0, NOW + 10).key(b"key").exists());
    assert!(is_told(&before));
    expiring(b"key");
    let after = watched(&keyspace, 0, b"key", NOW + 10);
    assert!(!view(&keyspace, 0, NOW + 10).key(b"key").exists());
    assert!(!is_told(&after));
}

#[test]
fn a_flush_or_swap_is_told_only_for_keys_that_were_or_will_be_there() {
    for shape in SHAPES {
        let keyspace = Keyspace::new(shape, ahash::RandomState::new());
        let absent = watched(&keyspace, 0, b"absent", NOW);
        (0..20).for_each(|index| put(&keyspace, &number(index), b"value"));
        let here: Vec<Dirty> = (0..20)
            .map(|index| watched(&keyspace, 0, &number(index), NOW))
            .collect();
        let there: Vec<Dirty> = (0..20)
            .map(|index| watched(&keyspace, 1, &number(index), NOW))
            .collect();
        let third = watched(&keyspace, 2, &number(0), NOW);
        view(&keyspace, 0, NOW).swap(0, 1);
        assert!(here.iter().chain(&there).all(is_told));
        assert!(!is_told(&absent) && !is_told(&third));

        // The watch follows the number of its database: database 0 is another table now.
        let moved = watched(&keyspace, 0, b"moved", NOW);
        view(&keyspace, 0, NOW).swap(0, 2);
        assert!(!is_told(&moved));
        view(&keyspace, 2, NOW).key(b"moved").set(NewValue::Bytes(b"1"), None);
        assert!(!is_told(&moved));
        put(&keyspace, b"moved", b"1");
        assert!(is_told(&moved));
        drop(view(&keyspace, 0, NOW).flush_all());
        assert!(!is_told(&absent));
    }
}

#[test]
fn a_forgotten_watch_is_not_told_and_leaves_nothing_behind() {
    let keyspace = Keyspace::new(SHAPES[2], ahash::RandomState::new());
    let (one, two) = (watched(&keyspace, 0, b"key", NOW), watched(&keyspace, 0, b"key", NOW));
    view(&keyspace, 0, NOW).watch(0, b"key", &one);
    view(&keyspace, 0, NOW).unwatch(0, b"key", &one);
    put(&keyspace, b"key", b"value");
    assert!(!is_told(&one) && is_told(&two));
    view(&keyspace, 0, NOW).unwatch(0, b"key", &two);
    assert!((0..keyspace.shape().stripes).all(|index| !keyspace.lock(index).watchers.any()));
}
