//! Ketama, the continuum of existing memcached and twemproxy pools, so that Larder can take over their places of keys.
//!
//! Each server gets 160 points on a circle of 32-bit numbers, four from each MD5 of its name and a counter, more or fewer of
//! them by weight (and 156 where single precision rounds down, as among 25 equal servers); a key belongs to the server of the first point at or behind its hash (Jones 2007, libketama).
//! What is here is what libmemcached calls weighted ketama (`MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`, in pylibmc
//! `{"ketama_weighted": True}`) and twemproxy `distribution: ketama`. libketama itself numbers the points otherwise.
//!
//! The two name a server alike, but not in all cases; the counter is appended with a `-`:
//!
//! | | listed as | hashed as |
//! |---|---|---|
//! | libmemcached | host and port | `host:port`, without `:port` if that is 11211 |
//! | twemproxy | `host:port:weight` | the same |
//! | twemproxy | `host:port:weight name` | `name`, whatever it is |
//!
//! Prefer [`placement`](crate::placement) for a new pool: it is better balanced, and moves fewer keys than this where weights change
//! (`docs/placement.md`).

use md5::{Digest, Md5};

use crate::placement::{Member, PlacementError, check};

/// The port that is left out of a name.
pub const DEFAULT_PORT: u16 = 11_211;
/// Points per server at the mean weight.
const POINTS: u16 = 160;
/// Points from one MD5.
const POINTS_PER_HASH: usize = 4;

/// The name under which libmemcached, and twemproxy where none is configured, hash a server.
pub fn server_name(host: &str, port: u16) -> String {
    if port == DEFAULT_PORT {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

/// How a key is hashed onto the circle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyHash {
    /// The first four bytes of its MD5: libmemcached with ketama, twemproxy with `hash: md5`.
    #[default]
    Md5,
    /// twemproxy's default, `hash: fnv1a_64`, and libmemcached's `MEMCACHED_HASH_FNV1A_64`: in spite of the name it has 32
    /// bits, the lower halves of the constants of 64.
    Fnv1a64,
}

impl KeyHash {
    /// The place of `key` on the circle.
    pub fn of(self, key: &[u8]) -> u32 {
        match self {
            Self::Md5 => words(key)[0],
            Self::Fnv1a64 => key.iter().fold(0x8422_2325, |hash: u32, byte| {
                (hash ^ u32::from(*byte)).wrapping_mul(0x0000_01b3)
            }),
        }
    }
}

/// The MD5 of `bytes` as four little-endian numbers.
fn words(bytes: &[u8]) -> [u32; POINTS_PER_HASH] {
    let digest: [u8; 16] = Md5::digest(bytes).into();
    let (chunks, _) = digest.as_chunks::<4>();
    std::array::from_fn(|index| u32::from_le_bytes(chunks[index]))
}

/// Which server owns which part of the circle.
///
/// Servers are named by their index in the list that the continuum was made from.
#[derive(Clone, Debug)]
pub struct Continuum {
    /// Points and their servers, ascending.
    points: Box<[(u32, u16)]>,
    hash: KeyHash,
}

impl Continuum {
    /// The continuum of `servers`, whose names are as [`server_name`] makes them or as twemproxy's configuration has them.
    ///
    /// # Errors
    /// As for [`Table::new`](crate::placement::Table::new).
    pub fn new(servers: &[Member], hash: KeyHash) -> Result<Self, PlacementError> {
        check(servers)?;
        let total: u32 = servers.iter().map(|server| server.weight).sum();
        let mut points = Vec::new();
        for (index, server) in (0u16..).zip(servers) {
            let hashes = hashes_of(server.weight, total, servers.len());
            for counter in 0..hashes {
                let name = format!("{}-{counter}", server.name);
                points.extend(words(name.as_bytes()).map(|point| (point, index)));
            }
        }
        // Whose is a point that two share depends on the sort there; here it is the first in the list.
        points.sort_unstable();
        if points.is_empty() {
            // Cannot be: the heaviest server has at least the mean weight.
            return Err(PlacementError::NoMembers);
        }
        Ok(Self {
            points: points.into(),
            hash,
        })
    }

    /// The index of the server that owns `key`. Hash tags are the caller's affair: memcached has none, and twemproxy's are
    /// configured.
    pub fn owner_of(&self, key: &[u8]) -> usize {
        self.owner_at(self.hash.of(key))
    }

    /// The index of the server that owns `place` on the circle.
    pub fn owner_at(&self, place: u32) -> usize {
        let behind = self.points.partition_point(|(point, _)| *point < place);
        let (_, server) = self.points.get(behind).unwrap_or(&self.points[0]);
        usize::from(*server)
    }

    /// All points and the indices of their servers, ascending.
    pub fn points(&self) -> &[(u32, u16)] {
        &self.points
    }
}

/// How many MD5s a server gets. In single precision and in this order, because both programs round so.
fn hashes_of(weight: u32, total: u32, servers: usize) -> u32 {
    let share = weight as f32 / total as f32;
    let hashes = share * f32::from(POINTS) / POINTS_PER_HASH as f32 * servers as f32;
    (f64::from(hashes) + 1e-10) as f32 as u32
}

#[cfg(test)]
mod tests {
    use super::{Continuum, KeyHash, hashes_of, server_name};
    use crate::placement::{Member, PlacementError};

    #[test]
    fn names_leave_out_the_default_port() {
        assert_eq!(server_name("10.0.1.1", 11_211), "10.0.1.1");
        assert_eq!(server_name("10.0.1.1", 11_212), "10.0.1.1:11212");
    }

    #[test]
    fn equal_servers_get_160_points_each_unless_single_precision_says_156() {
        let fewer: Vec<u32> = (1..=100)
            .filter(|servers| hashes_of(7, 7 * servers, *servers as usize) != 40)
            .collect();
        // As a C program computes it.
        assert_eq!(fewer, [25, 47, 50, 55, 61, 71, 94, 100]);
        assert_eq!(hashes_of(3, 4, 2), 60);
        assert_eq!(hashes_of(1, 4, 2), 20);
    }

    #[test]
    fn a_place_behind_the_last_point_is_the_first_points() {
        let servers = ["a", "b", "c"].map(|name| Member::new(name, 1));
        let continuum = Continuum::new(&servers, KeyHash::Md5).unwrap();
        let points = continuum.points();
        assert_eq!(points.len(), 480);
        let ((first, owner), (last, _)) = (points[0], points[points.len() - 1]);
        assert_eq!(continuum.owner_at(first), usize::from(owner));
        assert_eq!(continuum.owner_at(0), usize::from(owner));
        assert_eq!(continuum.owner_at(last + 1), usize::from(owner));
        assert_eq!(continuum.owner_at(first + 1), usize::from(points[1].1));
    }

    /// `cluster/vectors/ketama.json`, which `tests/vectors/ketama.py` wrote.
    #[test]
    fn the_continuum_is_that_of_the_published_algorithm() {
        let cases: serde_json::Value = serde_json::from_str(include_str!("../vectors/ketama.json")).unwrap();
        for case in cases.as_array().unwrap() {
            let number = |value: &serde_json::Value| value.as_u64().unwrap();
            let member = |server: &serde_json::Value| {
                Member::new(server["name"].as_str().unwrap(), number(&server["weight"]) as u32)
            };
            let servers: Vec<_> = case["servers"].as_array().unwrap().iter().map(member).collect();
            for (hash, name) in [(KeyHash::Md5, "md5"), (KeyHash::Fnv1a64, "fnv1a_64")] {
                let continuum = Continuum::new(&servers, hash).unwrap();
                assert_eq!(continuum.points().len() as u64, number(&case["points"]));
                for (ours, theirs) in continuum.points().iter().zip(case["first_points"].as_array().unwrap()) {
                    assert_eq!(
                        (u64::from(ours.0), u64::from(ours.1)),
                        (number(&theirs[0]), number(&theirs[1]))
                    );
                }
                let keys = case[name].as_array().unwrap();
                assert!(keys.len() > 40);
                for row in keys {
                    let key = row[0].as_str().unwrap();
                    assert_eq!(u64::from(hash.of(key.as_bytes())), number(&row[1]), "{key}");
                    assert_eq!(continuum.owner_of(key.as_bytes()) as u64, number(&row[2]), "{key}");
                }
            }
        }
    }

    #[test]
    fn servers_that_cannot_be_placed_are_typed_errors() {
        assert_eq!(
            Continuum::new(&[], KeyHash::Md5).unwrap_err(),
            PlacementError::NoMembers
        );
    }
}
