//! Commands with many keys, cut into parts by node, and their replies put together in order. No sockets.

/// The keys of one part, as places in the caller's list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) place: usize,
    pub(super) picks: Vec<u32>,
}

/// Puts the items with the same place together, each group in the order of the list.
pub(super) fn group(places: impl Iterator<Item = usize>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_place: Vec<u32> = Vec::new();
    const NONE: u32 = u32::MAX;
    for (item, place) in places.enumerate() {
        if by_place.len() <= place {
            by_place.resize(place + 1, NONE);
        }
        if by_place[place] == NONE {
            by_place[place] = groups.len() as u32;
            groups.push(Group {
                place,
                picks: Vec::new(),
            });
        }
        groups[by_place[place] as usize].picks.push(item as u32);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_has_no_groups() {
        assert_eq!(group(std::iter::empty()), []);
    }

    proptest! {
        #[test]
        fn each_item_is_in_the_group_of_its_place_once_and_in_order(places in proptest::collection::vec(0usize..9, 0..100)) {
            let groups = group(places.iter().copied());
            let mut seen = vec![false; places.len()];
            for (at, group) in groups.iter().enumerate() {
                prop_assert!(groups[..at].iter().all(|other| other.place != group.place));
                prop_assert!(group.picks.is_sorted());
                for pick in &group.picks {
                    prop_assert_eq!(places[*pick as usize], group.place);
                    prop_assert!(!std::mem::replace(&mut seen[*pick as usize], true));
                }
            }
            prop_assert!(seen.into_iter().all(|seen| seen));
        }
    }
}
