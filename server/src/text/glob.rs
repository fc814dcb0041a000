//! Redis's glob patterns: `*`, `?`, `[abc]`, `[^a-z]`, and `\` before any of them.
//!
//! The language is that of KEYS, SCAN and PSUBSCRIBE, quirks included: a class that is not
//! closed ends with the pattern; `[a-]` is a range up to `]`; a range's ends may be in
//! either order and compare as signed bytes; `\x` in a class matches in its own case only;
//! a lone `\` at the end stands for itself; of all patterns with stars only `*` itself
//! matches the empty text.
//!
//! # Bounded time
//! A pattern is compiled once, in time linear in its length, into the parts between its
//! stars; a class becomes a set, so that it costs one test however long it is written.
//! Because parts have a fixed length, the leftmost place of each is always right and
//! nothing is ever tried twice: `n` bytes of text cost at most `n` times the pattern's
//! length, and no more than `n * n / 4` comparisons because a text that is shorter than the
//! pattern's minimum is rejected at once. Parts without wildcards are found in linear
//! time. Where even that is too much, the search stops after [`MAX_STEPS`] comparisons and
//! reports no match, which takes a text of more than 16 KiB to reach.

use memchr::memmem;

/// Comparisons that one text may cost.
pub const MAX_STEPS: usize = 1 << 26;

/// Whether all of `text` matches `pattern`; `nocase` ignores the case of ASCII letters.
///
/// For one pattern and many texts compile a [`Glob`] instead.
#[must_use]
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    // Most patterns begin with plain bytes and most texts differ in them, and many end
    // there or with a star: none of that is worth compiling.
    let plain = pattern.iter().position(|&b| is_special(b));
    let (prefix, rest) = pattern.split_at(plain.unwrap_or(pattern.len()));
    let Some((head, tail)) = text.split_at_checked(prefix.len()) else {
        return false;
    };
    let same = |(a, b): (&u8, &u8)| fold(*a, nocase) == fold(*b, nocase);
    if !prefix.iter().zip(head).all(same) {
        return false;
    }
    match rest {
        [] => tail.is_empty(),
        b"*" => true,
        _ => Glob::new(pattern, nocase).matches(text),
    }
}

/// Whether `pattern` has no special bytes, so that it matches only itself.
#[must_use]
pub fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|&b| is_special(b))
}

#[inline]
fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

/// A compiled pattern.
///
/// Memory: up to 16 bytes per byte of the pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    nocase: bool,
    /// What the text must begin with; all of it if `last` is `None`.
    first: Part,
    /// What must follow, in this order, with anything between. None of them is empty.
    middle: Vec<Part>,
    /// What the text must end with; `None` if the pattern has no star.
    last: Option<Part>,
    classes: Vec<ByteSet>,
    /// Shortest text that can match, in bytes: one byte per token.
    min_len: usize,
    /// Whether the pattern is `*`.
    all: bool,
}

/// What stands between two stars.
#[derive(Debug, Clone)]
enum Part {
    /// Plain bytes, compared exactly.
    Bytes(Box<[u8]>),
    Tokens(Box<[Token]>),
}

/// Matches one byte.
#[derive(Debug, Clone, Copy)]
enum Token {
    /// This byte; in lower case if case is ignored.
    Byte(u8),
    Any,
    /// Index into the pattern's classes.
    Class(u32),
}

impl Glob {
    /// Compiles a pattern. Every byte string is a pattern.
    #[must_use]
    pub fn new(pattern: &[u8], nocase: bool) -> Self {
        let mut classes = Vec::new();
        let mut parts = Vec::new();
        let mut tokens = Vec::new();
        let mut min_len = 0;
        let mut rest = pattern;
        while let [byte, tail @ ..] = rest {
            rest = tail;
            let token = match (*byte, tail) {
                (b'*', _) => {
                    parts.push(Part::new(&mut tokens, nocase));
                    continue;
                }
                (b'?', _) => Token::Any,
                (b'[', _) => {
                    let (set, after) = parse_class(tail, nocase);
                    rest = after;
                    // A class takes at least one byte of a pattern of at most 512 MiB.
                    classes.push(set);
                    Token::Class((classes.len() - 1) as u32)
                }
                (b'\\', [escaped, after @ ..]) => {
                    rest = after;
                    Token::Byte(fold(*escaped, nocase))
                }
                (plain, _) => Token::Byte(fold(plain, nocase)),
            };
            tokens.push(token);
            min_len += 1;
        }
        let end = Part::new(&mut tokens, nocase);
        let mut parts = parts.into_iter();
        let (first, last) = match parts.next() {
            None => (end, None),
            Some(first) => (first, Some(end)),
        };
        Self {
            nocase,
            first,
            middle: parts.filter(|part| part.len() > 0).collect(),
            last,
            classes,
            min_len,
            all: pattern == b"*",
        }
    }

    /// Whether all of `text` matches. See the module for the time it takes.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        if text.len() < self.min_len {
            return false;
        }
        let Some(last) = &self.last else {
            return text.len() == self.min_len && self.part_at(&self.first, text);
        };
        let end = text.len() - last.len();
        if text.is_empty() {
            return self.all;
        }
        if !self.part_at(&self.first, text) || !self.part_at(last, &text[end..]) {
            return false;
        }
        let mut rest = &text[self.first.len()..end];
        let mut steps = MAX_STEPS;
        for part in &self.middle {
            match self.find(part, rest, &mut steps) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    }

    /// Whether `text` begins with `part`.
    #[inline]
    fn part_at(&self, part: &Part, text: &[u8]) -> bool {
        match part {
            Part::Bytes(bytes) => text.starts_with(bytes),
            Part::Tokens(tokens) => tokens.len() <= text.len() && self.common(tokens, text) == tokens.len(),
        }
    }

    /// The leftmost place of `part` in `text`; `None` if there is none or steps run out.
    fn find(&self, part: &Part, text: &[u8], steps: &mut usize) -> Option<usize> {
        let tokens = match part {
            Part::Bytes(bytes) => return memmem::find(text, bytes),
            Part::Tokens(tokens) => tokens,
        };
        for (at, window) in text.windows(tokens.len()).enumerate() {
            let common = self.common(tokens, window);
            if common == tokens.len() {
                return Some(at);
            }
            *steps = steps.checked_sub(common + 1)?;
        }
        None
    }

    /// How many tokens match before the first that does not.
    #[inline]
    fn common(&self, tokens: &[Token], text: &[u8]) -> usize {
        let matches = |(token, byte): &(&Token, &u8)| match **token {
            Token::Byte(wanted) => fold(**byte, self.nocase) == wanted,
            Token::Any => true,
            Token::Class(index) => self.classes[index as usize].contains(**byte),
        };
        tokens.iter().zip(text).take_while(matches).count()
    }
}

impl Part {
    /// Takes the tokens collected so far.
    fn new(tokens: &mut Vec<Token>, nocase: bool) -> Self {
        let plain = |token: &Token| match *token {
            Token::Byte(byte) if !nocase => Some(byte),
            _ => None,
        };
        let part = match tokens.iter().map(plain).collect() {
            Some(bytes) => Self::Bytes(bytes),
            None => Self::Tokens(tokens.as_slice().into()),
        };
        tokens.clear();
        part
    }

    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Tokens(tokens) => tokens.len(),
        }
    }
}

#[inline]
fn fold(byte: u8, nocase: bool) -> u8 {
    if nocase { byte.to_ascii_lowercase() } else { byte }
}

/// Reads a class up to and including its `]`; `pattern` begins after the `[`. Returns what
/// follows it.
fn parse_class(pattern: &[u8], nocase: bool) -> (ByteSet, &[u8]) {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut exact = ByteSet::default();
    // Compared with the text's byte in lower case; stays empty unless case is ignored.
    let mut folded = ByteSet::default();
    loop {
        let after = match *rest {
            [b'\\', byte, ref after @ ..] => {
                exact.insert_range(byte, byte);
                after
            }
            [b']', ref after @ ..] => {
                rest = after;
                break;
            }
            [] => break,
            [a, b'-', b, ref after @ ..] => {
                let (low, high) = if (a as i8) <= (b as i8) { (a, b) } else { (b, a) };
                if nocase {
                    folded.insert_range(fold(low, true), fold(high, true));
                } else {
                    exact.insert_range(low, high);
                }
                after
            }
            [byte, ref after @ ..] => {
                let set = if nocase { &mut folded } else { &mut exact };
                set.insert_range(fold(byte, nocase), fold(byte, nocase));
                after
            }
        };
        rest = after;
    }
    if nocase {
        folded.spread_lower_to_upper();
    }
    (exact.union(folded, negated), rest)
}

/// A set of bytes, kept in the order of signed bytes: bit `b ^ 0x80` stands for `b`.
#[derive(Debug, Clone, Copy, Default)]
struct ByteSet([u64; 4]);

impl ByteSet {
    #[inline]
    fn contains(&self, byte: u8) -> bool {
        let bit = byte ^ 0x80;
        self.0[usize::from(bit >> 6)] >> (bit & 63) & 1 == 1
    }

    /// Inserts `low..=high` in signed order; nothing if that is empty.
    fn insert_range(&mut self, low: u8, high: u8) {
        let (low, high) = (u32::from(low ^ 0x80), u32::from(high ^ 0x80));
        if low > high {
            return;
        }
        for (word, base) in self.0.iter_mut().zip([0, 64, 128, 192]) {
            if low < base + 64 && high >= base {
                let from = low.saturating_sub(base);
                let to = (high - base).min(63);
                *word |= (u64::MAX << from) & (u64::MAX >> (63 - to));
            }
        }
    }

    /// Upper case letters become members exactly if their lower case is.
    fn spread_lower_to_upper(&mut self) {
        // Bytes 64..128 are the last word; there `A` is bit 1, and `a` 32 bits above.
        const UPPER: u64 = 0x07FF_FFFE;
        let letters = &mut self.0[3];
        *letters = (*letters & !UPPER) | ((*letters >> 32) & UPPER);
    }

    fn union(self, other: Self, negated: bool) -> Self {
        let flip = if negated { u64::MAX } else { 0 };
        Self(std::array::from_fn(|i| (self.0[i] | other.0[i]) ^ flip))
    }
}

#[cfg(test)]
mod tests;
