//! The commands that apps use, each written down once.
//!
//! An entry of a [`commands!`] table reads like a function: its arguments, what its reply is read as, and a body
//! that makes the request. From it come methods of [`Client`](crate::Client) and [`Transaction`](crate::Transaction),
//! of both in [`blocking`](crate::blocking), and of [`Pipeline`](crate::Pipeline), where replies are read all
//! together at the end. So they are the same everywhere.

mod hashes;
mod keys;
mod lists;
mod many;
mod options;
mod scripts;
mod server;
mod sets;
mod strings;
mod waiting;
mod zsets;

pub use options::{Expiry, KeyType, SetOptions, Ttl};

use crate::command::{Keyed, Spec};

/// A request on one key that changes nothing.
fn read<'a, A>(name: &'static [&'static str], key: &'a impl AsRef<[u8]>, args: A) -> Keyed<'a, A> {
    Keyed {
        spec: Spec::read(name),
        key: key.as_ref(),
        args,
    }
}

/// A request on one key that may change it.
fn write<'a, A>(name: &'static [&'static str], key: &'a impl AsRef<[u8]>, args: A) -> Keyed<'a, A> {
    Keyed {
        spec: Spec::write(name),
        key: key.as_ref(),
        args,
    }
}

/// Has a body made in a closure of its own, so that `?` ends it and no more.
fn made<R>(body: impl FnOnce() -> crate::Result<R>) -> crate::Result<R> {
    body()
}

/// Makes methods of a table of commands, see the head of this file. In a body, `?` ends with an error before anything
/// is sent.
macro_rules! commands {
    ($(
        $(#[$doc:meta])*
        fn $name:ident $(<$($t:ident: FromValue),+>)? ($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty $body:block
    )*) => {
        impl crate::Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// See [`Error`](crate::Error).
                pub async fn $name $(<$($t: crate::FromValue),+>)? (&self, $($arg: $ty),*) -> crate::Result<$ret> {
                    let request = crate::commands::made(|| Ok($body))?;
                    Ok(crate::FromValue::from_value(self.run(&request).await?)?)
                }
            )*
        }

        impl crate::Transaction {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// See [`Error`](crate::Error).
                pub async fn $name $(<$($t: crate::FromValue),+>)? (&mut self, $($arg: $ty),*) -> crate::Result<$ret> {
                    let request = crate::commands::made(|| Ok($body))?;
                    Ok(crate::FromValue::from_value(self.run(&request).await?)?)
                }
            )*
        }

        impl crate::blocking::Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// See [`Error`](crate::Error).
                ///
                /// # Panics
                /// Inside of an async runtime.
                pub fn $name $(<$($t: crate::FromValue),+>)? (&self, $($arg: $ty),*) -> crate::Result<$ret> {
                    self.wait(self.client().$name($($arg),*))
                }
            )*
        }

        impl crate::blocking::Transaction<'_> {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// See [`Error`](crate::Error).
                pub fn $name $(<$($t: crate::FromValue),+>)? (&mut self, $($arg: $ty),*) -> crate::Result<$ret> {
                    self.handle.block_on(self.inner.$name($($arg),*))
                }
            )*
        }

        impl crate::Pipeline {
            $(
                $(#[$doc])*
                ///
                #[doc = concat!("See [`Client::", stringify!($name), "`](crate::Client::", stringify!($name), ").")]
                pub fn $name(&mut self, $($arg: $ty),*) -> &mut Self {
                    let request = crate::commands::made(|| Ok($body));
                    self.push(request)
                }
            )*
        }
    };
}
use commands;
