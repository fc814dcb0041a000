//! What `larder top` knows and what its user has chosen; no terminal here.

use super::poll::Look;
use super::sample::{Frame, Sample};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

/// How many past frames are drawn.
const HISTORY: usize = 512;

/// What is known of a node.
#[derive(Debug)]
pub(super) enum Status {
    /// Nothing yet, or one sample.
    Waiting,
    Up(Frame),
    /// Why there is nothing to show.
    Down(String),
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) status: Status,
    last: Option<Sample>,
    /// Operations per second, the latest last; 0 while it was down.
    pub(super) history: VecDeque<u64>,
}

impl Node {
    pub(super) fn frame(&self) -> Option<&Frame> {
        match &self.status {
            Status::Up(frame) => Some(frame),
            Status::Waiting | Status::Down(_) => None,
        }
    }
}

/// What nodes can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Node,
    Ops,
    Hits,
    Memory,
    P99,
    Clients,
    Evicted,
    Expired,
    Uptime,
    Server,
}

impl Column {
    /// In the order in which they are shown.
    pub(super) const ALL: [Column; 10] = [
        Column::Node,
        Column::Ops,
        Column::Hits,
        Column::Memory,
        Column::P99,
        Column::Clients,
        Column::Evicted,
        Column::Expired,
        Column::Uptime,
        Column::Server,
    ];

    fn key(self, frame: &Frame) -> f64 {
        match self {
            Column::Node | Column::Server => 0.0,
            Column::Ops => frame.ops_per_s,
            Column::Hits => frame.hit_ratio.unwrap_or(-1.0),
            Column::Memory => frame.memory_bytes as f64,
            Column::P99 => frame.p99_us.map_or(-1.0, |us| us as f64),
            Column::Clients => frame.clients as f64,
            Column::Evicted => frame.evicted_per_s,
            Column::Expired => frame.expired_per_s,
            Column::Uptime => frame.uptime_s as f64,
        }
    }

    /// How two nodes stand to each other: names in ascending order, numbers in descending, nodes without last.
    fn compare(self, one: &Node, other: &Node) -> Ordering {
        let (Some(mine), Some(yours)) = (one.frame(), other.frame()) else {
            let missing = |node: &Node| node.frame().is_none();
            let by_name = if self == Column::Node {
                one.name.cmp(&other.name)
            } else {
                Ordering::Equal
            };
            return by_name.then(missing(one).cmp(&missing(other)));
        };
        match self {
            Column::Node => one.name.cmp(&other.name),
            Column::Server => mine.program.cmp(&yours.program),
            _ => self.key(yours).total_cmp(&self.key(mine)),
        }
    }
}

/// What a user may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    SortLeft,
    SortRight,
    Up,
    Down,
}

/// All nodes and choices.
#[derive(Debug)]
pub(super) struct App {
    pub(super) nodes: Vec<Node>,
    pub(super) interval: Duration,
    /// `None` is the order in which the nodes were given.
    pub(super) sort: Option<Column>,
    /// Indices into the nodes, as they are shown.
    order: Vec<usize>,
    /// The chosen node's index.
    chosen: usize,
}

impl App {
    pub(super) fn new(names: Vec<String>, interval: Duration) -> App {
        let node = |name| Node {
            name,
            status: Status::Waiting,
            last: None,
            history: VecDeque::new(),
        };
        App {
            order: (0..names.len()).collect(),
            nodes: names.into_iter().map(node).collect(),
            interval,
            sort: None,
            chosen: 0,
        }
    }

    /// Takes what a look saw.
    pub(super) fn take(&mut self, look: Look) {
        let node = &mut self.nodes[look.node];
        match look.seen {
            Err(why) => {
                node.status = Status::Down(why);
                node.last = None;
            }
            Ok(sample) => {
                let frame = node.last.as_ref().and_then(|last| Frame::between(last, &sample));
                node.status = frame.map_or(Status::Waiting, Status::Up);
                node.last = Some(sample);
            }
        }
        if node.history.len() == HISTORY {
            node.history.pop_front();
        }
        let ops_per_s = node.frame().map_or(0.0, |frame| frame.ops_per_s);
        node.history.push_back(ops_per_s.round() as u64);
        self.arrange();
    }

    /// Does what the user wants.
    pub(super) fn wish(&mut self, wish: Wish) {
        let choices = Column::ALL.len() + 1;
        let at = self.sort.map_or(0, |column| 1 + column as usize);
        let row = self.row();
        match wish {
            Wish::SortLeft | Wish::SortRight => {
                let step = if wish == Wish::SortRight { 1 } else { choices - 1 };
                let next = (at + step) % choices;
                self.sort = next.checked_sub(1).map(|at| Column::ALL[at]);
                self.arrange();
            }
            Wish::Up => self.chosen = self.order[row.saturating_sub(1)],
            Wish::Down => self.chosen = self.order[(row + 1).min(self.order.len() - 1)],
        }
    }

    fn arrange(&mut self) {
        self.order = (0..self.nodes.len()).collect();
        if let Some(column) = self.sort {
            self.order
                .sort_by(|one, other| column.compare(&self.nodes[*one], &self.nodes[*other]));
        }
    }

    /// The nodes as they are shown.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Node> {
        self.order.iter().map(|at| &self.nodes[*at])
    }

    /// The chosen node.
    pub(super) fn chosen(&self) -> &Node {
        &self.nodes[self.chosen]
    }

    /// Its row.
    pub(super) fn row(&self) -> usize {
        self.order.iter().position(|at| *at == self.chosen).unwrap_or(0)
    }

    /// How many nodes cannot be reached.
    pub(super) fn down(&self) -> usize {
        let is_down = |node: &&Node| matches!(node.status, Status::Down(_));
        self.nodes.iter().filter(is_down).count()
    }

    /// Whether there is something to say about each node.
    pub(super) fn is_complete(&self) -> bool {
        self.nodes.iter().all(|node| !matches!(node.status, Status::Waiting))
    }

    /// Operations per second of all nodes.
    pub(super) fn ops_per_s(&self) -> f64 {
        let frames = self.nodes.iter().filter_map(Node::frame);
        // Not `sum`, which of nothing is -0.
        frames.fold(0.0, |sum, frame| sum + frame.ops_per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Info;
    use std::time::Instant;

    fn sample(at: Instant, ops: u64) -> Sample {
        Sample {
            at,
            info: Info::parse(format!("run_id:x\ntotal_commands_processed:{ops}\n").as_bytes()),
            latencies: None,
        }
    }

    fn look(node: usize, seen: Result<Sample, String>) -> Look {
        Look { node, seen }
    }

    /// Three nodes: the first slow, the second fast, the third down.
    fn app() -> App {
        let mut app = App::new(["a", "b", "c"].map(str::to_string).to_vec(), Duration::from_secs(1));
        let at = Instant::now();
        let later = at + Duration::from_secs(1);
        assert!(!app.is_complete());
        for (node, ops) in [(0, 10), (1, 20)] {
            app.take(look(node, Ok(sample(at, 0))));
            app.take(look(node, Ok(sample(later, ops))));
        }
        app.take(look(2, Err("refused".to_string())));
        app
    }

    fn names(app: &App) -> Vec<&str> {
        app.rows().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn no_figures_are_no_operations() {
        let app = App::new(vec!["a".to_string()], Duration::from_secs(1));
        assert!(app.ops_per_s().is_sign_positive());
    }

    #[test]
    fn nodes_are_sorted_by_the_column_of_choice_and_those_down_are_last() {
        let mut app = app();
        assert!(app.is_complete() && app.down() == 1);
        assert_eq!(app.ops_per_s(), 30.0);
        assert_eq!(names(&app), ["a", "b", "c"]);
        app.wish(Wish::SortRight);
        app.wish(Wish::SortRight);
        assert_eq!(app.sort, Some(Column::Ops));
        assert_eq!(names(&app), ["b", "a", "c"]);
        app.wish(Wish::SortLeft);
        app.wish(Wish::SortLeft);
        assert_eq!((app.sort, names(&app)), (None, vec!["a", "b", "c"]));
        app.wish(Wish::SortLeft);
        assert_eq!(app.sort, Some(Column::Server));
    }

    #[test]
    fn the_choice_follows_the_node_and_stays_within_the_list() {
        let mut app = app();
        app.wish(Wish::Up);
        assert_eq!(app.chosen().name, "a");
        for _ in 0..5 {
            app.wish(Wish::Down);
        }
        assert_eq!(app.chosen().name, "c");
        app.wish(Wish::Up);
        app.sort = Some(Column::Ops);
        app.arrange();
        assert_eq!((app.chosen().name.as_str(), app.row()), ("b", 0));
    }

    #[test]
    fn a_node_that_comes_back_is_waited_for_and_then_shown() {
        let mut app = app();
        let at = Instant::now();
        app.take(look(2, Ok(sample(at, 5))));
        assert!(matches!(app.nodes[2].status, Status::Waiting));
        app.take(look(2, Ok(sample(at + Duration::from_secs(1), 12))));
        assert_eq!(app.nodes[2].frame().map(|frame| frame.ops_per_s), Some(7.0));
        assert_eq!(app.nodes[2].history, [0, 0, 7]);
    }

    #[test]
    fn history_is_bounded() {
        let mut app = app();
        for _ in 0..2 * HISTORY {
            app.take(look(0, Err("gone".to_string())));
        }
        assert_eq!(app.nodes[0].history.len(), HISTORY);
    }
}
