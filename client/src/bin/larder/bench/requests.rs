//! What is asked next, and its bytes.

use super::keys::Keys;
use fastrand::Rng;
use larder_cluster::placement::Table;
use std::ops::RangeInclusive;

/// How many digits a key's number has.
const DIGITS: usize = 12;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// GET
    Get,
    /// SET
    Set,
}

/// Makes requests one after the other, without allocating.
#[derive(Debug)]
pub(super) struct Generator {
    rng: Rng,
    pub(super) keys: Keys,
    /// How many of 2^32 requests are GETs.
    get_share: u64,
    /// The key of the current request: prefix and digits.
    key: Vec<u8>,
    get_head: Vec<u8>,
    set_head: Vec<u8>,
    /// What stands behind a SET's value: its time to live.
    set_tail: Vec<u8>,
    set_args: usize,
    /// Bytes that values are cut from.
    filler: Vec<u8>,
    sizes: RangeInclusive<usize>,
}

/// What requests are like.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    pub(super) prefix: &'a str,
    /// The share of GETs, 0 to 1.
    pub(super) get_share: f64,
    pub(super) sizes: RangeInclusive<usize>,
    pub(super) ttl_ms: Option<u64>,
    pub(super) seed: u64,
}

impl Generator {
    pub(super) fn new(shape: &Shape<'_>, keys: Keys) -> Generator {
        let mut rng = Rng::with_seed(shape.seed);
        let mut key = shape.prefix.as_bytes().to_vec();
        key.extend([b'0'; DIGITS]);
        let mut filler = vec![0; *shape.sizes.end()];
        // Text, so that a person who looks at a value sees something; random, so that nothing compresses it.
        filler.fill_with(|| rng.alphanumeric() as u8);
        let set_tail = shape.ttl_ms.map_or_else(Vec::new, |ttl_ms| {
            let digits = ttl_ms.to_string();
            format!("$2\r\nPX\r\n${}\r\n{digits}\r\n", digits.len()).into_bytes()
        });
        Generator {
            keys,
            get_share: (shape.get_share * (1u64 << 32) as f64) as u64,
            get_head: format!("*2\r\n$3\r\nGET\r\n${}\r\n", key.len()).into_bytes(),
            set_args: if shape.ttl_ms.is_some() { 5 } else { 3 },
            set_head: format!("\r\n$3\r\nSET\r\n${}\r\n", key.len()).into_bytes(),
            set_tail,
            filler,
            sizes: shape.sizes.clone(),
            key,
            rng,
        }
    }

    /// Chooses the next request: what it does, and the member of `table` that its key belongs to.
    #[inline]
    pub(super) fn choose(&mut self, table: Option<&Table>) -> (Kind, usize) {
        let number = self.keys.next(&mut self.rng);
        let start = self.key.len() - DIGITS;
        write_digits(&mut self.key[start..], number);
        let is_get = u64::from(self.rng.u32(..)) < self.get_share && !matches!(self.keys, Keys::Ascending { .. });
        let kind = if is_get { Kind::Get } else { Kind::Set };
        (kind, table.map_or(0, |table| table.owner_of(&self.key)))
    }

    /// The value for a SET.
    #[inline]
    pub(super) fn value(&mut self) -> &[u8] {
        let size = match (*self.sizes.start(), *self.sizes.end()) {
            (low, high) if low == high => low,
            (low, high) => self.rng.usize(low..=high),
        };
        &self.filler[..size]
    }

    /// Appends the request that was chosen.
    #[inline]
    pub(super) fn encode(&mut self, kind: Kind, out: &mut Vec<u8>) {
        match kind {
            Kind::Get => {
                out.extend_from_slice(&self.get_head);
                out.extend_from_slice(&self.key);
                out.extend_from_slice(b"\r\n");
            }
            Kind::Set => {
                out.push(b'*');
                out.push(b'0' + self.set_args as u8);
                out.extend_from_slice(&self.set_head);
                out.extend_from_slice(&self.key);
                out.extend_from_slice(b"\r\n$");
                let mut digits = itoa::Buffer::new();
                let value = self.value();
                out.extend_from_slice(digits.format(value.len()).as_bytes());
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(&self.set_tail);
            }
        }
    }
}

/// Writes a number with leading zeros.
#[inline]
fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(get_share: f64, ttl_ms: Option<u64>) -> Shape<'static> {
        Shape {
            prefix: "b:",
            get_share,
            sizes: 3..=3,
            ttl_ms,
            seed: 1,
        }
    }

    fn encoded(shape: &Shape<'_>, keys: Keys) -> String {
        let mut generator = Generator::new(shape, keys);
        let (kind, _) = generator.choose(None);
        let mut out = Vec::new();
        generator.encode(kind, &mut out);
        // Values are random.
        let value = String::from_utf8_lossy(&generator.filler[..3]).into_owned();
        String::from_utf8(out).expect("text").replace(&value, "val")
    }

    #[test]
    fn requests_are_whole_commands() {
        let uniform = Keys::Uniform { count: 1 };
        assert_eq!(
            encoded(&shape(1.0, None), uniform.clone()),
            "*2\r\n$3\r\nGET\r\n$14\r\nb:000000000000\r\n"
        );
        assert_eq!(
            encoded(&shape(0.0, None), uniform.clone()),
            "*3\r\n$3\r\nSET\r\n$14\r\nb:000000000000\r\n$3\r\nval\r\n"
        );
        assert_eq!(
            encoded(&shape(0.0, Some(1500)), uniform),
            "*5\r\n$3\r\nSET\r\n$14\r\nb:000000000000\r\n$3\r\nval\r\n$2\r\nPX\r\n$4\r\n1500\r\n"
        );
        // Filling writes, whatever the share of reads is.
        let ascending = Keys::Ascending { next: 41 };
        assert_eq!(
            encoded(&shape(1.0, None), ascending),
            "*3\r\n$3\r\nSET\r\n$14\r\nb:000000000041\r\n$3\r\nval\r\n"
        );
    }

    #[test]
    fn reads_and_writes_come_in_their_ratio() {
        let mut generator = Generator::new(&shape(0.75, None), Keys::Uniform { count: 100 });
        let gets = (0..100_000).filter(|_| generator.choose(None).0 == Kind::Get).count();
        assert!((74_000..76_000).contains(&gets), "{gets}");
    }

    #[test]
    fn sizes_of_a_range_all_come() {
        let mut shape = shape(0.0, None);
        shape.sizes = 1..=4;
        let mut generator = Generator::new(&shape, Keys::Uniform { count: 1 });
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[generator.value().len()] += 1;
        }
        assert!(seen[0] == 0 && seen[1..].iter().all(|count| *count > 150), "{seen:?}");
    }
}
