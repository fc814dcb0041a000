//! What a node does beside serving: time connections out, bound their buffers, take samples.

use crate::client::{Peer, flag};
use crate::config::{ClientMemory, OutputLimit, Settings};
use crate::node::{Node, unix_ms};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often the round is made.
const PERIOD: Duration = Duration::from_millis(100);
/// How many periods a round is apart from the next while nothing happens: waking up is what an idle node costs.
const QUIET_STEP: u32 = 2;
/// Rounds between two samples of rates and of the system.
const SAMPLE_ROUNDS: u64 = 10;
/// A share of a limit as `maxmemory-clients` is at least so many bytes, or half of the limit.
const LEAST_BUFFERS: u64 = 64 << 20;
/// How long a connection that is being closed may take no more of its last replies.
const CLOSING_MS: u64 = 10_000;
/// With more connections than this, not every round looks at all of them, so that the cost stays flat.
const CLIENTS_PER_ROUND: usize = 1000;
/// Yet at least every so many rounds, for timeouts are told in seconds.
const MAX_ROUNDS_BETWEEN: u64 = 10;

/// Keeps house until the task is dropped.
pub(crate) async fn run(node: Arc<Node>) {
    let mut rates = Rates::new(&node);
    let mut connections = Connections::default();
    let (mut round, mut next_sample, mut step, mut commands) = (0, 0, 1, 0);
    loop {
        tokio::time::sleep(PERIOD * step).await;
        round += u64::from(step);
        // Before the pause ends: connections that it held back were silent for that reason.
        connections.check(&node, round);
        node.pause.expire();
        let sampling = round >= next_sample;
        let before = std::mem::replace(&mut commands, node.commands_processed());
        if node.over_limit() {
            node.budget.press();
        }
        node.totals.peak_bytes.fetch_max(node.used_bytes(), Ordering::Relaxed);
        if sampling {
            next_sample = round + SAMPLE_ROUNDS;
            rates.sample(&node);
            node.resident_bytes.store(resident_bytes(), Ordering::Relaxed);
        }
        let quiet = commands == before && node.pause.remaining().is_none();
        step = if quiet { QUIET_STEP } else { 1 };
    }
}

/// What is remembered of connections from one look at them to the next.
#[derive(Default)]
struct Connections {
    /// Since when each connection that is over its soft limit has been, by its id, in Unix milliseconds.
    over_soft_ms: HashMap<u64, u64>,
    next_round: u64,
}

impl Connections {
    /// Closes connections that were idle for too long, that do not read their replies, or whose buffers are the
    /// largest when those of all together take too much.
    fn check(&mut self, node: &Node, round: u64) {
        if round < self.next_round {
            return;
        }
        let (settings, now_ms) = (node.config.settings(), unix_ms());
        let paused = node.pause.remaining().is_some();
        let (mut count, mut bytes) = (0, 0);
        let mut still_over = HashMap::new();
        node.clients.for_each(|peer| {
            count += 1;
            let held = peer.buffer_bytes();
            if let Some(reason) = overdue(peer, &settings, now_ms, paused) {
                close(peer, held, reason);
            } else if is_over_soft(&settings.client_output_buffer_limit.normal, peer) {
                let since_ms = *self.over_soft_ms.get(&peer.id).unwrap_or(&now_ms);
                still_over.insert(peer.id, since_ms);
                let over_ms = now_ms.saturating_sub(since_ms);
                if over_ms
                    > settings
                        .client_output_buffer_limit
                        .normal
                        .soft_seconds
                        .saturating_mul(1000)
                {
                    node.totals.soft_limit_closes.fetch_add(1, Ordering::Relaxed);
                    close(peer, held, "over the soft limit of its output buffer for too long");
                }
            }
            bytes += if peer.is_killed() { 0 } else { held };
        });
        self.over_soft_ms = still_over;
        self.next_round = round + (count / CLIENTS_PER_ROUND).clamp(1, MAX_ROUNDS_BETWEEN as usize) as u64;
        let limit = buffer_limit(node, &settings);
        if limit > 0 && bytes as u64 > limit {
            evict(node, bytes, limit);
        }
    }
}

/// Why a connection has been silent for too long, if it has.
fn overdue(peer: &Peer, settings: &Settings, now_ms: u64, paused: bool) -> Option<&'static str> {
    let silent_ms = now_ms.saturating_sub(peer.active_ms.load(Ordering::Relaxed));
    let exempt = paused || peer.has(flag::MONITOR) || peer.has(flag::BLOCKED);
    if settings.timeout > 0 && silent_ms > u64::from(settings.timeout) * 1000 && !exempt {
        Some("idle")
    } else if peer.has(flag::CLOSING) && silent_ms > CLOSING_MS {
        Some("does not take its last replies")
    } else {
        None
    }
}

fn is_over_soft(limit: &OutputLimit, peer: &Peer) -> bool {
    limit.soft_bytes > 0 && peer.unsent_bytes() as u64 > limit.soft_bytes
}

/// `maxmemory-clients` in bytes; 0 is no limit. On a small node a share is rounded up, so that a value of some size
/// can come in at all; entries make room for it.
pub(crate) fn buffer_limit(node: &Node, settings: &Settings) -> u64 {
    let limit = node.memory_limit.load(Ordering::Relaxed);
    match settings.maxmemory_clients {
        ClientMemory::Bytes(bytes) => bytes,
        ClientMemory::Percent(0) => 0,
        ClientMemory::Percent(percent) => {
            let least = (limit / 2).min(LEAST_BUFFERS);
            (limit / 100).saturating_mul(u64::from(percent)).max(least).max(1)
        }
    }
}

/// Closes the connections with the largest buffers until the rest is within the limit; returns what the rest holds.
pub(crate) fn evict(node: &Node, mut bytes: usize, limit: u64) -> usize {
    let mut largest = Vec::new();
    node.clients.for_each(|peer| {
        let held = peer.buffer_bytes();
        if held > 0 && !peer.has(flag::NO_EVICT) && !peer.is_killed() {
            largest.push((held, Arc::clone(peer)));
        }
    });
    largest.sort_unstable_by_key(|(held, _)| std::cmp::Reverse(*held));
    for (held, peer) in largest {
        if bytes as u64 <= limit {
            break;
        }
        node.totals.evicted_clients.fetch_add(1, Ordering::Relaxed);
        close(&peer, held, "the buffers of all connections are over maxmemory-clients");
        bytes = bytes.saturating_sub(held);
    }
    bytes
}

fn close(peer: &Peer, held_bytes: usize, reason: &str) {
    if !peer.is_killed() {
        tracing::debug!(client = %peer.address, bytes = held_bytes, reason, "closed a connection");
        peer.kill();
    }
}

/// Counts at the last sample, for the rates since.
struct Rates {
    at: Instant,
    commands: u64,
    bytes: [u64; 2],
}

impl Rates {
    fn new(node: &Node) -> Rates {
        let sum =
            |counter: fn(&crate::stats::WorkerStats) -> u64| node.workers.iter().map(|worker| counter(worker)).sum();
        Rates {
            at: Instant::now(),
            commands: node.commands_processed(),
            bytes: [
                sum(|worker| worker.bytes_in.get()),
                sum(|worker| worker.bytes_out.get()),
            ],
        }
    }

    /// Takes the samples that INFO shows.
    fn sample(&mut self, node: &Node) {
        let now = Rates::new(node);
        let seconds = now.at.duration_since(self.at).as_secs_f64().max(0.001);
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds) as u64;
        node.ops_per_second
            .store(rate(now.commands, self.commands), Ordering::Relaxed);
        for (index, total) in now.bytes.iter().enumerate() {
            node.bytes_per_second[index].store(rate(*total, self.bytes[index]), Ordering::Relaxed);
        }
        *self = now;
    }
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
pub fn resident_bytes() -> usize {
    status_bytes("VmRSS:")
}

/// A line of what the system tells of this process, in bytes; 0 where it does not tell.
pub(crate) fn status_bytes(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Origin;
    use crate::config::Config;

    fn node(set: impl FnOnce(&mut Settings)) -> Node {
        let mut settings = Settings::default();
        (settings.threads, settings.maxmemory) = (1, 64 << 20);
        set(&mut settings);
        Node::new(Config::new(settings))
    }

    /// A connection that was last active so long ago.
    fn peer(node: &Node, silent_ms: u64) -> Arc<Peer> {
        let origin = Origin {
            address: "127.0.0.1:1".to_owned(),
            local_address: "127.0.0.1:2".to_owned(),
            descriptor: -1,
            flags: 0,
        };
        let peer = Arc::new(Peer::new(node.clients.next_id(), 0, origin, unix_ms() - silent_ms));
        node.clients.add(&peer);
        peer
    }

    fn check(node: &Node) {
        Connections::default().check(node, 1);
    }

    #[test]
    fn only_connections_idle_for_longer_than_the_timeout_are_closed() {
        let node = node(|settings| settings.timeout = 5);
        let (idle, active, monitor) = (peer(&node, 5_050), peer(&node, 4_000), peer(&node, 60_000));
        monitor.set(flag::MONITOR, true);
        check(&node);
        assert_eq!(
            [&idle, &active, &monitor].map(|peer| peer.is_killed()),
            [true, false, false]
        );
    }

    #[test]
    fn a_pause_makes_nobody_idle() {
        let node = node(|settings| settings.timeout = 5);
        let held_back = peer(&node, 60_000);
        node.pause
            .begin(Duration::from_secs(60), crate::node::Paused::Everything);
        check(&node);
        assert!(!held_back.is_killed());
    }

    #[test]
    fn without_a_timeout_silence_is_allowed() {
        let node = node(|_| {});
        let silent = peer(&node, 1 << 40);
        check(&node);
        assert!(!silent.is_killed());
    }

    #[test]
    fn a_soft_limit_must_be_exceeded_without_a_break() {
        let node = node(|settings| {
            settings.client_output_buffer_limit.normal.soft_bytes = 1000;
            settings.client_output_buffer_limit.normal.soft_seconds = 3;
        });
        let (steady, recovering) = (peer(&node, 0), peer(&node, 0));
        let mut connections = Connections::default();
        for peer in [&steady, &recovering] {
            peer.output_bytes.store(1001, Ordering::Relaxed);
        }
        connections.check(&node, 1);
        recovering.output_bytes.store(1000, Ordering::Relaxed);
        connections.check(&node, 2);
        recovering.output_bytes.store(1001, Ordering::Relaxed);
        connections.check(&node, 3);
        assert!(!steady.is_killed());
        // As if the first look had been four seconds ago.
        *connections.over_soft_ms.get_mut(&steady.id).unwrap() -= 4_000;
        connections.check(&node, 4);
        assert_eq!([&steady, &recovering].map(|peer| peer.is_killed()), [true, false]);
    }

    #[test]
    fn the_largest_buffers_go_first_and_no_evict_is_spared() {
        let node = node(|settings| settings.maxmemory_clients = ClientMemory::Bytes(1000));
        let [small, large, larger, spared] = [300, 600, 700, 500].map(|bytes| {
            let peer = peer(&node, 0);
            peer.input_bytes.store(bytes, Ordering::Relaxed);
            peer
        });
        spared.set(flag::NO_EVICT, true);
        check(&node);
        assert_eq!(
            [&small, &large, &larger, &spared].map(|peer| peer.is_killed()),
            [false, true, true, false]
        );
        assert_eq!(node.totals.evicted_clients.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn many_connections_are_looked_at_less_often_but_each_second() {
        let node = node(|_| {});
        let _peers: Vec<_> = (0..20_000).map(|_| peer(&node, 0)).collect();
        let mut connections = Connections::default();
        connections.check(&node, 1);
        assert_eq!(connections.next_round, 1 + MAX_ROUNDS_BETWEEN);
    }

    #[test]
    fn resident_memory_is_told_on_linux() {
        assert!(!cfg!(target_os = "linux") || resident_bytes() > 1 << 20);
    }
}
