//! Tests of placement: its promises over many sets of members.

use proptest::prelude::*;

use super::{MAX_NAME_BYTES, MAX_WEIGHT, Member, PlacementError, Table};
use crate::slot::{SLOTS, Slot};

fn equal(count: usize) -> Vec<Member> {
    (0..count)
        .map(|index| Member::new(format!("node-{index}"), 1))
        .collect()
}

fn table(members: &[Member]) -> Table {
    Table::new(members).unwrap()
}

/// The part of all weight that is `member`'s.
fn share(members: &[Member], member: usize) -> f64 {
    let total: f64 = members.iter().map(|member| f64::from(member.weight)).sum();
    f64::from(members[member].weight) / total
}

/// The most slots that `member` may own: 3% over its fair share up to 30 members, 10% up to 100; one slot is not split.
fn most(members: &[Member], member: usize) -> f64 {
    let tolerance = if members.len() <= 30 { 1.03 } else { 1.10 };
    let fair = f64::from(SLOTS) * share(members, member);
    (fair * tolerance).max(fair.ceil())
}

fn expect_balance(members: &[Member]) {
    for (member, load) in table(members).loads().into_iter().enumerate() {
        let most = most(members, member);
        assert!(
            f64::from(load) <= most,
            "{} owns {load} slots of at most {most}",
            members[member].name
        );
    }
}

#[test]
fn members_that_cannot_be_placed_are_typed_errors() {
    assert_eq!(Table::new(&[]).unwrap_err(), PlacementError::NoMembers);
    assert_eq!(
        Table::new(&equal(1001)).unwrap_err(),
        PlacementError::TooManyMembers { count: 1001 }
    );
    let error = |name: &str, weight| Table::new(&[Member::new("a", 1), Member::new(name, weight)]).unwrap_err();
    assert_eq!(error("", 1), PlacementError::EmptyName { index: 1 });
    let bytes = MAX_NAME_BYTES + 1;
    assert_eq!(
        error(&"x".repeat(bytes), 1),
        PlacementError::LongName { index: 1, bytes }
    );
    assert_eq!(error("a", 1), PlacementError::DuplicateName { name: "a".to_owned() });
    for weight in [0, MAX_WEIGHT + 1] {
        let name = "b".to_owned();
        assert_eq!(error("b", weight), PlacementError::Weight { name, weight });
    }
    assert!(Table::new(&[Member::new("x".repeat(MAX_NAME_BYTES), MAX_WEIGHT)]).is_ok());
}

#[test]
fn every_count_up_to_a_hundred_is_balanced_and_moves_little() {
    let all = equal(100);
    for count in 1..=all.len() {
        expect_balance(&all[..count]);
    }
    let limit = |count: usize| if count <= 30 { 1.10 } else { 1.15 };
    for count in (2..=30).chain((35..=100).step_by(5)) {
        let before = table(&all[..count - 1]);
        let after = table(&all[..count]);
        let share = Table::moved(&before, &after) as f64 * count as f64 / f64::from(SLOTS);
        assert!(share <= limit(count), "{count} members: {share}/N move");
    }
}

#[test]
fn the_most_members_are_placed_whole() {
    let members = equal(1000);
    let loads = table(&members).loads();
    assert_eq!(loads.iter().sum::<u32>(), u32::from(SLOTS));
    assert!(loads.iter().all(|load| *load <= 32), "{loads:?}");
    // Weights as far apart as they may be.
    let mut extreme = equal(1000);
    extreme[7].weight = MAX_WEIGHT;
    assert!(table(&extreme).loads()[7] > 16_300);
}

#[test]
fn only_ratios_of_weights_matter() {
    let members = |factor: u32| -> Vec<_> {
        let weights = [1, 2, 3, 5, 8].map(|weight| weight * factor);
        let named = weights.iter().zip(0..);
        named
            .map(|(weight, index)| Member::new(format!("n{index}"), *weight))
            .collect()
    };
    let differ = Table::moved(&table(&members(1)), &table(&members(1000)));
    assert!(differ <= 2, "{differ} slots differ by rounding");
}

#[test]
fn names_with_the_same_hash_are_told_apart_by_their_order() {
    // A known collision of FNV-1a with 64 bits.
    let (a, b) = (
        Member::new("8yn0iYCKYHlIj4-BwPqk", 1),
        Member::new("GReLUrM4wMqfg9yzV3KQ", 1),
    );
    let (one, other) = (table(&[a.clone(), b.clone()]), table(&[b, a]));
    assert_eq!(Table::moved(&one, &other), 0);
    assert_eq!(one.loads().iter().sum::<u32>(), u32::from(SLOTS));
}

/// Members with different names and weights of up to `heaviest`.
fn members(counts: std::ops::RangeInclusive<usize>, heaviest: u32) -> impl Strategy<Value = Vec<Member>> {
    let member = ("[a-z0-9.:-]{1,20}", 1..=heaviest);
    proptest::collection::hash_map(member.0, member.1, counts).prop_map(|found| {
        let members = found.into_iter();
        members.map(|(name, weight)| Member { name, weight }).collect()
    })
}

/// How much more may move than the share that joined: 1.1 and 1.15 times it, as slots.
fn most_moved(count: usize) -> usize {
    let factor = if count <= 30 { 1.10 } else { 1.15 };
    (factor * f64::from(SLOTS) / count as f64) as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equal_members_are_balanced_and_a_leave_moves_little(members in members(2..=100, 1)) {
        expect_balance(&members);
        let moved = Table::moved(&table(&members), &table(&members[1..]));
        prop_assert!(moved <= most_moved(members.len()), "{moved} of {} members", members.len());
    }

    #[test]
    fn weighted_members_get_their_share(members in members(1..=100, 10)) {
        expect_balance(&members);
    }

    #[test]
    fn any_weights_are_balanced(members in members(1..=40, MAX_WEIGHT)) {
        expect_balance(&members);
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(members in members(1..=40, 5), seed in any::<u64>()) {
        let mut shuffled = members.clone();
        let mut state = seed;
        for last in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(last, (state >> 33) as usize % (last + 1));
        }
        let (given, other) = (table(&members), table(&shuffled));
        prop_assert_eq!(Table::moved(&given, &other), 0);
        let slot = Slot::new((state >> 50) as u16).unwrap();
        let names = |table: &Table| -> Vec<String> {
            table.ranking(slot).map(|member| table.members()[member].name.clone()).collect()
        };
        prop_assert_eq!(names(&given), names(&other));
    }

    #[test]
    fn a_ranking_names_each_member_once_and_the_owner_first(members in members(1..=60, 5), number in 0..SLOTS) {
        let table = table(&members);
        let slot = Slot::new(number).unwrap();
        let ranking: Vec<_> = table.ranking(slot).collect();
        prop_assert_eq!(ranking[0], table.owner(slot));
        prop_assert_eq!(table.ranking(slot).len(), members.len());
        let mut sorted = ranking;
        sorted.sort_unstable();
        prop_assert!(sorted.into_iter().eq(0..members.len()));
    }

    #[test]
    fn what_leaves_goes_to_the_next_in_the_ranking(members in members(3..=30, 1)) {
        let (before, after) = (table(&members), table(&members[1..]));
        let of_first = Slot::all().filter(|slot| before.owner(*slot) == 0);
        let (mut to_next, mut all) = (0, 0);
        for slot in of_first {
            let next = before.ranking(slot).nth(1).unwrap();
            to_next += usize::from(before.members()[next].name == after.owner_name(slot));
            all += 1;
        }
        prop_assert!(to_next * 100 >= all * 85, "{to_next} of {all}");
    }
}

/// FNV-1a of the owners' indices, two bytes each, the lower one first.
fn digest(table: &Table) -> String {
    let bytes = Slot::all().flat_map(|slot| (table.owner(slot) as u16).to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// `cluster/vectors/placement.json`: what other languages compare themselves with, written by `tests/vectors/placement.py`.
#[test]
fn placement_agrees_with_the_vectors() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../vectors/placement.json")).unwrap();
    let slots = vectors["slots"].as_object().unwrap();
    assert!(slots.len() >= 9);
    for (key, slot) in slots {
        assert_eq!(
            u64::from(crate::slot::slot_of(key.as_bytes()).number()),
            slot.as_u64().unwrap(),
            "{key}"
        );
    }
    let placements = vectors["placements"].as_array().unwrap();
    assert!(placements.len() >= 9);
    for case in placements {
        let member = |member: &serde_json::Value| {
            Member::new(
                member["name"].as_str().unwrap(),
                member["weight"].as_u64().unwrap() as u32,
            )
        };
        let members: Vec<_> = case["members"].as_array().unwrap().iter().map(member).collect();
        let table = table(&members);
        assert_eq!(serde_json::to_value(table.loads()).unwrap(), case["loads"]);
        assert_eq!(digest(&table), case["digest"].as_str().unwrap());
        let slot = |number: &String| Slot::new(number.parse().unwrap()).unwrap();
        for (number, owner) in case["owners"].as_object().unwrap() {
            assert_eq!(table.owner_name(slot(number)), owner.as_str().unwrap(), "slot {number}");
        }
        for (key, owner) in case["keys"].as_object().unwrap() {
            assert_eq!(
                members[table.owner_of(key.as_bytes())].name,
                owner.as_str().unwrap(),
                "{key}"
            );
        }
        for (number, ranking) in case["rankings"].as_object().unwrap() {
            let names: Vec<_> = table
                .ranking(slot(number))
                .take(8)
                .map(|member| &members[member].name)
                .collect();
            assert_eq!(&serde_json::to_value(names).unwrap(), ranking, "slot {number}");
        }
    }
}

#[test]
fn a_new_weight_moves_little_more_than_the_shares_that_change() {
    let mut members = equal(20);
    let before = table(&members);
    members[4].weight = 2;
    let after = table(&members);
    // From 1/20 to 2/21.
    let gained = f64::from(SLOTS) * (2.0 / 21.0 - 1.0 / 20.0);
    let moved = Table::moved(&before, &after) as f64;
    assert!(moved <= gained * 1.25, "{moved} slots for {gained}");
    expect_balance(&members);
}
