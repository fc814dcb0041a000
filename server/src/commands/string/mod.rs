//! Commands on strings.

mod compare;
mod counters;
mod get;
mod lcs;
mod multi;
mod options;
mod ranges;
mod set;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod ttl_tests;

pub use compare::{delex, digest};
pub use counters::{decr, decrby, incr, incrby, incrbyfloat};
pub use get::{get, getdel, getex, getset};
pub use lcs::lcs;
pub use multi::{mget, mset, msetex, msetnx};
pub use ranges::{append, getrange, setrange, strlen};
pub use set::{psetex, set, setex, setnx};

use crate::call::Error;
use crate::node::Node;
use crate::resp::request::Args;
use crate::store::{Key, NewValue, Text};

/// A string of this length is allowed whatever the settings: it is the least that `proto-max-bulk-len`
/// can be, so that short strings need not look it up.
const ALWAYS_ALLOWED: u64 = 1 << 20;

/// An argument as a value: a large one that has its own allocation is kept as it is.
#[inline]
fn value<'a>(args: &Args<'a>, index: usize) -> NewValue<'a> {
    if args.is_owned(index) {
        NewValue::Shared(args.shared(index))
    } else {
        NewValue::Bytes(args.get(index).unwrap_or_default())
    }
}

/// Checks that a string may be `len` bytes long.
///
/// # Errors
/// It would be longer than `proto-max-bulk-len`, or than all memory that the node may use.
#[inline]
pub(super) fn check_len(node: &Node, len: u64) -> Result<(), Error> {
    if len <= ALWAYS_ALLOWED {
        Ok(())
    } else {
        check_large(node, len)
    }
}

#[cold]
fn check_large(node: &Node, len: u64) -> Result<(), Error> {
    if len > node.config.settings().proto_max_bulk_len {
        return Err(Error::new(
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ));
    }
    match node.memory_limit.load(std::sync::atomic::Ordering::Relaxed) {
        0 => Ok(()),
        limit if len <= limit => Ok(()),
        _ => Err(Error::OUT_OF_MEMORY),
    }
}

/// Looks at the string of a key, if there is one, and lets go of the key as early as possible: `look` may
/// take its time over a large string.
///
/// # Errors
/// The value is no string.
pub(super) fn look_at<R>(mut key: Key<'_>, look: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, Error> {
    key.read();
    match key.text()? {
        None => Ok(None),
        Some(Text::Inline(bytes)) => Ok(Some(look(bytes))),
        Some(Text::Shared(bytes)) => {
            let bytes = bytes.clone();
            drop(key);
            Ok(Some(look(&bytes)))
        }
    }
}
