//! Least frequently used: an 8-bit logarithmic counter that decays with time.
//!
//! A hit raises the counter with a probability that falls as the counter rises (Morris, "Counting
//! large numbers of events in small registers", CACM 1978), so that 255 stands for about a million
//! hits at the default factor; each `lfu-decay-time` minutes without a hit take one step off.

use super::{Ranking, Scene, Subject, lru::Lru, mix};

/// Where a new entry's counter starts, so that it is not the next to go.
pub(super) const FRESH: u8 = 5;

pub(super) struct Lfu;

/// The counter with the decay of the time since the last access.
pub(super) fn decayed(scene: &Scene<'_>, meta: u32) -> u8 {
    let minutes = scene.clock.seconds_since(meta >> 8, scene.now_ms) / 60;
    let decay_minutes = u64::from(scene.eviction.lfu_decay_minutes);
    let steps = minutes.checked_div(decay_minutes).unwrap_or(0);
    (meta as u8).saturating_sub(steps.min(255) as u8)
}

impl Ranking for Lfu {
    fn on_read(scene: &Scene<'_>, meta: u32, random: u64) -> u32 {
        let counter = decayed(scene, meta);
        let above = u64::from(counter.saturating_sub(FRESH));
        let odds = above * u64::from(scene.eviction.lfu_log_factor) + 1;
        let rises = counter < u8::MAX && mix(random, u64::from(meta)).is_multiple_of(odds);
        Lru::on_read(scene, u32::from(counter + u8::from(rises)), random)
    }

    fn coldness(scene: &Scene<'_>, subject: &Subject) -> u64 {
        // Among equals, of which there are many at 8 bits, the one that was used least recently.
        let counter = u64::from(u8::MAX - decayed(scene, subject.meta));
        counter << 32 | u64::from(scene.age(subject.meta))
    }
}
