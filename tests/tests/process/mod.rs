//! Whole processes: how a node starts and stops, is configured and watched, and what many clients at once see.

mod commands;
mod drain;
mod http;
mod info;
mod logs;
mod monitor;
mod network;
mod prometheus;
mod settings;
mod socket;
mod together;

use larder_tests::reply::Reply;
use larder_tests::server::{Kind, Launch, Server};
use std::collections::BTreeMap;

/// Larder with flags, a file and variables.
fn larder(launch: &Launch<'_>) -> Server {
    Server::launch(Kind::Larder, launch)
}

/// The values that `CONFIG GET` gives for `patterns`, by name.
fn config(server: &Server, patterns: &str) -> BTreeMap<String, String> {
    let reply = server.connect().call(&format!("CONFIG GET {patterns}"));
    let items = reply
        .items()
        .unwrap_or_else(|| panic!("CONFIG GET {patterns}: {reply:?}"));
    items.chunks(2).map(|pair| (pair[0].text(), pair[1].text())).collect()
}

/// The text of an error, empty if it is none.
fn error_text(reply: &Reply) -> String {
    match reply {
        Reply::Line(b'-', text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}

/// The ids of a file of known differences: `id: reason`, one a line.
fn known(text: &'static str) -> BTreeMap<&'static str, &'static str> {
    let lines = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (id, reason) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("`id: reason`, not: {line}"));
            assert!(reason.len() > 20, "{id}: the reason says nothing");
            (id, reason)
        })
        .collect()
}
