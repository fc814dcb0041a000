//! A connection as commands see it (`Client`), and as the rest of the node does (`Peer`).

use crate::command::{Command, Flags};
use crate::resp::encode::{Output, Version};
use crate::resp::request::OwnedArgs;
use crate::store::Dirty;
use dashmap::DashMap;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

/// Whether replies are sent: CLIENT REPLY.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    /// Every reply is sent.
    #[default]
    On,
    /// None is, until ON.
    Off,
    /// The reply to the next command is not; then as ON.
    SkipNext,
    /// The reply to the command that is running is not.
    Skip,
}

/// A command in a transaction's queue.
pub struct Queued {
    /// What runs.
    pub command: &'static Command,
    /// With what.
    pub args: OwnedArgs,
}

/// Commands since MULTI.
#[derive(Default)]
pub struct Transaction {
    /// In order.
    pub queue: Vec<Queued>,
    /// A command was refused while queueing, so EXEC will be too.
    pub aborted: bool,
    /// What any of the queued commands is.
    pub flags: Flags,
    /// Bytes that the queue takes.
    pub queued_bytes: usize,
}

/// Keys that a connection watches.
#[derive(Default)]
pub struct Watches {
    /// Database and key of each.
    pub keys: HashSet<(usize, Box<[u8]>)>,
    /// Set by the first change of any of them.
    pub dirty: Dirty,
    /// Bytes that they take, here and where they are registered.
    pub bytes: usize,
}

/// The state of one connection, owned by its task.
pub struct Client {
    /// What others may see and do.
    pub peer: Arc<Peer>,
    /// The selected database.
    pub database: usize,
    /// The protocol version of replies.
    pub version: Version,
    /// Whether the connection may run commands.
    pub authenticated: bool,
    /// The commands queued since MULTI.
    pub transaction: Option<Transaction>,
    /// The keys watched since the last EXEC, DISCARD or UNWATCH.
    pub watches: Watches,
    /// Whether replies are sent.
    pub reply_mode: ReplyMode,
    /// Close the connection when the reply is out.
    pub close: bool,
    /// Receives MONITOR's feed.
    pub monitoring: bool,
    /// EXEC runs its commands, each of which owes exactly one reply.
    pub executing: bool,
    /// Reads leave eviction metadata alone.
    pub no_touch: bool,
    /// An argument of the next request was too large for the node and was dropped.
    pub oversized: bool,
}

impl Client {
    /// Whether its commands simply run: no password is wanted, nothing is queued, muted, monitored or dropped.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.authenticated
            && self.transaction.is_none()
            && self.reply_mode == ReplyMode::On
            && !self.monitoring
            && !self.oversized
    }

    /// A connection that has just been accepted.
    pub fn new(peer: Arc<Peer>, authenticated: bool) -> Client {
        let watches = Watches {
            dirty: Dirty::clone(&peer.dirty),
            ..Watches::default()
        };
        Client {
            peer,
            database: 0,
            version: Version::Resp2,
            authenticated,
            transaction: None,
            watches,
            reply_mode: ReplyMode::On,
            close: false,
            monitoring: false,
            executing: false,
            no_touch: false,
            oversized: false,
        }
    }

    /// Bytes that its transaction and its watches hold.
    pub fn transaction_bytes(&self) -> usize {
        let queued = self.transaction.as_ref().map_or(0, |open| open.queued_bytes);
        queued + self.watches.bytes
    }
}

/// Facts about a connection that its flags hold, as bits of `Peer::flags`.
pub mod flag {
    /// In a transaction.
    pub const MULTI: u32 = 1;
    /// Receives MONITOR's feed.
    pub const MONITOR: u32 = 1 << 1;
    /// Spared when clients are closed for memory.
    pub const NO_EVICT: u32 = 1 << 2;
    /// Its reads leave eviction metadata alone.
    pub const NO_TOUCH: u32 = 1 << 3;
    /// Came over the Unix socket.
    pub const UNIX: u32 = 1 << 4;
    /// Waits for something other than its socket.
    pub const BLOCKED: u32 = 1 << 5;
    /// To be closed once its output is sent.
    pub const CLOSING: u32 = 1 << 6;
    /// Comes from this machine.
    pub const LOCAL: u32 = 1 << 7;
}

/// What a connection has told of itself.
#[derive(Clone, Default, Debug)]
pub struct Names {
    /// CLIENT SETNAME.
    pub name: String,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: String,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: String,
}

/// Messages that arrive from elsewhere in the node, bounded by the output limit.
#[derive(Default)]
struct Inbox {
    output: Output,
    overflowed: bool,
}

/// The side of a connection that the rest of the node sees.
pub struct Peer {
    /// Rises with every connection of the node.
    pub id: u64,
    /// The peer's address, as CLIENT LIST shows it.
    pub address: String,
    /// The address it connected to.
    pub local_address: String,
    /// The socket's file descriptor, for display.
    pub descriptor: i32,
    /// Which worker serves it.
    pub worker: usize,
    /// When it connected, in Unix milliseconds.
    pub created_ms: u64,
    /// What it has told of itself.
    pub names: Mutex<Names>,
    /// When its last command ran, in Unix milliseconds.
    pub active_ms: AtomicU64,
    /// The id of its last command; `NO_COMMAND` before the first.
    pub last_command: AtomicU16,
    /// The selected database.
    pub database: AtomicUsize,
    /// See `flag`.
    pub flags: AtomicU32,
    /// Commands in its transaction.
    pub queued: AtomicUsize,
    /// Bytes that its transaction and its watches hold.
    pub queued_bytes: AtomicUsize,
    /// Keys that it watches.
    pub watched: AtomicUsize,
    /// Whether one of them has changed.
    pub dirty: Dirty,
    /// 2 or 3.
    pub version: AtomicU32,
    /// Bytes of input that wait for their rest.
    pub input_bytes: AtomicUsize,
    /// Bytes of output that wait to be sent.
    pub output_bytes: AtomicUsize,
    killed: AtomicBool,
    has_mail: AtomicBool,
    inbox: Mutex<Inbox>,
    waker: OnceLock<Waker>,
}

/// No command has run yet.
pub const NO_COMMAND: u16 = u16::MAX;

/// Where a connection comes from.
pub struct Origin {
    /// The peer's address.
    pub address: String,
    /// The address it connected to.
    pub local_address: String,
    /// The socket's file descriptor.
    pub descriptor: i32,
    /// Bits of `flag` that hold from the start.
    pub flags: u32,
}

impl Peer {
    /// A connection that was accepted at `now_ms`.
    pub fn new(id: u64, worker: usize, origin: Origin, now_ms: u64) -> Peer {
        Peer {
            id,
            address: origin.address,
            local_address: origin.local_address,
            descriptor: origin.descriptor,
            worker,
            created_ms: now_ms,
            names: Mutex::default(),
            active_ms: AtomicU64::new(now_ms),
            last_command: AtomicU16::new(NO_COMMAND),
            database: AtomicUsize::new(0),
            flags: AtomicU32::new(origin.flags),
            queued: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            dirty: Dirty::default(),
            version: AtomicU32::new(2),
            input_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            killed: AtomicBool::new(false),
            has_mail: AtomicBool::new(false),
            inbox: Mutex::default(),
            waker: OnceLock::new(),
        }
    }

    /// What it has told of itself.
    pub fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    /// Sets or clears a flag.
    pub fn set(&self, flag: u32, on: bool) {
        if on {
            self.flags.fetch_or(flag, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!flag, Ordering::Relaxed);
        }
    }

    /// Tells the connection's task to look around.
    pub fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// The task that serves the connection, told once by itself.
    pub fn register(&self, waker: &Waker) {
        // A task keeps its waker for life, so the first one stays good.
        if self.waker.get().is_none() {
            self.waker.get_or_init(|| waker.clone());
            // With the one in `kill`: either the task sees that it is to end, or the killer sees the waker.
            fence(Ordering::SeqCst);
        }
    }

    /// Closes the connection, from anywhere.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        self.wake();
    }

    /// Whether the connection is to be closed.
    #[inline]
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Whether anything waits in the inbox.
    #[inline]
    pub fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Acquire)
    }

    /// Sends bytes to the peer from elsewhere in the node. A peer that does not read, so that more than
    /// `limit` bytes wait, is closed.
    pub fn post(&self, bytes: &[u8], limit: usize) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.overflowed {
            return;
        }
        if limit > 0 && inbox.output.len() + bytes.len() + self.output_bytes.load(Ordering::Relaxed) > limit {
            inbox.overflowed = true;
            inbox.output = Output::default();
            drop(inbox);
            self.kill();
            return;
        }
        inbox.output.extend(bytes);
        drop(inbox);
        if !self.has_mail.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// Puts replies that the socket did not take in front of what waits in the inbox.
    #[cold]
    pub(crate) fn hand_back(&self, replies: &[u8]) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let mut output = Output::default();
        output.extend(replies);
        output.append(&inbox.output);
        inbox.output = output;
        drop(inbox);
        self.has_mail.store(true, Ordering::Release);
        self.wake();
    }

    /// Bytes of replies and messages that the peer has not taken yet.
    pub fn unsent_bytes(&self) -> usize {
        let inbox = if self.has_mail() {
            self.inbox.lock().unwrap_or_else(PoisonError::into_inner).output.len()
        } else {
            0
        };
        inbox + self.output_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that its buffers hold: pending input, queued commands, output.
    pub fn buffer_bytes(&self) -> usize {
        let input = self.input_bytes.load(Ordering::Relaxed);
        input + self.queued_bytes.load(Ordering::Relaxed) + self.unsent_bytes()
    }

    /// Moves what waits in the inbox to the end of `output`.
    pub fn collect(&self, output: &mut Output) {
        self.has_mail.store(false, Ordering::Release);
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        output.append(&inbox.output);
        inbox.output = Output::default();
    }
}

/// All connections of a node, by id.
#[derive(Default)]
pub struct Clients {
    peers: DashMap<u64, Arc<Peer>>,
    last_id: AtomicU64,
}

impl Clients {
    /// An id that no connection had before.
    pub fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds a connection.
    pub fn add(&self, peer: &Arc<Peer>) {
        self.peers.insert(peer.id, Arc::clone(peer));
    }

    /// Forgets a connection that has ended.
    pub fn remove(&self, id: u64) {
        self.peers.remove(&id);
    }

    /// The connection with this id.
    pub fn get(&self, id: u64) -> Option<Arc<Peer>> {
        self.peers.get(&id).map(|peer| Arc::clone(&peer))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Shows every connection, in no order; `visit` must not add or remove any.
    pub fn for_each(&self, mut visit: impl FnMut(&Arc<Peer>)) {
        self.peers.iter().for_each(|peer| visit(&peer));
    }

    /// All connections, in the order of their ids.
    pub fn all(&self) -> Vec<Arc<Peer>> {
        let mut peers: Vec<_> = self.peers.iter().map(|peer| Arc::clone(&peer)).collect();
        peers.sort_unstable_by_key(|peer| peer.id);
        peers
    }
}

/// The connections that receive MONITOR's feed.
#[derive(Default)]
pub struct Monitors {
    count: AtomicUsize,
    peers: Mutex<Vec<Arc<Peer>>>,
}

impl Monitors {
    fn peers(&self) -> MutexGuard<'_, Vec<Arc<Peer>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is any; asked for every command.
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Adds a connection, which is not among them yet.
    pub fn add(&self, peer: &Arc<Peer>) {
        let mut peers = self.peers();
        peers.push(Arc::clone(peer));
        self.count.store(peers.len(), Ordering::Relaxed);
    }

    /// Takes a connection off.
    pub fn remove(&self, id: u64) {
        let mut peers = self.peers();
        peers.retain(|peer| peer.id != id);
        self.count.store(peers.len(), Ordering::Relaxed);
    }

    /// Sends bytes to all; one that does not read, so that more than `limit` bytes wait, is closed.
    pub fn post(&self, bytes: &[u8], limit: usize) {
        self.peers().iter().for_each(|peer| peer.post(bytes, limit));
    }

    /// Closes all.
    pub fn kill(&self) {
        self.peers().iter().for_each(|peer| peer.kill());
    }
}
