//! The request decoder against redis-protocol as oracle, on generated frames and mutations of them.

use bytes::Bytes;
use larder_server::resp::decode::{Decoder, LARGE, Limits, ProtocolError};
use larder_server::resp::request::Batch;
use larder_tests::reply::escape;
use larder_tests::rng::{Rng, fresh_seed};
use larder_tests::wire::encode;
use redis_protocol::resp2::decode::decode as oracle_decode;
use redis_protocol::resp2::types::OwnedFrame;
use std::time::{Duration, Instant};

type Request = Vec<Vec<u8>>;

#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    requests: Vec<Request>,
    error: Option<ProtocolError>,
    /// Input behind the last complete request.
    rest: usize,
}

const LIMITS: Limits = Limits {
    bulk_bytes: 512 << 20,
    authenticated: true,
};

/// Feeds `input` in pieces, as a connection does: what is left over comes again before the next piece.
fn decode_in_pieces(input: &[u8], mut next_piece: impl FnMut() -> usize, take_large: bool) -> Decoded {
    let (mut decoder, mut batch) = (Decoder::default(), Batch::default());
    let (mut fed, mut held, mut taken) = (0, Vec::new(), 0);
    let mut requests = Vec::new();
    while fed < input.len() {
        let piece = next_piece().clamp(1, input.len() - fed);
        held.extend_from_slice(&input[fed..fed + piece]);
        fed += piece;
        loop {
            batch.clear();
            let result = decoder.decode(&held, LIMITS, &mut batch, 7);
            for &request in batch.requests() {
                requests.push(batch.args(&held, request).iter().map(<[u8]>::to_vec).collect());
            }
            match result {
                // Where an error stands is not the decoder's to say: the connection is lost.
                Err(error) => {
                    return Decoded {
                        requests,
                        error: Some(error),
                        rest: 0,
                    };
                }
                Ok(consumed) => {
                    assert!(consumed <= held.len(), "took {consumed} of {} bytes", held.len());
                    held.drain(..consumed);
                    if consumed > 0 {
                        taken = 0;
                    }
                    if batch.requests().len() < 7 {
                        break;
                    }
                }
            }
        }
        let Some((length, at)) = decoder.large().filter(|_| take_large) else {
            continue;
        };
        assert!(length >= LARGE && at <= held.len());
        let have = held.len() - at;
        let missing = length.saturating_sub(have);
        if missing == 0 || fed + missing > input.len() {
            continue;
        }
        let mut argument = held.split_off(at);
        argument.extend_from_slice(&input[fed..fed + missing]);
        fed += missing;
        taken += argument.len();
        decoder.supply(Bytes::from(argument));
    }
    Decoded {
        requests,
        error: None,
        rest: held.len() + taken,
    }
}

fn decode_whole(input: &[u8]) -> Decoded {
    decode_in_pieces(input, || usize::MAX, false)
}

/// What redis-protocol makes of `input`, as long as it is arrays of bulk strings written the one
/// canonical way: elsewhere Redis is laxer (it does not look at line ends) or stricter (numbers).
fn canonical_requests(mut input: &[u8]) -> Vec<Request> {
    let mut requests = Vec::new();
    while let Ok(Some((OwnedFrame::Array(frames), used))) = oracle_decode(input) {
        let args: Option<Request> = frames
            .into_iter()
            .map(|frame| match frame {
                OwnedFrame::BulkString(bytes) => Some(bytes),
                _ => None,
            })
            .collect();
        let Some(args) = args else { break };
        if encode(&args) != input[..used] {
            break;
        }
        if !args.is_empty() {
            requests.push(args);
        }
        input = &input[used..];
    }
    requests
}

fn random_request(rng: &mut Rng) -> Request {
    (0..1 + rng.below(6))
        .map(|_| {
            let length = match rng.below(40) {
                0 => LARGE - 3 + rng.below(6),
                1 => rng.below(50_000),
                2..10 => 0,
                _ => rng.below(30),
            };
            let first = rng.next_u64().to_le_bytes()[0];
            (0..length).map(|at| first.wrapping_add(at as u8)).collect()
        })
        .collect()
}

fn random_stream(rng: &mut Rng) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..1 + rng.below(12) {
        match rng.below(12) {
            0 => stream.extend_from_slice(b"*0\r\n"),
            1 => stream.extend_from_slice(b"*-1\r\n"),
            2 => stream.extend_from_slice(b"SET k \"a\\x00b\" 'c'\r\n"),
            3 => stream.extend_from_slice(b"\r\n"),
            _ => stream.extend(encode(&random_request(rng))),
        }
    }
    stream
}

fn mutate(stream: &mut Vec<u8>, rng: &mut Rng) {
    const SPICE: &[&[u8]] = &[
        b"*",
        b"$",
        b"\r",
        b"\n",
        b"\r\n",
        b"-1",
        b"0",
        b"+",
        b"99999999999999999999",
        b"2147483648",
        b"536870913",
        b"\0",
        b"\"",
        b"'",
        b" ",
        b"*1\r\n",
        b"$0\r\n\r\n",
        b"*3000000000\r\n",
        b":1\r\n",
    ];
    for _ in 0..=rng.below(4) {
        if stream.is_empty() {
            return;
        }
        // Headers are where decoders go wrong, and they are short: aim at the first bytes, mostly.
        let reach = if rng.chance(50) {
            stream.len().min(40)
        } else {
            stream.len()
        };
        let at = rng.below(reach);
        match rng.below(6) {
            0 => stream[at] = rng.next_u64().to_le_bytes()[0],
            1 => stream[at] ^= 1 << rng.below(8),
            2 => drop(stream.remove(at)),
            3 => stream.truncate(at + 1),
            4 => drop(stream.splice(at..at, rng.pick(SPICE).iter().copied())),
            _ => {
                let end = (at + 1 + rng.below(20)).min(stream.len());
                let copy = stream[at..end].to_vec();
                drop(stream.splice(at..at, copy));
            }
        }
    }
}

fn check(stream: &[u8], rng: &mut Rng) {
    let whole = decode_whole(stream);
    let oracle = canonical_requests(stream);
    let shown = || escape(stream);
    assert!(
        whole.requests.starts_with(&oracle),
        "redis-protocol reads {} requests, larder {}: {}",
        oracle.len(),
        whole.requests.len(),
        shown()
    );
    let longest = *rng.pick(&[1, 3, 40, 5000, 70_000]);
    // Bytes one by one take long for long streams, and nothing new happens inside an argument.
    let longest = if stream.len() > 5000 { longest.max(40) } else { longest };
    for take_large in [false, true] {
        let pieces = decode_in_pieces(stream, || 1 + rng.below(longest), take_large);
        assert_eq!(
            pieces.requests,
            whole.requests,
            "in pieces of up to {longest}: {}",
            shown()
        );
        assert_eq!(pieces.error, whole.error, "in pieces of up to {longest}: {}", shown());
    }
}

fn fuzz(seed: u64, time: Duration) {
    println!("LARDER_SEED={seed}");
    let mut rng = Rng::new(seed);
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < 300 || start.elapsed() < time {
        let mut stream = random_stream(&mut rng);
        check(&stream, &mut rng);
        for _ in 0..8 {
            mutate(&mut stream, &mut rng);
            check(&stream, &mut rng);
        }
        rounds += 1;
    }
    println!("{rounds} streams, 8 mutations each");
}

#[test]
fn the_decoder_reads_what_redis_protocol_reads_fixed_seed() {
    fuzz(7, Duration::ZERO);
}

#[test]
fn the_decoder_reads_what_redis_protocol_reads_fresh_seed() {
    fuzz(fresh_seed(), Duration::from_secs(10));
}

#[test]
fn every_cut_of_a_stream_gives_the_same_requests() {
    let long = vec![b'x'; LARGE + 10];
    let commands = [
        encode(&[&b"SET"[..], b"k", &long, b"NX"]),
        encode(&[&b"GET"[..], b""]),
        b"PING\r\n*0\r\n".to_vec(),
        encode(&[&long[..], &long]),
    ];
    let stream = commands.concat();
    let whole = decode_whole(&stream);
    assert_eq!((whole.requests.len(), whole.rest), (4, 0));
    for cut in 1..stream.len() {
        for take_large in [false, true] {
            let mut first = Some(cut);
            let pieces = decode_in_pieces(&stream, || first.take().unwrap_or(usize::MAX), take_large);
            assert!(
                pieces.requests == whole.requests && pieces.error.is_none(),
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn limits_hold_before_authentication() {
    let strict = Limits {
        bulk_bytes: 512 << 20,
        authenticated: false,
    };
    let decode = |input: &[u8], limits: Limits| {
        let mut batch = Batch::default();
        Decoder::default()
            .decode(input, limits, &mut batch, 10)
            .map(|_| batch.requests().len())
    };
    let many = encode(&["x"; 11]);
    let long = encode(&["x".repeat((16 << 10) + 1)]);
    assert_eq!(decode(&many, strict), Err(ProtocolError::CountUnauthenticated));
    assert_eq!(decode(&long, strict), Err(ProtocolError::LengthUnauthenticated));
    assert_eq!(decode(&many, LIMITS), Ok(1));
    assert_eq!(decode(&long, LIMITS), Ok(1));
    assert_eq!(
        decode(
            &long,
            Limits {
                bulk_bytes: 16 << 10,
                authenticated: true
            }
        ),
        Err(ProtocolError::Length)
    );
}
