//! CLIENT: the node's connections, looked at and managed.

mod filter;
mod line;

use crate::call::{Call, Error, Outcome};
use crate::client::{Peer, ReplyMode, flag};
use crate::command::Command;
use crate::node::Paused;
use crate::resp::Version;
use filter::{Filter, Kind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest name of a connection or a library, in bytes, as they stay in memory and in every list.
const MAX_NAME: usize = 4096;

/// The number by which a protocol version is chosen.
pub(crate) fn version_number(version: Version) -> u32 {
    match version {
        Version::Resp2 => 2,
        Version::Resp3 => 3,
    }
}

/// The name, if a connection may be called so: CLIENT LIST shows it in a line of fields.
///
/// # Errors
/// The text of Redis.
pub(crate) fn valid_name(name: &[u8]) -> Result<String, Error> {
    attribute(name, "Client names")
}

fn attribute(value: &[u8], what: &str) -> Result<String, Error> {
    if value.len() > MAX_NAME {
        return Err(Error::of(format!("ERR {what} cannot be longer than {MAX_NAME} bytes.")));
    }
    match std::str::from_utf8(value) {
        Ok(text) if value.iter().all(u8::is_ascii_graphic) => Ok(text.to_owned()),
        _ => Err(Error::of(format!(
            "ERR {what} cannot contain spaces, newlines or special characters."
        ))),
    }
}

/// The error for too many arguments of a subcommand whose arity leaves their number open.
fn wrong_subcommand(call: &Call<'_>) -> Error {
    let sub = crate::text::shown(&call.args[1]);
    Error::of(format!(
        "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try CLIENT HELP."
    ))
}

/// Yes for ON, no for OFF.
fn on_off(call: &Call<'_>) -> Result<bool, Error> {
    match &call.args[2] {
        word if word.eq_ignore_ascii_case(b"on") => Ok(true),
        word if word.eq_ignore_ascii_case(b"off") => Ok(false),
        _ => Err(Error::SYNTAX),
    }
}

/// CLIENT ID
pub fn id(call: &mut Call<'_>) -> Outcome {
    call.reply.int(call.client.peer.id as i64);
    Ok(())
}

/// CLIENT GETNAME
pub fn getname(call: &mut Call<'_>) -> Outcome {
    let names = call.client.peer.names();
    if names.name.is_empty() {
        call.reply.null();
    } else {
        call.reply.bulk(names.name.as_bytes());
    }
    Ok(())
}

/// CLIENT SETNAME connection-name
pub fn setname(call: &mut Call<'_>) -> Outcome {
    let name = valid_name(&call.args[2])?;
    call.client.peer.names().name = name;
    call.reply.ok();
    Ok(())
}

/// CLIENT SETINFO <LIB-NAME libname | LIB-VER libver>
pub fn setinfo(call: &mut Call<'_>) -> Outcome {
    let option = &call.args[2];
    let shown = crate::text::shown(&option[..option.len().min(128)]);
    let is_name = option.eq_ignore_ascii_case(b"lib-name");
    if !is_name && !option.eq_ignore_ascii_case(b"lib-ver") {
        return Err(Error::of(format!("ERR Unrecognized option '{shown}'")));
    }
    let value = attribute(&call.args[3], &shown)?;
    let mut names = call.client.peer.names();
    if is_name {
        names.lib_name = value;
    } else {
        names.lib_version = value;
    }
    drop(names);
    call.reply.ok();
    Ok(())
}

/// CLIENT REPLY <ON | OFF | SKIP>
pub fn reply(call: &mut Call<'_>) -> Outcome {
    let client = &mut *call.client;
    match &call.args[2] {
        word if word.eq_ignore_ascii_case(b"on") => {
            client.reply_mode = ReplyMode::On;
            call.reply.ok();
        }
        word if word.eq_ignore_ascii_case(b"off") => client.reply_mode = ReplyMode::Off,
        word if word.eq_ignore_ascii_case(b"skip") => {
            if client.reply_mode != ReplyMode::Off {
                client.reply_mode = ReplyMode::SkipNext;
            }
        }
        _ => return Err(Error::SYNTAX),
    }
    if client.executing && client.reply_mode != ReplyMode::On {
        // EXEC has promised a reply per command; what follows it is what is left out.
        call.reply.ok();
    }
    Ok(())
}

/// CLIENT NO-EVICT <ON | OFF>
pub fn no_evict(call: &mut Call<'_>) -> Outcome {
    let on = on_off(call)?;
    call.client.peer.set(flag::NO_EVICT, on);
    call.reply.ok();
    Ok(())
}

/// CLIENT NO-TOUCH <ON | OFF>
pub fn no_touch(call: &mut Call<'_>) -> Outcome {
    let on = on_off(call)?;
    call.client.no_touch = on;
    call.client.peer.set(flag::NO_TOUCH, on);
    call.reply.ok();
    Ok(())
}

/// Tells the rest of the node now what it otherwise hears after the batch.
fn present_self(call: &Call<'_>) {
    let (client, peer) = (&call.client, &call.client.peer);
    let version = version_number(client.version);
    peer.version.store(version, Ordering::Relaxed);
    peer.database.store(client.database, Ordering::Relaxed);
    peer.active_ms.store(call.store.now_ms, Ordering::Relaxed);
    if !client.executing {
        peer.last_command.store(call.command.id, Ordering::Relaxed);
    }
}

fn lines(peers: &[Arc<Peer>], now_ms: u64) -> String {
    let mut text = String::new();
    for peer in peers.iter().filter(|peer| !peer.is_killed()) {
        line::describe(&mut text, peer, now_ms);
        text.push('\n');
    }
    text
}

/// CLIENT INFO
pub fn info(call: &mut Call<'_>) -> Outcome {
    present_self(call);
    let me = Arc::clone(&call.client.peer);
    let text = lines(&[me], call.store.now_ms);
    call.reply.verbatim(&text);
    Ok(())
}

/// CLIENT LIST [TYPE type | ID client-id [client-id ...]]
pub fn list(call: &mut Call<'_>) -> Outcome {
    present_self(call);
    let clients = &call.node.clients;
    let peers = match call.args.get(2) {
        None => clients.all(),
        Some(word) if word.eq_ignore_ascii_case(b"type") && call.args.len() == 4 => match Kind::parse(&call.args[3])? {
            Kind::Normal => clients.all(),
            Kind::Master | Kind::Replica | Kind::PubSub => Vec::new(),
        },
        Some(word) if word.eq_ignore_ascii_case(b"id") && call.args.len() > 3 => {
            let mut peers = Vec::new();
            for index in 3..call.args.len() {
                let id = call.int(index).map_err(|_| Error::new("ERR Invalid client ID"))?;
                peers.extend(u64::try_from(id).ok().and_then(|id| clients.get(id)));
            }
            peers
        }
        Some(_) => return Err(Error::SYNTAX),
    };
    let text = lines(&peers, call.store.now_ms);
    call.reply.verbatim(&text);
    Ok(())
}

/// CLIENT KILL <ip:port | filter value [filter value ...]>
pub fn kill(call: &mut Call<'_>) -> Outcome {
    let filter = Filter::parse(call.args)?;
    let me = call.client.peer.id;
    let now_ms = call.store.now_ms;
    let mut killed = 0;
    for peer in call.node.clients.all() {
        if peer.is_killed() || !filter.matches(&peer, me, now_ms) {
            continue;
        }
        killed += 1;
        if peer.id == me {
            call.client.close = true;
        } else {
            peer.kill();
        }
    }
    match (filter.old_form, killed) {
        (true, 0) => return Err(Error::new("ERR No such client")),
        (true, _) => call.reply.ok(),
        (false, _) => call.reply.len(killed),
    }
    Ok(())
}

/// CLIENT PAUSE timeout [WRITE | ALL]
pub fn pause(call: &mut Call<'_>) -> Outcome {
    let what = match call.args.get(3) {
        _ if call.args.len() > 4 => return Err(wrong_subcommand(call)),
        Some(word) if word.eq_ignore_ascii_case(b"write") => Paused::Writes,
        Some(word) if !word.eq_ignore_ascii_case(b"all") => {
            return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
        _ => Paused::Everything,
    };
    let timeout = call
        .int(2)
        .map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?;
    let Ok(length_ms) = u64::try_from(timeout) else {
        return Err(Error::new("ERR timeout is negative"));
    };
    if length_ms > (i64::MAX as u64).saturating_sub(call.store.now_ms) {
        return Err(Error::new("ERR timeout is out of range"));
    }
    call.node.pause.begin(Duration::from_millis(length_ms), what);
    call.reply.ok();
    Ok(())
}

/// CLIENT UNPAUSE
pub fn unpause(call: &mut Call<'_>) -> Outcome {
    call.node.pause.end();
    call.reply.ok();
    Ok(())
}

/// CLIENT UNBLOCK client-id [TIMEOUT | ERROR]. What is held back by a pause cannot be woken, as in
/// Redis, and nothing else waits.
pub fn unblock(call: &mut Call<'_>) -> Outcome {
    match call.args.get(3) {
        _ if call.args.len() > 4 => return Err(wrong_subcommand(call)),
        Some(word) if !word.eq_ignore_ascii_case(b"timeout") && !word.eq_ignore_ascii_case(b"error") => {
            return Err(Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
        _ => {}
    }
    call.int(2)?;
    call.reply.int(0);
    Ok(())
}

/// The name of the command with this id, as CLIENT LIST shows it.
fn command_name(id: u16) -> &'static str {
    crate::command::by_id(id).map_or("NULL", |command: &Command| command.full_name)
}
