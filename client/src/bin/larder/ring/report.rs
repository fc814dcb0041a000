//! What `larder ring` prints: a bar per node, a line per key, what moves.

use super::placed::Placed;
use crate::info::printable;
use crate::output::{self, Align, Style, Table, styled};
use crate::units;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How wide the bar of the fullest node is, in characters.
const BAR_WIDTH: f64 = 24.0;
/// How many moves between two nodes are printed; JSON has all.
const MOVES_SHOWN: usize = 20;
/// How many nodes of a key's ranking are printed; JSON has all.
const RANKS_SHOWN: usize = 5;

/// What moves by a change of the nodes.
#[derive(Debug)]
pub(super) struct Change {
    what: String,
    /// From whom, to whom, which share of all keys.
    moves: Vec<(String, String, f64)>,
    /// The least that any placement could move: what the nodes' fair shares differ by.
    least: f64,
}

impl Change {
    pub(super) fn new(what: String, before: &Placed, after: &Placed) -> Change {
        let fair = |placed: &Placed, name: &str| {
            let at = placed.members().iter().position(|member| member.name == name);
            at.map_or(0.0, |at| placed.fair_shares()[at])
        };
        let gains = after.members().iter().map(|member| {
            let gain = fair(after, &member.name) - fair(before, &member.name);
            gain.max(0.0)
        });
        Change {
            what,
            moves: before.moves(after),
            least: gains.sum(),
        }
    }

    fn share(&self) -> f64 {
        self.moves.iter().map(|(.., share)| share).sum()
    }
}

/// All that is shown.
pub(super) struct Report<'a> {
    pub(super) placed: &'a Placed,
    pub(super) keys: &'a [&'a [u8]],
    pub(super) changes: &'a [Change],
}

impl Report<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = self.nodes_text();
        if !self.keys.is_empty() {
            text.push('\n');
            text.push_str(&self.keys_text());
        }
        for change in self.changes {
            text.push('\n');
            text.push_str(&change_text(change));
        }
        text
    }

    fn nodes_text(&self) -> String {
        let (shares, fair) = (self.placed.shares(), self.placed.fair_shares());
        let over = |at: usize| shares[at] / fair[at] - 1.0;
        let fullest = shares.iter().copied().fold(0.0, f64::max);
        let block = if output::has_unicode() { "█" } else { "#" };
        let (parts, _) = self.placed.words();
        let mut table = Table::new(&[
            (Align::Left, "node"),
            (Align::Right, "weight"),
            (Align::Right, parts),
            (Align::Right, "share"),
            (Align::Right, "to fair"),
            (Align::Left, ""),
        ]);
        for (at, (member, slots)) in self.placed.members().iter().zip(self.placed.parts()).enumerate() {
            let bar = (shares[at] / fullest * BAR_WIDTH).round() as usize;
            table.row(vec![
                printable(&member.name),
                member.weight.to_string(),
                slots.to_string(),
                percent(shares[at]),
                format!("{:+.2}%", over(at) * 100.0),
                block.repeat(bar),
            ]);
        }
        let most = (0..shares.len()).map(over).fold(f64::NEG_INFINITY, f64::max);
        let nodes = units::plural(shares.len(), "node");
        format!(
            "{nodes}, the fullest {:.2}% over its fair share\n\n{}",
            most.max(0.0) * 100.0,
            table.render()
        )
    }

    fn keys_text(&self) -> String {
        let mut table = Table::new(&[
            (Align::Left, "key"),
            (Align::Right, self.placed.words().1),
            (Align::Left, "owner"),
            (Align::Left, "then"),
        ]);
        for key in self.keys {
            let home = self.placed.home(key);
            let mut names = home.ranking.iter().map(|name| printable(name));
            let owner = names.next().unwrap_or_default();
            let mut then = names.by_ref().take(RANKS_SHOWN - 1).collect::<Vec<_>>().join(", ");
            if names.next().is_some() {
                then.push_str(", ...");
            }
            table.row(vec![
                printable(&String::from_utf8_lossy(key)),
                home.place.to_string(),
                owner,
                then,
            ]);
        }
        table.render()
    }

    pub(super) fn json(&self) -> Value {
        let (shares, fair) = (self.placed.shares(), self.placed.fair_shares());
        let (parts, place) = self.placed.words();
        let members = self.placed.members().iter().zip(self.placed.parts()).enumerate();
        let nodes = members.map(|(at, (member, slots))| {
            json!({
                "node": member.name,
                "weight": member.weight,
                parts: slots,
                "share": shares[at],
                "fair_share": fair[at],
            })
        });
        let keys = self.keys.iter().map(|key| {
            let home = self.placed.home(key);
            json!({
                "key": String::from_utf8_lossy(key),
                place: home.place,
                "owner": home.ranking.first(),
                "ranking": home.ranking,
            })
        });
        let changes = self.changes.iter().map(|change| {
            let moves = change.moves.iter();
            json!({
                "change": change.what,
                "moved": change.share(),
                "least": change.least,
                "moves": moves.map(|(from, to, share)| json!({"from": from, "to": to, "share": share})).collect::<Vec<_>>(),
            })
        });
        json!({
            "nodes": nodes.collect::<Vec<_>>(),
            "keys": keys.collect::<Vec<_>>(),
            "changes": changes.collect::<Vec<_>>(),
        })
    }
}

fn change_text(change: &Change) -> String {
    let head = format!(
        "{}: {} of the keys move (at least {} must)",
        printable(&change.what),
        percent(change.share()),
        percent(change.least)
    );
    let mut text = format!("{}\n", styled(Style::Bold, &head));
    let mut table = Table::new(&[(Align::Left, "from"), (Align::Left, "to"), (Align::Right, "keys")]);
    for (from, to, share) in change.moves.iter().take(MOVES_SHOWN) {
        table.row(vec![printable(from), printable(to), percent(*share)]);
    }
    text.push_str(&table.render());
    if let Some(more @ 1..) = change.moves.len().checked_sub(MOVES_SHOWN) {
        let rest: f64 = change.moves[MOVES_SHOWN..].iter().map(|(.., share)| share).sum();
        let _ = writeln!(text, "and {} between {more} other pairs", percent(rest));
    }
    text
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_cluster::placement::Member;

    fn placed(members: &[(&str, u32)]) -> Placed {
        let members: Vec<_> = members
            .iter()
            .map(|(name, weight)| Member::new(*name, *weight))
            .collect();
        Placed::new(&members, None).expect("members")
    }

    #[test]
    fn the_text_has_a_line_for_each_node_key_and_move() {
        let (before, after) = (placed(&[("a", 1), ("b", 1)]), placed(&[("a", 1), ("b", 1), ("c", 2)]));
        let report = Report {
            placed: &before,
            keys: &[b"foo"],
            changes: &[Change::new("add c".to_string(), &before, &after)],
        };
        let text = report.text();
        assert!(text.starts_with("2 nodes, the fullest "), "{text}");
        assert!(text.contains("\nfoo  12182  "), "{text}");
        // c gets half of all keys, a quarter from each of the others.
        assert!(text.contains("of the keys move (at least 50.00% must)"), "{text}");
        assert!(text.contains("\na     c   2"), "{text}");
    }

    #[test]
    fn json_has_the_whole_ranking() {
        let names: Vec<String> = (0..12).map(|number| format!("n{number}")).collect();
        let members: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let placed = placed(&members);
        let report = Report {
            placed: &placed,
            keys: &[b"foo"],
            changes: &[],
        };
        assert_eq!(report.json()["keys"][0]["ranking"].as_array().map(Vec::len), Some(12));
        assert!(report.text().contains(", ...\n"));
    }
}
