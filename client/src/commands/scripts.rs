//! Scripts that run in the server.

use super::commands;
use crate::command::{Checked, Cmd, cmd};
use crate::error::Result;
use crate::resp::ToArgs;

/// `EVAL` and its like: the number of keys goes in front of them.
fn call(name: &str, script: &str, keys: &impl ToArgs, args: &impl ToArgs) -> Result<Checked<Cmd>> {
    let cmd = cmd(name).arg(script).arg(keys.count()).key(keys).arg(args);
    cmd.into_checked()
}

commands! {
    /// Runs a script: its text, the keys that it uses (`()` if none; all on one node), and its other arguments.
    fn eval<T: FromValue>(script: impl AsRef<str>, keys: impl ToArgs, args: impl ToArgs) -> T {
        call("EVAL", script.as_ref(), &keys, &args)?
    }

    /// Runs a script that the server has, by the SHA-1 of its text in hexadecimal; one that it has not is an
    /// [`Error::Server`](crate::Error::Server) with the code `NOSCRIPT`.
    fn eval_sha<T: FromValue>(sha: impl AsRef<str>, keys: impl ToArgs, args: impl ToArgs) -> T {
        call("EVALSHA", sha.as_ref(), &keys, &args)?
    }
}
