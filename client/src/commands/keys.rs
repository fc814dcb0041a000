//! Keys of any type: their time to live, their type, their name.

use super::options::{KeyType, Ttl, millis, unix_millis};
use super::{commands, read, write};
use crate::command::{Keyless, Scope, Spec, TwoKeys};
use std::time::{Duration, SystemTime};

commands! {
    /// Sets how long a key lives, rounded up to milliseconds; whether there is such a key.
    /// Zero is [`Error::Usage`](crate::Error::Usage).
    fn expire(key: impl AsRef<[u8]>, ttl: Duration) -> bool {
        write(&["PEXPIRE"], &key, millis(ttl)?)
    }

    /// Sets until when a key lives, rounded up to milliseconds; whether there is such a key. A time that is over removes
    /// it.
    fn expire_at(key: impl AsRef<[u8]>, time: SystemTime) -> bool {
        write(&["PEXPIREAT"], &key, unix_millis(time)?)
    }

    /// How long a key has to live, in milliseconds.
    fn ttl(key: impl AsRef<[u8]>) -> Ttl {
        read(&["PTTL"], &key, ())
    }

    /// Takes a key's time to live away; whether it had one.
    fn persist(key: impl AsRef<[u8]>) -> bool {
        write(&["PERSIST"], &key, ())
    }

    /// What kind of value a key has.
    fn key_type(key: impl AsRef<[u8]>) -> KeyType {
        read(&["TYPE"], &key, ())
    }

    /// Gives a value another key, in place of what that had. Both must be on one node.
    fn rename(from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> () {
        TwoKeys { spec: Spec::write(&["RENAME"]), keys: [from.as_ref(), to.as_ref()], args: () }
    }

    /// Gives a value another key, unless there is such a key; whether there was not. Both must be on one node.
    fn rename_nx(from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> bool {
        TwoKeys { spec: Spec::write(&["RENAMENX"]), keys: [from.as_ref(), to.as_ref()], args: () }
    }

    /// Any key; `None` if there is none. Of a pool, any key of any one node.
    fn random_key<T: FromValue>() -> Option<T> {
        Keyless { spec: Spec::read(&["RANDOMKEY"]), scope: Scope::Any, args: () }
    }
}
