//! Times to live in arguments: `EX 10`, `PXAT 1700000000000`, `KEEPTTL`, `PERSIST`, EXPIRE's numbers, and `JITTER 10`.

use crate::call::Error;
use crate::command::Command;
use crate::text::parse_i64;
use crate::ttl::Percent;

/// What the number of an expiry option means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// `EX`: seconds from now.
    Seconds,
    /// `PX`: milliseconds from now.
    Millis,
    /// `EXAT`: a Unix time in seconds.
    AtSeconds,
    /// `PXAT`: a Unix time in milliseconds.
    AtMillis,
}

impl Unit {
    /// Reads `EX`, `PX`, `EXAT` or `PXAT`, in any case.
    #[inline]
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Unit> {
        // Setting this bit makes a letter small, and no other byte becomes a letter by it.
        const SMALL: u8 = 0x20;
        match *word {
            [a, b] => match &[a | SMALL, b | SMALL] {
                b"ex" => Some(Unit::Seconds),
                b"px" => Some(Unit::Millis),
                _ => None,
            },
            [a, b, c, d] => match &[a | SMALL, b | SMALL, c | SMALL, d | SMALL] {
                b"exat" => Some(Unit::AtSeconds),
                b"pxat" => Some(Unit::AtMillis),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the number is a time from now.
    #[must_use]
    pub fn is_relative(self) -> bool {
        matches!(self, Unit::Seconds | Unit::Millis)
    }

    /// The point in time that `number` means, in Unix milliseconds; `None` if it cannot be said.
    fn instant(self, number: i64, now_ms: u64) -> Option<i64> {
        let now_ms = i64::try_from(now_ms).ok()?;
        match self {
            Unit::Seconds => number.checked_mul(1000)?.checked_add(now_ms),
            Unit::Millis => number.checked_add(now_ms),
            Unit::AtSeconds => number.checked_mul(1000),
            Unit::AtMillis => Some(number),
        }
    }
}

/// The point in time that an argument means, in Unix milliseconds. As for EXPIRE, it may have passed,
/// even be before 1970.
///
/// # Errors
/// The argument is no integer, or the time cannot be said in 63 bits.
pub fn parse_instant(unit: Unit, text: &[u8], now_ms: u64, command: &Command) -> Result<i64, Error> {
    let number = parse_i64(text).ok_or(Error::NOT_AN_INTEGER)?;
    unit.instant(number, now_ms)
        .ok_or_else(|| Error::invalid_expire(command))
}

/// The deadline that an argument means, in Unix milliseconds. As for SET, the number must be positive; an
/// absolute time may still have passed.
///
/// # Errors
/// The argument is no integer, is not above zero, or the time cannot be said in 63 bits.
pub fn parse_deadline(unit: Unit, text: &[u8], now_ms: u64, command: &Command) -> Result<u64, Error> {
    let number = parse_i64(text).ok_or(Error::NOT_AN_INTEGER)?;
    let instant = if number > 0 { unit.instant(number, now_ms) } else { None };
    instant
        .map(i64::cast_unsigned)
        .ok_or_else(|| Error::invalid_expire(command))
}

/// Reads the option `JITTER percent`, Larder's own: by up to how much a time from now is to be shortened. `None` if
/// `word` is another option.
///
/// # Errors
/// The percentage is missing, no integer, or not in 0 to 100.
pub fn parse_jitter(word: &[u8], next: Option<&[u8]>) -> Result<Option<Percent>, Error> {
    if !word.eq_ignore_ascii_case(b"jitter") {
        return Ok(None);
    }
    let number = parse_i64(next.ok_or(Error::SYNTAX)?).ok_or(Error::NOT_AN_INTEGER)?;
    let percent = u64::try_from(number).ok().and_then(Percent::new);
    percent
        .map(Some)
        .ok_or(Error::new("ERR JITTER must be a percentage from 0 to 100"))
}

/// The expiry options of a call. They exclude each other, but one may be repeated: the last counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Expiry<'a> {
    /// None was given.
    #[default]
    Unset,
    /// `KEEPTTL`
    Keep,
    /// `PERSIST`
    Persist,
    /// A number that was not looked at yet, as Redis finds other mistakes first.
    In(Unit, &'a [u8]),
}

impl<'a> Expiry<'a> {
    /// Reads the option `word`, followed by `next`; returns how many arguments it takes, 0 if it is none.
    ///
    /// # Errors
    /// It excludes an earlier one, or its number is missing.
    #[inline]
    pub fn accept(&mut self, word: &'a [u8], next: Option<&'a [u8]>) -> Result<usize, Error> {
        let (option, taken) = if let Some(unit) = Unit::parse(word) {
            (Expiry::In(unit, next.ok_or(Error::SYNTAX)?), 2)
        } else if word.eq_ignore_ascii_case(b"keepttl") {
            (Expiry::Keep, 1)
        } else if word.eq_ignore_ascii_case(b"persist") {
            (Expiry::Persist, 1)
        } else {
            return Ok(0);
        };
        let allowed = match (*self, option) {
            (Expiry::Unset, _) => true,
            (Expiry::In(old, _), Expiry::In(new, _)) => old == new,
            (old, new) => old == new,
        };
        if !allowed {
            return Err(Error::SYNTAX);
        }
        *self = option;
        Ok(taken)
    }

    /// Whether the options say a time from now, which jitter may shorten.
    #[inline]
    #[must_use]
    pub fn is_relative(self) -> bool {
        matches!(self, Expiry::In(unit, _) if unit.is_relative())
    }

    /// The deadline in Unix milliseconds, if the options say one.
    ///
    /// # Errors
    /// As [`parse_deadline`].
    #[inline]
    pub fn deadline(self, now_ms: u64, command: &Command) -> Result<Option<u64>, Error> {
        match self {
            Expiry::In(unit, text) => parse_deadline(unit, text, now_ms, command).map(Some),
            Expiry::Unset | Expiry::Keep | Expiry::Persist => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Expiry, Unit, parse_deadline, parse_instant};
    use crate::call::Error;
    use crate::command;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn numbers_mean_what_their_unit_says() {
        let set = command::lookup_full(b"set").expect("SET is in the table");
        let deadline = |unit, text: &str| parse_deadline(unit, text.as_bytes(), NOW, set).ok();
        assert_eq!(deadline(Unit::Seconds, "10"), Some(NOW + 10_000));
        assert_eq!(deadline(Unit::Millis, "10"), Some(NOW + 10));
        assert_eq!(deadline(Unit::AtSeconds, "10"), Some(10_000));
        assert_eq!(deadline(Unit::AtMillis, "9223372036854775807"), Some(i64::MAX as u64));
        for bad in ["0", "-1", "9223372036854775807"] {
            assert_eq!(deadline(Unit::Seconds, bad), None, "{bad}");
        }
        assert_eq!(
            deadline(Unit::Seconds, "9223372036854775"),
            None,
            "overflows only with now"
        );
        assert_eq!(
            parse_deadline(Unit::Millis, b"1x", NOW, set),
            Err(Error::NOT_AN_INTEGER)
        );
        let text = "ERR invalid expire time in 'set' command";
        assert_eq!(parse_deadline(Unit::Millis, b"0", NOW, set), Err(Error::new(text)));
    }

    #[test]
    fn an_instant_may_lie_in_the_past() {
        let expire = command::lookup_full(b"expire").expect("EXPIRE is in the table");
        let instant = |unit, text: &str| parse_instant(unit, text.as_bytes(), NOW, expire).ok();
        assert_eq!(instant(Unit::Seconds, "-1"), Some(NOW as i64 - 1000));
        assert_eq!(instant(Unit::AtSeconds, "-1"), Some(-1000));
        assert_eq!(instant(Unit::Seconds, "-9223372036854775808"), None);
        assert_eq!(
            instant(Unit::Millis, "-9223372036854775808"),
            Some(i64::MIN + NOW as i64)
        );
        assert_eq!(instant(Unit::Millis, "9223372036854775807"), None);
    }

    #[test]
    fn options_exclude_each_other_but_not_themselves() {
        let mut expiry = Expiry::default();
        assert_eq!(expiry.accept(b"nx", None), Ok(0));
        assert_eq!(expiry.accept(b"Ex", Some(b"1")), Ok(2));
        assert_eq!(expiry.accept(b"eX", Some(b"2")), Ok(2));
        assert_eq!(expiry, Expiry::In(Unit::Seconds, b"2"));
        assert_eq!(expiry.accept(b"px", Some(b"2")), Err(Error::SYNTAX));
        assert_eq!(expiry.accept(b"keepttl", None), Err(Error::SYNTAX));
        assert_eq!(Expiry::default().accept(b"pxat", None), Err(Error::SYNTAX));
        let mut keep = Expiry::Keep;
        assert_eq!(keep.accept(b"KeepTTL", None), Ok(1));
        assert_eq!(keep.accept(b"EXAT", Some(b"1")), Err(Error::SYNTAX));
    }
}
