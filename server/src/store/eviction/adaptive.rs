//! Adaptive: the entry goes of which a byte is least likely to be read soon.
//!
//! **Why.** No fixed rule is right everywhere: recency fails in scans and loops, frequency when popularity moves on, and
//! both keep one entry of 60 KiB where a hundred small ones would be read. What all rules guess at is how likely an
//! entry is to be read soon, and that can be measured: of the entries that were read so and so often and last so
//! and so long ago, what share is read per turn? So the policy learns a table of that, by frequency and age, from what it
//! sees (`hazard.rs`), and takes as victim the candidate with
//!
//! ```text
//!   the least   value(frequency, age) / size^(3/4)
//! ```
//!
//! In a scan, entries that were used once turn out never to be read again, and go first. Where recency rules, value
//! falls with age; in a loop larger than memory it rises with age, so that what is there stays until its turn comes.
//! The whole size as divisor would give the fewest misses, but lets large entries starve; three quarters keep the share
//! of bytes that is hit above LRU's as well.
//!
//! **What an entry keeps**: the usual 32 bits, 24 of the time of its last use in ticks (`clock.rs`) and 8 of its
//! frequency: reads in quarters, up to 64, which fade by half in sixteen turns. A read adds one; overwriting makes the entry
//! young, but no more frequent, as only reads are what a cache is for. A read within the same tick of an entry at
//! the highest frequency writes nothing.
//!
//! **A key that returns** after it was evicted gets back the frequency that it had (`ghost.rs`), so it must prove itself
//! once, not each time; all other new keys start at the bottom and are the first to go if their like was not read.
//!
//! **Cost.** A hit looks into the entry's header, which the read has fetched, and raises one counter of the stripe. An
//! eviction looks at eight entries, which the walk before asked the cache for (`walk.rs`). Memory: 2 KiB per stripe
//! once it evicts, and 1.5 to 3 bytes per entry of ghosts.
//!
//! Sources: hit density, and that it can be learnt by age and class: Beckmann, Chen, Cidon, "LHD: Improving cache hit
//! rate by maximizing hit density", NSDI 2018 (which counts evictions where this counts exposure). Frequency that
//! fades by half: Lee et al., "LRFU", IEEE ToC 2001. Value over size: Cherkasova, "GreedyDual-Size-Frequency", HP 1998.
//! Ghosts: Megiddo and Modha, "ARC", FAST 2003.

use super::clock::TURN;
use super::hazard::{self, OCTAVE};
use super::{Ranking, Scene, Subject, lru::Lru, restamp};

/// The frequency of one read.
pub(super) const ONCE: u8 = 4;
/// log2 of the ticks in which a frequency fades by half: sixteen turns.
const HALF_SHIFT: u32 = TURN.ilog2() + 4;

pub(super) struct Adaptive;

/// A frequency after some ticks without a read: exact at whole half lives, linear in between.
pub(super) fn faded(frequency: u8, ticks: u32) -> u8 {
    let halves = u32::from(frequency).checked_shr(ticks >> HALF_SHIFT).unwrap_or(0);
    let rest = ticks & ((1 << HALF_SHIFT) - 1);
    (halves - ((halves * rest) >> (HALF_SHIFT + 1))) as u8
}

/// A frequency after a read that came some ticks after the last.
#[inline]
pub(super) fn raised(frequency: u8, ticks: u32) -> u8 {
    // Within a small part of the half life nothing fades that a quarter could show.
    let frequency = if ticks <= 16 {
        frequency
    } else {
        faded(frequency, ticks)
    };
    frequency.saturating_add(ONCE)
}

/// The cell of what was learnt that an entry falls into.
#[inline]
pub(super) fn cell(scene: &Scene<'_>, meta: u32) -> usize {
    hazard::cell(meta as u8, scene.age(meta))
}

/// log2 in 16ths, linear between powers of two: a float's exponent and the first bits behind it.
#[inline]
fn log2(bytes: usize) -> i32 {
    const BELOW: u32 = f32::MANTISSA_DIGITS - 1 - OCTAVE.ilog2();
    let ones = 1f32.to_bits() >> BELOW;
    ((bytes.max(1) as f32).to_bits() >> BELOW) as i32 - ones as i32
}

/// Coldness by the value of an entry's cell and its size.
#[inline]
pub(super) fn coldness(value: i32, bytes: usize) -> u64 {
    // The offset keeps the sum above 0 for all values and sizes.
    ((1 << 20) + log2(bytes) * 3 / 4 - value) as u64
}

impl Ranking for Adaptive {
    #[inline]
    fn on_read(scene: &Scene<'_>, meta: u32, _: u64) -> u32 {
        restamp(u32::from(raised(meta as u8, scene.age(meta))), scene.clock)
    }

    #[inline]
    fn on_write(scene: &Scene<'_>, meta: u32, random: u64) -> u32 {
        Lru::on_read(scene, meta, random)
    }

    #[inline]
    fn coldness(_: &Scene<'_>, subject: &Subject) -> u64 {
        coldness(subject.value, subject.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequency_fades_by_half_in_sixteen_turns() {
        for frequency in [4u8, 5, 100, 255] {
            assert_eq!(faded(frequency, 0), frequency);
            assert_eq!(faded(frequency, 16 * TURN), frequency / 2);
            assert_eq!(faded(frequency, 32 * TURN), frequency / 4);
            assert_eq!(faded(frequency, u32::MAX), 0);
            assert!((0..100).all(|turn| faded(frequency, turn * TURN) >= faded(frequency, (turn + 1) * TURN)));
        }
        assert_eq!((raised(255, 0), raised(4, 0), raised(4, 1 << 24)), (255, 8, 4));
    }

    #[test]
    fn a_larger_entry_must_be_worth_more() {
        assert!(coldness(0, 1000) > coldness(0, 100));
        // Sixteen times the size against eight times the value.
        assert_eq!(coldness(3 * OCTAVE, 1600), coldness(0, 100));
        assert!(coldness(-2000, usize::MAX >> 1) > coldness(2000, 0));
    }
}
