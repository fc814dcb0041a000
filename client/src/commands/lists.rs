//! Lists: elements in the order in which they were put in.

use super::{commands, read, write};
use crate::resp::ToArgs;

commands! {
    /// Puts an element or several in front, one after the other; the new length.
    fn lpush(key: impl AsRef<[u8]>, elements: impl ToArgs) -> u64 {
        write(&["LPUSH"], &key, &elements)
    }

    /// Puts an element or several at the end; the new length.
    fn rpush(key: impl AsRef<[u8]>, elements: impl ToArgs) -> u64 {
        write(&["RPUSH"], &key, &elements)
    }

    /// Takes the first element; `None` if there is none.
    fn lpop<T: FromValue>(key: impl AsRef<[u8]>) -> Option<T> {
        write(&["LPOP"], &key, ())
    }

    /// Takes the last element; `None` if there is none.
    fn rpop<T: FromValue>(key: impl AsRef<[u8]>) -> Option<T> {
        write(&["RPOP"], &key, ())
    }

    /// Takes up to `count` elements from the front. Since Redis 6.2.
    fn lpop_many<T: FromValue>(key: impl AsRef<[u8]>, count: u64) -> Vec<T> {
        write(&["LPOP"], &key, count)
    }

    /// Takes up to `count` elements from the end, the last first. Since Redis 6.2.
    fn rpop_many<T: FromValue>(key: impl AsRef<[u8]>, count: u64) -> Vec<T> {
        write(&["RPOP"], &key, count)
    }

    /// The elements from one position to another, both included; negative ones count from the end, which is -1.
    fn lrange<T: FromValue>(key: impl AsRef<[u8]>, first: i64, last: i64) -> Vec<T> {
        read(&["LRANGE"], &key, (first, last))
    }

    /// How many elements there are.
    fn llen(key: impl AsRef<[u8]>) -> u64 {
        read(&["LLEN"], &key, ())
    }

    /// Removes `count` elements that equal `element`, from the front, or from the end if it is negative; all if it is 0.
    /// How many were removed.
    fn lrem(key: impl AsRef<[u8]>, count: i64, element: impl ToArgs) -> u64 {
        write(&["LREM"], &key, (count, &element))
    }

    /// Keeps only the elements from one position to another, both included; negative ones count from the end.
    fn ltrim(key: impl AsRef<[u8]>, first: i64, last: i64) -> () {
        write(&["LTRIM"], &key, (first, last))
    }
}
