//! Commands that are written by hand: any name, any arguments.

use super::facts::{self, Facts, Keys, Kind, Timeout};
use super::{Access, Request, Scope, Wait};
use crate::error::{Error, Result};
use crate::resp::{Encoder, ToArgs};
use std::borrow::Borrow;
use std::fmt;

/// How much of a command's name a message shows.
const MAX_SHOWN_BYTES: usize = 64;

/// A command of any name, for [`Client::query`](crate::Client::query) and [`Pipeline::add`](crate::Pipeline::add).
///
/// ```
/// use larder_client::cmd;
///
/// let set = cmd("SET").arg("greeting").arg("hello").arg(("PX", 1500));
/// assert_eq!(set.to_string(), "SET greeting hello PX 1500");
/// let names = cmd("CONFIG GET").arg("maxmemory*");
/// let custom = cmd("MYMODULE.GET").arg("option").key("{user:1}:name");
/// # let _ = (names, custom);
/// ```
///
/// Where the keys of known commands are is known; those of others are told with [`key`](Cmd::key). Commands that would
/// change a connection that others share, such as `SUBSCRIBE`, `SELECT` or `MULTI`, are refused with
/// [`Error::Usage`] that names what to use instead.
#[derive(Clone, Default)]
pub struct Cmd {
    /// The words of the name and the arguments, encoded.
    body: Vec<u8>,
    count: usize,
    /// Where in `body` arguments that were said to be keys begin.
    marks: Vec<usize>,
}

/// A command by its name; a name of two words is written as such: `cmd("CONFIG GET")`.
#[must_use]
pub fn cmd(name: &str) -> Cmd {
    name.split_ascii_whitespace()
        .fold(Cmd::default(), |cmd, word| cmd.arg(word))
}

impl Cmd {
    /// Appends an argument, or as many as the value [stands for](ToArgs).
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "`arg(1)` reads better than `arg(&1)`")]
    pub fn arg(mut self, arg: impl ToArgs) -> Cmd {
        self.push(&arg);
        self
    }

    /// Appends a key, or several: an argument that decides which node gets the command. Only needed for commands that
    /// this library does not know; if it is used, all keys must be given with it.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "as in `arg`")]
    pub fn key(mut self, key: impl ToArgs) -> Cmd {
        let mut at = self.body.len();
        self.push(&key);
        while let Some((_, next)) = word(&self.body, at) {
            self.marks.push(at);
            at = next;
        }
        self
    }

    fn push(&mut self, args: &impl ToArgs) {
        let mut encoder = Encoder::new(&mut self.body);
        args.write(&mut encoder);
        // What was written counts, whatever the arguments say of themselves.
        self.count += encoder.written();
    }

    /// The words of the name and the arguments.
    pub(crate) fn words(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (word, next) = word(&self.body, at)?;
            at = next;
            Some(word)
        })
    }

    fn word(&self, position: usize) -> Option<&[u8]> {
        self.words().nth(position)
    }

    /// Looks up what is known of the command.
    ///
    /// # Errors
    /// [`Error::Usage`] if it has no name, or must not go out on a shared connection.
    pub(crate) fn check(&self) -> Result<Checked<&Cmd>> {
        let facts = self.facts()?;
        Ok(Checked { cmd: self, facts })
    }

    /// The same, for a command that nobody else needs.
    ///
    /// # Errors
    /// As [`check`](Cmd::check).
    pub(crate) fn into_checked(self) -> Result<Checked<Cmd>> {
        let facts = self.facts()?;
        Ok(Checked { cmd: self, facts })
    }

    /// The same, for a command that this library makes for a connection that nobody shares.
    pub(crate) fn of_our_own(&self) -> Checked<&Cmd> {
        let facts = self.word(0).map_or(Facts::UNKNOWN, |name| facts::find(name, None));
        Checked { cmd: self, facts }
    }

    fn facts(&self) -> Result<Facts> {
        let Some(name) = self.word(0) else {
            return Err(Error::Usage("a command without a name".to_string()));
        };
        let facts = facts::find(name, self.word(1));
        match facts.kind {
            Kind::Refused(instead) => Err(Error::Usage(format!(
                "{}: not on a connection that is shared: {instead}",
                self.shown_name(&facts)
            ))),
            Kind::Plain | Kind::Blocking(_) | Kind::Container => Ok(facts),
        }
    }

    fn shown_name(&self, facts: &Facts) -> String {
        let shown = |word: &[u8]| String::from_utf8_lossy(&word[..word.len().min(MAX_SHOWN_BYTES)]).to_uppercase();
        let first = self.word(0).map(shown).unwrap_or_default();
        let alone = facts::find(first.as_bytes(), None);
        match self
            .word(1)
            .filter(|_| alone.kind == Kind::Container && *facts != alone)
        {
            Some(second) => format!("{first} {}", shown(second)),
            None => first,
        }
    }
}

impl fmt::Display for Cmd {
    /// The words, as far as they are text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, word) in self.words().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(f, "{space}{}", String::from_utf8_lossy(word))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cmd {
    /// Without the arguments, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.word(0).map(String::from_utf8_lossy).unwrap_or_default();
        write!(f, "Cmd({name}, {} words)", self.count)
    }
}

/// The word that begins at `at`, and where the next one does. The body is of our own making, so it is well formed.
fn word(body: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let digits = body.get(at + 1..)?;
    let line = digits.iter().position(|&byte| byte == b'\r')?;
    let len = digits[..line]
        .iter()
        .fold(0, |len, digit| len * 10 + usize::from(digit - b'0'));
    let begins = at + 1 + line + 2;
    Some((body.get(begins..begins + len)?, begins + len + 2))
}

/// A command, and what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Checked<C> {
    cmd: C,
    facts: Facts,
}

impl<C: Borrow<Cmd>> Checked<C> {
    fn cmd(&self) -> &Cmd {
        self.cmd.borrow()
    }

    /// How long it may keep its connection.
    pub(crate) fn wait(&self) -> Wait {
        let Kind::Blocking(timeout) = self.facts.kind else {
            return Wait::No;
        };
        let number = |word: Option<&[u8]>| std::str::from_utf8(word?).ok()?.parse::<f64>().ok();
        let seconds = match timeout {
            Timeout::LastSeconds => number(self.cmd().word(self.cmd().count - 1)),
            Timeout::FirstSeconds => number(self.cmd().word(1)),
            Timeout::LastMillis => number(self.cmd().word(self.cmd().count - 1)).map(|millis| millis / 1e3),
            Timeout::BlockMillis => match self.option("BLOCK") {
                None => return Wait::No,
                Some(at) => number(self.cmd().word(at + 1)).map(|millis| millis / 1e3),
            },
        };
        match seconds {
            Some(0.0) => Wait::Forever,
            Some(seconds) if seconds > 0.0 && seconds.is_finite() => Wait::Seconds(seconds),
            // The server will say what is wrong with it.
            _ => Wait::Seconds(0.0),
        }
    }

    /// Where the word of an option stands.
    fn option(&self, name: &str) -> Option<usize> {
        let is_it = |word: &[u8]| word.eq_ignore_ascii_case(name.as_bytes());
        self.cmd().words().position(is_it)
    }
}

impl<C: Borrow<Cmd>> Request for Checked<C> {
    fn access(&self) -> Access {
        self.facts.access
    }

    fn name(&self) -> String {
        self.cmd().shown_name(&self.facts)
    }

    fn key(&self) -> Option<&[u8]> {
        let mut first = None;
        self.keys(&mut |key| {
            first.get_or_insert(key);
        });
        first
    }

    fn keys<'b>(&'b self, visit: &mut dyn FnMut(&'b [u8])) {
        let cmd = self.cmd();
        if !cmd.marks.is_empty() {
            let marked = cmd.marks.iter().filter_map(|&at| word(&cmd.body, at));
            return marked.for_each(|(key, _)| visit(key));
        }
        let mut from_to = |from: usize, to: usize, step: usize| {
            let span = cmd.words().take(to).skip(from).step_by(step.max(1));
            span.for_each(&mut *visit);
        };
        match self.facts.keys {
            Keys::None(_) => {}
            Keys::Range { first, last, step } => {
                let last = usize::try_from(last)
                    .ok()
                    .or_else(|| cmd.count.checked_add_signed(last));
                from_to(first, last.map_or(0, |last| last + 1), step);
            }
            Keys::FirstAndStore => {
                from_to(1, 2, 1);
                if let Some(at) = self.option("STORE").or_else(|| self.option("STOREDIST")) {
                    from_to(at + 1, at + 2, 1);
                }
            }
            Keys::Counted { at, step, target } => {
                if target {
                    from_to(at - 1, at, 1);
                }
                let count = cmd
                    .word(at)
                    .and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
                let count = count.unwrap_or(0usize).min(cmd.count);
                from_to(at + 1, at + 1 + count * step, step);
            }
            Keys::Streams => {
                if let Some(at) = self.option("STREAMS") {
                    let streams = (cmd.count - at - 1) / 2;
                    from_to(at + 1, at + 1 + streams, 1);
                }
            }
        }
    }

    fn scope(&self) -> Scope {
        match self.facts.keys {
            Keys::None(scope) => scope,
            // It should have keys, and the server will say so.
            _ => Scope::Any,
        }
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.encoded(self.cmd().count, &self.cmd().body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(line: &str) -> Vec<String> {
        let cmd = cmd(line);
        let mut keys = Vec::new();
        let checked = cmd.check().expect("not refused");
        checked.keys(&mut |key| keys.push(String::from_utf8_lossy(key).into_owned()));
        assert_eq!(
            checked.key().map(<[u8]>::to_vec),
            keys.first().map(|key| key.clone().into())
        );
        keys
    }

    fn wait(line: &str) -> Wait {
        cmd(line).check().expect("not refused").wait()
    }

    #[test]
    fn keys_are_found_where_the_command_has_them() {
        for (line, expected) in [
            ("GET a", "a"),
            ("get", ""),
            ("PING", ""),
            ("MSET a 1 b 2", "a b"),
            ("DEL a b c", "a b c"),
            ("BITOP AND a b c", "a b c"),
            ("RENAME a b", "a b"),
            ("OBJECT ENCODING a", "a"),
            ("EVAL x 2 a b c", "a b"),
            ("EVAL x 0 a", ""),
            ("EVAL x 99999999999999999999 a", ""),
            ("EVAL x 9 a b", "a b"),
            ("ZUNIONSTORE a 2 b c WEIGHTS 1 2", "a b c"),
            ("MSETEX 2 a 1 b 2 EX 10", "a b"),
            ("SORT a BY x STORE b", "a b"),
            ("SORT a STORE", "a"),
            ("BLPOP a b 0", "a b"),
            ("BLMPOP 1 2 a b LEFT", "a b"),
            ("XREAD COUNT 1 STREAMS a b 0 0", "a b"),
            ("XREAD STREAMS", ""),
            ("XGROUP CREATE a g $", "a"),
            ("PUBLISH a x", "a"),
            ("NO.SUCH a", ""),
        ] {
            assert_eq!(keys(line).join(" "), expected, "{line}");
        }
    }

    #[test]
    fn keys_that_are_marked_are_the_keys() {
        let marked = cmd("NO.SUCH").arg("x").key("a").arg("y").key(["b", "c"]);
        let checked = marked.check().expect("not refused");
        let mut keys = Vec::new();
        checked.keys(&mut |key| keys.push(key));
        assert_eq!(keys, [b"a", b"b", b"c"]);
        assert_eq!(checked.scope(), Scope::Unknown);
    }

    #[test]
    fn what_would_disturb_others_is_refused_with_a_hint() {
        for (line, hint) in [
            ("subscribe a", "Client::subscribe"),
            ("SELECT 1", "redis://host/3"),
            ("MULTI", "atomic()"),
            ("WATCH a", "Client::transaction"),
            ("CLIENT REPLY OFF", "CLIENT REPLY: "),
            ("MONITOR", "redis-cli"),
            ("", "without a name"),
        ] {
            let error = cmd(line).check().err().expect(line).to_string();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }

    #[test]
    fn blocking_commands_say_how_long() {
        assert_eq!(wait("GET a"), Wait::No);
        assert_eq!(wait("BLPOP a 1.5"), Wait::Seconds(1.5));
        assert_eq!(wait("BLPOP a 0"), Wait::Forever);
        assert_eq!(wait("BLPOP a x"), Wait::Seconds(0.0));
        assert_eq!(wait("BLPOP"), Wait::Seconds(0.0));
        assert_eq!(wait("BZMPOP 2 1 a MIN"), Wait::Seconds(2.0));
        assert_eq!(wait("WAIT 1 500"), Wait::Seconds(0.5));
        assert_eq!(wait("XREAD STREAMS a 0"), Wait::No);
        assert_eq!(wait("XREAD BLOCK 250 STREAMS a 0"), Wait::Seconds(0.25));
    }

    #[test]
    fn arguments_of_any_content_are_kept_whole() {
        let cmd = cmd("X").arg(&b"\r\n$3\r\nabc\r\n"[..]).arg(()).arg("").arg(vec![1, 2]);
        let words: Vec<_> = cmd.words().collect();
        assert_eq!(words, [&b"X"[..], b"\r\n$3\r\nabc\r\n", b"", b"1", b"2"]);
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out);
        cmd.check().expect("not refused").encode(&mut encoder);
        assert!(encoder.is_balanced());
        assert!(out.starts_with(b"*5\r\n$1\r\nX\r\n$11"));
    }
}
