//! The line that shows a person how a run goes, while it goes.

use super::engine::Phase;
use crate::units;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(500);

/// The line on standard error; if that is no terminal, nothing.
pub(super) struct Progress {
    name: &'static str,
    is_shown: bool,
    began: Instant,
    last: Instant,
    operations: u64,
}

impl Progress {
    pub(super) fn new(name: &'static str) -> Progress {
        let now = Instant::now();
        Progress {
            name,
            is_shown: std::io::stderr().is_terminal(),
            began: now,
            last: now,
            operations: 0,
        }
    }

    /// Draws the line anew, if it is time.
    pub(super) fn show(&mut self, phase: &Phase) {
        let since = self.last.elapsed();
        if !self.is_shown || since < INTERVAL {
            return;
        }
        let operations = phase.tally.operations();
        let per_second = (operations - self.operations) as f64 / since.as_secs_f64();
        let line = format!(
            "{} {:>3}s  {:>6} ops/s  {:>6} done  {} errors",
            self.name,
            self.began.elapsed().as_secs(),
            units::count(per_second),
            units::count(operations as f64),
            phase.tally.failures(),
        );
        self.last = Instant::now();
        self.operations = operations;
        // If it cannot be shown, the run is no worse.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
