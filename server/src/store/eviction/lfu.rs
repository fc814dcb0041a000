//! Least frequently used: an 8-bit logarithmic counter that decays with time.
//!
//! A hit raises the counter with a probability that falls as the counter rises (Morris, "Counting
//! large numbers of events in small registers", CACM 1978), so that 255 stands for about a million
//! hits at the default factor; each `lfu-decay-time` minutes without a hit take one step off.

use super::{Eviction, Ranking, idle_seconds, mix, pack};

/// Where a new entry's counter starts, so that it is not the next to go.
pub(super) const FRESH: u8 = 5;

pub(super) struct Lfu;

/// The counter with the decay of the time since the last access.
pub(super) fn decayed(eviction: &Eviction, meta: u32, now_ms: u64) -> u8 {
    let minutes = idle_seconds(meta, now_ms) / 60;
    let steps = minutes.checked_div(eviction.lfu_decay_minutes).unwrap_or(0);
    (meta as u8).saturating_sub(steps.min(255) as u8)
}

impl Ranking for Lfu {
    fn on_hit(eviction: &Eviction, meta: u32, now_ms: u64, random: u64) -> u32 {
        let counter = decayed(eviction, meta, now_ms);
        let above = u64::from(counter.saturating_sub(FRESH));
        let odds = above * u64::from(eviction.lfu_log_factor) + 1;
        let rises = counter < u8::MAX && mix(random, now_ms).is_multiple_of(odds);
        pack(now_ms, counter + u8::from(rises))
    }

    fn coldness(eviction: &Eviction, meta: u32, _: Option<u64>, now_ms: u64) -> u64 {
        u64::from(u8::MAX - decayed(eviction, meta, now_ms))
    }
}
