//! From a decoded request to its handler: what every command goes through first.
//!
//! In Redis's order: does the command exist, is the number of arguments right, may this connection run
//! it, is there memory for it, is it held back by a pause, is it queued by a transaction; then the call.

use crate::call::{Call, Error, Outcome};
use crate::client::Peer;
use crate::client::{ReplyMode, flag as peer_flag};
use crate::command::{self, Command, Unknown, flag};
use crate::commands::client::version_number;
use crate::commands::{monitor, transaction};
use crate::config::Settings;
use crate::memory::{self, Admission};
use crate::node::Node;
use crate::quota;
use crate::resp::request::Args;
use crate::slowlog::{Slow, cut_args};
use crate::store::Keyspace;
use crate::worker::Scene;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// How much of an unknown command's arguments its error shows.
const MAX_SHOWN_ARGS: usize = 128;

/// A request whose command was looked up ahead of its turn.
#[derive(Clone, Copy)]
pub(crate) struct Prepared {
    /// The command, if there is one and the number of arguments suits it.
    command: Option<&'static Command>,
    /// The hash of argument 1, if it is the only key.
    hash: Option<u64>,
}

impl Prepared {
    /// Looks the command up and hashes its key.
    #[inline]
    pub(crate) fn new(args: Args<'_>, keyspace: &Keyspace) -> Prepared {
        let command = command::resolve(args.get(0).unwrap_or_default(), args.get(1));
        let command = command
            .ok()
            .filter(|command| command.accepts(args.len()) && !command.is_container());
        let hash = match (command, args.get(1)) {
            (Some(command), Some(key)) if command.single_key => Some(keyspace.hash(key)),
            _ => None,
        };
        Prepared { command, hash }
    }

    /// The hash of the only key, if there is one.
    #[inline]
    pub(crate) fn hash(&self) -> Option<u64> {
        self.hash
    }
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ran {
    /// It was answered.
    Done,
    /// It must wait until the pause in force is over.
    Paused,
    /// It makes room in memory, and others go first.
    Later,
}

/// Carries out one request. The reply goes to the scene's output.
#[inline]
pub(crate) fn run<'w>(scene: &mut Scene<'w>, args: Args<'w>, prepared: Prepared) -> Ran {
    let (client, node) = (&*scene.call.client, scene.call.node);
    scene.call.args = args;
    match prepared.command {
        Some(command)
            if client.is_plain() && !node.pause.is_active() && !lacks_room(node, command, args, prepared.hash) =>
        {
            if command.quick && !scene.time_each {
                call_quick(scene, command, prepared.hash);
            } else {
                call(scene, command, prepared.hash);
            }
            Ran::Done
        }
        _ => run_unusual(scene, prepared),
    }
}

/// Whether a command must have room made for it in memory.
#[inline]
fn lacks_room(node: &Node, command: &Command, args: Args<'_>, hash: Option<u64>) -> bool {
    memory::needs_room(node, command.flags, args, hash) || quota::is_tight(node, command, args)
}

/// Runs a request for which something must be looked at first.
#[cold]
#[inline(never)]
fn run_unusual(scene: &mut Scene<'_>, prepared: Prepared) -> Ran {
    match scene.call.client.reply_mode {
        ReplyMode::On => checked(scene, prepared),
        mode => run_muted(scene, prepared, mode),
    }
}

/// Runs a request whose reply is to be left out, unless the request itself turns replies on again.
fn run_muted(scene: &mut Scene<'_>, prepared: Prepared, mode: ReplyMode) -> Ran {
    if mode == ReplyMode::SkipNext {
        scene.call.client.reply_mode = ReplyMode::Skip;
    }
    let mark = scene.call.reply.output().mark();
    let ran = checked(scene, prepared);
    if ran != Ran::Done {
        scene.call.client.reply_mode = mode;
        return ran;
    }
    if scene.call.client.reply_mode != ReplyMode::On {
        scene.call.reply.output().cut(mark);
    }
    if scene.call.client.reply_mode == ReplyMode::Skip {
        scene.call.client.reply_mode = ReplyMode::On;
    }
    Ran::Done
}

fn checked(scene: &mut Scene<'_>, prepared: Prepared) -> Ran {
    let args = scene.call.args;
    let Some(command) = prepared.command else {
        match command::resolve(args.get(0).unwrap_or_default(), args.get(1)) {
            Ok(command) => reject(scene, Some(command), &Error::wrong_arity(command)),
            Err(unknown) => reject_unknown(scene, args, unknown),
        }
        return Ran::Done;
    };
    match may_run(scene, command, prepared.hash) {
        Ok(Ran::Done) => {}
        Ok(wait) => return wait,
        Err(error) => {
            reject(scene, Some(command), &error);
            return Ran::Done;
        }
    }
    let client = &mut *scene.call.client;
    if scene.call.node.pause.holds(transaction::writes(client, command)) && !client.monitoring {
        return Ran::Paused;
    }
    if client.transaction.is_some() && !transaction::runs_at_once(command) {
        transaction::queue(client, command, args);
        scene.call.reply.simple("QUEUED");
        return Ran::Done;
    }
    call(scene, command, prepared.hash);
    Ran::Done
}

/// Whether the connection may run the command; `Ran::Done` if it may now.
#[inline]
fn may_run(scene: &mut Scene<'_>, command: &Command, hash: Option<u64>) -> Result<Ran, Error> {
    if !scene.call.client.authenticated && !command.flags.has(flag::NO_AUTH) && !let_in(scene) {
        return Err(Error::new("NOAUTH Authentication required."));
    }
    if scene.call.client.transaction.is_some() && command.flags.has(flag::NO_MULTI) {
        return Err(Error::new("ERR Command not allowed inside a transaction"));
    }
    if std::mem::take(&mut scene.call.client.oversized) {
        scene.call.node.totals.out_of_memory.fetch_add(1, Ordering::Relaxed);
        return Err(Error::OUT_OF_MEMORY);
    }
    if transaction::needs_memory(scene.call.client, command) && scene.call.node.over_limit() {
        match memory::admit(scene, hash) {
            Admission::Granted => {}
            Admission::Later => return Ok(Ran::Later),
            Admission::Refused => {
                scene.call.node.totals.out_of_memory.fetch_add(1, Ordering::Relaxed);
                return Err(Error::OUT_OF_MEMORY);
            }
        }
    }
    if quota::is_tight(scene.call.node, command, scene.call.args) && !quota::admit(scene, command) {
        scene.call.node.totals.out_of_memory.fetch_add(1, Ordering::Relaxed);
        return Err(Error::OUT_OF_MEMORY);
    }
    // Redis keeps monitors as it keeps replicas, and so do its error and its exemption from pauses.
    if scene.call.client.monitoring
        && command
            .flags
            .has_any(flag::WRITE.with(flag::READONLY).with(flag::MAY_REPLICATE))
    {
        return Err(Error::new("ERR Replica can't interact with the keyspace"));
    }
    Ok(Ran::Done)
}

/// Lets a connection in that came while there was a password, if there is none any more.
#[cold]
fn let_in(scene: &mut Scene<'_>) -> bool {
    scene.call.client.authenticated = scene.settings.requirepass.is_empty();
    scene.call.client.authenticated
}

#[cold]
fn reject(scene: &mut Scene<'_>, command: Option<&'static Command>, error: &Error) {
    if let Some(command) = command {
        scene.call.stats.command(command.id).rejected.add(1);
    }
    if let Some(transaction) = &mut scene.call.client.transaction {
        transaction.aborted = true;
    }
    let aborted = command
        .filter(|command| transaction::is_exec(command))
        .map(|_| transaction::abort(scene.call.client, scene.call.node, error));
    let error = aborted.as_ref().unwrap_or(error);
    scene.call.node.count_error(error.code());
    scene.call.reply.error(&error.0);
}

#[cold]
fn reject_unknown(scene: &mut Scene<'_>, args: Args<'_>, unknown: Unknown) {
    let shown_bytes = |bytes: &[u8]| crate::text::shown(&bytes[..bytes.len().min(MAX_SHOWN_ARGS)]);
    let name = args.get(0).unwrap_or_default();
    match unknown {
        Unknown::Subcommand(parent) => {
            let sub = shown_bytes(args.get(1).unwrap_or_default());
            let upper = parent.name.to_ascii_uppercase();
            reject(
                scene,
                None,
                &Error::of(format!("ERR unknown subcommand '{sub}'. Try {upper} HELP.")),
            );
        }
        Unknown::Command if is_http(name) => {
            // A browser that was tricked into talking to this port; what follows is not ours to run.
            tracing::warn!(client = %scene.call.client.peer.address, "closed a connection that speaks HTTP");
            scene.call.reply.output().clear();
            scene.call.client.close = true;
        }
        Unknown::Command => {
            let mut shown = String::new();
            for arg in args.iter().skip(1) {
                // A character stands for a byte, whatever it takes as UTF-8.
                let room = MAX_SHOWN_ARGS.saturating_sub(shown.chars().count());
                if room == 0 {
                    break;
                }
                shown += &format!("'{}' ", shown_bytes(&arg[..arg.len().min(room)]));
            }
            let text = format!(
                "ERR unknown command '{}', with args beginning with: {shown}",
                shown_bytes(name)
            );
            reject(scene, None, &Error::of(text));
        }
    }
}

fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// Runs a command that is quick: it shares its window's time, and there is nothing to clear up behind it.
#[inline]
fn call_quick(scene: &mut Scene<'_>, command: &'static Command, hash: Option<u64>) {
    let outcome = handle(&mut scene.call, command, hash);
    if let Err(error) = outcome {
        fail(&mut scene.call, command, &error);
    }
    scene.untimed.add(command.id);
    note(scene, command);
}

#[inline]
fn handle(call: &mut Call<'_>, command: &'static Command, hash: Option<u64>) -> Outcome {
    if let (Some(hash), Some(key)) = (hash, call.args.get(1)) {
        call.store.hint(key, hash);
    }
    call.command = command;
    (command.handler)(call)
}

#[inline(never)]
fn call(scene: &mut Scene<'_>, command: &'static Command, hash: Option<u64>) {
    let call = &mut scene.call;
    let timed = !command.is_const_time(call.args.len()) || scene.time_each;
    let started = timed.then(Instant::now);
    let outcome = handle(call, command, hash);
    if let Err(error) = outcome {
        fail(call, command, &error);
    }
    settle_into(call);
    match started {
        None => scene.untimed.add(command.id),
        Some(started) => finish_timed(scene, command, started),
    }
    note(scene, command);
}

/// Remembers the command as the connection's last, and shows it to monitors.
#[inline]
fn note(scene: &mut Scene<'_>, command: &'static Command) {
    scene.last_command = command.id;
    if scene.call.node.monitors.any() {
        monitor::feed(
            scene.call.node,
            scene.settings,
            scene.call.client,
            command,
            scene.call.args,
        );
    }
}

#[cold]
fn fail(call: &mut Call<'_>, command: &Command, error: &Error) {
    call.reply.error(&error.0);
    call.stats.command(command.id).failed.add(1);
    call.node.count_error(error.code());
}

/// Lets go of the command's locks, and takes over what it has changed about the connection.
#[inline]
fn settle_into(call: &mut Call<'_>) {
    call.store.release();
    call.store.database = call.client.database;
    call.store.touch = !call.client.no_touch;
    call.reply.set_version(call.client.version);
}

fn finish_timed(scene: &mut Scene<'_>, command: &'static Command, started: Instant) {
    let nanos = started.elapsed().as_nanos() as u64;
    scene.untimed.exclude(nanos);
    scene.check_settings();
    // A command that changes the threshold is judged by the new one, as in Redis.
    let changed = scene.stale.then(|| scene.call.node.config.settings());
    let settings = changed.as_deref().unwrap_or(scene.settings);
    scene
        .call
        .stats
        .command(command.id)
        .record(nanos, 1, settings.latency_tracking);
    let (micros, millis) = (nanos / 1000, nanos / 1_000_000);
    if settings.latency_monitor_threshold > 0 && millis >= settings.latency_monitor_threshold {
        let event = if command.flags.has(flag::FAST) {
            "fast-command"
        } else {
            "command"
        };
        scene
            .call
            .node
            .latency
            .add(event, scene.call.store.now_ms / 1000, millis);
    }
    let threshold = settings.slowlog_log_slower_than;
    if threshold >= 0 && micros >= threshold as u64 && !command.flags.has(flag::SKIP_SLOWLOG) {
        note_slow(scene, scene.call.args, micros);
    }
}

/// Enters a command into the slow log.
#[cold]
pub(crate) fn note_slow(scene: &Scene<'_>, args: Args<'_>, micros: u64) {
    let peer = &scene.call.client.peer;
    log_slow(
        scene.call.node,
        scene.settings,
        peer,
        args,
        micros,
        scene.call.store.now_ms / 1000,
    );
}

/// Enters a command into the slow log, whoever runs it; `at` in Unix seconds.
#[cold]
pub(crate) fn log_slow(node: &Node, settings: &Settings, peer: &Peer, args: Args<'_>, micros: u64, at: u64) {
    node.slowlog.push(Slow {
        id: 0,
        at,
        micros,
        args: cut_args(monitor::shown(args, settings.mask_args).into_iter()),
        address: peer.address.clone(),
        name: peer.names().name.clone(),
    });
}

/// Publishes what a batch has changed about the connection.
pub(crate) fn publish(scene: &Scene<'_>) {
    let peer = &scene.call.client.peer;
    peer.active_ms.store(scene.call.store.now_ms, Ordering::Relaxed);
    peer.last_command.store(scene.last_command, Ordering::Relaxed);
    let version = version_number(scene.call.client.version);
    if peer.version.load(Ordering::Relaxed) != version {
        peer.version.store(version, Ordering::Relaxed);
    }
    if peer.database.load(Ordering::Relaxed) != scene.call.client.database {
        peer.database.store(scene.call.client.database, Ordering::Relaxed);
    }
    if scene.call.client.close {
        peer.set(peer_flag::CLOSING, true);
    }
}
