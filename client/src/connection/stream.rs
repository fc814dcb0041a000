//! The ways to a node: TCP and Unix sockets, and TLS as a feature.

use crate::config::{Address, Config};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// After how long without traffic the system asks a peer whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// An open stream to a node.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    /// Opens a stream; the caller bounds how long that may take.
    ///
    /// # Errors
    /// What the system said of the last address that was tried.
    pub(crate) async fn open(address: &Address, config: &Config) -> io::Result<Stream> {
        match address {
            Address::Tcp { host, port } => Ok(Stream::Tcp(tcp(host, *port).await?)),
            Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
            #[cfg(feature = "tls")]
            Address::Tls { host, port } => {
                let stream = super::tls::connect(tcp(host, *port).await?, host, config).await?;
                Ok(Stream::Tls(Box::new(stream)))
            }
            #[cfg(not(feature = "tls"))]
            Address::Tls { .. } => {
                let _ = config;
                let what = "larder-client was built without its feature `tls`";
                Err(io::Error::new(io::ErrorKind::Unsupported, what))
            }
        }
    }

    /// Makes closing it a reset: what the system has taken and could not send yet is thrown away.
    pub(crate) fn discard_unsent(&self) {
        let tcp = match self {
            Stream::Tcp(stream) => stream,
            // What a socket of the file system takes is with the peer at once.
            Stream::Unix(_) => return,
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.get_ref().0,
        };
        if let Err(error) = socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a broken connection is closed in order");
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / 3);
    socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

/// Calls a method of whichever stream it is.
macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
            #[cfg(feature = "tls")]
            Stream::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
