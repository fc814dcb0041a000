//! Clusters: rows of the command table. None of them does anything yet, but clients ask.

use super::container;
use crate::command::args::{block, integer, one_of, string, token};
use crate::command::bits::flag::{ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NOSCRIPT, STALE};
use crate::command::{Command, Flags, Group, category};
use crate::commands::cluster::disabled;

const GROUP: Group = Group::Cluster;

const UNSTABLE: &[&str] = &["nondeterministic_output"];
/// The flags of what changes a cluster.
const CHANGES: &[Flags] = &[ADMIN, STALE, NO_ASYNC_LOADING];

const fn cmd(name: &'static str, arity: i8, flags: &[Flags]) -> Command {
    Command::row(GROUP, name, disabled, arity, flags)
}

pub(super) const ROWS: &[Command] = &[
    cmd("asking", 1, &[FAST]).acl(&[category::CONNECTION]).doc(
        "3.0.0",
        "Lets the next command go to a slot that is on its way here.",
        "O(1)",
    ),
    container(GROUP, "cluster")
        .doc(
            "3.0.0",
            "Looks at a cluster and changes it.",
            "Depends on the subcommand",
        )
        .subcommand_rows(SUBCOMMANDS),
    cmd("readonly", 1, &[LOADING, STALE, FAST])
        .acl(&[category::CONNECTION])
        .doc("3.0.0", "Lets the connection read from a replica.", "O(1)"),
    cmd("readwrite", 1, &[LOADING, STALE, FAST])
        .acl(&[category::CONNECTION])
        .doc("3.0.0", "Takes READONLY back.", "O(1)"),
];

const SUBCOMMANDS: &[Command] = &[
    cmd("cluster|addslots", -3, CHANGES)
        .doc("3.0.0", "Gives the node slots.", "O(N), N the number of slots")
        .args(&[integer("slot").multiple()]),
    cmd("cluster|addslotsrange", -4, CHANGES)
        .doc(
            "7.0.0",
            "Gives the node ranges of slots.",
            "O(N), N the number of slots",
        )
        .args(&[block("start-slot_end-slot", &[integer("start-slot"), integer("end-slot")]).multiple()]),
    cmd("cluster|bumpepoch", 2, CHANGES)
        .doc("3.0.0", "Raises the cluster's epoch.", "O(1)")
        .tips(UNSTABLE),
    cmd("cluster|count-failure-reports", 3, &[ADMIN, STALE])
        .doc(
            "3.0.0",
            "Counts the reports that a node has failed.",
            "O(N), N the number of reports",
        )
        .tips(UNSTABLE)
        .args(&[string("node-id")]),
    cmd("cluster|countkeysinslot", 3, &[STALE])
        .doc("3.0.0", "Counts the keys of a slot.", "O(1)")
        .args(&[integer("slot")]),
    cmd("cluster|delslots", -3, CHANGES)
        .doc("3.0.0", "Takes slots from the node.", "O(N), N the number of slots")
        .args(&[integer("slot").multiple()]),
    cmd("cluster|delslotsrange", -4, CHANGES)
        .doc(
            "7.0.0",
            "Takes ranges of slots from the node.",
            "O(N), N the number of slots",
        )
        .args(&[block("start-slot_end-slot", &[integer("start-slot"), integer("end-slot")]).multiple()]),
    cmd("cluster|failover", -2, CHANGES)
        .doc("3.0.0", "Makes a replica the primary of its slots.", "O(1)")
        .args(&[one_of("options", &[token("force", "FORCE"), token("takeover", "TAKEOVER")]).optional()]),
    cmd("cluster|flushslots", 2, CHANGES).doc("3.0.0", "Takes all slots from the node.", "O(1)"),
    cmd("cluster|forget", 3, CHANGES)
        .doc("3.0.0", "Removes a node from the table of nodes.", "O(1)")
        .args(&[string("node-id")]),
    cmd("cluster|getkeysinslot", 4, &[STALE])
        .doc("3.0.0", "Lists keys of a slot.", "O(N), N the number of keys asked for")
        .tips(UNSTABLE)
        .args(&[integer("slot"), integer("count")]),
    cmd("cluster|help", 2, &[LOADING, STALE]).doc("5.0.0", "Lists the subcommands.", "O(1)"),
    cmd("cluster|info", 2, &[STALE])
        .doc("3.0.0", "Reports the cluster's state.", "O(1)")
        .tips(UNSTABLE),
    cmd("cluster|keyslot", 3, &[STALE])
        .doc("3.0.0", "Tells the slot of a key.", "O(N), N the length of the key")
        .args(&[string("key")]),
    cmd("cluster|links", 2, &[STALE])
        .doc(
            "7.0.0",
            "Lists the links to other nodes.",
            "O(N), N the number of nodes",
        )
        .tips(UNSTABLE),
    cmd("cluster|meet", -4, CHANGES)
        .doc("3.0.0", "Has the node join another.", "O(1)")
        .history(&[("4.0.0", "The port of the cluster's bus.")])
        .args(&[
            string("ip"),
            integer("port"),
            integer("cluster_bus_port").since("4.0.0").optional(),
        ]),
    cmd("cluster|myid", 2, &[STALE]).doc("3.0.0", "Tells the node's id.", "O(1)"),
    cmd("cluster|nodes", 2, &[STALE])
        .doc("3.0.0", "Describes all nodes.", "O(N), N the number of nodes")
        .tips(UNSTABLE),
    cmd("cluster|replicas", 3, &[ADMIN, STALE])
        .doc("5.0.0", "Lists the replicas of a node.", "O(1)")
        .tips(UNSTABLE)
        .args(&[string("node-id")]),
    cmd("cluster|replicate", 3, CHANGES)
        .doc("3.0.0", "Makes the node a replica of another.", "O(1)")
        .args(&[string("node-id")]),
    cmd("cluster|reset", -2, &[ADMIN, NOSCRIPT, STALE])
        .doc(
            "3.0.0",
            "Makes the node forget its cluster.",
            "O(N), N the number of nodes",
        )
        .args(&[one_of("hard_soft", &[token("hard", "HARD"), token("soft", "SOFT")]).optional()]),
    cmd("cluster|saveconfig", 2, CHANGES).doc("3.0.0", "Saves the node's table of nodes.", "O(1)"),
    cmd("cluster|set-config-epoch", 3, CHANGES)
        .doc("3.0.0", "Sets the epoch of a new node.", "O(1)")
        .args(&[integer("config-epoch")]),
    cmd("cluster|setslot", -4, CHANGES)
        .doc("3.0.0", "Tells where a slot is, or that it moves.", "O(1)")
        .args(&[
            integer("slot"),
            one_of(
                "subcommand",
                &[
                    string("node-id").after("IMPORTING"),
                    string("node-id").after("MIGRATING"),
                    string("node-id").after("NODE"),
                    token("stable", "STABLE"),
                ],
            ),
        ]),
    cmd("cluster|shards", 2, &[STALE])
        .doc(
            "7.0.0",
            "Describes the shards and their slots.",
            "O(N), N the number of nodes",
        )
        .tips(UNSTABLE),
    cmd("cluster|slaves", 3, &[ADMIN, STALE])
        .doc("3.0.0", "Lists the replicas of a node.", "O(1)")
        .deprecated("5.0.0", "`CLUSTER REPLICAS`")
        .tips(UNSTABLE)
        .args(&[string("node-id")]),
    cmd("cluster|slots", 2, &[STALE])
        .doc(
            "3.0.0",
            "Tells which node has which slots.",
            "O(N), N the number of nodes",
        )
        .deprecated("7.0.0", "`CLUSTER SHARDS`")
        .history(&[("4.0.0", "Ids of nodes."), ("7.0.0", "More about how to reach them.")])
        .tips(UNSTABLE),
];
