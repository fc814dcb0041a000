//! What a connection reads from and writes to: a socket of either kind.

use crate::resp::Output;
use crate::worker::Socket;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Pieces of one vectored write.
const PIECES: usize = 64;

/// What a connection reads from and writes to.
pub(crate) trait Transport: Unpin {
    /// Reads what there is, as far as `buffer` has room; nothing at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;

    /// Reads at most `limit` bytes behind what `buffer` holds.
    fn poll_append(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>, limit: usize) -> Poll<io::Result<usize>>;

    /// Whether the peer has closed its side with nothing left to read; if not, `cx` is woken when something
    /// comes. May not be known.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool;

    /// Writes from the front of `output` and returns how many bytes.
    fn poll_write(&mut self, cx: &mut Context<'_>, output: &Output) -> Poll<io::Result<usize>>;
}

/// A socket of either kind.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Registers the socket with this thread's runtime.
    pub(crate) fn open(socket: Socket) -> io::Result<Stream> {
        Ok(match socket {
            Socket::Tcp(socket) => Stream::Tcp(TcpStream::from_std(socket)?),
            Socket::Unix(socket) => Stream::Unix(UnixStream::from_std(socket)?),
        })
    }
}

impl Stream {
    // Apart, so that a plain write does not prepare the pieces.
    #[inline(never)]
    fn poll_write_pieces(&mut self, cx: &mut Context<'_>, output: &Output) -> Poll<io::Result<usize>> {
        let mut pieces = [io::IoSlice::new(&[]); PIECES];
        let used = output.pieces(&mut pieces);
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, &pieces[..used]),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, &pieces[..used]),
        }
    }
}

impl Transport for Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }

    fn poll_append(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>, limit: usize) -> Poll<io::Result<usize>> {
        use bytes::BufMut;
        let mut buffer = buffer.limit(limit);
        match self {
            Stream::Tcp(stream) => pin!(stream.read_buf(&mut buffer)).poll(cx),
            Stream::Unix(stream) => pin!(stream.read_buf(&mut buffer)).poll(cx),
        }
    }

    /// Not known of a Unix socket.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        match self {
            Stream::Tcp(stream) => matches!(
                stream.poll_peek(cx, &mut ReadBuf::new(&mut byte)),
                Poll::Ready(Ok(0) | Err(_))
            ),
            Stream::Unix(_) => false,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, output: &Output) -> Poll<io::Result<usize>> {
        match (self, output.contiguous()) {
            (Stream::Tcp(stream), Some(bytes)) => Pin::new(stream).poll_write(cx, bytes),
            (Stream::Unix(stream), Some(bytes)) => Pin::new(stream).poll_write(cx, bytes),
            (stream, None) => stream.poll_write_pieces(cx, output),
        }
    }
}
