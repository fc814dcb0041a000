//! Subscriptions: messages of channels as a stream, over breaks of the connection.

mod feed;

use crate::client::Client;
use crate::connection::Endpoint;
use crate::error::{DecodeError, Error, Result};
use crate::events::Events;
use crate::resp::{FromValue, ToArgs, Value};
use bytes::Bytes;
use feed::Feed;
use futures_core::Stream;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The most channels or patterns of one subscription.
const MAX_CHANNELS: usize = 65_536;

/// A message that was published to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The channel.
    pub channel: Bytes,
    /// The pattern that it was subscribed by, if it was.
    pub pattern: Option<Bytes>,
    /// What was published.
    pub payload: Bytes,
}

impl Message {
    /// The channel's name, as far as it is text.
    #[must_use]
    pub fn channel(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.channel)
    }

    /// The payload as text, as bytes, as a number, ...
    ///
    /// # Errors
    /// [`DecodeError`] if it is not that.
    pub fn read<T: FromValue>(&self) -> std::result::Result<T, DecodeError> {
        T::from_value(Value::Bulk(self.payload.clone()))
    }
}

/// What a subscription delivers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// A message.
    Message(Message),
    /// The connection broke, and the channels are subscribed to again: what was published in between is missing. Who
    /// keeps something up to date by messages must fetch it anew. The error says how it broke.
    Gap(Error),
}

impl Delivery {
    /// The message, if it is one.
    #[must_use]
    pub fn message(self) -> Option<Message> {
        match self {
            Delivery::Message(message) => Some(message),
            Delivery::Gap(_) => None,
        }
    }
}

/// A stream of messages; it has no end. Dropping it closes its connection.
///
/// It has a connection of its own, which is made anew when it breaks, and reads from it only when it is polled: a slow
/// reader loses nothing and holds nothing here; what it does not take waits in the server, which cuts readers off that
/// are too far behind (`client-output-buffer-limit`). That, as any other break, is told by a [`Delivery::Gap`].
///
/// A server that has been silent for 15 s is asked whether it is still there, as long as the stream is polled.
pub struct Subscription {
    feeds: Vec<Feed>,
    /// Whose turn it is, so that a busy node does not keep others waiting.
    turn: usize,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("nodes", &self.feeds.len())
            .finish()
    }
}

/// Channels or patterns of one node.
#[derive(Clone, Debug, Default)]
struct Topics {
    channels: Vec<Bytes>,
    patterns: Vec<Bytes>,
}

impl Client {
    /// Subscribes to a channel or several: when this returns, what is published from now on is delivered.
    ///
    /// ```no_run
    /// # async fn example(client: larder_client::Client) -> larder_client::Result<()> {
    /// use larder_client::Delivery;
    ///
    /// let mut news = client.subscribe(["news", "weather"]).await?;
    /// loop {
    ///     match news.next().await {
    ///         Delivery::Message(message) => println!("{}: {:?}", message.channel(), message.payload),
    ///         Delivery::Gap(why) => println!("some may be missing: {why}"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Connect`] or [`Error::Timeout`] if that fails at first; [`Error::Server`] if it is not allowed;
    /// [`Error::Usage`] for no channel, or for over 65,536.
    pub async fn subscribe(&self, channels: impl ToArgs) -> Result<Subscription> {
        let channels = names(&channels)?;
        let mut topics = vec![Topics::default(); self.places()];
        for channel in channels {
            match topics.get_mut(self.place(&channel)) {
                Some(topics) => topics.channels.push(channel),
                None => return Err(Error::Closed),
            }
        }
        self.listen(topics).await
    }

    /// Subscribes to all channels whose names match a glob-style pattern, or one of several.
    ///
    /// # Errors
    /// As [`subscribe`](Client::subscribe).
    pub async fn psubscribe(&self, patterns: impl ToArgs) -> Result<Subscription> {
        let patterns = names(&patterns)?;
        let topics = Topics {
            channels: Vec::new(),
            patterns,
        };
        self.listen(vec![topics; self.places()]).await
    }

    async fn listen(&self, topics: Vec<Topics>) -> Result<Subscription> {
        let mut feeds = Vec::new();
        for (place, topics) in topics.into_iter().enumerate() {
            if topics.channels.is_empty() && topics.patterns.is_empty() {
                continue;
            }
            let endpoint: Endpoint = self.endpoint(place)?;
            let events: Events = self.event_sink().clone();
            feeds.push(Feed::open(endpoint, topics, events).await?);
        }
        Ok(Subscription { feeds, turn: 0 })
    }
}

/// The arguments, one by one.
fn names(args: &impl ToArgs) -> Result<Vec<Bytes>> {
    let cmd = crate::command::cmd("SUBSCRIBE").key(args);
    let names: Vec<_> = cmd.words().skip(1).map(Bytes::copy_from_slice).collect();
    match names.len() {
        0 => Err(Error::Usage("a subscription to no channel".to_string())),
        1..=MAX_CHANNELS => Ok(names),
        count => Err(Error::Usage(format!(
            "a subscription to {count} channels; {MAX_CHANNELS} are allowed"
        ))),
    }
}

impl Subscription {
    /// What comes next. Dropping the call loses nothing.
    pub async fn next(&mut self) -> Delivery {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Delivery> {
        let count = self.feeds.len();
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            if let Poll::Ready(delivery) = self.feeds[self.turn].poll(cx) {
                return Poll::Ready(delivery);
            }
        }
        Poll::Pending
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.poll(cx).map(Some)
    }
}
