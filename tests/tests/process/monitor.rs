//! MONITOR's lines, against those of the real Redis for the same commands.

use larder_tests::reply::escape;
use larder_tests::server::Server;
use larder_tests::wire::encode;

/// One command a line; `\` escapes as in the conformance scripts.
const COMMANDS: &str = r#"
SET k v
get "a \"b\\ \x00\xff\n\r\t\x07\x08"
ECHO ""
ECHO 'single "quotes"'
SELECT 3
SET x 1
AUTH pw
AUTH user pw
HELLO 2
HELLO 2 AUTH user pw SETNAME me
NOSUCH k
GET
GET a b
MULTI
SET m 1
INCR m
EXEC
MULTI
GET x
DISCARD
MULTI
NOSUCH
EXEC
MULTI
PING
CLIENT SETNAME inside
CONFIG GET timeout
EXEC
WATCH a b
UNWATCH
CONFIG GET timeout
CONFIG SET timeout 0
CONFIG NOSUCH
CLIENT SETNAME bob
CLIENT GETNAME
CLIENT ID
CLIENT LIST
CLIENT KILL ID 999
CLIENT NO-EVICT ON
CLIENT PAUSE 0
CLIENT UNPAUSE
CLIENT REPLY ON
INFO server
COMMAND COUNT
COMMAND GETKEYS GET a
DEBUG SLEEP 0
DEBUG OBJECT x
OBJECT HELP
OBJECT ENCODING x
MEMORY USAGE x
SLOWLOG LEN
SLOWLOG RESET
LATENCY RESET
PING
PING hello
DBSIZE
KEYS *
SCAN 0
TIME
LASTSAVE
ROLE
LOLWUT
SET n abc
INCR n
EXPIRE n 100
EXPIRE n x
MSET a 1 b 2
MSET a
DEL a b
BITFIELD bf SET u8 0 255 GET u8 0
SETRANGE k -1 x
SWAPDB 0 1
FLUSHDB
FLUSHALL ASYNC
SHUTDOWN ABORT
RESET
PING
"#;

/// The lines that a monitor gets, without times and addresses.
fn lines(server: &Server) -> Vec<String> {
    let mut monitor = server.connect();
    assert_eq!(monitor.call("MONITOR").text(), "OK");
    let mut conn = server.connect();
    for line in COMMANDS.lines().filter(|line| !line.is_empty()) {
        let args = crate::conformance::script::split_args(line).expect("a command");
        conn.call_raw(&args)
            .unwrap_or_else(|error| panic!("{:?}: {line}: {error}", server.kind()));
    }
    // Inline and pipelined commands look like others.
    conn.send(b"set inline  \"va lue\"\r\nGET inline\r\n")
        .expect("the server reads");
    conn.send(&encode(&["ECHO", "the end"])).expect("the server reads");
    for _ in 0..3 {
        conn.read_raw().expect("a reply");
    }
    let mut found = Vec::new();
    loop {
        let raw = monitor.read_raw().expect("a line");
        let line = escape(&raw);
        let (time, rest) = line.split_once(" [").unwrap_or_else(|| panic!("{line}"));
        let (seconds, micros) = time
            .strip_prefix('+')
            .and_then(|time| time.split_once('.'))
            .unwrap_or_default();
        assert!(seconds.len() == 10 && micros.len() == 6, "{:?}: {line}", server.kind());
        let (from, command) = rest.split_once("] ").unwrap_or_else(|| panic!("{line}"));
        let (database, address) = from.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(address.starts_with("127.0.0.1:"), "{:?}: {line}", server.kind());
        found.push(format!("[{database}] {command}"));
        if command.contains("the end") {
            return found;
        }
    }
}

#[test]
fn monitor_prints_what_redis_prints() {
    let [redis, larder] = [Server::redis(&[]), Server::larder(&["--threads", "1"])].map(|server| lines(&server));
    assert!(redis.len() > 40, "{redis:#?}");
    for (number, (expected, got)) in redis.iter().zip(&larder).enumerate() {
        assert_eq!(
            expected,
            got,
            "line {number}, after {:#?}",
            &redis[number.saturating_sub(3)..number]
        );
    }
    assert_eq!(redis.len(), larder.len());
}

#[test]
fn a_monitor_over_the_unix_socket_and_of_one_looks_the_same() {
    let [redis, larder] = [
        Server::redis(&["--unixsocket", "s.sock"]),
        Server::larder(&["--unixsocket", "s.sock"]),
    ]
    .map(|server| {
        let mut monitor = server.connect();
        monitor.call("MONITOR");
        let path = server.dir().join("s.sock");
        let status = std::process::Command::new("redis-cli")
            .arg("-s")
            .arg(&path)
            .args(["SET", "k", "v"])
            .output();
        assert!(status.is_ok_and(|output| output.stdout == b"OK\n"));
        let line = escape(&monitor.read_raw().expect("a line"));
        line.split_once(" [")
            .map(|(_, rest)| rest.replace(server.dir().to_str().unwrap_or_default(), ""))
    });
    assert_eq!(redis, larder);
}

#[test]
fn monitors_see_every_command_of_all_workers_once_and_in_order() {
    let server = Server::larder(&["--threads", "4"]);
    let mut monitor = server.connect();
    monitor.call("MONITOR");
    const CLIENTS: usize = 6;
    const EACH: usize = 300;
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut conn = server.connect();
                let bytes: Vec<u8> = (0..EACH)
                    .flat_map(|n| encode(&["SET", &format!("{client}"), &n.to_string()]))
                    .collect();
                conn.send(&bytes).expect("the server reads");
                (0..EACH).for_each(|_| drop(conn.read_raw().expect("a reply")));
            });
        }
    });
    let mut next = [0; CLIENTS];
    for _ in 0..CLIENTS * EACH {
        let line = escape(&monitor.read_raw().expect("a line"));
        let words: Vec<&str> = line.split('"').collect();
        let (client, number) = (words[3].parse::<usize>().expect("a client"), words[5].parse::<usize>());
        assert_eq!(number, Ok(next[client]), "{line}");
        next[client] += 1;
    }
}
