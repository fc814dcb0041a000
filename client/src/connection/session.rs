//! A connection that one caller has for itself: for commands that block, for transactions that watch keys, for
//! subscriptions. No task is behind it; it moves when it is polled.

use super::handshake::{self, Ready};
use crate::command::Request;
use crate::config::{Config, Target};
use crate::error::{Error, Result};
use crate::resp::decode::Decoder;
use crate::resp::{Encoder, Value};
use bytes::BytesMut;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite};

/// Room for what is read at once.
const READ_BYTES: usize = 16 * 1024;
/// A read buffer that grew beyond this is given back when it is empty.
const KEEP_BYTES: usize = 256 * 1024;

/// A node, and how to connect to it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: Arc<str>,
    pub(crate) target: Target,
    pub(crate) config: Arc<Config>,
}

impl Endpoint {
    fn connect_error(&self, error: io::Error) -> Error {
        Error::Connect {
            node: Arc::clone(&self.name),
            source: Arc::new(error),
        }
    }
}

/// An open connection; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Session {
    node: Arc<str>,
    ready: Ready,
    decoder: Decoder,
    /// What is to be sent, and how much of it the socket has taken.
    out: Vec<u8>,
    sent: usize,
    /// A call is under way; if it stays so, the call was dropped and its reply is still to come.
    busy: bool,
}

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Session> {
        let config = &endpoint.config;
        let attempt = tokio::time::timeout(config.connect_timeout, handshake::connect(&endpoint.target, config));
        let ready = match attempt.await {
            Ok(Ok(ready)) => ready,
            Ok(Err(error)) => return Err(endpoint.connect_error(error)),
            Err(_) => {
                let what = format!("no connection within {:?}", config.connect_timeout);
                return Err(endpoint.connect_error(io::Error::new(io::ErrorKind::TimedOut, what)));
            }
        };
        Ok(Session {
            node: Arc::clone(&endpoint.name),
            ready,
            decoder: Decoder::new(config.max_reply_bytes),
            out: Vec::new(),
            sent: 0,
            busy: false,
        })
    }

    /// Sends a request and waits for its replies, several as an array; for ever, if there is no timeout. After an error,
    /// or if it was dropped, the session is of no more use.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Timeout`], [`Error::Protocol`], or [`Error::Usage`] if the arguments write other than
    /// what they count. A server's error is a value.
    pub(crate) async fn call(&mut self, request: &impl Request, timeout: Option<Duration>) -> Result<Value> {
        self.busy = true;
        self.queue(request)?;
        let answer = self.answer(request.replies());
        let value = match timeout {
            None => answer.await?,
            Some(timeout) => match tokio::time::timeout(timeout, answer).await {
                Ok(answer) => answer?,
                Err(_) => return Err(self.timed_out(timeout)),
            },
        };
        self.busy = false;
        Ok(value)
    }

    async fn answer(&mut self, replies: u32) -> Result<Value> {
        let mut values = Vec::new();
        loop {
            match poll_fn(|cx| self.poll_value(cx)).await? {
                // What a server announces of itself.
                Value::Push(_) => {}
                value if replies == 1 => return Ok(value),
                value => values.push(value),
            }
            if values.len() == replies as usize {
                return Ok(Value::Array(values));
            }
        }
    }

    /// Puts a request behind what is to be sent.
    ///
    /// # Errors
    /// [`Error::Usage`] if the arguments write other than what they count.
    pub(crate) fn queue(&mut self, request: &impl Request) -> Result<()> {
        let mut encoder = Encoder::new(&mut self.out);
        request.encode(&mut encoder);
        if encoder.is_balanced() {
            return Ok(());
        }
        let why = "an argument's `count` is not what its `write` appends";
        Err(Error::Usage(format!("{}: {why}", request.name())))
    }

    /// Sends what is queued, and takes the next value that the server sends.
    pub(crate) fn poll_value(&mut self, cx: &mut Context<'_>) -> Poll<Result<Value>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(self.lost(error)));
        }
        loop {
            match self.decoder.decode(&mut self.ready.input) {
                Ok(Some(value)) => return Poll::Ready(Ok(value)),
                Ok(None) => {}
                Err(error) => {
                    return Poll::Ready(Err(Error::Protocol {
                        node: Arc::clone(&self.node),
                        what: error.0.into(),
                    }));
                }
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) => return Poll::Ready(Err(self.lost(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.lost(error))),
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let input = &mut self.ready.input;
        if input.is_empty() && input.capacity() > KEEP_BYTES {
            *input = BytesMut::new();
        }
        input.reserve(READ_BYTES);
        pin!(self.ready.stream.read_buf(&mut self.ready.input)).poll(cx)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.sent < self.out.len() {
            let rest = &self.out[self.sent..];
            match ready!(Pin::new(&mut self.ready.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        // TLS keeps what it has encrypted until it is told to let it go.
        ready!(Pin::new(&mut self.ready.stream).poll_flush(cx))?;
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Whether it can be given to another caller: no reply is owed, and the server has neither closed it nor said
    /// anything.
    pub(crate) fn is_at_rest(&mut self) -> bool {
        let quiet = !self.busy && self.out.is_empty() && self.ready.input.is_empty();
        quiet && self.poll_read(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn lost(&self, error: io::Error) -> Error {
        Error::Lost {
            node: Arc::clone(&self.node),
            source: Arc::new(error),
        }
    }

    pub(crate) fn timed_out(&self, after: Duration) -> Error {
        Error::Timeout {
            node: Arc::clone(&self.node),
            after,
            sent: self.sent > 0 || self.out.is_empty(),
        }
    }
}
