//! Time to live: the entry with the nearest deadline goes first.

use super::{Ranking, Scene, Subject, lru::Lru};

pub(super) struct Ttl;

impl Ranking for Ttl {
    #[inline]
    fn on_read(scene: &Scene<'_>, meta: u32, random: u64) -> u32 {
        // OBJECT IDLETIME answers under every policy but LFU.
        Lru::on_read(scene, meta, random)
    }

    fn coldness(_: &Scene<'_>, subject: &Subject) -> u64 {
        subject.deadline.map_or(0, |deadline| u64::MAX - deadline)
    }
}
