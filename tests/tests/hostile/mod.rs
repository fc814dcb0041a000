//! What malformed and hostile peers send: the reply is Redis's, others do not notice, memory comes back.

mod corpus;
mod edges;
mod limits;
mod slow;

use larder_tests::server::Server;
use larder_tests::wait::{PATIENCE, wait_until};
use std::time::{Duration, Instant};

/// How soon a PING on another connection must answer, whatever a peer did.
const PING_LIMIT: Duration = Duration::from_millis(10);
const MIB: u64 = 1 << 20;

/// Fails unless the best of some PINGs on a new connection answers in time. The best counts, because
/// the machine that runs the tests has other work; a server that is stuck fails all of them.
fn expect_prompt_ping(server: &Server, after: &str) {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let mut conn = server.connect();
        let start = Instant::now();
        let raw = conn
            .call_raw(&["PING"])
            .unwrap_or_else(|error| panic!("PING after {after}: {error}"));
        assert!(raw == b"+PONG\r\n" || raw.starts_with(b"-NOAUTH"), "PING after {after}");
        best = best.min(start.elapsed());
        if best < PING_LIMIT {
            return;
        }
    }
    panic!("after {after} a PING took {best:?}");
}

/// Fails unless resident memory returns to at most `before` plus `slack`.
fn expect_memory_back(server: &Server, before: u64, slack: u64, after: &str) {
    if !wait_until(PATIENCE, || server.resident_bytes() <= before + slack) {
        let (now, before) = (server.resident_bytes() / MIB, before / MIB);
        panic!("after {after}: {now} MiB resident, {before} MiB before");
    }
}
