//! Waiting for a condition with a deadline, so that no test sleeps and hopes.

use std::time::{Duration, Instant};

/// How long a test waits for something that should happen at once, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Polls `condition` every 2 ms until it holds or `deadline` has passed; says whether it held.
pub fn wait_until(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Like [`wait_until`], but fails the test with `what` when the deadline passes.
///
/// # Panics
/// If the condition does not hold in time.
pub fn expect_within(deadline: Duration, what: &str, condition: impl FnMut() -> bool) {
    assert!(wait_until(deadline, condition), "not within {deadline:?}: {what}");
}
