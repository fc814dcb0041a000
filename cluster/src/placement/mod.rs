//! Which node of a pool owns a slot: a function of the members' names and weights alone, the same in every client.
//!
//! The function is weighted rendezvous (Thaler and Ravishankar 1998) with a bound on the load (Mirrokni, Thorup,
//! Zadimoghaddam 2018), told as a **race**. Each node has a list of all slots in an order of its own, made from its name,
//! and walks along it at a pace that its weight gives. A slot belongs to the node that comes to it first. A node that holds
//! as many slots as it may stops: what it would still have come to goes to who comes next.
//!
//! - A node that joins takes only slots at which it is earlier than their owners, about its share; one that leaves gives its
//!   slots to those who come next. All others keep what they have, but for the few slots that the bound moves on.
//! - The bound is a node's fair share and N/10 percent of it, N being the number of members: 1% for 10, 3% for 30, 10% for 100.
//!   Tighter, and it would move more slots on; this slope keeps both small at every size.
//! - Nothing depends on the order of the list of members, on earlier members, or on the machine: integers only.
//!
//! **Why lists, and not a hash for each pair of node and slot.** With hashes a node may be lucky: with 30 nodes their shares
//! scatter by 4.3% (standard deviation), with 100 by 7.8%, and whatever a bound cuts off moves about when nodes come and go.
//! Half of that variance is luck in how good a node's own hashes are. A list has none: every node is first, second, third, ...
//! at exactly one slot each (stratified sampling). Another part of it is luck in how often two nodes meet near the heads of
//! their lists. So a list begins with four *lines of a plane*: take the 16,384 slots as points (x, y) of the plane over the
//! field of 128 elements; a line of slope a is all points with y = ax + l. Two lines of different slope meet in exactly one
//! point (an orthogonal array of strength 2; Rao 1947). With its own slope, each node meets each other in as many points as is
//! fair. Nodes with the same slope (one pair in 128) do not, which is why the list goes on at random after four lines: among
//! few nodes, who reach far down their lists, it hardly matters.
//!
//! **In full**, for who writes another client; all numbers are unsigned, `mod 2^64` where they overflow.
//!
//! 1. `mix(z)` is SplitMix64's finalizer: `z = (z ^ z>>30) * 0xbf58476d1ce4e5b9; z = (z ^ z>>27) * 0x94d049bb133111eb; z ^ z>>31`.
//!    A node's `seed` is `mix` of the 64-bit FNV-1a hash of its name. Its keys are the upper 32 bits of
//!    `mix(seed + n * 0x9e3779b97f4a7c15)`, n = 1, 2, ..., 15: six factors (each with its lowest bit set), six offsets, a slope
//!    (mod 128), a line factor (lowest bit set), a line offset.
//! 2. The `place` of slot `s` in its list: `v = s`, then six times `v = (v * factor + offset) mod 16384; v = v ^ v>>7`. With
//!    `x = s / 128`, `y = s mod 128`: `line = ((y ^ slope * x) * line_factor + line_offset) mod 128`, `slope * x` being the product
//!    in the field of 128 elements (polynomials modulo x^7 + x + 1). Place = `line * 128 + v / 128` if `line < 4`, else
//!    `512 + v * 31 / 32`. Divisions round down.
//! 3. The node comes to the slot at `time = (T[place] * 2^27) / weight`, where `T[k]` is the sum of `2^32 / (16384 - j)` over
//!    j = 0..k, each summand rounded down: the mean times of exponential arrivals, so that shares are as weights.
//! 4. A slot prefers the node with the least `(time, mix(seed ^ s), name)`.
//! 5. A node takes at most `max(floor(f * (1000 + N) / (1000 * W)), ceil(f / W))` slots, `f = 16384 * weight`, W the sum of weights.
//! 6. Take all pairs of slot and node by time (equal times at one slot as in 4; a node's own equal times by slot, ascending):
//!    the node gets the slot if nobody has it and the node holds fewer than it may.
//!
//! `cluster/vectors/placement.json` has results to compare with, `tests/vectors/placement.py` an implementation in Python.
//!
//! **Measured** by `scripts/placement` (see `docs/placement.md`).

mod race;

use std::collections::HashSet;

use crate::slot::{SLOTS, Slot, slot_of};
use race::{Racer, race};

/// The most members that a table takes.
pub const MAX_MEMBERS: usize = 1000;
/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// The largest weight; the smallest is 1.
pub const MAX_WEIGHT: u32 = 1_000_000;

/// A node as placement sees it.
///
/// Placement follows the name and not the address, so that a node keeps its keys when it moves to another machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// What tells it from the others: 1 to [`MAX_NAME_BYTES`] bytes, compared byte by byte.
    pub name: String,
    /// How many keys it gets in proportion to the others: 1 to [`MAX_WEIGHT`]. Only ratios matter, as nearly as
    /// 16,384 slots can be divided.
    pub weight: u32,
}

impl Member {
    /// A member with this name and weight; [`Table::new`] checks them.
    pub fn new(name: impl Into<String>, weight: u32) -> Self {
        Self {
            name: name.into(),
            weight,
        }
    }
}

/// Why there is no table for a list of members.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// The list is empty.
    #[error("no members: placement needs at least one")]
    NoMembers,
    /// The list is longer than [`MAX_MEMBERS`].
    #[error("{count} members: placement takes at most {MAX_MEMBERS}")]
    TooManyMembers {
        /// How many there are.
        count: usize,
    },
    /// A name is empty.
    #[error("member {index} has an empty name: give it one of 1 to {MAX_NAME_BYTES} bytes")]
    EmptyName {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// A name is longer than [`MAX_NAME_BYTES`].
    #[error("the name of member {index} has {bytes} bytes: the most are {MAX_NAME_BYTES}")]
    LongName {
        /// Its place in the list, from 0.
        index: usize,
        /// How long the name is.
        bytes: usize,
    },
    /// Two members have the same name.
    #[error("two members are named {name:?}: names must differ, as they decide who owns what")]
    DuplicateName {
        /// Their name.
        name: String,
    },
    /// A weight is 0 or above [`MAX_WEIGHT`].
    #[error("member {name:?} has weight {weight}: weights are 1 to {MAX_WEIGHT}")]
    Weight {
        /// The member's name.
        name: String,
        /// Its weight.
        weight: u32,
    },
}

/// Which member owns each slot, and who would come next.
///
/// Members are named by their index in the list that the table was made from; the list's order decides nothing else.
#[derive(Clone, Debug)]
pub struct Table {
    members: Box<[Member]>,
    racers: Box<[Racer]>,
    /// For each slot, its owner's index.
    owners: Box<[u16]>,
}

impl Table {
    /// Places all slots on `members`.
    ///
    /// # Errors
    /// If there are none or more than [`MAX_MEMBERS`], or a name or a weight is not as [`Member`] says.
    pub fn new(members: &[Member]) -> Result<Self, PlacementError> {
        check(members)?;
        let mut by_name: Vec<_> = (0..members.len()).collect();
        by_name.sort_unstable_by_key(|index| &members[*index].name);
        let mut racers: Vec<_> = members.iter().map(Racer::new).collect();
        for (order, index) in (0..).zip(by_name) {
            racers[index].order = order;
        }
        let racers = racers.into_boxed_slice();
        let owners = race(&racers, members);
        Ok(Self {
            members: members.into(),
            racers,
            owners,
        })
    }

    /// The members, in the order in which they were given.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The index of the member that owns `slot`.
    #[inline]
    pub fn owner(&self, slot: Slot) -> usize {
        usize::from(self.owners[slot.index()])
    }

    /// The index of the member that owns `key`.
    #[inline]
    pub fn owner_of(&self, key: &[u8]) -> usize {
        self.owner(slot_of(key))
    }

    /// All members' indices, each once, in the order in which `slot` prefers them: its owner, then who would take the
    /// slot if those before were gone.
    ///
    /// Lazy, without allocation: each step takes time proportional to the number of members.
    pub fn ranking(&self, slot: Slot) -> Ranking<'_> {
        Ranking {
            racers: &self.racers,
            slot,
            owner: self.owners[slot.index()],
            last: None,
            left: self.racers.len(),
        }
    }

    /// How many slots each member owns.
    pub fn loads(&self) -> Vec<u32> {
        let mut loads = vec![0; self.members.len()];
        for owner in &self.owners {
            loads[usize::from(*owner)] += 1;
        }
        loads
    }

    /// How many of the [`SLOTS`] slots have owners of different names in `before` and `after`: what would move.
    pub fn moved(before: &Self, after: &Self) -> usize {
        Slot::all()
            .filter(|slot| before.owner_name(*slot) != after.owner_name(*slot))
            .count()
    }

    /// The name of the member that owns `slot`.
    pub fn owner_name(&self, slot: Slot) -> &str {
        &self.members[self.owner(slot)].name
    }
}

pub(crate) fn check(members: &[Member]) -> Result<(), PlacementError> {
    match members.len() {
        0 => return Err(PlacementError::NoMembers),
        count if count > MAX_MEMBERS => return Err(PlacementError::TooManyMembers { count }),
        _ => {}
    }
    let mut names = HashSet::new();
    for (index, member) in members.iter().enumerate() {
        let Member { name, weight } = member;
        match name.len() {
            0 => return Err(PlacementError::EmptyName { index }),
            bytes if bytes > MAX_NAME_BYTES => return Err(PlacementError::LongName { index, bytes }),
            _ => {}
        }
        if !names.insert(name.as_str()) {
            return Err(PlacementError::DuplicateName { name: name.clone() });
        }
        if !(1..=MAX_WEIGHT).contains(weight) {
            return Err(PlacementError::Weight {
                name: name.clone(),
                weight: *weight,
            });
        }
    }
    Ok(())
}

/// The members in the order in which a slot prefers them; made by [`Table::ranking`].
#[derive(Clone, Debug)]
pub struct Ranking<'a> {
    racers: &'a [Racer],
    slot: Slot,
    owner: u16,
    /// The arrival that was handed out last; `None` before those behind the owner.
    last: Option<race::Arrival>,
    left: usize,
}

impl Iterator for Ranking<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.left == self.racers.len() {
            self.left -= 1;
            return Some(usize::from(self.owner));
        }
        let next = race::next_after(self.racers, self.slot, self.last, Some(self.owner))?;
        self.last = Some(next);
        self.left -= 1;
        Some(next.racer())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Ranking<'_> {}

impl std::iter::FusedIterator for Ranking<'_> {}

const _: () = assert!(MAX_MEMBERS <= u16::MAX as usize && SLOTS.is_power_of_two());

#[cfg(test)]
mod tests;
