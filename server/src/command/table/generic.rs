//! Keys of any type: rows of the command table.

use super::container;
use crate::command::args::{integer, jitter, key, key_of, one_of, pattern, string, token, unix_time};
use crate::command::bits::flag::{CONST_TIME, DENYOOM, FAST, LOADING, READONLY, STALE, TOUCHES_ARBITRARY_KEYS, WRITE};
use crate::command::bits::key_flag::{ACCESS, DELETE, INSERT, OW, RM, RO, RW, UPDATE};
use crate::command::keys::at;
use crate::command::{Command, Flags, Group, Handler, category};
use crate::commands::command::help;
use crate::commands::key::{self as keys, expire, object, scan, transfer};

const GROUP: Group = Group::Generic;

const fn cmd(name: &'static str, handler: Handler, arity: i8, flags: &[Flags]) -> Command {
    Command::row(GROUP, name, handler, arity, flags)
}

pub(super) const ROWS: &[Command] = &[
    cmd("copy", transfer::copy, -3, &[WRITE, DENYOOM])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RO, ACCESS]), at(2, &[OW, UPDATE])])
        .doc(
            "6.2.0",
            "Copies a value to another key, which may be in another database.",
            "O(N), N the number of elements of the value; O(1) for strings",
        )
        .args(&[
            key("source"),
            key_of("destination", 1),
            integer("destination-db").after("DB").optional(),
            token("replace", "REPLACE").optional(),
        ]),
    cmd("del", keys::del, -2, &[WRITE])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RM, DELETE]).to(-1, 1)])
        .doc(
            "1.0.0",
            "Deletes keys.",
            "O(N), N the number of keys and of the elements of their values",
        )
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[key("key").multiple()]),
    cmd("exists", keys::exists, -2, &[READONLY, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RO]).to(-1, 1)])
        .doc(
            "1.0.0",
            "Counts how many of the keys exist; a key named twice counts twice.",
            "O(N), N the number of keys",
        )
        .history(&[("3.0.3", "Several keys.")])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[key("key").multiple()]),
    cmd("expire", expire::expire, -3, &[WRITE, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RW, UPDATE])])
        .doc("1.0.0", "Sets a key's time to live in seconds.", "O(1)")
        .history(&[("7.0.0", "NX, XX, GT and LT.")])
        .args(&[
            key("key"),
            integer("seconds"),
            one_of(
                "condition",
                &[
                    token("nx", "NX"),
                    token("xx", "XX"),
                    token("gt", "GT"),
                    token("lt", "LT"),
                ],
            )
            .since("7.0.0")
            .optional(),
            jitter(),
        ]),
    cmd("expireat", expire::expireat, -3, &[WRITE, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RW, UPDATE])])
        .doc(
            "1.2.0",
            "Sets the time at which a key expires, in seconds since 1970.",
            "O(1)",
        )
        .history(&[("7.0.0", "NX, XX, GT and LT.")])
        .args(&[
            key("key"),
            unix_time("unix-time-seconds"),
            one_of(
                "condition",
                &[
                    token("nx", "NX"),
                    token("xx", "XX"),
                    token("gt", "GT"),
                    token("lt", "LT"),
                ],
            )
            .since("7.0.0")
            .optional(),
        ]),
    cmd("expiretime", expire::expiretime, 2, &[READONLY, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc("7.0.0", "Tells when a key expires, in seconds since 1970.", "O(1)")
        .args(&[key("key")]),
    cmd("keys", scan::keys, 2, &[READONLY, TOUCHES_ARBITRARY_KEYS])
        .acl(&[category::KEYSPACE, category::DANGEROUS])
        .doc(
            "1.0.0",
            "Lists the keys that match a pattern; SCAN does so without holding up others.",
            "O(N), N the number of keys in the database",
        )
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .args(&[pattern("pattern")]),
    cmd("move", transfer::move_, 3, &[WRITE, FAST])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RW, ACCESS, UPDATE])])
        .doc("1.0.0", "Moves a key to another database.", "O(1)")
        .args(&[key("key"), integer("db")]),
    container(GROUP, "object")
        .doc("2.2.3", "Looks at how a value is kept.", "Depends on the subcommand")
        .subcommand_rows(&[
            cmd("object|encoding", object::object_encoding, 3, &[READONLY])
                .acl(&[category::KEYSPACE])
                .keys(&[at(2, &[RO])])
                .doc("2.2.3", "Tells how a value is represented inside.", "O(1)")
                .tips(&["nondeterministic_output"])
                .args(&[key("key")]),
            cmd("object|freq", object::object_freq, 3, &[READONLY])
                .acl(&[category::KEYSPACE])
                .keys(&[at(2, &[RO])])
                .doc(
                    "4.0.0",
                    "Tells how often a key was used of late, on a logarithmic scale.",
                    "O(1)",
                )
                .tips(&["nondeterministic_output"])
                .args(&[key("key")]),
            cmd("object|help", help, 2, &[LOADING, STALE])
                .acl(&[category::KEYSPACE])
                .doc("6.2.0", "Lists the subcommands.", "O(1)"),
            cmd("object|idletime", object::object_idletime, 3, &[READONLY])
                .acl(&[category::KEYSPACE])
                .keys(&[at(2, &[RO])])
                .doc("2.2.3", "Tells for how many seconds a key was not used.", "O(1)")
                .tips(&["nondeterministic_output"])
                .args(&[key("key")]),
            cmd("object|refcount", object::object_refcount, 3, &[READONLY])
                .acl(&[category::KEYSPACE])
                .keys(&[at(2, &[RO])])
                .doc("2.2.3", "Tells how many references a value has.", "O(1)")
                .tips(&["nondeterministic_output"])
                .args(&[key("key")]),
        ]),
    cmd("persist", expire::persist, 2, &[WRITE, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RW, UPDATE])])
        .doc("2.2.0", "Removes a key's time to live.", "O(1)")
        .args(&[key("key")]),
    cmd("pexpire", expire::pexpire, -3, &[WRITE, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RW, UPDATE])])
        .doc("2.6.0", "Sets a key's time to live in milliseconds.", "O(1)")
        .history(&[("7.0.0", "NX, XX, GT and LT.")])
        .args(&[
            key("key"),
            integer("milliseconds"),
            one_of(
                "condition",
                &[
                    token("nx", "NX"),
                    token("xx", "XX"),
                    token("gt", "GT"),
                    token("lt", "LT"),
                ],
            )
            .since("7.0.0")
            .optional(),
            jitter(),
        ]),
    cmd("pexpireat", expire::pexpireat, -3, &[WRITE, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RW, UPDATE])])
        .doc(
            "2.6.0",
            "Sets the time at which a key expires, in milliseconds since 1970.",
            "O(1)",
        )
        .history(&[("7.0.0", "NX, XX, GT and LT.")])
        .args(&[
            key("key"),
            unix_time("unix-time-milliseconds"),
            one_of(
                "condition",
                &[
                    token("nx", "NX"),
                    token("xx", "XX"),
                    token("gt", "GT"),
                    token("lt", "LT"),
                ],
            )
            .since("7.0.0")
            .optional(),
        ]),
    cmd("pexpiretime", expire::pexpiretime, 2, &[READONLY, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc("7.0.0", "Tells when a key expires, in milliseconds since 1970.", "O(1)")
        .args(&[key("key")]),
    cmd("pttl", expire::pttl, 2, &[READONLY, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc("2.6.0", "Tells a key's remaining time to live in milliseconds.", "O(1)")
        .history(&[("2.8.0", "-2 for a key that does not exist.")])
        .tips(&["nondeterministic_output"])
        .args(&[key("key")]),
    cmd("randomkey", keys::randomkey, 1, &[READONLY, TOUCHES_ARBITRARY_KEYS])
        .acl(&[category::KEYSPACE])
        .doc("1.0.0", "Returns some key of the database.", "O(1)")
        .tips(&["request_policy:all_shards", "nondeterministic_output"]),
    cmd("rename", transfer::rename, 3, &[WRITE])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RW, ACCESS, DELETE]), at(2, &[OW, UPDATE])])
        .doc(
            "1.0.0",
            "Gives a key another name; whatever had that name is overwritten.",
            "O(1), but for deleting what is overwritten",
        )
        .args(&[key("key"), key_of("newkey", 1)]),
    cmd("renamenx", transfer::renamenx, 3, &[WRITE, FAST])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RW, ACCESS, DELETE]), at(2, &[OW, INSERT])])
        .doc(
            "1.0.0",
            "Gives a key another name, unless a key has it already.",
            "O(1)",
        )
        .history(&[("3.2.0", "Both names may be the same.")])
        .args(&[key("key"), key_of("newkey", 1)]),
    cmd("scan", scan::scan, -2, &[READONLY, TOUCHES_ARBITRARY_KEYS])
        .acl(&[category::KEYSPACE])
        .doc(
            "2.8.0",
            "Walks over the keys of the database, some per call.",
            "O(1) per call, O(N) for a full walk, N the number of keys",
        )
        .history(&[("6.0.0", "TYPE.")])
        .tips(&["nondeterministic_output", "request_policy:special"])
        .args(&[
            integer("cursor"),
            pattern("pattern").after("MATCH").optional(),
            integer("count").after("COUNT").optional(),
            string("type").after("TYPE").since("6.0.0").optional(),
        ]),
    cmd("touch", keys::touch, -2, &[READONLY, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RO]).to(-1, 1)])
        .doc(
            "3.2.1",
            "Marks keys as just used and counts those that exist.",
            "O(N), N the number of keys",
        )
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[key("key").multiple()]),
    cmd("ttl", expire::ttl, 2, &[READONLY, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc("1.0.0", "Tells a key's remaining time to live in seconds.", "O(1)")
        .history(&[("2.8.0", "-2 for a key that does not exist.")])
        .tips(&["nondeterministic_output"])
        .args(&[key("key")]),
    cmd("type", keys::type_, 2, &[READONLY, FAST, CONST_TIME])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RO])])
        .doc("1.0.0", "Tells the type of a key's value.", "O(1)")
        .args(&[key("key")]),
    cmd("unlink", keys::unlink, -2, &[WRITE, FAST])
        .acl(&[category::KEYSPACE])
        .keys(&[at(1, &[RM, DELETE]).to(-1, 1)])
        .doc(
            "4.0.0",
            "Deletes keys and frees what they held off the request path.",
            "O(N), N the number of keys",
        )
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .args(&[key("key").multiple()]),
];
