//! How a row of the table is written, and what is derived from it at compile time.

use super::keys::{Begin, Find};
use super::{Arg, Categories, Command, Deprecation, Flags, Group, Handler, KeySpec, category, flag, key_flag, lookup};

impl Command {
    /// A row with the columns that every command has.
    pub(super) const fn row(
        group: Group,
        full_name: &'static str,
        handler: Handler,
        arity: i8,
        flags: &[Flags],
    ) -> Self {
        let flags = Flags::of(flags);
        Command {
            folded: lookup::Folded::of_row(full_name),
            handler,
            flags,
            id: 0,
            children: (0, 0),
            arity,
            first_key: 0,
            single_key: false,
            quick: false,
            full_name,
            name: bare_name(full_name),
            last_key: 0,
            key_step: 0,
            keys: &[],
            categories: implied_categories(flags),
            group,
            since: "",
            summary: "",
            complexity: "",
            args: &[],
            tips: &[],
            history: &[],
            deprecated: None,
            is_system: false,
            rows: &[],
        }
    }

    /// ACL categories besides those that the flags imply.
    pub(super) const fn acl(mut self, categories: &[Categories]) -> Self {
        self.categories = self.categories.with(Categories::of(categories));
        self
    }

    /// Where the keys are.
    pub(super) const fn keys(mut self, keys: &'static [KeySpec]) -> Self {
        self.keys = keys;
        let (range, movable) = legacy_range(keys);
        if movable {
            self.flags = self.flags.with(flag::MOVABLEKEYS);
        }
        (self.first_key, self.last_key, self.key_step) = range;
        self.single_key = keys.len() == 1
            && matches!(keys[0].begin, Begin::Index(1))
            && matches!(keys[0].find, Find::Range { last: 0, .. })
            && !keys[0].flags.has(key_flag::NOT_KEY);
        self.quick = self.single_key && self.flags.has(flag::CONST_TIME);
        self
    }

    /// Since which version of Redis, what it does, what it costs.
    pub(super) const fn doc(mut self, since: &'static str, summary: &'static str, complexity: &'static str) -> Self {
        (self.since, self.summary, self.complexity) = (since, summary, complexity);
        self
    }

    /// The grammar of the arguments.
    pub(super) const fn args(mut self, args: &'static [Arg]) -> Self {
        self.args = args;
        self
    }

    /// Hints for proxies and clients of several nodes.
    pub(super) const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    /// What changed in which version of Redis.
    pub(super) const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Self {
        self.history = history;
        self
    }

    /// Advises to use something else.
    pub(super) const fn deprecated(mut self, since: &'static str, replaced_by: &'static str) -> Self {
        self.deprecated = Some(Deprecation { since, replaced_by });
        self
    }

    /// Marks a system command.
    pub(super) const fn system(mut self) -> Self {
        self.is_system = true;
        self
    }

    /// The subcommands, whose names begin with this command's and a bar.
    pub(super) const fn subcommand_rows(mut self, rows: &'static [Command]) -> Self {
        self.rows = rows;
        self
    }
}

const fn bare_name(full_name: &'static str) -> &'static str {
    let mut i = 0;
    while i < full_name.len() {
        if full_name.as_bytes()[i] == b'|' {
            return full_name.split_at(i + 1).1;
        }
        i += 1;
    }
    full_name
}

const fn implied_categories(flags: Flags) -> Categories {
    let mut categories = Categories::EMPTY;
    if flags.has(flag::WRITE) {
        categories = categories.with(category::WRITE);
    }
    if flags.has(flag::READONLY) {
        categories = categories.with(category::READ);
    }
    if flags.has(flag::ADMIN) {
        categories = categories.with(Categories::of(&[category::ADMIN, category::DANGEROUS]));
    }
    if flags.has(flag::PUBSUB) {
        categories = categories.with(category::PUBSUB);
    }
    if flags.has(flag::BLOCKING) {
        categories = categories.with(category::BLOCKING);
    }
    categories.with(if flags.has(flag::FAST) {
        category::FAST
    } else {
        category::SLOW
    })
}

/// The first, last and step of keys for clients that know nothing newer, and whether they fall short.
///
/// A single range is told as it is. Of several specifications only ranges that follow one another without a gap
/// make a triple; whatever does not fit marks the command's keys as movable.
const fn legacy_range(keys: &[KeySpec]) -> ((u8, i8, u8), bool) {
    let (mut first, mut last, mut movable) = (u8::MAX, 0i8, false);
    let mut i = 0;
    while i < keys.len() {
        match (keys[i].begin, keys[i].find) {
            (
                Begin::Index(at),
                Find::Range {
                    last: end,
                    step,
                    limit: 0 | 1,
                },
            ) => {
                let end = if end >= 0 { at as i8 + end } else { end };
                if keys.len() == 1 {
                    return ((at, end, step), false);
                }
                if step != 1 || (i > 0 && last != at as i8 - 1) {
                    movable = true;
                } else {
                    first = if at < first { at } else { first };
                    last = if last < 0 || (end >= 0 && end < last) {
                        last
                    } else {
                        end
                    };
                }
            }
            _ => movable = true,
        }
        i += 1;
    }
    if first == u8::MAX {
        ((0, 0, 0), movable)
    } else {
        ((first, last, 1), movable)
    }
}
