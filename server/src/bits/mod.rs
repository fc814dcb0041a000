//! Strings as arrays of bits, as SETBIT, BITCOUNT, BITPOS, BITOP and BITFIELD see them.
//!
//! Bit 0 is the highest bit of the first byte. What lies beyond the end reads as zero.
//! Every function takes time linear in the bytes it is given.

mod count;
mod field;
mod op;
mod pos;

pub use count::{bit_count, bit_count_range};
pub use field::{FieldAction, FieldKind, FieldOp, Overflow, parse_field_ops};
pub use op::{BitOp, bit_op};
pub use pos::bit_pos;

use crate::text::number::parse_i64;

/// What a range's indexes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of eight bits.
    Byte,
    /// Single bits.
    Bit,
}

impl Unit {
    /// Reads `BYTE` or `BIT`, in any case.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.eq_ignore_ascii_case(b"byte") {
            Some(Self::Byte)
        } else if text.eq_ignore_ascii_case(b"bit") {
            Some(Self::Bit)
        } else {
            None
        }
    }
}

/// What is wrong with a bit command's arguments. The text is what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BitError {
    /// An offset that is no number, negative, or beyond the longest allowed string.
    #[error("ERR bit offset is not an integer or out of range")]
    Offset,
    /// A SETBIT value other than 0 and 1.
    #[error("ERR bit is not an integer or out of range")]
    Bit,
    /// A BITPOS value other than 0 and 1.
    #[error("ERR The bit argument must be 1 or 0.")]
    Target,
    /// A field type other than `i1` to `i64` and `u1` to `u63`.
    #[error("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")]
    FieldType,
    /// A word after OVERFLOW other than WRAP, SAT and FAIL.
    #[error("ERR Invalid OVERFLOW type specified")]
    Overflow,
    /// A field value or increment that is no 64-bit integer.
    #[error("ERR value is not an integer or out of range")]
    Value,
    /// An unknown subcommand, or one with too few arguments.
    #[error("ERR syntax error")]
    Syntax,
    /// A subcommand that writes, in BITFIELD_RO.
    #[error("ERR BITFIELD_RO only supports the GET subcommand")]
    ReadOnly,
}

/// Reads a bit offset for a string that may have at most `max_bytes` bytes.
///
/// With `field_bits`, `#n` means the n-th field of that width.
///
/// # Errors
/// [`BitError::Offset`].
pub fn parse_offset(text: &[u8], field_bits: Option<u32>, max_bytes: u64) -> Result<u64, BitError> {
    let (text, scale) = match (text, field_bits) {
        ([b'#', rest @ ..], Some(bits)) => (rest, i64::from(bits)),
        _ => (text, 1),
    };
    let offset = parse_i64(text).and_then(|n| n.checked_mul(scale));
    let offset = offset.and_then(|n| u64::try_from(n).ok());
    offset.filter(|n| n >> 3 < max_bytes).ok_or(BitError::Offset)
}

/// Reads SETBIT's value: `0` or `1`.
///
/// # Errors
/// [`BitError::Bit`].
pub fn parse_bit(text: &[u8]) -> Result<bool, BitError> {
    match text {
        b"0" => Ok(false),
        b"1" => Ok(true),
        _ => Err(BitError::Bit),
    }
}

/// How many bytes a string needs for the bits `offset..offset + bits` to exist.
#[must_use]
pub fn bytes_for(offset: u64, bits: u32) -> u64 {
    offset.saturating_add(u64::from(bits)).div_ceil(8)
}

/// The bit at `offset`; zero beyond the end.
#[inline]
#[must_use]
pub fn get_bit(data: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset >> 3).ok().and_then(|i| data.get(i));
    byte.is_some_and(|byte| byte >> (7 - (offset & 7)) & 1 == 1)
}

/// Sets the bit at `offset` and returns what it was. Does nothing beyond the end: the
/// caller has grown the string to [`bytes_for`] that bit.
#[inline]
pub fn set_bit(data: &mut [u8], offset: u64, value: bool) -> bool {
    let byte = usize::try_from(offset >> 3).ok().and_then(|i| data.get_mut(i));
    let Some(byte) = byte else {
        return false;
    };
    let mask = 0x80_u8 >> (offset & 7);
    let old = *byte & mask != 0;
    *byte = if value { *byte | mask } else { *byte & !mask };
    old
}

#[cfg(test)]
mod tests;
