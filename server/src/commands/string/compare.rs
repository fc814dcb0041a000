//! Comparing strings with given ones or their digests: DIGEST, DELEX and the conditions of SET.

use super::look_at;
use crate::call::{Call, Error, Outcome};
use xxhash_rust::xxh3::xxh3_64;

/// Hexadecimal digits of a digest.
const DIGEST_DIGITS: usize = 16;

/// How a string is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparison {
    /// `IFEQ`: it is the given one.
    Equal,
    /// `IFNE`: it is another.
    Different,
    /// `IFDEQ`: it has the given digest.
    DigestEqual,
    /// `IFDNE`: it has another.
    DigestDifferent,
}

impl Comparison {
    /// Reads a comparison's name, in any case.
    pub(super) fn parse(word: &[u8]) -> Option<Comparison> {
        const NAMES: [(&[u8], Comparison); 4] = [
            (b"ifeq", Comparison::Equal),
            (b"ifne", Comparison::Different),
            (b"ifdeq", Comparison::DigestEqual),
            (b"ifdne", Comparison::DigestDifferent),
        ];
        NAMES
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name))
            .map(|(_, comparison)| *comparison)
    }

    /// Whether it asks for a difference, which an absent string has from everything.
    pub(super) fn is_negative(self) -> bool {
        matches!(self, Comparison::Different | Comparison::DigestDifferent)
    }

    /// Whether the string passes.
    ///
    /// # Errors
    /// The operand cannot be a digest.
    pub(super) fn holds(self, text: &[u8], operand: &[u8]) -> Result<bool, Error> {
        let equal = match self {
            Comparison::Equal | Comparison::Different => text == operand,
            Comparison::DigestEqual | Comparison::DigestDifferent => {
                if operand.len() != DIGEST_DIGITS {
                    return Err(Error::new("ERR must be exactly 16 hexadecimal characters"));
                }
                digest_of(text).eq_ignore_ascii_case(operand)
            }
        };
        Ok(equal != self.is_negative())
    }
}

/// The 64 bits of XXH3 over a string, in hexadecimal digits, the highest first.
fn digest_of(text: &[u8]) -> [u8; DIGEST_DIGITS] {
    let hash = xxh3_64(text);
    std::array::from_fn(|at| b"0123456789abcdef"[(hash >> (60 - 4 * at)) as usize & 15])
}

/// DIGEST key
pub fn digest(call: &mut Call<'_>) -> Outcome {
    match look_at(call.store.key(&call.args[1]), digest_of)? {
        Some(digits) => call.reply.bulk(&digits),
        None => call.reply.null(),
    }
    Ok(())
}

/// `DELEX key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]`
pub fn delex(call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    let mut key = call.store.key(&args[1]);
    // Without a key nothing else matters, not even wrong arguments.
    if key.exists() && args.len() > 2 && !passes(args.get(2), args.get(3), args.len(), &mut key, call.command)? {
        call.reply.int(0);
        return Ok(());
    }
    call.reply.int(i64::from(key.remove()));
    Ok(())
}

/// Whether the string of an existing key passes DELEX's condition.
fn passes(
    word: Option<&[u8]>,
    operand: Option<&[u8]>,
    args: usize,
    key: &mut crate::store::Key<'_>,
    command: &crate::command::Command,
) -> Result<bool, Error> {
    let (Some(word), Some(operand), 4) = (word, operand, args) else {
        return Err(Error::wrong_arity(command));
    };
    let comparison =
        Comparison::parse(word).ok_or(Error::new("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))?;
    match key.text() {
        Ok(Some(text)) => comparison.holds(&text, operand),
        Ok(None) => Ok(false),
        Err(_) => Err(Error::new(
            "ERR Key should be of string type if conditions are specified",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Comparison, digest_of};

    #[test]
    fn digests_are_those_of_the_reference_implementation() {
        assert_eq!(&digest_of(b""), b"2d06800538d394c2");
        assert_eq!(&digest_of(b"a"), b"e6c632b61e964e1f");
        assert_eq!(&digest_of(b"abc"), b"78af5f94892f3950");
    }

    #[test]
    fn digests_compare_in_any_case_and_only_at_full_length() {
        let upper = b"78AF5F94892F3950";
        assert_eq!(Comparison::DigestEqual.holds(b"abc", upper), Ok(true));
        assert_eq!(Comparison::DigestDifferent.holds(b"abc", upper), Ok(false));
        assert_eq!(Comparison::DigestEqual.holds(b"abd", upper), Ok(false));
        assert!(Comparison::DigestEqual.holds(b"abc", b"78af").is_err());
    }
}
