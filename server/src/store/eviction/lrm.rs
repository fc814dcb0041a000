//! Least recently modified: as LRU, but a read does not count as a use.

use super::{Ranking, Scene, Subject, lru::Lru};

pub(super) struct Lrm;

impl Ranking for Lrm {
    #[inline]
    fn on_read(_: &Scene<'_>, meta: u32, _: u64) -> u32 {
        meta
    }

    #[inline]
    fn on_edit(scene: &Scene<'_>, meta: u32, random: u64) -> u32 {
        Lru::on_read(scene, meta, random)
    }

    #[inline]
    fn on_write(scene: &Scene<'_>, meta: u32, random: u64) -> u32 {
        Lru::on_read(scene, meta, random)
    }

    fn coldness(scene: &Scene<'_>, subject: &Subject) -> u64 {
        Lru::coldness(scene, subject)
    }
}
