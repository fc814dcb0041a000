//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! EXEC holds the stripes of all keys of its commands (all stripes, if one of them works on the whole
//! keyspace) from the first command to the last, so nobody sees half of a transaction.

use crate::call::{Call, Error, Outcome};
use crate::client::{Peer, Queued, Transaction, Watches, flag as peer_flag};
use crate::command::{self, Command, flag};
use crate::resp::Reply;
use crate::resp::decode::{Args, OwnedArgs};
use crate::store::eviction::Eviction;
use crate::store::{Dirty, Keyspace, Store};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Bytes that one transaction may queue: what a connection may have pending as input by default.
const MAX_QUEUED_BYTES: usize = 1 << 30;

/// Whether the command is carried out although a transaction is open.
pub(crate) fn runs_at_once(command: &Command) -> bool {
    matches!(
        command.full_name,
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    )
}

/// Whether the command is EXEC.
pub(crate) fn is_exec(command: &Command) -> bool {
    command.full_name == "exec"
}

/// Queues a command.
///
/// # Errors
/// The command may not be part of a transaction, or the transaction is too large.
pub(crate) fn queue(
    transaction: &mut Transaction,
    peer: &Peer,
    command: &'static Command,
    args: Args<'_>,
) -> Result<(), Error> {
    if command.flags.has(flag::NO_MULTI) {
        return Err(Error::new("ERR Command not allowed inside a transaction"));
    }
    let bytes = size_of::<Queued>() + args.iter().map(|arg| arg.len() + 64).sum::<usize>();
    if transaction.queued_bytes + bytes > MAX_QUEUED_BYTES {
        return Err(Error::new("ERR transaction is too large"));
    }
    transaction.queued_bytes += bytes;
    transaction.queue.push(Queued {
        command,
        args: OwnedArgs::new(args.to_vec()),
    });
    publish(peer, Some(transaction));
    Ok(())
}

fn publish(peer: &Peer, transaction: Option<&Transaction>) {
    peer.set(peer_flag::MULTI, transaction.is_some());
    peer.queued
        .store(transaction.map_or(0, |open| open.queue.len()), Ordering::Relaxed);
    peer.queued_bytes
        .store(transaction.map_or(0, |open| open.queued_bytes), Ordering::Relaxed);
}

/// Forgets all watches of a connection.
pub(crate) fn unwatch_all(watches: &mut Watches, keyspace: &Keyspace) {
    if watches.keys.is_empty() {
        return;
    }
    let eviction = Eviction::default();
    let mut store = Store::new(keyspace, 0, 0, &eviction);
    for (database, key) in watches.keys.drain(..) {
        store.unwatch(database, &key, &watches.dirty);
    }
    watches.dirty = Dirty::default();
}

fn end(call: &mut Call<'_>) -> Option<Transaction> {
    let transaction = call.client.transaction.take();
    publish(&call.client.peer, None);
    unwatch_all(&mut call.client.watches, &call.node.keyspace);
    call.client.peer.watched.store(0, Ordering::Relaxed);
    transaction
}

/// MULTI
pub fn multi(call: &mut Call<'_>) -> Outcome {
    if call.client.transaction.is_some() {
        return Err(Error::new("ERR MULTI calls can not be nested"));
    }
    call.client.transaction = Some(Transaction::default());
    publish(&call.client.peer, call.client.transaction.as_ref());
    call.reply.ok();
    Ok(())
}

/// DISCARD
pub fn discard(call: &mut Call<'_>) -> Outcome {
    end_or(call, "ERR DISCARD without MULTI")?;
    call.reply.ok();
    Ok(())
}

fn end_or(call: &mut Call<'_>, error: &'static str) -> Result<Transaction, Error> {
    if call.client.transaction.is_none() {
        return Err(Error::new(error));
    }
    Ok(end(call).unwrap_or_default())
}

/// WATCH key [key ...]
pub fn watch(call: &mut Call<'_>) -> Outcome {
    if call.client.transaction.is_some() {
        return Err(Error::new("ERR WATCH inside MULTI is not allowed"));
    }
    let database = call.client.database;
    for key in call.args.iter().skip(1) {
        let watches = &mut call.client.watches;
        let known = watches
            .keys
            .iter()
            .any(|(db, watched)| *db == database && **watched == *key);
        if !known {
            call.store.watch(database, key, &watches.dirty);
            watches.keys.push((database, key.into()));
        }
    }
    call.client
        .peer
        .watched
        .store(call.client.watches.keys.len(), Ordering::Relaxed);
    call.reply.ok();
    Ok(())
}

/// UNWATCH
pub fn unwatch(call: &mut Call<'_>) -> Outcome {
    // Inside EXEC stripes are held, so taking one could wait forever; EXEC forgets the watches at its end.
    if !call.client.executing {
        unwatch_all(&mut call.client.watches, &call.node.keyspace);
        call.client.peer.watched.store(0, Ordering::Relaxed);
    }
    call.reply.ok();
    Ok(())
}

/// EXEC
pub fn exec(call: &mut Call<'_>) -> Outcome {
    let Some(transaction) = call.client.transaction.as_ref() else {
        return Err(Error::new("ERR EXEC without MULTI"));
    };
    if transaction.aborted {
        end(call);
        return Err(Error::new(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    let queue = call.client.transaction.take().unwrap_or_default().queue;
    hold(&mut call.store, &queue);
    // Looked at under the locks: a change that comes later waits for them.
    if call.client.watches.dirty.load(Ordering::Acquire) {
        call.reply.null_array();
    } else {
        call.client.executing = true;
        run_all(call, &queue);
        call.client.executing = false;
    }
    call.store.release();
    end(call);
    Ok(())
}

/// Holds what the queued commands need: the stripes of their keys, or all if one works on the whole
/// keyspace. A key may be of another database by the time its command runs; its stripe is the same.
fn hold(store: &mut Store<'_>, queue: &[Queued]) {
    let whole = queue
        .iter()
        .any(|item| item.command.keys.is_empty() && works_on_keys(item.command));
    if whole {
        return store.hold_all();
    }
    let mut keys: Vec<&[u8]> = Vec::new();
    for item in queue {
        let args: Vec<&[u8]> = item.args.args().iter().collect();
        let args = args.as_slice();
        if let Ok(positions) = command::keys_of(item.command, &args) {
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

fn run_all(call: &mut Call<'_>, queue: &[Queued]) {
    call.reply.array(queue.len());
    for item in queue {
        let version = call.client.version;
        let mut inner = Call {
            command: item.command,
            args: item.args.args(),
            store: call.store.lend(call.client.database),
            reply: Reply::new(call.reply.output(), version),
            client: &mut *call.client,
            node: call.node,
            stats: call.stats,
        };
        let started = Instant::now();
        let result = (item.command.handler)(&mut inner);
        if let Err(error) = &result {
            inner.reply.error(&error.0);
        }
        drop(inner);
        let stats = call.stats.command(item.command.id);
        stats.record(started.elapsed().as_nanos() as u64, 1, true);
        if let Err(error) = result {
            stats.failed.add(1);
            call.node.count_error(error.code());
        }
    }
}
