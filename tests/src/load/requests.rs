//! The bytes of a pipeline of requests, made once; later only the digits of keys and TTLs change.

use super::options::{Command, Options, Protocol};

/// Each key is a prefix of four bytes and twelve digits.
const KEY_DIGITS: usize = 12;
/// How many of those change; the rest stay zero.
const CHANGING_DIGITS: usize = 8;
const TTL_DIGITS: usize = 5;
const DIGIT_PAIRS: [[u8; 2]; 100] = digit_pairs();

const fn digit_pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
        n += 1;
    }
    pairs
}

/// The order in which keys are used.
#[derive(Debug, Clone)]
pub(crate) enum Keys {
    /// Evenly drawn from `0..count` by SplitMix64 (Steele et al., 2014).
    Random { state: u64, count: u64 },
    /// One after the other.
    Ascending { next: u64 },
}

impl Keys {
    fn next(&mut self) -> u64 {
        match self {
            Self::Random { state, count } => {
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                z ^= z >> 31;
                // The high half of the product is even over 0..count without a division.
                ((u128::from(z) * u128::from(*count)) >> 64) as u64
            }
            Self::Ascending { next } => {
                *next += 1;
                *next - 1
            }
        }
    }
}

/// A pipeline of requests.
#[derive(Debug)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    /// Where each key's changing digits begin, in order.
    keys_at: Vec<usize>,
    /// Where each TTL begins (SETEX only).
    ttls_at: Vec<usize>,
    /// Where each request ends.
    ends: Vec<usize>,
    keys_per_request: usize,
    keys: Keys,
}

impl Requests {
    pub(crate) fn new(options: &Options, keys: Keys) -> Self {
        let mut requests = Self {
            bytes: Vec::new(),
            keys_at: Vec::new(),
            ttls_at: Vec::new(),
            ends: Vec::new(),
            keys_per_request: options.command.keys_per_request(),
            keys,
        };
        for _ in 0..options.pipeline {
            match options.protocol {
                Protocol::Resp => requests.add_resp(options),
                Protocol::Memcached => requests.add_memcached(options),
            }
            requests.ends.push(requests.bytes.len());
        }
        requests
    }

    /// The bytes of the next `count` requests; `count` is from 1 to the pipeline's depth.
    pub(crate) fn next(&mut self, count: usize) -> &[u8] {
        for at in &self.keys_at[..count * self.keys_per_request] {
            let key = self.keys.next();
            let mut rest = key;
            for pair in self.bytes[*at..*at + CHANGING_DIGITS].rchunks_exact_mut(2) {
                pair.copy_from_slice(&DIGIT_PAIRS[(rest % 100) as usize]);
                rest /= 100;
            }
        }
        for at in self.ttls_at.iter().take(count) {
            // The low digits of the request's key, scattered, serve as a source of different TTLs.
            let key = &self.bytes[self.keys_at[0]..][..CHANGING_DIGITS];
            let mixed = key
                .iter()
                .fold(*at as u64, |sum, d| sum.wrapping_mul(31) + u64::from(*d));
            let ttl = format!("{:05}", 10_000 + mixed % 80_000);
            self.bytes[*at..*at + TTL_DIGITS].copy_from_slice(ttl.as_bytes());
        }
        &self.bytes[..self.ends[count - 1]]
    }

    fn add_resp(&mut self, options: &Options) {
        let value = vec![b'x'; options.value_size];
        match options.command {
            // SET and not INCR, so that a filled counter is 0.
            Command::Incr if options.fill => {
                self.add_header(3, "SET");
                self.add_resp_key(b"ctr:");
                self.add_bulk(b"0");
            }
            Command::Incr => {
                self.add_header(2, "INCR");
                self.add_resp_key(b"ctr:");
            }
            Command::Set => {
                self.add_header(3, "SET");
                self.add_resp_key(b"key:");
                self.add_bulk(&value);
            }
            Command::SetEx => {
                self.add_header(4, "SETEX");
                self.add_resp_key(b"key:");
                self.bytes.extend_from_slice(b"$5\r\n");
                self.add_ttl();
                self.bytes.extend_from_slice(b"\r\n");
                self.add_bulk(&value);
            }
            Command::SetWithEx => {
                self.add_header(5, "SET");
                self.add_resp_key(b"key:");
                self.add_bulk(&value);
                self.add_bulk(b"EX");
                self.bytes.extend_from_slice(b"$5\r\n");
                self.add_ttl();
                self.bytes.extend_from_slice(b"\r\n");
            }
            Command::Get => {
                self.add_header(2, "GET");
                self.add_resp_key(b"key:");
            }
            Command::Mget(keys) => {
                self.add_header(keys + 1, "MGET");
                for _ in 0..keys {
                    self.add_resp_key(b"key:");
                }
            }
        }
    }

    fn add_memcached(&mut self, options: &Options) {
        let value = vec![b'x'; options.value_size];
        match options.command {
            Command::Incr if options.fill => {
                self.bytes.extend_from_slice(b"set ");
                self.add_key(b"ctr:");
                self.bytes.extend_from_slice(b" 0 0 1\r\n0");
            }
            Command::Incr => {
                self.bytes.extend_from_slice(b"incr ");
                self.add_key(b"ctr:");
                self.bytes.extend_from_slice(b" 1");
            }
            Command::Set | Command::SetEx | Command::SetWithEx => {
                self.bytes.extend_from_slice(b"set ");
                self.add_key(b"key:");
                self.bytes.extend_from_slice(b" 0 ");
                if options.command != Command::Set {
                    self.add_ttl();
                } else {
                    self.bytes.push(b'0');
                }
                self.bytes.extend_from_slice(format!(" {}\r\n", value.len()).as_bytes());
                self.bytes.extend_from_slice(&value);
            }
            // The meta command, because memcached answers each plain `get` of a pipeline with a
            // write of its own, and a peer is to be measured at its best.
            Command::Get => {
                self.bytes.extend_from_slice(b"mg ");
                self.add_key(b"key:");
                self.bytes.extend_from_slice(b" v");
            }
            Command::Mget(keys) => {
                self.bytes.extend_from_slice(b"get");
                for _ in 0..keys {
                    self.bytes.push(b' ');
                    self.add_key(b"key:");
                }
            }
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn add_header(&mut self, arguments: usize, name: &str) {
        self.bytes.extend_from_slice(format!("*{arguments}\r\n").as_bytes());
        self.add_bulk(name.as_bytes());
    }

    fn add_bulk(&mut self, bulk: &[u8]) {
        self.bytes.extend_from_slice(format!("${}\r\n", bulk.len()).as_bytes());
        self.bytes.extend_from_slice(bulk);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn add_resp_key(&mut self, prefix: &[u8; 4]) {
        self.bytes.extend_from_slice(b"$16\r\n");
        self.add_key(prefix);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn add_key(&mut self, prefix: &[u8; 4]) {
        self.bytes.extend_from_slice(prefix);
        self.bytes.extend_from_slice(&[b'0'; KEY_DIGITS]);
        self.keys_at.push(self.bytes.len() - CHANGING_DIGITS);
    }

    fn add_ttl(&mut self) {
        self.ttls_at.push(self.bytes.len());
        self.bytes.extend_from_slice(&[b'0'; TTL_DIGITS]);
    }
}
