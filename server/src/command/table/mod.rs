//! The rows, one file per group, and the one flat array that they become.

mod bitmap;
mod client;
mod cluster;
mod connection;
mod generic;
mod server;
mod server_tools;
mod string;
mod transactions;

use super::{Command, Flags, Group, flag};

const GROUPS: [&[Command]; 9] = [
    string::ROWS,
    bitmap::ROWS,
    generic::ROWS,
    connection::ROWS,
    client::ROWS,
    server::ROWS,
    server_tools::ROWS,
    transactions::ROWS,
    cluster::ROWS,
];

/// How many commands there are, without subcommands.
pub const TOP_LEVEL_COUNT: usize = count().0;

/// How many commands and subcommands there are; every [`Command::id`] is below.
pub const COMMAND_COUNT: usize = count().0 + count().1;

/// First the commands, then the subcommands, those of one command together.
pub(super) static COMMANDS: [Command; COMMAND_COUNT] = flatten();

const fn count() -> (usize, usize) {
    let (mut commands, mut subcommands, mut group) = (0, 0, 0);
    while group < GROUPS.len() {
        let mut i = 0;
        while i < GROUPS[group].len() {
            commands += 1;
            subcommands += GROUPS[group][i].rows.len();
            i += 1;
        }
        group += 1;
    }
    (commands, subcommands)
}

const fn flatten() -> [Command; COMMAND_COUNT] {
    let mut commands = [GROUPS[0][0]; COMMAND_COUNT];
    let (mut next, mut next_sub, mut group) = (0, TOP_LEVEL_COUNT, 0);
    while group < GROUPS.len() {
        let mut i = 0;
        while i < GROUPS[group].len() {
            let mut command = GROUPS[group][i];
            command.id = next as u16;
            command.children = (next_sub as u16, command.rows.len() as u16);
            let mut sub = 0;
            while sub < command.rows.len() {
                commands[next_sub] = command.rows[sub];
                commands[next_sub].id = next_sub as u16;
                next_sub += 1;
                sub += 1;
            }
            commands[next] = command;
            next += 1;
            i += 1;
        }
        group += 1;
    }
    commands
}

/// A command that only groups subcommands.
const fn container(group: Group, name: &'static str) -> Command {
    Command::row(group, name, crate::call::container, -2, &[flag::CONTAINER])
}

/// The flags of a subcommand for administrators.
const ADMIN_FLAGS: &[Flags] = &[flag::ADMIN, flag::NOSCRIPT, flag::LOADING, flag::STALE];
