//! Whether a node is in use: a circuit breaker for nodes that fail, and a comparison with their peers for nodes that are slow.
//! No clock, no sockets, no randomness.
//!
//! ```text
//!            too many failures, no connection,
//!            or far slower than its peers
//!   Closed -----------------------------------> Open ---+
//!     ^                                          ^      | after a wait with full jitter
//!     |   enough probes in a row are answered,   |      v
//!     +--- and quickly if it was slow ------- Half-open +   a probe fails: wait longer
//! ```
//!
//! The breaker is the one of Nygard ("Release It!", 2007), except that the client itself sends the probes: no caller's
//! request is risked on a node that may be dead. Comparing with the median of the peers, rather than with a number, makes
//! the rule independent of the network and the load: if all nodes are slow, none of them is the reason.

use std::time::Duration;

/// How many ticks failures are counted over.
const TICKS: usize = 4;

/// When a node is taken out of use, and how it gets back.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HealthConfig {
    /// A node is taken out after this many failures (broken connections, timeouts) in a row, or within a second if they are
    /// at least half of the calls. A connection that cannot be made takes it out at once. 5.
    pub max_failures: u32,
    /// The first wait before a node that is out is asked whether it is back; it doubles up to `probe_max`, and a random
    /// share of it is waited. 20 ms.
    pub probe_min: Duration,
    /// The longest such wait. 500 ms.
    pub probe_max: Duration,
    /// How long the answer to that question may take. 250 ms.
    pub probe_timeout: Duration,
    /// A node is slow if its calls take on average more than this many times the median of its peers, in two windows of half a
    /// second running. 5.
    pub slow_factor: u32,
    /// A node whose calls take less than this on average is never slow. 20 ms.
    pub slow_floor: Duration,
    /// At most this share of the nodes is out for being slow at a time, but one of at least two always may be. 0.34.
    pub max_slow_share: f64,
}

impl Default for HealthConfig {
    fn default() -> HealthConfig {
        HealthConfig {
            max_failures: 5,
            probe_min: Duration::from_millis(20),
            probe_max: Duration::from_millis(500),
            probe_timeout: Duration::from_millis(250),
            slow_factor: 5,
            slow_floor: Duration::from_millis(20),
            max_slow_share: 0.34,
        }
    }
}

impl HealthConfig {
    /// The name of a field that makes no sense.
    pub(crate) fn wrong(&self) -> Option<&'static str> {
        let fields = [
            ("max_failures", self.max_failures > 0),
            (
                "probe_min",
                !self.probe_min.is_zero() && self.probe_min <= self.probe_max,
            ),
            ("probe_timeout", !self.probe_timeout.is_zero()),
            ("slow_factor", self.slow_factor > 1),
            ("max_slow_share", (0.0..=1.0).contains(&self.max_slow_share)),
        ];
        fields.iter().find(|(_, holds)| !holds).map(|(name, _)| *name)
    }

    /// How many of `nodes` may be out for being slow.
    pub(crate) fn max_slow(&self, nodes: usize) -> usize {
        #[allow(clippy::cast_sign_loss, reason = "a share of a count is not negative")]
        let share = (nodes as f64 * self.max_slow_share) as usize;
        if nodes < 2 { 0 } else { share.max(1).min(nodes - 1) }
    }
}

/// Why a node is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It failed too often, or cannot be reached.
    Failing,
    /// It is far slower than its peers.
    Slow,
}

#[derive(Debug, PartialEq)]
enum State {
    Closed,
    Open {
        reason: Reason,
        probe_at_ms: u64,
        ceiling: Duration,
        /// Probes in a row that went well.
        good: u32,
    },
}

/// A node's circuit breaker. Times are milliseconds on any clock that does not go back.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    /// Successes in all, and failures, at the end of the latest ticks; the oldest first.
    ticks: [(u64, u64); TICKS],
    failures: u64,
    /// Failures since a success, and how many successes there had been.
    streak: u32,
    streak_ok: u64,
    /// Windows in a row in which it was slow.
    slow: u32,
    /// Below this mean it is not slow any more, in microseconds.
    limit_us: u64,
}

impl Breaker {
    pub(crate) fn new() -> Breaker {
        Breaker {
            state: State::Closed,
            ticks: [(0, 0); TICKS],
            failures: 0,
            streak: 0,
            streak_ok: 0,
            slow: 0,
            limit_us: u64::MAX,
        }
    }

    /// Why the node is out; `None` if it is not.
    pub(crate) fn out(&self) -> Option<Reason> {
        match self.state {
            State::Closed => None,
            State::Open { reason, .. } => Some(reason),
        }
    }

    /// When to ask the node next, if it is out.
    pub(crate) fn probe_at_ms(&self) -> Option<u64> {
        match self.state {
            State::Closed => None,
            State::Open { probe_at_ms, .. } => Some(probe_at_ms),
        }
    }

    /// A quarter of a second has passed; `ok` is how many calls have succeeded in all.
    pub(crate) fn tick(&mut self, ok: u64) {
        self.ticks.rotate_left(1);
        self.ticks[TICKS - 1] = (ok, self.failures);
    }

    /// A call failed because of the node; `ok` is how many have succeeded in all, and `unreachable` that no connection could
    /// be made. Whether that opens the breaker.
    pub(crate) fn failed(&mut self, rules: &HealthConfig, now_ms: u64, ok: u64, unreachable: bool) -> bool {
        if self.state != State::Closed {
            return false;
        }
        self.failures += 1;
        self.streak = if ok == self.streak_ok { self.streak + 1 } else { 1 };
        self.streak_ok = ok;
        let (ok_before, failed_before) = self.ticks[0];
        let failures = self.failures - failed_before;
        let often = failures >= u64::from(rules.max_failures) && failures >= ok.saturating_sub(ok_before);
        if unreachable || often || self.streak >= rules.max_failures {
            self.open(rules, Reason::Failing, now_ms);
            return true;
        }
        false
    }

    /// What calls took on average in a window, and the limit for that, in microseconds; `None` if there were none to compare.
    /// Whether the node has been slow for long enough to be taken out.
    pub(crate) fn window(&mut self, mean_us: Option<u64>, limit_us: Option<u64>) -> bool {
        if let (Some(mean), Some(limit)) = (mean_us, limit_us) {
            self.slow = if mean > limit { self.slow + 1 } else { 0 };
            self.limit_us = limit;
        }
        self.slow >= 2 && self.state == State::Closed
    }

    /// Takes the node out: it is slow.
    pub(crate) fn drain(&mut self, rules: &HealthConfig, now_ms: u64) {
        if self.state == State::Closed {
            self.open(rules, Reason::Slow, now_ms);
        }
    }

    /// Takes the node out, or notes that it is not fit to come back yet.
    pub(crate) fn trip(&mut self, rules: &HealthConfig, now_ms: u64) -> bool {
        let opens = self.state == State::Closed;
        if opens {
            self.open(rules, Reason::Failing, now_ms);
        }
        opens
    }

    fn open(&mut self, rules: &HealthConfig, reason: Reason, now_ms: u64) {
        self.state = State::Open {
            reason,
            probe_at_ms: now_ms + rules.probe_min.as_millis() as u64,
            ceiling: rules.probe_min,
            good: 0,
        };
    }

    /// A probe was answered after so many microseconds, or not at all. `random` is evenly spread over 0 to 1. Whether the
    /// node is fit to come back; [`close`](Breaker::close) makes it so.
    pub(crate) fn probed(&mut self, rules: &HealthConfig, now_ms: u64, took_us: Option<u64>, random: f64) -> bool {
        let State::Open {
            reason,
            probe_at_ms,
            ceiling,
            good,
        } = &mut self.state
        else {
            return true;
        };
        // One quick answer may be luck on a node that was slow.
        let wanted = if *reason == Reason::Slow { 3 } else { 1 };
        let limit_us = if *reason == Reason::Slow {
            self.limit_us
        } else {
            u64::MAX
        };
        *good = match took_us {
            Some(took) if took <= limit_us => *good + 1,
            Some(_) | None => 0,
        };
        *ceiling = match *good {
            0 => ceiling.saturating_mul(2).min(rules.probe_max),
            _ => rules.probe_min,
        };
        *probe_at_ms = now_ms + ceiling.mul_f64(random.clamp(0.0, 1.0)).as_millis() as u64;
        *good >= wanted
    }

    /// The node is in use again, and begins with a clean record.
    pub(crate) fn close(&mut self, ok: u64) {
        *self = Breaker::new();
        self.ticks = [(ok, 0); TICKS];
        self.streak_ok = ok;
    }
}

/// For each node the mean above which it is slow: a multiple of the median of the others' means. `None` for a node
/// without a mean of its own or of a peer. All in microseconds.
pub(crate) fn limits_us(rules: &HealthConfig, means_us: &[Option<u64>]) -> Vec<Option<u64>> {
    let limit = |(at, own): (usize, &Option<u64>)| {
        (*own)?;
        let others = means_us.iter().enumerate().filter(|(other, _)| *other != at);
        let mut others: Vec<u64> = others.filter_map(|(_, mean)| *mean).collect();
        if others.is_empty() {
            return None;
        }
        // The upper one of the two in the middle: slow peers count for a node, not against it.
        let middle = others.len() / 2;
        let median = *others.select_nth_unstable(middle).1;
        let floor = rules.slow_floor.as_micros() as u64;
        Some(median.saturating_mul(u64::from(rules.slow_factor)).max(floor))
    };
    means_us.iter().enumerate().map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> HealthConfig {
        HealthConfig::default()
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_starts_anew() {
        let mut breaker = Breaker::new();
        breaker.tick(1000);
        for ok in [1000, 1000, 1000, 1000, 1001, 1001, 1001, 1001] {
            assert!(!breaker.failed(&rules(), 0, ok, false));
        }
        assert!(breaker.failed(&rules(), 0, 1001, false));
        assert_eq!(breaker.out(), Some(Reason::Failing));
    }

    #[test]
    fn half_of_a_seconds_calls_open_it_and_fewer_do_not() {
        let mut few = Breaker::new();
        let opened = (0..100u64).any(|n| few.failed(&rules(), 0, 1000 + n * 3, false));
        assert!(!opened, "a quarter of the calls");
        let mut half = Breaker::new();
        let opened = (0..100u64).any(|n| half.failed(&rules(), 0, n, false));
        assert!(opened);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut breaker = Breaker::new();
        for ok in [1, 2, 3] {
            assert!(!breaker.failed(&rules(), 0, ok, false));
        }
        (0..=TICKS).for_each(|_| breaker.tick(3));
        assert!(!breaker.failed(&rules(), 2000, 4, false));
        assert!(!breaker.failed(&rules(), 2000, 5, false));
    }

    #[test]
    fn a_node_that_cannot_be_reached_is_out_at_once_and_back_after_one_answer() {
        let mut breaker = Breaker::new();
        assert!(breaker.failed(&rules(), 100, 1_000_000, true));
        assert_eq!(breaker.probe_at_ms(), Some(120));
        assert!(!breaker.probed(&rules(), 120, None, 1.0));
        assert_eq!(breaker.probe_at_ms(), Some(160));
        assert!(breaker.probed(&rules(), 160, Some(900_000), 1.0));
        breaker.close(1_000_000);
        assert_eq!(breaker.out(), None);
    }

    #[test]
    fn a_node_far_slower_than_its_peers_is_drained_after_two_windows_and_back_when_it_is_quick() {
        let means = [Some(300), Some(200_000), Some(350), None];
        let limits = limits_us(&rules(), &means);
        assert_eq!(limits, [Some(1_000_000), Some(20_000), Some(1_000_000), None]);
        let mut breaker = Breaker::new();
        assert!(!breaker.window(means[1], limits[1]));
        assert!(breaker.window(means[1], limits[1]));
        breaker.drain(&rules(), 1000);
        assert_eq!(breaker.out(), Some(Reason::Slow));
        assert!(!breaker.probed(&rules(), 1000, Some(200_000), 1.0));
        assert!(!breaker.probed(&rules(), 2000, Some(300), 1.0));
        assert!(!breaker.probed(&rules(), 2000, Some(300), 1.0));
        assert!(breaker.probed(&rules(), 2000, Some(300), 1.0));
    }

    #[test]
    fn if_all_are_slow_nobody_is() {
        let means = [Some(200_000), Some(210_000), Some(190_000), Some(250_000)];
        for (mean, limit) in means.iter().zip(limits_us(&rules(), &means)) {
            assert!(*mean <= limit);
        }
        assert_eq!(
            [1, 2, 3, 4, 6, 100].map(|nodes| rules().max_slow(nodes)),
            [0, 1, 1, 1, 2, 34]
        );
    }

    #[derive(Clone, Debug)]
    enum Event {
        Ok(u64),
        Failed(bool),
        Tick,
        Probe(Option<u64>, f64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0u64..5).prop_map(Event::Ok),
            any::<bool>().prop_map(Event::Failed),
            Just(Event::Tick),
            (proptest::option::of(0u64..1_000_000), 0.0..1.0).prop_map(|(took, random)| Event::Probe(took, random)),
        ]
    }

    proptest! {
        #[test]
        fn it_opens_only_for_failures_and_closes_only_for_answers(events in proptest::collection::vec(event(), 0..200)) {
            let (mut breaker, mut ok, mut now_ms) = (Breaker::new(), 0, 0);
            let mut recent = 0;
            for event in events {
                now_ms += 10;
                let was_out = breaker.out().is_some();
                match event {
                    Event::Ok(count) => ok += count,
                    Event::Tick => breaker.tick(ok),
                    Event::Failed(down) => {
                        recent += 1;
                        let opened = breaker.failed(&rules(), now_ms, ok, down);
                        prop_assert!(!opened || down || recent >= rules().max_failures);
                        prop_assert_eq!(opened, !was_out && breaker.out().is_some());
                    }
                    Event::Probe(took, random) => {
                        let fit = breaker.probed(&rules(), now_ms, took, random);
                        prop_assert_eq!(fit, !was_out || took.is_some());
                        if let Some(at) = breaker.probe_at_ms() {
                            prop_assert!(at <= now_ms + rules().probe_max.as_millis() as u64 || !fit);
                        }
                        if fit && was_out {
                            breaker.close(ok);
                            recent = 0;
                        }
                    }
                }
            }
        }

        #[test]
        fn at_most_half_of_the_nodes_are_over_their_limit(means in proptest::collection::vec(1u64..10_000_000, 2..40)) {
            let means: Vec<_> = means.into_iter().map(Some).collect();
            let slow = limits_us(&rules(), &means).iter().zip(&means).filter(|(limit, mean)| *mean > *limit).count();
            prop_assert!(slow * 2 <= means.len());
        }
    }
}
