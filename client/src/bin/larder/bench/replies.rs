//! Replies as they stream in: what kind each one is. Values are counted and skipped, never kept.

/// The longest line of a reply that is understood; errors may be long, but not endless.
const MAX_LINE_BYTES: usize = 4096;

/// One reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    /// A status such as `OK`, or a number.
    Done,
    /// A value.
    Value,
    /// The nil that stands for a missing key.
    Nil,
    /// An error's text.
    Error(&'a str),
}

/// Finds the replies to GET, SET and what opens a connection in a stream of RESP2.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// A line whose end has not arrived.
    line: Vec<u8>,
    /// Bytes of a value that are still to come, with its line end; 0 outside of a value.
    skip: usize,
}

impl Replies {
    /// Takes what has arrived and hands over each reply that it completes.
    ///
    /// # Errors
    /// If it is no RESP, or no reply that was asked for; nothing that follows can be understood then.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Reply<'_>)) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                bytes = &bytes[skipped..];
                self.skip -= skipped;
                if self.skip == 0 {
                    each(Reply::Value);
                }
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.line.extend_from_slice(bytes);
                return match self.line.len() {
                    0..=MAX_LINE_BYTES => Ok(()),
                    _ => Err(format!("a line of over {MAX_LINE_BYTES} bytes")),
                };
            };
            let (line, rest) = bytes.split_at(end + 1);
            bytes = rest;
            if self.line.is_empty() {
                self.skip = take_line(line, &mut each)?;
            } else {
                self.line.extend_from_slice(line);
                let line = std::mem::take(&mut self.line);
                self.skip = take_line(&line, &mut each)?;
            }
        }
        Ok(())
    }
}

/// Takes a whole line; returns how many bytes of a value follow it.
#[inline]
fn take_line(line: &[u8], each: &mut impl FnMut(Reply<'_>)) -> Result<usize, String> {
    let what = || {
        format!(
            "'{}' is no reply",
            String::from_utf8_lossy(&line[..line.len().min(40)]).escape_debug()
        )
    };
    let Some((&kind, text)) = line.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) else {
        return Err(what());
    };
    match kind {
        b'$' if text == b"-1" => each(Reply::Nil),
        b'$' => {
            let plain = (1..=10).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
            let number = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            return if plain { Ok(number(text) + 2) } else { Err(what()) };
        }
        b'+' | b':' => each(Reply::Done),
        b'_' => each(Reply::Nil),
        b'-' => each(Reply::Error(&String::from_utf8_lossy(text))),
        _ => return Err(what()),
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(chunks: &[&[u8]]) -> Result<Vec<String>, String> {
        let mut replies = Replies::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            replies.feed(chunk, |reply| seen.push(format!("{reply:?}")))?;
        }
        Ok(seen)
    }

    #[test]
    fn replies_are_the_same_whole_and_in_pieces() {
        let stream = b"+OK\r\n$5\r\nhe\r\no\r\n$-1\r\n$0\r\n\r\n-OOM no\r\n:1\r\n";
        let wanted = ["Done", "Value", "Nil", "Value", "Error(\"OOM no\")", "Done"];
        assert_eq!(kinds(&[stream]).expect("replies"), wanted);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(kinds(&bytes).expect("replies"), wanted);
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for garbage in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"*1\r\n",
            b"$x\r\n",
            b"$99999999999\r\n",
            b"\n",
            b"+OK\n",
        ] {
            assert!(kinds(&[garbage]).is_err(), "{}", String::from_utf8_lossy(garbage));
        }
        assert!(kinds(&[&[b'-'; MAX_LINE_BYTES + 1]]).is_err());
    }
}
