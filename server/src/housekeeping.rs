//! What a node does beside serving: reclaim expired keys, time connections out, take samples.

use crate::client::{Peer, flag};
use crate::node::{Node, unix_ms};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often the round is made.
const PERIOD: Duration = Duration::from_millis(100);
/// Buckets of a stripe that are searched for expired keys under one lock.
const RECLAIM_BUCKETS: usize = 64;
/// Time that a round may spend reclaiming, so that it takes at most a quarter of a core.
const RECLAIM_TIME: Duration = Duration::from_millis(25);
/// How long a connection that is being closed may take to accept its last replies.
const CLOSING_MS: u64 = 10_000;

/// Rates over the last rounds.
struct Rates {
    at: Instant,
    commands: u64,
    bytes: [u64; 2],
}

/// Keeps house until the task is dropped.
pub(crate) async fn run(node: Arc<Node>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut rates = Rates {
        at: Instant::now(),
        commands: 0,
        bytes: [0, 0],
    };
    let mut stripe = 0;
    for round in 0u64.. {
        ticks.tick().await;
        node.pause.expire();
        if node.active_expire.load(Ordering::Relaxed) {
            reclaim(&node, &mut stripe).await;
        }
        check_clients(&node);
        if round % 10 == 0 {
            sample(&node, &mut rates);
        }
    }
}

/// Goes through the stripes, a few buckets at a time, until the round's time is spent.
async fn reclaim(node: &Node, stripe: &mut usize) {
    let began = Instant::now();
    let stripes = node.keyspace.shape().stripes;
    for _ in 0..stripes {
        let now_ms = unix_ms();
        // A stripe whose keys expire in masses is worked on until the time is over.
        while node.keyspace.reclaim_expired(*stripe, now_ms, RECLAIM_BUCKETS) > RECLAIM_BUCKETS {
            if began.elapsed() > RECLAIM_TIME {
                return;
            }
        }
        *stripe = (*stripe + 1) % stripes;
        if began.elapsed() > RECLAIM_TIME {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Closes connections that were idle for too long, or that do not take their last replies.
fn check_clients(node: &Node) {
    let settings = node.config.settings();
    let now_ms = unix_ms();
    let idle_ms = u64::from(settings.timeout) * 1000;
    let mut bytes = 0;
    for peer in node.clients.all() {
        let silent_ms = now_ms.saturating_sub(peer.active_ms.load(Ordering::Relaxed));
        let exempt = peer.has(flag::MONITOR) || peer.has(flag::BLOCKED);
        let idle = idle_ms > 0 && silent_ms > idle_ms && !exempt;
        if idle || peer.has(flag::CLOSING) && silent_ms > CLOSING_MS {
            tracing::debug!(client = %peer.address, "closed an idle connection");
            peer.kill();
        }
        bytes += buffers(&peer);
    }
    node.client_bytes.store(bytes, Ordering::Relaxed);
}

fn buffers(peer: &Peer) -> usize {
    let held = [&peer.input_bytes, &peer.output_bytes, &peer.queued_bytes];
    held.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
}

/// Takes the samples that INFO shows.
fn sample(node: &Node, rates: &mut Rates) {
    let now = Instant::now();
    let seconds = now.duration_since(rates.at).as_secs_f64().max(0.001);
    let commands = node.commands_processed();
    let bytes = [
        node.workers.iter().map(|worker| worker.bytes_in.get()).sum::<u64>(),
        node.workers.iter().map(|worker| worker.bytes_out.get()).sum::<u64>(),
    ];
    let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds) as u64;
    node.ops_per_second
        .store(rate(commands, rates.commands), Ordering::Relaxed);
    for (index, total) in bytes.iter().enumerate() {
        node.bytes_per_second[index].store(rate(*total, rates.bytes[index]), Ordering::Relaxed);
    }
    *rates = Rates {
        at: now,
        commands,
        bytes,
    };
    let resident = resident_bytes();
    node.resident_bytes.store(resident, Ordering::Relaxed);
    node.totals.peak_bytes.fetch_max(node.used_bytes(), Ordering::Relaxed);
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
pub fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * 4096
}
