//! What is known of commands by their names, for those that are written by hand: where their keys are, whether they
//! change anything, and which must not go out on a connection that others share.

use super::Access;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Which nodes a command without a key concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Any node can answer, and all answer the same.
    Any,
    /// It says or does something about one node, and the caller must know which.
    One,
    /// It is for all nodes.
    Every,
    /// A command that nobody here knows.
    Unknown,
}

/// Where a command's keys are. Positions count words, the name being 0; the second word of a name counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    None(Scope),
    /// From `first` to `last`, every `step` words; a negative `last` counts from the end.
    Range {
        first: usize,
        last: isize,
        step: usize,
    },
    /// The first, and what stands behind `STORE` or `STOREDIST`.
    FirstAndStore,
    /// The number of keys stands at `at`, the keys behind it, `step` words apart; `target` is one more key before it.
    Counted {
        at: usize,
        step: usize,
        target: bool,
    },
    /// The first half of what stands behind `STREAMS`.
    Streams,
}

/// Where a blocking command says how long it may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timeout {
    LastSeconds,
    FirstSeconds,
    LastMillis,
    /// Behind `BLOCK`, in milliseconds; without it the command does not block.
    BlockMillis,
}

/// How long a command may keep its connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wait {
    /// As long as it takes to run.
    No,
    /// Up to so many seconds.
    Seconds(f64),
    /// Until there is something, however long that takes.
    Forever,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Blocking(Timeout),
    /// It changes the connection that others share; what to use instead.
    Refused(&'static str),
    /// The second word decides.
    Container,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) access: Access,
    pub(super) keys: Keys,
    pub(super) kind: Kind,
}

impl Facts {
    /// Of a command that is not in the table.
    pub(super) const UNKNOWN: Facts = Facts {
        access: Access::Write,
        keys: Keys::None(Scope::Unknown),
        kind: Kind::Plain,
    };
}

const fn range(first: usize, last: isize, step: usize) -> Keys {
    Keys::Range { first, last, step }
}

const fn counted(at: usize) -> Keys {
    Keys::Counted {
        at,
        step: 1,
        target: false,
    }
}

const FIRST: Keys = range(1, 1, 1);
const SECOND: Keys = range(2, 2, 1);
const FIRST_TWO: Keys = range(1, 2, 1);
const ALL: Keys = range(1, -1, 1);
const ANY: Keys = Keys::None(Scope::Any);
const ONE: Keys = Keys::None(Scope::One);
const EVERY: Keys = Keys::None(Scope::Every);

/// Commands that change nothing.
const READS: &[(Keys, &str)] = &[
    (
        FIRST,
        "BITCOUNT BITFIELD_RO BITPOS DIGEST DUMP EXPIRETIME GEODIST GEOHASH GEOPOS GEORADIUS_RO \
         GEORADIUSBYMEMBER_RO GEOSEARCH GET GETBIT GETRANGE HEXISTS HEXPIRETIME HGET HGETALL HKEYS HLEN HMGET \
         HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSTRLEN HTTL HVALS LINDEX LLEN LPOS LRANGE PEXPIRETIME PTTL SCARD \
         SISMEMBER SMEMBERS SMISMEMBER SORT_RO SRANDMEMBER SSCAN STRLEN SUBSTR TTL TYPE XLEN XPENDING XRANGE \
         XREVRANGE ZCARD ZCOUNT ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE \
         ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE",
    ),
    (
        SECOND,
        "MEMORY-USAGE OBJECT-ENCODING OBJECT-FREQ OBJECT-IDLETIME OBJECT-REFCOUNT XINFO-CONSUMERS XINFO-GROUPS \
         XINFO-STREAM",
    ),
    (FIRST_TWO, "LCS"),
    (ALL, "EXISTS MGET PFCOUNT SDIFF SINTER SUNION TOUCH"),
    (counted(1), "SINTERCARD ZDIFF ZINTER ZINTERCARD ZUNION"),
    (counted(2), "EVALSHA_RO EVAL_RO FCALL_RO"),
    (ANY, "COMMAND ECHO LOLWUT PING RANDOMKEY TIME"),
    (
        ONE,
        "CLIENT-GETNAME CLIENT-ID CLIENT-INFO CLIENT-LIST CONFIG-GET INFO LASTSAVE MEMORY-DOCTOR MEMORY-STATS \
         PUBSUB ROLE SCAN SCRIPT-EXISTS SLOWLOG-GET SLOWLOG-LEN",
    ),
    (EVERY, "DBSIZE KEYS"),
];

/// Commands that may change something.
const WRITES: &[(Keys, &str)] = &[
    (
        FIRST,
        "APPEND BITFIELD DECR DECRBY DELEX EXPIRE EXPIREAT GEOADD GETDEL GETEX GETSET HDEL HEXPIRE HEXPIREAT HGETDEL \
         HGETEX HINCRBY HINCRBYFLOAT HMSET HPERSIST HPEXPIRE HPEXPIREAT HSET HSETEX HSETNX INCR INCRBY INCRBYFLOAT \
         LINSERT LPOP LPUSH LPUSHX LREM LSET LTRIM MOVE PERSIST PEXPIRE PEXPIREAT PFADD PSETEX RESTORE RPOP RPUSH \
         RPUSHX SADD SET SETBIT SETEX SETNX SETRANGE SPOP SREM XACK XADD XAUTOCLAIM XCLAIM XDEL XSETID XTRIM ZADD \
         ZINCRBY ZPOPMAX ZPOPMIN ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE",
    ),
    // A channel lives where a key of its name would.
    (FIRST, "PUBLISH SPUBLISH"),
    (Keys::FirstAndStore, "GEORADIUS GEORADIUSBYMEMBER SORT"),
    (
        SECOND,
        "XGROUP-CREATE XGROUP-CREATECONSUMER XGROUP-DELCONSUMER XGROUP-DESTROY XGROUP-SETID",
    ),
    (
        FIRST_TWO,
        "COPY GEOSEARCHSTORE LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE",
    ),
    (ALL, "DEL PFMERGE SDIFFSTORE SINTERSTORE SUNIONSTORE UNLINK"),
    (range(2, -1, 1), "BITOP"),
    (range(1, -1, 2), "MSET MSETNX"),
    (counted(1), "LMPOP ZMPOP"),
    (counted(2), "EVAL EVALSHA FCALL"),
    (
        Keys::Counted {
            at: 1,
            step: 2,
            target: false,
        },
        "MSETEX",
    ),
    (
        Keys::Counted {
            at: 2,
            step: 1,
            target: true,
        },
        "ZDIFFSTORE ZINTERSTORE ZUNIONSTORE",
    ),
    (
        EVERY,
        "CONFIG-RESETSTAT CONFIG-REWRITE CONFIG-SET FLUSHALL FLUSHDB FUNCTION-DELETE FUNCTION-FLUSH FUNCTION-LOAD \
         LATENCY-RESET MEMORY-PURGE SCRIPT-FLUSH SCRIPT-LOAD SLOWLOG-RESET SWAPDB",
    ),
    (
        ONE,
        "ACL BGREWRITEAOF BGSAVE CLIENT-KILL CLIENT-PAUSE CLIENT-UNBLOCK CLIENT-UNPAUSE CLUSTER DEBUG FAILOVER MODULE \
         REPLICAOF SAVE SCRIPT-KILL SHUTDOWN SLAVEOF",
    ),
];

/// Commands that keep their connection until there is something for them.
const BLOCKING: &[(Keys, Timeout, &str)] = &[
    (range(1, -2, 1), Timeout::LastSeconds, "BLPOP BRPOP BZPOPMAX BZPOPMIN"),
    (FIRST_TWO, Timeout::LastSeconds, "BLMOVE BRPOPLPUSH"),
    (counted(2), Timeout::FirstSeconds, "BLMPOP BZMPOP"),
    (Keys::Streams, Timeout::BlockMillis, "XREAD XREADGROUP"),
    (ONE, Timeout::LastMillis, "WAIT WAITAOF"),
];

/// Commands that would change the connection under all who share it, or replies that belong to nobody.
const REFUSED: &[(&str, &str)] = &[
    (
        "use Client::subscribe or Client::psubscribe",
        "PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE UNSUBSCRIBE",
    ),
    ("use Client::pipeline and its atomic()", "DISCARD EXEC MULTI"),
    ("use Client::transaction", "UNWATCH WATCH"),
    ("name the database in the URL, as in redis://host/3", "SELECT"),
    (
        "put user and password into the URL, as in redis://user:password@host",
        "AUTH",
    ),
    ("see Config::resp3 and Config::client_name", "CLIENT-SETNAME HELLO"),
    ("drop the client instead", "QUIT RESET"),
    (
        "it needs a connection of its own, such as redis-cli's",
        "MONITOR PSYNC REPLCONF SCRIPT-DEBUG SYNC",
    ),
    (
        "it changes the connection, which other calls share",
        "ASKING CLIENT-CACHING CLIENT-NO-EVICT CLIENT-NO-TOUCH CLIENT-REPLY CLIENT-SETINFO CLIENT-TRACKING READONLY \
         READWRITE",
    ),
];

/// The longest name that is looked up, both words of it.
const MAX_NAME_BYTES: usize = 32;

static TABLE: LazyLock<HashMap<&'static str, Facts>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    let mut add = |words: &'static str, facts: Facts| {
        for name in words.split_ascii_whitespace() {
            if let Some((first, _)) = name.split_once('-').filter(|(first, _)| !first.is_empty()) {
                table.entry(first).or_insert(Facts {
                    kind: Kind::Container,
                    keys: ONE,
                    ..Facts::UNKNOWN
                });
            }
            table.insert(name, facts);
        }
    };
    let groups = [(Access::Read, READS), (Access::Write, WRITES)];
    for (access, rows) in groups {
        for &(keys, names) in rows {
            let kind = Kind::Plain;
            add(names, Facts { access, keys, kind });
        }
    }
    let access = Access::Write;
    for &(keys, timeout, names) in BLOCKING {
        let kind = Kind::Blocking(timeout);
        add(names, Facts { access, keys, kind });
    }
    for &(instead, names) in REFUSED {
        let kind = Kind::Refused(instead);
        add(
            names,
            Facts {
                access,
                keys: ONE,
                kind,
            },
        );
    }
    table
});

/// The facts of a command; `second` is the word behind its first.
pub(super) fn find(first: &[u8], second: Option<&[u8]>) -> Facts {
    let found = look_up(&[first]).unwrap_or(Facts::UNKNOWN);
    match (found.kind, second) {
        // Of what a container has, the table lists what is of interest.
        (Kind::Container, Some(second)) => look_up(&[first, b"-", second]).unwrap_or(found),
        _ => found,
    }
}

fn look_up(parts: &[&[u8]]) -> Option<Facts> {
    let mut name = [0; MAX_NAME_BYTES];
    let mut len = 0;
    for part in parts {
        name.get_mut(len..len + part.len())?.copy_from_slice(part);
        len += part.len();
    }
    let name = &mut name[..len];
    name.make_ascii_uppercase();
    TABLE.get(std::str::from_utf8(name).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_is_listed_twice() {
        let rows = READS.iter().chain(WRITES).map(|(_, names)| *names);
        let rows = rows.chain(BLOCKING.iter().map(|(.., names)| *names));
        let rows = rows.chain(REFUSED.iter().map(|(_, names)| *names));
        let mut names: Vec<_> = rows.flat_map(str::split_ascii_whitespace).collect();
        assert!(names.iter().all(|name| name.len() <= MAX_NAME_BYTES));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn names_are_found_in_any_case_and_by_their_second_word() {
        assert_eq!(find(b"get", None).access, Access::Read);
        assert_eq!(find(b"GeT", Some(b"x")), find(b"GET", None));
        assert_eq!(find(b"object", Some(b"encoding")).keys, SECOND);
        assert!(matches!(find(b"client", Some(b"reply")).kind, Kind::Refused(_)));
        assert_eq!(find(b"client", Some(b"list")).kind, Kind::Plain);
        assert_eq!(find(b"client", Some(b"from-the-future")).kind, Kind::Container);
        for unknown in [&b"no.such"[..], b"", &[b'x'; 1000], b"\xff"] {
            assert_eq!(find(unknown, Some(unknown)), Facts::UNKNOWN);
        }
    }
}
