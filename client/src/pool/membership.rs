//! Changes of the membership: what each node gained and lost, and which of its values are not believed because of that.
//!
//! A node that loses a slot keeps what it has in it. If the slot comes back, in whatever way (it was removed and added,
//! its weight fell and rose, another node came and went), those values may be old: others have owned the slot since.

use super::Pool;
use super::config::{Placement, PoolNode};
use super::handover::LATE_MS;
use super::member::{Member, Shared};
use super::missed::SlotSet;
use super::view::{Places, View};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::node::Node;
use larder_cluster::slot::Slot;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

/// How many nodes' losses are remembered; 2 KiB each. If there are more, a node that is new is believed nothing.
const MAX_NAMES: usize = 4096;

/// What is remembered of nodes across memberships.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The slots that each node once owned and lost.
    lost: HashMap<String, SlotSet>,
    /// Some were forgotten.
    forgot: bool,
}

impl Ledger {
    /// The first membership: what its nodes have is believed.
    pub(super) fn first(
        &mut self,
        nodes: Vec<PoolNode>,
        placement: Placement,
        config: &Arc<Config>,
        shared: &Arc<Shared>,
    ) -> Result<View> {
        let places = Places::new(placement, &nodes)?;
        let members = nodes.iter().map(|node| Arc::new(member(node, config, shared)));
        Ok(View {
            version: 1,
            places: Arc::new(places),
            members: members.collect(),
            nodes: nodes.into(),
            before: Vec::new(),
        })
    }

    /// Notes who loses what to whom; for each node of the new membership, which slots it had before.
    fn account(&mut self, old: &View, new: &Places, nodes: &[PoolNode]) -> Vec<SlotSet> {
        if matches!(new, Places::Ketama(..)) {
            return self.account_wholly(old, nodes);
        }
        let mut regained = vec![SlotSet::default(); nodes.len()];
        for ((slot, loser), place) in Slot::all().zip(old.places.owners()).zip(new.owners()) {
            let loser = &old.nodes[loser].name;
            let winner = &nodes[place].name;
            if loser == winner {
                continue;
            }
            self.remember(loser);
            if let Some(lost) = self.lost.get_mut(loser) {
                lost.insert(slot);
            }
            if let Some(lost) = self.lost.get_mut(winner)
                && lost.contains(slot)
            {
                lost.remove(slot);
                regained[place].insert(slot);
            }
        }
        regained
    }

    /// The same without slots: whoever was there at an earlier change may have lost any key, and may get any back.
    fn account_wholly(&mut self, old: &View, nodes: &[PoolNode]) -> Vec<SlotSet> {
        let regained = |node: &PoolNode| match self.lost.contains_key(&node.name) {
            true => SlotSet::all(),
            false => SlotSet::default(),
        };
        let regained = nodes.iter().map(regained).collect();
        old.nodes.iter().for_each(|node| self.remember(&node.name));
        regained
    }

    /// Makes room for what a node loses.
    fn remember(&mut self, name: &str) {
        if !self.lost.contains_key(name) {
            if self.lost.len() >= MAX_NAMES {
                self.lost.clear();
                self.forgot = true;
            }
            self.lost.insert(name.to_string(), SlotSet::default());
        }
    }
}

fn member(node: &PoolNode, config: &Arc<Config>, shared: &Arc<Shared>) -> Member {
    let name: Arc<str> = node.name.as_str().into();
    Member::new(Node::spawn(&name, &node.target, config, &shared.events), shared)
}

impl Pool {
    /// Changes the membership; its number. The same nodes as before change nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no node, or names or weights make no sense; then all stays as it is.
    pub(crate) fn update(&self, nodes: Vec<PoolNode>) -> Result<u64> {
        self.change(|_| Ok(nodes))
    }

    /// Changes the membership to what `change` makes of the nodes of today; its number.
    ///
    /// # Errors
    /// As [`update`](Pool::update), and those of `change`.
    pub(crate) fn change(&self, change: impl FnOnce(&[PoolNode]) -> Result<Vec<PoolNode>>) -> Result<u64> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.view.load_full();
        let nodes = change(&old.nodes)?;
        if *nodes == *old.nodes {
            return Ok(old.version);
        }
        let places = Places::new(self.options.placement, &nodes)?;
        let regained = ledger.account(&old, &places, &nodes);
        let members = nodes
            .iter()
            .zip(&regained)
            .map(|(node, regained)| self.keep_or_add(&old, node, regained, ledger.forgot))
            .collect();
        let now_ms = self.shared.now_ms();
        let handover_ms = self.options.handover.as_millis() as u64;
        let new = View {
            version: old.version + 1,
            places: Arc::new(places),
            members,
            nodes: nodes.into(),
            before: match handover_ms {
                0 => Vec::new(),
                ms => old.as_before(now_ms, now_ms + ms),
            },
        };
        let (version, nodes, moved) = (new.version, new.nodes.len(), new.moved(&old));
        self.view.store(Arc::new(new));
        drop(ledger);
        self.shared
            .events
            .send(Event::MembershipChanged { version, nodes, moved });
        Ok(version)
    }

    /// The member of before with its connections and its log, or a new one.
    fn keep_or_add(&self, old: &View, node: &PoolNode, regained: &SlotSet, forgot: bool) -> Arc<Member> {
        let earlier = old.before.iter().flat_map(|before| before.members.iter());
        let known = old
            .members
            .iter()
            .chain(earlier)
            .find(|member| **member.name() == *node.name);
        match known {
            Some(known) if *known.node.target() == node.target => {
                known.distrust(regained);
                Arc::clone(known)
            }
            known => {
                let config = Arc::new(self.options.config.clone());
                let member = member(node, &config, &self.shared);
                // Another machine under a known name: nobody knows what it has.
                let nothing_known = known.is_some() || forgot;
                if nothing_known {
                    member.distrust(&SlotSet::all());
                } else {
                    member.distrust(regained);
                }
                Arc::new(member)
            }
        }
    }

    /// Ends handovers that are due.
    pub(super) fn end_handovers(&self) {
        let now_ms = self.shared.now_ms();
        let due = |view: &View| view.before.iter().any(|before| before.until_ms + LATE_MS <= now_ms);
        if !due(&self.view.load()) {
            return;
        }
        let _no_change_meanwhile = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let mut view = View::clone(&self.view.load());
        view.before.retain(|before| before.until_ms + LATE_MS > now_ms);
        self.view.store(Arc::new(view));
    }

    /// Adds a node, or changes the address and weight of the one with its name.
    ///
    /// # Errors
    /// As [`update`](Pool::update).
    pub(crate) fn add(&self, node: PoolNode) -> Result<u64> {
        self.change(|nodes| {
            let mut nodes = nodes.to_vec();
            match nodes.iter_mut().find(|known| known.name == node.name) {
                Some(known) => *known = node,
                None => nodes.push(node),
            }
            Ok(nodes)
        })
    }

    /// Removes a node by its name.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no such node, or it is the last.
    pub(crate) fn remove(&self, name: &str) -> Result<u64> {
        self.change(|nodes| {
            let mut nodes = nodes.to_vec();
            let at = position(&nodes, name)?;
            nodes.remove(at);
            Ok(nodes)
        })
    }

    /// Changes the weight of a node by its name.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no such node, or the weight is out of its range.
    pub(crate) fn reweigh(&self, name: &str, weight: u32) -> Result<u64> {
        self.change(|nodes| {
            let mut nodes = nodes.to_vec();
            let at = position(&nodes, name)?;
            nodes[at].weight = weight;
            Ok(nodes)
        })
    }
}

fn position(nodes: &[PoolNode], name: &str) -> Result<usize> {
    let found = nodes.iter().position(|node| node.name == name);
    found.ok_or_else(|| Error::Usage(format!("there is no node '{name}' in this pool")))
}
