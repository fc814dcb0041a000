//! BITCOUNT: how many bits are set.

use super::Unit;
use crate::text::range::{clamp_range, clamp_span};

/// How many bits of `data` are set.
#[must_use]
pub fn bit_count(data: &[u8]) -> u64 {
    // Four independent sums, so that the additions need not wait for each other.
    let mut sums = [0_u64; 4];
    let mut blocks = data.chunks_exact(32);
    for block in blocks.by_ref() {
        for (sum, word) in sums.iter_mut().zip(block.chunks_exact(8)) {
            *sum += u64::from(word_at(word).count_ones());
        }
    }
    let rest = blocks.remainder().iter().map(|b| u64::from(b.count_ones()));
    sums.iter().sum::<u64>() + rest.sum::<u64>()
}

/// How many bits are set in `start..=end` of `data`, in Redis's index rules.
#[must_use]
pub fn bit_count_range(data: &[u8], start: i64, end: i64, unit: Unit) -> u64 {
    match unit {
        Unit::Byte => clamp_range(start, end, data.len()).map_or(0, |range| bit_count(&data[range])),
        Unit::Bit => {
            if start < 0 && end < 0 && start > end {
                return 0;
            }
            let Some(span) = clamp_span(start, end, data.len() as u64 * 8) else {
                return 0;
            };
            let (first, last) = ((span.start >> 3) as usize, ((span.end - 1) >> 3) as usize);
            let before = data[first] & !(0xFF >> (span.start & 7));
            let after = data[last] & (0x7F >> ((span.end - 1) & 7));
            let extra = before.count_ones() + after.count_ones();
            bit_count(&data[first..=last]) - u64::from(extra)
        }
    }
}

/// Eight bytes as a number; the order of bytes does not matter to a count.
#[inline]
fn word_at(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_ne_bytes)
}
