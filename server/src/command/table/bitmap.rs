//! Bits of strings: rows of the command table.

use crate::command::args::{block, integer, key, key_of, one_of, string, token};
use crate::command::bits::flag::{CONST_TIME, DENYOOM, FAST, READONLY, WRITE};
use crate::command::bits::key_flag::{ACCESS, OW, RO, RW, UPDATE};
use crate::command::keys::{at, bitfield_key_flags};
use crate::command::{Command, Flags, Group, Handler, category};
use crate::commands::bitmap;

const GROUP: Group = Group::Bitmap;

const fn cmd(name: &'static str, handler: Handler, arity: i8, flags: &[Flags]) -> Command {
    Command::row(GROUP, name, handler, arity, flags).acl(&[category::BITMAP])
}

pub(super) const ROWS: &[Command] = &[
    cmd("bitcount", bitmap::bitcount, -2, &[READONLY])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc(
            "2.6.0",
            "Counts the bits that are set in a string or a part of it.",
            "O(N), N the number of bytes looked at",
        )
        .history(&[("7.0.0", "BYTE and BIT.")])
        .args(&[
            key("key"),
            block(
                "index",
                &[
                    integer("start"),
                    integer("end"),
                    one_of("index_unit", &[token("byte", "BYTE"), token("bit", "BIT")])
                        .since("7.0.0")
                        .optional(),
                ],
            )
            .optional(),
        ]),
    cmd("bitfield", bitmap::bitfield, -2, &[WRITE, DENYOOM])
        .keys(&[at(1, &[RW, ACCESS, UPDATE])
            .refined_by(bitfield_key_flags)
            .notes("Operations may read, write or both.")])
        .doc(
            "3.2.0",
            "Reads, sets and adds to integers of any width inside a string.",
            "O(N), N the number of operations",
        )
        .args(&[
            key("key"),
            one_of(
                "operation",
                &[
                    block("encoding_offset", &[string("encoding"), integer("offset")]).after("GET"),
                    block(
                        "write",
                        &[
                            one_of(
                                "wrap_sat_fail",
                                &[token("wrap", "WRAP"), token("sat", "SAT"), token("fail", "FAIL")],
                            )
                            .after("OVERFLOW")
                            .optional(),
                            one_of(
                                "write_operation",
                                &[
                                    block(
                                        "encoding_offset_value",
                                        &[string("encoding"), integer("offset"), integer("value")],
                                    )
                                    .after("SET"),
                                    block(
                                        "encoding_offset_increment",
                                        &[string("encoding"), integer("offset"), integer("increment")],
                                    )
                                    .after("INCRBY"),
                                ],
                            ),
                        ],
                    ),
                ],
            )
            .optional()
            .multiple(),
        ]),
    cmd("bitfield_ro", bitmap::bitfield_ro, -2, &[READONLY, FAST])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc(
            "6.0.0",
            "Reads integers of any width inside a string.",
            "O(N), N the number of operations",
        )
        .args(&[
            key("key"),
            block("encoding_offset", &[string("encoding"), integer("offset")])
                .after("GET")
                .optional()
                .multiple()
                .multiple_token(),
        ]),
    cmd("bitop", bitmap::bitop, -4, &[WRITE, DENYOOM])
        .keys(&[at(2, &[OW, UPDATE]), at(3, &[RO, ACCESS]).to(-1, 1)])
        .doc(
            "2.6.0",
            "Combines strings bit by bit and stores the result.",
            "O(N), N the total length of the strings",
        )
        .args(&[string("operation"), key("destkey"), key_of("key", 1).multiple()]),
    cmd("bitpos", bitmap::bitpos, -3, &[READONLY])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc(
            "2.8.7",
            "Finds the first bit that is set, or clear, in a string or a part of it.",
            "O(N), N the number of bytes looked at",
        )
        .history(&[("7.0.0", "BYTE and BIT.")])
        .args(&[
            key("key"),
            integer("bit"),
            block(
                "index",
                &[
                    integer("start"),
                    block(
                        "end_index",
                        &[
                            integer("end"),
                            one_of("index_unit", &[token("byte", "BYTE"), token("bit", "BIT")])
                                .since("7.0.0")
                                .optional(),
                        ],
                    )
                    .optional(),
                ],
            )
            .optional(),
        ]),
    cmd("getbit", bitmap::getbit, 3, &[READONLY, FAST, CONST_TIME])
        .keys(&[at(1, &[RO, ACCESS])])
        .doc("2.2.0", "Reads one bit of a string.", "O(1)")
        .args(&[key("key"), integer("offset")]),
    cmd("setbit", bitmap::setbit, 4, &[WRITE, DENYOOM])
        .keys(&[at(1, &[RW, ACCESS, UPDATE])])
        .doc(
            "2.2.0",
            "Sets or clears one bit of a string, which grows as needed.",
            "O(1), but for the string's growth",
        )
        .args(&[key("key"), integer("offset"), integer("value")]),
];
