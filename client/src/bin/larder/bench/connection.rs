//! A connection's socket and its task: it sends what its lane has queued, and hands over what comes back.

use super::engine::Engine;
use super::replies::{Replies, Reply};
use larder_client::{Address, Target};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

/// The first and the longest wait before connecting again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Reads and writes before other connections have their turn.
const ROUNDS: usize = 16;

/// TCP or Unix.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Connects and logs in.
///
/// # Errors
/// What the system or the server says.
pub(super) async fn connect(target: &Target, patience: Duration) -> io::Result<Box<dyn Socket>> {
    match timeout(patience, open(target)).await {
        Ok(result) => result,
        Err(_) => {
            let what = format!("no connection within {patience:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, what))
        }
    }
}

async fn open(target: &Target) -> io::Result<Box<dyn Socket>> {
    let mut socket: Box<dyn Socket> = match &target.address {
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        _ => {
            let what = "larder bench speaks TCP and Unix sockets without TLS";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
    };
    let requests = introduction(target);
    socket.write_all(&requests.concat()).await?;
    let mut replies = Replies::default();
    let mut missing = requests.len();
    let mut buffer = [0; 512];
    while missing > 0 {
        let read = socket.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut refused = None;
        let fed = replies.feed(&buffer[..read], |reply| {
            missing = missing.saturating_sub(1);
            if let (Reply::Error(text), None) = (reply, &refused) {
                refused = Some(text.to_string());
            }
        });
        if let Some(text) = refused {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        fed.map_err(|what| io::Error::new(io::ErrorKind::InvalidData, format!("not RESP: {what}")))?;
    }
    Ok(socket)
}

/// What is said first: the login, the database, and a PING that shows whether commands are answered.
fn introduction(target: &Target) -> Vec<Vec<u8>> {
    let request = |words: &[&str]| {
        let mut bytes = format!("*{}\r\n", words.len());
        for word in words {
            bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        bytes.into_bytes()
    };
    let mut requests = Vec::new();
    match (&target.user, &target.password) {
        (Some(user), Some(password)) => requests.push(request(&["AUTH", user, password])),
        (None, Some(password)) => requests.push(request(&["AUTH", password])),
        (_, None) => {}
    }
    if target.database != 0 {
        requests.push(request(&["SELECT", &target.database.to_string()]));
    }
    requests.push(request(&["PING"]));
    requests
}

/// Keeps one connection busy for as long as the run lasts; when it breaks, makes another one.
pub(super) async fn run(
    engine: Rc<RefCell<Engine>>,
    at: usize,
    first: Box<dyn Socket>,
    target: Target,
    patience: Duration,
) {
    let mut socket = Some(first);
    let mut wait = BACKOFF.0;
    loop {
        let kind = match socket.take() {
            Some(socket) => {
                wait = BACKOFF.0;
                engine.borrow_mut().lanes[at].is_up = true;
                let mut pump = Pump::new(&engine, at, socket);
                let kind = poll_fn(|cx| pump.poll(cx)).await;
                engine.borrow_mut().lanes[at].is_up = false;
                kind
            }
            None => {
                wait = (wait * 2).min(BACKOFF.1);
                "no connection"
            }
        };
        engine.borrow_mut().fail(at, kind);
        // Requests for this node wait for the attempt; that keeps clients from failing in a tight loop.
        sleep(wait).await;
        socket = connect(&target, patience).await.ok();
    }
}

/// One socket while it lasts.
struct Pump<'a> {
    engine: &'a RefCell<Engine>,
    at: usize,
    socket: Box<dyn Socket>,
    replies: Replies,
    /// What is being sent, and how much of it the socket has taken.
    write: Vec<u8>,
    written: usize,
}

impl<'a> Pump<'a> {
    fn new(engine: &'a RefCell<Engine>, at: usize, socket: Box<dyn Socket>) -> Pump<'a> {
        Pump {
            engine,
            at,
            socket,
            replies: Replies::default(),
            write: Vec::new(),
            written: 0,
        }
    }

    /// Until the connection breaks; then what to call that.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        let engine = &mut *self.engine.borrow_mut();
        let lane = &mut engine.lanes[self.at];
        match &mut lane.waker {
            Some(known) => known.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        lane.is_awake = true;
        for _ in 0..ROUNDS {
            let moved = match self.round(engine, cx) {
                Ok(moved) => moved,
                Err(kind) => return Poll::Ready(kind),
            };
            if !moved {
                engine.lanes[self.at].is_awake = false;
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads and writes once; whether anything moved.
    fn round(&mut self, engine: &mut Engine, cx: &mut Context<'_>) -> Result<bool, &'static str> {
        if engine.lanes[self.at].is_dead {
            return Err("timeout");
        }
        let read = self.read(engine, cx)?;
        let wrote = self.send(engine, cx)?;
        Ok(read || wrote)
    }

    fn read(&mut self, engine: &mut Engine, cx: &mut Context<'_>) -> Result<bool, &'static str> {
        let mut buffer = std::mem::take(&mut engine.buffer);
        let mut read = ReadBuf::new(&mut buffer);
        let polled = Pin::new(&mut self.socket).poll_read(cx, &mut read);
        let count = read.filled().len();
        let result = match polled {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(())) if count > 0 => self.take(engine, &buffer[..count]).map(|()| true),
            Poll::Ready(_) => Err("connection lost"),
        };
        engine.buffer = buffer;
        result
    }

    fn take(&mut self, engine: &mut Engine, bytes: &[u8]) -> Result<(), &'static str> {
        let now_ns = engine.now_ns();
        let at = self.at;
        let (mut settled, mut surplus) = (0, false);
        let fed = self
            .replies
            .feed(bytes, |reply| match engine.settle(at, reply, now_ns) {
                Ok(()) => settled += 1,
                Err(_) => surplus = true,
            });
        engine.settled(at, settled, now_ns);
        if fed.is_err() || surplus {
            return Err("not RESP");
        }
        Ok(())
    }

    fn send(&mut self, engine: &mut Engine, cx: &mut Context<'_>) -> Result<bool, &'static str> {
        if self.written == self.write.len() {
            self.write.clear();
            self.written = 0;
            std::mem::swap(&mut self.write, &mut engine.lanes[self.at].out);
            if self.write.is_empty() {
                return Ok(false);
            }
        }
        match Pin::new(&mut self.socket).poll_write(cx, &self.write[self.written..]) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(taken @ 1..)) => {
                self.written += taken;
                Ok(true)
            }
            Poll::Ready(_) => Err("connection lost"),
        }
    }
}
