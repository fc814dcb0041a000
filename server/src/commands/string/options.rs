//! The options of SET and MSETEX: conditions, GET, and times to live, in any order.

use super::compare::Comparison;
use crate::call::Error;
use crate::commands::expiry::{Expiry, parse_jitter};
use crate::resp::request::Args;
use crate::store::{Key, NewValue};
use crate::ttl::Percent;

/// When to store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Condition<'a> {
    /// In any case.
    #[default]
    Always,
    /// `NX`: if the key is not there.
    Absent,
    /// `XX`: if it is.
    Present,
    /// `IFEQ` and the like: if the string is, or is not, a given one.
    Compared(Comparison, &'a [u8]),
}

/// Which of the options a command has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grammar {
    /// All of them.
    Set,
    /// `NX`, `XX` and times to live.
    MultiSet,
}

/// The options of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Options<'a> {
    pub(super) condition: Condition<'a>,
    /// Reply the old string.
    pub(super) get: bool,
    pub(super) expiry: Expiry<'a>,
    /// By up to how much the time from now is to be shortened.
    pub(super) jitter: Option<Percent>,
}

impl<'a> Options<'a> {
    /// Reads the options from argument `first` on.
    ///
    /// # Errors
    /// One is unknown, lacks its operand, or excludes an earlier one.
    pub(super) fn parse(args: Args<'a>, first: usize, grammar: Grammar) -> Result<Options<'a>, Error> {
        let mut options = Options::default();
        let mut at = first;
        while let Some(word) = args.get(at) {
            let next = args.get(at + 1);
            at += match options.expiry.accept(word, next)? {
                0 => options.accept(word, next, grammar)?,
                taken => taken,
            };
        }
        if options.expiry == Expiry::Persist || options.jitter.is_some() && !options.expiry.is_relative() {
            return Err(Error::SYNTAX);
        }
        Ok(options)
    }

    /// Stores a value under `deadline`, which `expiry` has said, or under the one that the key has if it is to be kept.
    #[inline]
    pub(super) fn store(&self, key: &mut Key<'_>, value: NewValue<'_>, deadline: Option<u64>) {
        if self.condition == Condition::Absent {
            key.mark_as_lock();
        }
        match deadline {
            Some(deadline) if self.expiry.is_relative() => {
                key.set(value, Some(key.relative_deadline(deadline, self.jitter)));
            }
            None if self.expiry == Expiry::Keep => key.set_keeping_deadline(value),
            deadline => key.set(value, deadline),
        }
    }

    /// Reads an option that is no time to live; returns how many arguments it takes.
    fn accept(&mut self, word: &'a [u8], next: Option<&'a [u8]>, grammar: Grammar) -> Result<usize, Error> {
        if grammar == Grammar::Set && word.eq_ignore_ascii_case(b"get") {
            self.get = true;
            return Ok(1);
        }
        let (condition, taken) = if word.eq_ignore_ascii_case(b"nx") {
            (Condition::Absent, 1)
        } else if word.eq_ignore_ascii_case(b"xx") {
            (Condition::Present, 1)
        } else if let Some(percent) = parse_jitter(word, next)? {
            self.jitter = Some(percent);
            return Ok(2);
        } else {
            let comparison = Comparison::parse(word)
                .filter(|_| grammar == Grammar::Set)
                .ok_or(Error::SYNTAX)?;
            (Condition::Compared(comparison, next.ok_or(Error::SYNTAX)?), 2)
        };
        let repeated = self.condition == condition && taken == 1;
        if self.condition != Condition::Always && !repeated {
            return Err(Error::SYNTAX);
        }
        self.condition = condition;
        Ok(taken)
    }
}

impl Condition<'_> {
    /// Whether the key's state allows to store.
    ///
    /// # Errors
    /// A string is asked for and the value is none, or a digest has the wrong length.
    pub(super) fn holds(self, key: &mut Key<'_>) -> Result<bool, Error> {
        match self {
            Condition::Always => Ok(true),
            Condition::Absent => Ok(!key.exists()),
            Condition::Present => Ok(key.exists()),
            Condition::Compared(comparison, operand) => match key.text()? {
                Some(text) => comparison.holds(&text, operand),
                None => Ok(comparison.is_negative()),
            },
        }
    }
}
