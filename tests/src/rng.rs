//! Randomness for tests: one seed gives one sequence, and the seed of a failed run can be replayed.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The environment variable that replays a run: `LARDER_SEED=<number>`.
pub const SEED_VARIABLE: &str = "LARDER_SEED";

/// SplitMix64 (Steele, Lea, Flood 2014): 64 bits of state, good enough to choose test cases.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator that repeats the same sequence for the same `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 if `bound` is 0. The modulo's bias does not matter to tests.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            return 0;
        }
        usize::try_from(self.next_u64() % bound as u64).expect("below a usize bound")
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `items`, which must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// The seed to use for a fresh run: `LARDER_SEED` if set, else a new one every time.
///
/// # Panics
/// If `LARDER_SEED` is set to something that is not a number.
pub fn fresh_seed() -> u64 {
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{SEED_VARIABLE}={text} is not a number")),
        Err(_) => RandomState::new().build_hasher().finish(),
    }
}
