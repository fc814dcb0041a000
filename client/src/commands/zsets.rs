//! Sorted sets: members in the order of their scores.

use super::{commands, read, write};
use crate::resp::{Encoder, ToArgs};
use std::ops::{Bound, RangeBounds};

/// A range of scores as servers read it.
struct Scores(Bound<f64>, Bound<f64>);

impl Scores {
    fn new(range: &impl RangeBounds<f64>) -> Scores {
        Scores(range.start_bound().cloned(), range.end_bound().cloned())
    }
}

impl ToArgs for Scores {
    fn count(&self) -> usize {
        2
    }

    fn write(&self, out: &mut Encoder<'_>) {
        for (bound, open) in [(self.0, "-inf"), (self.1, "+inf")] {
            match bound {
                Bound::Included(score) => score.write(out),
                Bound::Excluded(score) => out.arg(format!("({score}").as_bytes()),
                Bound::Unbounded => out.arg(open.as_bytes()),
            }
        }
    }
}

commands! {
    /// Adds members or changes their scores: a pair `(score, member)`, or a list of such; how many are new.
    fn zadd(key: impl AsRef<[u8]>, members: impl ToArgs) -> u64 {
        write(&["ZADD"], &key, &members)
    }

    /// Removes a member or several; how many were there.
    fn zrem(key: impl AsRef<[u8]>, members: impl ToArgs) -> u64 {
        write(&["ZREM"], &key, &members)
    }

    /// The members from one rank to another, both included, the lowest score first; negative ones count from the end,
    /// which is -1.
    fn zrange<T: FromValue>(key: impl AsRef<[u8]>, first: i64, last: i64) -> Vec<T> {
        read(&["ZRANGE"], &key, (first, last))
    }

    /// The same with scores: `Vec<(String, f64)>`, or a map.
    fn zrange_with_scores<T: FromValue>(key: impl AsRef<[u8]>, first: i64, last: i64) -> T {
        read(&["ZRANGE"], &key, (first, last, "WITHSCORES"))
    }

    /// The members whose scores lie in a range, as in `1.0..=5.0`, `..10.0` or `..`, the lowest first.
    fn zrange_by_score<T: FromValue>(key: impl AsRef<[u8]>, scores: impl RangeBounds<f64>) -> Vec<T> {
        read(&["ZRANGEBYSCORE"], &key, Scores::new(&scores))
    }

    /// The score of a member; `None` if it is not there.
    fn zscore(key: impl AsRef<[u8]>, member: impl ToArgs) -> Option<f64> {
        read(&["ZSCORE"], &key, &member)
    }

    /// Adds to the score of a member, which is 0 if it is not there; the sum.
    fn zincr_by(key: impl AsRef<[u8]>, by: f64, member: impl ToArgs) -> f64 {
        write(&["ZINCRBY"], &key, (by, &member))
    }

    /// How many members there are.
    fn zcard(key: impl AsRef<[u8]>) -> u64 {
        read(&["ZCARD"], &key, ())
    }

    /// How many members have lower scores; `None` if it is not there.
    fn zrank(key: impl AsRef<[u8]>, member: impl ToArgs) -> Option<u64> {
        read(&["ZRANK"], &key, &member)
    }
}
