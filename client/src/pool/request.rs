//! The requests that a pool makes itself.

use crate::command::{Access, Request};
use crate::resp::{Encoder, ToArgs};

/// Asks for a sign of life.
#[derive(Debug)]
pub(super) struct Ping;

impl Request for Ping {
    fn access(&self) -> Access {
        Access::Read
    }

    fn name(&self) -> String {
        "PING".to_string()
    }

    fn key(&self) -> Option<&[u8]> {
        None
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.request(&["PING"], &());
    }
}

/// Deletes keys. `DEL` rather than `UNLINK`, which servers before Redis 4 lack.
#[derive(Debug)]
pub(super) struct DelMany<'a>(pub(super) &'a [Box<[u8]>]);

impl Request for DelMany<'_> {
    fn access(&self) -> Access {
        Access::Write
    }

    fn name(&self) -> String {
        "DEL".to_string()
    }

    fn key(&self) -> Option<&[u8]> {
        self.0.first().map(|key| &**key)
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.header(1 + self.0.len());
        out.arg(b"DEL");
        self.0.iter().for_each(|key| out.arg(key));
    }
}

/// A command that is given as words.
#[derive(Debug)]
pub(super) struct Words<'a> {
    pub(super) access: Access,
    pub(super) words: &'a [&'a [u8]],
}

impl Request for Words<'_> {
    fn access(&self) -> Access {
        self.access
    }

    fn name(&self) -> String {
        self.words
            .first()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .unwrap_or_default()
    }

    fn key(&self) -> Option<&[u8]> {
        self.words.get(1).copied()
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.header(self.words.len());
        self.words.iter().for_each(|word| out.arg(word));
    }
}

/// Some of the keys of a command that takes many, each with what belongs to it.
#[derive(Debug)]
pub(super) struct Part<'a, K, A> {
    pub(super) access: Access,
    pub(super) name: &'static str,
    pub(super) items: &'a [(K, A)],
    pub(super) picks: &'a [u32],
}

impl<K: AsRef<[u8]>, A: ToArgs> Request for Part<'_, K, A> {
    fn access(&self) -> Access {
        self.access
    }

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn key(&self) -> Option<&[u8]> {
        self.picks.first().map(|pick| self.items[*pick as usize].0.as_ref())
    }

    fn keys<'k>(&'k self, visit: &mut dyn FnMut(&'k [u8])) {
        self.picks
            .iter()
            .for_each(|pick| visit(self.items[*pick as usize].0.as_ref()));
    }

    fn is_get(&self) -> bool {
        self.name == "GET"
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        let picked = || self.picks.iter().map(|pick| &self.items[*pick as usize]);
        out.header(1 + picked().map(|(_, args)| 1 + args.count()).sum::<usize>());
        out.arg(self.name.as_bytes());
        for (key, args) in picked() {
            out.arg(key.as_ref());
            args.write(out);
        }
    }
}

/// A value and its time to live: two replies.
#[derive(Debug)]
pub(super) struct Fetch<'a>(pub(super) &'a [u8]);

impl Request for Fetch<'_> {
    fn access(&self) -> Access {
        Access::Read
    }

    fn name(&self) -> String {
        "GET".to_string()
    }

    fn key(&self) -> Option<&[u8]> {
        Some(self.0)
    }

    fn replies(&self) -> u32 {
        2
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.request(&["GET"], &Bytes(self.0));
        out.request(&["PTTL"], &Bytes(self.0));
    }
}

/// Bytes as one argument.
struct Bytes<'a>(&'a [u8]);

impl ToArgs for Bytes<'_> {
    fn write(&self, out: &mut Encoder<'_>) {
        out.arg(self.0);
    }
}
