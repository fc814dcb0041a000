//! Which entry goes when memory runs out: policies rank entries by 32 bits of metadata in each.
//!
//! The metadata is, from the high bits: 24 bits of the time of the last access in seconds (it wraps
//! after 194 days, as in Redis), and an 8-bit logarithmic access counter (Morris 1978), which only the
//! LFU policies keep. A policy is one file with a `Ranking`; which keys are eligible at all is the
//! other half of its name.

mod lfu;
mod lru;
mod random;
mod ttl;

use std::str::FromStr;

/// How a policy ranks entries.
trait Ranking {
    /// The metadata after a hit; unchanged if nothing is worth a write.
    fn on_hit(eviction: &Eviction, meta: u32, now_ms: u64, random: u64) -> u32;
    /// The larger, the sooner the entry goes.
    fn coldness(eviction: &Eviction, meta: u32, deadline: Option<u64>, now_ms: u64) -> u64;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rank {
    Lru,
    Lfu,
    Random,
    Ttl,
}

/// A `maxmemory-policy` by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    rank: Option<Rank>,
    volatile_only: bool,
}

impl Policy {
    /// Writes are refused instead of evicting.
    pub const NOEVICTION: Policy = Policy {
        rank: None,
        volatile_only: false,
    };

    /// Whether the policy counts how often keys are used.
    pub fn is_lfu(self) -> bool {
        self.rank == Some(Rank::Lfu)
    }

    /// Whether the policy evicts at all.
    pub fn evicts(self) -> bool {
        self.rank.is_some()
    }
}

/// The name is none of the policies'.
#[derive(Debug, thiserror::Error)]
#[error("unknown eviction policy '{0}'")]
pub struct UnknownPolicy(String);

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Policy, UnknownPolicy> {
        let unknown = || UnknownPolicy(name.to_owned());
        if name == "noeviction" {
            return Ok(Policy::NOEVICTION);
        }
        let (keys, rank) = name.split_once('-').ok_or_else(unknown)?;
        let volatile_only = match keys {
            "allkeys" => false,
            "volatile" => true,
            _ => return Err(unknown()),
        };
        let rank = match rank {
            "lru" => Rank::Lru,
            "lfu" => Rank::Lfu,
            "random" => Rank::Random,
            "ttl" if volatile_only => Rank::Ttl,
            _ => return Err(unknown()),
        };
        Ok(Policy {
            rank: Some(rank),
            volatile_only,
        })
    }
}

/// A policy with its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Eviction {
    /// Which keys go, in which order.
    pub policy: Policy,
    /// Entries looked at per eviction.
    pub samples: u64,
    /// `lfu-log-factor`: how much slower the counter rises the higher it stands.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`: minutes without a hit per step down; 0 never decays.
    pub lfu_decay_minutes: u32,
}

impl Default for Eviction {
    fn default() -> Eviction {
        Eviction {
            policy: Policy::NOEVICTION,
            samples: 5,
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
        }
    }
}

impl Eviction {
    /// The metadata of a new entry.
    #[inline]
    pub fn fresh(&self, now_ms: u64) -> u32 {
        pack(now_ms, lfu::FRESH)
    }

    /// The metadata after a hit. `random` need only differ from hit to hit and key to key.
    #[inline]
    pub fn on_hit(&self, meta: u32, now_ms: u64, random: u64) -> u32 {
        match self.policy.rank {
            Some(Rank::Lfu) => lfu::Lfu::on_hit(self, meta, now_ms, random),
            Some(Rank::Ttl) => ttl::Ttl::on_hit(self, meta, now_ms, random),
            Some(Rank::Random) => random::Random::on_hit(self, meta, now_ms, random),
            Some(Rank::Lru) | None => lru::Lru::on_hit(self, meta, now_ms, random),
        }
    }

    /// How much an entry deserves to go; `None` if the policy may not take it.
    pub fn coldness(&self, meta: u32, deadline: Option<u64>, now_ms: u64) -> Option<u64> {
        if self.policy.volatile_only && deadline.is_none() {
            return None;
        }
        Some(match self.policy.rank? {
            Rank::Lru => lru::Lru::coldness(self, meta, deadline, now_ms),
            Rank::Lfu => lfu::Lfu::coldness(self, meta, deadline, now_ms),
            Rank::Random => random::Random::coldness(self, meta, deadline, now_ms),
            Rank::Ttl => ttl::Ttl::coldness(self, meta, deadline, now_ms),
        })
    }

    /// The access counter of an entry, decayed to now: what OBJECT FREQ answers.
    pub fn frequency(&self, meta: u32, now_ms: u64) -> u8 {
        lfu::decayed(self, meta, now_ms)
    }
}

fn pack(now_ms: u64, counter: u8) -> u32 {
    ((now_ms / 1000) as u32) << 8 | u32::from(counter)
}

/// Seconds since the entry was last used.
pub fn idle_seconds(meta: u32, now_ms: u64) -> u32 {
    ((now_ms / 1000) as u32).wrapping_sub(meta >> 8) & 0x00ff_ffff
}

/// A well-mixed number from a seed and a draw (the finaliser of SplitMix64).
pub fn mix(seed: u64, draw: u64) -> u64 {
    let mut z = seed.wrapping_add(draw.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
