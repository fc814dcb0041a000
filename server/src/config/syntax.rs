//! What a setting's text may look like: parsing, Redis's error texts, and the canonical form that `CONFIG GET` shows.

use super::prefix_rules::{BYTES, MAX_PREFIX_BYTES, MAX_RULES};
use super::split_args::quote;

/// Longest accepted text of one value, in bytes: what a peer sets is kept, so it must be bounded.
pub(super) const MAX_TEXT_LEN: usize = 64 * 1024;

/// The largest number that fits Redis's own (signed 64 bit) configuration type.
pub(super) const MAX_MEMORY: u64 = i64::MAX.unsigned_abs();
/// Largest request and argument, in bytes: offsets into a request are 31 bits, and a read goes a little beyond the limit.
pub(super) const MAX_REQUEST: u64 = (1 << 31) - (1 << 20);

/// Why a value was refused, in Redis's words where Redis has some.
pub(super) type Problem = String;

/// The form of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Syntax {
    /// `yes` or `no`.
    YesNo,
    /// A whole number within the inclusive bounds.
    Int(i64, i64),
    /// File permissions: an octal number within the inclusive bounds.
    Octal(i64, i64),
    /// Bytes, with an optional unit, within the inclusive bounds.
    Memory(u64, u64),
    /// Bytes as in `Memory`, or a percentage of `maxmemory`.
    MemoryOrPercent,
    /// One of the words.
    Choice(&'static [&'static str]),
    /// Any of the words.
    Choices(&'static [&'static str]),
    /// Any text.
    Text,
    /// Any text, which logs and error messages must not show.
    Secret,
    /// Any number of words up to the bound.
    Words(usize),
    /// Exactly so many whole numbers.
    Ints(usize),
    /// Pairs of seconds and changes.
    SavePoints,
    /// Per client class: hard limit, soft limit, seconds.
    OutputLimits,
    /// Numbers from 0 to 100.
    Percentiles,
    /// Pairs of a prefix of keys and a number in this unit, up to the bound.
    PrefixRules(&'static str, i64),
    /// The one value that Larder can honour, and why no other.
    Only(&'static str, &'static str),
}

impl Syntax {
    /// Whether a file or command line may give the value as several words.
    pub(super) fn is_list(self) -> bool {
        matches!(
            self,
            Self::Choices(_)
                | Self::Words(_)
                | Self::Ints(_)
                | Self::SavePoints
                | Self::OutputLimits
                | Self::Percentiles
                | Self::PrefixRules(..)
                | Self::Only(..)
        )
    }

    /// Whether several lines of one file, or several flags, are read as one long value.
    pub(super) fn adds_up(self) -> bool {
        matches!(self, Self::SavePoints | Self::PrefixRules(..))
    }

    /// Whether the value must not be shown.
    pub(super) fn is_secret(self) -> bool {
        self == Self::Secret
    }

    /// The canonical form of `text`, for values that Larder keeps without using them.
    pub(super) fn canonical(self, text: &str) -> Result<String, Problem> {
        Ok(match self {
            Self::YesNo => yes_no_text(parse_yes_no(text)?).to_owned(),
            Self::Int(min, max) => parse_int(text, min, max)?.to_string(),
            Self::Octal(min, max) => format!("{:o}", parse_octal(text, min, max)?),
            Self::Memory(min, max) => parse_memory(text, min, max)?.to_string(),
            Self::Choice(names) => parse_choice(text, names)?.to_owned(),
            Self::Choices(names) => parse_choices(text, names)?,
            Self::Ints(count) => parse_ints(text, count)?,
            Self::SavePoints => parse_save_points(text)?,
            Self::Only(value, _) if text.eq_ignore_ascii_case(value) => value.to_owned(),
            Self::Only(_, why) => return Err(why.to_owned()),
            Self::Words(max) => parse_words(text, max)?.join(" "),
            // Typed settings have these; none is kept as text.
            Self::Text
            | Self::Secret
            | Self::MemoryOrPercent
            | Self::OutputLimits
            | Self::Percentiles
            | Self::PrefixRules(..) => parse_text(text)?.to_owned(),
        })
    }

    /// What to give instead of a value that was refused, as a clause without a full stop.
    pub(super) fn advice(self) -> String {
        match self {
            Self::YesNo => "give yes or no".to_owned(),
            Self::Int(min, max) => format!("give a whole number from {min} to {max}"),
            Self::Octal(min, max) => format!("give an octal number from {min:o} to {max:o}"),
            Self::Memory(min, MAX_MEMORY) => format!("give a number of bytes such as 512mb or 1gb, at least {min}"),
            Self::Memory(min, max) => format!("give a number of bytes such as 512mb or 1gb, from {min} to {max}"),
            Self::MemoryOrPercent => "give a number of bytes such as 512mb, or a percentage up to 100%".to_owned(),
            Self::Choice(names) => format!("give one of: {}", names.join(", ")),
            Self::Choices(names) => format!("give any of: {}", names.join(", ")),
            Self::Text | Self::Secret => {
                format!(
                    "give one word of UTF-8 text without NUL, at most {MAX_TEXT_LEN} bytes; quote it if it has spaces"
                )
            }
            Self::Words(max) => format!("give at most {max} words"),
            Self::Ints(count) => format!("give {count} whole numbers"),
            Self::SavePoints => "give pairs of seconds and changes, or \"\"".to_owned(),
            Self::OutputLimits => {
                "give a class (normal, replica or pubsub), hard limit, soft limit and seconds, for one or more classes"
                    .to_owned()
            }
            Self::Percentiles => "give numbers from 0 to 100".to_owned(),
            Self::PrefixRules(BYTES, _) => format!(
                "give pairs of a prefix without spaces, at most {MAX_PREFIX_BYTES} bytes, and a number of bytes such as \
                 64mb, at most {MAX_RULES} pairs"
            ),
            Self::PrefixRules(unit, max) => format!(
                "give pairs of a prefix without spaces, at most {MAX_PREFIX_BYTES} bytes, and {unit} from 0 to {max}, \
                 at most {MAX_RULES} pairs"
            ),
            Self::Only(value, _) => format!("give {} or leave the setting out", quote(value)),
        }
    }

    /// The form in a few words, for the documentation.
    pub(super) fn describe(self) -> String {
        match self {
            Self::YesNo => "`yes` or `no`".to_owned(),
            Self::Int(min, i64::MAX) => format!("whole number, at least {min}"),
            Self::Int(min, max) => format!("whole number from {min} to {max}"),
            Self::Octal(min, max) => format!("octal number from {min:o} to {max:o}"),
            Self::Memory(min, MAX_MEMORY) => format!("bytes (`512mb`, `1gb`, ...), at least {min}"),
            Self::Memory(min, max) => format!("bytes (`512mb`, `1gb`, ...) from {min} to {max}"),
            Self::MemoryOrPercent => "bytes (`512mb`, `1gb`, ...) or a percentage of `maxmemory`".to_owned(),
            Self::Choice(names) => format!("one of `{}`", names.join("`, `")),
            Self::Choices(names) => format!("any of `{}`", names.join("`, `")),
            Self::Text => "text".to_owned(),
            Self::Secret => "text, never shown in logs".to_owned(),
            Self::Words(max) => format!("at most {max} words"),
            Self::Ints(count) => format!("{count} whole numbers"),
            Self::SavePoints => "pairs of seconds and changes".to_owned(),
            Self::OutputLimits => "per class: hard limit, soft limit, seconds".to_owned(),
            Self::Percentiles => "numbers from 0 to 100".to_owned(),
            Self::PrefixRules(BYTES, _) => {
                format!("up to {MAX_RULES} pairs of a prefix without spaces and bytes (`512mb`, `1gb`, ...)")
            }
            Self::PrefixRules(unit, max) => {
                format!("up to {MAX_RULES} pairs of a prefix without spaces and {unit} from 0 to {max}")
            }
            Self::Only("", _) => "only empty".to_owned(),
            Self::Only(value, _) => format!("only `{value}`"),
        }
    }
}

pub(super) fn parse_yes_no(text: &str) -> Result<bool, Problem> {
    match text {
        _ if text.eq_ignore_ascii_case("yes") => Ok(true),
        _ if text.eq_ignore_ascii_case("no") => Ok(false),
        _ => Err("argument must be 'yes' or 'no'".to_owned()),
    }
}

pub(super) fn yes_no_text(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// A number in Redis's strict form: no plus sign, no leading zero, no white space.
pub(super) fn parse_int(text: &str, min: i64, max: i64) -> Result<i64, Problem> {
    let strict = |number: &i64| number.to_string() == text;
    let number: i64 = text
        .parse()
        .ok()
        .filter(strict)
        .ok_or_else(|| "argument couldn't be parsed into an integer".to_owned())?;
    if (min..=max).contains(&number) {
        return Ok(number);
    }
    Err(format!("argument must be between {min} and {max} inclusive"))
}

pub(super) fn parse_octal(text: &str, min: i64, max: i64) -> Result<i64, Problem> {
    let is_octal = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let number = if is_octal {
        i64::from_str_radix(text, 8).ok()
    } else {
        None
    };
    let number = number.ok_or_else(|| "argument couldn't be parsed as an octal number".to_owned())?;
    if (min..=max).contains(&number) {
        return Ok(number);
    }
    Err(format!("argument must be between {min:o} and {max:o} inclusive"))
}

/// Bytes: digits and a unit (`k m g` count in thousands, `kb mb gb` in 1024s). Empty means 0, as in Redis.
pub(super) fn parse_memory(text: &str, min: u64, max: u64) -> Result<u64, Problem> {
    let bytes = memory_units(text).ok_or_else(|| "argument must be a memory value".to_owned())?;
    if (min..=max).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!("argument must be between {min} and {max} inclusive"))
}

/// The number of bytes that `text` stands for; none if it is no memory value or exceeds 64 bits.
pub(super) fn memory_units(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    match number {
        "" if unit.is_empty() => Some(0),
        "" => None,
        _ => number.parse::<u64>().ok()?.checked_mul(factor),
    }
}

/// `bytes` in the largest unit that divides it, for files that people read.
pub(super) fn memory_text(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{}gb", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}mb", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}kb", bytes >> 10),
        _ => bytes.to_string(),
    }
}

pub(super) fn parse_choice(text: &str, names: &'static [&'static str]) -> Result<&'static str, Problem> {
    names
        .iter()
        .copied()
        .find(|name| name.eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("argument(s) must be one of the following: {}", names.join(", ")))
}

fn parse_choices(text: &str, names: &'static [&'static str]) -> Result<String, Problem> {
    let mut chosen = Vec::new();
    for word in text.split_ascii_whitespace() {
        let name = parse_choice(word, names)?;
        if !chosen.contains(&name) {
            chosen.push(name);
        }
    }
    if chosen.is_empty() {
        return Err(format!(
            "argument(s) must be one of the following: {}",
            names.join(", ")
        ));
    }
    Ok(chosen.join(" "))
}

pub(super) fn parse_text(text: &str) -> Result<&str, Problem> {
    if text.len() > MAX_TEXT_LEN {
        return Err(format!("argument is longer than {MAX_TEXT_LEN} bytes"));
    }
    if text.contains('\0') {
        return Err("argument contains a NUL byte".to_owned());
    }
    Ok(text)
}

pub(super) fn parse_words(text: &str, max: usize) -> Result<Vec<String>, Problem> {
    let words: Vec<String> = parse_text(text)?.split_ascii_whitespace().map(str::to_owned).collect();
    if words.len() > max {
        return Err(format!("argument has more than {max} words"));
    }
    Ok(words)
}

fn parse_ints(text: &str, count: usize) -> Result<String, Problem> {
    let words = parse_words(text, count).map_err(|_| "wrong number of arguments".to_owned())?;
    if words.len() != count {
        return Err("wrong number of arguments".to_owned());
    }
    for word in &words {
        parse_int(word, i64::MIN, i64::MAX)?;
    }
    Ok(words.join(" "))
}

fn parse_save_points(text: &str) -> Result<String, Problem> {
    let invalid = || "Invalid save parameters".to_owned();
    let words = parse_words(text, 1000).map_err(|_| invalid())?;
    if !words.len().is_multiple_of(2) {
        return Err(invalid());
    }
    for pair in words.chunks_exact(2) {
        parse_int(&pair[0], 1, i64::MAX).map_err(|_| invalid())?;
        parse_int(&pair[1], 0, i32::MAX.into()).map_err(|_| invalid())?;
    }
    Ok(words.join(" "))
}
