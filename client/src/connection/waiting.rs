//! Calls as their callers hold them: futures that wait for a reply, and may be dropped at any point.

use super::Shared;
use super::calls::Ticket;
use crate::error::{Error, Result};
use crate::resp::{Encoder, Value};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::coop;

enum Stage {
    Failed(Error),
    Waiting(Ticket),
    Ended,
}

/// A call that waits for its reply. Dropping it leaves the connection in order.
pub(crate) struct Pending<'a> {
    shared: &'a Shared,
    stage: Stage,
}

impl<'a> Pending<'a> {
    /// A call that was submitted, or failed at that.
    pub(super) fn new(shared: &'a Shared, submitted: Result<Ticket>) -> Pending<'a> {
        let stage = match submitted {
            Ok(ticket) => Stage::Waiting(ticket),
            Err(error) => Stage::Failed(error),
        };
        Pending { shared, stage }
    }
}

impl Future for Pending<'_> {
    type Output = Result<Value>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Value>> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Waiting(ticket) => {
                let polled = self.shared.lock().calls.poll(ticket, cx.waker());
                if polled.is_pending() {
                    self.stage = Stage::Waiting(ticket);
                }
                polled
            }
            Stage::Failed(error) => self.fail(error, cx),
            Stage::Ended => Poll::Ready(Err(Error::Closed)),
        }
    }
}

/// A call that begins when it is polled first.
pub(crate) struct Asking<'a, F> {
    pending: Pending<'a>,
    replies: u32,
    timeout: Duration,
    encode: Option<F>,
    began_us: u64,
}

/// What it holds is moved, never pinned.
impl<F> Unpin for Asking<'_, F> {}

impl<F: FnOnce(&mut Encoder<'_>)> Future for Asking<'_, F> {
    type Output = Result<Value>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Value>> {
        let Some(encode) = self.encode.take() else {
            return Pin::new(&mut self.pending).poll(cx);
        };
        let waker = cx.waker().clone();
        match self
            .pending
            .shared
            .submit(self.replies, self.timeout, encode, Some(waker))
        {
            Ok((ticket, began_us)) => {
                self.began_us = began_us;
                self.pending.stage = Stage::Waiting(ticket);
                Poll::Pending
            }
            Err(error) => self.pending.fail(error, cx),
        }
    }
}

impl<'a, F> Asking<'a, F> {
    #[inline]
    pub(super) fn new(shared: &'a Shared, replies: u32, timeout: Duration, encode: F) -> Asking<'a, F> {
        Asking {
            pending: Pending {
                shared,
                stage: Stage::Ended,
            },
            replies,
            timeout,
            encode: Some(encode),
            began_us: u64::MAX,
        }
    }

    /// How long ago it was made; nothing if it has not been.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_micros(self.pending.shared.now_us().saturating_sub(self.began_us))
    }
}

impl Pending<'_> {
    /// Ends with an error that took no waiting. A caller that tries again and again at once must not keep the driver
    /// from ever connecting, so it is made to yield now and then.
    #[cold]
    fn fail(&mut self, error: Error, cx: &mut Context<'_>) -> Poll<Result<Value>> {
        match coop::poll_proceed(cx) {
            Poll::Ready(proceeds) => {
                proceeds.made_progress();
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                self.stage = Stage::Failed(error);
                Poll::Pending
            }
        }
    }
}

impl Drop for Pending<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Waiting(ticket) = self.stage {
            let leftover = self.shared.lock().calls.abandon(ticket);
            drop(leftover);
        }
    }
}
