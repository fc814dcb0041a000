//! Values that are kept apart from their entry, in an allocation of their own.

use super::arena::allocated_bytes;
use bytes::{Bytes, BytesMut};

/// What `Bytes` allocates to count references, from the first reply that shares the value on.
const SHARED: usize = 32;

/// A value too large for its entry, or with a structure of its own.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string too large for a slab.
    Text(Text),
}

impl Value {
    /// Bytes that the value holds beside its entry, as the allocator gives them.
    pub fn held_bytes(&self) -> usize {
        let content = match self {
            Value::Text(text) => text.capacity,
        };
        allocated_bytes(size_of::<Value>()) + allocated_bytes(content) + SHARED
    }
}

/// A large string, shared by reference count with the replies that carry it.
#[derive(Clone, Debug)]
pub struct Text {
    bytes: Bytes,
    /// What the allocation holds, which `bytes` does not tell.
    capacity: usize,
}

impl Text {
    /// Takes over bytes that fill their allocation.
    pub fn new(bytes: Bytes) -> Text {
        Text {
            capacity: bytes.len(),
            bytes,
        }
    }

    /// The content.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Makes the string `len` bytes long, padded with zeros or cut, and lets `change` edit it.
    ///
    /// A copy is made only while a reply still holds the old content; room grows by an eighth, so
    /// that many small appends do not copy the whole string each time.
    pub fn edit(&mut self, len: usize, change: impl FnOnce(&mut [u8])) {
        let old = std::mem::take(&mut self.bytes);
        let mut buffer = match old.try_into_mut() {
            Ok(own) if len <= self.capacity => own,
            Ok(own) => self.copy(&own, len, len / 8),
            Err(shared) => self.copy(&shared, len, 0),
        };
        buffer.resize(len, 0);
        change(&mut buffer);
        self.bytes = buffer.freeze();
    }
    /// A copy, cut or padded with zeros to `len` bytes, with room for `spare` more.
    fn copy(&mut self, old: &[u8], len: usize, spare: usize) -> BytesMut {
        self.capacity = len + spare;
        // Asking for zeroed memory is cheap however much it is.
        let mut copy = BytesMut::zeroed(self.capacity);
        copy.truncate(len);
        let kept = old.len().min(len);
        copy[..kept].copy_from_slice(&old[..kept]);
        copy
    }
}
