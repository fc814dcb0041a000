//! Settings that say something for the keys that begin with a prefix: `ttl-jitter-rule session: 10`.

use super::syntax::{self, Problem, Syntax};
use super::values::Field;

/// Every rule may have to be compared with every key that is written.
pub(super) const MAX_RULES: usize = 64;
/// In bytes.
pub(super) const MAX_PREFIX_BYTES: usize = 512;
/// The unit whose numbers may be written as sizes: `64mb`.
pub(super) const BYTES: &str = "bytes";

/// A number for each of some prefixes, none of them twice.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PrefixRules(pub Vec<(String, u64)>);

impl Field for PrefixRules {
    fn read(&mut self, text: &str, syntax: Syntax) -> Result<(), Problem> {
        let Syntax::PrefixRules(unit, max) = syntax else {
            return Err(format!("rules cannot be written as {}", syntax.describe()));
        };
        let words: Vec<&str> = syntax::parse_text(text)?.split_ascii_whitespace().collect();
        if !words.len().is_multiple_of(2) {
            return Err(format!("argument must be pairs of a prefix and {unit}"));
        }
        let mut rules: Vec<(String, u64)> = Vec::new();
        for pair in words.chunks_exact(2) {
            let (prefix, value) = (pair[0], pair[1]);
            if prefix.len() > MAX_PREFIX_BYTES {
                return Err(format!("a prefix is longer than {MAX_PREFIX_BYTES} bytes"));
            }
            let value = match unit {
                BYTES => syntax::parse_memory(value, 0, max.unsigned_abs()),
                _ => syntax::parse_int(value, 0, max).map(i64::unsigned_abs),
            };
            let value = value.map_err(|problem| format!("{unit} of a rule: {problem}"))?;
            // Whoever adds a line for the same prefix means to change it.
            rules.retain(|(known, _)| known != prefix);
            rules.push((prefix.to_owned(), value));
            if rules.len() > MAX_RULES {
                return Err(format!("argument has more than {MAX_RULES} rules"));
            }
        }
        self.0 = rules;
        Ok(())
    }

    fn show(&self, _: Syntax) -> String {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(prefix, value)| format!("{prefix} {value}"))
            .collect();
        pairs.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, PrefixRules, Syntax};

    const PERCENT: Syntax = Syntax::PrefixRules("percent", 100);

    fn read(text: &str) -> Result<PrefixRules, String> {
        let mut rules = PrefixRules::default();
        rules.read(text, PERCENT)?;
        Ok(rules)
    }

    #[test]
    fn rules_are_pairs_and_the_last_of_a_prefix_counts() {
        assert_eq!(read("  ").unwrap(), PrefixRules::default());
        let rules = read("a 1  b: 100 a 0").unwrap();
        assert_eq!(rules.show(PERCENT), "b: 100 a 0");
        assert_eq!(read(&rules.show(PERCENT)).unwrap(), rules);
    }

    #[test]
    fn sizes_take_units() {
        let quotas = Syntax::PrefixRules(super::BYTES, i64::MAX);
        let mut rules = PrefixRules::default();
        rules.read("user: 64mb session: 1000 any 0", quotas).unwrap();
        assert_eq!(rules.show(quotas), "user: 67108864 session: 1000 any 0");
        for text in [
            "user: -1",
            "user: x",
            "user: 1.5gb",
            "user: 9223372036854775808",
            "user: 1 mb",
        ] {
            assert!(rules.read(text, quotas).is_err(), "{text}");
        }
        assert_eq!(rules.0.len(), 3);
    }

    #[test]
    fn what_is_no_rule_is_refused_and_changes_nothing() {
        let mut rules = read("a 1").unwrap();
        let long = format!("{} 1", "p".repeat(513));
        let many: String = (0..65).map(|number| format!("p{number} 1 ")).collect();
        for (text, problem) in [
            ("a", "argument must be pairs of a prefix and percent"),
            ("a 1 b", "argument must be pairs of a prefix and percent"),
            (
                "a 101",
                "percent of a rule: argument must be between 0 and 100 inclusive",
            ),
            (
                "a -1",
                "percent of a rule: argument must be between 0 and 100 inclusive",
            ),
            ("a x", "percent of a rule: argument couldn't be parsed into an integer"),
            ("a 1%", "percent of a rule: argument couldn't be parsed into an integer"),
            (&long, "a prefix is longer than 512 bytes"),
            (&many, "argument has more than 64 rules"),
        ] {
            assert_eq!(rules.read(text, PERCENT).unwrap_err(), problem);
        }
        assert_eq!(rules.show(PERCENT), "a 1");
        assert!(read(&many.replace("p64 1 ", "")).is_ok());
        assert!(read(&format!("{} 1", "p".repeat(512))).is_ok());
    }
}
