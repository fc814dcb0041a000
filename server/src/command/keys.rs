//! Where a command's keys are: key specifications, as data of the table, and the search that they describe.
//!
//! A specification finds its keys in two steps. *Begin*: an argument position, or the position after a
//! keyword. *Find*: a range with a step, or a count that stands among the arguments. Whoever needs keys
//! (COMMAND GETKEYS, transactions, cluster redirects) asks [`keys_of`]; the hot path uses the positions
//! that each [`Command`] has precomputed.

use super::Command;
use super::bits::{KeyFlags, key_flag};

/// Where a specification starts to look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At this argument (0 is the command's name; for subcommands too, counted from the parent's name).
    Index(u8),
    /// After the keyword `word`, looked for from argument `start_from` on; if that is negative, backwards
    /// from that far before the end.
    Keyword {
        /// The keyword, in capitals.
        word: &'static str,
        /// The first argument to look at.
        start_from: i8,
    },
}

/// How a specification finds its keys from where it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Find {
    /// Every `step`th argument from the first to the last.
    Range {
        /// The last key, counted from the first; if negative, counted from the end (-1 is the last argument).
        last: i8,
        /// How far one key is from the next.
        step: u8,
        /// If above 1 (and `last` is -1): keys end where 1/`limit` of the arguments end.
        limit: u8,
    },
    /// As many keys as an argument says.
    KeyNum {
        /// Where the number is, counted from the beginning.
        count_at: u8,
        /// Where the first key is, counted from the beginning.
        first: u8,
        /// How far one key is from the next.
        step: u8,
    },
}

/// Tells the flags of a key whose use depends on the arguments.
pub type Refine = fn(&dyn Args) -> KeyFlags;

/// One key specification.
#[derive(Clone, Copy)]
pub struct KeySpec {
    /// Where to start.
    pub begin: Begin,
    /// How to go on.
    pub find: Find,
    /// What happens to the keys.
    pub flags: KeyFlags,
    /// The exact flags of one call, where `flags` only says what may happen.
    pub refine: Option<Refine>,
    /// A remark for readers of `COMMAND INFO`.
    pub notes: Option<&'static str>,
}

/// One key: the argument at `index`.
pub(super) const fn at(index: u8, flags: &[KeyFlags]) -> KeySpec {
    KeySpec {
        begin: Begin::Index(index),
        find: Find::Range {
            last: 0,
            step: 1,
            limit: 0,
        },
        flags: KeyFlags::of(flags),
        refine: None,
        notes: None,
    }
}

/// A number at `index`, then as many keys, each followed by `step - 1` other arguments.
pub(super) const fn counted_at(index: u8, step: u8, flags: &[KeyFlags]) -> KeySpec {
    let mut spec = at(index, flags);
    spec.find = Find::KeyNum {
        count_at: 0,
        first: 1,
        step,
    };
    spec
}

impl KeySpec {
    /// All keys up to `last` (counted from the first, or from the end if negative), `step` apart.
    pub(super) const fn to(mut self, last: i8, step: u8) -> Self {
        self.find = Find::Range { last, step, limit: 0 };
        self
    }

    /// Adds a remark.
    pub(super) const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = Some(notes);
        self
    }

    /// The flags depend on the arguments, and `refine` tells them.
    pub(super) const fn refined_by(mut self, refine: Refine) -> Self {
        self.flags = self.flags.with(key_flag::VARIABLE_FLAGS);
        self.refine = Some(refine);
        self
    }

    /// The keys of this specification in `args`: first, last and step; `None` if there can be none.
    fn locate(&self, args: &dyn Args) -> Option<(usize, usize, usize)> {
        let count = args.count();
        let begin = match self.begin {
            Begin::Index(index) => usize::from(index),
            Begin::Keyword { word, start_from } => after_keyword(args, word, start_from)?,
        };
        let (first, last, step) = match self.find {
            Find::Range { last, step, limit } => {
                let last = match (usize::try_from(last), limit) {
                    (Ok(last), _) => begin + last,
                    (Err(_), 0 | 1) => count.checked_sub(usize::from(last.unsigned_abs()))?,
                    (Err(_), _) => {
                        let share = count.checked_sub(begin)? / usize::from(limit);
                        (begin + share).checked_sub(usize::from(last.unsigned_abs()))?
                    }
                };
                (begin, last, usize::from(step))
            }
            Find::KeyNum { count_at, first, step } => {
                let at = begin + usize::from(count_at);
                let number = (at < count).then(|| parse_count(args.arg(at)))??;
                // More keys than arguments cannot be; saying so here keeps the sums below small.
                let number = (number >= 1 && number <= count).then_some(number)?;
                let first = begin + usize::from(first);
                (first, first + (number - 1) * usize::from(step), usize::from(step))
            }
        };
        (first <= last && last < count).then_some((first, last, step.max(1)))
    }
}

/// The arguments of a call, name included.
pub trait Args {
    /// How many there are.
    fn count(&self) -> usize;
    /// The argument at `index`, which is below [`count`](Args::count).
    fn arg(&self, index: usize) -> &[u8];
}

impl<T: AsRef<[u8]>> Args for &[T] {
    fn count(&self) -> usize {
        self.len()
    }

    fn arg(&self, index: usize) -> &[u8] {
        self[index].as_ref()
    }
}

impl Args for crate::resp::request::Args<'_> {
    fn count(&self) -> usize {
        self.len()
    }

    fn arg(&self, index: usize) -> &[u8] {
        self.get(index).unwrap_or_default()
    }
}

/// One key of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyRef {
    /// Which argument it is.
    pub index: usize,
    /// What the command does to it.
    pub flags: KeyFlags,
}

/// The arguments do not fit the command's key specifications (a count that is wrong, a key that is missing).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Invalid arguments specified for command")]
pub struct InvalidKeys;

/// The keys in a call of `command`, in the order of its specifications.
///
/// `args` is the whole call from the name on (from the parent's name, for a subcommand). Takes time linear in
/// the number of arguments whatever they are.
///
/// # Errors
/// [`InvalidKeys`] if any specification cannot be satisfied.
pub fn keys_of<'a>(command: &Command, args: &'a dyn Args) -> Result<Keys<'a>, InvalidKeys> {
    let specs = command.keys;
    if specs
        .iter()
        .any(|spec| !spec.flags.has(key_flag::NOT_KEY) && spec.locate(args).is_none())
    {
        return Err(InvalidKeys);
    }
    Ok(Keys {
        specs,
        args,
        next: 1,
        last: 0,
        step: 1,
        flags: KeyFlags::EMPTY,
    })
}

/// The keys of a call; see [`keys_of`].
#[derive(Clone)]
pub struct Keys<'a> {
    specs: &'static [KeySpec],
    args: &'a dyn Args,
    next: usize,
    last: usize,
    step: usize,
    flags: KeyFlags,
}

impl Iterator for Keys<'_> {
    type Item = KeyRef;

    fn next(&mut self) -> Option<KeyRef> {
        while self.next > self.last {
            let (spec, rest) = self.specs.split_first()?;
            self.specs = rest;
            if spec.flags.has(key_flag::NOT_KEY) {
                continue;
            }
            if let Some((first, last, step)) = spec.locate(self.args) {
                (self.next, self.last, self.step) = (first, last, step);
                self.flags = spec.refine.map_or(spec.flags, |refine| refine(self.args));
            }
        }
        let index = self.next;
        self.next += self.step;
        Some(KeyRef {
            index,
            flags: self.flags,
        })
    }
}

/// The argument after `word`; backwards from the end if `start_from` is negative.
fn after_keyword(args: &dyn Args, word: &str, start_from: i8) -> Option<usize> {
    let count = args.count();
    let is_word = |&index: &usize| args.arg(index).eq_ignore_ascii_case(word.as_bytes());
    let found = match usize::try_from(start_from) {
        Ok(start) => (start..count).find(is_word),
        Err(_) => {
            let start = count.checked_sub(usize::from(start_from.unsigned_abs()))?;
            (1..=start).rev().find(is_word)
        }
    };
    found.map(|index| index + 1)
}

/// A plain decimal number without sign or leading zeros, small enough to count arguments.
fn parse_count(text: &[u8]) -> Option<usize> {
    let valid =
        (1..=9).contains(&text.len()) && text.iter().all(u8::is_ascii_digit) && (text[0] != b'0' || text.len() == 1);
    valid.then(|| text.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

/// SET overwrites blindly, unless an option makes it read the old value.
pub(super) fn set_key_flags(args: &dyn Args) -> KeyFlags {
    const READERS: [&[u8]; 5] = [b"GET", b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"];
    let reads = (3..args.count()).any(|i| READERS.iter().any(|option| option.eq_ignore_ascii_case(args.arg(i))));
    match reads {
        true => KeyFlags::of(&[key_flag::RW, key_flag::ACCESS, key_flag::UPDATE]),
        false => KeyFlags::of(&[key_flag::OW, key_flag::UPDATE]),
    }
}

/// BITFIELD only reads if all of its operations are GET (and well-formed: an error counts as a write).
pub(super) fn bitfield_key_flags(args: &dyn Args) -> KeyFlags {
    let mut i = 2;
    let mut reads_only = true;
    while i < args.count() && reads_only {
        let operands = args.count() - i - 1;
        let word = args.arg(i);
        if word.eq_ignore_ascii_case(b"GET") && operands >= 2 {
            i += 3;
        } else if word.eq_ignore_ascii_case(b"OVERFLOW") && operands >= 1 {
            i += 2;
        } else {
            reads_only = false;
        }
    }
    match reads_only {
        true => KeyFlags::of(&[key_flag::RO, key_flag::ACCESS]),
        false => KeyFlags::of(&[key_flag::RW, key_flag::ACCESS, key_flag::UPDATE]),
    }
}
