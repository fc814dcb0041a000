//! The clock that turns are timed with.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds on a clock that never goes back; where it starts says nothing. As a plain number, because every turn
/// reads it twice and subtracts, which takes longer with the types of the standard library.
#[inline]
pub(crate) fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every system has this clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}
