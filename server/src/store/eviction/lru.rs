//! Least recently used: the longer since the last access, the sooner an entry goes.

use super::{Ranking, Scene, Subject, restamp};

pub(super) struct Lru;

impl Ranking for Lru {
    #[inline]
    fn on_read(scene: &Scene<'_>, meta: u32, _: u64) -> u32 {
        restamp(meta, scene.clock)
    }

    fn coldness(scene: &Scene<'_>, subject: &Subject) -> u64 {
        u64::from(scene.age(subject.meta))
    }
}
