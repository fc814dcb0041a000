//! GET and SET in the two protocols that caches speak: requests written, replies read.

use std::io::{BufRead, Write};

use anyhow::{Context, Result, bail, ensure};

use crate::load::Protocol;

/// Longer lines are no reply of a cache.
const MAX_LINE: usize = 64 << 10;
/// What values are made of; no cache under test compresses.
const FILLER: [u8; 4096] = [b'v'; 4096];

/// What a cache says to a GET or a SET.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The value, of this many bytes.
    Value(usize),
    Missing,
    Stored,
    /// An error, such as that a value is too large.
    Refused(String),
}

/// Appends a request for the value of `key`.
pub(super) fn get(protocol: Protocol, key: &[u8], out: &mut Vec<u8>) {
    match protocol {
        Protocol::Resp => {
            put(out, format_args!("*2\r\n$3\r\nGET\r\n${}\r\n", key.len()));
            out.extend_from_slice(key);
            out.extend_from_slice(b"\r\n");
        }
        Protocol::Memcached => {
            out.extend_from_slice(b"mg ");
            out.extend_from_slice(key);
            out.extend_from_slice(b" v\r\n");
        }
    }
}

/// Appends a request to store a value of `size` bytes under `key`.
pub(super) fn set(protocol: Protocol, key: &[u8], size: usize, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Resp => {
            put(out, format_args!("*3\r\n$3\r\nSET\r\n${}\r\n", key.len()));
            out.extend_from_slice(key);
            put(out, format_args!("\r\n${size}\r\n"));
        }
        Protocol::Memcached => {
            out.extend_from_slice(b"ms ");
            out.extend_from_slice(key);
            put(out, format_args!(" {size}\r\n"));
        }
    }
    let mut left = size;
    while left > 0 {
        let piece = left.min(FILLER.len());
        out.extend_from_slice(&FILLER[..piece]);
        left -= piece;
    }
    out.extend_from_slice(b"\r\n");
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments) {
    out.write_fmt(text).expect("a Vec takes all that is written to it");
}

/// Reads the next reply. `line` is room to work in.
///
/// # Errors
/// If the connection ends or the bytes are no reply to a GET or SET.
pub(super) fn read_reply(protocol: Protocol, source: &mut impl BufRead, line: &mut Vec<u8>) -> Result<Reply> {
    line.clear();
    source.read_until(b'\n', line).context("no reply")?;
    ensure!(!line.is_empty(), "the server closed the connection");
    ensure!(line.len() <= MAX_LINE, "a reply line of {} bytes", line.len());
    let Some(text) = line.strip_suffix(b"\r\n") else {
        bail!("a cut-off reply: {}", String::from_utf8_lossy(line));
    };
    let reply = match protocol {
        Protocol::Resp => resp(text),
        Protocol::Memcached => memcached(text),
    };
    let reply = reply.with_context(|| format!("no reply to GET or SET: {}", String::from_utf8_lossy(text)))?;
    if let Reply::Value(size) = reply {
        // The line end after the value, too.
        skip(source, size + 2)?;
    }
    Ok(reply)
}

fn resp(line: &[u8]) -> Option<Reply> {
    match line.split_first()? {
        (b'$', b"-1") => Some(Reply::Missing),
        (b'$', digits) => Some(Reply::Value(number(digits)?)),
        (b'+', b"OK") => Some(Reply::Stored),
        (b'-', why) => Some(Reply::Refused(String::from_utf8_lossy(why).into_owned())),
        _ => None,
    }
}

fn memcached(line: &[u8]) -> Option<Reply> {
    match line {
        b"EN" => Some(Reply::Missing),
        b"HD" => Some(Reply::Stored),
        _ if line.starts_with(b"VA ") => Some(Reply::Value(number(line[3..].trim_ascii_end())?)),
        b"NS" | b"ERROR" => Some(Reply::Refused(String::from_utf8_lossy(line).into_owned())),
        _ if line.starts_with(b"SERVER_ERROR") || line.starts_with(b"CLIENT_ERROR") => {
            Some(Reply::Refused(String::from_utf8_lossy(line).into_owned()))
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits)
        .ok()?
        .parse()
        .ok()
        .filter(|size| *size <= 512 << 20)
}

fn skip(source: &mut impl BufRead, mut bytes: usize) -> Result<()> {
    while bytes > 0 {
        let there = source.fill_buf().context("in a value")?.len();
        ensure!(there > 0, "the server closed the connection in a value");
        let taken = there.min(bytes);
        source.consume(taken);
        bytes -= taken;
    }
    Ok(())
}
