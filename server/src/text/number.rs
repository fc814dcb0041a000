//! Integers and doubles in the exact spelling that Redis accepts and prints.

use std::fmt::Write as _;

use super::float_syntax::{self, FloatText, Format};

/// Longest output of [`format_i64`] and [`format_u64`], in bytes.
pub const INT_BYTES: usize = 20;

/// Longest output of [`format_f64`], in bytes, rounded up.
pub const FLOAT_BYTES: usize = 32;

/// Reads a decimal integer, accepting only the one canonical spelling of each value.
///
/// No leading `+`, space or zero, and no `-0`: a value stored as a number must print back
/// to the bytes it came from. `None` for anything else and for values outside `i64`.
#[inline]
#[must_use]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if let [b'-', rest @ ..] = text {
        let magnitude = parse_u64(rest)?;
        if magnitude == 0 || magnitude > i64::MIN.unsigned_abs() {
            return None;
        }
        return Some(magnitude.wrapping_neg().cast_signed());
    }
    i64::try_from(parse_u64(text)?).ok()
}

/// Reads a decimal integer without sign, spelled canonically (see [`parse_i64`]).
#[inline]
#[must_use]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let (first, more) = text.split_first()?;
    let mut value = digit(*first)?;
    if value == 0 {
        return more.is_empty().then_some(0);
    }
    if text.len() >= 8 {
        return parse_long(text);
    }
    for &byte in more {
        // Seven digits do not overflow.
        value = value * 10 + digit(byte)?;
    }
    Some(value)
}

/// The value of an ASCII digit.
#[inline]
fn digit(byte: u8) -> Option<u64> {
    let value = byte.wrapping_sub(b'0');
    (value <= 9).then_some(u64::from(value))
}

/// Reads eight digits or more, the first of them no zero.
fn parse_long(text: &[u8]) -> Option<u64> {
    if text.len() > INT_BYTES {
        return None;
    }
    let mut value = 0_u64;
    let mut rest = text;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let part = eight_digits(u64::from_le_bytes(*chunk))?;
        value = value.checked_mul(100_000_000)?.checked_add(part)?;
        rest = tail;
    }
    for &byte in rest {
        value = value.checked_mul(10)?.checked_add(digit(byte)?)?;
    }
    Some(value)
}

/// Eight ASCII digits, first digit in the lowest byte, at once: neighbours are joined into
/// pairs, pairs into fours, fours into the eight.
#[inline]
fn eight_digits(word: u64) -> Option<u64> {
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    // A digit's high nibble is 3, and stays 3 when 6 is added; no other byte does both.
    let carried = word.wrapping_add(0x0606_0606_0606_0606) & HIGH;
    if (word & HIGH) | (carried >> 4) != 0x3333_3333_3333_3333 {
        return None;
    }
    let ones = word & 0x0F0F_0F0F_0F0F_0F0F;
    let pairs = (ones.wrapping_mul(10).wrapping_add(ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xFFFF_FFFF)
}

/// "00" to "99", so that one division yields two digits.
const PAIRS: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        table[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    table
};

/// Writes `value` in decimal at the end of `buffer` and returns the part used.
#[inline]
pub fn format_u64(mut value: u64, buffer: &mut [u8; INT_BYTES]) -> &[u8] {
    let mut at = INT_BYTES;
    while value >= 100 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if value >= 10 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[value as usize]);
    } else {
        at -= 1;
        buffer[at] = b'0' + value as u8;
    }
    &buffer[at..]
}

/// Writes `value` in decimal at the end of `buffer` and returns the part used.
#[inline]
pub fn format_i64(value: i64, buffer: &mut [u8; INT_BYTES]) -> &[u8] {
    let used = format_u64(value.unsigned_abs(), buffer).len();
    let mut at = INT_BYTES - used;
    if value < 0 {
        // An i64's magnitude has at most 19 digits, so there is room for the sign.
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

/// How many bytes [`format_i64`] writes for `value`: 1 to 20.
#[inline]
#[must_use]
pub fn digits(value: i64) -> usize {
    let magnitude = value.unsigned_abs();
    let count = magnitude.checked_ilog10().unwrap_or(0) + 1;
    count as usize + usize::from(value < 0)
}

/// Reads a double as Redis does for scores and timeouts: decimal or hexadecimal, signed,
/// `inf` and `infinity` in any case.
///
/// `None` for surrounding space, NaN, and values that overflow to infinity or underflow to
/// zero. Time is linear in the length.
#[must_use]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    match float_syntax::scan(text)? {
        FloatText::Infinity { negative: false } => Some(f64::INFINITY),
        FloatText::Infinity { negative: true } => Some(f64::NEG_INFINITY),
        FloatText::Decimal(decimal) => {
            let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            let lost = value.is_infinite() || (value == 0.0 && !decimal.is_zero());
            (!lost).then_some(value)
        }
        FloatText::Hex(hex) => {
            let (mantissa, exponent) = hex.round(&Format::DOUBLE)?;
            Some(double_from_parts(hex.negative, mantissa, exponent))
        }
    }
}

/// The double of value `mantissa * 2^exponent`, both already rounded to [`Format::DOUBLE`].
fn double_from_parts(negative: bool, mantissa: u64, exponent: i32) -> f64 {
    const HIDDEN: u64 = 1 << 52;
    let magnitude = if mantissa & HIDDEN == 0 {
        mantissa
    } else {
        // 1074 makes the least exponent 0; a hidden bit means one more.
        (u64::from((exponent + 1075).unsigned_abs()) << 52) | (mantissa ^ HIDDEN)
    };
    f64::from_bits(magnitude | (u64::from(negative) << 63))
}

/// Writes a double as Redis 7.2 replies it: integers without a fraction, otherwise the
/// shortest digits that read back to the same value, in scientific notation only where
/// that keeps the text short. Infinity is `inf`, NaN is `nan`, zero keeps its sign.
pub fn format_f64(value: f64, buffer: &mut [u8; FLOAT_BYTES]) -> &[u8] {
    let mut out = Text { buffer, used: 0 };
    if value.is_nan() {
        out.put(b"nan");
    } else if value.is_infinite() {
        out.put(if value < 0.0 { b"-inf" } else { b"inf" });
    } else if value == 0.0 {
        out.put(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() <= (i64::MAX / 2) as f64 && (value as i64) as f64 == value {
        out.put(format_i64(value as i64, &mut [0; INT_BYTES]));
    } else {
        format_shortest(value, &mut out);
    }
    let used = out.used;
    &buffer[..used]
}

/// A double that is neither an integer of i64 size nor special.
fn format_shortest(value: f64, out: &mut Text<'_>) {
    let mut scratch_bytes = [0; FLOAT_BYTES];
    let mut scratch = Text {
        buffer: &mut scratch_bytes,
        used: 0,
    };
    // The standard library finds the shortest digits; its `d.ddde-x` is taken apart here
    // because Redis lays them out differently.
    let written = write!(scratch, "{:e}", value.abs());
    debug_assert!(written.is_ok(), "25 bytes suffice for any double");
    let text = &scratch.buffer[..scratch.used];
    let split = text.iter().position(|&b| b == b'e').unwrap_or(text.len());
    let power = text.get(split + 1..).and_then(parse_i64).unwrap_or(0);
    let mut digit_bytes = [0; FLOAT_BYTES];
    let mut count = 0;
    for &digit in text[..split].iter().filter(|b| b.is_ascii_digit()) {
        digit_bytes[count] = digit;
        count += 1;
    }
    if value < 0.0 {
        out.put(b"-");
    }
    lay_out(&digit_bytes[..count], power, value < 0.0, out);
}

/// Lays out `d.ddd * 10^power`.
///
/// Redis's rules: zeros are appended while fewer than eight result; a fraction is
/// written out if at most six digits follow the point or the value is below 10,000 and
/// not below 0.001; all else is scientific, with at most 18 digits (17 if negative).
fn lay_out(digits: &[u8], power: i64, negative: bool, out: &mut Text<'_>) {
    const ZEROS: [u8; 8] = [b'0'; 8];
    let count = digits.len() as i64;
    let scale = power - count + 1;
    let magnitude = power.abs();
    if scale >= 0 && magnitude < count + 7 {
        out.put(digits);
        out.put(&ZEROS[..(scale.min(7)) as usize]);
    } else if scale < 0 && (scale > -7 || magnitude < 4) {
        if power < 0 {
            out.put(b"0.");
            out.put(&ZEROS[..((-power - 1).min(7)) as usize]);
            out.put(digits);
        } else {
            let (whole, fraction) = digits.split_at((power + 1) as usize);
            out.put(whole);
            out.put(b".");
            out.put(fraction);
        }
    } else {
        let shown = digits.len().min(18 - usize::from(negative));
        out.put(&digits[..1]);
        if shown > 1 {
            out.put(b".");
            out.put(&digits[1..shown]);
        }
        out.put(if power < 0 { b"e-" } else { b"e+" });
        out.put(format_i64(magnitude, &mut [0; INT_BYTES]));
    }
}

/// A growing text in a fixed buffer.
struct Text<'a> {
    buffer: &'a mut [u8; FLOAT_BYTES],
    used: usize,
}

impl Text<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.buffer[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }
}

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if text.len() > FLOAT_BYTES - self.used {
            return Err(std::fmt::Error);
        }
        self.put(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
