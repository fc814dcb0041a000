//! Commands on many keys, for those who send them to one node: pipelines and transactions. How a
//! [`Client`](crate::Client) splits them over nodes is the pool's.

use crate::command::cmd;
use crate::error::Result;
use crate::resp::{FromValue, ToArgs};
use crate::{Pipeline, Transaction, blocking};

/// Makes methods of each command of all who send it to one node.
macro_rules! many_keys {
    ($($(#[$doc:meta])* fn $name:ident $(<$t:ident: FromValue>)? ($args:ident) -> $ret:ty = $command:literal;)*) => {
        impl Pipeline {
            $(
                $(#[$doc])*
                pub fn $name(&mut self, $args: impl ToArgs) -> &mut Self {
                    self.add(&cmd($command).arg($args))
                }
            )*
        }

        impl Transaction {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// See [`Error`](crate::Error).
                pub async fn $name $(<$t: FromValue>)? (&mut self, $args: impl ToArgs) -> Result<$ret> {
                    self.query(&cmd($command).arg($args)).await
                }
            )*
        }

        impl blocking::Transaction<'_> {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// See [`Error`](crate::Error).
                pub fn $name $(<$t: FromValue>)? (&mut self, $args: impl ToArgs) -> Result<$ret> {
                    self.query(&cmd($command).arg($args))
                }
            )*
        }
    };
}

many_keys! {
    /// The values of several keys, in their order; `None` for those that have none. All keys must be on one node.
    fn mget<T: FromValue>(keys) -> Vec<Option<T>> = "MGET";

    /// Sets several keys: pairs, or a map. All keys must be on one node.
    fn mset(pairs) -> () = "MSET";

    /// Removes a key or several; how many there were. All keys must be on one node.
    fn del(keys) -> u64 = "DEL";

    /// The same, but the server gives the memory back later.
    fn unlink(keys) -> u64 = "UNLINK";

    /// How many of the keys there are; one that is named twice counts twice. All keys must be on one node.
    fn exists(keys) -> u64 = "EXISTS";

    /// Marks keys as used just now; how many there are. All keys must be on one node.
    fn touch(keys) -> u64 = "TOUCH";
}

/// Makes methods of the client for threads of what the other client splits over nodes.
macro_rules! waited_for {
    ($(fn $name:ident $(<$t:ident: FromValue>)? ($args:ident: $ty:ty) -> $ret:ty;)*) => {
        impl blocking::Client {
            $(
                #[doc = concat!("See [`Client::", stringify!($name), "`](crate::Client::", stringify!($name), ").")]
                ///
                /// # Errors
                /// As there.
                ///
                /// # Panics
                /// Inside of an async runtime.
                pub fn $name $(<$t: FromValue>)? (&self, $args: $ty) -> Result<$ret> {
                    self.wait(self.client().$name($args))
                }
            )*
        }
    };
}

waited_for! {
    fn mget<T: FromValue>(keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<Option<T>>;
    fn mset(pairs: impl IntoIterator<Item = (impl AsRef<[u8]>, impl ToArgs)>) -> ();
    fn del(keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> u64;
    fn unlink(keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> u64;
    fn exists(keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> u64;
    fn touch(keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> u64;
}
