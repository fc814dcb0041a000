//! Every command of the table inside a transaction: it must be answered, whatever stripes EXEC holds.

use super::transaction::runs_at_once;
use crate::command::{self, Arg, ArgKind, Command, flag};
use crate::config::{Config, DebugAccess, Settings};
use crate::node::Node;
use crate::server::Server;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// Longer than any command here may take on a busy machine; what waits for a lock waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls for commands whose own grammar would say nothing or too much.
const BY_HAND: &[(&str, &[&str])] = &[
    ("client|kill", &["id 0", "type pubsub"]),
    ("client|pause", &["1", "1 write"]),
    ("client|reply", &["on"]),
    ("command|getkeys", &["mget k1 k2", "nothing"]),
    ("command|getkeysandflags", &["mget k1 k2"]),
    ("config|set", &["maxmemory-samples 7", "hz"]),
    ("hello", &["", "2", "3"]),
    (
        "debug",
        &[
            "help",
            "digest",
            "digest-value k1 k2",
            "error X",
            "htstats 0",
            "htstats-key k1",
            "listpack k1",
            "log x",
            "object k1",
            "populate 20 p 10",
            "protocol map",
            "reload",
            "set-active-expire 1",
            "sleep 0",
            "quicklist k3",
            "stringmatch-len a* abc",
            "change-repl-id",
        ],
    ),
    ("info", &["", "everything", "keyspace", "nothing"]),
    ("memory|usage", &["k1", "k2 samples 3", "none"]),
];

struct Running {
    node: Arc<Node>,
    path: std::path::PathBuf,
    thread: Option<std::thread::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start() -> Running {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut settings = Settings::default();
        settings.port = 0;
        settings.unixsocket = path.to_str().unwrap().to_owned();
        settings.enable_debug_command = DebugAccess::Yes;
        settings.maxmemory = 1 << 30;
        settings.threads = 2;
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let server = Server::start(Node::new(Config::new(settings))).unwrap();
                sender.send(server.node()).unwrap();
                server.run().await.unwrap();
            });
        });
        Running {
            node: receiver.recv().unwrap(),
            path,
            thread: Some(thread),
            _folder: folder,
        }
    }

    fn connect(&self) -> Peer {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer(BufReader::new(stream))
    }

    fn panics(&self) -> u64 {
        self.node.workers.iter().map(|worker| worker.panics.get()).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.node.shut_down();
        // After a failure a worker may hang, and the test's message matters more than its end.
        if let Some(thread) = self.thread.take().filter(|_| !std::thread::panicking()) {
            let _ = thread.join();
        }
    }
}

struct Peer(BufReader<UnixStream>);

impl Peer {
    fn send(&mut self, words: &[&str]) {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
    }

    /// The first line of the next reply, all of which is read.
    fn reply(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let count: i64 = line[1..].trim_end().parse().unwrap_or(0);
        match line.as_bytes()[0] {
            b'$' | b'=' | b'!' if count >= 0 => {
                std::io::copy(&mut (&mut self.0).take(count as u64 + 2), &mut std::io::sink())?;
            }
            b'*' | b'~' | b'>' => {
                for _ in 0..count {
                    self.reply()?;
                }
            }
            b'%' => {
                for _ in 0..2 * count {
                    self.reply()?;
                }
            }
            _ => {}
        }
        Ok(line.trim_end().to_owned())
    }

    fn ask(&mut self, words: &[&str]) -> std::io::Result<String> {
        self.send(words);
        self.reply()
    }
}

/// Keys that are given names in turn, so that a command with several gets different ones.
#[derive(Default)]
struct Keys(usize);

impl Keys {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("k{}", self.0)
    }
}

/// The words of an argument. Of several alternatives `choice` picks one.
fn words(arg: &Arg, choice: usize, keys: &mut Keys, into: &mut Vec<String>) {
    into.extend(arg.token.filter(|_| arg.kind != ArgKind::PureToken).map(str::to_owned));
    match arg.kind {
        ArgKind::String | ArgKind::Pattern => into.push("value".to_owned()),
        ArgKind::Integer => into.push("1".to_owned()),
        ArgKind::Double => into.push("1.5".to_owned()),
        ArgKind::Key => into.push(keys.next()),
        ArgKind::UnixTime => into.push("4102444800".to_owned()),
        ArgKind::PureToken => into.push(arg.token.unwrap_or(arg.name).to_owned()),
        ArgKind::OneOf => words(&arg.children[choice % arg.children.len()], choice, keys, into),
        ArgKind::Block => arg.children.iter().for_each(|child| words(child, choice, keys, into)),
    }
}

fn call(command: &Command, choice: usize, wanted: impl Fn(usize) -> bool) -> Vec<String> {
    let mut call: Vec<String> = command.full_name.split('|').map(str::to_owned).collect();
    let mut keys = Keys::default();
    for (number, arg) in command.args.iter().enumerate() {
        for _ in 0..if arg.multiple && choice.is_multiple_of(2) { 2 } else { 1 } {
            if !arg.optional || wanted(number) {
                words(arg, choice, &mut keys, &mut call);
            }
        }
    }
    call
}

/// Calls of a command as its grammar has them: without options, with each, with all.
fn calls(command: &Command) -> Vec<Vec<String>> {
    let names = || command.full_name.split('|').map(str::to_owned);
    if let Some((_, lines)) = BY_HAND.iter().find(|(name, _)| *name == command.full_name) {
        let line = |line: &&str| names().chain(line.split_whitespace().map(str::to_owned)).collect();
        return lines.iter().map(line).collect();
    }
    let mut calls: Vec<Vec<String>> = Vec::new();
    for choice in 0..4 {
        calls.push(call(command, choice, |_| false));
        calls.push(call(command, choice, |_| true));
        for option in 0..command.args.len() {
            calls.push(call(command, choice, |number| number == option));
        }
    }
    calls.sort_unstable();
    calls.dedup();
    calls
}

/// Whether the call is queued and run by EXEC.
fn is_queued(command: &Command) -> bool {
    !command.is_container() && !command.flags.has(flag::NO_MULTI) && !runs_at_once(command)
}

#[test]
fn every_command_is_answered_under_the_stripes_that_exec_holds() {
    let node = Running::start();
    assert!(
        node.node.keyspace.shape().stripes >= 8,
        "else everything is held anyway"
    );
    for command in command::all_with_subcommands()
        .iter()
        .filter(|command| is_queued(command))
    {
        for call in calls(command) {
            let shown = call.join(" ");
            let mut peer = node.connect();
            for key in ["k1", "k3", "watched"] {
                peer.ask(&["SET", key, "11"]).unwrap();
            }
            assert_eq!(peer.ask(&["WATCH", "watched", "k9"]).unwrap(), "+OK");
            assert_eq!(peer.ask(&["MULTI"]).unwrap(), "+OK");
            assert_eq!(peer.ask(&["SET", "own", "1"]).unwrap(), "+QUEUED");
            let words: Vec<&str> = call.iter().map(String::as_str).collect();
            let queued = peer.ask(&words).unwrap();
            assert!(queued == "+QUEUED" || queued.starts_with('-'), "{shown}: {queued}");
            assert_eq!(peer.ask(&["UNWATCH"]).unwrap(), "+QUEUED");
            let reply = peer.ask(&["EXEC"]).unwrap_or_else(|error| panic!("{shown}: {error}"));
            let expected = if queued == "+QUEUED" { "*3" } else { "-EXECABORT" };
            assert!(reply.starts_with(expected), "{shown}: {reply}");
            assert_eq!(node.panics(), 0, "{shown}");
            assert_eq!(
                node.connect().ask(&["INFO", "keyspace"]).unwrap().as_bytes()[0],
                b'$',
                "{shown}"
            );
        }
    }
}

#[test]
fn a_handlers_panic_closes_its_connection_only() {
    let node = Running::start();
    let (mut victim, mut other) = (node.connect(), node.connect());
    other.ask(&["SET", "key", "value"]).unwrap();
    victim.send(&["DEBUG", "PANIC"]);
    assert!(victim.reply().is_err());
    assert_eq!(node.panics(), 1);
    assert_eq!(other.ask(&["GET", "key"]).unwrap(), "$5");
    assert_eq!(node.connect().ask(&["PING"]).unwrap(), "+PONG");
}

#[test]
fn a_transaction_whose_replies_are_over_the_limit_is_run_and_its_connection_closed() {
    let node = Running::start();
    let (mut greedy, mut other) = (node.connect(), node.connect());
    other
        .ask(&["CONFIG", "SET", "client-output-buffer-limit", "normal 1mb 0 0"])
        .unwrap();
    other.ask(&["SET", "value", &"v".repeat(15_000)]).unwrap();
    greedy.ask(&["MULTI"]).unwrap();
    for _ in 0..100 {
        greedy.ask(&["GET", "value"]).unwrap();
    }
    greedy.ask(&["INCR", "ran"]).unwrap();
    greedy.send(&["EXEC"]);
    assert!(greedy.reply().is_err(), "no reply, as it would be too large");
    assert_eq!(other.ask(&["INCR", "ran"]).unwrap(), ":2");
    let closes: u64 = node.node.workers.iter().map(|worker| worker.limit_closes.get()).sum();
    assert_eq!(closes, 1);
}
