//! Expired keys are found when they are due, whatever becomes of the table meanwhile, and nothing else is.

use super::{NOW, Rng, SHAPES, number, reclaim_all, steps, view};
use crate::store::{Keyspace, NewValue, Shape};
use std::collections::HashMap;

/// How much later than its deadline a key may be found: a tick of the schedule.
const TICK_MS: u64 = 8;

fn keyspace(stripes: usize) -> Keyspace {
    let shape = Shape {
        stripes,
        slab_bytes: 65536,
        huge_pages: false,
        databases: 2,
    };
    Keyspace::new(shape, ahash::RandomState::new())
}

fn set(keyspace: &Keyspace, database: usize, key: &[u8], deadline: Option<u64>, now_ms: u64) {
    view(keyspace, database, now_ms)
        .key(key)
        .set(NewValue::Bytes(b"value"), deadline);
}

#[test]
fn the_average_time_to_live_is_known_where_few_keys_have_one() {
    let keyspace = keyspace(4);
    (0..20_000).for_each(|key| set(&keyspace, 0, &number(key), None, NOW));
    assert_eq!(view(&keyspace, 0, NOW).survey().databases[0].average_ttl_ms, 0);
    (0..3).for_each(|key| set(&keyspace, 0, &number(key), Some(NOW + 60_000), NOW));
    for minute in 0..60 {
        let now_ms = NOW + minute * 1000;
        let average = view(&keyspace, 0, now_ms).survey().databases[0].average_ttl_ms;
        assert_eq!(average, NOW + 60_000 - now_ms);
    }
}

/// A time to live of any order of magnitude up to half a year.
fn ttl_ms(rng: &mut Rng) -> u64 {
    let digits = rng.below(34);
    1 + rng.below(1 << digits) as u64
}

/// Fails unless exactly the keys of `model` that are not overdue are there; those overdue by less than a tick may be.
fn check(keyspace: &Keyspace, models: &mut [HashMap<Vec<u8>, Option<u64>>; 2], now_ms: u64) {
    for (database, model) in models.iter_mut().enumerate() {
        let overdue = |deadline: Option<u64>, by: u64| deadline.is_some_and(|deadline| deadline + by <= now_ms);
        let lazy = model.values().filter(|deadline| overdue(**deadline, 0)).count();
        model.retain(|_, deadline| !overdue(*deadline, TICK_MS));
        let mut store = view(keyspace, database, now_ms);
        let len = store.len(database);
        assert!(
            len <= model.len() && len + lazy >= model.len(),
            "{len} of {}",
            model.len()
        );
        for (key, deadline) in model.iter() {
            assert_eq!(store.key(key).exists(), !overdue(*deadline, 0));
        }
        model.retain(|_, deadline| !overdue(*deadline, 0));
    }
}

/// Random changes of many keys while the clock goes as `step` says.
fn churn(shape: Shape, seed: u64, step: impl Fn(&mut Rng, u64) -> u64) {
    let keyspace = Keyspace::new(shape, ahash::RandomState::new());
    let mut models: [HashMap<Vec<u8>, Option<u64>>; 2] = Default::default();
    let (mut rng, mut now_ms) = (Rng::new(seed), NOW);
    for round in 0..steps(40) {
        // Grows and shrinks over rounds, so that buckets are split and merged while they are scheduled.
        for _ in 0..200 {
            let (database, key) = (rng.below(2), number(rng.below(2000)));
            let removes = if round / 10 % 2 == 0 { 5 } else { 2 };
            let deadline = (!rng.one_in(4)).then(|| now_ms + ttl_ms(&mut rng));
            let mut store = view(&keyspace, database, now_ms);
            if rng.one_in(removes) {
                store.key(&key).remove();
                models[database].remove(&key);
            } else if rng.one_in(3) {
                if store.key(&key).set_deadline(deadline) {
                    models[database].insert(key, deadline);
                }
            } else {
                store.key(&key).set(NewValue::Bytes(&key), deadline);
                models[database].insert(key, deadline);
            }
        }
        if rng.one_in(10) {
            view(&keyspace, 0, now_ms).swap(0, 1);
            models.swap(0, 1);
        }
        if rng.one_in(20) {
            drop(view(&keyspace, 0, now_ms).flush(1));
            models[1].clear();
        }
        now_ms = step(&mut rng, now_ms);
        reclaim_all(&keyspace, now_ms);
        check(&keyspace, &mut models, now_ms);
    }
    for _ in 0..2 {
        let latest = models.iter().flat_map(|model| model.values().flatten()).max();
        now_ms = now_ms.max(latest.copied().unwrap_or(0)) + TICK_MS;
        reclaim_all(&keyspace, now_ms);
    }
    check(&keyspace, &mut models, now_ms);
    assert_eq!(view(&keyspace, 0, now_ms).volatile(0), 0);
}

#[test]
fn every_due_key_is_reclaimed_within_a_tick_and_no_other() {
    for shape in SHAPES {
        for seed in 0..2 {
            churn(shape, seed, |rng, now_ms| now_ms + ttl_ms(rng) / 4);
        }
    }
}

#[test]
fn clock_steps_back_and_forth_lose_and_delay_nothing() {
    for shape in SHAPES {
        for seed in 0..2 {
            churn(shape, seed, |rng, now_ms| {
                let by = ttl_ms(rng);
                if rng.one_in(3) { now_ms - by } else { now_ms + by }
            });
        }
    }
}

#[test]
fn setting_a_deadline_again_and_again_takes_no_memory() {
    let keyspace = keyspace(1);
    set(&keyspace, 0, b"key", Some(NOW + 1_000_000), NOW);
    let before = keyspace.memory();
    let mut rng = Rng::new(1);
    for round in 0..steps(200_000) as u64 {
        let deadline = NOW + round + 1 + rng.below(1 << 40) as u64;
        view(&keyspace, 0, NOW + round).key(b"key").set_deadline(Some(deadline));
    }
    let after = keyspace.memory();
    assert_eq!((after.held, after.index), (before.held, before.index));
}

#[test]
fn one_lock_reclaims_a_bounded_number_and_goes_on_where_it_stopped() {
    let keyspace = keyspace(1);
    let keys = steps(20_000);
    (0..keys).for_each(|index| set(&keyspace, index % 2, &number(index), Some(NOW), NOW - 1));
    let mut removed = 0;
    while keyspace.is_due(0, NOW) {
        let step = keyspace.reclaim_due(0, NOW);
        assert!(step < 500, "{step} keys under one lock");
        removed += step;
    }
    assert_eq!((removed, keyspace.counters().expired), (keys, keys as u64));
    assert_eq!(keyspace.next_due_ms(), None);
}

#[test]
fn deadlines_at_the_edges_of_numbers_never_come() {
    let keyspace = keyspace(1);
    for (index, deadline) in [i64::MAX as u64, i64::MAX as u64 - 1, u64::MAX].into_iter().enumerate() {
        set(&keyspace, 0, &number(index), Some(deadline), NOW);
        set(&keyspace, 0, &number(index + 100), None, NOW);
        assert!(
            view(&keyspace, 0, NOW)
                .key(&number(index + 100))
                .set_deadline(Some(deadline))
        );
    }
    for years in 1..100 {
        reclaim_all(&keyspace, NOW + years * 365 * 86_400_000);
    }
    assert_eq!(view(&keyspace, 0, NOW).len(0), 6);
}

#[test]
fn a_deadline_costs_a_key_at_most_twelve_bytes() {
    let held = |deadline: Option<u64>| {
        let keyspace = keyspace(4);
        let keys = steps(100_000);
        (0..keys).for_each(|index| set(&keyspace, 0, format!("key:{index:012}").as_bytes(), deadline, NOW));
        keyspace.memory().held as f64 / keys as f64
    };
    let more = held(Some(NOW + 3_600_000)) - held(None);
    println!("{more:.2} bytes more per key");
    assert!(more <= 12.0, "{more:.2} bytes");
}

/// CPU time that this thread has used, in nanoseconds; 0 where the system does not tell.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0)
}

#[test]
#[ignore = "a measurement, for an optimised build: prints what reclaiming a key costs"]
fn cost_of_reclaiming_a_crowd() {
    let keys = 2_000_000;
    for (name, together) in [("one deadline", true), ("over a minute", false)] {
        let shape = Shape {
            stripes: 32,
            slab_bytes: 65536,
            huge_pages: true,
            databases: 1,
        };
        let keyspace = Keyspace::new(shape, ahash::RandomState::new());
        let mut rng = Rng::new(1);
        for index in 0..keys {
            let deadline = NOW + if together { 60_000 } else { 1 + rng.below(60_000) as u64 };
            set(&keyspace, 0, format!("key:{index:012}").as_bytes(), Some(deadline), NOW);
        }
        let (mut now_ms, mut removed, mut locks, began) = (NOW, 0, 0, cpu_ns());
        while removed < keys {
            // As the node does it: a look every 16 ms.
            now_ms += 16;
            for index in 0..shape.stripes {
                while keyspace.is_due(index, now_ms) {
                    removed += keyspace.reclaim_due(index, now_ms);
                    locks += 1;
                }
            }
        }
        let ns = (cpu_ns() - began) as f64;
        println!(
            "{name}: {:.0} ns per key, {:.2} M keys/s, {locks} locks of {:.1} us",
            ns / keys as f64,
            keys as f64 * 1e3 / ns,
            ns / f64::from(locks) / 1e3,
        );
    }
}
