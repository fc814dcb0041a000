//! A node's life: open the sockets, start the workers, accept, keep house, drain.
//!
//! ```text
//!   main thread (current_thread runtime)            worker threads (one current_thread runtime each)
//!   +-----------------------------------+           +----------------------------------------+
//!   | listeners -> accept -> least busy |--mailbox->| connections: fill decode execute send  |
//!   | expiry; housekeeping: timeouts    |           |        |                               |
//!   | metrics over HTTP, signals        |           +--------|-------------------------------+
//!   +-----------------|-----------------+                    v
//!                     +------------------------> keyspace: stripes, each under its own lock
//! ```

use crate::client::{Client, Origin, Peer, flag};
use crate::config::Settings;
use crate::expiry;
use crate::housekeeping;
use crate::metrics;
use crate::node::{Node, unix_ms};
use crate::quota;
use crate::worker::{self, Accepted, Socket};
use anyhow::{Context, anyhow, bail};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as RawSocket, TcpKeepalive, Type};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// Connections that may wait for a worker to take them up.
const MAILBOX: usize = 1024;
/// How long a worker may take to end once its last connection was told to close.
const LAST_TURN: Duration = Duration::from_secs(2);
/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// What a peer from elsewhere is told while there is no password.
const PROTECTED: &str = "-DENIED Larder is running in protected mode because protected mode is enabled and no password is \
set. In this mode connections are only accepted from the loopback interface. To connect from other machines, either set a \
password (requirepass), or, if the network is trusted, run CONFIG SET protected-mode no from this machine.\r\n";

/// A running node.
pub struct Server {
    node: Arc<Node>,
    listeners: Vec<Listener>,
    mailboxes: Vec<mpsc::Sender<Accepted>>,
    workers: Vec<JoinHandle<()>>,
    unix_path: Option<PathBuf>,
    metrics: Option<TcpListener>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Server {
    /// Opens the sockets and starts the workers. Connections are accepted once `run` is called.
    ///
    /// # Errors
    /// An address that cannot be listened on, or a thread that cannot be started.
    pub fn start(node: Node) -> anyhow::Result<Server> {
        let node = Arc::new(node);
        let settings = node.config.settings();
        node.apply(&settings);
        raise_file_limit(&settings);
        let metrics = listen_metrics(&settings)?;
        let (listeners, unix_path) = listen(&settings)?;
        let mut server = Server {
            node,
            listeners,
            mailboxes: Vec::new(),
            workers: Vec::new(),
            unix_path,
            metrics,
        };
        for index in 0..server.node.workers.len() {
            server.start_worker(index, settings.pin_workers)?;
        }
        Ok(server)
    }

    /// The node, to look at or to stop.
    pub fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
    }

    /// The TCP addresses that are listened on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let tcp = self.listeners.iter().filter_map(|listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        });
        tcp.collect()
    }

    /// The path of the Unix socket that is listened on.
    pub fn unix_path(&self) -> Option<&Path> {
        self.unix_path.as_deref()
    }

    /// The address of the HTTP port.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    fn start_worker(&mut self, index: usize, pin: bool) -> anyhow::Result<()> {
        let (mailbox, inbox) = mpsc::channel(MAILBOX);
        let node = Arc::clone(&self.node);
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(worker::send_waiting)
            .build()?;
        let handle = thread.spawn(move || {
            if pin {
                pin_to_core(index);
            }
            runtime.block_on(worker::run(index, node, inbox));
        })?;
        self.mailboxes.push(mailbox);
        self.workers.push(handle);
        Ok(())
    }

    /// Serves until the node is asked to stop, then drains: nothing new is accepted, what was read is
    /// finished, and after `shutdown-timeout` what is left is closed.
    ///
    /// # Errors
    /// None at present; a listener's errors are logged and accepting goes on.
    pub async fn run(self) -> anyhow::Result<()> {
        let Server {
            node,
            listeners,
            mailboxes,
            workers,
            unix_path,
            metrics,
        } = self;
        let housekeeping = tokio::spawn(housekeeping::run(Arc::clone(&node)));
        let memory = tokio::spawn(crate::memory::run(Arc::clone(&node)));
        let expiry = tokio::spawn(expiry::run(Arc::clone(&node)));
        let quotas = tokio::spawn(quota::run(Arc::clone(&node)));
        let metrics = metrics.map(|listener| tokio::spawn(metrics::http::serve(Arc::clone(&node), listener)));
        let acceptors: Vec<_> = listeners
            .into_iter()
            .map(|listener| tokio::spawn(accept(Arc::clone(&node), listener, mailboxes.clone())))
            .collect();
        node.stopped().await;
        acceptors.iter().for_each(|acceptor| acceptor.abort());
        for acceptor in acceptors {
            let _ = acceptor.await;
        }
        drop(mailboxes);
        drain(&node).await;
        end(workers).await;
        housekeeping.abort();
        memory.abort();
        expiry.abort();
        quotas.abort();
        if let Some(metrics) = metrics {
            metrics.abort();
        }
        if let Some(path) = unix_path {
            let _ = std::fs::remove_file(path);
        }
        Ok(())
    }
}

/// Waits for the workers' threads. One that never returns, such as in a command without end, ends with the process.
async fn end(workers: Vec<JoinHandle<()>>) {
    let deadline = tokio::time::Instant::now() + LAST_TURN;
    for (index, worker) in workers.into_iter().enumerate() {
        while !worker.is_finished() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if !worker.is_finished() {
            tracing::warn!(worker = index, "a worker did not end in time and is abandoned");
        } else if worker.join().is_err() {
            tracing::error!(worker = index, "a worker ended with a panic");
        }
    }
}

/// Waits for the connections to end; closes those that are left when the time is over.
async fn drain(node: &Node) {
    let patience = Duration::from_secs(u64::from(node.config.settings().shutdown_timeout));
    let deadline = tokio::time::Instant::now() + patience;
    let mut connections = node.clients.len();
    tracing::info!(connections, "shutting down: connections finish what was read");
    node.clients.for_each(|peer| peer.wake());
    while connections > 0 && tokio::time::Instant::now() < deadline {
        // Every time, since a client may have begun another pause meanwhile.
        node.pause.end();
        tokio::time::sleep(Duration::from_millis(5)).await;
        connections = node.clients.len();
    }
    if connections > 0 {
        tracing::warn!(
            connections,
            "shutdown-timeout is over: the connections that are left are closed"
        );
    }
    node.clients.for_each(|peer| peer.kill());
}

async fn accept(node: Arc<Node>, listener: Listener, mailboxes: Vec<mpsc::Sender<Accepted>>) -> io::Result<()> {
    match listener {
        Listener::Tcp(listener) => {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            loop {
                match listener.accept().await {
                    Ok((stream, address)) => match stream.into_std() {
                        Ok(stream) => admit_tcp(&node, &mailboxes, stream, address).await,
                        Err(error) => rest(&error).await,
                    },
                    Err(error) => rest(&error).await,
                }
            }
        }
        Listener::Unix(listener) => {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            loop {
                match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                    Ok(stream) => {
                        let path = node.config.settings().unixsocket.clone();
                        let origin = Origin {
                            address: format!("{path}:0"),
                            local_address: format!("{path}:0"),
                            descriptor: stream.as_raw_fd(),
                            flags: flag::UNIX | flag::LOCAL,
                        };
                        admit(&node, &mailboxes, Socket::Unix(stream), origin).await;
                    }
                    Err(error) => rest(&error).await,
                }
            }
        }
    }
}

/// An accept fails when the process or the machine is out of something: waiting is all that helps.
async fn rest(error: &io::Error) {
    tracing::warn!(%error, "could not accept a connection");
    tokio::time::sleep(ACCEPT_REST).await;
}

async fn admit_tcp(node: &Arc<Node>, mailboxes: &[mpsc::Sender<Accepted>], mut stream: TcpStream, address: SocketAddr) {
    let settings = node.config.settings();
    let local = address.ip().to_canonical().is_loopback();
    if settings.protected_mode && settings.requirepass.is_empty() && !local {
        node.totals.rejected.fetch_add(1, Ordering::Relaxed);
        let _ = stream.write(PROTECTED.as_bytes());
        return;
    }
    let _ = stream.set_nodelay(true);
    if settings.tcp_keepalive > 0 {
        let seconds = u64::from(settings.tcp_keepalive);
        let probes = TcpKeepalive::new()
            .with_time(Duration::from_secs(seconds))
            .with_interval(Duration::from_secs((seconds / 3).max(1)));
        let _ = SockRef::from(&stream).set_tcp_keepalive(&probes.with_retries(3));
    }
    let origin = Origin {
        address: address.to_string(),
        local_address: stream
            .local_addr()
            .map_or_else(|_| "?:0".to_owned(), |local| local.to_string()),
        descriptor: stream.as_raw_fd(),
        flags: if local { flag::LOCAL } else { 0 },
    };
    admit(node, mailboxes, Socket::Tcp(stream), origin).await;
}

/// Registers a connection and hands it to the worker that has the fewest.
async fn admit(node: &Arc<Node>, mailboxes: &[mpsc::Sender<Accepted>], mut socket: Socket, origin: Origin) {
    let settings = node.config.settings();
    if node.clients.len() >= settings.maxclients as usize {
        node.totals.rejected.fetch_add(1, Ordering::Relaxed);
        let text = b"-ERR max number of clients reached\r\n";
        let _ = match &mut socket {
            Socket::Tcp(stream) => stream.write(text),
            Socket::Unix(stream) => stream.write(text),
        };
        return;
    }
    let load = |index: &usize| node.workers[*index].connections.load(Ordering::Relaxed);
    let Some(worker) = (0..mailboxes.len()).min_by_key(load) else {
        return;
    };
    // Nothing may wait between counting the connection and handing it over: a shutdown that cut in there would leave
    // its worker waiting for a connection that never comes.
    let Ok(place) = mailboxes[worker].reserve().await else {
        tracing::warn!(worker, "the worker has ended; its new connection is dropped");
        return;
    };
    let peer = Arc::new(Peer::new(node.clients.next_id(), worker, origin, unix_ms()));
    node.clients.add(&peer);
    node.totals.connections.fetch_add(1, Ordering::Relaxed);
    node.totals
        .peak_clients
        .fetch_max(node.clients.len(), Ordering::Relaxed);
    node.workers[worker].connections.fetch_add(1, Ordering::Relaxed);
    let client = Client::new(peer, settings.requirepass.is_empty());
    place.send(Accepted { socket, client });
}

fn listen(settings: &Settings) -> anyhow::Result<(Vec<Listener>, Option<PathBuf>)> {
    let mut listeners = Vec::new();
    if settings.port != 0 {
        for name in &settings.bind {
            let (optional, name) = name
                .strip_prefix('-')
                .map_or((false, name.as_str()), |name| (true, name));
            match listen_tcp(name, settings) {
                Ok(found) => listeners.extend(found),
                Err(error) if optional && is_absent(&error) => {}
                Err(error) => return Err(explain(&error, "port", &format!("{name}:{}", settings.port))),
            }
        }
    }
    let unix = (!settings.unixsocket.is_empty()).then(|| settings.path(&settings.unixsocket));
    if let Some(path) = &unix {
        let _ = std::fs::remove_file(path);
        let listener =
            UnixListener::bind(path).with_context(|| format!("cannot listen on the Unix socket {}", path.display()))?;
        listener.set_nonblocking(true)?;
        if settings.unixsocketperm != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(settings.unixsocketperm))?;
        }
        listeners.push(Listener::Unix(listener));
    }
    if listeners.is_empty() {
        bail!("no address to listen on: set port and bind, or unixsocket");
    }
    Ok((listeners, unix))
}

/// The listener of the HTTP port, if one is asked for.
fn listen_metrics(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    if settings.metrics_port == 0 {
        return Ok(None);
    }
    let (name, port) = (settings.metrics_bind.as_str(), settings.metrics_port);
    let open = || -> io::Result<TcpListener> {
        let listener = TcpListener::bind((name, port))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let listener = open().map_err(|error| explain(&error, "metrics-port", &format!("{name}:{port}")))?;
    if listener.local_addr().is_ok_and(|address| !address.ip().is_loopback()) {
        tracing::warn!("the metrics port asks for no password and can be reached from other machines");
    }
    Ok(Some(listener))
}

/// Says what could not be listened on, and what helps.
fn explain(error: &io::Error, setting: &str, address: &str) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!("; another program listens there: stop it, or set another {setting}"),
        io::ErrorKind::PermissionDenied => format!("; set {setting} to 1024 or more, or allow this program low ports"),
        _ => String::new(),
    };
    anyhow!("cannot listen on {address}: {error}{advice}")
}

/// Whether the address just is not there, which an optional address may be.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT))
}

fn listen_tcp(name: &str, settings: &Settings) -> io::Result<Vec<Listener>> {
    let name = match name {
        "*" => "0.0.0.0",
        "::*" => "::",
        name => name,
    };
    let addresses: Vec<SocketAddr> = match name.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, settings.port)],
        Err(_) => (name, settings.port).to_socket_addrs()?.collect(),
    };
    let open = |address: SocketAddr| {
        let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(settings.tcp_backlog.min(i32::MAX as u32) as i32)?;
        Ok(Listener::Tcp(socket.into()))
    };
    addresses.into_iter().map(open).collect()
}

/// Lets the process open as many files as `maxclients` needs, as far as the system allows.
pub(crate) fn raise_file_limit(settings: &Settings) {
    let wanted = u64::from(settings.maxclients) + 64;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(granted) if granted < wanted => {
            tracing::warn!(
                granted,
                wanted,
                "the system allows fewer open files than maxclients needs"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "could not raise the limit of open files"),
    }
}

fn pin_to_core(index: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(core) = cores.get(index % cores.len().max(1))
        && !core_affinity::set_for_current(*core)
    {
        tracing::warn!(worker = index, "could not pin a worker to its core");
    }
}
