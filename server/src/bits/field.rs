//! BITFIELD: integers of 1 to 64 bits at any bit offset.

use super::{BitError, bytes_for, parse_offset};
use crate::text::number::parse_i64;

/// A field's type: signed of 1 to 64 bits or unsigned of 1 to 63.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldKind {
    signed: bool,
    bits: u32,
}

/// What happens to a result that its field cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The high bits are dropped.
    Wrap,
    /// The nearest value that fits is taken.
    Saturate,
    /// Nothing is written and the reply is nil.
    Fail,
}

/// What to do with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldAction {
    /// Reply its value.
    Get,
    /// Store a value, reply the old one.
    Set(i64),
    /// Add to it, reply the new value.
    IncrementBy(i64),
}

/// One subcommand of BITFIELD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldOp {
    /// The field's type.
    pub kind: FieldKind,
    /// The bit where it begins.
    pub offset: u64,
    /// What to do with it.
    pub action: FieldAction,
    /// What if the result does not fit.
    pub overflow: Overflow,
}

impl FieldKind {
    /// Reads `i1` to `i64` or `u1` to `u63`.
    ///
    /// # Errors
    /// [`BitError::FieldType`].
    pub fn parse(text: &[u8]) -> Result<Self, BitError> {
        let (signed, digits) = match text {
            [b'i', digits @ ..] => (true, digits),
            [b'u', digits @ ..] => (false, digits),
            _ => return Err(BitError::FieldType),
        };
        let most = if signed { 64 } else { 63 };
        match parse_i64(digits) {
            Some(bits) if (1..=most).contains(&bits) => Ok(Self {
                signed,
                bits: bits as u32,
            }),
            _ => Err(BitError::FieldType),
        }
    }

    /// Width in bits, 1 to 64.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// The field's value at bit `offset`; bits beyond the end are zero.
    #[must_use]
    pub fn get(self, data: &[u8], offset: u64) -> i64 {
        let raw = read(data, offset, self.bits);
        if self.signed {
            self.extend(raw)
        } else {
            raw.cast_signed()
        }
    }

    /// The low bits of `raw` as a signed value of this width.
    fn extend(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        (raw << unused).cast_signed() >> unused
    }

    /// `value + increment` as this type, and whether it had to be bent to fit.
    fn add(self, value: i64, increment: i64, overflow: Overflow) -> (i64, bool) {
        let (beyond, limit) = if self.signed {
            self.check_signed(value, increment)
        } else {
            self.check_unsigned(value.cast_unsigned(), increment)
        };
        let sum = value.wrapping_add(increment);
        match overflow {
            _ if !beyond => (sum, false),
            Overflow::Saturate => (limit, true),
            Overflow::Wrap | Overflow::Fail if self.signed => (self.extend(sum.cast_unsigned()), true),
            Overflow::Wrap | Overflow::Fail => (sum & self.unsigned_max(), true),
        }
    }

    fn unsigned_max(self) -> i64 {
        (u64::MAX >> (64 - self.bits)).cast_signed()
    }

    /// Whether the sum does not fit, and the limit it passes.
    ///
    /// The distance to the limit wraps as in Redis: SET of a value far below a narrow
    /// field's range saturates to its maximum there, and must here.
    fn check_signed(self, value: i64, increment: i64) -> (bool, i64) {
        let max = i64::MAX >> (64 - self.bits);
        let min = -max - 1;
        let room_up = max.wrapping_sub(value);
        let room_down = min.wrapping_sub(value);
        let narrow = self.bits < 64;
        if value > max || (increment > room_up && (narrow || (value >= 0 && increment > 0))) {
            (true, max)
        } else if value < min || (increment < room_down && (narrow || (value < 0 && increment < 0))) {
            (true, min)
        } else {
            (false, 0)
        }
    }

    /// As [`Self::check_signed`]; a negative value to SET counts as huge.
    fn check_unsigned(self, value: u64, increment: i64) -> (bool, i64) {
        let max = self.unsigned_max();
        let room_up = max.wrapping_sub(value.cast_signed());
        let room_down = value.wrapping_neg().cast_signed();
        if value > max.cast_unsigned() || (increment > 0 && increment > room_up) {
            (true, max)
        } else {
            (increment < 0 && increment < room_down, 0)
        }
    }
}

impl FieldOp {
    /// How many bytes the string must have before [`Self::run`]; `None` for a GET, which
    /// needs none.
    #[must_use]
    pub fn bytes_needed(&self) -> Option<u64> {
        match self.action {
            FieldAction::Get => None,
            FieldAction::Set(_) | FieldAction::IncrementBy(_) => Some(bytes_for(self.offset, self.kind.bits)),
        }
    }

    /// Reads the field for a GET, without needing write access; `None` for the others.
    #[must_use]
    pub fn read(&self, data: &[u8]) -> Option<i64> {
        match self.action {
            FieldAction::Get => Some(self.kind.get(data, self.offset)),
            FieldAction::Set(_) | FieldAction::IncrementBy(_) => None,
        }
    }

    /// Carries the subcommand out and returns its reply; `None` is nil: it would overflow
    /// and was told to fail. Bits beyond the end of `data` are not written.
    pub fn run(&self, data: &mut [u8]) -> Option<i64> {
        let old = self.kind.get(data, self.offset);
        let ((new, bent), reply_old) = match self.action {
            FieldAction::Get => return Some(old),
            FieldAction::Set(value) => (self.kind.add(value, 0, self.overflow), true),
            FieldAction::IncrementBy(step) => (self.kind.add(old, step, self.overflow), false),
        };
        if bent && self.overflow == Overflow::Fail {
            return None;
        }
        write(data, self.offset, self.kind.bits, new.cast_unsigned());
        Some(if reply_old { old } else { new })
    }
}

/// Reads the arguments of BITFIELD after the key, for strings of at most `max_bytes`.
///
/// With `read_only` only GET is allowed, which Redis finds out after everything else.
/// Before running the operations the caller grows the string to the largest
/// [`FieldOp::bytes_needed`].
///
/// # Errors
/// The first thing that is wrong, as Redis words it.
pub fn parse_field_ops<'a>(
    args: impl Iterator<Item = &'a [u8]>,
    read_only: bool,
    max_bytes: u64,
) -> Result<Vec<FieldOp>, BitError> {
    let args: Vec<&[u8]> = args.collect();
    let mut ops = Vec::with_capacity(args.len() / 3);
    let mut overflow = Overflow::Wrap;
    let mut rest = args.as_slice();
    while let [name, tail @ ..] = rest {
        if name.eq_ignore_ascii_case(b"overflow") {
            let [word, tail @ ..] = tail else {
                return Err(BitError::Syntax);
            };
            overflow = parse_overflow(word)?;
            rest = tail;
            continue;
        }
        let operands = if name.eq_ignore_ascii_case(b"get") {
            2
        } else if name.eq_ignore_ascii_case(b"set") || name.eq_ignore_ascii_case(b"incrby") {
            3
        } else {
            return Err(BitError::Syntax);
        };
        let Some((operands, tail)) = tail.split_at_checked(operands) else {
            return Err(BitError::Syntax);
        };
        ops.push(parse_op(name, operands, overflow, max_bytes)?);
        rest = tail;
    }
    if read_only && ops.iter().any(|op| op.action != FieldAction::Get) {
        return Err(BitError::ReadOnly);
    }
    Ok(ops)
}

fn parse_overflow(word: &[u8]) -> Result<Overflow, BitError> {
    if word.eq_ignore_ascii_case(b"wrap") {
        Ok(Overflow::Wrap)
    } else if word.eq_ignore_ascii_case(b"sat") {
        Ok(Overflow::Saturate)
    } else if word.eq_ignore_ascii_case(b"fail") {
        Ok(Overflow::Fail)
    } else {
        Err(BitError::Overflow)
    }
}

/// One subcommand; `name` is GET, SET or INCRBY and has two or three operands.
fn parse_op(name: &[u8], operands: &[&[u8]], overflow: Overflow, max_bytes: u64) -> Result<FieldOp, BitError> {
    let [kind, offset, value @ ..] = operands else {
        return Err(BitError::Syntax);
    };
    let kind = FieldKind::parse(kind)?;
    let offset = parse_offset(offset, Some(kind.bits), max_bytes)?;
    let action = match value {
        [] => FieldAction::Get,
        [value, ..] => {
            let value = parse_i64(value).ok_or(BitError::Value)?;
            if name.eq_ignore_ascii_case(b"set") {
                FieldAction::Set(value)
            } else {
                FieldAction::IncrementBy(value)
            }
        }
    };
    Ok(FieldOp {
        kind,
        offset,
        action,
        overflow,
    })
}

/// Bytes that a field of 64 bits can touch if it does not begin at a byte's first bit.
const WINDOW: usize = 9;

/// The `bits` bits at `offset` as a number.
fn read(data: &[u8], offset: u64, bits: u32) -> u64 {
    let window = usize::try_from(offset >> 3).ok().and_then(|i| data.get(i..));
    let mut bytes = [0; 16];
    for (to, from) in bytes[..WINDOW].iter_mut().zip(window.unwrap_or(&[])) {
        *to = *from;
    }
    let unused = 128 - bits - (offset & 7) as u32;
    (u128::from_be_bytes(bytes) >> unused) as u64 & (u64::MAX >> (64 - bits))
}

/// Stores the low `bits` bits of `value` at `offset`.
fn write(data: &mut [u8], offset: u64, bits: u32, value: u64) {
    let window = usize::try_from(offset >> 3).ok().and_then(|i| data.get_mut(i..));
    let unused = 128 - bits - (offset & 7) as u32;
    let mask = u128::from(u64::MAX >> (64 - bits)) << unused;
    let value = (u128::from(value) << unused) & mask;
    let masks = mask.to_be_bytes();
    let values = value.to_be_bytes();
    for (i, byte) in window.unwrap_or_default().iter_mut().take(WINDOW).enumerate() {
        *byte = (*byte & !masks[i]) | values[i];
    }
}
