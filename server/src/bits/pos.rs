//! BITPOS: the first bit of a given value.

use super::Unit;
use crate::text::range::clamp_span;

/// Where the first bit of value `bit` is within `start..=end` of `data`, or -1.
///
/// The position counts from the beginning of `data`, whatever the range. Without an `end`
/// the string counts as followed by zeros: looking for a zero in a range of ones finds the
/// bit after the last. An empty range (also of an empty string) is -1. For a key that does
/// not exist the answer is 0 for a zero and -1 for a one, which only the caller can tell.
#[must_use]
pub fn bit_pos(data: &[u8], bit: bool, start: i64, end: Option<i64>, unit: Unit) -> i64 {
    let scale = match unit {
        Unit::Byte => 8,
        Unit::Bit => 1,
    };
    let len = data.len() as u64 * (8 / scale);
    let Some(span) = clamp_span(start, end.unwrap_or(-1), len) else {
        return -1;
    };
    match find(data, bit, span.start * scale, span.end * scale) {
        Some(at) => at.cast_signed(),
        None if end.is_none() && !bit => (span.end * scale).cast_signed(),
        None => -1,
    }
}

/// The first bit of value `bit` in the bits `from..to`, which lie inside `data`.
fn find(data: &[u8], bit: bool, from: u64, to: u64) -> Option<u64> {
    // Flipping makes it always a search for a one.
    let flip = if bit { 0 } else { 0xFF };
    let (first, end) = ((from >> 3) as usize, to.div_ceil(8) as usize);
    let head = (data.get(first)? ^ flip) & (0xFF >> (from & 7));
    let (byte, at) = if head == 0 {
        let skipped = leading(data.get(first + 1..end)?, flip);
        let byte = first + 1 + skipped;
        (data.get(..end)?.get(byte)? ^ flip, byte)
    } else {
        (head, first)
    };
    let found = at as u64 * 8 + u64::from(byte.leading_zeros());
    (found < to).then_some(found)
}

/// How many bytes at the beginning are `skip`.
fn leading(data: &[u8], skip: u8) -> usize {
    let block = [skip; 32];
    let whole = data.chunks_exact(32).take_while(|chunk| *chunk == block);
    let whole = whole.count() * 32;
    let rest = data[whole..].iter().take_while(|&&byte| byte == skip);
    whole + rest.count()
}
