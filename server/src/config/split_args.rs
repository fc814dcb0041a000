//! Splits a line into words by the quoting rules of redis.conf, redis-cli and inline commands, and quotes words back.

use std::fmt::Write as _;

/// The line ends inside a quote, or a closing quote is followed by something else than white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Unbalanced quotes in configuration line")]
pub struct UnbalancedQuotes;

/// Splits `line` at white space into words.
///
/// Inside double quotes `\n \r \t \b \a \\ \"` and `\xHH` mean what they mean in C, and a backslash before
/// anything else is dropped; inside single quotes only `\'` is special. A quote may start within a
/// word, but must be the word's end. As in Redis, whose strings end there, a NUL byte ends the line.
/// An empty or blank line has no words. Time and memory are linear in the line's length.
///
/// # Errors
/// [`UnbalancedQuotes`] as described there.
pub fn split_args(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut words = Vec::new();
    let end = line.iter().position(|byte| *byte == 0).unwrap_or(line.len());
    let mut rest = &line[..end];
    loop {
        while let [first, tail @ ..] = rest
            && is_space(*first)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(word);
    }
}

/// What may stand between words, as C's `isspace` has it.
fn is_space(byte: u8) -> bool {
    ends_word(byte) || matches!(byte, 0x0b | 0x0c)
}

/// What ends an unquoted word: not all that may stand between words, in Redis.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    while let [first, tail @ ..] = rest {
        match first {
            b'"' => return word_must_end(take_double_quoted(tail, word)?),
            b'\'' => return word_must_end(take_single_quoted(tail, word)?),
            byte if ends_word(*byte) => break,
            byte => word.push(*byte),
        }
        rest = tail;
    }
    Ok(rest)
}

fn word_must_end(rest: &[u8]) -> Result<&[u8], UnbalancedQuotes> {
    match rest.first() {
        Some(byte) if !is_space(*byte) => Err(UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn take_double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        rest = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex_value(*high) << 4 | hex_value(*low));
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                word.push(unescape(*escaped));
                tail
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                tail
            }
        };
    }
}

fn take_single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        rest = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'\'', tail @ ..] => return Ok(tail),
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                tail
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                tail
            }
        };
    }
}

fn unescape(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

/// `word` as [`split_args`] reads it back: bare where that is enough, else in double quotes.
pub(super) fn quote(word: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    if !word.is_empty() && !word.starts_with('#') && word.bytes().all(bare) {
        return word.to_owned();
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('"');
    for letter in word.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_ascii_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\x{:02x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        let words = split_args(line.as_bytes()).unwrap();
        words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
    }

    #[test]
    fn words_are_split_at_any_white_space() {
        assert_eq!(words("  port\t7000 \r\n"), ["port", "7000"]);
        assert_eq!(words(""), Vec::<String>::new());
        assert_eq!(words(" \t"), Vec::<String>::new());
    }

    #[test]
    fn double_quotes_know_the_escapes_of_redis() {
        assert_eq!(
            words(r#"a "b c" "" "\x41\n\r\t\q\"\\""#),
            ["a", "b c", "", "A\n\r\tq\"\\"]
        );
        assert_eq!(split_args(br#""\xff\x0G\b\a""#).unwrap(), [b"\xffx0G\x08\x07"]);
    }

    #[test]
    fn single_quotes_know_only_the_single_quote() {
        assert_eq!(words(r"'a\n' 'it\'s'"), [r"a\n", "it's"]);
    }

    #[test]
    fn rare_bytes_mean_what_they_mean_to_redis() {
        assert_eq!(split_args(b"a\x0bb \x0c c\0d").unwrap(), [&b"a\x0bb"[..], b"c"]);
        assert_eq!(split_args(b"\"a\0\""), Err(UnbalancedQuotes));
        assert_eq!(split_args(b"\"a\"\x0b\"b\"\0x").unwrap(), [b"a", b"b"]);
    }

    #[test]
    fn a_quote_may_start_inside_a_word_but_ends_it() {
        assert_eq!(words(r#"foo"bar baz" x"#), ["foobar baz", "x"]);
        for line in [r#""a"b"#, "'a'b", "\"a", "'a", "\"a\\", "\"a\\\"", "a\"b\"c"] {
            assert_eq!(split_args(line.as_bytes()), Err(UnbalancedQuotes), "{line}");
        }
    }

    #[test]
    fn a_megabyte_of_quotes_is_split_quickly() {
        let line = b"\"\" ".repeat(1 << 18);
        assert_eq!(split_args(&line).unwrap().len(), 1 << 18);
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_without_panic(line: Vec<u8>) {
            let _ = split_args(&line);
        }

        #[test]
        fn a_quoted_word_is_read_back_as_it_was(first: String, second in "[ -~]{0,20}") {
            let line = format!("{} {}", quote(&first), quote(&second));
            prop_assert_eq!(words(&line), vec![first, second]);
        }
    }
}
