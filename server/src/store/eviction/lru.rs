//! Least recently used: the longer since the last access, the sooner an entry goes.

use super::{Eviction, Ranking, idle_seconds};

pub(super) struct Lru;

impl Ranking for Lru {
    fn on_hit(_: &Eviction, meta: u32, now_ms: u64, _: u64) -> u32 {
        ((now_ms / 1000) as u32) << 8 | meta & 0xff
    }

    fn coldness(_: &Eviction, meta: u32, _: Option<u64>, now_ms: u64) -> u64 {
        u64::from(idle_seconds(meta, now_ms))
    }
}
