//! How long to wait before the next attempt to connect: exponential, capped, with full jitter.
//!
//! Waiting a random share of the time, instead of all of it, keeps clients that lost the same server from
//! coming back in step (Brooker, "Exponential Backoff and Jitter", 2015).

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Backoff {
        Backoff { min, max, ceiling: min }
    }

    /// The next wait; `random` is evenly spread over 0 to 1.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = ceiling.saturating_mul(2).min(self.max);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// Whether a connection that lasted so long made up for the longest wait that may come next.
    pub(crate) fn was_worth_it(&self, lasted: Duration) -> bool {
        lasted >= self.ceiling
    }

    /// Begins anew, after a success.
    pub(crate) fn reset(&mut self) {
        self.ceiling = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap_and_any_share_of_it_may_come() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(50));
        let waits: Vec<_> = (0..5).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [10, 20, 40, 50, 50]);
        assert_eq!(backoff.next(0.0), Duration::ZERO);
        backoff.reset();
        assert_eq!(backoff.next(0.5), Duration::from_millis(5));
        assert!(backoff.was_worth_it(Duration::from_millis(20)));
        assert!(!backoff.was_worth_it(Duration::from_millis(19)));
    }
}
