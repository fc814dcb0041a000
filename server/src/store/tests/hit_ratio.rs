//! The adaptive policy hits more than LRU and LFU where each of them is weak, about as much where it is strong, and
//! less than one that knows the future.

use super::policies::policy;
use super::{NOW, Rng, Shape, number, steps};
use crate::store::{Keyspace, Store};
use std::collections::{BTreeSet, HashMap};

const LIMIT: usize = 400 << 10;

/// Requests for keys.
type Trace = Vec<usize>;

/// Keys with a few that are popular: the rank falls off as a power of the draw.
fn popular(rng: &mut Rng, keys: usize) -> usize {
    let draw = rng.below(1 << 20) as f64 / f64::from(1 << 20);
    ((keys as f64).powf(draw) - 1.0) as usize
}

/// Half of the requests go to keys that come once, as when a table is scanned.
fn scans(requests: usize) -> Trace {
    let mut rng = Rng::new(1);
    let fresh = |at: usize| 1_000_000 + at;
    (0..requests)
        .map(|at| {
            if at % 4000 < 2000 {
                fresh(at)
            } else {
                popular(&mut rng, 20_000)
            }
        })
        .collect()
}

/// What is popular changes over and over.
fn shifting(requests: usize) -> Trace {
    let mut rng = Rng::new(2);
    (0..requests)
        .map(|at| popular(&mut rng, 20_000) + at / 20_000 * 7_000)
        .collect()
}

/// Twice as many keys as fit, one after the other.
fn looping(requests: usize) -> Trace {
    (0..requests).map(|at| at % 6000).collect()
}

/// Each key is read a few times soon after it came, and never again.
fn recent(requests: usize) -> Trace {
    let mut rng = Rng::new(3);
    (0..requests)
        .map(|at| at / 4 - (popular(&mut rng, 3000)).min(at / 4))
        .collect()
}

/// Replays a trace as an app does that looks up and, on a miss, stores; returns the misses, and how many keys fitted.
fn misses(name: &str, trace: &Trace) -> (usize, usize) {
    let shape = Shape {
        stripes: 2,
        slab_bytes: 4096,
        huge_pages: false,
        databases: 1,
    };
    let keyspace = Keyspace::new(shape, ahash::RandomState::with_seeds(5, 6, 7, 8));
    let eviction = policy(name);
    let mut misses = 0;
    for (at, &key) in trace.iter().enumerate() {
        let key = number(key);
        let mut store = Store::new(&keyspace, 0, NOW + at as u64 / 100, &eviction);
        if store.read_text(&key, |text| text.is_some()).expect("a string") {
            continue;
        }
        misses += 1;
        while keyspace.used_bytes() > LIMIT {
            assert_eq!(keyspace.evict(1, &eviction, NOW, at as u64), 1);
        }
        store.write_text(&key, &[0; 100]);
    }
    let fitted = Store::new(&keyspace, 0, NOW, &eviction).len(0);
    (misses, fitted)
}

/// The fewest misses possible with room for so many keys (Belady 1966).
fn least_misses(trace: &Trace, room: usize) -> usize {
    let mut next = vec![usize::MAX; trace.len()];
    let mut seen: HashMap<usize, usize> = HashMap::new();
    for (at, &key) in trace.iter().enumerate().rev() {
        next[at] = seen.insert(key, at).unwrap_or(usize::MAX - key);
    }
    let mut by_next: BTreeSet<usize> = BTreeSet::new();
    let mut misses = 0;
    for (at, &next) in next.iter().enumerate() {
        if !by_next.remove(&at) {
            misses += 1;
            if by_next.len() == room {
                by_next.pop_last();
            }
        }
        by_next.insert(next);
    }
    misses
}

/// Misses in percent of the requests, but for the first of each key: of adaptive, LRU and LFU. That nobody knows the
/// future is checked on the way.
fn avoidable(trace: &Trace) -> (f64, f64, f64) {
    let first = trace.iter().collect::<BTreeSet<_>>().len();
    let [(adaptive, fitted), (lru, _), (lfu, _)] =
        ["allkeys-adaptive", "allkeys-lru", "allkeys-lfu"].map(|name| misses(name, trace));
    assert!(least_misses(trace, fitted) <= adaptive);
    let percent = |misses: usize| (misses - first) as f64 * 100.0 / trace.len() as f64;
    (percent(adaptive), percent(lru), percent(lfu))
}

#[test]
fn adaptive_keeps_what_is_popular_through_scans() {
    let (adaptive, lru, lfu) = avoidable(&scans(steps(60_000)));
    assert!(adaptive < 0.85 * lru && adaptive < lfu + 1.0, "{adaptive} {lru} {lfu}");
}

#[test]
fn adaptive_follows_when_popularity_moves_on_at_a_stroke() {
    let (adaptive, lru, lfu) = avoidable(&shifting(steps(60_000)));
    assert!(adaptive < lru + 0.5 && adaptive < 0.9 * lfu, "{adaptive} {lru} {lfu}");
}

#[test]
fn adaptive_hits_in_a_loop_that_does_not_fit() {
    let (adaptive, lru, _) = avoidable(&looping(steps(60_000)));
    assert!(adaptive < 0.97 * lru, "{adaptive} {lru}");
}

#[test]
fn adaptive_is_near_lru_where_recency_is_all() {
    let (adaptive, lru, lfu) = avoidable(&recent(steps(60_000)));
    assert!(adaptive < lru + 2.0 && adaptive < 0.7 * lfu, "{adaptive} {lru} {lfu}");
}
