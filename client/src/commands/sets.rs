//! Sets: members without an order.

use super::{commands, read, write};
use crate::resp::ToArgs;

commands! {
    /// Adds a member or several; how many were not there.
    fn sadd(key: impl AsRef<[u8]>, members: impl ToArgs) -> u64 {
        write(&["SADD"], &key, &members)
    }

    /// Removes a member or several; how many were there.
    fn srem(key: impl AsRef<[u8]>, members: impl ToArgs) -> u64 {
        write(&["SREM"], &key, &members)
    }

    /// All members, as a set or a list; empty if there is no such set.
    fn smembers<T: FromValue>(key: impl AsRef<[u8]>) -> T {
        read(&["SMEMBERS"], &key, ())
    }

    /// Whether it is a member.
    fn sismember(key: impl AsRef<[u8]>, member: impl ToArgs) -> bool {
        read(&["SISMEMBER"], &key, &member)
    }

    /// How many members there are.
    fn scard(key: impl AsRef<[u8]>) -> u64 {
        read(&["SCARD"], &key, ())
    }

    /// Takes any member; `None` if there is none.
    fn spop<T: FromValue>(key: impl AsRef<[u8]>) -> Option<T> {
        write(&["SPOP"], &key, ())
    }

    /// Takes up to `count` members, as a set or a list.
    fn spop_many<T: FromValue>(key: impl AsRef<[u8]>, count: u64) -> T {
        write(&["SPOP"], &key, count)
    }
}
