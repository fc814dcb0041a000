//! The connection itself: rows of the command table.

use crate::command::args::{block, integer, string};
use crate::command::bits::flag::{ALLOW_BUSY, CONST_TIME, FAST, LOADING, NO_AUTH, NOSCRIPT, STALE};
use crate::command::{Command, Flags, Group, Handler, category};
use crate::commands::connection;

const GROUP: Group = Group::Connection;

const fn cmd(name: &'static str, handler: Handler, arity: i8, flags: &[Flags]) -> Command {
    Command::row(GROUP, name, handler, arity, flags).acl(&[category::CONNECTION])
}

pub(super) const ROWS: &[Command] = &[
    cmd(
        "auth",
        connection::auth,
        -2,
        &[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY],
    )
    .doc("1.0.0", "Authenticates the connection.", "O(1)")
    .history(&[("6.0.0", "A user name.")])
    .args(&[string("username").since("6.0.0").optional(), string("password")]),
    cmd("echo", connection::echo, 2, &[LOADING, STALE, FAST, CONST_TIME])
        .doc("1.0.0", "Returns its argument.", "O(1)")
        .args(&[string("message")]),
    cmd(
        "hello",
        connection::hello,
        -1,
        &[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY],
    )
    .doc(
        "6.0.0",
        "Chooses the protocol version, and may authenticate and name the connection.",
        "O(1)",
    )
    .history(&[("6.2.0", "All arguments may be left out.")])
    .args(&[block(
        "arguments",
        &[
            integer("protover"),
            block("username_password", &[string("username"), string("password")])
                .after("AUTH")
                .optional(),
            string("clientname").after("SETNAME").optional(),
        ],
    )
    .optional()]),
    cmd("ping", connection::ping, -1, &[FAST, CONST_TIME])
        .doc(
            "1.0.0",
            "Shows that the server is there; returns its argument, if any.",
            "O(1)",
        )
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(&[string("message").optional()]),
    cmd(
        "quit",
        connection::quit,
        -1,
        &[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY],
    )
    .doc("1.0.0", "Closes the connection.", "O(1)")
    .deprecated("7.2.0", "closing the connection"),
    cmd(
        "reset",
        connection::reset,
        1,
        &[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY],
    )
    .doc(
        "6.2.0",
        "Puts the connection back to how it was when it was opened.",
        "O(1)",
    ),
    cmd("select", connection::select, 2, &[LOADING, STALE, FAST, CONST_TIME])
        .doc("1.0.0", "Chooses the connection's database.", "O(1)")
        .args(&[integer("index")]),
];
