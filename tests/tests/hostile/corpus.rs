//! Every frame of `tests/corpus/frames.txt` against both servers.

use super::{MIB, expect_memory_back, expect_prompt_ping};
use crate::conformance::script::split_args;
use larder_tests::reply::escape;
use larder_tests::rng::Rng;
use larder_tests::server::Server;
use larder_tests::wait::PATIENCE;
use std::time::Duration;

const FRAMES: &str = include_str!("../../corpus/frames.txt");

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let lines = FRAMES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, fragments) = line.split_once(": ").expect("`name: fragments`");
            (
                name,
                split_args(fragments)
                    .unwrap_or_else(|why| panic!("{name}: {why}"))
                    .concat(),
            )
        })
        .collect()
}

/// Sends `bytes` in pieces of at most `piece` bytes, ends the sending side, returns all that comes back.
fn answer(server: &Server, bytes: &[u8], piece: usize) -> Result<Vec<u8>, String> {
    answer_after(server, bytes, piece, Duration::ZERO)
}

/// As `answer`, but ends the sending side only when nothing has come back for `silence`.
fn answer_after(server: &Server, bytes: &[u8], piece: usize, silence: Duration) -> Result<Vec<u8>, String> {
    let mut conn = server.connect();
    for part in bytes.chunks(piece) {
        // A server that has closed already refuses the rest: right, if the replies are.
        if conn.send(part).is_err() {
            break;
        }
    }
    if !silence.is_zero() {
        conn.read_until_silent(silence);
    }
    conn.finish();
    conn.read_to_close(PATIENCE)
        .map_err(|error| format!("not closed: {error}"))
}

#[test]
fn every_bad_frame_gets_the_reply_of_redis_and_harms_nobody() {
    let (redis, larder) = (Server::redis(&[]), Server::larder(&[]));
    // The first connections cost memory that stays.
    for _ in 0..20 {
        expect_prompt_ping(&larder, "nothing");
    }
    let before = larder.resident_bytes();
    let mut failures = Vec::new();
    for (name, bytes) in frames() {
        for piece in [usize::MAX, 1 + bytes.len() / 7] {
            let (mut expected, mut got) = (answer(&redis, &bytes, piece), answer(&larder, &bytes, piece));
            // Redis drops replies that do not fit the socket's buffer when the peer has ended its side.
            if expected.as_ref().is_ok_and(|raw| raw.len() > 16 << 10) {
                let patient = |server| answer_after(server, &bytes, piece, Duration::from_millis(300));
                (expected, got) = (patient(&redis), patient(&larder));
            }
            if expected != got || expected.is_err() {
                let both = [&expected, &got].map(|reply| reply.as_deref().unwrap_or_default());
                let same = both[0]
                    .iter()
                    .zip(both[1])
                    .take_while(|(a, b)| a == b)
                    .count()
                    .saturating_sub(20);
                let show = |reply: &Result<Vec<u8>, String>| match reply {
                    Ok(raw) => format!(
                        "{} bytes, from {same}: {}",
                        raw.len(),
                        escape(&raw[same.min(raw.len())..])
                    ),
                    Err(why) => why.clone(),
                };
                let difference = format!("{name}:\n  redis:  {}\n  larder: {}", show(&expected), show(&got));
                if failures.last() != Some(&difference) {
                    failures.push(difference);
                }
            }
        }
        expect_prompt_ping(&larder, name);
    }
    assert!(
        failures.is_empty(),
        "{} differ\n{}",
        failures.len(),
        failures.join("\n")
    );
    let mut conn = larder.connect();
    conn.call("FLUSHALL");
    expect_memory_back(&larder, before, 12 * MIB, "all frames");
}

#[test]
fn frames_one_byte_at_a_time_get_the_same_reply() {
    let server = Server::larder(&[]);
    for (name, bytes) in frames() {
        if bytes.len() > 2000 {
            continue;
        }
        let (whole, bytewise) = (answer(&server, &bytes, usize::MAX), answer(&server, &bytes, 1));
        assert_eq!(
            whole.map(|raw| escape(&raw)),
            bytewise.map(|raw| escape(&raw)),
            "{name}"
        );
    }
}

#[test]
fn random_bytes_never_stop_the_server() {
    let seed = larder_tests::rng::fresh_seed();
    println!("LARDER_SEED={seed}");
    let mut rng = Rng::new(seed);
    let server = Server::larder(&[]);
    let before = server.resident_bytes();
    let frames = frames();
    for round in 0..400 {
        let mut bytes = rng.pick(&frames).1.clone();
        bytes.truncate(4096);
        for _ in 0..=rng.below(8) {
            let at = rng.below(bytes.len().max(1));
            match rng.below(4) {
                0 if at < bytes.len() => bytes[at] = rng.next_u64().to_le_bytes()[0],
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.insert(at, *rng.pick(b"*$:+-0123456789\r\n\0\"' ")),
                _ => bytes.truncate(at + 1),
            }
        }
        // A mutation may be a command that has every right to end this server or to hold clients up.
        let upper = bytes.to_ascii_uppercase();
        if upper
            .windows(5)
            .any(|word| [b"DEBUG", b"SHUTD", b"PAUSE", b"MONIT"].iter().any(|bad| word == *bad))
        {
            continue;
        }
        let piece = 1 + rng.below(bytes.len());
        answer(&server, &bytes, piece).unwrap_or_else(|why| panic!("round {round}: {why}: {}", escape(&bytes)));
    }
    expect_prompt_ping(&server, "random bytes");
    expect_memory_back(&server, before, 12 * MIB, "random bytes");
}
