//! What of a connection's turn goes out: at once, with the replies of others, or when the socket takes it.

use super::Connection;
use crate::memory;
use crate::outbox::Outbox;
use crate::resp::encode::Output;
use crate::transport::Transport;
use crate::worker::Worker;
use std::io;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

impl<T: Transport> Connection<T> {
    /// Sends the turn's replies, which ended at `now`; short ones wait for those of other connections.
    #[inline]
    pub(super) fn reply(&mut self, worker: &mut Worker, cx: &mut Context<'_>, output: &mut Output, now: u64) {
        let goes_on = self.client.close || self.more || self.parked.is_some();
        if let Some(link) = self.stream.link()
            && let Some(replies) = output.contiguous().filter(|replies| Outbox::suits(replies))
            && !goes_on
            && self.output.is_empty()
            && !self.is_over_limit(worker, replies.len())
        {
            self.posted = Some(worker.outbox.post(link, replies, now));
            if worker.outbox.is_due(now) {
                worker.outbox.send(&worker.stats);
            }
            return;
        }
        self.send(worker, cx, output);
    }

    /// Sends the replies of the last turn if they still wait for others.
    #[inline]
    pub(super) fn take_back(&mut self, worker: &mut Worker, cx: &mut Context<'_>) {
        let Some(ticket) = self.posted.take() else { return };
        let Some(replies) = worker.outbox.take_back(ticket) else {
            return;
        };
        let mut output = Output::default();
        output.extend(replies);
        self.send(worker, cx, &mut output);
    }

    /// Whether more replies wait than the connection may have.
    #[inline]
    fn is_over_limit(&self, worker: &Worker, bytes: usize) -> bool {
        let limit = match self.client.authenticated {
            true => worker.settings.client_output_buffer_limit.normal.hard_bytes,
            false => worker.settings.unauth_output_buffer_limit,
        };
        limit > 0 && bytes as u64 > limit
    }

    /// Writes a turn's replies; what the socket does not take waits in the connection.
    pub(super) fn send(&mut self, worker: &Worker, cx: &mut Context<'_>, output: &mut Output) {
        if output.is_empty() {
            return;
        }
        // Behind replies that wait already there is no use in trying.
        if self.output.is_empty() {
            let sent = self.poll_send(cx, output);
            if let Poll::Ready(Err(_)) = sent {
                self.client.peer.kill();
                return;
            }
            if output.is_empty() {
                return;
            }
        }
        if self.is_over_limit(worker, self.output.copied_len() + output.copied_len()) {
            tracing::warn!(client = %self.client.peer.address, bytes = output.len(), "closed for not reading replies");
            self.stats.limit_closes.add(1);
            self.client.peer.kill();
            return;
        }
        if self.output.is_empty() {
            self.output = output.take();
        } else {
            self.output.append(&output.take());
        }
        let (peer, unsent) = (&self.client.peer, self.output.len());
        peer.output_bytes.store(unsent, Ordering::Relaxed);
        self.count_buffers(peer.input_bytes.load(Ordering::Relaxed));
    }

    /// Writes what earlier turns left and what other parts of the node have posted.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.client.peer.has_mail() {
            self.client.peer.collect(&mut self.output);
        }
        if self.output.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut output = std::mem::take(&mut self.output);
        let before = output.len();
        let result = self.poll_send(cx, &mut output);
        if output.len() < before {
            self.note_progress();
        }
        self.client.peer.output_bytes.store(output.len(), Ordering::Relaxed);
        if !output.is_empty() {
            self.output = output;
        }
        self.count_buffers(self.client.peer.input_bytes.load(Ordering::Relaxed));
        result
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, output: &mut Output) -> Poll<io::Result<()>> {
        while !output.is_empty() {
            let sent = ready!(self.stream.poll_write(cx, output))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.stats.writes.add(1);
            self.stats.bytes_out.add(sent as u64);
            output.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    /// Tells the node what the connection's buffers hold, if that has changed. Large values are also the store's, and other
    /// outputs': each counts once.
    pub(super) fn count_buffers(&mut self, input: usize) {
        let held = input + self.client.transaction_bytes() + self.output.copied_len();
        if held != self.counted_bytes {
            memory::count_buffers(&self.node, self.counted_bytes, held);
            self.counted_bytes = held;
        }
        if self.output.has_shared() || !self.pinned.is_empty() {
            self.node
                .pins
                .exchange(&self.node, &mut self.pinned, self.output.shared());
        }
    }
}
