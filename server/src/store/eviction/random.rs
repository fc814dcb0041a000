//! Random: every eligible entry is as good as the next.

use super::{Ranking, Scene, Subject, lru::Lru, mix};

pub(super) struct Random;

impl Ranking for Random {
    #[inline]
    fn on_read(scene: &Scene<'_>, meta: u32, random: u64) -> u32 {
        // OBJECT IDLETIME answers under every policy but LFU.
        Lru::on_read(scene, meta, random)
    }

    fn coldness(_: &Scene<'_>, subject: &Subject) -> u64 {
        mix(subject.random, 0) >> 1
    }
}
