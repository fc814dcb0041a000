//! Slots: the 16,384 parts of the keyspace that are placed on nodes, and which of them a key is in.
//!
//! The function is Redis Cluster's, so that keys, hash tags and tools that know slots mean the same everywhere:
//! the CRC16 of the key modulo 16,384, or of its hash tag if it has one (the Redis Cluster specification, "Key
//! distribution model" and "Hash tags"). The CRC is the one of XMODEM: polynomial 0x1021, starting at 0, no bits
//! reflected, nothing added at the end; the CRC of `123456789` is 0x31C3.

use std::fmt;

/// How many slots there are: every key is in one of `0..SLOTS`.
pub const SLOTS: u16 = 16_384;

/// One of the [`SLOTS`] parts of the keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The slot with this number; `None` if there is none, from [`SLOTS`] on.
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOTS { Some(Self(number)) } else { None }
    }

    /// The slot of a hash of 16 bits: its lower 14.
    const fn of_hash(hash: u16) -> Self {
        Self(hash % SLOTS)
    }

    /// All slots, in ascending order.
    pub fn all() -> impl ExactSizeIterator<Item = Self> + DoubleEndedIterator + Clone {
        (0..SLOTS).map(Self)
    }

    /// Its number, in `0..SLOTS`.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its number, as an index into a table of all slots.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Slot> for u16 {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

/// The slot of `key`: that of its [hash tag](hashed_part) if it has one, else of all its bytes.
///
/// The empty key has slot 0.
pub fn slot_of(key: &[u8]) -> Slot {
    Slot::of_hash(crc16(hashed_part(key)))
}

/// The part of `key` that decides its slot: what stands between its first `{` and the first `}` behind that, unless
/// nothing does; else the whole key.
///
/// So `{user1000}.following` and `{user1000}.followers` share a slot, `foo{}{bar}` is hashed whole, and the hashed part
/// of `foo{{bar}}zap` is `{bar`.
pub fn hashed_part(key: &[u8]) -> &[u8] {
    let Some(open) = find(key, b'{') else { return key };
    let behind = &key[open + 1..];
    match find(behind, b'}') {
        Some(length @ 1..) => &behind[..length],
        _ => key,
    }
}

/// Where the first `wanted` is. Eight bytes at a time, since nearly every key is read to its end here.
fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, _) = bytes.as_chunks::<8>();
    let pattern = LOW * u64::from(wanted);
    // A byte of `differs` is 0 where the wanted one stands. Borrows can flag a byte behind that, never before it.
    let hit = words.iter().position(|word| {
        let differs = u64::from_le_bytes(*word) ^ pattern;
        differs.wrapping_sub(LOW) & !differs & HIGH != 0
    });
    let start = 8 * hit.unwrap_or(words.len());
    let rest = bytes[start..].iter().position(|byte| *byte == wanted);
    rest.map(|at| start + at)
}

/// How many bytes are taken in one step.
const SLICE: usize = 8;

/// `TABLES[n][byte]` is the CRC of `byte` with `n` zero bytes behind it.
///
/// A CRC is linear: that of eight bytes is the exclusive or of what each of them gives alone, with zeros for the
/// others. So eight look-ups that do not wait for each other replace eight that do ("slicing-by-8", Kounavis and Berry
/// 2005).
static TABLES: [[u16; 256]; SLICE] = tables();

const fn tables() -> [[u16; 256]; SLICE] {
    let mut tables = [[0; 256]; SLICE];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < SLICE {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[zeros - 1][byte];
            tables[zeros][byte] = (before << 8) ^ tables[0][(before >> 8) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// The CRC16 of `bytes`, as XMODEM has it.
pub fn crc16(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<SLICE>();
    let mut crc = 0;
    for word in words {
        let [a, b, c, d, e, f, g, h] = *word;
        let [high, low] = u16::to_be_bytes(crc);
        crc = TABLES[7][usize::from(a ^ high)]
            ^ TABLES[6][usize::from(b ^ low)]
            ^ TABLES[5][usize::from(c)]
            ^ TABLES[4][usize::from(d)]
            ^ TABLES[3][usize::from(e)]
            ^ TABLES[2][usize::from(f)]
            ^ TABLES[1][usize::from(g)]
            ^ TABLES[0][usize::from(h)];
    }
    for byte in rest {
        let [high, low] = u16::to_be_bytes(crc);
        crc = (u16::from(low) << 8) ^ TABLES[0][usize::from(high ^ byte)];
    }
    crc
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SLOTS, Slot, crc16, find, hashed_part, slot_of};

    /// The definition, bit by bit.
    fn crc16_slowly(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0, |crc, byte| {
            (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
                if crc & 0x8000 == 0 {
                    crc << 1
                } else {
                    (crc << 1) ^ 0x1021
                }
            })
        })
    }

    #[test]
    fn the_check_value_of_the_specification_holds() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"").number(), 0);
    }

    #[test]
    fn hash_tags_are_those_of_the_specification() {
        let cases: [(&[u8], &[u8]); 12] = [
            (b"plain", b"plain"),
            (b"{user1000}.following", b"user1000"),
            (b"foo{}{bar}", b"foo{}{bar}"),
            (b"foo{{bar}}zap", b"{bar"),
            (b"foo{bar}{zap}", b"bar"),
            (b"foo{bar", b"foo{bar"),
            (b"foo}bar{", b"foo}bar{"),
            (b"}{a}", b"a"),
            (b"{}", b"{}"),
            (b"{", b"{"),
            (b"{a}", b"a"),
            (b"", b""),
        ];
        for (key, part) in cases {
            assert_eq!(hashed_part(key), part, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn a_slot_is_below_the_number_of_slots() {
        assert_eq!(Slot::new(SLOTS - 1).map(Slot::number), Some(16_383));
        assert_eq!(Slot::new(SLOTS), None);
        assert_eq!(Slot::all().len(), 16_384);
        assert_eq!(
            Slot::all().next_back().map(|slot| slot.to_string()).as_deref(),
            Some("16383")
        );
    }

    proptest! {
        #[test]
        fn the_fast_crc_is_the_definition(bytes in proptest::collection::vec(any::<u8>(), 0..70)) {
            prop_assert_eq!(crc16(&bytes), crc16_slowly(&bytes));
        }

        #[test]
        fn the_fast_search_is_the_plain_one(bytes in proptest::collection::vec(0x7au8..0x7e, 0..70), wanted in 0x7au8..0x7e) {
            prop_assert_eq!(find(&bytes, wanted), bytes.iter().position(|byte| *byte == wanted));
        }
    }
}
