//! Commands that wait until there is something. Each has a connection of its own while it waits.

use crate::blocking;
use crate::client::Client;
use crate::command::{Cmd, cmd};
use crate::error::{Error, Result};
use crate::resp::{FromValue, ToArgs};
use std::time::Duration;

/// A command with keys and, behind them, how long it may wait.
///
/// # Errors
/// [`Error::Usage`] for a wait of zero, which would have no end.
fn waiting(name: &str, keys: &impl ToArgs, wait: Duration) -> Result<Cmd> {
    if wait.is_zero() {
        let why = "a wait of zero; servers take that for a wait without end";
        return Err(Error::Usage(format!("{name}: {why}")));
    }
    Ok(cmd(name).arg(keys).arg(wait.as_secs_f64()))
}

/// Makes a method of both clients of each command.
macro_rules! waiting_commands {
    ($($(#[$doc:meta])* fn $name:ident = $command:literal;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// If the call is dropped, its connection is closed, so that nothing is taken for nobody later.
                ///
                /// # Errors
                /// [`Error::Usage`] for a wait of zero; [`Error::Busy`] if too many calls wait already; else see
                /// [`Error`].
                pub async fn $name<T: FromValue>(&self, keys: impl ToArgs, wait: Duration) -> Result<Option<T>> {
                    self.query(&waiting($command, &keys, wait)?).await
                }
            )*
        }

        impl blocking::Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`Error::Usage`] for a wait of zero; [`Error::Busy`] if too many calls wait already; else see
                /// [`Error`].
                ///
                /// # Panics
                /// Inside of an async runtime.
                pub fn $name<T: FromValue>(&self, keys: impl ToArgs, wait: Duration) -> Result<Option<T>> {
                    self.wait(self.client().$name(keys, wait))
                }
            )*
        }
    };
}

waiting_commands! {
    /// Takes the first element of the first list that has one, as `(key, element)`; waits for one if there is none,
    /// and returns `None` if none came.
    fn blpop = "BLPOP";

    /// Takes the last element of the first list that has one, as `(key, element)`; waits for one if there is none,
    /// and returns `None` if none came.
    fn brpop = "BRPOP";

    /// Takes the member with the lowest score of the first sorted set that has one, as `(key, member, score)`; waits for
    /// one if there is none, and returns `None` if none came.
    fn bzpopmin = "BZPOPMIN";

    /// Takes the member with the highest score of the first sorted set that has one, as `(key, member, score)`; waits for
    /// one if there is none, and returns `None` if none came.
    fn bzpopmax = "BZPOPMAX";
}
