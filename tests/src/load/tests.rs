//! The generator's requests, its reading of replies, and what it reports of a server that stalls.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use clap::Parser;

use super::options::Options;
use super::replies::{Format, Replies, Tally};
use super::requests::{Keys, Requests};
use super::run;

fn options(arguments: &str) -> Options {
    Options::try_parse_from(["larder-load"].into_iter().chain(arguments.split_whitespace()))
        .expect("arguments of a test are right")
}

fn requests(arguments: &str, first: u64, count: usize) -> String {
    let mut requests = Requests::new(&options(arguments), Keys::Ascending { next: first });
    String::from_utf8(requests.next(count).to_vec()).expect("requests are ASCII")
}

/// Feeds `stream` cut in two at every byte, and returns what all cuts agree on.
fn tally(arguments: &str, stream: &[u8]) -> Result<Tally, String> {
    let format = Format::new(&options(arguments));
    let read = |cut: usize| {
        let (mut replies, mut tally) = (Replies::default(), Tally::default());
        replies.feed(&stream[..cut], &format, &mut tally)?;
        replies.feed(&stream[cut..], &format, &mut tally)?;
        Ok(tally)
    };
    let whole = read(0);
    for cut in 1..=stream.len() {
        assert_eq!(read(cut), whole, "cut at {cut}");
    }
    whole
}

#[test]
fn requests_are_what_the_protocols_say() {
    assert_eq!(
        requests("--command set --value-size 3 --pipeline 2", 1_234_567, 2),
        "*3\r\n$3\r\nSET\r\n$16\r\nkey:000001234567\r\n$3\r\nxxx\r\n\
         *3\r\n$3\r\nSET\r\n$16\r\nkey:000001234568\r\n$3\r\nxxx\r\n"
    );
    assert_eq!(
        requests("--command mget2 --pipeline 5", 8, 1),
        "*3\r\n$4\r\nMGET\r\n$16\r\nkey:000000000008\r\n$16\r\nkey:000000000009\r\n"
    );
    assert_eq!(
        requests("--command incr", 7, 1),
        "*2\r\n$4\r\nINCR\r\n$16\r\nctr:000000000007\r\n"
    );
    assert_eq!(
        requests("--command incr --fill", 7, 1),
        "*3\r\n$3\r\nSET\r\n$16\r\nctr:000000000007\r\n$1\r\n0\r\n"
    );
    assert_eq!(
        requests("--protocol memcached --command set --value-size 2", 5, 1),
        "set key:000000000005 0 0 2\r\nxx\r\n"
    );
    assert_eq!(
        requests("--protocol memcached --command mget2", 5, 1),
        "get key:000000000005 key:000000000006\r\n"
    );
    let setex = requests("--command setex --value-size 1", 5, 1);
    let ttl: u32 = setex.split("\r\n").nth(6).expect("a TTL").parse().expect("digits");
    assert!((10_000..90_000).contains(&ttl), "{setex}");
}

#[test]
fn random_keys_cover_the_whole_range_evenly() {
    let seeded = Keys::Random { state: 1, count: 10 };
    let mut requests = Requests::new(&options("--command get --pipeline 10000"), seeded);
    let text = String::from_utf8(requests.next(10_000).to_vec()).expect("requests are ASCII");
    for key in 0..10 {
        let drawn = text.matches(&format!("key:{key:012}")).count();
        assert!((850..1150).contains(&drawn), "key {key} drawn {drawn} times of 10000");
    }
}

#[test]
fn replies_are_counted_wherever_the_stream_is_cut() {
    let stored = tally("--command set", b"+OK\r\n+OK\r\n").expect("valid");
    assert_eq!(
        stored,
        Tally {
            replies: 2,
            ..Tally::default()
        }
    );

    let values = b"$3\r\na\nb\r\n$-1\r\n$3\r\nxyz\r\n";
    let read = tally("--command get --value-size 3", values).expect("valid");
    assert_eq!(
        read,
        Tally {
            replies: 3,
            hits: 2,
            misses: 1,
            ..Tally::default()
        }
    );

    let arrays = b"*2\r\n$1\r\na\r\n$-1\r\n*2\r\n$-1\r\n$1\r\nb\r\n";
    let read = tally("--command mget2 --value-size 1", arrays).expect("valid");
    assert_eq!(
        read,
        Tally {
            replies: 2,
            hits: 2,
            misses: 2,
            ..Tally::default()
        }
    );

    let arguments = "--protocol memcached --command mget3 --value-size 2";
    let values = b"VALUE k 0 2\r\nab\r\nVALUE l 0 2\r\ncd\r\nEND\r\nEND\r\n";
    let read = tally(arguments, values).expect("valid");
    assert_eq!(
        read,
        Tally {
            replies: 2,
            hits: 2,
            misses: 4,
            ..Tally::default()
        }
    );

    let arguments = "--protocol memcached --command get --value-size 2";
    let read = tally(arguments, b"VA 2\r\nab\r\nEN\r\nVA 2\r\n\r\n\r\n").expect("valid");
    assert_eq!((read.replies, read.hits, read.misses, read.errors), (3, 2, 1, 0));
}

#[test]
fn a_reply_of_the_wrong_kind_is_not_counted_as_work_done() {
    let error = tally("--command incr", b":1\r\n-ERR no\r\n:2\r\n").expect("errors are replies");
    assert_eq!((error.replies, error.errors), (3, 1));
    assert_eq!(error.first_error.as_deref(), Some("-ERR no"));

    assert!(tally("--command get --value-size 3", b"$4\r\nabcd\r\n").is_err());
    assert!(tally("--command get", b"+OK\r\n").is_err());
    assert!(tally("--command set", b"$-1\r\n").is_err());
    assert!(tally("--command mget2", b"*3\r\n").is_err());
    let full = tally("--protocol memcached --command set", b"SERVER_ERROR out of memory\r\n");
    assert_eq!(full.expect("errors are replies").errors, 1);
}

#[test]
fn an_open_loop_charges_a_stall_to_every_request_that_was_due_in_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let mut buffer = [0; 4096];
        thread::sleep(Duration::from_millis(300));
        while let Ok(read @ 1..) = socket.read(&mut buffer) {
            let pings = buffer[..read].iter().filter(|byte| **byte == b'*').count();
            socket
                .write_all("$-1\r\n".repeat(pings).as_bytes())
                .expect("the client reads");
        }
    });
    let arguments = format!("--port {port} --clients 1 --rate 1000 --requests 500");
    let report = run(&options(&arguments)).expect("the server answers");
    server.join().expect("the server does not panic");
    assert_eq!(report.operations, 500);
    // Of the requests due in the first 300 ms, those of the first 200 ms waited at least 100 ms.
    let late = report.latencies.count_between(100_000_000, u64::MAX);
    assert!((190..500).contains(&late), "{late} requests waited 100 ms");
}
