//! Most recently used: the shorter since the last access, the sooner an entry goes. For loops over more than fits,
//! where the entry that was just used is the one that is wanted last.

use super::{Ranking, Scene, Subject, lru::Lru};

pub(super) struct Mru;

impl Ranking for Mru {
    #[inline]
    fn on_read(scene: &Scene<'_>, meta: u32, random: u64) -> u32 {
        Lru::on_read(scene, meta, random)
    }

    fn coldness(scene: &Scene<'_>, subject: &Subject) -> u64 {
        u64::from(u32::MAX - scene.age(subject.meta))
    }
}
