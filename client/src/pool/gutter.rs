//! Which commands go to another node while their own is out, and how they look there. No clock, no sockets.
//!
//! A gutter (the name and the idea are memcached's at Facebook, Nishtala et al. 2013) keeps values for a node that is out,
//! for seconds only. They are kept under another key than the value's own, with the owner's name in it: whatever
//! happens to the membership, a gutter value is never taken for one that its node owns.

use std::str::from_utf8;

/// What all keys that the client keeps for itself begin with.
pub(crate) const RESERVED: &[u8] = b"~larder:";

/// A command that may go to the gutter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    Get {
        key: &'a [u8],
    },
    Set {
        key: &'a [u8],
        value: &'a [u8],
        ttl: Ttl,
    },
    Del {
        key: &'a [u8],
    },
    /// Any other: it must not have a second owner.
    Other,
}

/// A time to live as it was given, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ttl {
    Relative(u64),
    /// Since 1970.
    Absolute(u64),
}

impl Ttl {
    /// What is left of it, and of the gutter's own limit; `None` if it is over. `unix_ms` is the time since 1970.
    pub(crate) fn capped_ms(self, unix_ms: u64, max_ms: u64) -> Option<u64> {
        let left = match self {
            Ttl::Relative(ms) => ms,
            Ttl::Absolute(at_ms) => at_ms.saturating_sub(unix_ms),
        };
        (left > 0).then(|| left.min(max_ms))
    }
}

/// The words of a request that is encoded; `None` if it is not one whole request.
pub(crate) fn words(encoded: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = encoded;
    let words = next_words(&mut rest)?;
    rest.is_empty().then_some(words)
}

fn next_words<'a>(rest: &mut &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let count = number(rest, b'*')?;
    let mut words = Vec::with_capacity(count.min(16));
    for _ in 0..count {
        let length = number(rest, b'$')?;
        let (word, behind) = rest.split_at_checked(length)?;
        words.push(word);
        *rest = behind.strip_prefix(b"\r\n")?;
    }
    Some(words)
}

/// The keys that requests which are encoded delete or overwrite, whatever their values were: if it is not known whether
/// they ran, deleting these keys is right. Not so for what depends on the value: a `SET NX` that was not answered must not
/// delete a lock that somebody else has, nor an `INCR` its counter.
pub(crate) fn overwritten(encoded: &[u8]) -> Vec<&[u8]> {
    let mut rest = encoded;
    let mut keys = Vec::new();
    while let Some(words) = next_words(&mut rest) {
        let [name, args @ ..] = &*words else { continue };
        match name.to_ascii_uppercase().as_slice() {
            b"DEL" | b"UNLINK" => keys.extend(args),
            b"MSET" => keys.extend(args.iter().step_by(2)),
            b"SET" if is_plain_set(args) => keys.extend(args.first()),
            b"SETEX" | b"PSETEX" => keys.extend(args.first()),
            _ => {}
        }
    }
    keys
}

/// Whether the options behind key and value are times only.
fn is_plain_set(args: &[&[u8]]) -> bool {
    const TIMES: [&str; 5] = ["EX", "PX", "EXAT", "PXAT", "JITTER"];
    let options = args.get(2..).unwrap_or_default().chunks(2);
    options.into_iter().all(|option| {
        let is = |name: &str| option[0].eq_ignore_ascii_case(name.as_bytes());
        option.len() == 2 && TIMES.iter().any(|name| is(name))
    })
}

fn number(rest: &mut &[u8], kind: u8) -> Option<usize> {
    let (first, behind) = rest.split_first()?;
    let end = behind.windows(2).position(|pair| pair == b"\r\n")?;
    *rest = &behind[end + 2..];
    (*first == kind).then(|| from_utf8(&behind[..end]).ok()?.parse().ok())?
}

/// Which kind of command it is. Anything about it that is not plain makes it another: `SET NX` is a lock.
pub(crate) fn classify<'a>(words: &[&'a [u8]]) -> Op<'a> {
    let [name, args @ ..] = words else { return Op::Other };
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
    match *args {
        [key] if is("GET") => Op::Get { key },
        [key] if is("DEL") => Op::Del { key },
        [key, value, unit, amount] if is("SET") => set(key, value, unit, amount),
        // What is random about the time is less than what the gutter takes off it.
        [key, value, unit, amount, jitter, _] if is("SET") && jitter.eq_ignore_ascii_case(b"JITTER") => {
            set(key, value, unit, amount)
        }
        [key, amount, value] if is("SETEX") => set(key, value, b"EX", amount),
        [key, amount, value] if is("PSETEX") => set(key, value, b"PX", amount),
        _ => Op::Other,
    }
}

fn set<'a>(key: &'a [u8], value: &'a [u8], unit: &[u8], amount: &[u8]) -> Op<'a> {
    let Some(amount) = from_utf8(amount).ok().and_then(|text| text.parse::<u64>().ok()) else {
        return Op::Other;
    };
    let ttl = match unit.to_ascii_uppercase().as_slice() {
        b"EX" => amount.checked_mul(1000).map(Ttl::Relative),
        b"PX" => Some(Ttl::Relative(amount)),
        b"EXAT" => amount.checked_mul(1000).map(Ttl::Absolute),
        b"PXAT" => Some(Ttl::Absolute(amount)),
        _ => None,
    };
    match ttl {
        // The server has its own words for a time that makes no sense.
        None | Some(Ttl::Relative(0) | Ttl::Absolute(0)) => Op::Other,
        Some(ttl) => Op::Set { key, value, ttl },
    }
}

/// Under which key another node keeps what belongs to `owner`.
pub(crate) fn gutter_key(owner: &str, key: &[u8]) -> Vec<u8> {
    [RESERVED, b"gutter:", owner.as_bytes(), b":", key].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Encoder, ToArgs};

    fn encoded(name: &str, args: impl ToArgs) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::new(&mut out).request(&[name], &args);
        out
    }

    fn op(name: &str, args: impl ToArgs) -> String {
        let request = encoded(name, args);
        format!("{:?}", classify(&words(&request).expect("whole")))
    }

    #[test]
    fn only_plain_reads_deletes_and_writes_with_a_ttl_go_there() {
        assert!(op("GET", "k").starts_with("Get"));
        assert!(op("get", "k").starts_with("Get"));
        assert!(op("DEL", "k").starts_with("Del"));
        assert!(op("SET", ("k", "v", "EX", 10)).ends_with("ttl: Relative(10000) }"));
        assert!(op("set", ("k", "v", "px", 10)).ends_with("ttl: Relative(10) }"));
        assert!(op("SET", ("k", "v", "PXAT", 99)).ends_with("ttl: Absolute(99) }"));
        assert!(op("SET", ("k", "v", "EX", 10, "JITTER", 5)).ends_with("ttl: Relative(10000) }"));
        assert!(op("SETEX", ("k", 2, "v")).ends_with("ttl: Relative(2000) }"));
        assert!(op("PSETEX", ("k", 2, "v")).ends_with("ttl: Relative(2) }"));
        let others: [String; 9] = [
            op("SET", ("k", "v")),
            op("SET", ("k", "v", "NX", "EX", 10)),
            op("SET", ("k", "v", "EX", 10, "NX")),
            op("SET", ("k", "v", "EX", 0)),
            op("SET", ("k", "v", "EX", "soon")),
            op("SET", ("k", "v", "KEEPTTL", 1)),
            op("DEL", ("k", "l")),
            op("INCR", "k"),
            op("GETEX", "k"),
        ];
        assert!(others.iter().all(|op| op == "Other"), "{others:?}");
    }

    #[test]
    fn what_is_no_single_request_has_no_words() {
        let mut two = encoded("GET", "k");
        two.extend(encoded("GET", "l"));
        for bytes in [b"".as_slice(), b"*1\r\n", b"*x\r\n", b"*1\r\n$4\r\nPING", &two] {
            assert_eq!(words(bytes), None, "{}", bytes.escape_ascii());
        }
        assert_eq!(words(b"*1\r\n$6\r\nPI\r\nNG\r\n"), Some(vec![b"PI\r\nNG".as_slice()]));
    }

    #[test]
    fn only_what_does_not_depend_on_the_value_is_deleted_when_it_is_in_doubt() {
        let keys = |name: &str, args: &[&str]| {
            let request = encoded(name, args);
            let keys = overwritten(&request);
            keys.iter()
                .map(|key| String::from_utf8_lossy(key).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys("DEL", &["a", "b"]), ["a", "b"]);
        assert_eq!(keys("MSET", &["a", "1", "b", "2"]), ["a", "b"]);
        assert_eq!(keys("SET", &["a", "1"]), ["a"]);
        assert_eq!(keys("set", &["a", "1", "px", "9", "JITTER", "5"]), ["a"]);
        assert_eq!(keys("SETEX", &["a", "9", "1"]), ["a"]);
        for other in [
            &["a", "1", "NX"][..],
            &["a", "1", "EX", "9", "NX"],
            &["a", "1", "GET"],
            &["a", "1", "IFEQ", "0"],
        ] {
            assert!(keys("SET", other).is_empty(), "{other:?}");
        }
        assert!(keys("INCR", &["a"]).is_empty() && keys("HSET", &["a", "f", "v"]).is_empty());
        let pipeline = [encoded("INCR", "a"), encoded("DEL", "b"), encoded("SET", ("c", 1))].concat();
        assert_eq!(overwritten(&pipeline), [b"b", b"c"]);
    }

    #[test]
    fn a_ttl_is_capped_and_ends_when_it_is_due() {
        assert_eq!(Ttl::Relative(5000).capped_ms(0, 10_000), Some(5000));
        assert_eq!(Ttl::Relative(50_000).capped_ms(0, 10_000), Some(10_000));
        assert_eq!(Ttl::Absolute(1_500).capped_ms(1_000, 10_000), Some(500));
        assert_eq!(Ttl::Absolute(1_000).capped_ms(1_000, 10_000), None);
    }
}
