//! A pool's nodes and what they own, whichever way of placing keys made it.

use larder_cluster::placement::{Member, Table};
use larder_cluster::slot::{SLOTS, Slot, slot_of};
use std::collections::BTreeMap;

/// Nodes and what they own.
#[derive(Debug)]
pub(super) struct Placed {
    table: Table,
}

/// Where a key belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Home<'a> {
    /// Its slot.
    pub(super) slot: u16,
    /// The nodes, the owner first, then those that stand in for it, one after the other.
    pub(super) ranking: Vec<&'a str>,
}

impl Placed {
    /// Places all keys on the nodes.
    ///
    /// # Errors
    /// What is wrong with the nodes.
    pub(super) fn new(members: &[Member]) -> Result<Placed, String> {
        let table = Table::new(members).map_err(|error| error.to_string())?;
        Ok(Placed { table })
    }

    pub(super) fn members(&self) -> &[Member] {
        self.table.members()
    }

    /// How many slots each node owns.
    pub(super) fn slots(&self) -> Vec<u32> {
        self.table.loads()
    }

    /// The share of all keys that each node owns, 0 to 1.
    pub(super) fn shares(&self) -> Vec<f64> {
        self.slots()
            .iter()
            .map(|slots| f64::from(*slots) / f64::from(SLOTS))
            .collect()
    }

    /// Each node's share of the weights.
    pub(super) fn fair_shares(&self) -> Vec<f64> {
        let weight = |member: &Member| f64::from(member.weight);
        let all: f64 = self.members().iter().map(weight).sum();
        self.members().iter().map(|member| weight(member) / all).collect()
    }

    /// Where a key belongs.
    pub(super) fn home(&self, key: &[u8]) -> Home<'_> {
        let slot = slot_of(key);
        let names = self.table.ranking(slot).map(|at| self.members()[at].name.as_str());
        Home {
            slot: slot.number(),
            ranking: names.collect(),
        }
    }

    /// Which share of all keys has another owner in `after`, by old and new owner; the largest first.
    pub(super) fn moves(&self, after: &Placed) -> Vec<(String, String, f64)> {
        let mut moved: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for slot in Slot::all() {
            let owners = (self.table.owner_name(slot), after.table.owner_name(slot));
            if owners.0 != owners.1 {
                *moved.entry(owners).or_default() += 1;
            }
        }
        let mut moves: Vec<_> = moved
            .into_iter()
            .map(|((from, to), slots)| (from.to_string(), to.to_string(), f64::from(slots) / f64::from(SLOTS)))
            .collect();
        moves.sort_by(|one, other| other.2.total_cmp(&one.2));
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(names: &[&str]) -> Placed {
        let members: Vec<_> = names.iter().map(|name| Member::new(*name, 1)).collect();
        Placed::new(&members).expect("members")
    }

    #[test]
    fn shares_add_up_and_a_ranking_names_every_node_once() {
        let placed = placed(&["a", "b", "c"]);
        assert!((placed.shares().iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let home = placed.home(b"{user}:1");
        assert_eq!(home, placed.home(b"{user}:2"));
        let mut names = home.ranking.clone();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn what_moves_goes_to_the_node_that_joins() {
        let (before, after) = (placed(&["a", "b", "c"]), placed(&["a", "b", "c", "d"]));
        let moves = before.moves(&after);
        let all: f64 = moves.iter().map(|(.., share)| share).sum();
        let to_new: f64 = moves
            .iter()
            .filter(|(_, to, _)| to == "d")
            .map(|(.., share)| share)
            .sum();
        assert!(all < 1.1 / 4.0 && to_new > 0.24, "{moves:?}");
        assert!(moves.is_sorted_by(|one, other| one.2 >= other.2));
        assert!(before.moves(&before).is_empty());
    }
}
