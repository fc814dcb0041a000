//! A pool's nodes and what they own, whichever way of placing keys made it.

use larder_cluster::ketama::{Continuum, KeyHash};
use larder_cluster::placement::{Member, Table};
use larder_cluster::slot::{SLOTS, Slot, slot_of};
use std::collections::BTreeMap;

/// How many places ketama's circle has.
const CIRCLE: f64 = 4_294_967_296.0;

/// How keys are placed.
#[derive(Debug)]
enum Way {
    /// On slots, as Larder's pools do.
    Slots(Table),
    /// On a circle, as pools of memcached and twemproxy do.
    Ketama(Continuum, KeyHash),
}

/// Nodes and what they own.
#[derive(Debug)]
pub(super) struct Placed {
    members: Vec<Member>,
    way: Way,
}

/// Where a key belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Home<'a> {
    /// Its slot, or its place on the circle.
    pub(super) place: u32,
    /// The nodes, the owner first, then those that stand in for it, one after the other.
    pub(super) ranking: Vec<&'a str>,
}

impl Placed {
    /// Places all keys on the nodes; by ketama, if a hash for it is given.
    ///
    /// # Errors
    /// What is wrong with the nodes.
    pub(super) fn new(members: &[Member], ketama: Option<KeyHash>) -> Result<Placed, String> {
        let way = match ketama {
            None => Table::new(members).map(Way::Slots),
            Some(hash) => Continuum::new(members, hash).map(|circle| Way::Ketama(circle, hash)),
        };
        Ok(Placed {
            members: members.to_vec(),
            way: way.map_err(|error| error.to_string())?,
        })
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// How many slots each node owns, or how many points of the circle.
    pub(super) fn parts(&self) -> Vec<u32> {
        match &self.way {
            Way::Slots(table) => table.loads(),
            Way::Ketama(circle, _) => {
                let mut points = vec![0; self.members.len()];
                for (_, at) in circle.points() {
                    points[usize::from(*at)] += 1;
                }
                points
            }
        }
    }

    /// What the nodes' parts, and the place of a key, are called.
    pub(super) fn words(&self) -> (&'static str, &'static str) {
        match self.way {
            Way::Slots(_) => ("slots", "slot"),
            Way::Ketama(..) => ("points", "place"),
        }
    }

    /// The share of all keys that each node owns, 0 to 1.
    pub(super) fn shares(&self) -> Vec<f64> {
        match &self.way {
            Way::Slots(_) => self
                .parts()
                .iter()
                .map(|slots| f64::from(*slots) / f64::from(SLOTS))
                .collect(),
            Way::Ketama(circle, _) => {
                let mut shares = vec![0.0; self.members.len()];
                let points: Vec<u32> = circle.points().iter().map(|(point, _)| *point).collect();
                for (place, share) in arcs(&points) {
                    shares[circle.owner_at(place)] += share;
                }
                shares
            }
        }
    }

    /// Each node's share of the weights.
    pub(super) fn fair_shares(&self) -> Vec<f64> {
        let weight = |member: &Member| f64::from(member.weight);
        let all: f64 = self.members.iter().map(weight).sum();
        self.members.iter().map(|member| weight(member) / all).collect()
    }

    /// Where a key belongs.
    pub(super) fn home(&self, key: &[u8]) -> Home<'_> {
        let name = |at: usize| self.members[at].name.as_str();
        match &self.way {
            Way::Slots(table) => {
                let slot = slot_of(key);
                Home {
                    place: u32::from(slot.number()),
                    ranking: table.ranking(slot).map(name).collect(),
                }
            }
            Way::Ketama(circle, hash) => {
                let place = hash.of(key);
                let points = circle.points();
                let start = points.partition_point(|(point, _)| *point < place);
                let (before, behind) = points.split_at(start);
                let mut ranking: Vec<&str> = Vec::new();
                for (_, at) in behind.iter().chain(before) {
                    if !ranking.contains(&name(usize::from(*at))) {
                        ranking.push(name(usize::from(*at)));
                    }
                }
                Home { place, ranking }
            }
        }
    }

    /// The owner of each part of all keys, and what share of them that is, cut so that both have one owner per part.
    fn parts_with(&self, other: &Placed) -> Vec<(usize, usize, f64)> {
        match (&self.way, &other.way) {
            (Way::Slots(one), Way::Slots(two)) => {
                let share = 1.0 / f64::from(SLOTS);
                Slot::all()
                    .map(|slot| (one.owner(slot), two.owner(slot), share))
                    .collect()
            }
            (Way::Ketama(one, _), Way::Ketama(two, _)) => {
                let all = one.points().iter().chain(two.points());
                let mut cuts: Vec<u32> = all.map(|(point, _)| *point).collect();
                cuts.sort_unstable();
                let owners = |(place, share)| (one.owner_at(place), two.owner_at(place), share);
                arcs(&cuts).map(owners).collect()
            }
            // Nobody compares these.
            _ => Vec::new(),
        }
    }

    /// Which share of all keys has another owner in `after`, by old and new owner; the largest first.
    pub(super) fn moves(&self, after: &Placed) -> Vec<(String, String, f64)> {
        let mut moved: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (from, to, share) in self.parts_with(after) {
            let names = (self.members[from].name.as_str(), after.members[to].name.as_str());
            if names.0 != names.1 {
                *moved.entry(names).or_default() += share;
            }
        }
        let mut moves: Vec<_> = moved
            .into_iter()
            .map(|((from, to), share)| (from.to_string(), to.to_string(), share))
            .collect();
        moves.sort_by(|one, other| other.2.total_cmp(&one.2));
        moves
    }
}

/// The arcs that end at these ascending places, and which share of the circle they are. The first begins behind the
/// last place.
fn arcs(places: &[u32]) -> impl Iterator<Item = (u32, f64)> {
    let last = places.last().copied().unwrap_or(0);
    let mut before = f64::from(last) - CIRCLE;
    places.iter().map(move |place| {
        let share = (f64::from(*place) - before) / CIRCLE;
        before = f64::from(*place);
        (*place, share)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAYS: [Option<KeyHash>; 2] = [None, Some(KeyHash::Md5)];

    fn placed(names: &[&str], ketama: Option<KeyHash>) -> Placed {
        let members: Vec<_> = names.iter().map(|name| Member::new(*name, 1)).collect();
        Placed::new(&members, ketama).expect("members")
    }

    #[test]
    fn shares_add_up_and_a_ranking_names_every_node_once() {
        for way in WAYS {
            let placed = placed(&["a", "b", "c"], way);
            assert!((placed.shares().iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let home = placed.home(b"user:1");
            let mut names = home.ranking.clone();
            names.sort_unstable();
            assert_eq!(names, ["a", "b", "c"]);
        }
        let placed = placed(&["a", "b", "c"], None);
        assert_eq!(placed.home(b"{user}:1"), placed.home(b"{user}:2"));
    }

    #[test]
    fn shares_of_the_circle_are_those_that_keys_find() {
        let placed = placed(&["a", "b", "c"], Some(KeyHash::Md5));
        let mut counts = [0u32; 3];
        for number in 0..30_000 {
            let key = format!("key:{number}");
            let owner = placed.home(key.as_bytes()).ranking[0];
            counts[["a", "b", "c"]
                .iter()
                .position(|name| *name == owner)
                .expect("one of them")] += 1;
        }
        for (count, share) in counts.iter().zip(placed.shares()) {
            // Five standard deviations of a third of 30,000.
            assert!((f64::from(*count) - share * 30_000.0).abs() < 410.0, "{counts:?}");
        }
    }

    #[test]
    fn what_moves_goes_to_the_node_that_joins() {
        for (way, most) in WAYS.into_iter().zip([1.1 / 4.0, 0.35]) {
            let (before, after) = (placed(&["a", "b", "c"], way), placed(&["a", "b", "c", "d"], way));
            let moves = before.moves(&after);
            let all: f64 = moves.iter().map(|(.., share)| share).sum();
            let to_new: f64 = moves
                .iter()
                .filter(|(_, to, _)| to == "d")
                .map(|(.., share)| share)
                .sum();
            assert!(all < most && to_new > 0.2, "{moves:?}");
            assert!(moves.is_sorted_by(|one, other| one.2 >= other.2));
            assert!(before.moves(&before).is_empty());
            let gained = after.shares()[3];
            assert!(
                way.is_none() || (all - gained).abs() < 1e-9,
                "ketama moves nothing else"
            );
        }
    }
}
