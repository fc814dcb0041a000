//! CLIENT and its subcommands: rows of the command table.

use super::{ADMIN_FLAGS, container};
use crate::command::args::{block, integer, one_of, string, token};
use crate::command::bits::flag::{LOADING, NOSCRIPT, STALE};
use crate::command::{Command, Flags, Group, Handler, category};
use crate::commands::client;
use crate::commands::command::help;

const GROUP: Group = Group::Connection;

const fn cmd(name: &'static str, handler: Handler, arity: i8, flags: &[Flags]) -> Command {
    Command::row(GROUP, name, handler, arity, flags)
}

pub(super) const ROWS: &[Command] = &[container(GROUP, "client")
    .doc(
        "2.4.0",
        "Looks at connections and manages them.",
        "Depends on the subcommand",
    )
    .subcommand_rows(&[
        cmd("client|getname", client::getname, 2, &[NOSCRIPT, LOADING, STALE])
            .acl(&[category::CONNECTION])
            .doc("2.6.9", "Returns the connection's name.", "O(1)"),
        cmd("client|help", help, 2, &[LOADING, STALE])
            .acl(&[category::CONNECTION])
            .doc("5.0.0", "Lists the subcommands.", "O(1)"),
        cmd("client|id", client::id, 2, &[NOSCRIPT, LOADING, STALE])
            .acl(&[category::CONNECTION])
            .doc("5.0.0", "Returns the connection's number.", "O(1)"),
        cmd("client|info", client::info, 2, &[NOSCRIPT, LOADING, STALE])
            .acl(&[category::CONNECTION])
            .doc("6.2.0", "Describes the connection.", "O(1)")
            .tips(&["nondeterministic_output"]),
        cmd("client|kill", client::kill, -3, ADMIN_FLAGS)
            .acl(&[category::CONNECTION])
            .doc(
                "2.4.0",
                "Closes the connections that match filters.",
                "O(N), N the number of connections",
            )
            .history(&[
                ("2.8.12", "Filters."),
                ("3.2.0", "TYPE MASTER."),
                ("5.0.0", "TYPE REPLICA, a better word for SLAVE."),
                ("6.2.0", "LADDR."),
                ("7.4.0", "MAXAGE."),
            ])
            .args(&[one_of(
                "filter",
                &[
                    string("ip:port").deprecated("2.8.12"),
                    one_of(
                        "new-format",
                        &[
                            integer("client-id").after("ID").since("2.8.12").optional(),
                            one_of(
                                "normal_master_slave_pubsub",
                                &[
                                    token("normal", "NORMAL"),
                                    token("master", "MASTER").since("3.2.0"),
                                    token("slave", "SLAVE"),
                                    token("replica", "REPLICA").since("5.0.0"),
                                    token("pubsub", "PUBSUB"),
                                ],
                            )
                            .after("TYPE")
                            .since("2.8.12")
                            .optional(),
                            string("username").after("USER").optional(),
                            string("ip:port").after("ADDR").optional(),
                            string("ip:port").after("LADDR").since("6.2.0").optional(),
                            string("yes/no").after("SKIPME").optional(),
                            integer("maxage").after("MAXAGE").since("7.4.0").optional(),
                        ],
                    )
                    .multiple(),
                ],
            )]),
        cmd("client|list", client::list, -2, ADMIN_FLAGS)
            .acl(&[category::CONNECTION])
            .doc(
                "2.4.0",
                "Describes all connections, or those that match.",
                "O(N), N the number of connections",
            )
            .history(&[
                ("2.8.12", "The field id."),
                ("5.0.0", "TYPE."),
                ("6.0.0", "The field user."),
                ("6.2.0", "ID, and the fields argv-mem, tot-mem, laddr and redir."),
                ("7.0.0", "The fields resp, multi-mem, rbs and rbp."),
                ("7.0.3", "The field ssub."),
                ("7.2.0", "The fields lib-name and lib-ver."),
            ])
            .tips(&["nondeterministic_output"])
            .args(&[
                one_of(
                    "normal_master_replica_pubsub",
                    &[
                        token("normal", "NORMAL"),
                        token("master", "MASTER"),
                        token("replica", "REPLICA"),
                        token("pubsub", "PUBSUB"),
                    ],
                )
                .after("TYPE")
                .since("5.0.0")
                .optional(),
                block("id", &[integer("client-id").multiple()])
                    .after("ID")
                    .since("6.2.0")
                    .optional(),
            ]),
        cmd("client|no-evict", client::no_evict, 3, ADMIN_FLAGS)
            .acl(&[category::CONNECTION])
            .doc(
                "7.0.0",
                "Exempts the connection from being closed when clients take too much memory.",
                "O(1)",
            )
            .args(&[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])]),
        cmd("client|no-touch", client::no_touch, 3, &[NOSCRIPT, LOADING, STALE])
            .acl(&[category::CONNECTION])
            .doc(
                "7.2.0",
                "Makes reads leave no trace in how recently or often keys were used.",
                "O(1)",
            )
            .args(&[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])]),
        cmd("client|pause", client::pause, -3, ADMIN_FLAGS)
            .acl(&[category::CONNECTION])
            .doc(
                "2.9.50",
                "Holds back the commands of all clients, or only writes, for a time.",
                "O(1)",
            )
            .history(&[("6.2.0", "The mode.")])
            .args(&[
                integer("timeout"),
                one_of("mode", &[token("write", "WRITE"), token("all", "ALL")])
                    .since("6.2.0")
                    .optional(),
            ]),
        cmd("client|reply", client::reply, 3, &[NOSCRIPT, LOADING, STALE])
            .acl(&[category::CONNECTION])
            .doc("3.2.0", "Switches the replies to this connection off or on.", "O(1)")
            .args(&[one_of(
                "on_off_skip",
                &[token("on", "ON"), token("off", "OFF"), token("skip", "SKIP")],
            )]),
        cmd("client|setinfo", client::setinfo, 4, &[NOSCRIPT, LOADING, STALE])
            .acl(&[category::CONNECTION])
            .doc("7.2.0", "Records the name or version of the client's library.", "O(1)")
            .args(&[one_of(
                "attr",
                &[string("libname").after("LIB-NAME"), string("libver").after("LIB-VER")],
            )]),
        cmd("client|setname", client::setname, 3, &[NOSCRIPT, LOADING, STALE])
            .acl(&[category::CONNECTION])
            .doc("2.6.9", "Names the connection.", "O(1)")
            .args(&[string("connection-name")]),
        cmd("client|unblock", client::unblock, -3, ADMIN_FLAGS)
            .acl(&[category::CONNECTION])
            .doc("5.0.0", "Wakes a client that waits in a blocking command.", "O(1)")
            .args(&[
                integer("client-id"),
                one_of("timeout_error", &[token("timeout", "TIMEOUT"), token("error", "ERROR")]).optional(),
            ]),
        cmd("client|unpause", client::unpause, 2, ADMIN_FLAGS)
            .acl(&[category::CONNECTION])
            .doc("6.2.0", "Ends CLIENT PAUSE.", "O(N), N the number of paused clients"),
    ])];
