//! `maxmemory` bounds the process: whatever is written, resident memory stays near the limit.

mod limits;

use larder_tests::reply::Reply;
use larder_tests::rng::Rng;
use larder_tests::server::Server;
use larder_tests::wait::{PATIENCE, wait_until};
use larder_tests::wire::{Conn, encode};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// Commands that are sent before their replies are read.
const PIPELINE: usize = 32;

/// What the promise allows.
fn bound(limit: u64) -> u64 {
    limit / 10 * 11 + 16 * MIB
}

/// Watches resident memory until it is dropped.
struct Watch {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
}

impl Watch {
    fn new(server: &Server) -> Watch {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let path = format!("/proc/{}/status", server.pid());
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&peak));
        thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let status = fs::read_to_string(&path).unwrap_or_default();
                let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
                let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
                seen.fetch_max(kilobytes.unwrap_or(0) * 1024, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
        });
        Watch { stop, peak }
    }

    fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Writes about `total` bytes of new keys, their values as long as `length` says; fails on any error reply.
fn write(conn: &mut Conn, name: &str, total: u64, mut length: impl FnMut() -> usize) {
    let content = vec![b'v'; 4 << 20];
    let (mut written, mut number) = (0, 0);
    while written < total {
        let mut requests = Vec::new();
        for _ in 0..PIPELINE {
            let key = format!("{name}:{number}");
            let value = &content[..length()];
            requests.extend_from_slice(&encode(&[&b"SET"[..], key.as_bytes(), value]));
            (number, written) = (number + 1, written + value.len() as u64 + 32);
        }
        conn.send(&requests).expect("the server reads");
        for _ in 0..PIPELINE {
            let reply = conn.read_raw().expect("a reply");
            assert_eq!(reply, b"+OK\r\n", "{name}: {}", String::from_utf8_lossy(&reply));
        }
    }
}

/// What a reply says, an error too.
fn said(reply: &Reply) -> String {
    match reply {
        Reply::Line(_, text) => String::from_utf8_lossy(text).into_owned(),
        other => other.text(),
    }
}

fn field(server: &Server, name: &str) -> u64 {
    let value = server.info(name).unwrap_or_else(|| panic!("INFO has no {name}"));
    value.parse().unwrap_or_else(|_| panic!("{name}: {value}"))
}

#[test]
fn resident_memory_stays_near_the_limit_while_sizes_shift() {
    let limit = 48 * MIB;
    let server = Server::larder(&["--maxmemory", "48mb", "--maxmemory-policy", "allkeys-lru"]);
    let watch = Watch::new(&server);
    let mut conn = server.connect();
    let mut rng = Rng::new(7);
    let phases: [(&str, u64, usize); 5] = [
        ("small", limit / 2, 64),
        ("pages", limit * 2, 4096),
        ("middle", limit, 300),
        ("mixed", limit * 3, 0),
        ("again", limit, 900),
    ];
    for (name, total, fixed) in phases {
        write(&mut conn, name, total, || match fixed {
            0 => {
                let most = 16 << rng.below(17);
                rng.below(most)
            }
            fixed => fixed,
        });
        let (peak, most) = (watch.peak(), bound(limit));
        assert!(
            peak <= most,
            "{name}: {} MiB resident, at most {}",
            peak / MIB,
            most / MIB
        );
        let used = field(&server, "used_memory");
        assert!(used <= limit + limit / 16, "{name}: {used} bytes are used");
    }
    let kinds = [
        "entries",
        "index",
        "slabs_free",
        "slabs_overhead",
        "spare_pages",
        "connection_buffers",
    ];
    let sum: u64 = kinds
        .iter()
        .map(|kind| field(&server, &format!("larder_memory_{kind}")))
        .sum();
    let (used, slack) = (field(&server, "used_memory"), MIB);
    assert!(sum.abs_diff(used) <= slack, "{sum} and {used}");
    let explained = sum + field(&server, "larder_memory_process");
    assert!(explained.abs_diff(server.resident_bytes()) <= 2 * MIB, "{explained}");
}

#[test]
fn a_lower_limit_shrinks_the_process_and_a_higher_one_lets_it_grow() {
    let server = Server::larder(&["--maxmemory", "96mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut conn = server.connect();
    write(&mut conn, "first", 110 * MIB, || 200);
    assert!(server.resident_bytes() > 80 * MIB);
    assert_eq!(conn.call("CONFIG SET maxmemory 24mb").text(), "OK");
    let most = bound(24 * MIB);
    assert!(
        wait_until(PATIENCE, || server.resident_bytes() <= most),
        "{} MiB resident",
        server.resident_bytes() / MIB
    );
    assert!(wait_until(PATIENCE, || field(&server, "used_memory") <= 24 * MIB + MIB));
    let left = conn.call("DBSIZE").integer();
    assert!(left.is_some_and(|keys| keys > 50_000), "not all went: {left:?}");
    assert_eq!(conn.call("CONFIG SET maxmemory 64mb").text(), "OK");
    write(&mut conn, "second", 70 * MIB, || 200);
    assert!(field(&server, "used_memory") > 55 * MIB);
    assert!(server.resident_bytes() <= bound(64 * MIB));
}
