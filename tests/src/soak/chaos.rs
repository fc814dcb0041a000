//! What goes wrong in a soak, chosen at random: in the network every few milliseconds, in the server reply by reply.

use crate::hostile_server::{Act, Asked};
use crate::proxy::{Cut, Direction, Faults, Flow, Proxy};
use crate::rng::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

fn millis(count: usize) -> Duration {
    Duration::from_millis(count as u64)
}

/// Bytes that no reply has, wherever among replies they stand.
fn garbage(rng: &mut Rng) -> Vec<u8> {
    const BYTES: &[u8] = b"\0\x07\x1b\x80\xff abcdefghijklmnopqrstuvwxyz{}[]?;@^~";
    let count = 1 + rng.below(200);
    // '~' begins a set, so it may not come first.
    std::iter::once(b'\0')
        .chain((1..count).map(|_| *rng.pick(BYTES)))
        .collect()
}

/// What the server does about a request.
pub(super) fn reply(asked: Asked<'_>, rng: &mut Rng) -> Vec<Act> {
    // A connection that meets harm loses all calls on it, so it must be seldom for any call to succeed.
    if rng.below(1000) >= 4 {
        return vec![Act::Reply];
    }
    match rng.below(14) {
        0 => vec![Act::Wait(millis(rng.below(60))), Act::Reply],
        1 => vec![Act::Drip(1 + rng.below(50), Duration::from_micros(100))],
        2 => vec![Act::ReplyWithout(1 + rng.below(30)), Act::Close],
        3 => vec![Act::ReplyWithout(1 + rng.below(30)), Act::Reset],
        4 => vec![Act::Send(garbage(rng)), Act::Reply],
        // A cut-off status with garbage behind it would, with the next reply, be a well-formed line.
        5 => vec![Act::ReplyWithout(rng.below(5)), Act::Send(garbage(rng)), Act::Close],
        6 => vec![Act::Send(b"*2000000000\r\n".to_vec()), Act::Reply],
        7 => vec![Act::Send(b"$500000000\r\n".to_vec()), Act::Hang],
        8 => vec![Act::Send(b"*1\r\n".repeat(1000)), Act::Reply],
        9 => vec![Act::Send(b">1\r\n$10\r\ninvalidate\r\n".to_vec()), Act::Reply],
        10 => vec![Act::Reply, Act::Finish],
        11 => vec![if asked.connection.is_multiple_of(4) {
            Act::Hang
        } else {
            Act::Close
        }],
        12 => vec![if asked.connection.is_multiple_of(4) {
            Act::Freeze
        } else {
            Act::Reset
        }],
        _ => vec![Act::Close],
    }
}

/// A thread that disturbs proxies until it is stopped.
pub(super) struct Chaos {
    over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Chaos {
    pub(super) fn start(proxies: Vec<Arc<Proxy>>, seed: u64) -> Chaos {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut rng = Rng::new(seed ^ 0x5eed);
            let mut faults = 0;
            while !ended.load(Ordering::Relaxed) {
                std::thread::sleep(millis(1 + rng.below(30)));
                disturb(&proxies[rng.below(proxies.len())], &mut rng);
                faults += 1;
            }
            faults
        });
        Chaos { over, thread }
    }

    /// How many faults there were.
    pub(super) fn stop(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or(0)
    }
}

fn disturb(proxy: &Proxy, rng: &mut Rng) {
    let direction = *rng.pick(&[Direction::ToServer, Direction::ToClient]);
    match rng.below(12) {
        0 => proxy.cut(Cut::Reset),
        1 => proxy.cut(Cut::Finish),
        2 => proxy.links().iter().for_each(|link| link.half_close(direction)),
        3 | 4 => {
            let bytes = garbage(rng);
            proxy
                .links()
                .iter()
                .for_each(|link| link.inject(Direction::ToClient, &bytes));
        }
        5 => proxy.set(
            direction,
            Faults {
                delay: millis(rng.below(20)),
                jitter: millis(rng.below(20)),
                ..Faults::default()
            },
        ),
        6 => proxy.set(
            direction,
            Faults {
                piece: Some(1 + rng.below(500)),
                ..Faults::default()
            },
        ),
        7 => {
            // Only connections that are open: one that is silent must be given up for a better one.
            let flow = *rng.pick(&[Flow::Stop, Flow::Swallow]);
            for link in proxy.links() {
                link.set(
                    direction,
                    Faults {
                        flow,
                        ..Faults::default()
                    },
                );
            }
        }
        8 => {
            proxy.refuse(true);
            proxy.cut(Cut::Reset);
            std::thread::sleep(millis(rng.below(10)));
            proxy.refuse(false);
        }
        _ => proxy.heal(),
    }
}
