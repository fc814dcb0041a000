//! Values that are kept apart from their entry, in an allocation of their own.

use bytes::{Bytes, BytesMut};

/// A value too large for its entry, or with a structure of its own.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string too large for a slab.
    Text(Text),
}

impl Value {
    /// Bytes that the value holds beside its entry.
    pub fn held_bytes(&self) -> usize {
        let content = match self {
            Value::Text(text) => text.capacity,
        };
        size_of::<Value>() + content
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
        let mut buffer = old.try_into_mut().unwrap_or_else(|shared| {
            self.capacity = len.max(shared.len());
            let mut copy = BytesMut::with_capacity(self.capacity);
            copy.extend_from_slice(&shared);
            copy
        });
        if len > self.capacity {
            self.capacity = len + len / 8;
            let mut grown = BytesMut::with_capacity(self.capacity);
            grown.extend_from_slice(&buffer);
            buffer = grown;
        }
        buffer.resize(len, 0);
        change(&mut buffer);
        self.bytes = buffer.freeze();
    }
}
