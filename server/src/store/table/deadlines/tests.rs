//! The wheel against a model: a map from bucket to deadline.

use super::*;
use crate::store::eviction::mix;
use crate::store::tests::steps;
use std::collections::BTreeMap;

const NOW: u64 = 1_700_000_000_000;
const TICK_MS: u64 = 1 << TICK_SHIFT;

/// What a test knows of the deadlines, and the clock.
struct Model {
    wheel: Wheel,
    /// The earliest deadline of each bucket.
    deadlines: BTreeMap<u32, u64>,
    now_ms: u64,
    seed: u64,
    draws: u64,
}

impl Model {
    fn new(seed: u64) -> Model {
        Model {
            wheel: Wheel::new(NOW),
            deadlines: BTreeMap::new(),
            now_ms: NOW,
            seed,
            draws: 0,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.draws += 1;
        mix(self.seed, self.draws) % bound
    }

    fn set(&mut self, bucket: u32, deadline_ms: u64) {
        let earliest = self.deadlines.entry(bucket).or_insert(deadline_ms);
        *earliest = deadline_ms.min(*earliest);
        if !self.wheel.covers(bucket, deadline_ms) {
            let when_ms = self.wheel.schedule(bucket, deadline_ms, self.now_ms);
            assert!(when_ms < deadline_ms.max(self.now_ms).saturating_add(TICK_MS));
            assert!(self.wheel.next_ms() <= when_ms);
        }
        assert!(self.wheel.covers(bucket, deadline_ms));
    }

    /// Works on all that is due, as a table does; returns how many buckets were walked.
    fn work(&mut self) -> usize {
        let mut walked = 0;
        while self.wheel.next_ms() <= self.now_ms {
            self.wheel.turn(self.now_ms);
            self.wheel.file_anew(3);
            for _ in 0..2 {
                let Some(bucket) = self.wheel.next_due() else { break };
                walked += 1;
                let earliest = self.deadlines.get(&bucket).copied();
                let left = earliest.filter(|&deadline_ms| deadline_ms > self.now_ms);
                if left.is_none() {
                    self.deadlines.remove(&bucket);
                }
                self.wheel.settle(bucket, left);
            }
            self.wheel.trim(1);
        }
        self.check();
        walked
    }

    /// Nothing that is overdue is left, and all others are scheduled.
    fn check(&self) {
        for (&bucket, &deadline_ms) in &self.deadlines {
            assert!(
                deadline_ms.saturating_add(TICK_MS) > self.now_ms,
                "{deadline_ms} at {}",
                self.now_ms
            );
            assert!(
                self.wheel.covers(bucket, deadline_ms),
                "bucket {bucket} would miss {deadline_ms}"
            );
        }
        if let Some(&first) = self.deadlines.values().min() {
            assert!(self.wheel.next_ms() <= first.max(self.now_ms).saturating_add(TICK_MS));
        }
    }

    /// A time to live, of any order of magnitude.
    fn ttl_ms(&mut self) -> u64 {
        let digits = self.below(40);
        self.below(1 << digits)
    }
}

/// Random operations; `step` moves the clock.
fn run(seed: u64, operations: usize, mut step: impl FnMut(&mut Model) -> u64) {
    let mut model = Model::new(seed);
    let mut buckets = 1;
    for _ in 0..operations {
        let bucket = model.below(u64::from(buckets)) as u32;
        match model.below(12) {
            0..=4 => {
                let deadline_ms = model.now_ms + model.ttl_ms();
                model.set(bucket, deadline_ms);
            }
            5 => {
                // A key or its deadline goes: the wheel is not told.
                model.deadlines.remove(&bucket);
            }
            6 | 7 if buckets < 600 => {
                model.wheel.split(bucket, buckets);
                if let Some(&deadline_ms) = model.deadlines.get(&bucket) {
                    model.deadlines.insert(buckets, deadline_ms);
                }
                buckets += 1;
            }
            8 if buckets > 1 => {
                buckets -= 1;
                let into = model.below(u64::from(buckets)) as u32;
                model.wheel.merge(buckets, into);
                if let Some(deadline_ms) = model.deadlines.remove(&buckets) {
                    let earliest = model.deadlines.entry(into).or_insert(deadline_ms);
                    *earliest = deadline_ms.min(*earliest);
                }
            }
            _ => {
                model.now_ms = step(&mut model);
                model.work();
            }
        }
    }
    // Everything that is left is found in the end, and nothing is kept of it.
    while let Some(&last) = model.deadlines.values().max() {
        model.now_ms = model.now_ms.max(last) + TICK_MS;
        model.work();
    }
    model.now_ms += HORIZON << (TICK_SHIFT + 1);
    model.work();
    assert_eq!((model.wheel.next_ms(), model.wheel.is_bare()), (NEVER_MS, true));
    assert_eq!(model.wheel.allocated, 0);
}

#[test]
fn nothing_is_late_and_nothing_is_lost_as_time_goes_on() {
    for seed in 0..steps(8) as u64 {
        run(seed, 10_000, |model| {
            let reach = model.below(20);
            model.now_ms + model.below(1 << reach)
        });
    }
}

#[test]
fn nothing_is_late_and_nothing_is_lost_when_the_clock_jumps() {
    for seed in 0..steps(8) as u64 {
        run(seed, 10_000, |model| {
            let reach = model.below(42);
            let by = model.below(1 << reach);
            if model.below(3) == 0 {
                model.now_ms.saturating_sub(by)
            } else {
                model.now_ms + by
            }
        });
    }
}

#[test]
fn a_clock_that_jumps_by_years_passes_no_empty_slots() {
    let mut model = Model::new(1);
    let year_ms = 365 * 86_400_000;
    for bucket in 0..1000 {
        model.set(bucket, NOW + u64::from(bucket) * year_ms / 1000 * 20);
    }
    // Two jumps for each of the half-years that it can tell apart, whatever a tick is.
    for years in [5, 10, 20] {
        model.now_ms = NOW + years * year_ms;
        model.work();
    }
    assert!(model.deadlines.is_empty());
    // And a turn with nothing to find.
    model.set(7, u64::MAX);
    let before = model.wheel.at;
    model.wheel.turn(u64::MAX / 2);
    assert!(model.wheel.at > before && model.wheel.at <= before + 2 * MOST_AHEAD);
}

#[test]
fn a_deadline_set_again_and_again_leaves_nothing_behind() {
    let mut model = Model::new(2);
    model.set(9, NOW + 1_000_000);
    let bytes = model.wheel.bytes();
    for round in 0..100_000 {
        let deadline_ms = NOW + model.below(1_000_000_000);
        if !model.wheel.covers(9, deadline_ms) {
            model.wheel.schedule(9, deadline_ms, NOW + round);
        }
    }
    assert_eq!((model.wheel.bytes(), model.wheel.scheduled), (bytes, 1));
}

#[test]
fn deadlines_at_the_edges_of_numbers_are_kept() {
    let mut model = Model::new(3);
    for (bucket, deadline_ms) in [u64::MAX, i64::MAX as u64, i64::MAX as u64 - 1, NOW, 1, 0]
        .into_iter()
        .enumerate()
    {
        model.set(bucket as u32, deadline_ms);
    }
    assert_eq!(model.work(), 3);
    assert_eq!(model.deadlines.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    // Every hundred days they come up, are found not to be due, and are filed again.
    for round in 1..20u64 {
        model.now_ms = NOW + round * (200 * 86_400_000);
        assert!(model.work() <= 9);
    }
    assert_eq!(model.deadlines.len(), 3);
}

#[test]
fn a_record_takes_twelve_bytes() {
    assert_eq!(size_of::<Record>(), 12);
}

#[test]
fn buckets_come_in_the_order_in_which_they_are_due() {
    let mut model = Model::new(4);
    for bucket in 0..2000 {
        let deadline_ms = NOW + model.ttl_ms();
        model.set(bucket, deadline_ms);
    }
    let order: Vec<u32> = model.wheel.in_order().collect();
    assert_eq!(order.len(), 2000);
    let left = |bucket: &u32| tick_of(model.deadlines[bucket]) - tick_of(NOW);
    let near = order.iter().take_while(|bucket| left(bucket) <= LEAD).count();
    assert!(order[..near].is_sorted_by_key(left));
    assert!(near > 100 && order[near..].iter().all(|bucket| left(bucket) > LEAD));
    // What comes later is in slots as wide as the time that is left.
    let mut latest = 0;
    for bucket in &order {
        assert!(2 * (left(bucket) + NEAR) >= latest.min(HORIZON) / 32);
        latest = latest.max(left(bucket));
    }
}
