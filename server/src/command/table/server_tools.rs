//! COMMAND, CONFIG, LATENCY, MEMORY and SLOWLOG with their subcommands: rows of the command table.

use super::{ADMIN_FLAGS, container};
use crate::command::args::{block, integer, key, one_of, pattern, string};
use crate::command::bits::flag::{ADMIN, LOADING, NOSCRIPT, READONLY, STALE, WHOLE_KEYSPACE};
use crate::command::bits::key_flag::RO;
use crate::command::keys::at;
use crate::command::{Command, Flags, Group, Handler, category};
use crate::commands::{command, config, latency, memory, slowlog};

const GROUP: Group = Group::Server;

const fn cmd(name: &'static str, handler: Handler, arity: i8, flags: &[Flags]) -> Command {
    Command::row(GROUP, name, handler, arity, flags)
}

pub(super) const ROWS: &[Command] = &[
    cmd("command", command::command, -1, &[LOADING, STALE])
        .acl(&[category::CONNECTION])
        .doc("2.8.13", "Describes all commands.", "O(N), N the number of commands")
        .tips(&["nondeterministic_output_order"])
        .subcommand_rows(&[
            cmd("command|count", command::count, 2, &[LOADING, STALE])
                .acl(&[category::CONNECTION])
                .doc("2.8.13", "Counts the commands.", "O(1)"),
            cmd("command|docs", command::docs, -2, &[LOADING, STALE])
                .acl(&[category::CONNECTION])
                .doc(
                    "7.0.0",
                    "Documents commands.",
                    "O(N), N the number of commands asked for",
                )
                .tips(&["nondeterministic_output_order"])
                .args(&[string("command-name").optional().multiple()]),
            cmd("command|getkeys", command::getkeys, -4, &[LOADING, STALE])
                .acl(&[category::CONNECTION])
                .doc(
                    "2.8.13",
                    "Finds the keys in a command's arguments.",
                    "O(N), N the number of arguments",
                )
                .args(&[string("command"), string("arg").optional().multiple()]),
            cmd(
                "command|getkeysandflags",
                command::getkeysandflags,
                -4,
                &[LOADING, STALE],
            )
            .acl(&[category::CONNECTION])
            .doc(
                "7.0.0",
                "Finds the keys in a command's arguments and what happens to them.",
                "O(N), N the number of arguments",
            )
            .args(&[string("command"), string("arg").optional().multiple()]),
            cmd("command|help", command::help, 2, &[LOADING, STALE])
                .acl(&[category::CONNECTION])
                .doc("5.0.0", "Lists the subcommands.", "O(1)"),
            cmd("command|info", command::info, -2, &[LOADING, STALE])
                .acl(&[category::CONNECTION])
                .doc(
                    "2.8.13",
                    "Describes commands, or all of them.",
                    "O(N), N the number of commands asked for",
                )
                .history(&[("7.0.0", "Without names: all commands.")])
                .tips(&["nondeterministic_output_order"])
                .args(&[string("command-name").optional().multiple()]),
            cmd("command|list", command::list, -2, &[LOADING, STALE])
                .acl(&[category::CONNECTION])
                .doc(
                    "7.0.0",
                    "Lists the names of commands.",
                    "O(N), N the number of commands",
                )
                .tips(&["nondeterministic_output_order"])
                .args(&[one_of(
                    "filterby",
                    &[
                        string("module-name").after("MODULE"),
                        string("category").after("ACLCAT"),
                        pattern("pattern").after("PATTERN"),
                    ],
                )
                .after("FILTERBY")
                .optional()]),
        ]),
    container(GROUP, "config")
        .doc(
            "2.0.0",
            "Reads and changes the configuration.",
            "Depends on the subcommand",
        )
        .subcommand_rows(&[
            cmd("config|get", config::get, -3, ADMIN_FLAGS)
                .doc(
                    "2.0.0",
                    "Reads the settings that match patterns.",
                    "O(N), N the number of settings times that of patterns",
                )
                .history(&[("7.0.0", "Several patterns.")])
                .args(&[block("parameter", &[string("parameter")]).multiple()]),
            cmd("config|help", command::help, 2, &[LOADING, STALE]).doc("5.0.0", "Lists the subcommands.", "O(1)"),
            cmd(
                "config|resetstat",
                config::resetstat,
                2,
                &[ADMIN, NOSCRIPT, LOADING, STALE, WHOLE_KEYSPACE],
            )
            .doc("2.0.0", "Sets the statistics back to zero.", "O(1)"),
            cmd("config|rewrite", config::rewrite, 2, ADMIN_FLAGS).doc(
                "2.8.0",
                "Writes the configuration in force to its file.",
                "O(N), N the number of settings",
            ),
            cmd("config|set", config::set, -4, ADMIN_FLAGS)
                .doc(
                    "2.0.0",
                    "Changes settings, all that are given or none.",
                    "O(N), N the number of settings given",
                )
                .history(&[("7.0.0", "Several settings.")])
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .args(&[block("parameter_value", &[string("parameter"), string("value")]).multiple()]),
        ]),
    container(GROUP, "latency")
        .doc("2.8.13", "Looks at what took long.", "Depends on the subcommand")
        .subcommand_rows(&[
            cmd("latency|doctor", latency::doctor, 2, ADMIN_FLAGS)
                .doc("2.8.13", "Explains in words what took long and why.", "O(1)")
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ]),
            cmd("latency|graph", latency::graph, 3, ADMIN_FLAGS)
                .doc("2.8.13", "Draws the latency of an event over time.", "O(1)")
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ])
                .args(&[string("event")]),
            cmd("latency|help", command::help, 2, &[LOADING, STALE]).doc("2.8.13", "Lists the subcommands.", "O(1)"),
            cmd("latency|histogram", latency::histogram, -2, ADMIN_FLAGS)
                .doc(
                    "7.0.0",
                    "Shows how the run times of commands are distributed.",
                    "O(N), N the number of commands asked for",
                )
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ])
                .args(&[string("command").optional().multiple()]),
            cmd("latency|history", latency::history, 3, ADMIN_FLAGS)
                .doc("2.8.13", "Lists the recent samples of an event.", "O(1)")
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ])
                .args(&[string("event")]),
            cmd("latency|latest", latency::latest, 2, ADMIN_FLAGS)
                .doc("2.8.13", "Shows the latest sample of every event.", "O(1)")
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_nodes",
                    "response_policy:special",
                ]),
            cmd("latency|reset", latency::reset, -2, ADMIN_FLAGS)
                .doc("2.8.13", "Forgets the samples of events, or of all.", "O(1)")
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
                .args(&[string("event").optional().multiple()]),
        ]),
    container(GROUP, "memory")
        .doc("4.0.0", "Looks at the use of memory.", "Depends on the subcommand")
        .subcommand_rows(&[
            cmd("memory|doctor", memory::doctor, 2, &[WHOLE_KEYSPACE])
                .doc(
                    "4.0.0",
                    "Explains in words what is wrong with the use of memory.",
                    "O(1)",
                )
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ]),
            cmd("memory|help", command::help, 2, &[LOADING, STALE]).doc("4.0.0", "Lists the subcommands.", "O(1)"),
            cmd("memory|malloc-stats", memory::malloc_stats, 2, &[WHOLE_KEYSPACE])
                .doc("4.0.0", "Shows the allocator's own statistics.", "O(1)")
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ]),
            cmd("memory|purge", memory::purge, 2, &[])
                .doc(
                    "4.0.0",
                    "Asks the allocator to give memory back.",
                    "Depends on how much memory is free",
                )
                .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
            cmd("memory|stats", memory::stats, 2, &[WHOLE_KEYSPACE])
                .doc("4.0.0", "Shows what memory is used for.", "O(1)")
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ]),
            cmd("memory|usage", memory::usage, -3, &[READONLY])
                .keys(&[at(2, &[RO])])
                .doc(
                    "4.0.0",
                    "Estimates how many bytes a key and its value take.",
                    "O(N), N the number of elements sampled",
                )
                .args(&[key("key"), integer("count").after("SAMPLES").optional()]),
        ]),
    container(GROUP, "slowlog")
        .doc(
            "2.2.12",
            "Looks at the log of slow commands.",
            "Depends on the subcommand",
        )
        .subcommand_rows(&[
            cmd("slowlog|get", slowlog::get, -2, &[ADMIN, LOADING, STALE])
                .doc(
                    "2.2.12",
                    "Returns the latest entries of the slow log.",
                    "O(N), N the number of entries returned",
                )
                .history(&[("4.0.0", "The client's address and name.")])
                .tips(&["request_policy:all_nodes", "nondeterministic_output"])
                .args(&[integer("count").optional()]),
            cmd("slowlog|help", command::help, 2, &[LOADING, STALE]).doc("6.2.0", "Lists the subcommands.", "O(1)"),
            cmd("slowlog|len", slowlog::len, 2, &[ADMIN, LOADING, STALE])
                .doc("2.2.12", "Counts the entries of the slow log.", "O(1)")
                .tips(&[
                    "request_policy:all_nodes",
                    "response_policy:agg_sum",
                    "nondeterministic_output",
                ]),
            cmd("slowlog|reset", slowlog::reset, 2, &[ADMIN, LOADING, STALE])
                .doc("2.2.12", "Empties the slow log.", "O(N), N the number of entries")
                .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        ]),
];
