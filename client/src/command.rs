//! What the client knows of commands: where their keys are, and whether they may be sent twice.

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

/// Bytes as one argument.
struct BytesArg<'a>(&'a [u8]);

impl ToArgs for BytesArg<'_> {
    fn write(&self, out: &mut Encoder<'_>) {
        out.arg(self.0);
    }
}
