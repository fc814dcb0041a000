//! What was evicted lately: fingerprints, so that an entry that returns need not prove itself again.
//!
//! A table of 32-bit slots in sets of four: 16 bits of the key's hash, 8 bits of the time of its last use in half
//! turns, and its 8-bit frequency. The oldest of a full set makes way. There are at most three slots per four entries,
//! so that the list takes 1.5 to 3 bytes per entry, and it is counted as memory in use. A wrong fingerprint (one
//! in 16,000 look-ups) does no more than to give a new entry a frequency that it has not earned.

use super::clock::TURN;
use crate::store::table::prefetch;

const WAYS: usize = 4;
/// Ticks per unit of a slot's time.
const UNIT: u32 = TURN / 2;

#[derive(Default)]
pub(super) struct Ghosts {
    slots: Vec<u32>,
}

impl Ghosts {
    /// Follows the number of entries; what was remembered is dropped when the size changes.
    pub(super) fn resize(&mut self, entries: usize) {
        let most = entries / 4 * 3;
        let wanted = if most < WAYS { 0 } else { 1 << most.ilog2() };
        // Half of that is tolerated, lest a size that moves to and fro costs the memory each time.
        if wanted > self.slots.len() || wanted * 4 <= self.slots.len() {
            self.slots = vec![0; wanted];
        }
    }

    /// Where the set of a key begins; there is none if nothing is remembered.
    #[inline]
    fn at(&self, hash: u64) -> usize {
        // How many there are is a power of two.
        let sets = (self.slots.len() / WAYS).max(1);
        (hash as usize >> 8 & (sets - 1)) * WAYS
    }

    #[inline]
    fn set(&mut self, hash: u64) -> Option<&mut [u32]> {
        let at = self.at(hash);
        self.slots.get_mut(at..at + WAYS)
    }

    /// Asks the cache for what `add` and `take` will look at.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(slot) = self.slots.get(self.at(hash)) {
            prefetch(slot);
        }
    }

    /// Never 0, which is an empty slot.
    fn fingerprint(hash: u64) -> u32 {
        ((hash >> 32) as u32 & 0xffff).max(1)
    }

    /// Remembers an entry that was last used at `tick`.
    pub(super) fn add(&mut self, hash: u64, tick: u32, frequency: u8) {
        let time = (tick / UNIT) & 0xff;
        let Some(set) = self.set(hash) else { return };
        let age = |slot: u32| match slot {
            0 => u32::MAX,
            slot => time.wrapping_sub(slot >> 8) & 0xff,
        };
        if let Some(oldest) = set.iter_mut().max_by_key(|slot| age(**slot)) {
            *oldest = Ghosts::fingerprint(hash) << 16 | time << 8 | u32::from(frequency);
        }
    }

    /// Takes a key out: ticks since its last use, and its frequency then.
    #[inline]
    pub(super) fn take(&mut self, hash: u64, now: u32) -> Option<(u32, u8)> {
        let slot = self
            .set(hash)?
            .iter_mut()
            .find(|slot| **slot >> 16 == Ghosts::fingerprint(hash))?;
        let found = std::mem::take(slot);
        let age = (now / UNIT).wrapping_sub(found >> 8) & 0xff;
        Some((age * UNIT, found as u8))
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::eviction::mix;

    #[test]
    fn what_was_evicted_is_known_once_and_the_rest_is_not() {
        let mut ghosts = Ghosts::default();
        ghosts.resize(4000);
        assert!(ghosts.bytes() <= 4000 * 3);
        for key in 0..500 {
            ghosts.add(mix(1, key), 10 * TURN, key as u8);
        }
        let known = |ghosts: &mut Ghosts, key| ghosts.take(mix(1, key), 12 * TURN);
        let found = (0..500).filter(|&key| known(&mut ghosts, key) == Some((2 * TURN, key as u8)));
        assert!(found.count() > 450);
        assert!((0..500).filter(|&key| known(&mut ghosts, key).is_some()).count() < 5);
    }

    #[test]
    fn the_oldest_make_way_and_no_entries_take_no_memory() {
        let mut ghosts = Ghosts::default();
        ghosts.add(7, 1, 1);
        assert_eq!(ghosts.take(7, 1), None);
        ghosts.resize(64);
        for key in 0..10_000 {
            ghosts.add(mix(1, key), key as u32 * TURN, 4);
        }
        assert!(ghosts.take(mix(1, 9_999), 9_999 * TURN).is_some());
        assert_eq!(ghosts.take(mix(1, 1), 9_999 * TURN), None);
        ghosts.resize(0);
        assert_eq!(ghosts.bytes(), 0);
    }
}
