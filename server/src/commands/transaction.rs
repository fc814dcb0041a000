//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! EXEC holds the stripes of all keys of its commands (all stripes, if one of them works on the whole
//! keyspace) and of all watched keys from before it looks at the watches to after the last command, so
//! nobody sees half of a transaction and no change slips in between.

use super::monitor;
use crate::call::{Call, Error, Outcome};
use crate::client::{Client, Queued, Transaction, Watches, flag as peer_flag};
use crate::command::{self, Command, flag};
use crate::config::Settings;
use crate::dispatch;
use crate::node::Node;
use crate::resp::Reply;
use crate::resp::request::{Args, OwnedArgs};
use crate::store::eviction::Eviction;
use crate::store::{Keyspace, Store};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What a watched key takes besides its bytes, which are kept twice: here, and where it is registered.
const WATCH_BYTES: usize = 160;

/// Whether the command is carried out although a transaction is open.
pub(crate) fn runs_at_once(command: &Command) -> bool {
    matches!(
        command.full_name,
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    )
}

/// Whether the command is EXEC.
#[inline]
pub(crate) fn is_exec(command: &Command) -> bool {
    command.full_name == "exec"
}

/// Whether the command must be refused when there is no memory left: if it may need some itself, if a
/// command that it would run does, or if it would be queued.
#[inline]
pub(crate) fn needs_memory(client: &Client, command: &Command) -> bool {
    match &client.transaction {
        None => command.flags.has(flag::DENYOOM),
        Some(open) if is_exec(command) => open.flags.has(flag::DENYOOM),
        Some(_) => !matches!(command.full_name, "discard" | "quit" | "reset"),
    }
}

/// Whether the command, or the transaction that it ends, may change data.
#[inline]
pub(crate) fn writes(client: &Client, command: &Command) -> bool {
    let writing = flag::WRITE.with(flag::MAY_REPLICATE);
    let ends = |open: &Transaction| is_exec(command) && open.flags.has_any(writing);
    command.flags.has_any(writing) || client.transaction.as_ref().is_some_and(ends)
}

/// Queues a command in the open transaction.
pub(crate) fn queue(client: &mut Client, command: &'static Command, args: Args<'_>) {
    let Some(open) = &mut client.transaction else { return };
    if open.aborted || client.watches.dirty.load(Ordering::Relaxed) {
        // EXEC will not run it: keeping it would only take memory.
        return;
    }
    let args = OwnedArgs::copy(args);
    open.queued_bytes += size_of::<Queued>() + args.held_bytes();
    open.flags = open.flags.with(command.flags);
    open.queue.push(Queued { command, args });
    publish(client);
}

/// Tells the rest of the node how the transaction and the watches stand.
fn publish(client: &Client) {
    let (peer, open) = (&client.peer, client.transaction.as_ref());
    peer.set(peer_flag::MULTI, open.is_some());
    let queued = open.map_or(0, |open| open.queue.len());
    peer.queued.store(queued, Ordering::Relaxed);
    peer.watched.store(client.watches.keys.len(), Ordering::Relaxed);
    let bytes = client.transaction_bytes();
    peer.queued_bytes.store(bytes, Ordering::Relaxed);
}

/// Forgets all watches of a connection.
pub(crate) fn unwatch_all(watches: &mut Watches, keyspace: &Keyspace) {
    if watches.keys.is_empty() {
        return;
    }
    let eviction = Eviction::default();
    unwatch_in(watches, &mut Store::new(keyspace, 0, 0, &eviction));
}

fn unwatch_in(watches: &mut Watches, store: &mut Store<'_>) {
    for (database, key) in std::mem::take(&mut watches.keys) {
        store.unwatch(database, &key, &watches.dirty);
    }
    watches.bytes = 0;
    // No key knows the flag any more, so nobody sets it from here on.
    watches.dirty.store(false, Ordering::Release);
}

/// Ends the transaction, if one is open, and forgets the watches.
pub(crate) fn discard_open(client: &mut Client, node: &Node) {
    client.transaction = None;
    unwatch_all(&mut client.watches, &node.keyspace);
    publish(client);
}

/// What EXEC answers when it is itself refused: the transaction is over then.
pub(crate) fn abort(client: &mut Client, node: &Node, error: &Error) -> Error {
    discard_open(client, node);
    let why = error.0.strip_prefix("ERR ").unwrap_or(&error.0);
    Error::of(format!("EXECABORT Transaction discarded because of: {why}"))
}

/// MULTI
pub fn multi(call: &mut Call<'_>) -> Outcome {
    if call.client.transaction.is_some() {
        return Err(Error::new("ERR MULTI calls can not be nested"));
    }
    call.client.transaction = Some(Transaction::default());
    publish(call.client);
    call.reply.ok();
    Ok(())
}

/// DISCARD
pub fn discard(call: &mut Call<'_>) -> Outcome {
    if call.client.transaction.is_none() {
        return Err(Error::new("ERR DISCARD without MULTI"));
    }
    discard_open(call.client, call.node);
    call.reply.ok();
    Ok(())
}

/// WATCH key [key ...]
pub fn watch(call: &mut Call<'_>) -> Outcome {
    if call.client.transaction.is_some() {
        return Err(Error::new("ERR WATCH inside MULTI is not allowed"));
    }
    let database = call.client.database;
    let watches = &mut call.client.watches;
    // Once a key has changed, EXEC will refuse whatever the others do.
    if !watches.dirty.load(Ordering::Acquire) {
        for key in call.args.iter().skip(1) {
            if watches.keys.insert((database, key.into())) {
                watches.bytes += WATCH_BYTES + 2 * key.len();
                call.store.watch(database, key, &watches.dirty);
            }
        }
        publish(call.client);
    }
    call.reply.ok();
    Ok(())
}

/// UNWATCH
pub fn unwatch(call: &mut Call<'_>) -> Outcome {
    // Inside EXEC there are no watches any more.
    unwatch_all(&mut call.client.watches, &call.node.keyspace);
    publish(call.client);
    call.reply.ok();
    Ok(())
}

/// EXEC
pub fn exec(call: &mut Call<'_>) -> Outcome {
    let Some(open) = &mut call.client.transaction else {
        return Err(Error::new("ERR EXEC without MULTI"));
    };
    if open.aborted {
        discard_open(call.client, call.node);
        return Err(Error::new(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    let queue = std::mem::take(&mut open.queue);
    hold(&mut call.store, &queue, &call.client.watches);
    if is_broken(&mut call.store, &call.client.watches) {
        call.reply.null_array();
    } else {
        unwatch_in(&mut call.client.watches, &mut call.store);
        call.client.peer.watched.store(0, Ordering::Relaxed);
        call.client.peer.last_command.store(call.command.id, Ordering::Relaxed);
        call.client.executing = true;
        run_all(call, &queue);
        call.client.executing = false;
    }
    call.store.release();
    discard_open(call.client, call.node);
    Ok(())
}

/// Holds the stripes of the watched keys, and what the queued commands need: the stripes of their keys,
/// or all if one works on the whole keyspace. A key may be of another database by the time its command
/// runs; its stripe is the same.
fn hold(store: &mut Store<'_>, queue: &[Queued], watches: &Watches) {
    let whole = queue
        .iter()
        .any(|item| item.command.keys.is_empty() && works_on_keys(item.command));
    if whole {
        return store.hold_all();
    }
    let mut keys: Vec<&[u8]> = watches.keys.iter().map(|(_, key)| &**key).collect();
    let mut args: Vec<&[u8]> = Vec::new();
    for item in queue {
        let Some(first) = item.args.args().get(1).filter(|_| !item.command.keys.is_empty()) else {
            continue;
        };
        if item.command.single_key {
            keys.push(first);
            continue;
        }
        args.clear();
        args.extend(item.args.args().iter());
        if let Ok(positions) = command::keys_of(item.command, &args.as_slice()) {
            keys.extend(positions.filter_map(|key| args.get(key.index).copied()));
        }
    }
    store.hold(keys);
}

/// Whether a command without key arguments still opens keys or counts them.
fn works_on_keys(command: &Command) -> bool {
    let works = flag::WRITE.with(flag::READONLY).with(flag::WHOLE_KEYSPACE);
    command.flags.has_any(works)
}

/// Whether a watched key has changed or expired; asked while all of them are held.
fn is_broken(store: &mut Store<'_>, watches: &Watches) -> bool {
    for (database, key) in &watches.keys {
        // Looking at a key that is due removes it, which is a change.
        store.key_in(*database, key).exists();
    }
    watches.dirty.load(Ordering::Acquire)
}

fn run_all(call: &mut Call<'_>, queue: &[Queued]) {
    let settings = call.node.config.settings();
    let limit = settings.client_output_buffer_limit.normal.hard_bytes;
    let mark = call.reply.output().mark();
    let mut over = false;
    call.reply.array(queue.len());
    for item in queue {
        let started = Instant::now();
        let result = run_one(call, item);
        let nanos = started.elapsed().as_nanos() as u64;
        let stats = call.stats.command(item.command.id);
        stats.record(nanos, 1, settings.latency_tracking);
        if let Err(error) = result {
            stats.failed.add(1);
            call.node.count_error(error.code());
        }
        tell(call, item, &settings, nanos);
        over |= limit > 0 && call.reply.output().copied_len() as u64 > limit;
        if over {
            // As in Redis, the rest of the transaction runs, and nobody hears of it.
            call.reply.output().cut(mark);
        }
    }
    if over {
        tracing::warn!(client = %call.client.peer.address, "closed for the size of a transaction's replies");
        call.stats.limit_closes.add(1);
        call.client.peer.kill();
    }
}

fn run_one(call: &mut Call<'_>, item: &Queued) -> Outcome {
    let version = call.client.version;
    let mut store = call.store.lend(call.client.database);
    store.touch = !call.client.no_touch;
    let mut inner = Call {
        command: item.command,
        args: item.args.args(),
        store,
        reply: Reply::new(call.reply.output(), version),
        client: &mut *call.client,
        node: call.node,
        stats: call.stats,
    };
    let result = (item.command.handler)(&mut inner);
    if let Err(error) = &result {
        inner.reply.error(&error.0);
    }
    result
}

/// Enters a command of the transaction where those outside of one are entered: MONITOR, SLOWLOG.
fn tell(call: &Call<'_>, item: &Queued, settings: &Settings, nanos: u64) {
    let args = item.args.args();
    if call.node.monitors.any() {
        monitor::feed(call.node, settings, call.client, item.command, args);
    }
    let (threshold, micros) = (settings.slowlog_log_slower_than, nanos / 1000);
    if threshold >= 0 && micros >= threshold as u64 && !item.command.flags.has(flag::SKIP_SLOWLOG) {
        dispatch::log_slow(
            call.node,
            settings,
            &call.client.peer,
            args,
            micros,
            call.store.now_ms / 1000,
        );
    }
}
