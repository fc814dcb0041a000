//! Strings: rows of the command table.

use crate::command::args::{block, double, integer, jitter, key, one_of, string, token, unix_time};
use crate::command::bits::flag::{CONST_TIME, DENYOOM, FAST, READONLY, WRITE};
use crate::command::bits::key_flag::{ACCESS, DELETE, INSERT, OW, RO, RW, UPDATE};
use crate::command::keys::{at, counted_at, set_key_flags};
use crate::command::{Command, Flags, Group, Handler, category};
use crate::commands::string;

const GROUP: Group = Group::String;

const fn cmd(name: &'static str, handler: Handler, arity: i8, flags: &[Flags]) -> Command {
    Command::row(GROUP, name, handler, arity, flags).acl(&[category::STRING])
}

pub(super) const ROWS: &[Command] = &[
    cmd("append", string::append, 3, &[WRITE, DENYOOM, FAST])
        .keys(&[at(1, &[RW, INSERT])])
        .doc(
            "2.0.0",
            "Adds bytes to the end of a string; an absent key starts empty.",
            "O(1) amortised, as strings grow by more than what is added",
        )
        .args(&[key("key"), string("value")]),
    cmd("decr", string::decr, 2, &[WRITE, DENYOOM, FAST, CONST_TIME])
        .keys(&[at(1, &[RW, ACCESS, UPDATE])])
        .doc(
            "1.0.0",
            "Subtracts one from an integer; an absent key counts as 0.",
            "O(1)",
        )
        .args(&[key("key")]),
    cmd("decrby", string::decrby, 3, &[WRITE, DENYOOM, FAST, CONST_TIME])
        .keys(&[at(1, &[RW, ACCESS, UPDATE])])
        .doc(
            "1.0.0",
            "Subtracts a number from an integer; an absent key counts as 0.",
            "O(1)",
        )
        .args(&[key("key"), integer("decrement")]),
    cmd("delex", string::delex, -2, &[WRITE, FAST, CONST_TIME])
        .keys(&[at(1, &[RW, DELETE])])
        .doc(
            "8.4.0",
            "Deletes a key, if its string (or its digest) is or is not the given one.",
            "O(1), with a digest O(N), N the length of the string",
        )
        .args(&[
            key("key"),
            one_of(
                "condition",
                &[
                    string("ifeq-value").after("IFEQ"),
                    string("ifne-value").after("IFNE"),
                    string("ifdeq-digest").after("IFDEQ"),
                    string("ifdne-digest").after("IFDNE"),
                ],
            )
            .optional(),
        ]),
    cmd("digest", string::digest, 2, &[READONLY, FAST])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc(
            "8.4.0",
            "Computes a 64 bit hash (XXH3) of a string, to compare values unseen.",
            "O(N), N the length of the string",
        )
        .args(&[key("key")]),
    cmd("get", string::get, 2, &[READONLY, FAST, CONST_TIME])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc("1.0.0", "Reads a string.", "O(1)")
        .args(&[key("key")]),
    cmd("getdel", string::getdel, 2, &[WRITE, FAST, CONST_TIME])
        .keys(&[at(1, &[RW, ACCESS, DELETE])])
        .doc("6.2.0", "Reads a string and deletes the key.", "O(1)")
        .args(&[key("key")]),
    cmd("getex", string::getex, -2, &[WRITE, FAST, CONST_TIME])
        .keys(&[at(1, &[RW, ACCESS, UPDATE]).notes("It changes the time to live, hence RW.")])
        .doc(
            "6.2.0",
            "Reads a string and sets or removes the key's time to live.",
            "O(1)",
        )
        .args(&[
            key("key"),
            one_of(
                "expiration",
                &[
                    integer("seconds").after("EX"),
                    integer("milliseconds").after("PX"),
                    unix_time("unix-time-seconds").after("EXAT"),
                    unix_time("unix-time-milliseconds").after("PXAT"),
                    token("persist", "PERSIST"),
                ],
            )
            .optional(),
            jitter(),
        ]),
    cmd("getrange", string::getrange, 4, &[READONLY])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc(
            "2.4.0",
            "Reads part of a string.",
            "O(N), N the number of bytes returned",
        )
        .args(&[key("key"), integer("start"), integer("end")]),
    cmd("getset", string::getset, 3, &[WRITE, DENYOOM, FAST, CONST_TIME])
        .keys(&[at(1, &[RW, ACCESS, UPDATE])])
        .doc("1.0.0", "Sets a string and returns what was there before.", "O(1)")
        .deprecated("6.2.0", "SET with GET")
        .args(&[key("key"), string("value")]),
    cmd("incr", string::incr, 2, &[WRITE, DENYOOM, FAST, CONST_TIME])
        .keys(&[at(1, &[RW, ACCESS, UPDATE])])
        .doc("1.0.0", "Adds one to an integer; an absent key counts as 0.", "O(1)")
        .args(&[key("key")]),
    cmd("incrby", string::incrby, 3, &[WRITE, DENYOOM, FAST, CONST_TIME])
        .keys(&[at(1, &[RW, ACCESS, UPDATE])])
        .doc(
            "1.0.0",
            "Adds a number to an integer; an absent key counts as 0.",
            "O(1)",
        )
        .args(&[key("key"), integer("increment")]),
    cmd("incrbyfloat", string::incrbyfloat, 3, &[WRITE, DENYOOM, FAST])
        .keys(&[at(1, &[RW, ACCESS, UPDATE])])
        .doc(
            "2.6.0",
            "Adds a floating point number to a number; an absent key counts as 0.",
            "O(1)",
        )
        .args(&[key("key"), double("increment")]),
    cmd("lcs", string::lcs, -3, &[READONLY])
        .keys(&[at(1, &[RO, ACCESS]).to(1, 1)])
        .doc(
            "7.0.0",
            "Finds the longest common subsequence of two strings.",
            "O(N*M), N and M the lengths of the strings",
        )
        .args(&[
            key("key1"),
            key("key2"),
            token("len", "LEN").optional(),
            token("idx", "IDX").optional(),
            integer("len").after("MINMATCHLEN").optional(),
            token("withmatchlen", "WITHMATCHLEN").optional(),
        ]),
    cmd("mget", string::mget, -2, &[READONLY, FAST])
        .keys(&[at(1, &[RO, ACCESS]).to(-1, 1)])
        .doc("1.0.0", "Reads several strings at once.", "O(N), N the number of keys")
        .tips(&["request_policy:multi_shard"])
        .args(&[key("key").multiple()]),
    cmd("mset", string::mset, -3, &[WRITE, DENYOOM])
        .keys(&[at(1, &[OW, UPDATE]).to(-1, 2)])
        .doc("1.0.1", "Sets several strings at once.", "O(N), N the number of keys")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .args(&[block("key_value", &[key("key"), string("value")]).multiple()]),
    cmd("msetex", string::msetex, -4, &[WRITE, DENYOOM])
        .keys(&[counted_at(1, 2, &[OW, UPDATE])])
        .doc(
            "8.4.0",
            "Sets several strings with one time to live, if all or none of the keys exist.",
            "O(N), N the number of keys",
        )
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .args(&[
            integer("numkeys"),
            block("data", &[key("key"), string("value")]).multiple(),
            one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).optional(),
            one_of(
                "expiration",
                &[
                    integer("seconds").after("EX"),
                    integer("milliseconds").after("PX"),
                    unix_time("unix-time-seconds").after("EXAT"),
                    unix_time("unix-time-milliseconds").after("PXAT"),
                    token("keepttl", "KEEPTTL"),
                ],
            )
            .optional(),
            jitter(),
        ]),
    cmd("msetnx", string::msetnx, -3, &[WRITE, DENYOOM])
        .keys(&[at(1, &[OW, INSERT]).to(-1, 2)])
        .doc(
            "1.0.1",
            "Sets several strings at once, but none if any of the keys exists.",
            "O(N), N the number of keys",
        )
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
        .args(&[block("key_value", &[key("key"), string("value")]).multiple()]),
    cmd("psetex", string::psetex, 4, &[WRITE, DENYOOM, CONST_TIME])
        .keys(&[at(1, &[OW, UPDATE])])
        .doc("2.6.0", "Sets a string with a time to live in milliseconds.", "O(1)")
        .deprecated("2.6.12", "SET with PX")
        .args(&[key("key"), integer("milliseconds"), string("value"), jitter()]),
    cmd("set", string::set, -3, &[WRITE, DENYOOM, CONST_TIME])
        .keys(&[at(1, &[RW, ACCESS, UPDATE])
            .refined_by(set_key_flags)
            .notes("Some options read the old value, the others only overwrite it.")])
        .doc(
            "1.0.0",
            "Sets a key to a string, on a condition or for a time if so asked.",
            "O(1)",
        )
        .history(&[
            ("2.6.12", "EX, PX, NX and XX."),
            ("6.0.0", "KEEPTTL."),
            ("6.2.0", "GET, EXAT and PXAT."),
            ("7.0.0", "NX and GET together."),
            ("8.4.0", "IFEQ, IFNE, IFDEQ and IFDNE."),
        ])
        .args(&[
            key("key"),
            string("value"),
            one_of(
                "condition",
                &[
                    token("nx", "NX"),
                    token("xx", "XX"),
                    string("ifeq-value").after("IFEQ").since("8.4.0"),
                    string("ifne-value").after("IFNE").since("8.4.0"),
                    string("ifdeq-digest").after("IFDEQ").since("8.4.0"),
                    string("ifdne-digest").after("IFDNE").since("8.4.0"),
                ],
            )
            .since("2.6.12")
            .optional(),
            token("get", "GET").since("6.2.0").optional(),
            one_of(
                "expiration",
                &[
                    integer("seconds").after("EX").since("2.6.12"),
                    integer("milliseconds").after("PX").since("2.6.12"),
                    unix_time("unix-time-seconds").after("EXAT").since("6.2.0"),
                    unix_time("unix-time-milliseconds").after("PXAT").since("6.2.0"),
                    token("keepttl", "KEEPTTL").since("6.0.0"),
                ],
            )
            .optional(),
            jitter(),
        ]),
    cmd("setex", string::setex, 4, &[WRITE, DENYOOM, CONST_TIME])
        .keys(&[at(1, &[OW, UPDATE])])
        .doc("2.0.0", "Sets a string with a time to live in seconds.", "O(1)")
        .deprecated("2.6.12", "SET with EX")
        .args(&[key("key"), integer("seconds"), string("value"), jitter()]),
    cmd("setnx", string::setnx, 3, &[WRITE, DENYOOM, FAST, CONST_TIME])
        .keys(&[at(1, &[OW, INSERT])])
        .doc("1.0.0", "Sets a string if the key does not exist.", "O(1)")
        .deprecated("2.6.12", "SET with NX")
        .args(&[key("key"), string("value")]),
    cmd("setrange", string::setrange, 4, &[WRITE, DENYOOM])
        .keys(&[at(1, &[RW, UPDATE])])
        .doc(
            "2.2.0",
            "Overwrites part of a string, filling up to the offset with zero bytes.",
            "O(N), N the number of bytes written",
        )
        .args(&[key("key"), integer("offset"), string("value")]),
    cmd("strlen", string::strlen, 2, &[READONLY, FAST, CONST_TIME])
        .keys(&[at(1, &[RO])])
        .doc("2.2.0", "Tells how many bytes a string has.", "O(1)")
        .args(&[key("key")]),
    cmd("substr", string::getrange, 4, &[READONLY])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc(
            "1.0.0",
            "Reads part of a string.",
            "O(N), N the number of bytes returned",
        )
        .deprecated("2.0.0", "GETRANGE")
        .args(&[key("key"), integer("start"), integer("end")]),
];
