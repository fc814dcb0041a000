//! Random: every eligible entry is as good as the next.

use super::{Eviction, Ranking, lru::Lru};

pub(super) struct Random;

impl Ranking for Random {
    fn on_hit(eviction: &Eviction, meta: u32, now_ms: u64, random: u64) -> u32 {
        // OBJECT IDLETIME answers under every policy but LFU.
        Lru::on_hit(eviction, meta, now_ms, random)
    }

    fn coldness(_: &Eviction, _: u32, _: Option<u64>, _: u64) -> u64 {
        0
    }
}
