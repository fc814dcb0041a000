//! Replies that wait until the connections that are ready have had their turns.
//!
//! A processor takes longer to find the code for a short request than to carry it out. Reading and running requests is
//! one such body of code, sending replies is another, several times as large, and each pushes the other out of the nearest
//! cache. So short replies gather here, and are sent one after the other: before the worker waits for events, when there
//! are many, or when the first has waited for a while.

use crate::stats::WorkerStats;
use crate::transport::Link;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Turns whose replies wait at most, and bytes of them.
const MOST: usize = 64;
const MOST_BYTES: usize = 64 * 1024;
/// Replies of one turn that are longer do not wait: the copy would cost what is won.
const MOST_BYTES_EACH: usize = 8 * 1024;
/// How long the first may wait for others, in nanoseconds.
const PATIENCE_NANOS: u64 = 100_000;

/// The replies of one connection's turn.
struct Waiting {
    /// Where they go; `None` if the connection has taken them back.
    link: Option<Arc<Link>>,
    bytes: Range<usize>,
}

/// By which a connection finds its replies again.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    round: u64,
    place: usize,
}

/// Replies that wait to be sent together.
#[derive(Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
    /// Rises each time that all are sent.
    round: u64,
    /// When the first came, in the worker's nanoseconds.
    began: u64,
}

impl Outbox {
    /// Whether replies so long may wait here.
    #[inline]
    pub(crate) fn suits(bytes: &[u8]) -> bool {
        (1..=MOST_BYTES_EACH).contains(&bytes.len())
    }

    /// Takes the replies of a turn that ended at `now`.
    #[inline]
    pub(crate) fn post(&mut self, link: &Arc<Link>, replies: &[u8], now: u64) -> Ticket {
        if self.waiting.is_empty() {
            self.began = now;
        }
        let (begin, place) = (self.bytes.len(), self.waiting.len());
        self.bytes.extend_from_slice(replies);
        self.waiting.push(Waiting {
            link: Some(Arc::clone(link)),
            bytes: begin..self.bytes.len(),
        });
        Ticket {
            round: self.round,
            place,
        }
    }

    /// Whether what waits should be sent now.
    #[inline]
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.waiting.len() >= MOST || self.bytes.len() >= MOST_BYTES || now.saturating_sub(self.began) >= PATIENCE_NANOS
    }

    /// Gives replies back, if they have not been sent yet.
    pub(crate) fn take_back(&mut self, ticket: Ticket) -> Option<&[u8]> {
        if ticket.round != self.round {
            return None;
        }
        let waiting = &mut self.waiting[ticket.place];
        waiting.link.take().map(|_| &self.bytes[waiting.bytes.clone()])
    }

    /// Sends all that waits. What a socket does not take goes back to its connection.
    pub(crate) fn send(&mut self, stats: &WorkerStats) {
        if self.waiting.is_empty() {
            return;
        }
        self.round += 1;
        for Waiting { link, bytes } in self.waiting.drain(..) {
            let Some(link) = link else { continue };
            let mut rest = &self.bytes[bytes];
            match send_all(&link, &mut rest, stats) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => link.peer.hand_back(rest),
                Err(_) => link.peer.kill(),
            }
        }
        self.bytes.clear();
    }
}

fn send_all(link: &Link, rest: &mut &[u8], stats: &WorkerStats) -> io::Result<()> {
    while !rest.is_empty() {
        let sent = link.send(rest)?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        stats.writes.add(1);
        stats.bytes_out.add(sent as u64);
        *rest = &rest[sent..];
    }
    Ok(())
}
