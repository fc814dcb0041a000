//! What a node says of itself: the reply to INFO, and which program it is.

use std::collections::HashMap;
use std::str::FromStr;

/// The fields of an INFO reply.
#[derive(Clone, Debug, Default)]
pub(crate) struct Info(HashMap<String, String>);

impl Info {
    /// Reads `name:value` lines; what is none is passed over.
    pub(crate) fn parse(text: &[u8]) -> Info {
        let text = String::from_utf8_lossy(text);
        let fields = text.lines().filter(|line| !line.starts_with('#'));
        Info(
            fields
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_string(), value.trim_end().to_string()))
                .collect(),
        )
    }

    /// A field's text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A field's number; `None` if it is missing or no number.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// The program and its version. Others that speak RESP name the Redis that they are like, too, so their own
    /// names go first.
    pub(crate) fn program(&self) -> Option<String> {
        let version = |name: &str| {
            let version = self.text(&format!("{name}_version"))?;
            // It comes from a stranger and goes to a terminal.
            Some(printable(&format!("{name} {version}")))
        };
        ["larder", "valkey", "dragonfly", "redis"].into_iter().find_map(version)
    }
}

/// The text without what could steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_the_rest_is_passed_over() {
        let info = Info::parse(
            b"# Server\r\nredis_version:7.2.4\r\nlarder_version:0.1.0\r\n\r\nnonsense\r\nuptime:x\r\nn:12\r\n",
        );
        assert_eq!(info.program().as_deref(), Some("larder 0.1.0"));
        assert_eq!(info.number::<u64>("n"), Some(12));
        assert_eq!(info.number::<u64>("uptime"), None);
        assert_eq!(info.text("nonsense"), None);
        assert_eq!(
            Info::parse(b"redis_version:7.0\r\n").program().as_deref(),
            Some("redis 7.0")
        );
    }

    #[test]
    fn a_stranger_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2J\x07b"), "a?[2J?b");
        assert_eq!(
            Info::parse(b"redis_version:1\x1b[2J\n").program().as_deref(),
            Some("redis 1?[2J")
        );
    }
}
