//! What no Redis before 8.4 can be compared with: conditions on values, DELEX, DIGEST, MSETEX; and RESP3.

use crate::call::Call;
use crate::client::{Client, Origin, Peer};
use crate::command;
use crate::config::{Config, Settings};
use crate::node::{Node, eviction, ttl_rules};
use crate::resp::Reply;
use crate::resp::encode::{Output, Version};
use crate::resp::request::OwnedArgs;
use crate::store::Store;
use bytes::Bytes;
use std::sync::Arc;

pub(super) const NOW: u64 = 1_700_000_000_000;

/// A node and a connection, to run commands without a socket.
pub(super) struct Bench {
    pub(super) node: Node,
    client: Client,
    version: Version,
    /// How many commands ran: each is a turn of its own.
    turns: u64,
}

impl Bench {
    pub(super) fn new(version: Version) -> Bench {
        let origin = Origin {
            address: String::new(),
            local_address: String::new(),
            descriptor: 0,
            flags: 0,
        };
        let client = Client::new(Arc::new(Peer::new(1, 0, origin, NOW)), true);
        let mut settings = Settings::default();
        settings.threads = 1;
        Bench {
            node: Node::new(Config::new(settings)),
            client,
            version,
            turns: 0,
        }
    }

    /// Runs a command, its words parted by spaces; the reply's lines are parted by spaces.
    pub(super) fn run(&mut self, line: &str) -> String {
        self.run_at(NOW, line)
    }

    pub(super) fn run_at(&mut self, now_ms: u64, line: &str) -> String {
        let args: Vec<Bytes> = line
            .split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect();
        let command = command::lookup_full(&args[0]).expect("the command is in the table");
        let args = OwnedArgs::new(args);
        let eviction = eviction(&self.node.config.settings());
        let rules = ttl_rules(&self.node.config.settings());
        self.turns += 1;
        let mut output = Output::default();
        let mut store = Store::new(&self.node.keyspace, 0, now_ms, &eviction);
        store.ttl.rules = rules.as_ref();
        store.ttl.seed = self.turns;
        let mut call = Call {
            command,
            args: args.args(),
            store,
            reply: Reply::new(&mut output, self.version),
            client: &mut self.client,
            node: &self.node,
            stats: &self.node.workers[0],
        };
        if let Err(error) = (command.handler)(&mut call) {
            call.reply.error(&error.0);
        }
        drop(call);
        let reply = output.contiguous().expect("small replies are in one piece");
        String::from_utf8_lossy(reply)
            .replace("\r\n", " ")
            .trim_end()
            .to_owned()
    }

    /// Runs commands in order and compares each reply.
    pub(super) fn expect(&mut self, steps: &[(&str, &str)]) {
        for (line, reply) in steps {
            assert_eq!(&self.run(line), reply, "{line}");
        }
    }
}

#[test]
fn set_stores_only_if_the_old_value_compares_as_asked() {
    Bench::new(Version::Resp2).expect(&[
        ("set k v ifeq old", "$-1"),
        ("set k v ifdeq 0000000000000000", "$-1"),
        ("set k old ifne v", "+OK"),
        ("set k v ifeq other", "$-1"),
        ("set k v ifeq other get", "$3 old"),
        ("set k abc IfEq old get", "$3 old"),
        ("set k v ifne abc", "$-1"),
        ("set k v ifdne 78AF5F94892F3950", "$-1"),
        ("set k v ifdeq 78af", "-ERR must be exactly 16 hexadecimal characters"),
        (
            "set k v get ifdeq 78af",
            "-ERR must be exactly 16 hexadecimal characters",
        ),
        ("set k v ifdeq 78af5f94892f3950 ex 10", "+OK"),
        ("get k", "$1 v"),
        ("set k v ifeq", "-ERR syntax error"),
        ("set k v nx ifeq v", "-ERR syntax error"),
        ("set k v ifeq v ifeq v", "-ERR syntax error"),
    ]);
}

#[test]
fn delex_deletes_only_if_the_value_compares_as_asked() {
    Bench::new(Version::Resp2).expect(&[
        ("delex k ifeq", ":0"),
        ("set k abc", "+OK"),
        ("digest k", "$16 78af5f94892f3950"),
        ("digest none", "$-1"),
        ("delex k ifeq", "-ERR wrong number of arguments for 'delex' command"),
        (
            "delex k ifxx abc",
            "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE",
        ),
        ("delex k ifne abc", ":0"),
        ("delex k ifdne 78af5f94892f3950", ":0"),
        ("delex k ifdeq 78af5f94892f3950", ":1"),
        ("delex k", ":0"),
        ("set k abc", "+OK"),
        ("delex k", ":1"),
    ]);
}

#[test]
fn msetex_sets_all_or_none() {
    let mut bench = Bench::new(Version::Resp2);
    bench.expect(&[
        ("msetex 0 a 1", "-ERR invalid numkeys value"),
        ("msetex 2 a 1 b", "-ERR wrong number of key-value pairs"),
        ("msetex 1 a 1 b 2", "-ERR syntax error"),
        ("msetex 1 a 1 get", "-ERR syntax error"),
        ("msetex 1 a 1 nx xx", "-ERR syntax error"),
        ("msetex 1 a 1 ex 0", "-ERR invalid expire time in 'msetex' command"),
        ("msetex 2 a 1 b 2 xx", ":0"),
        ("msetex 2 a 1 b 2 nx px 100", ":1"),
        ("msetex 2 b 3 c 3 nx", ":0"),
        ("msetex 2 a 3 b 4 xx keepttl", ":1"),
        ("mget a b c", "*3 $1 3 $1 4 $-1"),
    ]);
    assert_eq!(bench.run_at(NOW + 99, "mget a b"), "*2 $1 3 $1 4");
    assert_eq!(bench.run_at(NOW + 100, "mget a b"), "*2 $-1 $-1");
    bench.expect(&[("msetex 1 a 1 exat 1", ":1"), ("get a", "$-1")]);
}

#[test]
fn many_keys_are_handled_as_few_are() {
    let mut bench = Bench::new(Version::Resp2);
    let pairs: String = (0..100).map(|key| format!(" k{key} v{key}")).collect();
    let keys: String = (0..100).map(|key| format!(" k{key}")).collect();
    let values: String = (0..100)
        .map(|key| format!(" ${} v{key}", format!("v{key}").len()))
        .collect();
    assert_eq!(bench.run(&format!("mset{pairs}")), "+OK");
    assert_eq!(bench.run(&format!("mget{keys}")), format!("*100{values}"));
    assert_eq!(bench.run(&format!("msetnx new 1{pairs}")), ":0");
    assert_eq!(bench.run("get new"), "$-1");
}

#[test]
fn absence_and_maps_have_types_of_their_own_in_resp3() {
    Bench::new(Version::Resp3).expect(&[
        ("get k", "_"),
        ("mget k", "*1 _"),
        ("set k v xx", "_"),
        ("bitfield k overflow fail incrby u1 0 2", "*1 _"),
        ("mset a xay b xby", "+OK"),
        (
            "lcs a b idx withmatchlen",
            "%2 $7 matches *2 *3 *2 :2 :2 *2 :2 :2 :1 *3 *2 :0 :0 *2 :0 :0 :1 $3 len :2",
        ),
    ]);
}
