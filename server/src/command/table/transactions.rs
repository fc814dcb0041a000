//! Transactions: rows of the command table.

use crate::command::args::key;
use crate::command::bits::flag::{ALLOW_BUSY, FAST, LOADING, NOSCRIPT, SKIP_SLOWLOG, STALE};
use crate::command::bits::key_flag::RO;
use crate::command::keys::at;
use crate::command::{Command, Flags, Group, Handler, category};
use crate::commands::transaction;

const GROUP: Group = Group::Transactions;

const fn cmd(name: &'static str, handler: Handler, arity: i8, flags: &[Flags]) -> Command {
    Command::row(GROUP, name, handler, arity, flags).acl(&[category::TRANSACTION])
}

pub(super) const ROWS: &[Command] = &[
    cmd(
        "discard",
        transaction::discard,
        1,
        &[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY],
    )
    .doc(
        "2.0.0",
        "Drops the queued commands and ends the transaction.",
        "O(N), N the number of queued commands",
    ),
    cmd("exec", transaction::exec, 1, &[NOSCRIPT, LOADING, STALE, SKIP_SLOWLOG]).doc(
        "1.2.0",
        "Runs the queued commands as one, unless a watched key has changed.",
        "That of the queued commands",
    ),
    cmd(
        "multi",
        transaction::multi,
        1,
        &[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY],
    )
    .doc(
        "1.2.0",
        "Starts a transaction: the commands that follow are queued.",
        "O(1)",
    ),
    cmd(
        "unwatch",
        transaction::unwatch,
        1,
        &[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY],
    )
    .doc("2.2.0", "Stops watching keys.", "O(1)"),
    cmd(
        "watch",
        transaction::watch,
        -2,
        &[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY],
    )
    .keys(&[at(1, &[RO]).to(-1, 1)])
    .doc(
        "2.2.0",
        "Watches keys: the next transaction runs only if none of them changes before.",
        "O(N), N the number of keys",
    )
    .args(&[key("key").multiple()]),
];
