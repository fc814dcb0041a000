//! The section about the prefixes that are accounted for: one line each.

use super::{Source, Text};
use std::fmt::{self, Display};

pub(super) fn write(text: &mut Text, source: &Source<'_>) {
    let survey = &source.survey.prefixes;
    text.field("prefixes", survey.list.len());
    text.field("prefixes_counting", u8::from(survey.counting));
    for (number, prefix) in survey.list.iter().enumerate() {
        text.put(format_args!(
            "prefix_{number}:name={},keys={},bytes={},quota={},hits={},misses={},evicted={}\r\n",
            Name(&prefix.name),
            prefix.keys,
            prefix.bytes,
            prefix.quota,
            prefix.counters.hits,
            prefix.counters.misses,
            prefix.counters.evicted,
        ));
    }
}

/// A prefix that cannot be taken for anything else in its line: printable ASCII as it is, `\xhh` for other bytes and
/// for backslash, comma, equals sign, quote and space.
struct Name<'a>(&'a [u8]);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'\\' | b',' | b'=' | b'"' => write!(f, "\\x{byte:02x}")?,
                b'!'..=b'~' => write!(f, "{}", char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn a_name_cannot_be_taken_for_a_field() {
        assert_eq!(Name(b"user:{1}*").to_string(), "user:{1}*");
        assert_eq!(
            Name(b"a,b=\"c\\ \r\n\xff\xc3\xa4").to_string(),
            r"a\x2cb\x3d\x22c\x5c\x20\x0d\x0a\xff\xc3\xa4"
        );
    }
}
