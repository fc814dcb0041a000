//! The race: how slots are handed to members.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Member;
use crate::slot::{SLOTS, Slot};

const COUNT: usize = SLOTS as usize;
const ROUNDS: usize = 4;
const MASK: u32 = SLOTS as u32 - 1;

/// `TIMES[rank]`: when a node of weight 1 comes to the entry `rank` of its list.
static TIMES: [u64; COUNT] = times();

const fn times() -> [u64; COUNT] {
    let mut times = [0; COUNT];
    let mut sum = 0;
    let mut rank = 0;
    while rank < COUNT {
        sum += (1 << 32) / (COUNT - rank) as u64;
        times[rank] = sum;
        rank += 1;
    }
    times
}

const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A member's part in the race.
#[derive(Clone, Debug)]
pub(super) struct Racer {
    seed: u64,
    factors: [u32; ROUNDS],
    offsets: [u32; ROUNDS],
    weight: u64,
}

impl Racer {
    pub(super) fn new(member: &Member) -> Self {
        let seed = mix(fnv1a(member.name.as_bytes()));
        let mut keys = seed;
        let mut key = || {
            keys = keys.wrapping_add(0x9e37_79b9_7f4a_7c15);
            (mix(keys) >> 32) as u32
        };
        Self {
            seed,
            factors: std::array::from_fn(|_| key() | 1),
            offsets: std::array::from_fn(|_| key()),
            weight: u64::from(member.weight),
        }
    }

    fn rank(&self, slot: Slot) -> usize {
        let mut x = u32::from(slot.number());
        for (factor, offset) in self.factors.iter().zip(&self.offsets) {
            x = x.wrapping_mul(*factor).wrapping_add(*offset) & MASK;
            x ^= x >> 7;
        }
        x as usize
    }

    fn time(&self, slot: Slot) -> u64 {
        (TIMES[self.rank(slot)] << 27) / self.weight
    }

    fn tie(&self, slot: Slot) -> u64 {
        mix(self.seed ^ u64::from(slot.number()))
    }
}

/// When a racer comes to a slot. Arrivals at one slot are ordered by time, then by a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival {
    time: u64,
    tie: u64,
    racer: u16,
}

impl Arrival {
    fn new(racers: &[Racer], racer: u16, slot: Slot) -> Self {
        let at = &racers[usize::from(racer)];
        Self {
            time: at.time(slot),
            tie: at.tie(slot),
            racer,
        }
    }

    pub(super) fn racer(self) -> usize {
        usize::from(self.racer)
    }
}

/// The first arrival at `slot` after `last`, leaving out racer `except`.
pub(super) fn next_after(racers: &[Racer], slot: Slot, last: Option<Arrival>, except: Option<u16>) -> Option<Arrival> {
    (0u16..)
        .zip(racers)
        .filter(|(racer, _)| Some(*racer) != except)
        .map(|(racer, _)| Arrival::new(racers, racer, slot))
        .filter(|arrival| last.is_none_or(|last| *arrival > last))
        .min()
}

/// A slot that a racer holds, ordered so that the latest arrival is the greatest.
#[derive(PartialEq, Eq)]
struct Held {
    arrival: Arrival,
    slot: Slot,
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.arrival.time, self.slot).cmp(&(other.arrival.time, other.slot))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How many slots each member takes at most.
fn capacities(members: &[Member]) -> Vec<usize> {
    let total: u128 = members.iter().map(|member| u128::from(member.weight)).sum();
    let count = members.len() as u128;
    let capacity = |member: &Member| {
        let fair = u128::from(SLOTS) * u128::from(member.weight);
        let most = fair * (1100 + count) / (1100 * total);
        most.max(fair.div_ceil(total))
    };
    members.iter().map(|member| capacity(member) as usize).collect()
}

/// The owner of each slot.
pub(super) fn race(racers: &[Racer], members: &[Member]) -> Box<[u16]> {
    let capacities = capacities(members);
    let mut held: Vec<BinaryHeap<Held>> = racers.iter().map(|_| BinaryHeap::new()).collect();
    let mut homeless: Vec<(Slot, Option<Arrival>)> = Slot::all().map(|slot| (slot, None)).collect();
    while let Some((slot, last)) = homeless.pop() {
        let arrival = next_after(racers, slot, last, None).expect("capacities sum up to all slots or more");
        let here = &mut held[arrival.racer()];
        here.push(Held { arrival, slot });
        if here.len() > capacities[arrival.racer()]
            && let Some(latest) = here.pop()
        {
            homeless.push((latest.slot, Some(latest.arrival)));
        }
    }
    let mut owners = vec![0; COUNT].into_boxed_slice();
    for held in held.into_iter().flatten() {
        owners[held.slot.index()] = held.arrival.racer;
    }
    owners
}
