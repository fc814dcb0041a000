//! Replies as a server sent them: where one ends, what it holds, and how to show it.

use std::fmt::Write as _;

/// One decoded reply. Order is kept everywhere, because two servers' replies are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    /// Types without a length: `+`, `-`, `:`, `,`, `#`, `(`, `_`, with their type byte and text.
    Line(u8, Vec<u8>),
    /// Types with a length: `$`, `=`, `!`. `None` is RESP2's null bulk.
    Bulk(u8, Option<Vec<u8>>),
    /// `*`, `~`, `>`. `None` is RESP2's null array.
    Array(u8, Option<Vec<Reply>>),
    /// `%`, or attributes (`|`) when the type byte says so.
    Map(u8, Vec<(Reply, Reply)>),
}

impl Reply {
    /// The integer of a `:` reply.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Line(b':', text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The bytes of a bulk, verbatim or simple string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(_, Some(bytes)) | Self::Line(b'+', bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The elements of an array, set or push.
    pub fn items(&self) -> Option<&[Reply]> {
        match self {
            Self::Array(_, Some(items)) => Some(items),
            _ => None,
        }
    }

    /// Whether this is an error reply.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Line(b'-', _) | Self::Bulk(b'!', _))
    }

    /// Text for assertions: the string of [`Reply::bytes`], lossy.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes().unwrap_or_default()).into_owned()
    }

    /// The same reply with every collection sorted, for replies whose order means nothing.
    pub fn sorted(self) -> Self {
        match self {
            Self::Array(kind, Some(items)) => {
                let mut items: Vec<_> = items.into_iter().map(Self::sorted).collect();
                items.sort();
                Self::Array(kind, Some(items))
            }
            Self::Map(kind, pairs) => {
                let mut pairs: Vec<_> = pairs.into_iter().map(|(k, v)| (k.sorted(), v.sorted())).collect();
                pairs.sort();
                Self::Map(kind, pairs)
            }
            other => other,
        }
    }

    /// The same reply with every scalar emptied: only types and lengths of collections remain.
    pub fn shape(self) -> Self {
        match self {
            Self::Line(kind, _) => Self::Line(kind, Vec::new()),
            Self::Bulk(kind, body) => Self::Bulk(kind, body.map(|_| Vec::new())),
            Self::Array(kind, items) => {
                Self::Array(kind, items.map(|items| items.into_iter().map(Self::shape).collect()))
            }
            Self::Map(kind, pairs) => Self::Map(kind, pairs.into_iter().map(|(k, v)| (k.shape(), v.shape())).collect()),
        }
    }
}

/// The length of the first complete reply in `bytes`, `None` if it is incomplete.
///
/// # Errors
/// If the bytes are no RESP at all.
pub fn complete_len(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    let mut pending = 1usize;
    while pending > 0 {
        let Some((kind, text, next)) = line(bytes, at)? else {
            return Ok(None);
        };
        at = next;
        pending -= 1;
        match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_' => {}
            b'$' | b'=' | b'!' => {
                if let Some(length) = length(text)? {
                    at += length + 2;
                }
            }
            b'*' | b'~' | b'>' => pending += length(text)?.unwrap_or(0),
            b'%' => pending += 2 * length(text)?.unwrap_or(0),
            // Attributes come before the reply they belong to.
            b'|' => pending += 2 * length(text)?.unwrap_or(0) + 1,
            other => {
                return Err(format!("no RESP type: {:?} in {}", other as char, escape(bytes)));
            }
        }
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

/// Decodes the one reply that `bytes` are.
///
/// # Errors
/// If they are not exactly one complete reply.
pub fn decode(bytes: &[u8]) -> Result<Reply, String> {
    if complete_len(bytes)? != Some(bytes.len()) {
        return Err(format!("not exactly one reply: {}", escape(bytes)));
    }
    let mut at = 0;
    decode_at(bytes, &mut at)
}

fn decode_at(bytes: &[u8], at: &mut usize) -> Result<Reply, String> {
    let (kind, text, next) = line(bytes, *at)?.ok_or("a reply that ends early")?;
    *at = next;
    let many = |count: usize, at: &mut usize| (0..count).map(|_| decode_at(bytes, at)).collect::<Result<Vec<_>, _>>();
    Ok(match kind {
        b'$' | b'=' | b'!' => Reply::Bulk(
            kind,
            length(text)?.map(|length| {
                let body = bytes[*at..*at + length].to_vec();
                *at += length + 2;
                body
            }),
        ),
        b'*' | b'~' | b'>' => match length(text)? {
            Some(count) => Reply::Array(kind, Some(many(count, at)?)),
            None => Reply::Array(kind, None),
        },
        b'%' | b'|' => {
            let flat = many(2 * length(text)?.unwrap_or(0), at)?;
            let mut pairs = Vec::with_capacity(flat.len() / 2);
            let mut flat = flat.into_iter();
            while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
                pairs.push((key, value));
            }
            if kind == b'|' {
                pairs.push((Reply::Line(b'|', Vec::new()), decode_at(bytes, at)?));
            }
            Reply::Map(kind, pairs)
        }
        _ => Reply::Line(kind, text.to_vec()),
    })
}

/// Whether an implementation that is not ours (redis-protocol) takes `bytes` for one whole reply.
///
/// # Errors
/// What it says is wrong.
pub fn check_with_redis_protocol(bytes: &[u8], resp3: bool) -> Result<(), String> {
    let used = if resp3 {
        redis_protocol::resp3::decode::complete::decode(bytes).map(|frame| frame.map(|(_, used)| used))
    } else {
        redis_protocol::resp2::decode::decode(bytes).map(|frame| frame.map(|(_, used)| used))
    };
    match used {
        Ok(Some(used)) if used == bytes.len() => Ok(()),
        Ok(used) => Err(format!("redis-protocol takes {used:?} of {} bytes", bytes.len())),
        Err(error) => Err(format!("redis-protocol: {error}")),
    }
}

/// A line: its type byte, its text, and the position behind it.
type Line<'a> = (u8, &'a [u8], usize);

/// The line that starts at `at`, if it is complete.
fn line(bytes: &[u8], at: usize) -> Result<Option<Line<'_>>, String> {
    let Some(rest) = bytes.get(at..) else {
        return Ok(None);
    };
    let Some(&kind) = rest.first() else {
        return Ok(None);
    };
    match rest.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) if end >= 1 => Ok(Some((kind, &rest[1..end], at + end + 2))),
        Some(_) => Err(format!("an empty line in {}", escape(bytes))),
        None => Ok(None),
    }
}

/// The length of a bulk or collection; `None` is the null of RESP2 (-1).
fn length(text: &[u8]) -> Result<Option<usize>, String> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    match number {
        Some(-1) => Ok(None),
        Some(n) if (0..=1 << 32).contains(&n) => Ok(usize::try_from(n).ok()),
        _ => Err(format!("a bad length: {}", escape(text))),
    }
}

/// Bytes as readable text: printable ASCII as is, the rest escaped, cut after 600 bytes.
pub fn escape(bytes: &[u8]) -> String {
    const SHOWN: usize = 600;
    let mut out = String::new();
    for &byte in bytes.iter().take(SHOWN) {
        match byte {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(byte as char),
            _ => write!(out, "\\x{byte:02x}").expect("writing to a String does not fail"),
        }
    }
    if bytes.len() > SHOWN {
        write!(out, "... ({} bytes)", bytes.len()).expect("writing to a String does not fail");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_complete_only_with_its_last_byte() {
        for whole in [
            &b"+OK\r\n"[..],
            b"$5\r\na\r\nbc\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"*2\r\n:1\r\n*1\r\n$0\r\n\r\n",
            b"%1\r\n+k\r\n~2\r\n#t\r\n_\r\n",
            b"|1\r\n+a\r\n:1\r\n,1.5\r\n",
        ] {
            for cut in 0..whole.len() {
                assert_eq!(complete_len(&whole[..cut]), Ok(None), "{}", escape(&whole[..cut]));
            }
            assert_eq!(complete_len(whole), Ok(Some(whole.len())));
            assert!(decode(whole).is_ok());
        }
        assert!(complete_len(b"nonsense\r\n").is_err());
    }

    #[test]
    fn sorted_and_shape_ignore_what_they_say() {
        let a = decode(b"*2\r\n$1\r\nb\r\n$1\r\na\r\n").expect("valid");
        let b = decode(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n").expect("valid");
        assert_ne!(a, b);
        assert_eq!(a.clone().sorted(), b.clone().sorted());
        assert_eq!(
            a.shape(),
            decode(b"*2\r\n$1\r\nx\r\n$3\r\nxyz\r\n").expect("valid").shape()
        );
    }
}
