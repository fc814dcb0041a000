//! Who is in a pool and who owns what, as of one membership. Never changed: a change makes a new one.

use super::config::{Placement, PoolNode};
use super::member::Member;
use crate::error::{Error, Result};
use larder_cluster::ketama::{Continuum, KeyHash};
use larder_cluster::placement::{Member as Placed, Table};
use larder_cluster::slot::{Slot, slot_of};
use std::sync::Arc;

/// How many changes of the membership are remembered for handing values over; the oldest goes first.
const MAX_BEFORE: usize = 4;

/// Which node owns which key.
#[derive(Clone, Debug)]
pub(crate) enum Places {
    Rendezvous(Table),
    Ketama(Continuum, KeyHash),
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
            Placement::Ketama(hash) => Continuum::new(&placed, hash)
                .map(|circle| Places::Ketama(circle, hash))
                .map_err(|error| Error::Usage(error.to_string())),
        }
    }

    /// The owners of all keys together: each slot's, or of as many places on the circle.
    pub(crate) fn owners(&self) -> impl Iterator<Item = usize> + '_ {
        Slot::all().map(|slot| match self {
            Places::Rendezvous(table) => table.owner(slot),
            Places::Ketama(circle, _) => circle.owner_at(u32::from(slot.number()) << 18),
        })
    }

    #[inline]
    pub(crate) fn owner(&self, slot: Slot, key: &[u8]) -> usize {
        match self {
            Places::Rendezvous(table) => table.owner(slot),
            Places::Ketama(circle, _) => circle.owner_of(key),
        }
    }

    /// All nodes in the order in which the key prefers them; the owner first. Allocates for ketama.
    pub(crate) fn ranking<'a>(&'a self, slot: Slot, key: &[u8]) -> Box<dyn Iterator<Item = usize> + Send + 'a> {
        match self {
            Places::Rendezvous(table) => Box::new(table.ranking(slot)),
            Places::Ketama(circle, hash) => {
                let place = hash.of(key);
                let points = circle.points();
                let from = points.partition_point(|(point, _)| *point < place);
                let mut seen = Vec::new();
                Box::new(
                    (points[from..].iter().chain(&points[..from])).filter_map(move |(_, node)| {
                        let first = !seen.contains(node);
                        first.then(|| {
                            seen.push(*node);
                            usize::from(*node)
                        })
                    }),
                )
            }
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
    pub(crate) fn ranking<'a>(
        &'a self,
        slot: Slot,
        key: &[u8],
    ) -> impl Iterator<Item = &'a Arc<Member>> + Send + use<'a> {
        self.places.ranking(slot, key).map(|place| &self.members[place])
    }

    /// Whether a key had another owner lately, so that values are handed over.
    #[inline]
    pub(crate) fn is_handed_over(&self, spot: Spot<'_>, owner: &Arc<Member>) -> bool {
        let other = |before: &Before| {
            let place = before.places.owner(spot.slot, spot.key);
            !Arc::ptr_eq(&before.members[place], owner)
        };
        self.before.iter().any(other)
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

    /// How many slots have owners of another name than in `other`; of ketama's circle, of as many places.
    pub(crate) fn moved(&self, other: &View) -> usize {
        let owners = self.places.owners().zip(other.places.owners());
        owners
            .filter(|(own, others)| self.members[*own].name() != other.members[*others].name())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: usize) -> Vec<PoolNode> {
        let node = |n| PoolNode::new(format!("node-{n}"), "127.0.0.1:1", 1).expect("a node");
        (0..count).map(node).collect()
    }

    #[test]
    fn a_ranking_has_each_node_once_and_the_owner_first_however_keys_are_placed() {
        for placement in [Placement::Rendezvous, Placement::Ketama(KeyHash::Md5)] {
            let places = Places::new(placement, &nodes(5)).expect("places");
            let mut second = std::collections::HashSet::new();
            for n in 0..500 {
                let key = format!("key:{n}");
                let spot = Spot::new(key.as_bytes());
                let mut ranking: Vec<_> = places.ranking(spot.slot, spot.key).collect();
                assert_eq!(ranking[0], places.owner(spot.slot, spot.key));
                second.insert(ranking[1]);
                ranking.sort_unstable();
                assert_eq!(ranking, [0, 1, 2, 3, 4], "{placement:?}");
            }
            assert_eq!(second.len(), 5, "a node's keys go to all others when it is out");
        }
    }

    #[test]
    fn nodes_that_make_no_sense_have_no_places() {
        for placement in [Placement::Rendezvous, Placement::Ketama(KeyHash::Md5)] {
            assert!(Places::new(placement, &[]).is_err());
            let twice = [nodes(1), nodes(1)].concat();
            assert!(Places::new(placement, &twice).is_err());
        }
    }
}
