//! Options of commands, and replies with a meaning of their own.

use crate::command::BytesArg;
use crate::error::{DecodeError, Error, Result};
use crate::resp::{FromValue, ToArgs, Value};
use std::time::{Duration, SystemTime};

/// The longest time to live, in milliseconds: what servers can still add to the time of day.
const MAX_TTL_MS: u128 = i64::MAX as u128 / 2;

/// A time to live in whole milliseconds, rounded up.
///
/// # Errors
/// [`Error::Usage`] if it is zero, or longer than servers can count.
pub(super) fn millis(ttl: Duration) -> Result<u64> {
    let ms = ttl.as_nanos().div_ceil(1_000_000);
    if ms == 0 {
        let why = "a time to live of zero; to remove a key use del, to keep it for good leave the time out";
        return Err(Error::Usage(why.to_string()));
    }
    match u64::try_from(ms) {
        Ok(ms) if u128::from(ms) <= MAX_TTL_MS => Ok(ms),
        _ => Err(Error::Usage(format!(
            "a time to live of {ms} ms is longer than servers can count"
        ))),
    }
}

/// Milliseconds since 1970, rounded up.
///
/// # Errors
/// [`Error::Usage`] if it is earlier, or later than servers can count.
pub(super) fn unix_millis(time: SystemTime) -> Result<u64> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) if !since.is_zero() => millis(since),
        _ => Err(Error::Usage("a time that is not after 1970".to_string())),
    }
}

/// When a key is to expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// So much later, rounded up to milliseconds; zero is [`Error::Usage`].
    In(Duration),
    /// At that time, rounded up to milliseconds; a time that is over removes the key.
    At(SystemTime),
    /// Never.
    Never,
}

impl From<Duration> for Expiry {
    fn from(ttl: Duration) -> Expiry {
        Expiry::In(ttl)
    }
}

impl From<SystemTime> for Expiry {
    fn from(time: SystemTime) -> Expiry {
        Expiry::At(time)
    }
}

/// An option, and its number if it has one.
pub(super) type Option1 = (&'static str, Option<u64>);

impl Expiry {
    /// As `SET` and `GETEX` want it; `never` is what they call never.
    pub(super) fn option(self, never: &'static str) -> Result<Option1> {
        Ok(match self {
            Expiry::In(ttl) => ("PX", Some(millis(ttl)?)),
            Expiry::At(time) => ("PXAT", Some(unix_millis(time)?)),
            Expiry::Never => (never, None),
        })
    }
}

/// On what condition a value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition<'a> {
    Absent,
    Present,
    Equal(&'a [u8]),
    Different(&'a [u8]),
}

/// How [`set_with`](crate::Client::set_with) sets a key.
///
/// ```
/// use larder_client::SetOptions;
/// use std::time::Duration;
///
/// let lock = SetOptions::new().if_absent().ttl(Duration::from_secs(10));
/// let cached = SetOptions::new().ttl(Duration::from_secs(300)).jitter(10);
/// # let _ = (lock, cached);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct SetOptions<'a> {
    condition: Option<Condition<'a>>,
    expiry: Option<Expiry>,
    keep_ttl: bool,
    jitter: Option<u8>,
}

impl<'a> SetOptions<'a> {
    /// Sets it whatever there is, to stay for good.
    pub fn new() -> SetOptions<'a> {
        SetOptions::default()
    }

    /// How long it lives (`PX`), rounded up to milliseconds; zero is [`Error::Usage`].
    pub fn ttl(mut self, ttl: Duration) -> SetOptions<'a> {
        self.expiry = Some(Expiry::In(ttl));
        self
    }

    /// Until when it lives (`PXAT`), rounded up to milliseconds.
    pub fn expire_at(mut self, time: SystemTime) -> SetOptions<'a> {
        self.expiry = Some(Expiry::At(time));
        self
    }

    /// Keeps the time to live that the key has (`KEEPTTL`), instead of taking it away.
    pub fn keep_ttl(mut self) -> SetOptions<'a> {
        self.keep_ttl = true;
        self
    }

    /// Shortens the time to live by a random share of up to so many percent, 0 to 100, so that keys that are set
    /// together do not expire together (`JITTER`). Larder only; goes with [`ttl`](SetOptions::ttl).
    pub fn jitter(mut self, percent: u8) -> SetOptions<'a> {
        self.jitter = Some(percent);
        self
    }

    /// Only if there is no such key (`NX`).
    pub fn if_absent(mut self) -> SetOptions<'a> {
        self.condition = Some(Condition::Absent);
        self
    }

    /// Only if there is such a key (`XX`).
    pub fn if_present(mut self) -> SetOptions<'a> {
        self.condition = Some(Condition::Present);
        self
    }

    /// Only if the key has this value (`IFEQ`). Larder, Redis 8.4 and Valkey 8.1.
    pub fn if_equal(mut self, value: &'a (impl AsRef<[u8]> + ?Sized)) -> SetOptions<'a> {
        self.condition = Some(Condition::Equal(value.as_ref()));
        self
    }

    /// Only if the key does not have this value (`IFNE`). Larder and Redis 8.4.
    pub fn if_different(mut self, value: &'a (impl AsRef<[u8]> + ?Sized)) -> SetOptions<'a> {
        self.condition = Some(Condition::Different(value.as_ref()));
        self
    }

    /// The options, with `GET` if the old value is asked for.
    ///
    /// # Errors
    /// [`Error::Usage`] for a time or a jitter out of range, and for options that contradict each other.
    pub(super) fn args(self, get: bool) -> Result<impl ToArgs + use<'a>> {
        let wrong = |what: &str| Err(Error::Usage(format!("set: {what}")));
        if self.keep_ttl && self.expiry.is_some() {
            return wrong("either a new time to live, or the old one");
        }
        match (self.jitter, self.expiry) {
            (Some(101..), _) => return wrong("jitter is a percentage from 0 to 100"),
            (Some(_), None | Some(Expiry::At(_) | Expiry::Never)) => return wrong("jitter goes with a time to live"),
            (None, _) | (Some(_), Some(Expiry::In(_))) => {}
        }
        let condition = self.condition.map(|condition| match condition {
            Condition::Absent => ("NX", None),
            Condition::Present => ("XX", None),
            Condition::Equal(value) => ("IFEQ", Some(BytesArg(value))),
            Condition::Different(value) => ("IFNE", Some(BytesArg(value))),
        });
        let expiry = self.expiry.map(|expiry| expiry.option("KEEPTTL")).transpose()?;
        Ok((
            condition,
            get.then_some("GET"),
            expiry.or(self.keep_ttl.then_some(("KEEPTTL", None))),
            self.jitter.map(|percent| ("JITTER", u64::from(percent))),
        ))
    }
}

/// How long a key has to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ttl {
    /// There is no such key.
    Absent,
    /// It stays for good.
    Forever,
    /// So much longer, in whole milliseconds.
    Left(Duration),
}

impl Ttl {
    /// The time that is left; `None` if there is no key, or no end.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        match self {
            Ttl::Left(left) => Some(left),
            Ttl::Absent | Ttl::Forever => None,
        }
    }
}

impl FromValue for Ttl {
    fn from_value(value: Value) -> std::result::Result<Ttl, DecodeError> {
        match value {
            Value::Int(-2) => Ok(Ttl::Absent),
            Value::Int(-1) => Ok(Ttl::Forever),
            other => Ok(Ttl::Left(Duration::from_millis(u64::from_value(other)?))),
        }
    }
}

/// What kind of value a key has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyType {
    /// There is no such key.
    Absent,
    /// Bytes, also numbers and bits.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
    /// A type of a module, by its name.
    Other(String),
}

impl FromValue for KeyType {
    fn from_value(value: Value) -> std::result::Result<KeyType, DecodeError> {
        let name = String::from_value(value)?;
        Ok(match name.as_str() {
            "none" => KeyType::Absent,
            "string" => KeyType::String,
            "list" => KeyType::List,
            "set" => KeyType::Set,
            "zset" => KeyType::SortedSet,
            "hash" => KeyType::Hash,
            "stream" => KeyType::Stream,
            _ => KeyType::Other(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Encoder;

    fn written(options: SetOptions<'_>, get: bool) -> String {
        let mut out = Vec::new();
        Encoder::new(&mut out).request(&["SET"], &options.args(get).expect("options that fit"));
        let text = String::from_utf8(out).expect("text");
        let words = text.split("\r\n").filter(|word| !word.starts_with(['*', '$']));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_time_to_live_is_rounded_up_and_never_zero() {
        assert_eq!(millis(Duration::from_nanos(1)).ok(), Some(1));
        assert_eq!(millis(Duration::from_millis(1500)).ok(), Some(1500));
        assert_eq!(millis(Duration::from_nanos(1_000_001)).ok(), Some(2));
        assert!(matches!(millis(Duration::ZERO), Err(Error::Usage(_))));
        assert!(matches!(millis(Duration::MAX), Err(Error::Usage(_))));
        assert!(unix_millis(SystemTime::UNIX_EPOCH).is_err());
        assert_eq!(
            unix_millis(SystemTime::UNIX_EPOCH + Duration::from_secs(2)).ok(),
            Some(2000)
        );
    }

    #[test]
    fn options_are_written_in_the_order_of_the_grammar() {
        let second = Duration::from_secs(1);
        assert_eq!(written(SetOptions::new(), false), "SET ");
        assert_eq!(
            written(SetOptions::new().if_absent().ttl(second).jitter(5), true),
            "SET NX GET PX 1000 JITTER 5 "
        );
        assert_eq!(
            written(SetOptions::new().if_equal("old").keep_ttl(), false),
            "SET IFEQ old KEEPTTL "
        );
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let second = Duration::from_secs(1);
        for wrong in [
            SetOptions::new().ttl(Duration::ZERO),
            SetOptions::new().ttl(second).keep_ttl(),
            SetOptions::new().jitter(5),
            SetOptions::new().ttl(second).jitter(101),
            SetOptions::new().expire_at(SystemTime::now()).jitter(5),
        ] {
            assert!(matches!(wrong.args(false).err(), Some(Error::Usage(_))), "{wrong:?}");
        }
    }

    #[test]
    fn replies_with_a_meaning_are_read() {
        let ttl = |number| Ttl::from_value(Value::Int(number));
        assert_eq!(ttl(-2), Ok(Ttl::Absent));
        assert_eq!(ttl(-1), Ok(Ttl::Forever));
        assert_eq!(ttl(1500).map(Ttl::left), Ok(Some(Duration::from_millis(1500))));
        assert!(ttl(-3).is_err());
        let kind = |name: &'static str| KeyType::from_value(Value::Status(name.into()));
        assert_eq!(kind("zset"), Ok(KeyType::SortedSet));
        assert_eq!(kind("none"), Ok(KeyType::Absent));
        assert_eq!(kind("graph"), Ok(KeyType::Other("graph".to_string())));
    }
}
