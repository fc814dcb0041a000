//! Latency events: what took longer than `latency-monitor-threshold`, by name, for LATENCY.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// As in Redis: samples kept per event.
const SAMPLES: usize = 160;

/// The history of one event.
#[derive(Clone, Default, Debug)]
pub struct History {
    /// Unix seconds and milliseconds taken, oldest first; at most one per second, the worst of it.
    pub samples: Vec<(u64, u64)>,
    /// The most milliseconds ever.
    pub worst: u64,
}

/// The latency events of a node.
#[derive(Default)]
pub struct LatencyMonitor {
    events: Mutex<BTreeMap<&'static str, History>>,
}

impl LatencyMonitor {
    fn events(&self) -> MutexGuard<'_, BTreeMap<&'static str, History>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a sample.
    pub fn add(&self, event: &'static str, now_seconds: u64, millis: u64) {
        let mut events = self.events();
        let history = events.entry(event).or_default();
        history.worst = history.worst.max(millis);
        match history.samples.last_mut() {
            Some((second, worst)) if *second == now_seconds => *worst = (*worst).max(millis),
            _ => history.samples.push((now_seconds, millis)),
        }
        if history.samples.len() > SAMPLES {
            history.samples.remove(0);
        }
    }

    /// The history of an event.
    pub fn history(&self, event: &str) -> Option<History> {
        self.events().get(event).cloned()
    }

    /// All events.
    pub fn all(&self) -> BTreeMap<&'static str, History> {
        self.events().clone()
    }

    /// Forgets one event; false if it is not known.
    pub fn reset(&self, event: &str) -> bool {
        self.events().remove(event).is_some()
    }

    /// Forgets all events; returns how many there were.
    pub fn reset_all(&self) -> usize {
        let mut events = self.events();
        let count = events.len();
        events.clear();
        count
    }
}
