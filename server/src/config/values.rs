//! The types that settings have, and how each is read from and shown as text.

use std::fmt;

use super::syntax::{self, MAX_MEMORY, Problem, Syntax};

/// A type that a setting may have.
pub(super) trait Field: Default + Clone + PartialEq {
    /// Takes over the value that `text` stands for; on an error `self` is as before.
    fn read(&mut self, text: &str, syntax: Syntax) -> Result<(), Problem>;

    /// The value as `CONFIG GET` shows it; `read` accepts it.
    fn show(&self, syntax: Syntax) -> String;
}

impl Field for bool {
    fn read(&mut self, text: &str, _: Syntax) -> Result<(), Problem> {
        *self = syntax::parse_yes_no(text)?;
        Ok(())
    }

    fn show(&self, _: Syntax) -> String {
        syntax::yes_no_text(*self).to_owned()
    }
}

macro_rules! number_fields {
    ($($type:ty),+) => {$(
        impl Field for $type {
            fn read(&mut self, text: &str, syntax: Syntax) -> Result<(), Problem> {
                let number = read_number(text, syntax)?;
                *self = Self::try_from(number)
                    .map_err(|_| format!("argument must be between {} and {} inclusive", Self::MIN, Self::MAX))?;
                Ok(())
            }

            fn show(&self, syntax: Syntax) -> String {
                match syntax {
                    Syntax::Octal(..) => format!("{self:o}"),
                    _ => self.to_string(),
                }
            }
        }
    )+};
}

number_fields!(u16, u32, u64, usize, i64);

fn read_number(text: &str, syntax: Syntax) -> Result<i64, Problem> {
    match syntax {
        Syntax::Int(min, max) => syntax::parse_int(text, min, max),
        Syntax::Octal(min, max) => syntax::parse_octal(text, min, max),
        Syntax::Memory(min, max) => {
            let bytes = syntax::parse_memory(text, min, max.min(MAX_MEMORY))?;
            i64::try_from(bytes).map_err(|_| "argument must be a memory value".to_owned())
        }
        other => Err(format!("a number cannot be written as {}", other.describe())),
    }
}

impl Field for String {
    fn read(&mut self, text: &str, _: Syntax) -> Result<(), Problem> {
        syntax::parse_text(text)?.clone_into(self);
        Ok(())
    }

    fn show(&self, _: Syntax) -> String {
        self.clone()
    }
}

impl Field for Vec<String> {
    fn read(&mut self, text: &str, syntax: Syntax) -> Result<(), Problem> {
        let max = if let Syntax::Words(max) = syntax {
            max
        } else {
            usize::MAX
        };
        *self = syntax::parse_words(text, max)?;
        Ok(())
    }

    fn show(&self, _: Syntax) -> String {
        self.join(" ")
    }
}

/// A text that `Debug` does not show.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself; not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { "(none)" } else { "(hidden)" })
    }
}

impl Field for Secret {
    fn read(&mut self, text: &str, syntax: Syntax) -> Result<(), Problem> {
        self.0.read(text, syntax)
    }

    fn show(&self, _: Syntax) -> String {
        self.0.clone()
    }
}

/// Declares an enum whose variants have names in the configuration; the first variant is its `Default`.
macro_rules! named_choices {
    ($(#[doc = $about:literal])+ $type:ident { $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[doc = $doc])+ $variant,)+ }

        impl $type {
            /// The names, in the order in which messages list them.
            pub const NAMES: &'static [&'static str] = &[$($name),+];
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the configuration.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl Default for $type {
            fn default() -> Self {
                Self::ALL[0]
            }
        }

        impl Field for $type {
            fn read(&mut self, text: &str, _: Syntax) -> Result<(), Problem> {
                let name = syntax::parse_choice(text, Self::NAMES)?;
                if let Some(found) = Self::ALL.iter().find(|choice| choice.name() == name) {
                    *self = *found;
                }
                Ok(())
            }

            fn show(&self, _: Syntax) -> String {
                self.name().to_owned()
            }
        }
    };
}

named_choices! {
    /// Which entries may be evicted to stay under `maxmemory`, and in what order.
    MaxmemoryPolicy {
        /// Of the keys with a time to live, the least recently used.
        VolatileLru = "volatile-lru",
        /// Of the keys with a time to live, the least frequently used.
        VolatileLfu = "volatile-lfu",
        /// Of the keys with a time to live, any.
        VolatileRandom = "volatile-random",
        /// Of the keys with a time to live, the one that expires soonest.
        VolatileTtl = "volatile-ttl",
        /// Of all keys, the least recently used.
        AllkeysLru = "allkeys-lru",
        /// Of all keys, the least frequently used.
        AllkeysLfu = "allkeys-lfu",
        /// Of all keys, any.
        AllkeysRandom = "allkeys-random",
        /// None: writes that need memory are refused.
        Noeviction = "noeviction",
        /// Of the keys with a time to live, the least recently modified.
        VolatileLrm = "volatile-lrm",
        /// Of all keys, the least recently modified.
        AllkeysLrm = "allkeys-lrm",
        /// Of all keys, the one that was stored first.
        AllkeysFifo = "allkeys-fifo",
        /// Of all keys, the most recently used.
        AllkeysMru = "allkeys-mru",
        /// Of the keys with a time to live, the one of which a byte is least likely to be read soon.
        VolatileAdaptive = "volatile-adaptive",
        /// Of all keys, the one of which a byte is least likely to be read soon.
        AllkeysAdaptive = "allkeys-adaptive",
    }
}

named_choices! {
    /// How much is logged.
    LogLevel {
        /// Everything, for development.
        Debug = "debug",
        /// Much, but not per command.
        Verbose = "verbose",
        /// What an operator wants to know.
        Notice = "notice",
        /// Only what needs attention.
        Warning = "warning",
        /// Nothing.
        Nothing = "nothing",
    }
}

named_choices! {
    /// The form of log lines.
    LogFormat {
        /// Lines for people.
        Human = "human",
        /// One JSON object per line.
        Json = "json",
    }
}

named_choices! {
    /// Who may use a command that is meant for tests and debugging.
    DebugAccess {
        /// Nobody.
        No = "no",
        /// Everybody who is authenticated.
        Yes = "yes",
        /// Connections from this machine.
        Local = "local",
    }
}

/// How much memory the buffers of all connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientMemory {
    /// So many bytes; 0 means no limit.
    Bytes(u64),
    /// A share of `maxmemory`, 0 to 100; 0 means no limit.
    Percent(u8),
}

impl Default for ClientMemory {
    fn default() -> Self {
        Self::Bytes(0)
    }
}

impl Field for ClientMemory {
    fn read(&mut self, text: &str, _: Syntax) -> Result<(), Problem> {
        let neither = || "argument must be a memory or percent value".to_owned();
        let Some(percent) = text.strip_suffix('%') else {
            let bytes = syntax::memory_units(text)
                .filter(|bytes| *bytes <= MAX_MEMORY)
                .ok_or_else(neither)?;
            *self = Self::Bytes(bytes);
            return Ok(());
        };
        let percent = syntax::parse_int(percent, 0, i64::MAX).map_err(|_| neither())?;
        *self = match u8::try_from(percent) {
            Ok(percent @ 0..=100) => Self::Percent(percent),
            _ => return Err("percentage argument must be less or equal to 100".to_owned()),
        };
        Ok(())
    }

    fn show(&self, _: Syntax) -> String {
        match self {
            Self::Bytes(bytes) => bytes.to_string(),
            Self::Percent(percent) => format!("{percent}%"),
        }
    }
}

/// When a connection that does not read its replies is closed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimit {
    /// Closed at once above so many bytes; 0 means never.
    pub hard_bytes: u64,
    /// Closed after `soft_seconds` above so many bytes; 0 means never.
    pub soft_bytes: u64,
    /// How long `soft_bytes` may be exceeded, in seconds.
    pub soft_seconds: u64,
}

/// The output limits of each class of client.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients, `MONITOR` included.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Clients that subscribed to at least one channel.
    pub pubsub: OutputLimit,
}

impl Field for OutputLimits {
    fn read(&mut self, text: &str, _: Syntax) -> Result<(), Problem> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
        }
        let mut limits = *self;
        for group in words.chunks_exact(4) {
            let class = match group[0].to_ascii_lowercase().as_str() {
                "normal" => &mut limits.normal,
                "replica" | "slave" => &mut limits.replica,
                "pubsub" => &mut limits.pubsub,
                _ => {
                    return Err("Invalid client class specified in buffer limit configuration.".to_owned());
                }
            };
            *class = read_output_limit(group).ok_or_else(|| {
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned()
            })?;
        }
        *self = limits;
        Ok(())
    }

    fn show(&self, _: Syntax) -> String {
        // Redis 7 still says "slave" here, and clients that parse it expect so.
        let classes = [
            ("normal", self.normal),
            ("slave", self.replica),
            ("pubsub", self.pubsub),
        ];
        classes
            .map(|(name, limit)| {
                format!(
                    "{name} {} {} {}",
                    limit.hard_bytes, limit.soft_bytes, limit.soft_seconds
                )
            })
            .join(" ")
    }
}

fn read_output_limit(group: &[&str]) -> Option<OutputLimit> {
    let bytes = |text: &str| syntax::memory_units(text).filter(|bytes| *bytes <= MAX_MEMORY);
    Some(OutputLimit {
        hard_bytes: bytes(group[1])?,
        soft_bytes: bytes(group[2])?,
        soft_seconds: syntax::parse_int(group[3], 0, i64::MAX).ok()?.unsigned_abs(),
    })
}

/// The percentiles that latency statistics show, each from 0 to 100.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Percentiles(pub Vec<f64>);

/// More would make `INFO latencystats` long without telling more.
const MAX_PERCENTILES: usize = 100;

impl Field for Percentiles {
    fn read(&mut self, text: &str, _: Syntax) -> Result<(), Problem> {
        let invalid = || "Invalid latency-tracking-info-percentiles parameters".to_owned();
        let mut percentiles = Vec::new();
        for word in text.split_ascii_whitespace() {
            let value: f64 = word
                .parse()
                .ok()
                .filter(|value: &f64| !value.is_nan())
                .ok_or_else(invalid)?;
            if !(0.0..=100.0).contains(&value) {
                return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_owned());
            }
            if percentiles.len() == MAX_PERCENTILES {
                return Err(invalid());
            }
            // Kept as it is shown, so that what CONFIG GET answers can be set again without a change.
            percentiles.push((value * 1e6).round() / 1e6);
        }
        self.0 = percentiles;
        Ok(())
    }

    fn show(&self, _: Syntax) -> String {
        let shown: Vec<String> = self.0.iter().map(f64::to_string).collect();
        shown.join(" ")
    }
}
