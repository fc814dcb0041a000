//! What the client knows of a request before it sends it: where its keys are, and whether it may be sent twice.

mod facts;
mod raw;

pub(crate) use facts::{Scope, Wait};
pub(crate) use raw::Checked;
pub use raw::{Cmd, cmd};

use crate::resp::{Encoder, ToArgs};

/// What a command does, as far as sending it again matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It changes nothing, so sending it twice does no harm.
    Read,
    /// It may change something.
    Write,
}

/// A command's facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// The words of its name.
    pub(crate) name: &'static [&'static str],
    pub(crate) access: Access,
}

impl Spec {
    /// A command that changes nothing.
    pub(crate) const fn read(name: &'static [&'static str]) -> Spec {
        Spec {
            name,
            access: Access::Read,
        }
    }

    /// A command that may change something.
    pub(crate) const fn write(name: &'static [&'static str]) -> Spec {
        Spec {
            name,
            access: Access::Write,
        }
    }
}

/// What can be sent to a node, as often as it must be.
pub(crate) trait Request {
    /// Whether sending it twice does harm.
    fn access(&self) -> Access;

    /// Its name, for messages.
    fn name(&self) -> String;

    /// The key that decides which node gets it.
    fn key(&self) -> Option<&[u8]>;

    /// Shows all keys, in order; they must lie on one node.
    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8])) {
        if let Some(key) = self.key() {
            visit(key);
        }
    }

    /// Whether another node may answer it for want of its own: it leaves some of its time for that.
    fn is_get(&self) -> bool {
        false
    }

    /// Which nodes it concerns if it has no key.
    fn scope(&self) -> Scope {
        Scope::Any
    }

    /// How many replies it gets.
    fn replies(&self) -> u32 {
        1
    }

    /// Appends it.
    fn encode(&self, out: &mut Encoder<'_>);
}

/// A command on one key: the name, the key, and what follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed<'a, A> {
    pub(crate) spec: Spec,
    pub(crate) key: &'a [u8],
    pub(crate) args: A,
}

impl<A: ToArgs> Request for Keyed<'_, A> {
    fn access(&self) -> Access {
        self.spec.access
    }

    fn name(&self) -> String {
        self.spec.name.join(" ")
    }

    fn key(&self) -> Option<&[u8]> {
        Some(self.key)
    }

    fn is_get(&self) -> bool {
        self.spec.name == ["GET"]
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.request(self.spec.name, &(BytesArg(self.key), &self.args));
    }
}

/// A command on two keys, which stand in front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TwoKeys<'a, A> {
    pub(crate) spec: Spec,
    pub(crate) keys: [&'a [u8]; 2],
    pub(crate) args: A,
}

impl<A: ToArgs> Request for TwoKeys<'_, A> {
    fn access(&self) -> Access {
        self.spec.access
    }

    fn name(&self) -> String {
        self.spec.name.join(" ")
    }

    fn key(&self) -> Option<&[u8]> {
        Some(self.keys[0])
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8])) {
        self.keys.iter().for_each(|key| visit(key));
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        let [first, second] = self.keys;
        out.request(self.spec.name, &(BytesArg(first), BytesArg(second), &self.args));
    }
}

/// A command without a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyless<A> {
    pub(crate) spec: Spec,
    pub(crate) scope: Scope,
    pub(crate) args: A,
}

impl<A: ToArgs> Request for Keyless<A> {
    fn access(&self) -> Access {
        self.spec.access
    }

    fn name(&self) -> String {
        self.spec.name.join(" ")
    }

    fn key(&self) -> Option<&[u8]> {
        None
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.request(self.spec.name, &self.args);
    }
}

/// Bytes as one argument.
pub(crate) struct BytesArg<'a>(pub(crate) &'a [u8]);

impl ToArgs for BytesArg<'_> {
    fn write(&self, out: &mut Encoder<'_>) {
        out.arg(self.0);
    }
}
