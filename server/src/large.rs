//! A large argument: read straight into an allocation of its own, or dropped if the node has no room for it.

use crate::memory;
use crate::node::Node;
use crate::worker::INPUT_BYTES;
use bytes::Bytes;

/// What is reserved ahead; the rest as it arrives, so that a claim costs nothing.
const RESERVE_BYTES: usize = 1 << 20;

/// A large argument that is being read.
pub(crate) struct Large {
    bytes: Vec<u8>,
    len: usize,
    /// How much was dropped of an argument that the node has no room for; `None` for one that is kept.
    dropped: Option<usize>,
}

impl Large {
    /// An argument of `len` bytes, of which the first have arrived.
    pub(crate) fn begin(node: &Node, len: usize, arrived: &[u8]) -> Large {
        let dropped = (len as u64 > memory::longest_argument(node)).then_some(0);
        let ahead = if dropped.is_some() { INPUT_BYTES } else { RESERVE_BYTES };
        let mut bytes = Vec::with_capacity(len.min(ahead));
        bytes.extend_from_slice(arrived);
        Large { bytes, len, dropped }
    }

    /// How much has not arrived.
    pub(crate) fn missing(&mut self) -> usize {
        if let Some(dropped) = &mut self.dropped {
            *dropped += self.bytes.len();
            self.bytes.clear();
        }
        self.len - self.dropped.unwrap_or(self.bytes.len())
    }

    /// Where to append what is `missing`, and how much at once.
    pub(crate) fn buffer(&mut self, missing: usize) -> (&mut Vec<u8>, usize) {
        if self.bytes.len() == self.bytes.capacity() {
            let ahead = self.bytes.len().max(RESERVE_BYTES);
            self.bytes.reserve_exact(missing.min(ahead));
        }
        let most = if self.is_dropped() {
            missing.min(INPUT_BYTES)
        } else {
            missing
        };
        (&mut self.bytes, most)
    }

    /// Whether it is not kept.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.is_some()
    }

    /// The whole; nothing if it was dropped.
    pub(crate) fn finish(self) -> Bytes {
        Bytes::from(self.bytes)
    }

    /// Bytes that it holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
