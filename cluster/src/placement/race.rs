//! The race that places slots. [The module above](super) explains it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Member;
use crate::slot::{SLOTS, Slot};

const COUNT: usize = SLOTS as usize;
/// Rounds of the keyed permutation of slots.
const ROUNDS: usize = 6;
/// Lines of the plane, and points of a line.
const LINES: u32 = 128;
/// How many lines a list begins with.
const FIRST_LINES: u32 = 4;
/// The fraction bits of a time, before it is divided by a weight.
const TIME_SHIFT: u32 = 27;

/// When a node of weight 1 comes to a place of its list, in units of 2^-32.
///
/// `TIMES[k]` is the mean time of the (k+1)-th of 16,384 arrivals of rate 1, 1/16384 + 1/16383 + ... + 1/(16384 - k)
/// (Rényi 1953), each summand rounded down. So it is -ln(1 - k/16384) without a logarithm, which machines round
/// differently.
static TIMES: [u64; COUNT] = times();

const fn times() -> [u64; COUNT] {
    let mut times = [0; COUNT];
    let mut sum = 0;
    let mut place = 0;
    while place < COUNT {
        sum += (1 << 32) / (COUNT - place) as u64;
        times[place] = sum;
        place += 1;
    }
    times
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// `a` times `b` in the field of 128 elements: polynomials over two elements modulo x^7 + x + 1.
const fn times_in_field(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    while b != 0 {
        product ^= a * (b & 1);
        a <<= 1;
        a ^= (a >> 7) * 0b1000_0011;
        b >>= 1;
    }
    product
}

/// A member's part in the race: its list of slots, as a function, and its pace.
#[derive(Clone, Debug)]
pub(super) struct Racer {
    seed: u64,
    factors: [u32; ROUNDS],
    offsets: [u32; ROUNDS],
    /// `shear[x]` is the slope times x.
    shear: [u8; LINES as usize],
    line_factor: u32,
    line_offset: u32,
    weight: u64,
    /// Its place among all names in ascending order, which decides when two names have the same hash.
    pub(super) order: u16,
}

impl Racer {
    /// The racer of `member`; whoever makes all of them gives them their order.
    pub(super) fn new(member: &Member) -> Self {
        let seed = mix(fnv1a(member.name.as_bytes()));
        let mut state = seed;
        // SplitMix64; its upper bits are taken.
        let mut key = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            (mix(state) >> 32) as u32
        };
        let factors = std::array::from_fn(|_| key() | 1);
        let offsets = std::array::from_fn(|_| key());
        let slope = key() % LINES;
        Self {
            seed,
            factors,
            offsets,
            shear: std::array::from_fn(|x| times_in_field(slope, x as u32) as u8),
            line_factor: key() | 1,
            line_offset: key(),
            weight: u64::from(member.weight),
            order: 0,
        }
    }

    /// About where `slot` stands in the list. Two slots may share a place.
    fn place(&self, slot: Slot) -> usize {
        let number = u32::from(slot.number());
        let (x, y) = (number / LINES, number % LINES);
        let line = y ^ u32::from(self.shear[x as usize]);
        let line = line.wrapping_mul(self.line_factor).wrapping_add(self.line_offset) % LINES;
        let mut shuffled = number;
        for (factor, offset) in self.factors.iter().zip(&self.offsets) {
            shuffled = shuffled.wrapping_mul(*factor).wrapping_add(*offset) % u32::from(SLOTS);
            shuffled ^= shuffled >> 7;
        }
        let place = if line < FIRST_LINES {
            line * LINES + shuffled / LINES
        } else {
            // The other places, 512..16384, are 31 for each 32 of the permutation.
            FIRST_LINES * LINES + shuffled * 31 / 32
        };
        place as usize
    }

    fn time(&self, slot: Slot) -> u64 {
        (TIMES[self.place(slot)] << TIME_SHIFT) / self.weight
    }

    fn tie(&self, slot: Slot) -> u64 {
        mix(self.seed ^ u64::from(slot.number()))
    }
}

/// When a racer comes to a slot. Arrivals at one slot are ordered by time, then by a hash, then by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival {
    time: u64,
    tie: u64,
    order: u16,
    racer: u16,
}

impl Arrival {
    /// Its racer's index.
    pub(super) fn racer(self) -> usize {
        usize::from(self.racer)
    }
}

/// The first arrival at `slot` after `last`, leaving out racer `except`.
pub(super) fn next_after(racers: &[Racer], slot: Slot, last: Option<Arrival>, except: Option<u16>) -> Option<Arrival> {
    let mut first: Option<Arrival> = None;
    for (index, racer) in (0u16..).zip(racers) {
        let time = racer.time(slot);
        // Most are later, and need no hash.
        if first.is_some_and(|first| time > first.time) || last.is_some_and(|last| time < last.time) {
            continue;
        }
        let arrival = Arrival {
            time,
            tie: racer.tie(slot),
            order: racer.order,
            racer: index,
        };
        let is_next = last.is_none_or(|last| arrival > last) && first.is_none_or(|first| arrival < first);
        if is_next && except != Some(index) {
            first = Some(arrival);
        }
    }
    first
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

/// How many slots each of `members` takes at most: its fair share and N/10 percent, rounded down, but not below the
/// fair share rounded up.
pub(super) fn capacities(members: &[Member]) -> Vec<usize> {
    let total: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
    let count = members.len() as u64;
    let capacity = |member: &Member| {
        let fair = u64::from(SLOTS) * u64::from(member.weight);
        let most = fair * (1000 + count) / (1000 * total);
        most.max(fair.div_ceil(total)) as usize
    };
    members.iter().map(capacity).collect()
}

/// The owner of each slot.
///
/// Slots go to their first arrival; a racer that holds too many gives up its latest, which goes to its next arrival.
/// The outcome does not depend on the order in which this is done (it is the stable matching of Gale and Shapley 1962),
/// and is that of all arrivals taken in the order of time.
pub(super) fn race(racers: &[Racer], members: &[Member]) -> Box<[u16]> {
    let capacities = capacities(members);
    let mut held: Vec<BinaryHeap<Held>> = racers.iter().map(|_| BinaryHeap::new()).collect();
    let mut homeless: Vec<(Slot, Option<Arrival>)> = Slot::all().map(|slot| (slot, None)).collect();
    while let Some((slot, last)) = homeless.pop() {
        // Capacities sum up to all slots or more, so a slot is taken before it has asked everybody.
        let Some(arrival) = next_after(racers, slot, last, None) else {
            continue;
        };
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

#[cfg(test)]
mod tests {
    use super::{LINES, TIMES, times_in_field};

    #[test]
    fn times_are_those_of_arrivals_of_rate_one() {
        assert_eq!(TIMES[0], 1 << 18);
        let harmonic = f64::from(16_384).ln() + 0.577_215_664_9;
        let last = TIMES[16_383] as f64 / (1u64 << 32) as f64;
        assert!((last - harmonic).abs() < 1e-4, "{last} is not {harmonic}");
        assert!(TIMES.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn multiplication_is_that_of_a_field() {
        for slope in 1..LINES {
            let mut products: Vec<_> = (0..LINES).map(|x| times_in_field(slope, x)).collect();
            products.sort_unstable();
            assert!(products.into_iter().eq(0..LINES), "{slope} has no inverse");
        }
        assert_eq!(times_in_field(64, 2), 3);
    }
}
