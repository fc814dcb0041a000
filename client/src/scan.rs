//! Walking through all keys, or through all of one collection, page by page (`SCAN` and its like).

use crate::client::Client;
use crate::command::{Access, Request, Scope};
use crate::error::Result;
use crate::resp::{Encoder, FromValue, ToArgs, Value};
use futures_core::Stream;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

/// What a scan looks for.
///
/// ```
/// use larder_client::ScanOptions;
///
/// let users = ScanOptions::new().matching("user:*").page(1000);
/// # let _ = users;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ScanOptions {
    pattern: Option<Vec<u8>>,
    page: Option<u32>,
    kind: Option<String>,
}

impl ScanOptions {
    /// Everything.
    pub fn new() -> ScanOptions {
        ScanOptions::default()
    }

    /// Only what matches a glob-style pattern (`MATCH`).
    pub fn matching(mut self, pattern: impl AsRef<[u8]>) -> ScanOptions {
        self.pattern = Some(pattern.as_ref().to_vec());
        self
    }

    /// About how many elements the server looks at per round trip (`COUNT`); servers take 10 by themselves.
    pub fn page(mut self, count: u32) -> ScanOptions {
        self.page = Some(count.max(1));
        self
    }

    /// Only keys of a type, by the server's name for it, as in `"string"` or `"zset"` (`TYPE`). For [`Client::scan`]
    /// alone. Since Redis 6.0.
    pub fn of_type(mut self, kind: &str) -> ScanOptions {
        self.kind = Some(kind.to_string());
        self
    }

    fn args(&self) -> impl ToArgs + '_ {
        (
            self.pattern.as_ref().map(|pattern| ("MATCH", pattern)),
            self.page.map(|count| ("COUNT", count)),
            self.kind.as_ref().map(|kind| ("TYPE", kind)),
        )
    }
}

/// One page.
#[derive(Clone, Debug)]
struct Page {
    name: &'static str,
    key: Option<Vec<u8>>,
    cursor: u64,
    options: ScanOptions,
}

impl Request for Page {
    fn access(&self) -> Access {
        Access::Read
    }

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn scope(&self) -> Scope {
        Scope::One
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.request(&[self.name], &(&self.key, self.cursor, self.options.args()));
    }
}

type Fetching = Pin<Box<dyn Future<Output = Result<Value>> + Send>>;

enum State {
    /// The page is to be fetched.
    Next,
    Fetching(Fetching),
    Done,
}

/// A stream of what a scan finds; it ends after an error.
///
/// What is there from beginning to end is found at least once. What comes or goes meanwhile may be found or not, and
/// anything may be found twice.
pub struct Scan<T> {
    client: Client,
    page: Page,
    /// Which node is being walked through, if it is about keys.
    place: usize,
    state: State,
    found: vec::IntoIter<T>,
}

impl<T> fmt::Debug for Scan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("page", &self.page).finish_non_exhaustive()
    }
}

// Nothing in it is ever pinned.
impl<T> Unpin for Scan<T> {}

impl Client {
    /// All keys of all nodes, page by page.
    pub fn scan<T: FromValue>(&self, options: ScanOptions) -> Scan<T> {
        self.walk("SCAN", None, options)
    }

    /// All fields of a hash with their values, page by page: `(String, String)` and the like.
    pub fn hscan<T: FromValue>(&self, key: impl AsRef<[u8]>, options: ScanOptions) -> Scan<T> {
        self.walk("HSCAN", Some(key.as_ref().to_vec()), options)
    }

    /// All members of a set, page by page.
    pub fn sscan<T: FromValue>(&self, key: impl AsRef<[u8]>, options: ScanOptions) -> Scan<T> {
        self.walk("SSCAN", Some(key.as_ref().to_vec()), options)
    }

    /// All members of a sorted set with their scores, page by page: `(String, f64)` and the like.
    pub fn zscan<T: FromValue>(&self, key: impl AsRef<[u8]>, options: ScanOptions) -> Scan<T> {
        self.walk("ZSCAN", Some(key.as_ref().to_vec()), options)
    }

    fn walk<T: FromValue>(&self, name: &'static str, key: Option<Vec<u8>>, options: ScanOptions) -> Scan<T> {
        Scan {
            client: self.clone(),
            page: Page {
                name,
                key,
                cursor: 0,
                options,
            },
            place: 0,
            state: State::Next,
            found: Vec::new().into_iter(),
        }
    }
}

impl<T: FromValue> Scan<T> {
    /// What is found next; `None` at the end. Dropping the call loses nothing.
    pub async fn next(&mut self) -> Option<Result<T>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Everything that is left, in a list.
    ///
    /// # Errors
    /// That of the page that could not be fetched; see [`Error`](crate::Error).
    pub async fn collect<C: Default + Extend<T>>(mut self) -> Result<C> {
        let mut all = C::default();
        while let Some(item) = self.next().await {
            all.extend([item?]);
        }
        Ok(all)
    }

    fn fetch(&self) -> Fetching {
        let (client, page, place) = (self.client.clone(), self.page.clone(), self.place);
        Box::pin(async move {
            match page.key {
                Some(_) => client.run(&page).await,
                None => client.run_at(place, &page).await,
            }
        })
    }

    /// Takes a page in, and decides where to go on.
    fn take_in(&mut self, reply: Result<Value>) -> Result<()> {
        self.state = State::Done;
        let (cursor, found) = <(u64, Value)>::from_value(reply?)?;
        self.found = Vec::<T>::from_value(found)?.into_iter();
        self.page.cursor = cursor;
        if cursor != 0 {
            self.state = State::Next;
        } else if self.page.key.is_none() && self.place + 1 < self.client.places() {
            self.place += 1;
            self.state = State::Next;
        }
        Ok(())
    }
}

impl<T: FromValue> Stream for Scan<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.found.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            match &mut this.state {
                State::Done => return Poll::Ready(None),
                State::Next => this.state = State::Fetching(this.fetch()),
                State::Fetching(page) => {
                    let reply = ready!(page.as_mut().poll(cx));
                    if let Err(error) = this.take_in(reply) {
                        this.state = State::Done;
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }
}
