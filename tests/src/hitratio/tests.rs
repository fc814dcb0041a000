//! Unit tests: what is read from a trace, in which order it is replayed, what is made of the results.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::caches::Cache;
use super::compare::{Cell, Limit, TraceResults};
use super::measure::{Run, seek};
use super::options::{Equal, ExtraPeer, parse_limit};
use super::protocol::{self, Reply};
use super::replay::{Lookup, Pace, Tally, Windows, replay};
use super::report;
use super::trace::{OVERHEAD_BYTES, Trace, drawn_size};
use crate::load::Protocol;
use crate::rng::Rng;

const MIB: u64 = 1 << 20;

fn parsed(text: &[u8]) -> Trace {
    Trace::parse("test".to_owned(), text).expect("a good trace")
}

fn trace_of(keys: &[(usize, u32)]) -> Trace {
    let lines = keys.iter().map(|(key, size)| format!("0,key{key},{size}\n"));
    parsed(format!("seconds,key,size\n{}", lines.collect::<String>()).as_bytes())
}

#[test]
fn a_bad_line_is_named_by_its_number() {
    let bad: [(&[u8], &str); 10] = [
        (b"", "no requests"),
        (b"seconds,key,size\n", "no requests"),
        (b"time,key\n1,a,2\n", "line 1: not the header"),
        (b"seconds,key,size\n0,a,1\n0,b\n", "line 3: not three fields"),
        (b"seconds,key,size\n0,a,1\n\n0,b,1\n", "line 3: no comma"),
        (b"seconds,key,size\nnow,a,1\n", "line 2: seconds are no number"),
        (b"seconds,key,size\n0,,1\n", "line 2: an empty key"),
        (b"seconds,key,size\n0,a,-1\n", "line 2: the size is no number of bytes"),
        (
            b"seconds,key,size\n0,a,\xff\n",
            "line 2: the size is no number of bytes",
        ),
        (b"seconds,key,size\n0,a,536870913\n", "line 2: a size over 512 MiB"),
    ];
    for (text, expected) in bad {
        let error = Trace::parse("test".to_owned(), text)
            .expect_err("a bad trace")
            .to_string();
        assert!(error.starts_with(expected), "{error:?} instead of {expected:?}");
    }
}

#[test]
fn line_ends_and_keys_with_commas_are_taken() {
    let trace = parsed(b"seconds,key,size\r\n0.5,a,7\r\n1,b,c,9\n-3,a,536870912");
    let name = |number| {
        let mut name = Vec::new();
        trace.name_key(number, 0, 1, &mut name);
        name
    };
    assert_eq!((name(0), name(1)), (b"a".to_vec(), b"b,c".to_vec()));
    let requests: Vec<_> = trace
        .requests
        .iter()
        .map(|request| (request.key, request.size))
        .collect();
    assert_eq!(requests, [(0, 7), (1, 9), (0, 536_870_912)]);
}

#[test]
fn compressed_traces_may_have_several_frames_and_damage_is_noticed() {
    let compressed = |text: &str| compress_to_vec(Cursor::new(text.as_bytes().to_vec()), CompressionLevel::Fastest);
    let lines = "0,some-key,17\n".repeat(20_000);
    let mut file = compressed("seconds,key,size\n0,a,1\n");
    // A frame that readers skip: magic number, length, anything.
    file.extend_from_slice(&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    file.extend(compressed(&lines));
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("some.csv.zst");
    std::fs::write(&path, &file).expect("written");
    let trace = Trace::open(&path).expect("a good trace");
    assert_eq!(
        (trace.name.as_str(), trace.requests.len(), trace.keys()),
        ("some", 20_001, 2)
    );

    std::fs::write(&path, &file[..file.len() - 9]).expect("written");
    assert!(Trace::open(&path).is_err(), "a cut-off file");
    let error = Trace::open(&dir.path().join("other"))
        .expect_err("no such file")
        .to_string();
    assert!(error.starts_with("no trace at "), "{error}");
}

#[test]
fn drawn_sizes_are_fixed_by_the_key_and_have_the_quantiles() {
    let mut counts = HashMap::new();
    for number in 0..100_000 {
        let key = number.to_string();
        assert_eq!(drawn_size(key.as_bytes()), drawn_size(key.as_bytes()));
        *counts.entry(drawn_size(key.as_bytes())).or_insert(0_i64) += 1;
    }
    for (size, expected) in [(54, 50_000), (200, 25_000), (568, 20_000), (1208, 5_000)] {
        assert!((counts[&size] - expected).abs() < 700, "{size}: {}", counts[&size]);
    }
    assert_eq!(counts.len(), 4);
    // Written down, because figures of different days and machines are compared.
    assert_eq!(
        ["1", "2", "-268435455"].map(|key| drawn_size(key.as_bytes())),
        [200, 568, 1208]
    );
}

#[test]
fn copies_have_keys_of_their_own_and_weigh_as_much() {
    let trace = parsed(b"seconds,key,size\n0,a,10\n0,a.00,5\n0,a,20\n");
    let mut names = HashSet::new();
    for (number, copy) in (0..2).flat_map(|number| (0..256).map(move |copy| (number, copy))) {
        let mut name = Vec::new();
        trace.name_key(number, copy, 256, &mut name);
        assert!(names.insert(name), "two keys of one name");
    }
    assert_eq!(trace.working_set(1), 1 + 20 + 4 + 5 + 2 * OVERHEAD_BYTES);
    assert_eq!(trace.working_set(3), 3 * (trace.working_set(1) + 2 * 3));
}

#[test]
fn windows_have_no_key_twice_and_keep_each_keys_order() {
    let mut rng = Rng::new(7);
    for copies in [1, 3] {
        // Sizes number the requests. A few hot keys among many, so that some requests wait for long.
        let keys: Vec<_> = (0..2000)
            .map(|at| (if rng.chance(40) { 1 } else { rng.below(300) }, at + 1))
            .collect();
        let trace = trace_of(&keys);
        let mut windows = Windows::new(&trace, copies, 16);
        let (mut window, mut all) = (Vec::new(), Vec::new());
        loop {
            windows.fill(&mut window);
            if window.is_empty() {
                break;
            }
            let different: HashSet<_> = window.iter().map(|lookup| lookup.key).collect();
            assert!(window.len() <= 16 && different.len() == window.len(), "{window:?}");
            all.extend_from_slice(&window);
        }
        let mut by_key: HashMap<usize, Vec<Lookup>> = HashMap::new();
        for lookup in &all {
            by_key.entry(lookup.key).or_default().push(*lookup);
        }
        for lookups in by_key.values() {
            assert!(lookups.is_sorted_by_key(|lookup| lookup.size), "{lookups:?}");
            assert!(lookups[0].is_first && lookups[1..].iter().all(|lookup| !lookup.is_first));
        }
        assert_eq!(all.len(), keys.len() * copies as usize);
        assert_eq!(by_key.len(), trace.keys() * copies as usize);
        // No request is overtaken by much: what waits is bounded by the window.
        for (at, lookup) in all.iter().enumerate() {
            let due = (lookup.size as usize - 1) * copies as usize;
            assert!(at + 64 >= due, "request {due} replayed as number {at}");
        }
    }
}

#[test]
fn large_values_make_windows_short() {
    let keys: Vec<_> = (0..100).map(|key| (key, 100 << 10)).collect();
    let trace = trace_of(&keys);
    let mut window = Vec::new();
    Windows::new(&trace, 1, 64).fill(&mut window);
    assert_eq!(window.len(), 3);
}

/// What the server below does with a SET.
#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    Stores,
    Forgets,
    Refuses,
    Shortens,
}

/// A cache of unlimited size that counts on GETs and SETs arriving whole and in order.
fn serve(mut socket: TcpStream, behaviour: Behaviour, stored: &std::sync::Mutex<HashMap<Vec<u8>, usize>>) {
    socket.set_nodelay(true).expect("an open socket");
    let mut source = BufReader::new(socket.try_clone().expect("a second handle"));
    let line = |source: &mut BufReader<TcpStream>| {
        let mut line = Vec::new();
        source.read_until(b'\n', &mut line).expect("a line");
        line.trim_ascii_end().to_vec()
    };
    loop {
        let arguments = match line(&mut source).as_slice() {
            b"" => return,
            b"*2" => 2,
            b"*3" => 3,
            other => panic!("{other:?}"),
        };
        let words: Vec<Vec<u8>> = (0..arguments)
            .map(|_| {
                let header = String::from_utf8(line(&mut source)).expect("digits");
                let mut word = vec![0; header[1..].parse::<usize>().expect("a length") + 2];
                source.read_exact(&mut word).expect("a whole word");
                word.truncate(word.len() - 2);
                word
            })
            .collect();
        let mut stored = stored.lock().expect("no panic");
        let reply = match (words.as_slice(), behaviour) {
            ([_, key], _) => match stored.get(key) {
                Some(size) => format!("${size}\r\n{}\r\n", "v".repeat(*size)),
                None => "$-1\r\n".to_owned(),
            },
            (_, Behaviour::Refuses) => "-OOM no room\r\n".to_owned(),
            ([_, key, value], _) => {
                let size = value.len() - usize::from(behaviour == Behaviour::Shortens);
                if behaviour != Behaviour::Forgets {
                    stored.insert(key.clone(), size);
                }
                "+OK\r\n".to_owned()
            }
            _ => unreachable!("two or three words"),
        };
        socket.write_all(reply.as_bytes()).expect("sent");
    }
}

fn replay_on(behaviour: Behaviour, trace: &Trace, copies: u32) -> anyhow::Result<Tally> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let stored = std::sync::Arc::new(std::sync::Mutex::new(HashMap::new()));
    std::thread::spawn(move || {
        for socket in listener.incoming().take(3) {
            let stored = std::sync::Arc::clone(&stored);
            std::thread::spawn(move || serve(socket.expect("a connection"), behaviour, &stored));
        }
    });
    let pace = Pace {
        copies,
        connections: 3,
        window: 32,
        rate: None,
    };
    replay(trace, port, Protocol::Resp, &pace)
}

#[test]
fn a_replay_counts_hits_and_only_avoidable_misses() {
    let mut rng = Rng::new(3);
    let keys: Vec<_> = (0..3000)
        .map(|_| rng.below(400))
        .map(|key| (key, key as u32 + 1))
        .collect();
    let trace = trace_of(&keys);
    let (requests, distinct) = (2 * keys.len() as u64, 2 * trace.keys() as u64);

    // A cache that keeps all has nothing but hits after the first request of a key: so no lookup overtakes
    // the store before it.
    let tally = replay_on(Behaviour::Stores, &trace, 2).expect("replayed");
    assert_eq!((tally.requests, tally.hits), (requests, requests - distinct));
    assert_eq!(
        (tally.avoidable_misses(), tally.first_requests, tally.refused),
        (0, distinct, 0)
    );
    let all_bytes: u64 = keys.iter().map(|(_, size)| 2 * u64::from(*size)).sum();
    assert_eq!(tally.bytes, all_bytes);
    assert!(tally.hit_bytes < all_bytes && tally.byte_hit_ratio() > 0.8);

    let tally = replay_on(Behaviour::Forgets, &trace, 2).expect("replayed");
    assert_eq!((tally.hits, tally.avoidable_misses()), (0, requests - distinct));

    let tally = replay_on(Behaviour::Refuses, &trace, 1).expect("replayed");
    assert_eq!((tally.hits, tally.refused), (0, requests / 2));
    assert_eq!(tally.first_refusal.as_deref(), Some("OOM no room"));

    let error = replay_on(Behaviour::Shortens, &trace, 1)
        .expect_err("values of a wrong size")
        .to_string();
    assert!(error.starts_with("a GET found "), "{error}");
}

#[test]
fn requests_and_replies_in_both_protocols() {
    let written = |protocol| {
        let mut out = Vec::new();
        protocol::get(protocol, b"k1", &mut out);
        protocol::set(protocol, b"k1", 3, &mut out);
        String::from_utf8(out).expect("text")
    };
    let resp = "*2\r\n$3\r\nGET\r\n$2\r\nk1\r\n*3\r\n$3\r\nSET\r\n$2\r\nk1\r\n$3\r\nvvv\r\n";
    assert_eq!(written(Protocol::Resp), resp);
    assert_eq!(written(Protocol::Memcached), "mg k1 v\r\nms k1 3\r\nvvv\r\n");

    let read = |protocol, text: &str| {
        let mut source = text.as_bytes();
        let mut line = Vec::new();
        let mut replies = Vec::new();
        while !source.is_empty() {
            replies.push(protocol::read_reply(protocol, &mut source, &mut line)?);
        }
        anyhow::Ok(replies)
    };
    let refused = |why: &str| Reply::Refused(why.to_owned());
    let resp = read(Protocol::Resp, "$3\r\nv\r\n\r\n$-1\r\n+OK\r\n-OOM x\r\n$0\r\n\r\n").expect("replies");
    assert_eq!(
        resp,
        [
            Reply::Value(3),
            Reply::Missing,
            Reply::Stored,
            refused("OOM x"),
            Reply::Value(0)
        ]
    );
    let text = "VA 2\r\nvv\r\nEN\r\nHD\r\nNS\r\nSERVER_ERROR object too large\r\n";
    let memcached = read(Protocol::Memcached, text).expect("replies");
    let too_large = refused("SERVER_ERROR object too large");
    assert_eq!(
        memcached,
        [Reply::Value(2), Reply::Missing, Reply::Stored, refused("NS"), too_large]
    );
    for bad in [
        "$3\r\nvv",
        "$3",
        ":1\r\n",
        "$-2\r\n",
        "$99999999999999999999\r\n",
        "\r\n",
        "+PONG\r\n",
    ] {
        assert!(read(Protocol::Resp, bad).is_err(), "{bad:?}");
        assert!(read(Protocol::Memcached, bad).is_err(), "{bad:?}");
    }
}

#[test]
fn limits_are_written_as_redis_writes_them() {
    let good = [
        ("8388608", 8 * MIB),
        ("8mb", 8 * MIB),
        ("8MiB", 8 * MIB),
        ("500k", 500_000),
        ("2gb", 2 << 30),
    ];
    for (text, bytes) in good {
        assert_eq!(parse_limit(text), Some(bytes), "{text}");
    }
    for text in [
        "",
        "mb",
        "0",
        "8 mb",
        "8mbx",
        "1.5mb",
        "-8mb",
        "99999999999gb",
        "trace.csv",
        "8.csv",
    ] {
        assert_eq!(parse_limit(text), None, "{text}");
    }
}

#[test]
fn an_added_peer_needs_a_name_and_a_port() {
    let peer: ExtraPeer = "mc:memcached=memcached -p {port} -m {mib}".parse().expect("a peer");
    assert_eq!((peer.name.as_str(), peer.protocol), ("mc", Protocol::Memcached));
    let peer: ExtraPeer = "k=keydb --port {port} --x=y".parse().expect("a peer");
    assert_eq!(
        (peer.protocol, peer.command.as_str()),
        (Protocol::Resp, "keydb --port {port} --x=y")
    );
    for bad in ["", "k", "=x {port}", "k=x", "k:http=x {port}"] {
        assert!(bad.parse::<ExtraPeer>().is_err(), "{bad:?}");
    }
}

#[test]
fn memcached_is_told_of_large_values_and_of_limits_in_mib() {
    let memcached = Cache::memcached();
    let command = |limit, value| memcached.command(1, limit, value).map(|words| words[5..].join(" "));
    assert_eq!(command(8 * MIB + 5, 1000).expect("a command"), "-U 0 -m 8 -u root");
    assert_eq!(memcached.rounded(8 * MIB + 5), 8 * MIB);
    let large = command(100 * MIB, 3 << 20).expect("a command");
    assert!(large.ends_with(&format!("-I {}", 7 * MIB)), "{large}");
    let why = command(MIB - 1, 1000).expect_err("too small");
    assert!(why.contains("below memcached's smallest"), "{why}");
}

fn run_with(limit: u64, hits: u64, entries: u64) -> Run {
    let tally = Tally {
        requests: 1000,
        hits,
        first_requests: 100,
        bytes: 4000,
        hit_bytes: 1000,
        ..Tally::default()
    };
    Run {
        limit,
        tally,
        entries: Some(entries),
        slabs_over_limit: None,
        peak_above_idle: limit / 2,
    }
}

#[test]
fn a_limit_is_found_at_which_a_cache_holds_as_much_as_another() {
    // 5 MiB that hold nothing, then an entry per 200 bytes.
    let holds = |limit: u64| limit.saturating_sub(5 * MIB) / 200;
    let mut runs = 0;
    let found = seek(
        100_000,
        20 * MIB,
        |limit| limit,
        |run| run.entries,
        |limit| {
            runs += 1;
            Ok(run_with(limit, 1, holds(limit)))
        },
    );
    let entries = found.expect("found").entries.expect("told");
    assert!(
        entries.abs_diff(100_000) <= 1000 && runs <= 4,
        "{entries} after {runs} runs"
    );

    // One that counts in large steps gives its best.
    let mut tried = HashSet::new();
    let stepped = seek(
        10 * MIB,
        10 * MIB,
        |limit| limit / (4 * MIB) * (4 * MIB),
        |run| run.entries,
        |limit| {
            assert!(tried.insert(limit), "{limit} was tried before");
            Ok(run_with(limit, 1, limit + MIB))
        },
    );
    assert_eq!(stepped.expect("found").limit, 8 * MIB);
    let fails = seek(
        10,
        10,
        |limit| limit,
        |run| run.entries,
        |_| Err("no such cache".to_owned()),
    );
    assert_eq!(fails, Err("no such cache".to_owned()));
}

fn results(cells: Vec<Cell>) -> Vec<TraceResults> {
    let limit = Limit {
        bytes: 8 * MIB,
        share: 4.0,
    };
    vec![TraceResults {
        name: "some".to_owned(),
        requests: 1_234_567,
        keys: 100,
        copies: 6,
        working_set: 200 * MIB,
        limits: vec![(limit, cells)],
    }]
}

fn cell(name: &str, result: Result<Run, String>) -> Cell {
    Cell {
        cache: name.to_owned(),
        is_larder: name.starts_with("larder"),
        result,
    }
}

#[test]
fn tables_compare_with_the_best_peer_and_name_what_is_missing() {
    let all = results(vec![
        cell("larder allkeys-adaptive", Ok(run_with(8 * MIB, 750, 5000))),
        cell("larder allkeys-lru", Ok(run_with(8 * MIB, 600, 5000))),
        cell("redis allkeys-lru", Ok(run_with(8 * MIB, 600, 5000))),
        cell("redis allkeys-lfu", Ok(run_with(8 * MIB, 700, 5000))),
        cell("memcached", Err("it ended".to_owned())),
    ]);
    let text = report::trace(&all[0], Equal::Limit);
    assert!(
        text.contains("1,234,567 requests, 100 keys, in 6 interleaved copies"),
        "{text}"
    );
    let line = |cache: &str| {
        let line = text.lines().find(|line| line.contains(cache)).expect("a line");
        line.split('|')
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    // 150 avoidable misses against the best peer's 200.
    assert_eq!(
        line("larder allkeys-adaptive"),
        "8.0 MiB 4.0% larder allkeys-adaptive 0.7500 0.2500 150 25.0% 8.0 MiB 4.0 MiB 5,000 0.0"
    );
    assert!(line("larder allkeys-lru").contains(" 300 -50.0% "), "{text}");
    assert_eq!(line("| memcached"), "8.0 MiB 4.0% memcached not measured");
    assert!(
        text.contains("- memcached at 8.0 MiB: not measured: it ended"),
        "{text}"
    );
    let widths: HashSet<_> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(str::len)
        .collect();
    assert_eq!(widths.len(), 1, "columns that do not align:\n{text}");

    let summary = report::summary(&all, Equal::Limit);
    assert!(summary.contains("| larder allkeys-adaptive | 1 of 1"), "{summary}");
    assert!(summary.contains("25.0%") && summary.contains("+0.00"), "{summary}");
}

#[test]
fn at_equal_entries_half_a_point_decides() {
    let pair = |policy: &str, ours: u64| {
        [
            cell(&format!("redis {policy}"), Ok(run_with(8 * MIB, 700, 5000))),
            cell(&format!("larder {policy}"), Ok(run_with(9 * MIB, ours, 5010))),
        ]
    };
    let all = results([pair("allkeys-lru", 695), pair("allkeys-lfu", 694)].concat());
    let text = report::trace(&all[0], Equal::Entries);
    let line = |policy: &str| text.lines().find(|line| line.contains(policy)).expect("a line");
    assert!(
        line("allkeys-lru").contains("-0.50") && line("allkeys-lru").contains(" met "),
        "{text}"
    );
    assert!(
        line("allkeys-lfu").contains("-0.60") && line("allkeys-lfu").contains("MISSED"),
        "{text}"
    );
    let summary = report::summary(&all, Equal::Entries);
    assert!(
        summary
            .lines()
            .any(|line| line.contains("larder allkeys-lfu") && line.contains("MISSED")),
        "{summary}"
    );
}

#[test]
fn larder_is_started_as_its_users_start_it() {
    let cache = Cache::larder(Path::new("/bin/larder-server"), "allkeys-lru");
    let words = cache.command(7000, 8 * MIB, 100).expect("a command");
    assert_eq!(words[0], "/bin/larder-server");
    assert!(
        words
            .join(" ")
            .contains("--maxmemory 8388608 --maxmemory-policy allkeys-lru"),
        "{words:?}"
    );
    assert_eq!(words.last().map(String::as_str), Some(""));
}

#[test]
fn a_picture_has_one_line_per_cache_that_was_measured() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut all = results(vec![
        cell("larder allkeys-lru", Ok(run_with(8 * MIB, 750, 5000))),
        cell("redis allkeys-lru", Ok(run_with(8 * MIB, 700, 5000))),
        cell("memcached", Err("it ended".to_owned())),
    ]);
    let path = report::plot(dir.path(), &all[0], Equal::Limit).expect("drawn");
    assert_eq!(path, dir.path().join("hitratio-some.svg"));
    let svg = std::fs::read_to_string(path).expect("a file");
    assert!(svg.contains("larder allkeys-lru") && svg.contains("redis allkeys-lru"));
    assert!(!svg.contains("memcached"), "a line without a point");

    all[0].limits[0].1.drain(..2);
    assert!(
        report::plot(dir.path(), &all[0], Equal::Memory).is_err(),
        "an empty picture"
    );
}
