//! The commands that apps use, each written down once.
//!
//! An entry of a [`commands!`] table reads like a function: its arguments, what its reply is read as, and a body
//! that makes the request. From it come a method of [`Client`](crate::Client), one of
//! [`blocking::Client`](crate::blocking::Client), one of [`Transaction`](crate::Transaction), and one of
//! [`Pipeline`](crate::Pipeline), where replies are read all together at the end.

mod hashes;
mod keys;
mod lists;
mod options;
mod scripts;
mod server;
mod sets;
mod strings;
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
                    let request = (|| -> crate::Result<_> { Ok($body) })()?;
                    Ok(crate::FromValue::from_value(self.run(&request).await?)?)
                }
            )*
        }

        impl crate::Pipeline {
            $(
                $(#[$doc])*
                ///
                #[doc = concat!("See [`Client::", stringify!($name), "`](crate::Client::", stringify!($name), ").")]
                pub fn $name(&mut self, $($arg: $ty),*) -> &mut Self {
                    let request = (|| -> crate::Result<_> { Ok($body) })();
                    self.push(request)
                }
            )*
        }
    };
}
use commands;
