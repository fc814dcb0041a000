//! What is said first on a connection: the protocol, the login, the name, the database.

use super::stream::Stream;
use crate::config::{Config, Target};
use crate::resp::decode::Decoder;
use crate::resp::{Encoder, ToArgs, Value};
use bytes::BytesMut;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A stream on which commands can be sent.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) stream: Stream,
    /// What has arrived beyond the handshake.
    pub(crate) input: BytesMut,
}

/// Opens a stream to the target and introduces itself. The caller bounds how long that may take.
///
/// # Errors
/// What the system said, or the server's error if it refuses the login or the database.
pub(crate) async fn connect(target: &Target, config: &Config) -> io::Result<Ready> {
    let mut talk = Talk {
        stream: Stream::open(&target.address, config).await?,
        input: BytesMut::new(),
        decoder: Decoder::new(config.max_reply_bytes),
    };
    let mut words = Words::default();
    if !(config.resp3 && hello(&mut talk, target, config).await?) {
        old_hello(&mut words, target, config);
    }
    // For those who look at CLIENT LIST; older servers do not know it.
    words.may(&["CLIENT", "SETINFO"], &("LIB-NAME", "larder-client"));
    words.may(&["CLIENT", "SETINFO"], &("LIB-VER", env!("CARGO_PKG_VERSION")));
    if target.database != 0 {
        words.must(&["SELECT"], &target.database);
    }
    talk.say(&words).await?;
    Ok(Ready {
        stream: talk.stream,
        input: talk.input,
    })
}

/// Asks for RESP3, with login and name; false if the server does not know how.
async fn hello(talk: &mut Talk, target: &Target, config: &Config) -> io::Result<bool> {
    let login = target
        .password
        .as_deref()
        .map(|password| ("AUTH", target.user.as_deref().unwrap_or("default"), password));
    let name = config.client_name.as_deref().map(|name| ("SETNAME", name));
    match talk.ask(&["HELLO"], &(3, login, name)).await? {
        Value::Error(error) if error.code() == "NOPROTO" || error.message().contains("unknown command") => Ok(false),
        Value::Error(error) => Err(refused(error.message())),
        _ => Ok(true),
    }
}

/// The same in RESP2.
fn old_hello(words: &mut Words, target: &Target, config: &Config) {
    if let Some(password) = &target.password {
        words.must(&["AUTH"], &(&target.user, password));
    }
    if let Some(name) = &config.client_name {
        words.must(&["CLIENT", "SETNAME"], name);
    }
    // A server that wants a password says so to any command; better now than to the first call.
    words.must(&["PING"], &());
}

/// What is said in one go, so that it takes one round trip.
#[derive(Default)]
struct Words {
    out: Vec<u8>,
    /// For each whether the server must agree.
    musts: Vec<bool>,
}

impl Words {
    fn must(&mut self, name: &[&str], args: &impl ToArgs) {
        Encoder::new(&mut self.out).request(name, args);
        self.musts.push(true);
    }

    fn may(&mut self, name: &[&str], args: &impl ToArgs) {
        Encoder::new(&mut self.out).request(name, args);
        self.musts.push(false);
    }
}

fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, what)
}

struct Talk {
    stream: Stream,
    input: BytesMut,
    decoder: Decoder,
}

impl Talk {
    async fn ask(&mut self, name: &[&str], args: &impl ToArgs) -> io::Result<Value> {
        let mut request = Vec::new();
        Encoder::new(&mut request).request(name, args);
        self.send(&request).await?;
        self.hear().await
    }

    /// Says some words and hears all replies.
    ///
    /// # Errors
    /// What the server said against the first that it must agree to.
    async fn say(&mut self, words: &Words) -> io::Result<()> {
        self.send(&words.out).await?;
        for must in &words.musts {
            match self.hear().await? {
                Value::Error(error) if *must => return Err(refused(error.message())),
                _ => {}
            }
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn hear(&mut self) -> io::Result<Value> {
        loop {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(Value::Push(_))) => continue,
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
