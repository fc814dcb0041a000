//! Hashes: fields with values under one key.

use super::{commands, read, write};
use crate::resp::ToArgs;

commands! {
    /// Sets fields of a hash: a pair, a list of pairs or a map; how many of them are new.
    fn hset(key: impl AsRef<[u8]>, fields: impl ToArgs) -> u64 {
        write(&["HSET"], &key, &fields)
    }

    /// The value of a field; `None` if there is none.
    fn hget<T: FromValue>(key: impl AsRef<[u8]>, field: impl ToArgs) -> Option<T> {
        read(&["HGET"], &key, &field)
    }

    /// The values of several fields, in order, nil for those that are not there: `(String, Option<u32>)`, or
    /// `Vec<Option<String>>`.
    fn hmget<T: FromValue>(key: impl AsRef<[u8]>, fields: impl ToArgs) -> T {
        read(&["HMGET"], &key, &fields)
    }

    /// All fields and their values: a map, or a list of pairs; empty if there is no such hash.
    fn hgetall<T: FromValue>(key: impl AsRef<[u8]>) -> T {
        read(&["HGETALL"], &key, ())
    }

    /// Removes a field or several; how many there were.
    fn hdel(key: impl AsRef<[u8]>, fields: impl ToArgs) -> u64 {
        write(&["HDEL"], &key, &fields)
    }

    /// Adds to the integer in a field, which is 0 if there is none; the sum.
    fn hincr_by(key: impl AsRef<[u8]>, field: impl ToArgs, by: i64) -> i64 {
        write(&["HINCRBY"], &key, (&field, by))
    }

    /// Whether there is such a field.
    fn hexists(key: impl AsRef<[u8]>, field: impl ToArgs) -> bool {
        read(&["HEXISTS"], &key, &field)
    }

    /// The names of all fields, as a list or a set.
    fn hkeys<T: FromValue>(key: impl AsRef<[u8]>) -> T {
        read(&["HKEYS"], &key, ())
    }

    /// The values of all fields, as a list.
    fn hvals<T: FromValue>(key: impl AsRef<[u8]>) -> T {
        read(&["HVALS"], &key, ())
    }

    /// How many fields there are.
    fn hlen(key: impl AsRef<[u8]>) -> u64 {
        read(&["HLEN"], &key, ())
    }
}
