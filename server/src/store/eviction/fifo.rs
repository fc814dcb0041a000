//! First in, first out: the entry that came first goes first. Neither reads nor overwriting make it younger.

use super::{Ranking, Scene, Subject, lru::Lru};

pub(super) struct Fifo;

impl Ranking for Fifo {
    #[inline]
    fn on_read(_: &Scene<'_>, meta: u32, _: u64) -> u32 {
        meta
    }

    fn coldness(scene: &Scene<'_>, subject: &Subject) -> u64 {
        Lru::coldness(scene, subject)
    }
}
