//! DEBUG: what tools and test suites need to look inside a node, behind `enable-debug-command`.
//!
//! Subcommands about things that Larder does not have are unknown, or accepted where test suites use them to
//! choose an encoding that nobody can see from outside.

use crate::call::{Call, Error, Outcome};
use crate::client::flag;
use crate::config::DebugAccess;
use crate::resp::Version;
use crate::store::{NewValue, Store, Text};
use crate::text::{glob_match, parse_f64, parse_i64};
use sha1::{Digest, Sha1};
use std::sync::atomic::Ordering;
use std::time::Duration;

const NOT_ALLOWED: Error = Error::new(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
     local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
);
const NO_PERSISTENCE: Error = Error::new("ERR there is nothing to reload from: Larder keeps data in memory only");
/// The longest that DEBUG SLEEP sleeps, so that a slip of a finger does not cost a worker.
const MAX_SLEEP: Duration = Duration::from_secs(60);

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANGE-REPL-ID",
    "    Does nothing: there is no replication.",
    "DIGEST",
    "    Returns a digest of all keys and values; equal data gives equal digests, as in Redis.",
    "DIGEST-VALUE [<key> ...]",
    "    Returns a digest of the value of each key.",
    "ERROR <message>",
    "    Replies with this error.",
    "HTSTATS <database>",
    "    Shows the size of the hash table of a database.",
    "HTSTATS-KEY <key>",
    "    Fails: no value has a hash table of its own.",
    "LISTPACK <key>, QUICKLIST <key>",
    "    Fail: no value has these encodings.",
    "LOG <message>",
    "    Writes a message to the log.",
    "OBJECT <key>",
    "    Shows encoding, size and age of a value.",
    "PANIC",
    "    Lets the command's handler panic, which must close this connection and do no other harm.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Creates keys <prefix>:<number> that hold strings of <size> bytes.",
    "PROTOCOL <type>",
    "    Replies with a value of a type: string, integer, double, bignum, null, array, set, map, attrib, push,",
    "    verbatim, true, false.",
    "QUICKLIST-PACKED-THRESHOLD <size>, SET-DISABLE-DENY-SCRIPTS <0|1>, SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Do nothing.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether expired keys are reclaimed in the background.",
    "SLEEP <seconds>",
    "    Holds up the worker that serves this connection, for a minute at most.",
    "STRINGMATCH-LEN <pattern> <string>",
    "    Tells whether a glob pattern matches.",
    "HELP",
    "    Prints this help.",
];

/// DEBUG subcommand [arg ...]
pub fn debug(call: &mut Call<'_>) -> Outcome {
    let allowed = match call.node.config.settings().enable_debug_command {
        DebugAccess::Yes => true,
        DebugAccess::Local => call.client.peer.has(flag::LOCAL),
        DebugAccess::No => false,
    };
    if !allowed {
        return Err(NOT_ALLOWED);
    }
    let name = call.args[1].to_ascii_lowercase();
    match (name.as_slice(), call.args.len()) {
        (b"help", 2) => help(call),
        (b"digest", 2) => digest(call),
        (b"digest-value", _) => digest_value(call),
        (b"error", 3) => Err(Error::of(crate::text::shown(&call.args[2]))),
        (b"htstats", 3) => htstats(call),
        (b"htstats-key", 3) => fail(
            call,
            "ERR The value stored at the specified key is not represented using an hash table",
        ),
        (b"listpack", 3) => fail(call, "ERR Not a listpack encoded object."),
        (b"quicklist", 3 | 4) => fail(call, "ERR Not a quicklist encoded object."),
        (b"log", 3) => log(call),
        (b"object", 3) => object(call),
        (b"panic", 2) => panic!("DEBUG PANIC"),
        (b"populate", 3..=5) => populate(call),
        (b"protocol", 3) => protocol(call),
        (b"reload", _) | (b"loadaof", 2) => Err(NO_PERSISTENCE),
        (b"set-active-expire", 3) => set_active_expire(call),
        (b"sleep", 3) => sleep(call),
        (b"stringmatch-len", 4) => {
            call.reply
                .int(i64::from(glob_match(&call.args[2], &call.args[3], false)));
            Ok(())
        }
        (b"change-repl-id", 2)
        | (b"quicklist-packed-threshold" | b"set-disable-deny-scripts" | b"set-skip-checksum-validation", 3) => {
            call.reply.ok();
            Ok(())
        }
        _ => Err(unknown(&call.args[1])),
    }
}

fn unknown(name: &[u8]) -> Error {
    let name = crate::text::shown(&name[..name.len().min(128)]);
    Error::of(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."
    ))
}

fn help(call: &mut Call<'_>) -> Outcome {
    call.reply.array(HELP.len());
    HELP.iter().for_each(|line| call.reply.simple(line));
    Ok(())
}

/// What looks for an encoding that no value has.
fn fail(call: &mut Call<'_>, error: &'static str) -> Outcome {
    match call.store.key(&call.args[2]).exists() {
        true => Err(Error::new(error)),
        false => Err(Error::NO_SUCH_KEY),
    }
}

fn log(call: &mut Call<'_>) -> Outcome {
    tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(&call.args[2]));
    call.reply.ok();
    Ok(())
}

fn set_active_expire(call: &mut Call<'_>) -> Outcome {
    let on = parse_i64(&call.args[2]).is_some_and(|number| number != 0);
    call.node.active_expire.store(on, Ordering::Relaxed);
    call.reply.ok();
    Ok(())
}

fn sleep(call: &mut Call<'_>) -> Outcome {
    // As in Redis, what is no number is no time at all.
    let seconds = parse_f64(&call.args[2])
        .unwrap_or(0.0)
        .clamp(0.0, MAX_SLEEP.as_secs_f64());
    std::thread::sleep(Duration::from_secs_f64(seconds));
    call.reply.ok();
    Ok(())
}

fn object(call: &mut Call<'_>) -> Outcome {
    let seconds = call.store.now_ms / 1000;
    let mut key = call.store.key(&call.args[2]);
    let (Some(encoding), Some(idle)) = (key.encoding(), key.idle_seconds()) else {
        return Err(Error::NO_SUCH_KEY);
    };
    let length = match key.text() {
        Ok(text) => text.map_or(0, |text| serialized_length(&text)),
        Err(_) => key.held_bytes().unwrap_or(0),
    };
    let used = seconds.saturating_sub(idle) & 0x00ff_ffff;
    // Entries move and have no address of their own.
    call.reply.simple(&format!(
        "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{length} lru:{used} lru_seconds_idle:{idle}"
    ));
    Ok(())
}

/// Bytes of a string in Redis's dump format, uncompressed: what tools compare sizes by.
fn serialized_length(text: &Text<'_>) -> usize {
    match parse_i64(text) {
        Some(-128..=127) => 2,
        Some(-32_768..=32_767) => 3,
        Some(-2_147_483_648..=2_147_483_647) => 5,
        _ => {
            text.len()
                + if text.len() < 64 {
                    1
                } else if text.len() < 16_384 {
                    2
                } else {
                    5
                }
        }
    }
}

fn htstats(call: &mut Call<'_>) -> Outcome {
    let database = call.int(2)?;
    let databases = call.node.keyspace.shape().databases;
    let database = usize::try_from(database).ok().filter(|number| *number < databases);
    let Some(database) = database else {
        return Err(Error::new("ERR Out of range database"));
    };
    let (keys, volatile) = (call.store.len(database), call.store.volatile(database));
    let buckets = call.store.buckets(database);
    call.reply.verbatim(&format!(
        "[Dictionary HT]\nHash table 0 stats (main hash table):\n table size: {buckets}\n number of elements: {keys}\n\
         [Expires HT]\nHash table 0 stats (main hash table):\n number of elements: {volatile}\n"
    ));
    Ok(())
}

fn populate(call: &mut Call<'_>) -> Outcome {
    let positive = |text: &[u8]| {
        let number = parse_i64(text).and_then(|number| u64::try_from(number).ok());
        number.ok_or(Error::new("ERR value is out of range, must be positive"))
    };
    let count = positive(&call.args[2])?;
    let size = call.args.get(4).map_or(Ok(0), positive)?;
    if size > call.node.config.settings().proto_max_bulk_len {
        return Err(Error::new(
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ));
    }
    let prefix = call.args.get(3).unwrap_or(b"key");
    for number in 0..count {
        if call.node.over_limit() {
            return Err(Error::OUT_OF_MEMORY);
        }
        let name = [prefix, format!(":{number}").as_bytes()].concat();
        let mut key = call.store.key(&name);
        if !key.exists() {
            let mut value = format!("value:{number}").into_bytes();
            if size > 0 {
                value.resize(size as usize, 0);
            }
            key.set(NewValue::Bytes(&value), None);
        }
    }
    call.reply.ok();
    Ok(())
}

/// The number that Redis replies with here.
#[expect(clippy::approx_constant, reason = "clients' tests expect these digits")]
const SAMPLE_DOUBLE: f64 = 3.141;

fn protocol(call: &mut Call<'_>) -> Outcome {
    let reply = &mut call.reply;
    let resp3 = reply.version() == Version::Resp3;
    match call.args[2].to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(SAMPLE_DOUBLE),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.int(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if resp3 {
                reply
                    .output()
                    .extend(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if !resp3 => return Err(Error::new("ERR RESP2 is not supported by this command")),
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim("This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"bignum" if resp3 => reply.output().extend(b"(1234567999999999999999999999999999999\r\n"),
        b"bignum" => reply.bulk(b"1234567999999999999999999999999999999"),
        _ => {
            return Err(Error::new(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

/// A digest under construction: Redis's way of folding SHA-1 over data, so that digests can be compared with its.
#[derive(Clone, Copy, Default)]
struct Fold([u8; 20]);

impl Fold {
    /// Adds data whose order does not matter.
    fn add(&mut self, data: &[u8]) {
        let hash = Sha1::digest(data);
        self.0.iter_mut().zip(hash).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds data whose order matters.
    fn chain(&mut self, data: &[u8]) {
        self.add(data);
        self.0 = Sha1::digest(self.0).into();
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Redis's number of the type string.
const STRING_TYPE: u32 = 0;

/// Adds a key's value; false if the key is not there.
fn fold_value(store: &mut Store<'_>, name: &[u8], fold: &mut Fold) -> Result<bool, Error> {
    let mut key = store.key(name);
    let volatile = key.deadline().is_some();
    let Some(text) = key.text()? else { return Ok(false) };
    fold.chain(&STRING_TYPE.to_be_bytes());
    fold.chain(&text);
    if volatile {
        fold.add(b"!!expire!!");
    }
    Ok(true)
}

fn digest_value(call: &mut Call<'_>) -> Outcome {
    let mut digests = Vec::new();
    for name in call.args.iter().skip(2) {
        let mut fold = Fold::default();
        fold_value(&mut call.store, name, &mut fold)?;
        digests.push(fold.hex());
    }
    call.reply.array(digests.len());
    digests.iter().for_each(|digest| call.reply.simple(digest));
    Ok(())
}

/// Key by key, so it is a digest of one state only if nobody writes meanwhile (or inside MULTI).
fn digest(call: &mut Call<'_>) -> Outcome {
    let mut total = Fold::default();
    for database in 0..call.node.keyspace.shape().databases {
        if call.store.len(database) == 0 {
            continue;
        }
        total.chain(&(database as u32).to_be_bytes());
        call.store.database = database;
        let mut cursor = 0;
        loop {
            let mut names: Vec<Vec<u8>> = Vec::new();
            cursor = call.store.scan(cursor, &mut |name, _| names.push(name.to_vec()));
            for name in names {
                let mut fold = Fold::default();
                fold.chain(&name);
                if fold_value(&mut call.store, &name, &mut fold)? {
                    total.add(&fold.0);
                }
            }
            if cursor == 0 {
                break;
            }
        }
    }
    call.reply.simple(&total.hex());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node;
    use crate::store::{Keyspace, Shape};

    #[test]
    fn digests_are_those_of_redis() {
        let keyspace = Keyspace::new(Shape::suiting(1 << 24, 1, 2), ahash::RandomState::new());
        let eviction = node::eviction(&crate::config::Settings::default());
        let mut store = Store::new(&keyspace, 0, 1000, &eviction);
        store.key(b"foo").set(NewValue::Bytes(b"bar"), None);
        let mut fold = Fold::default();
        assert_eq!(fold_value(&mut store, b"foo", &mut fold), Ok(true));
        assert_eq!(fold.hex(), "68467c70ae30376e7ce005bcc8827f5ba7fd67dc");
        assert_eq!(fold_value(&mut store, b"none", &mut Fold::default()), Ok(false));
    }
}
