//! The messages of one node: a connection that is subscribed, and what happens when it breaks.

use super::{Delivery, Message, Topics};
use crate::command::{Keyless, Scope, Spec};
use crate::connection::{Backoff, Endpoint, Session};
use crate::error::{Error, Result};
use crate::events::{Event, Events};
use crate::resp::Value;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// After how long a silence the server is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(15);
/// How many messages may come in while a subscription is being confirmed, and how many bytes; then it is taken for
/// confirmed.
const MAX_EARLY: usize = 1024;
const MAX_EARLY_BYTES: usize = 1 << 20;

/// A question that a subscribed connection may ask.
const PING: Keyless<()> = Keyless {
    spec: Spec::read(&["PING"]),
    scope: Scope::Any,
    args: (),
};

type Opening = Pin<Box<dyn Future<Output = Result<(Session, VecDeque<Message>)>> + Send>>;

enum State {
    Live {
        session: Box<Session>,
        /// Messages that came before all channels were confirmed.
        early: VecDeque<Message>,
        heard: Instant,
        /// A question is out.
        asked: bool,
    },
    Opening(Opening),
    Waiting,
}

/// What one node sends to a subscription.
pub(super) struct Feed {
    endpoint: Endpoint,
    topics: Arc<Topics>,
    events: Events,
    state: State,
    backoff: Backoff,
    /// For silence while it is live, for the next attempt while it is not.
    timer: Pin<Box<Sleep>>,
    /// How the connection broke.
    broken: Option<Error>,
}

impl Feed {
    /// Connects and subscribes.
    ///
    /// # Errors
    /// If that fails.
    pub(super) async fn open(endpoint: Endpoint, topics: Topics, events: Events) -> Result<Feed> {
        let topics = Arc::new(topics);
        let (session, early) = subscribe(endpoint.clone(), Arc::clone(&topics)).await?;
        Ok(Feed {
            backoff: Backoff::new(endpoint.config.backoff_min, endpoint.config.backoff_max),
            endpoint,
            topics,
            events,
            state: live(session, early),
            timer: Box::pin(tokio::time::sleep(SILENCE)),
            broken: None,
        })
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Delivery> {
        loop {
            match &mut self.state {
                State::Live { .. } => match ready!(self.poll_live(cx)) {
                    Ok(message) => return Poll::Ready(Delivery::Message(message)),
                    Err(error) => self.lost(error),
                },
                State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok((session, early)) => {
                        let broken = self.opened(session, early);
                        return Poll::Ready(Delivery::Gap(broken));
                    }
                    Err(_) => {
                        let wait = self.backoff.next(fastrand::f64());
                        self.timer.as_mut().reset(Instant::now() + wait);
                        self.state = State::Waiting;
                    }
                },
                State::Waiting => {
                    ready!(self.timer.as_mut().poll(cx));
                    self.reopen();
                }
            }
        }
    }

    /// The next message, or why there will be no more on this connection.
    fn poll_live(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message>> {
        let response_timeout = self.endpoint.config.response_timeout;
        let State::Live {
            session,
            early,
            heard,
            asked,
        } = &mut self.state
        else {
            return Poll::Ready(Err(Error::Closed));
        };
        if let Some(message) = early.pop_front() {
            return Poll::Ready(Ok(message));
        }
        loop {
            while let Poll::Ready(value) = session.poll_value(cx) {
                let value = value?;
                *heard = Instant::now();
                *asked = false;
                self.backoff.reset();
                match Kind::of(value) {
                    Kind::Message(message) => return Poll::Ready(Ok(message)),
                    Kind::Error(error) => return Poll::Ready(Err(error)),
                    Kind::Confirmed | Kind::Other => {}
                }
            }
            let due = *heard + if *asked { SILENCE + response_timeout } else { SILENCE };
            self.timer.as_mut().reset(due);
            ready!(self.timer.as_mut().poll(cx));
            if *asked {
                return Poll::Ready(Err(session.timed_out(response_timeout)));
            }
            *asked = true;
            session.queue(&PING)?;
        }
    }

    fn lost(&mut self, error: Error) {
        self.events.send(Event::Lost {
            node: Arc::clone(&self.endpoint.name),
            why: error.to_string().into(),
        });
        self.broken.get_or_insert(error);
        // Short at first, and longer as long as connections break that have brought nothing.
        let wait = self.backoff.next(fastrand::f64());
        self.timer.as_mut().reset(Instant::now() + wait);
        self.state = State::Waiting;
    }

    fn reopen(&mut self) {
        let opening = subscribe(self.endpoint.clone(), Arc::clone(&self.topics));
        self.state = State::Opening(Box::pin(opening));
    }

    fn opened(&mut self, session: Session, early: VecDeque<Message>) -> Error {
        self.events.send(Event::Connected {
            node: Arc::clone(&self.endpoint.name),
        });
        self.state = live(session, early);
        self.broken.take().unwrap_or(Error::Closed)
    }
}

fn live(session: Session, early: VecDeque<Message>) -> State {
    State::Live {
        session: Box::new(session),
        early,
        heard: Instant::now(),
        asked: false,
    }
}

/// Connects, and subscribes to all topics; returns with what came in meanwhile.
async fn subscribe(endpoint: Endpoint, topics: Arc<Topics>) -> Result<(Session, VecDeque<Message>)> {
    let mut session = Session::open(&endpoint).await?;
    let timeout = endpoint.config.response_timeout;
    match tokio::time::timeout(timeout, confirm(&mut session, &topics)).await {
        Ok(early) => Ok((session, early?)),
        Err(_) => Err(session.timed_out(timeout)),
    }
}

async fn confirm(session: &mut Session, topics: &Topics) -> Result<VecDeque<Message>> {
    let requests = [(&["SUBSCRIBE"], &topics.channels), (&["PSUBSCRIBE"], &topics.patterns)];
    for (name, names) in requests {
        if !names.is_empty() {
            session.queue(&Keyless {
                spec: Spec::read(name),
                scope: Scope::One,
                args: names,
            })?;
        }
    }
    let mut missing = topics.channels.len() + topics.patterns.len();
    let mut early = VecDeque::new();
    let mut bytes = 0;
    while missing > 0 && early.len() < MAX_EARLY && bytes < MAX_EARLY_BYTES {
        match Kind::of(poll_fn(|cx| session.poll_value(cx)).await?) {
            Kind::Confirmed => missing -= 1,
            Kind::Message(message) => {
                bytes += message.payload.len();
                early.push_back(message);
            }
            Kind::Error(error) => return Err(error),
            Kind::Other => {}
        }
    }
    Ok(early)
}

/// What a server sends on a subscribed connection.
enum Kind {
    Message(Message),
    Confirmed,
    Error(Error),
    Other,
}

impl Kind {
    fn of(value: Value) -> Kind {
        let items = match value {
            // A push with RESP3, an array with RESP2.
            Value::Push(items) | Value::Array(items) => items,
            Value::Error(error) => return Kind::Error(Error::Server(error)),
            _ => return Kind::Other,
        };
        let mut items = items.into_iter().map(|item| match item {
            Value::Bulk(bytes) | Value::Status(bytes) => bytes,
            _ => bytes::Bytes::new(),
        });
        let mut next = || items.next().unwrap_or_default();
        match &next()[..] {
            b"message" => Kind::Message(Message {
                channel: next(),
                pattern: None,
                payload: next(),
            }),
            b"pmessage" => Kind::Message(Message {
                pattern: Some(next()),
                channel: next(),
                payload: next(),
            }),
            b"subscribe" | b"psubscribe" => Kind::Confirmed,
            _ => Kind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn bulk(text: &'static str) -> Value {
        Value::Bulk(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn messages_are_read_in_both_protocols() {
        let message = || vec![bulk("message"), bulk("news"), bulk("hello")];
        for value in [Value::Push(message()), Value::Array(message())] {
            match Kind::of(value) {
                Kind::Message(message) => {
                    assert_eq!(message.channel(), "news");
                    assert_eq!(message.pattern, None);
                    assert_eq!(&message.payload[..], b"hello");
                }
                _ => panic!("a message"),
            }
        }
        let by_pattern = vec![bulk("pmessage"), bulk("n*"), bulk("news"), bulk("7")];
        match Kind::of(Value::Push(by_pattern)) {
            Kind::Message(message) => {
                assert_eq!(message.pattern.as_deref(), Some(&b"n*"[..]));
                assert_eq!(message.read::<u8>(), Ok(7));
            }
            _ => panic!("a message"),
        }
    }

    #[test]
    fn what_is_no_message_is_none_however_odd() {
        for value in [
            Value::Nil,
            Value::Array(Vec::new()),
            Value::Array(vec![bulk("pong"), bulk("")]),
            Value::Push(vec![Value::Int(7)]),
            Value::Status("PONG".into()),
        ] {
            assert!(matches!(Kind::of(value), Kind::Other));
        }
        let confirmed = vec![bulk("subscribe"), bulk("news"), Value::Int(1)];
        assert!(matches!(Kind::of(Value::Push(confirmed)), Kind::Confirmed));
    }
}
