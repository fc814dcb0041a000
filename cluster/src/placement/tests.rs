//! Tests of placement.

use super::{Member, PlacementError, Table};
use crate::slot::Slot;

fn equal(count: usize) -> Vec<Member> {
    (0..count)
        .map(|index| Member::new(format!("node-{index}"), 1))
        .collect()
}

#[test]
fn members_that_cannot_be_placed_are_typed_errors() {
    assert_eq!(Table::new(&[]).unwrap_err(), PlacementError::NoMembers);
    assert_eq!(
        Table::new(&equal(1001)).unwrap_err(),
        PlacementError::TooManyMembers { count: 1001 }
    );
}

#[test]
fn a_ranking_names_each_member_once_and_the_owner_first() {
    let table = Table::new(&equal(7)).unwrap();
    for slot in Slot::all() {
        let mut ranking: Vec<_> = table.ranking(slot).collect();
        assert_eq!(ranking[0], table.owner(slot));
        ranking.sort_unstable();
        assert!(ranking.into_iter().eq(0..7));
    }
}
