//! What a node missed while this client did without it, in bounded memory, and what of its content must not be believed
//! because of that. No clock, no sockets.
//!
//! [`Missed`] has the keys that were written or deleted elsewhere. Before the node serves this client again they are deleted
//! there: a miss is never wrong, an old value may be. Only keys are kept, since the order and values of what was missed
//! do not matter for that.
//!
//! A log that is full forgets keys, but not that they may be bad: they go into a Bloom filter (Bloom 1970), which takes any
//! number of them and may only err by suspecting too much. [`Distrust`] has that filter, and the slots that the node lost to
//! others and got back. A key that is suspected is deleted at its node when this client first touches it, then it is
//! trusted. So old values are never seen, nothing that the client does not touch is deleted, and the node is not flushed,
//! since it may serve others as well.

use ahash::RandomState;
use larder_cluster::slot::{SLOTS, Slot, slot_of};
use std::collections::{HashMap, HashSet};

/// Bits of a filter: 1 MiB. With 7 probes each, 800,000 keys make it suspect one in a hundred wrongly.
const FILTER_BITS: u64 = 1 << 23;
const FILTER_PROBES: u64 = 7;
/// How many keys that were looked after are remembered, in each of two generations: 8 bytes each, and room to find them.
const MAX_TRUSTED: usize = 1 << 18;

/// Keys that a node missed.
#[derive(Debug)]
pub(crate) struct Missed {
    /// Each with whether the gutter has what it was set to since, or has nothing because it was deleted there.
    keys: HashMap<Box<[u8]>, bool, RandomState>,
    bytes: usize,
    max_keys: usize,
    max_bytes: usize,
    /// Some of the writes may have been sent, and so may run late.
    in_doubt: bool,
}

impl Missed {
    pub(crate) fn new(max_keys: usize, max_bytes: usize) -> Missed {
        Missed {
            keys: HashMap::default(),
            bytes: 0,
            max_keys,
            max_bytes,
            in_doubt: false,
        }
    }

    /// Notes a key, unless the log is full; `in_doubt` if the node may yet execute what was sent. Whether it was noted.
    pub(crate) fn add(&mut self, key: &[u8], in_doubt: bool) -> bool {
        self.in_doubt |= in_doubt;
        if self.keys.contains_key(key) {
            return true;
        }
        if self.keys.len() >= self.max_keys || self.bytes + key.len() > self.max_bytes {
            return false;
        }
        self.bytes += key.len();
        self.keys.insert(key.into(), false);
        true
    }

    /// The gutter has executed what the node missed.
    pub(crate) fn in_gutter(&mut self, key: &[u8]) {
        if let Some(in_gutter) = self.keys.get_mut(key) {
            *in_gutter = true;
        }
    }

    /// Whether what the gutter has of a key is from after the node went out.
    pub(crate) fn is_in_gutter(&self, key: &[u8]) -> bool {
        self.keys.get(key).copied().unwrap_or(false)
    }

    /// Forgets the keys of some slots, which are suspected as a whole.
    pub(crate) fn forget(&mut self, slots: &SlotSet) {
        self.keys.retain(|key, _| !slots.contains(slot_of(key)));
        self.bytes = self.keys.keys().map(|key| key.len()).sum();
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Takes all keys out, to replay them.
    pub(crate) fn take(&mut self) -> Vec<Box<[u8]>> {
        (self.bytes, self.in_doubt) = (0, false);
        std::mem::take(&mut self.keys).into_keys().collect()
    }
}

/// What of a node's content may be old.
#[derive(Debug, Default)]
pub(crate) struct Distrust {
    random: RandomState,
    slots: Option<Box<SlotSet>>,
    filter: Option<Box<[u64]>>,
    /// Suspected keys that were deleted or rewritten since; the older generation goes when the younger is full.
    trusted: HashSet<u64, RandomState>,
    trusted_before: HashSet<u64, RandomState>,
}

impl Distrust {
    /// Whether anything at all is suspected.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_none() && self.filter.is_none()
    }

    /// The key's slot and 50 bits of a hash with a random seed. That two keys of one slot have the same happens once in 10^15.
    fn mark(&self, slot: Slot, key: &[u8]) -> u64 {
        (self.random.hash_one(key) << SLOTS.trailing_zeros()) | u64::from(slot.number())
    }

    fn bits(mark: u64) -> impl Iterator<Item = (usize, u64)> {
        // Two hashes make any number of them (Kirsch and Mitzenmacher 2006).
        let (first, step) = (mark >> 14, (mark.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) | 1);
        (0..FILTER_PROBES).map(move |probe| {
            let bit = first.wrapping_add(probe.wrapping_mul(step)) % FILTER_BITS;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    /// Suspects a key from now on.
    pub(crate) fn suspect(&mut self, slot: Slot, key: &[u8]) {
        let mark = self.mark(slot, key);
        let empty = || vec![0; (FILTER_BITS / 64) as usize].into_boxed_slice();
        let filter = self.filter.get_or_insert_with(empty);
        for (word, bit) in Distrust::bits(mark) {
            filter[word] |= bit;
        }
        self.trusted.remove(&mark);
        self.trusted_before.remove(&mark);
    }

    /// Suspects all keys of some slots from now on.
    pub(crate) fn suspect_slots(&mut self, slots: &SlotSet) {
        if slots.is_empty() {
            return;
        }
        self.slots.get_or_insert_default().add_all(slots);
        let outside =
            |mark: &u64| Slot::new((mark % u64::from(SLOTS)) as u16).is_some_and(|slot| !slots.contains(slot));
        self.trusted.retain(outside);
        self.trusted_before.retain(outside);
    }

    /// Whether the node's value of this key may be old.
    pub(crate) fn suspects(&self, slot: Slot, key: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let mark = self.mark(slot, key);
        let by_slot = || self.slots.as_ref().is_some_and(|slots| slots.contains(slot));
        let by_filter = || {
            let all = |filter: &[u64]| Distrust::bits(mark).all(|(word, bit)| filter[word] & bit != 0);
            self.filter.as_deref().is_some_and(all)
        };
        !self.trusted.contains(&mark) && !self.trusted_before.contains(&mark) && (by_slot() || by_filter())
    }

    /// The node's value of this key was deleted or written: it is trusted. If too many are, those that were trusted the longest ago
    /// are suspected again, which costs a miss.
    pub(crate) fn trust(&mut self, slot: Slot, key: &[u8]) {
        if self.trusted.len() >= MAX_TRUSTED {
            self.trusted_before = std::mem::take(&mut self.trusted);
        }
        self.trusted.insert(self.mark(slot, key));
    }
}

/// A set of slots.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SlotSet([u64; SLOTS as usize / 64]);

impl Default for SlotSet {
    fn default() -> SlotSet {
        SlotSet([0; SLOTS as usize / 64])
    }
}

impl std::fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} slots", self.len())
    }
}

impl SlotSet {
    pub(crate) fn all() -> SlotSet {
        SlotSet([u64::MAX; SLOTS as usize / 64])
    }

    pub(crate) fn insert(&mut self, slot: Slot) {
        self.0[slot.index() / 64] |= 1 << (slot.index() % 64);
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        self.0[slot.index() / 64] &= !(1 << (slot.index() % 64));
    }

    #[inline]
    pub(crate) fn contains(&self, slot: Slot) -> bool {
        self.0[slot.index() / 64] & (1 << (slot.index() % 64)) != 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn add_all(&mut self, other: &SlotSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, new)| *own |= new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_log_is_bounded_in_keys_and_bytes_and_keeps_what_it_has() {
        let mut missed = Missed::new(3, 100);
        assert!(missed.add(b"a", false) && missed.add(b"b", true) && missed.add(b"c", false));
        assert!(!missed.add(b"d", false), "full");
        assert!(missed.add(b"a", false), "known already");
        assert!(missed.in_doubt() && !missed.is_in_gutter(b"a"));
        missed.in_gutter(b"a");
        assert!(missed.is_in_gutter(b"a") && !missed.is_in_gutter(b"b"));
        let mut keys = missed.take();
        keys.sort();
        assert_eq!(
            keys,
            [b"a".as_slice().into(), b"b".as_slice().into(), b"c".as_slice().into()] as [Box<[u8]>; 3]
        );
        assert!(missed.len() == 0 && !missed.in_doubt());
        assert!(!missed.add(&[0; 101], false), "too many bytes");
        assert!(missed.add(&[0; 60], false) && !missed.add(&[1; 60], false));
        assert_eq!((missed.len(), missed.bytes()), (1, 60));
        assert!(missed.add(b"other", false));
        let mut slots = SlotSet::default();
        slots.insert(slot_of(&[0; 60]));
        missed.forget(&slots);
        assert_eq!((missed.len(), missed.bytes()), (1, 5));
        assert!(missed.keys.contains_key(b"other".as_slice()));
    }

    #[test]
    fn a_slot_that_comes_back_is_suspected_anew() {
        let mut distrust = Distrust::default();
        assert!(distrust.is_empty() && !distrust.suspects(slot_of(b"k"), b"k"));
        let mut slots = SlotSet::default();
        slots.insert(slot_of(b"k"));
        distrust.suspect_slots(&slots);
        assert!(distrust.suspects(slot_of(b"k"), b"k") && !distrust.suspects(slot_of(b"other"), b"other"));
        distrust.trust(slot_of(b"k"), b"k");
        assert!(!distrust.suspects(slot_of(b"k"), b"k"));
        distrust.suspect_slots(&slots);
        assert!(distrust.suspects(slot_of(b"k"), b"k"));
    }

    #[test]
    fn few_keys_are_suspected_wrongly_and_memory_is_bounded() {
        let mut distrust = Distrust::default();
        for n in 0..100_000 {
            let key = format!("missed:{n}");
            distrust.suspect(slot_of(key.as_bytes()), key.as_bytes());
        }
        let wrongly = (0..10_000)
            .map(|n| format!("other:{n}"))
            .filter(|key| distrust.suspects(slot_of(key.as_bytes()), key.as_bytes()))
            .count();
        assert!(wrongly < 20, "{wrongly} of 10,000");
        for n in 0..3 * MAX_TRUSTED {
            let key = n.to_le_bytes();
            distrust.trust(slot_of(&key), &key);
        }
        assert!(distrust.trusted.len() + distrust.trusted_before.len() <= 2 * MAX_TRUSTED);
    }

    proptest! {
        #[test]
        fn what_was_missed_last_is_suspected_whatever_came_before(
            steps in proptest::collection::vec((0u8..20, any::<bool>()), 1..200)
        ) {
            let mut distrust = Distrust::default();
            let mut last = std::collections::HashMap::new();
            for (key, missed) in steps {
                let key = [key];
                if missed {
                    distrust.suspect(slot_of(&key), &key);
                } else {
                    distrust.trust(slot_of(&key), &key);
                }
                last.insert(key, missed);
            }
            for (key, missed) in last {
                prop_assert!(!missed || distrust.suspects(slot_of(&key), &key));
                prop_assert!(missed || !distrust.suspects(slot_of(&key), &key));
            }
        }
    }
}
