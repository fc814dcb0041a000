//! Scheduled buckets in the order of their deadlines, as far as the wheel knows it.

use super::{ANEW, DUE, HEAD, LEAD, LEVEL_SHIFT, LEVELS, NEAR, SLOTS, Wheel};

impl Wheel {
    /// Buckets by when they may have something due, earliest first; those that share a slot in any order.
    pub(in crate::store::table) fn in_order(&self) -> impl Iterator<Item = u32> {
        [DUE, ANEW]
            .into_iter()
            .chain(self.slots_in_order())
            .flat_map(move |list| {
                let within = |node: u32| Some(node).filter(|node| node & HEAD == 0);
                let next = move |&node: &u32| within(self.record(node)?.links.next);
                std::iter::successors(within(self.heads[list].next), next)
            })
    }

    /// The lists of occupied slots, by the tick with which a slot ends.
    fn slots_in_order(&self) -> impl Iterator<Item = usize> {
        let far = self.at + LEAD;
        // Of each level: what is occupied from its next slot on, that slot, and the width of one.
        let mut levels = [(0, 0, 0); LEVELS + 1];
        levels[0] = (self.near.rotate_right(((self.at + 1) % NEAR) as u32), self.at + 1, 0);
        for (level, &occupied) in self.levels.iter().enumerate() {
            let shift = LEVEL_SHIFT * (level as u32 + 1);
            let first = (far >> shift) + 1;
            levels[level + 1] = (u64::from(occupied.rotate_right((first % SLOTS) as u32)), first, shift);
        }
        let slot = |(occupied, first, _): (u64, u64, u32)| first + u64::from(occupied.trailing_zeros());
        std::iter::from_fn(move || {
            let occupied = (0..=LEVELS).filter(|&level| levels[level].0 != 0);
            let level = occupied.min_by_key(|&level| (slot(levels[level]) + 1) << levels[level].2)?;
            let slot = slot(levels[level]);
            levels[level].0 &= levels[level].0 - 1;
            Some(match level {
                0 => (slot % NEAR) as usize,
                _ => NEAR as usize + (level - 1) * SLOTS as usize + (slot % SLOTS) as usize,
            })
        })
    }
}
