//! A TCP proxy that does to connections what networks do: delay, dribble, cut, half-close, garbage, silence, refusal.
//!
//! It runs in a thread of its own, so that it goes on whatever the runtime under test does. Faults can be set for all
//! connections, those to come included, or for one; what is in force when a piece of data arrives is what it suffers.

use crate::rng::Rng;
use crate::server::free_port;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// What is read at once.
const READ_BYTES: usize = 64 * 1024;
/// Pieces that are under way in one direction; then the sender has to wait.
const PIECES: usize = 64;

/// A way through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToServer,
    /// Replies.
    ToClient,
}

/// What happens to data that arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// It is sent on.
    #[default]
    Forward,
    /// It is not read, so that the sender's socket fills up.
    Stop,
    /// It is read and thrown away. What a connection has lost never arrives, so nothing that comes later on it does
    /// either, whatever faults are set then: TCP leaves no gaps.
    Swallow,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both sides see a reset.
    Reset,
    /// Both sides see an orderly end, wherever the other was.
    Finish,
}

/// What one direction of a connection suffers; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// How much later everything arrives.
    pub delay: Duration,
    /// Up to so much later still, at random. Order is kept.
    pub jitter: Duration,
    /// Bytes per second; as many as can be if `None`.
    pub rate: Option<u64>,
    /// The most that is written at once; no limit if `None`.
    pub piece: Option<usize>,
    /// What happens to data that arrives.
    pub flow: Flow,
    /// The connection is cut when so many bytes of this direction have been sent on.
    pub cut_after: Option<(u64, Cut)>,
}

/// One connection through the proxy.
#[derive(Debug)]
pub struct Link {
    faults: [watch::Sender<Faults>; 2],
    injected: [mpsc::UnboundedSender<Injected>; 2],
    sent: [AtomicU64; 2],
    end: watch::Sender<Option<Cut>>,
}

#[derive(Debug)]
enum Injected {
    Bytes(Vec<u8>),
    End,
}

impl Link {
    /// What a direction suffers from now on.
    pub fn set(&self, direction: Direction, faults: Faults) {
        self.faults[direction as usize].send_replace(faults);
    }

    /// Ends the connection.
    pub fn cut(&self, how: Cut) {
        self.end.send_replace(Some(how));
    }

    /// Ends one direction; the other goes on.
    pub fn half_close(&self, direction: Direction) {
        let _ = self.injected[direction as usize].send(Injected::End);
    }

    /// Sends bytes that nobody wrote, between two pieces of what is under way.
    pub fn inject(&self, direction: Direction, bytes: &[u8]) {
        let _ = self.injected[direction as usize].send(Injected::Bytes(bytes.to_vec()));
    }

    /// How many bytes were sent on.
    pub fn sent(&self, direction: Direction) -> u64 {
        self.sent[direction as usize].load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    faults: Mutex<[Faults; 2]>,
    links: Mutex<Vec<Arc<Link>>>,
    accepted: AtomicU64,
    rng: Mutex<Rng>,
}

#[derive(Debug)]
enum Order {
    Refuse(bool, std::sync::mpsc::Sender<io::Result<()>>),
    End,
}

/// A running proxy; dropping it ends its connections and its thread.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy on a free port of loopback for a server there. `seed` is for the random part of delays.
    ///
    /// # Panics
    /// If no port or thread is to be had.
    pub fn start(server_port: u16, seed: u64) -> Proxy {
        // Not one that the kernel chooses: while connections are refused, it might give it to somebody else.
        let bind = |_| std::net::TcpListener::bind(("127.0.0.1", free_port())).ok();
        let listener = (0..5).find_map(bind).expect("a free port");
        listener.set_nonblocking(true).expect("a socket of ours");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            server: SocketAddr::from(([127, 0, 0, 1], server_port)),
            faults: Mutex::default(),
            links: Mutex::default(),
            accepted: AtomicU64::new(0),
            rng: Mutex::new(Rng::new(seed)),
        });
        let (orders, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || runtime.block_on(serve(serving, listener, port, inbox)));
        Proxy {
            port,
            shared,
            orders,
            thread: Some(thread),
        }
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What a direction of all connections suffers from now on, new ones included.
    pub fn set(&self, direction: Direction, faults: Faults) {
        lock(&self.shared.faults)[direction as usize] = faults;
        for link in self.links() {
            link.set(direction, faults);
        }
    }

    /// Both directions at once.
    pub fn set_both(&self, faults: Faults) {
        self.set(Direction::ToServer, faults);
        self.set(Direction::ToClient, faults);
    }

    /// No faults any more.
    pub fn heal(&self) {
        self.set_both(Faults::default());
    }

    /// No faults for connections to come; those that are open keep theirs.
    pub fn heal_new(&self) {
        *lock(&self.shared.faults) = <[Faults; 2]>::default();
    }

    /// Connections are refused from now on (`true`), or accepted again. Those that are open stay.
    ///
    /// # Panics
    /// If somebody else has taken the port meanwhile.
    pub fn refuse(&self, refuse: bool) {
        let (done, waiting) = std::sync::mpsc::channel();
        self.orders.send(Order::Refuse(refuse, done)).expect("it serves");
        waiting.recv().expect("it serves").expect("the port is still free");
    }

    /// Ends all connections that are open.
    pub fn cut(&self, how: Cut) {
        for link in self.links() {
            link.cut(how);
        }
    }

    /// The connections that are open, in the order in which they came.
    pub fn links(&self) -> Vec<Arc<Link>> {
        lock(&self.shared.links).clone()
    }

    /// How many connections have come so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    shared: Arc<Shared>,
    listener: std::net::TcpListener,
    port: u16,
    mut inbox: mpsc::UnboundedReceiver<Order>,
) {
    let mut listener = TcpListener::from_std(listener).ok();
    loop {
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            order = inbox.recv() => match order {
                Some(Order::Refuse(true, done)) => {
                    listener = None;
                    let _ = done.send(Ok(()));
                }
                Some(Order::Refuse(false, done)) => {
                    let bound = match listener.take() {
                        Some(listening) => Ok(listening),
                        None => TcpListener::bind(("127.0.0.1", port)).await,
                    };
                    let _ = done.send(bound.map(|bound| listener = Some(bound)));
                }
                Some(Order::End) | None => return,
            },
            Ok((client, _)) = accepted => {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(connect(Arc::clone(&shared), client));
            }
        }
    }
}

/// Serves one connection to its end.
async fn connect(shared: Arc<Shared>, mut client: TcpStream) {
    let (to_server, server_injected) = mpsc::unbounded_channel();
    let (to_client, client_injected) = mpsc::unbounded_channel();
    let (end, mut ended) = watch::channel(None);
    let link = {
        // With the list locked, so that whoever sets faults for all either finds this one or is followed by it.
        let mut links = lock(&shared.links);
        let link = Arc::new(Link {
            faults: lock(&shared.faults).map(|faults| watch::channel(faults).0),
            injected: [to_server, to_client],
            sent: [AtomicU64::new(0), AtomicU64::new(0)],
            end,
        });
        links.push(Arc::clone(&link));
        link
    };
    let how = match TcpStream::connect(shared.server).await {
        Err(_) => Cut::Reset,
        Ok(mut server) => {
            let _ = client.set_nodelay(true).and(server.set_nodelay(true));
            let (client_read, client_write) = client.split();
            let (server_read, server_write) = server.split();
            let there = forward(
                &shared,
                &link,
                Direction::ToServer,
                client_read,
                server_write,
                server_injected,
            );
            let back = forward(
                &shared,
                &link,
                Direction::ToClient,
                server_read,
                client_write,
                client_injected,
            );
            let how = tokio::select! {
                biased;
                Ok(how) = ended.wait_for(Option::is_some) => how.unwrap_or(Cut::Reset),
                // A direction that breaks, rather than ending, breaks the other.
                done = async { tokio::try_join!(there, back) } => done.map_or(Cut::Reset, |_| Cut::Finish),
            };
            finish(server, how).await;
            how
        }
    };
    finish(client, how).await;
    lock(&shared.links).retain(|other| !Arc::ptr_eq(other, &link));
}

async fn finish(mut stream: TcpStream, how: Cut) {
    match how {
        Cut::Finish => drop(stream.shutdown().await),
        // Closing without lingering is what makes the system send a reset.
        Cut::Reset => drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
    }
}

/// Data, and when it is to be sent on.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

/// One direction, until its sender ends it.
async fn forward(
    shared: &Shared,
    link: &Link,
    direction: Direction,
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    injected: mpsc::UnboundedReceiver<Injected>,
) -> io::Result<()> {
    let faults = &link.faults[direction as usize];
    let (pieces, arriving) = mpsc::channel(PIECES);
    let sender = Sender {
        link,
        direction,
        to,
        faults: faults.subscribe(),
        has_gap: false,
    };
    tokio::try_join!(
        receive(shared, faults.subscribe(), from, pieces),
        sender.run(arriving, injected)
    )?;
    Ok(())
}

async fn receive(
    shared: &Shared,
    mut faults: watch::Receiver<Faults>,
    mut from: ReadHalf<'_>,
    pieces: mpsc::Sender<Piece>,
) -> io::Result<()> {
    let (mut due, mut has_gap) = (Instant::now(), false);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut suffered = *faults.borrow_and_update();
        if has_gap {
            suffered.flow = Flow::Swallow;
        }
        let read = async {
            match suffered.flow {
                Flow::Stop => std::future::pending().await,
                Flow::Forward | Flow::Swallow => from.read(&mut buffer).await,
            }
        };
        let count = tokio::select! {
            biased;
            _ = faults.changed() => continue,
            count = read => count?,
        };
        if count == 0 {
            return Ok(());
        }
        if suffered.flow == Flow::Swallow {
            has_gap = true;
            continue;
        }
        let jitter_us = lock(&shared.rng).below(suffered.jitter.as_micros() as usize + 1) as u64;
        due = due.max(Instant::now() + suffered.delay + Duration::from_micros(jitter_us));
        let bytes = buffer[..count].to_vec();
        if pieces.send(Piece { due, bytes }).await.is_err() {
            return Ok(());
        }
    }
}

struct Sender<'a> {
    link: &'a Link,
    direction: Direction,
    to: WriteHalf<'a>,
    faults: watch::Receiver<Faults>,
    has_gap: bool,
}

impl Sender<'_> {
    async fn run(
        mut self,
        mut arriving: mpsc::Receiver<Piece>,
        mut injected: mpsc::UnboundedReceiver<Injected>,
    ) -> io::Result<()> {
        loop {
            tokio::select! {
                biased;
                Some(injected) = injected.recv() => match injected {
                    Injected::Bytes(bytes) => self.send(&bytes).await?,
                    Injected::End => return self.to.shutdown().await,
                },
                piece = arriving.recv() => match piece {
                    Some(piece) => {
                        sleep_until(piece.due).await;
                        self.send(&piece.bytes).await?;
                    }
                    None => return self.to.shutdown().await,
                },
            }
        }
    }

    async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let suffered = *self.faults.borrow_and_update();
            match suffered.flow {
                Flow::Forward if !self.has_gap => {}
                Flow::Forward | Flow::Swallow => {
                    self.has_gap = true;
                    return Ok(());
                }
                Flow::Stop => {
                    let _ = self.faults.changed().await;
                    continue;
                }
            }
            let sent = self.link.sent(self.direction);
            let mut piece = suffered.piece.unwrap_or(bytes.len()).clamp(1, bytes.len());
            if let Some(rate) = suffered.rate {
                // A hundredth of a second's worth at once.
                piece = piece.min((rate as usize / 100).max(1));
            }
            if let Some((limit, how)) = suffered.cut_after {
                piece = piece.min(limit.saturating_sub(sent) as usize);
                if piece == 0 {
                    self.link.cut(how);
                    return std::future::pending().await;
                }
            }
            let (now, rest) = bytes.split_at(piece);
            self.to.write_all(now).await?;
            self.link.sent[self.direction as usize].fetch_add(piece as u64, Ordering::Relaxed);
            bytes = rest;
            if let Some(rate) = suffered.rate {
                sleep(Duration::from_secs_f64(piece as f64 / rate.max(1) as f64)).await;
            }
        }
        Ok(())
    }
}
