//! Random sequences of commands, in random batches and random pieces, against both servers.
//!
//! A template is a command with placeholders; one table of weighted templates covers every family.
//! Deadlines are far away or in the past, so that the clock decides nothing.

use super::runner::compare;
use super::script::Compare;
use larder_tests::reply::escape;
use larder_tests::rng::{Rng, fresh_seed};
use larder_tests::server::Server;
use larder_tests::wire::{Conn, encode};

use Compare::{Exact, Near, Sorted, Type};

/// `(weight, how to compare, template)`. Placeholders: K key, V value, I integer, F far TTL,
/// S far second, M far millisecond, O offset, X index, B bit, P pattern, D database, W bitfield type,
/// Q float, L bytes that may be large; `+name` some words of the soup of that name.
const TEMPLATES: &[(usize, Compare, &str)] = &[
    (30, Exact, "SET K V"),
    (3, Exact, "SET K L"),
    (4, Exact, "SET K I"),
    (3, Exact, "SET K V EX F"),
    (3, Exact, "SET K V PX F"),
    (3, Exact, "SET K V EXAT S"),
    (3, Exact, "SET K V PXAT M"),
    (3, Exact, "SET K V NX"),
    (3, Exact, "SET K V XX"),
    (3, Exact, "SET K V GET"),
    (2, Exact, "SET K V NX GET EX F"),
    (2, Exact, "SET K V XX KEEPTTL GET"),
    (3, Exact, "SET K V KEEPTTL"),
    (40, Exact, "GET K"),
    (4, Exact, "GETSET K V"),
    (4, Exact, "GETDEL K"),
    (2, Exact, "GETEX K"),
    (2, Exact, "GETEX K EX F"),
    (2, Exact, "GETEX K PXAT M"),
    (2, Exact, "GETEX K PERSIST"),
    (1, Exact, "GETEX K EXAT 5"),
    (3, Exact, "SETNX K V"),
    (2, Exact, "SETEX K F V"),
    (2, Exact, "PSETEX K F V"),
    (6, Exact, "MSET K V K V K V"),
    (3, Exact, "MSETNX K V K V"),
    (8, Exact, "MGET K K K K"),
    (6, Exact, "APPEND K V"),
    (5, Exact, "SETRANGE K O V"),
    (6, Exact, "GETRANGE K X X"),
    (1, Exact, "SUBSTR K X X"),
    (5, Exact, "STRLEN K"),
    (2, Exact, "LCS K K"),
    (1, Exact, "LCS K K LEN"),
    (1, Exact, "LCS K K IDX WITHMATCHLEN"),
    (8, Exact, "INCR K"),
    (4, Exact, "DECR K"),
    (5, Exact, "INCRBY K I"),
    (4, Exact, "DECRBY K I"),
    (4, Exact, "INCRBYFLOAT K Q"),
    (5, Exact, "SETBIT K O B"),
    (4, Exact, "GETBIT K O"),
    (3, Exact, "BITCOUNT K"),
    (2, Exact, "BITCOUNT K X X"),
    (2, Exact, "BITCOUNT K X X BIT"),
    (3, Exact, "BITPOS K B"),
    (2, Exact, "BITPOS K B X"),
    (2, Exact, "BITPOS K B X X"),
    (2, Exact, "BITPOS K B X X BIT"),
    (2, Exact, "BITOP AND K K K"),
    (2, Exact, "BITOP OR K K K K"),
    (2, Exact, "BITOP XOR K K K"),
    (2, Exact, "BITOP NOT K K"),
    (3, Exact, "BITFIELD K GET W O SET W O I"),
    (2, Exact, "BITFIELD K OVERFLOW SAT INCRBY W O I"),
    (2, Exact, "BITFIELD K OVERFLOW FAIL INCRBY W O I GET W O"),
    (2, Exact, "BITFIELD K INCRBY W O I"),
    (2, Exact, "BITFIELD_RO K GET W O"),
    (6, Exact, "DEL K"),
    (3, Exact, "DEL K K K"),
    (3, Exact, "UNLINK K K"),
    (5, Exact, "EXISTS K K"),
    (2, Exact, "TOUCH K K"),
    (4, Exact, "TYPE K"),
    (3, Exact, "RENAME K K"),
    (3, Exact, "RENAMENX K K"),
    (3, Exact, "COPY K K"),
    (2, Exact, "COPY K K REPLACE"),
    (2, Exact, "COPY K K DB D"),
    (2, Exact, "COPY K K DB D REPLACE"),
    (3, Exact, "MOVE K D"),
    (3, Exact, "SELECT D"),
    (1, Exact, "SWAPDB D D"),
    (4, Exact, "DBSIZE"),
    (2, Sorted, "KEYS P"),
    (2, Sorted, "SCAN 0 COUNT 100000"),
    (1, Sorted, "SCAN 0 COUNT 100000 MATCH P TYPE string"),
    (1, Type, "RANDOMKEY"),
    (3, Exact, "EXPIRE K F"),
    (2, Exact, "PEXPIRE K F NX"),
    (2, Exact, "EXPIREAT K S GT"),
    (2, Exact, "EXPIREAT K S LT"),
    (2, Exact, "PEXPIREAT K M XX"),
    (2, Exact, "PEXPIREAT K M"),
    (1, Exact, "EXPIRE K -1"),
    (1, Exact, "PEXPIREAT K 1"),
    (3, Exact, "PERSIST K"),
    (3, Near, "TTL K"),
    (3, Near, "PTTL K"),
    (3, Near, "EXPIRETIME K"),
    (3, Near, "PEXPIRETIME K"),
    (4, Exact, "OBJECT ENCODING K"),
    (2, Exact, "PING"),
    (2, Exact, "ECHO V"),
    (1, Exact, "NOSUCH x"),
    (1, Exact, "GET"),
    (6, Exact, "MULTI"),
    (9, Exact, "EXEC"),
    (2, Exact, "DISCARD"),
    (5, Exact, "WATCH K"),
    (1, Exact, "UNWATCH"),
    (1, Exact, "RESET"),
    (1, Exact, "FLUSHDB"),
    (12, Exact, "JUNK +junk"),
    (10, Exact, "SET K V +set"),
    (4, Exact, "GETEX K +getex"),
    (4, Exact, "EXPIRE K F +expire"),
    (3, Exact, "PEXPIREAT K M +expire"),
    (3, Exact, "COPY K K +copy"),
    (3, Exact, "LCS K K +lcs"),
    (6, Exact, "BITFIELD K +bitfield"),
    (2, Exact, "BITFIELD_RO K +bitfield"),
    (2, Exact, "BITOP +bitop K K K"),
    (2, Sorted, "SCAN 0 COUNT 100000 +scan"),
    (2, Exact, "OBJECT +object K"),
    (2, Exact, "COMMAND GETKEYS SET K V +set"),
    (2, Exact, "COMMAND GETKEYSANDFLAGS SET K V +set"),
    (2, Exact, "COMMAND GETKEYSANDFLAGS BITFIELD K +bitfield"),
    (1, Exact, "COMMAND GETKEYS +any"),
    (2, Exact, "+any"),
    (1, Exact, "DEBUG DIGEST-VALUE K K"),
    (1, Exact, "DEBUG DIGEST"),
    (1, Exact, "CLIENT GETNAME"),
    (1, Exact, "CLIENT SETNAME V"),
    (1, Exact, "FLUSHALL +flush"),
    (1, Exact, "WATCH K K K"),
    (1, Exact, "SETBIT K O B"),
    (1, Exact, "SETRANGE K X V"),
    (1, Exact, "GETRANGE K I I"),
    (1, Exact, "SUBSTR K I X"),
    (1, Exact, "BITCOUNT K I I"),
    (1, Exact, "BITPOS K B I I"),
    (1, Exact, "SETBIT K X B"),
    (2, Exact, "INCRBYFLOAT K V"),
    (2, Exact, "INCRBY K V"),
];

/// Words that options are made of: their names, operands that may follow them, and what may not.
const SOUPS: &[(&str, &[&str])] = &[
    (
        "set",
        &[
            "NX", "XX", "GET", "get", "KEEPTTL", "EX F", "PX F", "EXAT S", "PXAT M", "EX", "PX 0", "EX -1", "nx",
            "PERSIST", "x",
        ],
    ),
    (
        "getex",
        &[
            "PERSIST", "EX F", "PX F", "EXAT S", "PXAT M", "EX", "PX 0", "KEEPTTL", "persist", "x", "PXAT 1",
        ],
    ),
    ("expire", &["NX", "XX", "GT", "LT", "gt", "lt", "x"]),
    ("copy", &["REPLACE", "DB D", "DB", "replace", "DB abc", "x", "DB -1"]),
    (
        "lcs",
        &["LEN", "IDX", "MINMATCHLEN X", "WITHMATCHLEN", "MINMATCHLEN", "idx", "x"],
    ),
    (
        "bitfield",
        &[
            "GET W O",
            "SET W O I",
            "INCRBY W O I",
            "OVERFLOW WRAP",
            "OVERFLOW SAT",
            "OVERFLOW FAIL",
            "GET W #X",
            "SET W #O I",
            "OVERFLOW x",
            "GET u64 0",
            "GET W",
            "INCRBY W O V",
            "get i64 O",
            "SET u63 O I",
            "INCRBY i64 O I",
        ],
    ),
    ("bitop", &["AND", "OR", "XOR", "NOT", "and", "x"]),
    (
        "scan",
        &[
            "MATCH P",
            "TYPE string",
            "TYPE x",
            "COUNT 100000",
            "COUNT 0",
            "COUNT",
            "x",
            "match P",
        ],
    ),
    ("object", &["ENCODING", "encoding", "x"]),
    (
        "junk",
        &[
            "K", "K", "V", "I", "O", "X", "B", "Q", "D", "W", "P", "GET", "SET", "NX", "XX", "IDX", "LEN", "DB",
            "REPLACE", "AND", "NOT", "#O", "K V", "K K",
        ],
    ),
    ("flush", &["SYNC", "ASYNC", "x", "sync"]),
    (
        "any",
        &[
            "GET K",
            "SET K",
            "MSET K V",
            "DEL K",
            "K V",
            "V",
            "BITOP AND K",
            "OBJECT ENCODING K",
            "EXEC",
            "PING V",
            "ECHO V",
            "SELECT D",
            "MEMORY NOSUCH",
            "CLIENT NOSUCH",
            "get K",
            "TYPE K",
            "SWAPDB D D",
            "ExIsTs K",
        ],
    ),
];

/// Commands that take junk as arguments: those whose reply neither the clock nor chance decides.
const JUNK: &[&str] = &[
    "APPEND",
    "BITFIELD",
    "BITFIELD_RO",
    "BITOP",
    "COPY",
    "DBSIZE",
    "DECR",
    "DECRBY",
    "DEL",
    "ECHO",
    "EXISTS",
    "GET",
    "GETBIT",
    "GETDEL",
    "GETRANGE",
    "GETSET",
    "INCR",
    "INCRBY",
    "INCRBYFLOAT",
    "LCS",
    "MGET",
    "MOVE",
    "MSET",
    "MSETNX",
    "PERSIST",
    "PING",
    "RENAME",
    "RENAMENX",
    "SELECT",
    "SETBIT",
    "SETNX",
    "SETRANGE",
    "STRLEN",
    "SUBSTR",
    "SWAPDB",
    "TOUCH",
    "TYPE",
    "UNLINK",
    "UNWATCH",
    "WATCH",
    "get",
    "mGet",
];

/// Arguments that commands must refuse or survive; none of them makes a deadline that is near, or one that is
/// past: when Redis reclaims a key stored so is up to its clock.
const ODD: &[&str] = &[
    "",
    "abc",
    "-1",
    "0",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1.5",
    " 7",
    "NX",
    "*",
    "\r\n",
    "+1",
    "-0",
    "007",
    "1e2",
    "0x10",
    "inf",
    "-nan",
    "18446744073709551615",
    "-9223372036854775809",
    "99999999999999999999999999",
    "4294967296000000",
    "1\0",
    "(",
    "\"",
    "%s%n",
];

struct Generator {
    rng: Rng,
    total_weight: usize,
    /// Inside MULTI replies come nested, so only commands whose reply is determined may go there.
    in_transaction: bool,
}

struct Command {
    args: Vec<Vec<u8>>,
    compare: Compare,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let total_weight = TEMPLATES.iter().map(|template| template.0).sum();
        Self {
            rng: Rng::new(seed),
            total_weight,
            in_transaction: false,
        }
    }

    fn command(&mut self) -> Command {
        let (compare, template) = self.template();
        let mut args: Vec<Vec<u8>> = Vec::new();
        for word in template.split(' ') {
            match word.strip_prefix('+') {
                Some(soup) => self.soup(soup, &mut args),
                None => args.push(self.argument(word)),
            }
        }
        if args.is_empty() {
            args.push(b"PING".to_vec());
        }
        // Redis 7.2 looks at these arguments before it looks for the key (known: bits-arguments-first).
        // What SCAN makes of a cursor that it did not give is undefined.
        // COMMAND without arguments lists all, and the lists differ.
        let checks_late = ["BITPOS", "BITCOUNT", "SCAN", "COMMAND"]
            .iter()
            .any(|head| template.starts_with(head));
        if self.rng.chance(4) && !checks_late {
            let at = self.rng.below(args.len());
            match self.rng.below(4) {
                0 if at > 0 => drop(args.remove(at)),
                1 => args.push(b"more".to_vec()),
                _ if at > 0 => args[at] = self.rng.pick(ODD).as_bytes().to_vec(),
                _ => {}
            }
        }
        match template {
            "MULTI" => self.in_transaction = true,
            // Also when they lost or won an argument: at worst a transaction is thought to be over.
            "EXEC" | "DISCARD" | "RESET" => self.in_transaction = false,
            _ => {}
        }
        Command { args, compare }
    }

    /// Appends up to four of a soup's words, with their operands.
    fn soup(&mut self, name: &str, args: &mut Vec<Vec<u8>>) {
        let (_, words) = SOUPS.iter().find(|soup| soup.0 == name).expect("a soup of this name");
        for _ in 0..self.rng.below(5) {
            let word = *self.rng.pick(words);
            args.extend(word.split(' ').map(|word| self.argument(word)));
        }
    }

    fn template(&mut self) -> (Compare, &'static str) {
        loop {
            let mut left = self.rng.below(self.total_weight);
            let found = TEMPLATES.iter().find(|template| {
                let here = left < template.0;
                left = left.saturating_sub(template.0);
                here
            });
            let &(_, compare, template) = found.expect("below the sum of all weights");
            if compare == Exact || !self.in_transaction {
                return (compare, template);
            }
        }
    }

    fn argument(&mut self, word: &str) -> Vec<u8> {
        let rng = &mut self.rng;
        match word {
            "K" => match rng.below(40) {
                0 => Vec::new(),
                1 => b"\x00\r\n\xff".to_vec(),
                2 => b"a key {tag} that is longer than most keys that people use ".repeat(5),
                n => format!("k{}", n % 12).into_bytes(),
            },
            "JUNK" => rng.pick(JUNK).as_bytes().to_vec(),
            "V" => self.value(),
            "L" => {
                let length = rng.below(60_000);
                vec![b'a' + (length % 26) as u8; length]
            }
            "I" => match rng.below(8) {
                0 => i64::MAX.to_string(),
                1 => i64::MIN.to_string(),
                2 => (rng.next_u64() as i64).to_string(),
                n => (rng.below(200) as i64 - 100 + n as i64).to_string(),
            }
            .into_bytes(),
            "Q" => rng
                .pick(&["1.5", "-0.25", "3", "1e3", "0.1", "-7.125", "1e17", "nan", "0.0000001"])
                .as_bytes()
                .to_vec(),
            "F" => (1_000_000 + rng.below(1_000_000)).to_string().into_bytes(),
            "S" => (33_177_117_420 + rng.below(100) as u64).to_string().into_bytes(),
            "M" => (33_177_117_420_000 + rng.below(100_000) as u64)
                .to_string()
                .into_bytes(),
            "O" => match rng.below(10) {
                0 => rng.below(20_000),
                _ => rng.below(130),
            }
            .to_string()
            .into_bytes(),
            "X" => (rng.below(60) as i64 - 30).to_string().into_bytes(),
            "B" => rng.below(2).to_string().into_bytes(),
            "P" => rng
                .pick(&["*", "k*", "k1?", "[k]1", "k[^1-5]", "*1*", "", "\\k1"])
                .as_bytes()
                .to_vec(),
            "D" => rng
                .pick(&["0", "0", "0", "1", "1", "2", "15", "16"])
                .as_bytes()
                .to_vec(),
            "W" => rng
                .pick(&["u8", "i5", "u1", "i64", "u63", "i13", "u32", "u64"])
                .as_bytes()
                .to_vec(),
            literal => match literal.strip_prefix('#') {
                // BITFIELD's offsets in units of the type.
                Some(kind) if !kind.is_empty() => [b"#", &self.argument(kind)[..]].concat(),
                _ => literal.as_bytes().to_vec(),
            },
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        match rng.below(12) {
            0 => Vec::new(),
            1 => b"3.14".to_vec(),
            2 => b"-0".to_vec(),
            3 => i64::MAX.to_string().into_bytes(),
            4..7 => rng.below(3000).to_string().into_bytes(),
            7..9 => (0..rng.below(80)).map(|_| rng.next_u64().to_le_bytes()[0]).collect(),
            9 => b"\x00\xff".repeat(rng.below(400)),
            n => format!("value {n} {}", rng.below(1 << 20)).into_bytes(),
        }
    }
}

/// A command as a client sends it: mostly as an array, sometimes inline, quoted in one of two ways.
fn request(args: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let bytes: usize = args.iter().map(Vec::len).sum();
    if bytes > 10_000 || !rng.chance(5) {
        return encode(args);
    }
    let mut line = Vec::new();
    for arg in args {
        if !line.is_empty() {
            line.extend_from_slice(b" ".repeat(1 + rng.below(2)).as_slice());
        }
        if !arg.is_empty() && arg.iter().all(u8::is_ascii_alphanumeric) {
            line.extend_from_slice(arg);
            continue;
        }
        line.push(b'"');
        line.extend(arg.iter().flat_map(|byte| format!("\\x{byte:02x}").into_bytes()));
        line.push(b'"');
    }
    line.extend_from_slice(rng.pick(&["\r\n", "\n"]).as_bytes());
    line
}

/// Sends `bytes` in pieces, so that frames are cut anywhere.
fn send_in_pieces(conn: &mut Conn, bytes: &[u8], rng: &mut Rng) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let longest = if rng.chance(30) { 20 } else { 20_000 };
        let (piece, after) = rest.split_at(rest.len().min(1 + rng.below(longest)));
        conn.send(piece).expect("the server reads");
        rest = after;
    }
}

fn run(seed: u64, commands: usize, resp3: bool) {
    println!("LARDER_SEED={seed}");
    let servers = [Server::redis(&[]), Server::larder(&[])];
    // Two connections each, in turn, so that WATCH has something to see.
    let mut clients = [0, 1].map(|_| {
        let conns = [servers[0].connect(), servers[1].connect()];
        (conns, Generator::new(0))
    });
    let mut rng = Rng::new(seed);
    for (conns, generator) in &mut clients {
        *generator = Generator::new(rng.next_u64());
        if resp3 {
            conns.iter_mut().for_each(|conn| drop(conn.call("HELLO 3")));
        }
    }
    let mut done = 0;
    let mut history: Vec<String> = Vec::new();
    while done < commands {
        let who = rng.below(2);
        let (conns, generator) = &mut clients[who];
        let most = if rng.chance(20) { 400 } else { 20 };
        let batch: Vec<Command> = (0..=rng.below(most)).map(|_| generator.command()).collect();
        let bytes: Vec<u8> = batch
            .iter()
            .flat_map(|command| request(&command.args, &mut rng))
            .collect();
        for conn in conns.iter_mut() {
            send_in_pieces(conn, &bytes, &mut rng);
        }
        for command in &batch {
            let words: Vec<_> = command
                .args
                .iter()
                .map(|arg| escape(&arg[..arg.len().min(40)]))
                .collect();
            history.push(format!("{who}> {}", words.join(" ")));
            let [redis, larder] = conns
                .each_mut()
                .map(|conn| conn.read_raw().map_err(|error| error.to_string()));
            if let Err(why) = compare(command.compare, &redis, &larder) {
                let recent = &history[history.len().saturating_sub(100)..];
                panic!("LARDER_SEED={seed}, command {done}:\n{}\n{why}", recent.join("\n"));
            }
            done += 1;
        }
    }
    same_state(&servers, seed);
}

/// Compares all that is stored: keys, types, values, encodings, deadlines.
fn same_state(servers: &[Server; 2], seed: u64) {
    let mut conns = servers.each_ref().map(Server::connect);
    let mut both = |how: Compare, args: &[&[u8]]| {
        let replies = conns
            .each_mut()
            .map(|conn| conn.call_raw(args).map_err(|error| error.to_string()));
        let shown: Vec<_> = args.iter().map(|arg| escape(arg)).collect();
        compare(how, &replies[0], &replies[1])
            .unwrap_or_else(|why| panic!("LARDER_SEED={seed}, at the end: {}\n{why}", shown.join(" ")));
        larder_tests::reply::decode(replies[0].as_deref().unwrap_or_default()).expect("a reply")
    };
    for database in 0..16 {
        both(Exact, &[b"SELECT", database.to_string().as_bytes()]);
        both(Exact, &[b"DBSIZE"]);
        let keys = both(Sorted, &[b"KEYS", b"*"]);
        for key in keys.items().unwrap_or_default() {
            let key = key.bytes().expect("a key");
            both(Exact, &[b"TYPE", key]);
            both(Exact, &[b"GET", key]);
            both(Exact, &[b"OBJECT", b"ENCODING", key]);
            both(Near, &[b"PEXPIRETIME", key]);
        }
    }
}

const COMMANDS: usize = 100_000;

/// Commands of a run with a fresh seed: `LARDER_RANDOM_COMMANDS`, for hunting, or a number that keeps
/// `scripts/test` short.
fn fresh_commands() -> usize {
    let asked = std::env::var("LARDER_RANDOM_COMMANDS").ok();
    asked.map_or(20_000, |text| text.parse().expect("LARDER_RANDOM_COMMANDS is a number"))
}

#[test]
fn random_sequences_with_a_fixed_seed_conform() {
    run(20_260_101, COMMANDS, false);
}

#[test]
fn random_sequences_with_a_fresh_seed_conform() {
    run(fresh_seed(), fresh_commands(), false);
}

#[test]
fn random_sequences_in_resp3_conform() {
    run(fresh_seed(), fresh_commands(), true);
}
