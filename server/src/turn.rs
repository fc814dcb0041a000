//! A turn: running the requests of one input, window by window.

use crate::client::Client;
use crate::clock::monotonic_nanos;
use crate::dispatch::{self, Prepared, Ran};
use crate::resp::Output;
use crate::resp::request::{Args, Batch};
use crate::worker::{Scene, Worker};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A turn ends after this many commands, bytes of replies or nanoseconds, so that one connection cannot
/// hold the worker.
pub(crate) const TURN_COMMANDS: usize = 128;
const TURN_OUTPUT_BYTES: usize = 256 * 1024;
pub(crate) const TURN_NANOS: u64 = 200_000;
/// Commands whose keys are fetched into the cache together; more would push each other out.
const WINDOW: usize = 32;

/// How a turn ended.
#[derive(PartialEq, Eq)]
pub(crate) enum Stop {
    /// All requests ran.
    Finished,
    /// The request with this number, and those behind it, must run in another turn.
    Before(usize),
    /// The same, after the pause in force.
    PausedBefore(usize),
}

/// Runs the requests in order, from `now` on by the monotonic clock; tells how it ended, and when. A handler's panic ends
/// the connection, not the worker.
pub(crate) fn execute(
    worker: &mut Worker,
    client: &mut Client,
    input: &[u8],
    batch: &Batch,
    output: &mut Output,
    now: u64,
) -> (Stop, u64) {
    let now_ms = worker.wall_ms(now);
    let mut scene = worker.scene(client, output, now_ms);
    let ran = catch_unwind(AssertUnwindSafe(|| execute_windows(&mut scene, input, batch, now)));
    dispatch::publish(&scene);
    drop(scene);
    ran.unwrap_or_else(|_| {
        worker.stats.panics.add(1);
        tracing::error!(client = %client.peer.address, "a command panicked; its connection is closed");
        client.close = true;
        (Stop::Finished, monotonic_nanos())
    })
}

/// Runs a batch, window by window: look up and hash all, fetch their buckets, fetch their entries, run.
fn execute_windows<'w>(scene: &mut Scene<'w>, input: &'w [u8], batch: &'w Batch, mut began: u64) -> (Stop, u64) {
    let requests = batch.requests();
    let turn_began = began;
    let mut next = 0;
    while next < requests.len() {
        let end = requests.len().min(next + WINDOW);
        let args = |number: usize| batch.args(input, requests[number]);
        prepare(scene, (next..end).map(args));
        let mut stop = None;
        for number in next..end {
            let prepared = scene.prepared[number - next];
            stop = match dispatch::run(scene, args(number), prepared) {
                Ran::Done => None,
                Ran::Paused => Some(Stop::PausedBefore(number)),
                Ran::Later => Some(Stop::Before(number)),
            };
            if stop.is_some() {
                break;
            }
            if scene.call.client.close {
                stop = Some(Stop::Finished);
                break;
            }
            let full = scene.call.reply.output().len() >= TURN_OUTPUT_BYTES;
            if (full || scene.stale) && number + 1 < requests.len() {
                stop = Some(Stop::Before(number + 1));
                break;
            }
        }
        let now = monotonic_nanos();
        settle(scene, args(next), now - began);
        began = now;
        if let Some(stop) = stop {
            return (stop, now);
        }
        next = end;
        if next < requests.len() && now - turn_began >= TURN_NANOS {
            return (Stop::Before(next), now);
        }
    }
    (Stop::Finished, began)
}

fn prepare<'a>(scene: &mut Scene<'_>, window: impl ExactSizeIterator<Item = Args<'a>>) {
    let keyspace = &scene.call.node.keyspace;
    let database = scene.call.client.database;
    let alone = window.len() == 1;
    scene.prepared.clear();
    let prefetcher = &mut *scene.prefetcher;
    scene.prepared.extend(window.map(|args| {
        let prepared = Prepared::new(args, keyspace);
        if let Some(hash) = prepared.hash() {
            prefetcher.ask(keyspace, database, hash);
        }
        prepared
    }));
    // A single command would wait for the bucket all the same.
    if !alone {
        prefetcher.fetch(keyspace, database, scene.prepared.iter().filter_map(Prepared::hash));
    }
}

/// Books a window's time on its commands.
fn settle(scene: &mut Scene<'_>, first: Args<'_>, elapsed_nanos: u64) {
    let stats = scene.call.stats;
    stats.turns.add(1);
    stats.busy_nanos.add(elapsed_nanos);
    stats.longest_turn_nanos.raise_to(elapsed_nanos);
    let alone = scene.untimed.is_single();
    let each = scene
        .untimed
        .settle(elapsed_nanos, stats, scene.settings.latency_tracking);
    let threshold = scene.settings.slowlog_log_slower_than;
    // A window of several shares its time out, which says nothing of any one.
    if alone && threshold >= 0 && each / 1000 >= threshold.max(1) as u64 {
        dispatch::note_slow(scene, first, each / 1000);
    }
}
