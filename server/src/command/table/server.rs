//! The node: rows of the command table.

use crate::call::pending;
use crate::command::args::{integer, one_of, string, token};
use crate::command::bits::flag::{
    ADMIN, ALLOW_BUSY, FAST, LOADING, NO_MULTI, NOSCRIPT, READONLY, STALE, WHOLE_KEYSPACE, WRITE,
};
use crate::command::{Command, Flags, Group, Handler, category};
use crate::commands::{debug, info, monitor, server};

const GROUP: Group = Group::Server;

const fn cmd(name: &'static str, handler: Handler, arity: i8, flags: &[Flags]) -> Command {
    Command::row(GROUP, name, handler, arity, flags)
}

pub(super) const ROWS: &[Command] = &[
    cmd("dbsize", pending, 1, &[READONLY, FAST])
        .acl(&[category::KEYSPACE])
        .doc("1.0.0", "Counts the keys of the database.", "O(1)")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    cmd(
        "debug",
        debug::debug,
        -2,
        &[ADMIN, NOSCRIPT, LOADING, STALE, WHOLE_KEYSPACE],
    )
    .doc(
        "1.0.0",
        "Helps to test the server; only if the configuration allows it.",
        "Depends on the subcommand",
    )
    .system(),
    cmd("flushall", pending, -1, &[WRITE])
        .acl(&[category::KEYSPACE, category::DANGEROUS])
        .doc(
            "1.0.0",
            "Deletes all keys of all databases.",
            "O(N), N the number of keys",
        )
        .history(&[("4.0.0", "ASYNC."), ("6.2.0", "SYNC.")])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(&[one_of(
            "async",
            &[
                token("async", "ASYNC").since("4.0.0"),
                token("sync", "SYNC").since("6.2.0"),
            ],
        )
        .optional()]),
    cmd("flushdb", pending, -1, &[WRITE])
        .acl(&[category::KEYSPACE, category::DANGEROUS])
        .doc(
            "1.0.0",
            "Deletes all keys of the database.",
            "O(N), N the number of keys",
        )
        .history(&[("4.0.0", "ASYNC."), ("6.2.0", "SYNC.")])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .args(&[one_of(
            "async",
            &[
                token("async", "ASYNC").since("4.0.0"),
                token("sync", "SYNC").since("6.2.0"),
            ],
        )
        .optional()]),
    cmd("info", info::info, -1, &[LOADING, STALE, WHOLE_KEYSPACE])
        .acl(&[category::DANGEROUS])
        .doc("1.0.0", "Reports the server's state and statistics.", "O(1)")
        .history(&[("7.0.0", "Several sections.")])
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ])
        .args(&[string("section").optional().multiple()]),
    cmd("lastsave", server::lastsave, 1, &[LOADING, STALE, FAST])
        .acl(&[category::ADMIN, category::DANGEROUS])
        .doc(
            "1.0.0",
            "Tells when data was last saved (at the start: nothing is ever saved).",
            "O(1)",
        )
        .tips(&["nondeterministic_output"]),
    cmd("lolwut", server::lolwut, -1, &[READONLY, FAST])
        .doc("5.0.0", "Shows the version, with a picture.", "O(1)")
        .args(&[integer("version").after("VERSION").optional()]),
    cmd("monitor", monitor::monitor, 1, &[ADMIN, NOSCRIPT, LOADING, STALE]).doc(
        "1.0.0",
        "Streams every command that the server runs.",
        "O(1)",
    ),
    cmd("role", server::role, 1, &[NOSCRIPT, LOADING, STALE, FAST])
        .acl(&[category::ADMIN, category::DANGEROUS])
        .doc("2.8.12", "Tells the server's role in replication.", "O(1)"),
    cmd(
        "shutdown",
        server::shutdown,
        -1,
        &[ADMIN, NOSCRIPT, LOADING, STALE, NO_MULTI, ALLOW_BUSY],
    )
    .doc("1.0.0", "Stops the server.", "O(1)")
    .history(&[("7.0.0", "NOW, FORCE and ABORT.")])
    .args(&[
        one_of("nosave_save", &[token("nosave", "NOSAVE"), token("save", "SAVE")]).optional(),
        token("now", "NOW").since("7.0.0").optional(),
        token("force", "FORCE").since("7.0.0").optional(),
        token("abort", "ABORT").since("7.0.0").optional(),
    ]),
    cmd("swapdb", pending, 3, &[WRITE, FAST])
        .acl(&[category::KEYSPACE, category::DANGEROUS])
        .doc(
            "4.0.0",
            "Exchanges two databases.",
            "O(N), N the number of clients that watch keys or wait for them",
        )
        .args(&[integer("index1"), integer("index2")]),
    cmd("time", server::time, 1, &[LOADING, STALE, FAST])
        .doc(
            "2.6.0",
            "Tells the server's time, in seconds since 1970 and microseconds.",
            "O(1)",
        )
        .tips(&["nondeterministic_output"]),
];
