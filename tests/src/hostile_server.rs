//! A RESP server that does harm: late, cut, endless, nested, unasked or no replies, as a rule decides request by
//! request. What it answers when it does no harm is right: `GET` and `SET` keep values, `INCR` counts.

use crate::wire::encode;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use socket2::SockRef;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// What the server does; several in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Sends the right reply.
    Reply,
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends the right reply up to this many bytes before its end.
    ReplyWithout(usize),
    /// Sends the right reply in pieces of so many bytes, with pauses.
    Drip(usize, Duration),
    /// Lets time pass, with all that was answered before sent.
    Wait(Duration),
    /// Ends its side and reads on.
    Finish,
    /// Closes the connection in order.
    Close,
    /// Closes it with a reset.
    Reset,
    /// Reads and says nothing any more.
    Hang,
    /// Reads nothing any more either.
    Freeze,
}

/// What a rule decides about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The number of the connection, from 0 on.
    pub connection: u64,
    /// The number of the request on it, from 1 on; 0 when the connection has just been opened.
    pub number: u64,
    /// The request; empty when the connection has just been opened.
    pub request: &'a [Vec<u8>],
}

impl Asked<'_> {
    /// Whether it is this command; in capitals.
    pub fn is(&self, name: &str) -> bool {
        self.request
            .first()
            .is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Whether it is what a client says before its first call.
    pub fn is_greeting(&self) -> bool {
        ["HELLO", "AUTH", "CLIENT", "SELECT", "PING"]
            .iter()
            .any(|name| self.is(name))
    }
}

/// Decides what is done about a request, or about a connection that was opened.
pub type Rule = dyn Fn(Asked<'_>) -> Vec<Act> + Send + Sync;

/// What the server is besides its rule.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// It does not know `HELLO`.
    pub resp2_only: bool,
    /// It wants this password.
    pub password: Option<&'static str>,
    /// It keeps no list of what it ran, which would grow and grow.
    pub forgetful: bool,
}

#[derive(Default)]
struct State {
    values: HashMap<Vec<u8>, Vec<u8>>,
    counters: HashMap<Vec<u8>, i64>,
    /// How often each request was run.
    ran: HashMap<Vec<Vec<u8>>, u64>,
}

struct Shared {
    options: Options,
    rule: Box<Rule>,
    state: Mutex<State>,
    accepted: AtomicU64,
    ended: AtomicU64,
    requests: AtomicU64,
}

/// A running server; dropping it ends it.
pub struct HostileServer {
    port: u16,
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HostileServer {
    /// Starts one on a free port of loopback.
    ///
    /// # Panics
    /// If no port or thread is to be had.
    pub fn start(options: Options, rule: impl Fn(Asked<'_>) -> Vec<Act> + Send + Sync + 'static) -> HostileServer {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket of ours");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            options,
            rule: Box::new(rule),
            state: Mutex::default(),
            accepted: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        });
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => {}
                    () = accept(serving, listener) => {}
                }
            });
        });
        HostileServer {
            port,
            shared,
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections have come.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many of them have ended, whoever ended them.
    pub fn ended(&self) -> u64 {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// How many requests have come, greetings included.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Every request that was run, and how often, greetings aside.
    pub fn ran(&self) -> HashMap<Vec<Vec<u8>>, u64> {
        self.shared.lock().ran.clone()
    }
}

impl Drop for HostileServer {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(shared: Arc<Shared>, listener: std::net::TcpListener) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        let connection = shared.accepted.fetch_add(1, Ordering::SeqCst);
        // A client that has gone already is found out when it is read from.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut peer = Peer {
                shared: &shared,
                stream,
                out: Vec::new(),
                connection,
                number: 0,
                authenticated: shared.options.password.is_none(),
            };
            // A client that breaks the connection is no news here.
            let _ = peer.serve().await;
            drop(peer);
            shared.ended.fetch_add(1, Ordering::SeqCst);
        });
    }
}

/// Whether the connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

struct Peer<'a> {
    shared: &'a Shared,
    stream: TcpStream,
    out: Vec<u8>,
    connection: u64,
    number: u64,
    authenticated: bool,
}

impl Peer<'_> {
    async fn serve(&mut self) -> io::Result<()> {
        if self.obey(&[]).await? == Next::End {
            return Ok(());
        }
        let mut input = Vec::new();
        loop {
            let mut at = 0;
            while let Some((request, used)) = request(&input[at..])? {
                at += used;
                self.number += 1;
                self.shared.requests.fetch_add(1, Ordering::SeqCst);
                if self.obey(&request).await? == Next::End {
                    return Ok(());
                }
            }
            input.drain(..at);
            self.flush().await?;
            if self.stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        self.stream.write_all(&out).await
    }

    /// Does what the rule wants done about a request.
    async fn obey(&mut self, request: &[Vec<u8>]) -> io::Result<Next> {
        let acts = (self.shared.rule)(Asked {
            connection: self.connection,
            number: self.number,
            request,
        });
        for act in acts {
            match act {
                Act::Reply => {
                    let reply = self.right(request);
                    self.out.extend(reply);
                }
                Act::Send(bytes) => self.out.extend(bytes),
                Act::ReplyWithout(missing) => {
                    let reply = self.right(request);
                    self.out.extend(&reply[..reply.len().saturating_sub(missing)]);
                }
                Act::Drip(size, pause) => {
                    for piece in self.right(request).chunks(size.max(1)) {
                        self.out.extend(piece);
                        self.flush().await?;
                        tokio::time::sleep(pause).await;
                    }
                }
                Act::Wait(time) => {
                    self.flush().await?;
                    tokio::time::sleep(time).await;
                }
                Act::Finish => {
                    self.flush().await?;
                    self.stream.shutdown().await?;
                }
                Act::Close => {
                    self.flush().await?;
                    return Ok(Next::End);
                }
                Act::Reset => {
                    self.flush().await?;
                    SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
                    return Ok(Next::End);
                }
                Act::Hang => {
                    self.flush().await?;
                    let mut sink = [0; 4096];
                    while self.stream.read(&mut sink).await? > 0 {}
                    return Ok(Next::End);
                }
                Act::Freeze => {
                    self.flush().await?;
                    return std::future::pending().await;
                }
            }
        }
        Ok(Next::GoOn)
    }

    /// Runs a request; its reply.
    fn right(&mut self, request: &[Vec<u8>]) -> Vec<u8> {
        if request.is_empty() {
            return Vec::new();
        }
        let name = request
            .first()
            .map(|word| word.to_ascii_uppercase())
            .unwrap_or_default();
        let wants = self.shared.options.password;
        let is_right = |given: Option<&Vec<u8>>| given.map(Vec::as_slice) == wants.map(str::as_bytes);
        match &name[..] {
            b"HELLO" if self.shared.options.resp2_only => b"-ERR unknown command 'HELLO'\r\n".to_vec(),
            b"HELLO" => {
                let auth = request.iter().position(|word| word.eq_ignore_ascii_case(b"AUTH"));
                self.authenticated |= auth.is_some_and(|at| is_right(request.get(at + 2)));
                match (self.authenticated, auth) {
                    (true, _) => b"%1\r\n$5\r\nproto\r\n:3\r\n".to_vec(),
                    (false, None) => b"-NOAUTH HELLO must be called with the client already authenticated\r\n".to_vec(),
                    (false, Some(_)) => b"-WRONGPASS invalid username-password pair or user is disabled.\r\n".to_vec(),
                }
            }
            b"AUTH" if is_right(request.last()) => {
                self.authenticated = true;
                b"+OK\r\n".to_vec()
            }
            b"AUTH" => b"-WRONGPASS invalid username-password pair or user is disabled.\r\n".to_vec(),
            _ if !self.authenticated => b"-NOAUTH Authentication required.\r\n".to_vec(),
            b"CLIENT" | b"SELECT" => b"+OK\r\n".to_vec(),
            b"PING" => b"+PONG\r\n".to_vec(),
            _ => {
                let mut state = self.shared.lock();
                if !self.shared.options.forgetful {
                    *state.ran.entry(request.to_vec()).or_default() += 1;
                }
                state.run(&name, request)
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn run(&mut self, name: &[u8], request: &[Vec<u8>]) -> Vec<u8> {
        match (name, request) {
            (b"GET", [_, key]) => match self.values.get(key) {
                Some(value) => bulk(value),
                None => b"$-1\r\n".to_vec(),
            },
            (b"SET", [_, key, value, ..]) => {
                self.values.insert(key.clone(), value.clone());
                b"+OK\r\n".to_vec()
            }
            (b"INCR", [_, key]) => {
                let counter = self.counters.entry(key.clone()).or_default();
                *counter += 1;
                format!(":{counter}\r\n").into_bytes()
            }
            (b"ECHO", [_, text]) => bulk(text),
            _ => b"-ERR unknown command\r\n".to_vec(),
        }
    }
}

/// A string as a reply.
pub fn bulk(bytes: &[u8]) -> Vec<u8> {
    // A request of one word is an array of one string.
    encode(&[bytes])[b"*1\r\n".len()..].to_vec()
}

/// The first whole request, and its length.
fn request(input: &[u8]) -> io::Result<Option<(Vec<Vec<u8>>, usize)>> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    match decode(input).map_err(|_| broken())? {
        None => Ok(None),
        Some((OwnedFrame::Array(words), used)) => {
            let words = words.into_iter().map(|word| match word {
                OwnedFrame::BulkString(bytes) => Ok(bytes),
                _ => Err(broken()),
            });
            Ok(Some((words.collect::<io::Result<_>>()?, used)))
        }
        Some(_) => Err(broken()),
    }
}
