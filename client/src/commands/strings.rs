//! Strings, numbers and bits.

use super::options::{Expiry, SetOptions};
use super::{commands, read, write};
use crate::resp::ToArgs;

commands! {
    /// The value of a key; `None` if there is none.
    fn get<T: FromValue>(key: impl AsRef<[u8]>) -> Option<T> {
        read(&["GET"], &key, ())
    }

    /// Sets the value of a key, and takes its time to live away.
    fn set(key: impl AsRef<[u8]>, value: impl ToArgs) -> () {
        write(&["SET"], &key, &value)
    }

    /// Sets the value of a key on a condition or for a time; whether it was set.
    fn set_with(key: impl AsRef<[u8]>, value: impl ToArgs, options: SetOptions<'_>) -> bool {
        write(&["SET"], &key, (&value, options.args(false)?))
    }

    /// Sets the value of a key that does not exist; whether it did not.
    fn set_nx(key: impl AsRef<[u8]>, value: impl ToArgs) -> bool {
        write(&["SET"], &key, (&value, "NX"))
    }

    /// Sets the value of a key, takes its time to live away, and returns the value that it had.
    fn get_set<T: FromValue>(key: impl AsRef<[u8]>, value: impl ToArgs) -> Option<T> {
        write(&["SET"], &key, (&value, "GET"))
    }

    /// Sets the value of a key on a condition or for a time, and returns the value that it had, whether or not it was
    /// set. Together with a condition servers before Redis 7.0 refuse it.
    fn get_set_with<T: FromValue>(key: impl AsRef<[u8]>, value: impl ToArgs, options: SetOptions<'_>) -> Option<T> {
        write(&["SET"], &key, (&value, options.args(true)?))
    }

    /// The value of a key, whose time to live is set anew: a [`Duration`](std::time::Duration), a
    /// [`SystemTime`](std::time::SystemTime), or [`Expiry::Never`].
    fn get_ex<T: FromValue>(key: impl AsRef<[u8]>, expiry: impl Into<Expiry>) -> Option<T> {
        write(&["GETEX"], &key, expiry.into().option("PERSIST")?)
    }

    /// The value of a key, which is removed.
    fn get_del<T: FromValue>(key: impl AsRef<[u8]>) -> Option<T> {
        write(&["GETDEL"], &key, ())
    }

    /// Appends to a string, which is empty if there is none; its new length in bytes.
    fn append(key: impl AsRef<[u8]>, value: impl ToArgs) -> u64 {
        write(&["APPEND"], &key, &value)
    }

    /// The length of a string in bytes; 0 if there is none.
    fn strlen(key: impl AsRef<[u8]>) -> u64 {
        read(&["STRLEN"], &key, ())
    }

    /// A part of a string, from one byte to another, both included; negative ones count from the end, which is -1.
    fn get_range<T: FromValue>(key: impl AsRef<[u8]>, first: i64, last: i64) -> T {
        read(&["GETRANGE"], &key, (first, last))
    }

    /// Overwrites a part of a string, which is filled up with zeros to there; its new length in bytes.
    fn set_range(key: impl AsRef<[u8]>, offset: u64, value: impl ToArgs) -> u64 {
        write(&["SETRANGE"], &key, (offset, &value))
    }

    /// Adds one to an integer, which is 0 if there is none; the sum.
    fn incr(key: impl AsRef<[u8]>) -> i64 {
        write(&["INCR"], &key, ())
    }

    /// Adds to an integer, which is 0 if there is none; the sum.
    fn incr_by(key: impl AsRef<[u8]>, by: i64) -> i64 {
        write(&["INCRBY"], &key, by)
    }

    /// Adds to a number, which is 0 if there is none; the sum.
    fn incr_by_float(key: impl AsRef<[u8]>, by: f64) -> f64 {
        write(&["INCRBYFLOAT"], &key, by)
    }

    /// Takes one from an integer, which is 0 if there is none; the difference.
    fn decr(key: impl AsRef<[u8]>) -> i64 {
        write(&["DECR"], &key, ())
    }

    /// Takes from an integer, which is 0 if there is none; the difference.
    fn decr_by(key: impl AsRef<[u8]>, by: i64) -> i64 {
        write(&["DECRBY"], &key, by)
    }

    /// Sets one bit of a string; what it was.
    fn setbit(key: impl AsRef<[u8]>, offset: u64, bit: bool) -> bool {
        write(&["SETBIT"], &key, (offset, bit))
    }

    /// One bit of a string; false beyond its end.
    fn getbit(key: impl AsRef<[u8]>, offset: u64) -> bool {
        read(&["GETBIT"], &key, offset)
    }

    /// How many bits of a string are set.
    fn bitcount(key: impl AsRef<[u8]>) -> u64 {
        read(&["BITCOUNT"], &key, ())
    }

    /// How many bits are set from one byte to another, both included; negative ones count from the end, which is -1.
    fn bitcount_range(key: impl AsRef<[u8]>, first: i64, last: i64) -> u64 {
        read(&["BITCOUNT"], &key, (first, last))
    }
}
