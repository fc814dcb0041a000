//! C's `long double` of x86-64 in software, for `INCRBYFLOAT` and its relatives.
//!
//! Redis adds in 80-bit extended precision and prints with 17 decimals, which is why it
//! replies 0.3 to 0.1 + 0.2 where doubles would give 0.30000000000000004. Replies are only
//! byte-identical if parsing, addition and printing round exactly like that: 64 mantissa
//! bits, to nearest, ties to even. Texts of at most 19 significant digits and exponents of
//! at most 19 take a path of a few 128-bit operations; others (up to [`MAX_TEXT`] bytes,
//! 4,933 digits of output) take exact big integers, at most some 100,000 limb steps.

use super::bignum::Big;
use super::float_syntax::{self, Digits, FloatText, Format};
use super::number::{INT_BYTES, format_u64};

/// Longest text that Redis reads as a long double, in bytes.
pub const MAX_TEXT: usize = 5 * 1024 - 1;

/// Decimals that are printed before trailing zeros go.
const DECIMALS: u64 = 100_000_000_000_000_000;

/// Why an addition has no result. The text is what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FloatError {
    /// One of the two texts is not a float.
    #[error("ERR value is not a valid float")]
    NotAFloat,
    /// An operand is infinite, or the sum is out of range.
    #[error("ERR increment would produce NaN or Infinity")]
    NotFinite,
}

/// An 80-bit extended precision number; never NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongDouble(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Infinite,
    /// `mantissa * 2^exponent`, rounded by [`Format::EXTENDED`]; zero has mantissa 0.
    Finite {
        negative: bool,
        mantissa: u64,
        exponent: i32,
    },
}

impl LongDouble {
    /// Reads a float: decimal or hexadecimal, signed, `inf` and `infinity` in any case.
    ///
    /// `None` for other texts, NaN, more than [`MAX_TEXT`] bytes, and values that overflow
    /// or underflow to zero.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (negative, (mantissa, exponent)) = match float_syntax::scan(text)? {
            FloatText::Infinity { .. } => return Some(Self(Kind::Infinite)),
            FloatText::Hex(digits) => (digits.negative, digits.round(&Format::EXTENDED)?),
            FloatText::Decimal(digits) => (digits.negative, round_decimal(&digits)?),
        };
        Some(Self(Kind::Finite {
            negative,
            mantissa,
            exponent,
        }))
    }

    /// Whether this is not infinity.
    #[must_use]
    pub fn is_finite(self) -> bool {
        matches!(self.0, Kind::Finite { .. })
    }

    /// The text that Redis stores and replies: 17 decimals, rounded to even, without
    /// trailing zeros; never `-0`. `None` for infinity.
    #[must_use]
    pub fn to_text(self) -> Option<Vec<u8>> {
        let Kind::Finite {
            negative,
            mantissa,
            exponent,
        } = self.0
        else {
            return None;
        };
        let mut out = Vec::with_capacity(40);
        if negative {
            out.push(b'-');
        }
        if exponent < 0 {
            write_fraction(mantissa, exponent.unsigned_abs(), &mut out);
        } else if mantissa != 0 {
            let mut whole = Big::from_u64(mantissa);
            whole.shift_left(exponent.unsigned_abs());
            whole.write_decimal(&mut out);
        } else {
            out.push(b'0');
        }
        if out == b"-0" {
            out.remove(0);
        }
        Some(out)
    }
}

impl std::ops::Add for LongDouble {
    type Output = Self;

    /// The rounded sum; infinite if an operand is or the sum is out of range.
    fn add(self, other: Self) -> Self {
        let (
            Kind::Finite {
                negative: negative_a,
                mantissa: a,
                exponent: exponent_a,
            },
            Kind::Finite {
                negative: negative_b,
                mantissa: b,
                exponent: exponent_b,
            },
        ) = (self.0, other.0)
        else {
            return Self(Kind::Infinite);
        };
        if b == 0 {
            return self;
        }
        if a == 0 {
            return other;
        }
        if exponent_a < exponent_b {
            return other.add(self);
        }
        // 63 bits below the larger operand are kept; what the smaller has below those is
        // folded into the last, which is enough to round correctly because cancellation
        // of more than one bit only happens when nothing was cut off.
        let distance = (exponent_a - exponent_b).unsigned_abs();
        let wide_a = u128::from(a) << 63;
        let wide_b = u128::from(b) << 63;
        let shifted = wide_b.checked_shr(distance).unwrap_or(0);
        let cut = shifted.checked_shl(distance).unwrap_or(0) != wide_b;
        let wide_b = shifted | u128::from(cut);
        let (negative, sum) = if negative_a == negative_b {
            (negative_a, wide_a + wide_b)
        } else if wide_a >= wide_b {
            (negative_a, wide_a - wide_b)
        } else {
            (negative_b, wide_b - wide_a)
        };
        match Format::EXTENDED.round(sum, exponent_a - 63, false) {
            None => Self(Kind::Infinite),
            Some((mantissa, exponent)) => Self(Kind::Finite {
                negative: negative && mantissa != 0,
                mantissa,
                exponent,
            }),
        }
    }
}

/// Adds two texts as `INCRBYFLOAT` does and returns the text of the sum.
///
/// # Errors
/// [`FloatError`]; its text is the reply.
pub fn add_decimal(current: &[u8], increment: &[u8]) -> Result<Vec<u8>, FloatError> {
    let current = LongDouble::parse(current).ok_or(FloatError::NotAFloat)?;
    let increment = LongDouble::parse(increment).ok_or(FloatError::NotAFloat)?;
    (current + increment).to_text().ok_or(FloatError::NotFinite)
}

/// Writes `mantissa / 2^places`.
fn write_fraction(mantissa: u64, places: u32, out: &mut Vec<u8>) {
    let mut whole = mantissa.checked_shr(places).unwrap_or(0);
    let below = mantissa ^ whole.checked_shl(places).unwrap_or(0);
    let scaled = u128::from(below) * u128::from(DECIMALS);
    let mut decimals = 0;
    // Below 2^121 as a product, so that beyond 2^-126 it cannot round up to one.
    if places <= 126 {
        let half = 1_u128 << (places - 1);
        let remainder = scaled & (half | (half - 1));
        decimals = (scaled >> places) as u64;
        if remainder > half || (remainder == half && decimals & 1 == 1) {
            decimals += 1;
        }
    }
    if decimals == DECIMALS {
        // Only reached with places > 0, where `whole` has a bit to spare.
        whole += 1;
        decimals = 0;
    }
    let mut buffer = [0; INT_BYTES];
    out.extend_from_slice(format_u64(whole, &mut buffer));
    if decimals != 0 {
        // A one in front keeps the leading zeros.
        let text = format_u64(DECIMALS + decimals, &mut buffer);
        let end = text.iter().rposition(|&b| b != b'0').unwrap_or(0);
        out.push(b'.');
        out.extend_from_slice(&text[1..=end]);
    }
}

/// Rounds decimal digits; `None` if the value overflows, or is not zero but becomes zero.
fn round_decimal(digits: &Digits<'_>) -> Option<(u64, i32)> {
    if digits.is_zero() {
        return Some((0, Format::EXTENDED.min_exponent));
    }
    let mut power = digits.exponent - digits.fraction.len() as i64;
    if digits.whole.len() + digits.fraction.len() <= 19 && (-19..=19).contains(&power) {
        let value = digits.all().fold(0, |v, b| v * 10 + u64::from(b - b'0'));
        let (mantissa, exponent, more) = scale_short(value, power as i32);
        return Format::EXTENDED.round(mantissa, exponent, more);
    }
    let mut significant: Vec<u8> = digits.all().skip_while(|&b| b == b'0').collect();
    while significant.last() == Some(&b'0') {
        significant.pop();
        power += 1;
    }
    // The value lies in [10^(magnitude-1), 10^magnitude); the largest number is below
    // 10^4933, and half the least one above 10^-4951.
    let magnitude = power + significant.len() as i64;
    if !(-4951..=4934).contains(&magnitude) {
        return None;
    }
    let (mantissa, exponent, more) = scale_long(&significant, power as i32);
    let rounded = Format::EXTENDED.round(mantissa, exponent, more)?;
    (rounded.0 != 0).then_some(rounded)
}

/// `value * 10^power` as mantissa, exponent and "there is more below", for a power of -19
/// to 19.
fn scale_short(value: u64, power: i32) -> (u128, i32, bool) {
    let scale = u128::from(10_u64.pow(power.unsigned_abs()));
    if power >= 0 {
        return (u128::from(value) * scale, 0, false);
    }
    let lead = value.leading_zeros();
    let numerator = u128::from(value << lead) << 64;
    let mut quotient = numerator / scale;
    let mut remainder = numerator % scale;
    let mut exponent = -64 - lead as i32;
    if quotient >> 96 == 0 {
        // Too short to tell a tie from its neighbours: 32 bits more.
        quotient = (quotient << 32) | ((remainder << 32) / scale);
        remainder = (remainder << 32) % scale;
        exponent -= 32;
    }
    (quotient, exponent, remainder != 0)
}

/// As [`scale_short`], for any digits and power that [`round_decimal`] lets through.
fn scale_long(text: &[u8], power: i32) -> (u128, i32, bool) {
    let mut numerator = Big::from_digits(text);
    // 10^p = 5^p * 2^p, and the power of two is only an exponent.
    let (mantissa, exponent, more) = if power >= 0 {
        numerator.multiply_pow5(power.unsigned_abs());
        numerator.top()
    } else {
        let mut divisor = Big::from_u64(1);
        divisor.multiply_pow5(power.unsigned_abs());
        numerator.divide_top(divisor)
    };
    (mantissa, exponent + power, more)
}

#[cfg(test)]
mod tests;
