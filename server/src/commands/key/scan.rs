//! KEYS and SCAN: walking over a database. Each bucket is visited under its own lock, so that a walk over
//! millions of keys holds nobody up who needs the keyspace.

use crate::call::{Call, Error, Outcome};
use crate::resp::encode::{Output, Reply, Version};
use crate::resp::request::Args;
use crate::text::{Glob, format_u64, number::INT_BYTES, parse_i64};

/// Keys that were found, as they will be sent.
struct Found {
    output: Output,
    version: Version,
    count: usize,
}

impl Found {
    fn new(version: Version) -> Found {
        Found {
            output: Output::default(),
            version,
            count: 0,
        }
    }

    fn add(&mut self, key: &[u8]) {
        Reply::new(&mut self.output, self.version).bulk(key);
        self.count += 1;
    }

    fn send(self, reply: &mut Reply<'_>) {
        reply.array(self.count);
        reply.output().append(&self.output);
    }
}

/// KEYS pattern
pub fn keys(call: &mut Call<'_>) -> Outcome {
    let pattern = Glob::new(&call.args[1], false);
    let mut found = Found::new(call.reply.version());
    let mut cursor = 0;
    loop {
        cursor = call.store.scan(cursor, &mut |key, _| {
            if pattern.matches(key) {
                found.add(key);
            }
        });
        if cursor == 0 {
            break;
        }
    }
    found.send(&mut call.reply);
    Ok(())
}

struct Options<'a> {
    pattern: Option<Glob>,
    kind: Option<&'a [u8]>,
    /// How many keys to visit.
    count: u64,
}

impl<'a> Options<'a> {
    fn parse(options: Args<'a>) -> Result<Options<'a>, Error> {
        let mut parsed = Options {
            pattern: None,
            kind: None,
            count: 10,
        };
        let mut at = 0;
        while let Some(name) = options.get(at) {
            let value = options.get(at + 1).ok_or(Error::SYNTAX)?;
            if name.eq_ignore_ascii_case(b"match") {
                parsed.pattern = Some(Glob::new(value, false));
            } else if name.eq_ignore_ascii_case(b"type") {
                parsed.kind = Some(value);
            } else if name.eq_ignore_ascii_case(b"count") {
                let count = parse_i64(value).ok_or(Error::NOT_AN_INTEGER)?;
                parsed.count = u64::try_from(count)
                    .ok()
                    .filter(|&count| count > 0)
                    .ok_or(Error::SYNTAX)?;
            } else {
                return Err(Error::SYNTAX);
            }
            at += 2;
        }
        Ok(parsed)
    }

    fn wants(&self, key: &[u8], kind: &str) -> bool {
        self.kind
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(kind.as_bytes()))
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(key))
    }
}

/// A cursor as C's `strtoul` reads it, which is how Redis does: a sign is allowed, nothing at all is 0.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let number = digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    (!digits.is_empty()).then_some(if negative { number.wrapping_neg() } else { number })
}

/// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
pub fn scan(call: &mut Call<'_>) -> Outcome {
    let mut cursor = parse_cursor(&call.args[1]).ok_or(Error::new("ERR invalid cursor"))?;
    let options = Options::parse(call.args.from(2))?;
    let mut found = Found::new(call.reply.version());
    // Buckets that are empty or full of expired keys cost time too; a small database has one per stripe.
    let stripes = call.node.keyspace.shape().stripes as u64;
    let mut buckets = options.count.saturating_mul(10).saturating_add(stripes);
    let mut visited = 0;
    loop {
        cursor = call.store.scan(cursor, &mut |key, kind| {
            visited += 1;
            if options.wants(key, kind) {
                found.add(key);
            }
        });
        buckets -= 1;
        if cursor == 0 || visited >= options.count || buckets == 0 {
            break;
        }
    }
    call.reply.array(2);
    call.reply.bulk(format_u64(cursor, &mut [0; INT_BYTES]));
    found.send(&mut call.reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_cursor;

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        assert_eq!(parse_cursor(b""), Some(0));
        assert_eq!(parse_cursor(b"007"), Some(7));
        assert_eq!(parse_cursor(b"+5"), Some(5));
        assert_eq!(parse_cursor(b"-1"), Some(u64::MAX));
        assert_eq!(parse_cursor(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            &b"18446744073709551616"[..],
            b"a",
            b" 1",
            b"1 ",
            b"+",
            b"-",
            b"--1",
            b"1\0",
        ] {
            assert_eq!(parse_cursor(bad), None, "{bad:?}");
        }
    }
}
