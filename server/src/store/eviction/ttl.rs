//! Time to live: the entry with the nearest deadline goes first.

use super::{Eviction, Ranking, lru::Lru};

pub(super) struct Ttl;

impl Ranking for Ttl {
    fn on_hit(eviction: &Eviction, meta: u32, now_ms: u64, random: u64) -> u32 {
        // OBJECT IDLETIME answers under every policy but LFU.
        Lru::on_hit(eviction, meta, now_ms, random)
    }

    fn coldness(_: &Eviction, _: u32, deadline: Option<u64>, _: u64) -> u64 {
        deadline.map_or(0, |deadline| u64::MAX - deadline)
    }
}
