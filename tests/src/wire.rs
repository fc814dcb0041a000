//! A blocking client that keeps every byte of every reply, and can send what no client would.

use crate::reply::{self, Reply};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// One connection to a server.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Conn {
    /// Connects to `port` on loopback; reads give up after 20 s.
    ///
    /// # Errors
    /// If the connection is refused.
    pub fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(crate::wait::PATIENCE))?;
        stream.set_write_timeout(Some(crate::wait::PATIENCE))?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the peer has gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one whole reply and returns its bytes as they came.
    ///
    /// # Errors
    /// `UnexpectedEof` if the connection ends first, `InvalidData` if it is no RESP.
    pub fn read_raw(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let complete =
                reply::complete_len(&self.received).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
            if let Some(length) = complete {
                let rest = self.received.split_off(length);
                return Ok(std::mem::replace(&mut self.received, rest));
            }
            let mut chunk = vec![0; 64 << 10];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.received.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// Sends one command and returns the bytes of its reply.
    ///
    /// # Errors
    /// As [`Conn::send`] and [`Conn::read_raw`].
    pub fn call_raw<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Vec<u8>> {
        self.send(&encode(args))?;
        self.read_raw()
    }

    /// Sends a command whose arguments are separated by spaces, and decodes its reply.
    ///
    /// # Panics
    /// If the connection fails; tests that expect that use [`Conn::call_raw`].
    pub fn call(&mut self, command: &str) -> Reply {
        self.call_args(&command.split_whitespace().collect::<Vec<_>>())
    }

    /// Sends a command and decodes its reply.
    ///
    /// # Panics
    /// If the connection fails; tests that expect that use [`Conn::call_raw`].
    pub fn call_args<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        let raw = self.call_raw(args).unwrap_or_else(|error| {
            let shown: Vec<_> = args.iter().map(|arg| reply::escape(arg.as_ref())).collect();
            panic!("{}: {error}", shown.join(" "))
        });
        reply::decode(&raw).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Reads until the peer closes; returns what had come, unread replies included.
    ///
    /// # Errors
    /// `TimedOut` or `WouldBlock` if the peer keeps the connection open for `patience`.
    pub fn read_to_close(&mut self, patience: Duration) -> io::Result<Vec<u8>> {
        self.stream.set_read_timeout(Some(patience))?;
        let mut all = std::mem::take(&mut self.received);
        let mut chunk = vec![0; 64 << 10];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(all),
                Ok(n) => all.extend_from_slice(&chunk[..n]),
                // A peer that closes with unread input sends a reset: that is a close too.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(all),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes in what the peer sends until it has sent nothing for `silence`; a later read returns it.
    pub fn read_until_silent(&mut self, silence: Duration) {
        // If the socket is gone, the later read says so.
        let _ = self.stream.set_read_timeout(Some(silence));
        let mut chunk = vec![0; 64 << 10];
        while let Ok(n @ 1..) = self.stream.read(&mut chunk) {
            self.received.extend_from_slice(&chunk[..n]);
        }
    }

    /// Ends the sending side, as a client that goes away in the middle of a command does.
    pub fn finish(&mut self) {
        // The peer may have closed first; then there is nothing left to end.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The socket itself, for tests of timeouts and half-open connections.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// A command as RESP: an array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}
