//! The grammar of C's `strtod`, as far as Redis lets it through, and correct rounding of
//! binary fractions to a format with fewer bits.

/// What a text that is a valid float says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatText<'a> {
    /// `inf` or `infinity`, in any case.
    Infinity {
        /// Whether a minus sign stood in front.
        negative: bool,
    },
    /// Digits in base ten.
    Decimal(Digits<'a>),
    /// Digits in base sixteen, after `0x`; the exponent is a power of two.
    Hex(Digits<'a>),
}

/// Sign, digits and exponent as written; leading and trailing zeros are still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits<'a> {
    /// Whether a minus sign stood in front.
    pub negative: bool,
    /// Digits before the point; may be empty if `fraction` is not.
    pub whole: &'a [u8],
    /// Digits after the point.
    pub fraction: &'a [u8],
    /// The number after `e` (power of ten) or `p` (power of two), clamped to +-2^40.
    pub exponent: i64,
}

/// Far beyond any format's range and far from overflowing when digit counts are added.
const EXPONENT_LIMIT: i64 = 1 << 40;

/// A binary floating point format: how many mantissa bits and which powers of two the
/// lowest bit may have.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Mantissa bits, the leading one included; at most 64.
    pub bits: i32,
    /// Power of two of the least subnormal number.
    pub min_exponent: i32,
    /// Power of two of the lowest mantissa bit of the largest number.
    pub max_exponent: i32,
}

impl Format {
    /// IEEE 754 binary64.
    pub const DOUBLE: Self = Self {
        bits: 53,
        min_exponent: -1074,
        max_exponent: 971,
    };
    /// x87 extended precision, C's `long double` on x86-64.
    pub const EXTENDED: Self = Self {
        bits: 64,
        min_exponent: -16_445,
        max_exponent: 16_320,
    };

    /// Rounds `mantissa * 2^exponent` to nearest, ties to even.
    ///
    /// `more` says that the true value lies strictly above that product by less than one
    /// unit of it; `mantissa` must then have two bits more than the format. Returns the
    /// mantissa and its exponent, normalized unless subnormal; `None` on overflow.
    #[must_use]
    pub fn round(&self, mantissa: u128, exponent: i32, more: bool) -> Option<(u64, i32)> {
        let length = 128 - mantissa.leading_zeros() as i32;
        if length == 0 {
            return Some((0, self.min_exponent));
        }
        let shift = (length - self.bits).max(self.min_exponent - exponent);
        if shift > 128 {
            return Some((0, self.min_exponent));
        }
        let mut exponent = exponent + shift;
        let mut rounded = if shift <= 0 {
            mantissa << -shift
        } else {
            let quotient = mantissa.checked_shr(shift.unsigned_abs()).unwrap_or(0);
            let half = 1_u128 << (shift - 1);
            let remainder = mantissa & (half | (half - 1));
            let up = remainder > half || (remainder == half && (more || quotient & 1 == 1));
            quotient + u128::from(up)
        };
        if rounded >> self.bits != 0 {
            rounded >>= 1;
            exponent += 1;
        }
        (exponent <= self.max_exponent).then_some((rounded as u64, exponent))
    }
}

impl Digits<'_> {
    /// Whether every digit is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.all().all(|b| b == b'0')
    }

    /// All digits in order, without the point.
    pub fn all(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.iter().chain(self.fraction).copied()
    }

    /// Rounds hexadecimal digits to `format`.
    ///
    /// `None` if the value overflows, or is not zero but rounds to zero.
    #[must_use]
    pub fn round(&self, format: &Format) -> Option<(u64, i32)> {
        let mut mantissa = 0_u128;
        let mut more = false;
        let mut exponent = self.exponent - 4 * self.fraction.len() as i64;
        for byte in self.all() {
            let digit = u128::from((byte as char).to_digit(16)?);
            if mantissa >> 124 == 0 {
                mantissa = (mantissa << 4) | digit;
            } else {
                more |= digit != 0;
                exponent += 4;
            }
        }
        if mantissa == 0 {
            return Some((0, format.min_exponent));
        }
        if exponent > 20_000 {
            return None;
        }
        let (rounded, exponent) = format.round(mantissa, exponent.max(-20_000) as i32, more)?;
        (rounded != 0).then_some((rounded, exponent))
    }
}

/// Takes a float's text apart; `None` if any byte of it does not belong to one.
#[must_use]
pub fn scan(text: &[u8]) -> Option<FloatText<'_>> {
    let (negative, body) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
        return Some(FloatText::Infinity { negative });
    }
    if let [b'0', b'x' | b'X', rest @ ..] = body {
        return scan_digits(rest, negative, u8::is_ascii_hexdigit, b'p').map(FloatText::Hex);
    }
    scan_digits(body, negative, u8::is_ascii_digit, b'e').map(FloatText::Decimal)
}

/// `digits [. digits] [marker [sign] digits]`, with a digit somewhere before the marker.
fn scan_digits(text: &[u8], negative: bool, is_digit: fn(&u8) -> bool, marker: u8) -> Option<Digits<'_>> {
    let (whole, rest) = split_run(text, is_digit);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => split_run(rest, is_digit),
        _ => (&[][..], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = match rest {
        [] => 0,
        [byte, rest @ ..] if byte.to_ascii_lowercase() == marker => scan_exponent(rest)?,
        _ => return None,
    };
    Some(Digits {
        negative,
        whole,
        fraction,
        exponent,
    })
}

fn split_run(text: &[u8], is_digit: fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !is_digit(b));
    text.split_at(end.unwrap_or(text.len()))
}

fn scan_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0_i64, |value, byte| {
        (value * 10 + i64::from(byte - b'0')).min(EXPONENT_LIMIT)
    });
    Some(if negative { -magnitude } else { magnitude })
}
