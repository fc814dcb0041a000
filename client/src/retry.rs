//! How often calls may be tried again: a share of the calls that succeed, so that retries never multiply the load on
//! a server that is failing (the retry budget of Twitter's Finagle).

use std::sync::atomic::{AtomicU32, Ordering};

/// What a retry costs, in the coin that a success earns one of: one retry per ten successes.
const COST: u32 = 10;
/// The most that is saved up, and what there is at the start: ten retries.
const MOST: u32 = 10 * COST;

/// Saved-up retries.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU32);

impl Budget {
    pub(crate) fn new() -> Budget {
        Budget(AtomicU32::new(MOST))
    }

    /// A call succeeded.
    #[inline]
    pub(crate) fn earn(&self) {
        // A full purse, which is what it nearly always is, costs a load.
        if self.0.load(Ordering::Relaxed) < MOST {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Pays for a retry, if there is enough.
    pub(crate) fn spend(&self) -> bool {
        let take = |saved: u32| saved.checked_sub(COST);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_tenth_of_the_successes_and_ten_at_first() {
        let budget = Budget::new();
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
        for _ in 0..25 {
            budget.earn();
        }
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 2);
    }
}
