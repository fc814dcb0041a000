//! What a connection reads from and writes to: a socket of either kind.
//!
//! The runtime tells when a socket may be ready; what is read and written are plain system calls. Writing does not
//! ask first, as a socket takes a reply nearly always.

use crate::client::Peer;
use crate::resp::Output;
use crate::worker::Socket;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, retry_on_intr, writev};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Pieces of one vectored write.
const PIECES: usize = 64;

/// What a connection reads from and writes to.
pub(crate) trait Transport: Unpin {
    /// Reads what there is, as far as `buffer` has room; 0 at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads behind what `buffer` holds, where it must have room, at most `limit` bytes.
    fn poll_append(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>, limit: usize) -> Poll<io::Result<usize>>;

    /// Whether the peer has closed its side or is gone; if not, `cx` is woken when it does, or when more comes.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool;

    /// Writes from the front of `output` and returns how many bytes.
    fn poll_write(&mut self, cx: &mut Context<'_>, output: &Output) -> Poll<io::Result<usize>>;

    /// Through what replies can be sent later; `None` if they cannot.
    fn link(&self) -> Option<&Arc<Link>>;
}

/// A socket, and whose it is.
pub(crate) struct Link {
    socket: AsyncFd<OwnedFd>,
    pub(crate) peer: Arc<Peer>,
}

impl Link {
    /// Sends from the front of `bytes` and returns how many; `WouldBlock` if the socket takes none now.
    #[inline]
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| {
            send(self.socket.get_ref(), bytes, SendFlags::NOSIGNAL)
        })?)
    }

    // Apart, so that a plain write does not prepare the pieces.
    #[inline(never)]
    fn send_pieces(&self, output: &Output) -> io::Result<usize> {
        let mut pieces = [io::IoSlice::new(&[]); PIECES];
        let used = output.pieces(&mut pieces);
        Ok(retry_on_intr(|| writev(self.socket.get_ref(), &pieces[..used]))?)
    }
}

/// A socket of either kind.
pub(crate) struct Stream {
    link: Arc<Link>,
    /// There may be something to read that the runtime does not tell of any more.
    unread: bool,
}

impl Stream {
    /// Registers the socket with this thread's runtime.
    #[expect(
        deprecated,
        reason = "it is for types that may change their descriptor, which this one does not"
    )]
    pub(crate) fn open(socket: Socket, peer: Arc<Peer>) -> io::Result<Stream> {
        let socket = match socket {
            Socket::Tcp(socket) => OwnedFd::from(socket),
            Socket::Unix(socket) => OwnedFd::from(socket),
        };
        let socket = AsyncFd::with_interest(socket, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Stream {
            link: Arc::new(Link { socket, peer }),
            unread: false,
        })
    }

    /// Reads with `read`, which is told of `room` bytes, once there is something to read.
    #[inline]
    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        mut read: impl FnMut(&OwnedFd) -> Result<usize, Errno>,
    ) -> Poll<io::Result<usize>> {
        if std::mem::take(&mut self.unread)
            && let Ok(count) = retry_on_intr(|| read(self.link.socket.get_ref()))
        {
            return Poll::Ready(Ok(count));
        }
        loop {
            let mut ready = ready!(self.link.socket.poll_read_ready(cx))?;
            match retry_on_intr(|| read(self.link.socket.get_ref())) {
                Ok(count) => {
                    // That was all: asking once more, only to hear so, would cost a system call.
                    if count > 0 && count < room {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::WOULDBLOCK) => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl Transport for Stream {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_with(cx, buffer.len(), |socket| {
            recv(socket, &mut *buffer, RecvFlags::empty()).map(|(count, _)| count)
        })
    }

    fn poll_append(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>, limit: usize) -> Poll<io::Result<usize>> {
        let (len, room) = (buffer.len(), buffer.capacity() - buffer.len());
        if room <= limit {
            return self.poll_with(cx, room, |socket| {
                recv(socket, spare_capacity(buffer), RecvFlags::empty()).map(|(count, _)| count)
            });
        }
        buffer.resize(len + limit, 0);
        let read = self.poll_read(cx, &mut buffer[len..]);
        let count = match &read {
            Poll::Ready(Ok(count)) => *count,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        buffer.truncate(len + count);
        read
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        while let Poll::Ready(ready) = self.link.socket.poll_read_ready(cx) {
            let Ok(mut ready) = ready else { return true };
            if ready.ready().is_read_closed() {
                return true;
            }
            let mut byte = [0];
            match retry_on_intr(|| recv(self.link.socket.get_ref(), &mut byte, RecvFlags::PEEK)) {
                Ok((0, _)) => return true,
                Ok(_) => self.unread = true,
                Err(Errno::WOULDBLOCK) => {}
                Err(_) => return true,
            }
            // What comes next, be it the end, is told anew.
            ready.clear_ready();
        }
        false
    }

    #[inline]
    fn poll_write(&mut self, cx: &mut Context<'_>, output: &Output) -> Poll<io::Result<usize>> {
        loop {
            let sent = match output.contiguous() {
                Some(bytes) => self.link.send(bytes),
                None => self.link.send_pieces(output),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.link.socket.poll_write_ready(cx))?.clear_ready();
                }
                result => return Poll::Ready(result),
            }
        }
    }

    #[inline]
    fn link(&self) -> Option<&Arc<Link>> {
        Some(&self.link)
    }
}
