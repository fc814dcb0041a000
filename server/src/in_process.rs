//! A connection without a socket: what a worker's turn costs can be measured without the kernel's share.
//!
//! Everything between the socket's read and its write is the code that a real connection runs; only the
//! two ends are buffers in memory. For benchmarks and tests: no node serves anyone through this.

use crate::client::{Client, Origin, Peer, flag};
use crate::connection::Connection;
use crate::node::{Node, unix_ms};
use crate::resp::encode::Output;
use crate::transport::{Link, Transport};
use crate::worker::Worker;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Pieces of a reply that are taken over at once.
const PIECES: usize = 64;

/// One worker and one connection of it, driven by whoever owns this, on any one thread at a time.
pub struct Driver {
    worker: Worker,
    connection: Connection<Memory>,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Driver {
    /// A connection of the node's worker number `worker`, which no other thread should be serving.
    ///
    /// # Panics
    /// If the node has no worker of this number.
    pub fn new(node: &Arc<Node>, worker: usize) -> Driver {
        let origin = Origin {
            address: "in-process:0".to_owned(),
            local_address: "in-process:0".to_owned(),
            descriptor: -1,
            flags: flag::LOCAL,
        };
        let peer = Arc::new(Peer::new(node.clients.next_id(), worker, origin, unix_ms()));
        node.clients.add(&peer);
        node.workers[worker].connections.fetch_add(1, Ordering::Relaxed);
        let woken = Arc::new(Woken::default());
        Driver {
            worker: Worker::new(worker, Arc::clone(node)),
            connection: Connection::new(Memory::default(), Client::new(peer, true), Arc::clone(node)),
            waker: Waker::from(Arc::clone(&woken)),
            woken,
        }
    }

    /// Gives the connection this input and turns until it has done all that it can; returns its replies.
    ///
    /// A request that is cut off waits for the next input. After a request that ends the connection,
    /// input is ignored and there are no replies.
    pub fn run(&mut self, input: &[u8]) -> &[u8] {
        let memory = self.connection.transport();
        memory.input.clear();
        memory.input.extend_from_slice(input);
        memory.taken = 0;
        memory.replies.clear();
        let mut cx = Context::from_waker(&self.waker);
        loop {
            let ended = self.connection.poll_turns(&mut self.worker, &mut cx).is_ready();
            if ended || !self.woken.0.swap(false, Ordering::Relaxed) {
                break;
            }
        }
        &self.connection.transport().replies
    }
}

/// Whether the connection asked for another turn, as one does that has used up its share of a turn.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Both ends of a connection.
#[derive(Default)]
struct Memory {
    input: Vec<u8>,
    /// How much of the input has been read.
    taken: usize,
    replies: Vec<u8>,
}

impl Memory {
    fn take(&mut self, most: usize) -> Poll<&[u8]> {
        let rest = &self.input[self.taken..];
        if rest.is_empty() {
            return Poll::Pending;
        }
        let part = &rest[..rest.len().min(most)];
        self.taken += part.len();
        Poll::Ready(part)
    }
}

impl Transport for Memory {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.take(buffer.len()).map(|part| {
            buffer[..part.len()].copy_from_slice(part);
            Ok(part.len())
        })
    }

    fn poll_append(&mut self, _: &mut Context<'_>, buffer: &mut Vec<u8>, limit: usize) -> Poll<io::Result<usize>> {
        self.take(limit).map(|part| {
            buffer.extend_from_slice(part);
            Ok(part.len())
        })
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> bool {
        false
    }

    fn poll_write(&mut self, _: &mut Context<'_>, output: &Output) -> Poll<io::Result<usize>> {
        let before = self.replies.len();
        if let Some(bytes) = output.contiguous() {
            self.replies.extend_from_slice(bytes);
        } else {
            let mut pieces = [io::IoSlice::new(&[]); PIECES];
            let used = output.pieces(&mut pieces);
            pieces[..used]
                .iter()
                .for_each(|piece| self.replies.extend_from_slice(piece));
        }
        Poll::Ready(Ok(self.replies.len() - before))
    }

    fn link(&self) -> Option<&Arc<Link>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Settings};

    fn driver() -> Driver {
        Driver::new(&Arc::new(Node::new(Config::new(Settings::default()))), 0)
    }

    #[test]
    fn a_pipeline_longer_than_a_turn_is_answered_whole() {
        let mut driver = driver();
        let replies = driver.run(&b"INCR n\r\n".repeat(1000)).to_vec();
        let expected: Vec<u8> = (1..=1000).flat_map(|n| format!(":{n}\r\n").into_bytes()).collect();
        assert_eq!(replies, expected);
    }

    #[test]
    fn a_request_that_is_cut_off_waits_for_its_rest() {
        let mut driver = driver();
        assert_eq!(driver.run(b"PING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nh"), b"+PONG\r\n");
        assert_eq!(driver.run(b"i\r\n"), b"$2\r\nhi\r\n");
        let value = vec![b'v'; 100_000];
        let mut set = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n".to_vec();
        set.extend_from_slice(&value);
        assert_eq!(driver.run(&set), b"");
        assert_eq!(driver.run(b"\r\nSTRLEN k\r\n"), b"+OK\r\n:100000\r\n");
        assert_eq!(driver.run(b"GET k\r\n"), [b"$100000\r\n", &value[..], b"\r\n"].concat());
    }

    #[test]
    fn after_quit_nothing_is_answered() {
        let mut driver = driver();
        assert_eq!(driver.run(b"QUIT\r\nPING\r\n"), b"+OK\r\n");
        assert_eq!(driver.run(b"PING\r\n"), b"");
    }

    /// Pipelines of 64 SETs in random order, each with `options`.
    fn sets(seed: u64, keys: u64, options: &str) -> Vec<Vec<u8>> {
        let mut random = seed;
        let mut set = || {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let arguments = 3 + 2 * usize::from(!options.is_empty());
            let number = (random >> 33) % keys;
            format!("*{arguments}\r\n$3\r\nSET\r\n$16\r\nkey:{number:012}\r\n$5\r\nvalue\r\n{options}")
        };
        let pipeline = |_| (0..64).map(|_| set()).collect::<String>().into_bytes();
        (0..keys / 64).map(pipeline).collect()
    }

    #[test]
    #[ignore = "a measurement, for an optimised build: prints what SET with a time to live costs beside one without"]
    fn cost_of_setting_with_a_deadline() {
        const KEYS: u64 = 100_000;
        let cpu_ns = || -> u64 {
            let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
            stat.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0)
        };
        // One of them alone, to count instructions.
        let only = std::env::var("LARDER_BENCH_ONLY").ok();
        let mut runs = vec![("plain", ""), ("ex", "$2\r\nEX\r\n$4\r\n3600\r\n")];
        runs.retain(|(name, _)| only.as_deref().is_none_or(|only| only == *name));
        let mut runs: Vec<_> = runs.into_iter().map(|run| (run, driver(), u64::MAX)).collect();
        for round in 0..if only.is_some() { 3 } else { 30 } {
            for ((_, options), driver, best) in &mut runs {
                let inputs = sets(round, KEYS, options);
                let before = cpu_ns();
                inputs
                    .iter()
                    .for_each(|input| assert_eq!(driver.run(input).len(), 5 * 64));
                *best = (cpu_ns() - before).min(*best);
            }
        }
        for ((name, _), _, best) in runs {
            println!("{name}: {} ns per SET at pipeline 64", best / KEYS);
        }
    }
}
