//! Who is in a pool and who owns what, as of one membership. Never changed: a change makes a new one.

use super::config::{Placement, PoolNode};
use super::member::Member;
use crate::error::{Error, Result};
use larder_cluster::placement::{Member as Placed, Table};
use larder_cluster::slot::{Slot, slot_of};
use std::sync::Arc;

/// How many changes of the membership are remembered for handing values over; the oldest goes first.
const MAX_BEFORE: usize = 4;

/// Which node owns which key.
#[derive(Clone, Debug)]
pub(crate) enum Places {
    Rendezvous(Table),
}

impl Places {
    /// # Errors
    /// [`Error::Usage`] if there is no node, or names or weights make no sense.
    pub(crate) fn new(placement: Placement, nodes: &[PoolNode]) -> Result<Places> {
        let placed: Vec<Placed> = nodes.iter().map(PoolNode::placed).collect();
        match placement {
            Placement::Rendezvous => Table::new(&placed)
                .map(Places::Rendezvous)
                .map_err(|error| Error::Usage(error.to_string())),
        }
    }

    #[inline]
    pub(crate) fn owner(&self, slot: Slot, _key: &[u8]) -> usize {
        match self {
            Places::Rendezvous(table) => table.owner(slot),
        }
    }

    /// All nodes in the order in which the key prefers them; the owner first.
    pub(crate) fn ranking<'a>(&'a self, slot: Slot, _key: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        match self {
            Places::Rendezvous(table) => table.ranking(slot),
        }
    }
}

/// An earlier membership, whose owners may still have values.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) until_ms: u64,
    pub(crate) places: Arc<Places>,
    pub(crate) members: Arc<[Arc<Member>]>,
}

/// One membership of a pool.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Grows with every change.
    pub(crate) version: u64,
    pub(crate) nodes: Arc<[PoolNode]>,
    pub(crate) places: Arc<Places>,
    pub(crate) members: Arc<[Arc<Member>]>,
    /// Memberships that values are still handed over from; the latest first.
    pub(crate) before: Vec<Before>,
}

impl View {
    #[inline]
    pub(crate) fn owner(&self, slot: Slot, key: &[u8]) -> &Arc<Member> {
        &self.members[self.places.owner(slot, key)]
    }

    /// The nodes of a key in the order in which it prefers them; the owner first.
    pub(crate) fn ranking<'a>(&'a self, slot: Slot, key: &'a [u8]) -> impl Iterator<Item = &'a Arc<Member>> {
        self.places.ranking(slot, key).map(|place| &self.members[place])
    }

    /// Who owned a key before its owner of today, if values are still handed over; the latest first, each once.
    pub(crate) fn previous_owners(&self, slot: Slot, key: &[u8]) -> Vec<Arc<Member>> {
        let owner = self.owner(slot, key);
        let mut previous: Vec<Arc<Member>> = Vec::new();
        for before in &self.before {
            let member = &before.members[before.places.owner(slot, key)];
            let known = Arc::ptr_eq(member, owner) || previous.iter().any(|other| Arc::ptr_eq(member, other));
            if !known {
                previous.push(Arc::clone(member));
            }
        }
        previous
    }

    /// What remains of the earlier memberships when this one is replaced.
    pub(crate) fn as_before(&self, now_ms: u64, until_ms: u64) -> Vec<Before> {
        let mut before = vec![Before {
            until_ms,
            places: Arc::clone(&self.places),
            members: Arc::clone(&self.members),
        }];
        before.extend(self.before.iter().filter(|old| old.until_ms > now_ms).cloned());
        before.truncate(MAX_BEFORE);
        before
    }

    /// How many slots have owners of another name than in `other`.
    pub(crate) fn moved(&self, other: &View) -> usize {
        Slot::all()
            .filter(|slot| self.owner(*slot, b"").name() != other.owner(*slot, b"").name())
            .count()
    }
}

/// A key and its slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) slot: Slot,
}

impl<'a> Spot<'a> {
    #[inline]
    pub(crate) fn new(key: &'a [u8]) -> Spot<'a> {
        Spot {
            key,
            slot: slot_of(key),
        }
    }
}
