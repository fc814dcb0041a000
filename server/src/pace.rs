//! How tasks beside the workers take turns with others: for the thread, the core and the locks.

use std::time::{Duration, Instant};

/// After how long a task gives way to other tasks and threads that want this core.
const SLICE: Duration = Duration::from_micros(250);
/// After how long it rests, even if the core is idle otherwise.
const STRETCH: Duration = Duration::from_millis(8);
/// How long it rests; timers are good for a millisecond, so this bounds its share of a core to about 80%.
const REST: Duration = Duration::from_millis(1);

/// When others get their turn.
pub(crate) struct Pace {
    slice: Instant,
    stretch: Instant,
}

impl Pace {
    pub(crate) fn new() -> Pace {
        let now = Instant::now();
        Pace {
            slice: now,
            stretch: now,
        }
    }

    /// Lets others go first, if it is time to; to be called between short steps.
    pub(crate) async fn keep(&mut self) {
        let now = Instant::now();
        if now - self.stretch > STRETCH {
            tokio::time::sleep(REST).await;
            *self = Pace::new();
        } else if now - self.slice > SLICE {
            tokio::task::yield_now().await;
            std::thread::yield_now();
            self.slice = Instant::now();
        }
    }
}
