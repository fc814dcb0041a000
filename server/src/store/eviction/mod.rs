//! Which entry goes when memory runs out: policies rank entries by 32 bits of metadata in each.
//!
//! The metadata is, from the high bits: 24 bits of the time of the last use in ticks of the stripe's clock (`clock.rs`),
//! and 8 bits of frequency, which LFU and adaptive keep, each in its own unit. So every policy finds sensible times
//! when it takes over from another while keys are there, and frequencies that settle as keys are used.
//!
//! A policy is (which keys are eligible) x (how they are ranked). A ranking is one file with a `Ranking`; expired keys
//! go before all others in each. How victims are looked for is in `walk.rs`, and the same for all.

mod adaptive;
mod clock;
mod fifo;
mod ghost;
mod hazard;
mod lfu;
mod lrm;
mod lru;
mod mru;
mod random;
mod ttl;
mod walk;

pub(super) use walk::Evictor;

use clock::Clock;
use std::str::FromStr;

/// What a ranking goes by.
struct Scene<'a> {
    eviction: &'a Eviction,
    clock: &'a Clock,
    now_ms: u64,
}

impl Scene<'_> {
    /// Ticks since an entry's last use.
    #[inline]
    fn age(&self, meta: u32) -> u32 {
        self.clock.since(meta >> 8)
    }
}

/// An entry that may have to go.
struct Subject {
    meta: u32,
    deadline: Option<u64>,
    /// Of the entry with all that it takes, in bytes; only for policies that ask for it.
    bytes: usize,
    /// What was learnt about entries of this kind; only for adaptive.
    value: i32,
    /// Differs from entry to entry and time to time.
    random: u64,
}

/// How a policy ranks entries.
trait Ranking {
    /// The metadata after a read; unchanged if nothing is worth a write.
    fn on_read(scene: &Scene<'_>, meta: u32, random: u64) -> u32;
    /// The metadata after the value was changed, which is a use of it.
    fn on_edit(scene: &Scene<'_>, meta: u32, random: u64) -> u32 {
        Self::on_read(scene, meta, random)
    }
    /// The metadata after the value was overwritten, which asks for nothing that was there.
    fn on_write(scene: &Scene<'_>, meta: u32, random: u64) -> u32 {
        Self::on_read(scene, meta, random)
    }
    /// The larger, the sooner the entry goes; below `u64::MAX`.
    fn coldness(scene: &Scene<'_>, subject: &Subject) -> u64;
}

/// How an entry is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Use {
    /// Its value is read.
    Read,
    /// Its value, or what belongs to it, is changed.
    Edit,
    /// Its value is overwritten.
    Overwrite,
}

impl Use {
    #[inline]
    fn of<R: Ranking>(self, scene: &Scene<'_>, meta: u32, random: u64) -> u32 {
        match self {
            Use::Read => R::on_read(scene, meta, random),
            Use::Edit => R::on_edit(scene, meta, random),
            Use::Overwrite => R::on_write(scene, meta, random),
        }
    }
}

/// The same frequency, used now.
#[inline]
fn restamp(meta: u32, clock: &Clock) -> u32 {
    clock.now() << 8 | meta & 0xff
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rank {
    Lru,
    Lfu,
    Random,
    Ttl,
    Lrm,
    Fifo,
    Mru,
    Adaptive,
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

    /// Whether the policy counts how often keys are used, as OBJECT FREQ tells.
    pub fn is_lfu(self) -> bool {
        self.rank == Some(Rank::Lfu)
    }

    /// Whether the policy evicts at all.
    pub fn evicts(self) -> bool {
        self.rank.is_some()
    }

    /// Whether it takes only keys with a deadline.
    pub fn volatile_only(self) -> bool {
        self.volatile_only
    }

    #[inline]
    fn is_adaptive(self) -> bool {
        self.rank == Some(Rank::Adaptive)
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
            "lrm" => Rank::Lrm,
            "adaptive" => Rank::Adaptive,
            "ttl" if volatile_only => Rank::Ttl,
            "fifo" if !volatile_only => Rank::Fifo,
            "mru" if !volatile_only => Rank::Mru,
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
    /// Entries looked at per eviction, at least: they are taken by whole buckets.
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
    /// The frequency of a new entry.
    fn fresh(&self) -> u8 {
        match self.policy.rank {
            Some(Rank::Adaptive) => adaptive::ONCE,
            _ => lfu::FRESH,
        }
    }
}

impl Scene<'_> {
    /// The metadata after a use.
    #[inline]
    fn after(&self, usage: Use, meta: u32, random: u64) -> u32 {
        match self.eviction.policy.rank {
            Some(Rank::Adaptive) => usage.of::<adaptive::Adaptive>(self, meta, random),
            Some(Rank::Lfu) => usage.of::<lfu::Lfu>(self, meta, random),
            Some(Rank::Ttl) => usage.of::<ttl::Ttl>(self, meta, random),
            Some(Rank::Random) => usage.of::<random::Random>(self, meta, random),
            Some(Rank::Lrm) => usage.of::<lrm::Lrm>(self, meta, random),
            Some(Rank::Fifo) => usage.of::<fifo::Fifo>(self, meta, random),
            Some(Rank::Mru) => usage.of::<mru::Mru>(self, meta, random),
            Some(Rank::Lru) | None => usage.of::<lru::Lru>(self, meta, random),
        }
    }

    /// How much an entry deserves to go; `None` if the policy may not take it.
    #[inline]
    fn coldness(&self, subject: &Subject) -> Option<u64> {
        if subject.deadline.is_some_and(|deadline| deadline <= self.now_ms) {
            return Some(u64::MAX);
        }
        if self.eviction.policy.volatile_only && subject.deadline.is_none() {
            return None;
        }
        Some(match self.eviction.policy.rank? {
            Rank::Adaptive => adaptive::Adaptive::coldness(self, subject),
            Rank::Lru => lru::Lru::coldness(self, subject),
            Rank::Lfu => lfu::Lfu::coldness(self, subject),
            Rank::Random => random::Random::coldness(self, subject),
            Rank::Ttl => ttl::Ttl::coldness(self, subject),
            Rank::Lrm => lrm::Lrm::coldness(self, subject),
            Rank::Fifo => fifo::Fifo::coldness(self, subject),
            Rank::Mru => mru::Mru::coldness(self, subject),
        })
    }
}

/// A well-mixed number from a seed and a draw (the finaliser of SplitMix64).
pub fn mix(seed: u64, draw: u64) -> u64 {
    let mut z = seed.wrapping_add(draw.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
