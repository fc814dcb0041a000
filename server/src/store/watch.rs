//! Who watches which key of a stripe, for WATCH.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A connection's flag that a key it watches has changed since.
pub type Dirty = Arc<AtomicBool>;

/// The watched keys of one stripe.
#[derive(Default)]
pub(super) struct Watchers {
    keys: HashMap<(usize, Box<[u8]>), Vec<Dirty>>,
}

impl Watchers {
    /// Whether anybody watches anything here.
    #[inline]
    pub(super) fn any(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Sets `dirty` at the key's next change. A flag is registered once per key.
    pub(super) fn watch(&mut self, table: usize, key: &[u8], dirty: &Dirty) {
        let watchers = self.keys.entry((table, key.into())).or_default();
        if !watchers.iter().any(|known| Arc::ptr_eq(known, dirty)) {
            watchers.push(Arc::clone(dirty));
        }
    }

    /// Forgets a watch.
    pub(super) fn unwatch(&mut self, table: usize, key: &[u8], dirty: &Dirty) {
        let name = (table, Box::from(key));
        if let Some(watchers) = self.keys.get_mut(&name) {
            watchers.retain(|known| !Arc::ptr_eq(known, dirty));
            if watchers.is_empty() {
                self.keys.remove(&name);
            }
        }
    }

    /// Tells the watchers of a key that it has changed. They stay registered until they unwatch.
    pub(super) fn changed(&self, table: usize, key: &[u8]) {
        if let Some(watchers) = self.keys.get(&(table, Box::from(key))) {
            watchers.iter().for_each(|dirty| dirty.store(true, Ordering::Release));
        }
    }

    /// Tells the watchers of those keys of a table for which `affected` holds.
    pub(super) fn table_changed(&self, table: usize, affected: impl Fn(&[u8]) -> bool) {
        for ((number, key), watchers) in &self.keys {
            if *number == table && affected(key) {
                watchers.iter().for_each(|dirty| dirty.store(true, Ordering::Release));
            }
        }
    }

    /// Moves the watches of two tables to each other's, for SWAPDB.
    pub(super) fn swap_tables(&mut self, one: usize, two: usize) {
        if !self.any() {
            return;
        }
        let swapped = |number: usize| match number {
            _ if number == one => two,
            _ if number == two => one,
            _ => number,
        };
        self.keys = self
            .keys
            .drain()
            .map(|((number, key), watchers)| ((swapped(number), key), watchers))
            .collect();
    }
}
