//! Counters of a node at one moment, and what two moments say about the time between them.

use crate::info::Info;
use larder_client::{FromValue, Value};
use std::collections::BTreeMap;
use std::time::Instant;

/// Commands that only those send who look at a server, `top` itself first of all.
const LOOKING: [&str; 4] = ["info", "latency", "hello", "client"];

/// What a node said at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) info: Info,
    pub(super) latencies: Option<Latencies>,
}

/// How many commands took how long since the server counts: by upper bound, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Latencies(BTreeMap<u64, u64>);

impl Latencies {
    /// Reads the reply to LATENCY HISTOGRAM: by command, how many calls took at most so many microseconds. `None` if
    /// it is none.
    pub(super) fn parse(reply: Value) -> Option<Latencies> {
        let mut all = BTreeMap::new();
        for (name, facts) in Vec::<(String, Value)>::from_value(reply).ok()? {
            let command = name.split('|').next().unwrap_or_default();
            if LOOKING.contains(&command) {
                continue;
            }
            let facts = BTreeMap::<String, Value>::from_value(facts).ok()?;
            let steps = Vec::<(u64, u64)>::from_value(facts.get("histogram_usec")?.clone()).ok()?;
            let mut before = 0;
            for (bound_us, until_there) in steps {
                *all.entry(bound_us).or_default() += until_there.saturating_sub(before);
                before = until_there;
            }
        }
        Some(Latencies(all))
    }

    /// What `share` of the commands since `before` took at most, in microseconds; `None` if there were none.
    fn quantile_since_us(&self, before: &Latencies, share: f64) -> Option<u64> {
        let known = |bound_us| before.0.get(bound_us).copied().unwrap_or(0);
        let new: Vec<(u64, u64)> = self
            .0
            .iter()
            .map(|(bound_us, count)| (*bound_us, count.saturating_sub(known(bound_us))))
            .collect();
        let all: u64 = new.iter().map(|(_, count)| count).sum();
        let rank = (all as f64 * share).ceil() as u64;
        let mut seen = 0;
        new.into_iter().find_map(|(bound_us, count)| {
            seen += count;
            (rank > 0 && seen >= rank).then_some(bound_us)
        })
    }
}

/// What a node did between two samples.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) ops_per_s: f64,
    /// Hits of all lookups, 0 to 1; `None` without any.
    pub(super) hit_ratio: Option<f64>,
    pub(super) memory_bytes: u64,
    /// `None` if there is no limit.
    pub(super) memory_limit_bytes: Option<u64>,
    /// `None` if nothing ran, or the server does not tell.
    pub(super) p99_us: Option<u64>,
    pub(super) clients: u64,
    pub(super) evicted_per_s: f64,
    pub(super) expired_per_s: f64,
    pub(super) uptime_s: u64,
    pub(super) program: String,
}

impl Frame {
    /// What happened from `before` to `after`; `None` if the server began anew between them, so that its counters say
    /// nothing about that time.
    pub(super) fn between(before: &Sample, after: &Sample) -> Option<Frame> {
        let seconds = (after.at - before.at).as_secs_f64();
        let now = |name: &str| after.info.number::<u64>(name).unwrap_or(0);
        let since = |name: &str| now(name).checked_sub(before.info.number(name).unwrap_or(0));
        let is_other = before.info.text("run_id") != after.info.text("run_id");
        if is_other || seconds <= 0.0 {
            return None;
        }
        let (hits, misses) = (since("keyspace_hits")?, since("keyspace_misses")?);
        let lookups = hits + misses;
        let latencies = after.latencies.as_ref().zip(before.latencies.as_ref());
        Some(Frame {
            ops_per_s: since("total_commands_processed")? as f64 / seconds,
            hit_ratio: (lookups > 0).then(|| hits as f64 / lookups as f64),
            memory_bytes: now("used_memory"),
            memory_limit_bytes: Some(now("maxmemory")).filter(|limit| *limit > 0),
            p99_us: latencies.and_then(|(after, before)| after.quantile_since_us(before, 0.99)),
            clients: now("connected_clients"),
            evicted_per_s: since("evicted_keys")? as f64 / seconds,
            expired_per_s: since("expired_keys")? as f64 / seconds,
            uptime_s: now("uptime_in_seconds"),
            program: after.info.program().unwrap_or_else(|| "?".to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn text(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec().into())
    }

    fn histogram(command: &str, steps: &[(i64, i64)]) -> (Value, Value) {
        let steps = steps
            .iter()
            .map(|(bound, count)| (Value::Int(*bound), Value::Int(*count)));
        let facts = vec![
            (text("calls"), Value::Int(0)),
            (text("histogram_usec"), Value::Map(steps.collect())),
        ];
        (text(command), Value::Map(facts))
    }

    fn sample(at: Instant, info: &str, steps: &[(i64, i64)]) -> Sample {
        Sample {
            at,
            info: Info::parse(info.as_bytes()),
            latencies: Latencies::parse(Value::Map(vec![
                histogram("get", steps),
                histogram("info", &[(9999, 1_000_000)]),
                histogram("client|setinfo", &[(9999, 1_000_000)]),
            ])),
        }
    }

    #[test]
    fn a_frame_is_about_the_time_between_two_samples() {
        let at = Instant::now();
        let before = sample(
            at,
            "run_id:a\ntotal_commands_processed:1000\nkeyspace_hits:10\nkeyspace_misses:10\nevicted_keys:5",
            &[(1, 0), (2, 500), (1000, 1000)],
        );
        let after = sample(
            at + Duration::from_secs(2),
            "run_id:a\ntotal_commands_processed:3000\nkeyspace_hits:40\nkeyspace_misses:20\nevicted_keys:9\nmaxmemory:0",
            &[(1, 985), (2, 1490), (16, 1495), (1000, 2000)],
        );
        let frame = Frame::between(&before, &after).expect("the same server");
        assert_eq!(frame.ops_per_s, 1000.0);
        assert_eq!(frame.hit_ratio, Some(0.75));
        assert_eq!(frame.evicted_per_s, 2.0);
        assert_eq!(frame.memory_limit_bytes, None);
        // Of 1000 new commands 985 took 1 us, 5 took 2, 5 took 16, 5 took longer.
        assert_eq!(frame.p99_us, Some(2));
    }

    #[test]
    fn a_server_that_began_anew_has_no_frame_yet() {
        let at = Instant::now();
        let before = sample(at, "run_id:a\ntotal_commands_processed:1000", &[]);
        let later = at + Duration::from_secs(1);
        let restarted = sample(later, "run_id:b\ntotal_commands_processed:2000", &[]);
        assert_eq!(Frame::between(&before, &restarted), None);
        let reset = sample(later, "run_id:a\ntotal_commands_processed:5", &[]);
        assert_eq!(Frame::between(&before, &reset), None);
    }

    #[test]
    fn replies_of_resp2_are_read_as_well_and_nonsense_is_not() {
        let steps = Value::Array([2, 5, 4, 9].map(Value::Int).to_vec());
        let facts = Value::Array(vec![text("calls"), Value::Int(9), text("histogram_usec"), steps]);
        let flat = Value::Array(vec![text("get"), facts]);
        let wanted = Latencies(BTreeMap::from([(2, 5), (4, 4)]));
        assert_eq!(Latencies::parse(flat), Some(wanted));
        assert_eq!(Latencies::parse(Value::Int(3)), None);
        assert_eq!(Latencies::parse(Value::Map(vec![(text("get"), Value::Nil)])), None);
    }
}
