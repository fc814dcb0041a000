//! Redis's index ranges: inclusive at both ends, negative ones count from the end.

use std::ops::Range;

/// Resolves `start..=end` against `len` elements as GETRANGE and BITCOUNT do.
///
/// A negative index counts from the end (-1 is the last element); what still lies outside
/// is moved to the nearest element. `None` if nothing is selected. Two negative indexes in
/// the wrong order select nothing, but in the right order and both before the beginning
/// they select the first element, as in Redis.
#[must_use]
pub fn clamp_range(start: i64, end: i64, len: usize) -> Option<Range<usize>> {
    if start < 0 && end < 0 && start > end {
        return None;
    }
    let span = clamp_span(start, end, len as u64)?;
    // Both ends are at most `len`, so they fit.
    Some(span.start as usize..span.end as usize)
}

/// Like [`clamp_range`], without its first check, as BITPOS does, and for lengths that
/// count bits.
#[must_use]
pub fn clamp_span(start: i64, end: i64, len: u64) -> Option<Range<u64>> {
    let last = len.checked_sub(1)?;
    let resolve = |index: i64| match u64::try_from(index) {
        Ok(index) => index,
        Err(_) => len.saturating_sub(index.unsigned_abs()),
    };
    let start = resolve(start);
    let end = resolve(end).min(last);
    (start <= end).then(|| start..end + 1)
}

#[cfg(test)]
mod tests {
    use super::{clamp_range, clamp_span};

    #[test]
    fn indexes_count_from_both_ends() {
        assert_eq!(clamp_range(0, -1, 5), Some(0..5));
        assert_eq!(clamp_range(1, 3, 5), Some(1..4));
        assert_eq!(clamp_range(-3, -2, 5), Some(2..4));
        assert_eq!(clamp_range(4, 100, 5), Some(4..5));
        assert_eq!(clamp_range(-100, 0, 5), Some(0..1));
    }

    #[test]
    fn empty_selections_are_none() {
        assert_eq!(clamp_range(0, -1, 0), None);
        assert_eq!(clamp_range(5, 10, 5), None);
        assert_eq!(clamp_range(3, 2, 5), None);
        assert_eq!(clamp_range(-1, -2, 5), None);
    }

    #[test]
    fn both_before_the_beginning_select_the_first_if_ordered() {
        assert_eq!(clamp_range(-100, -50, 5), Some(0..1));
        assert_eq!(clamp_range(-50, -100, 5), None);
        assert_eq!(clamp_span(-50, -100, 5), Some(0..1));
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(clamp_range(i64::MIN, i64::MAX, 5), Some(0..5));
        assert_eq!(clamp_range(i64::MAX, i64::MIN, 5), None);
        assert_eq!(clamp_range(i64::MIN, i64::MIN, 5), Some(0..1));
        assert_eq!(
            clamp_range(i64::MAX, i64::MAX, usize::MAX),
            Some(i64::MAX as usize..i64::MAX as usize + 1)
        );
    }
}
