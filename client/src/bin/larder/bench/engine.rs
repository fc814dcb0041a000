//! The state that all connections of a run share: who sends what next, and what came back. No sockets here.
//!
//! One thread drives it, so it needs no lock:
//!
//! ```text
//!   closed loop: reply -> settle -> issue the next at once
//!   open loop:   pacer -> issue what is due, as far as clients are free
//!   issue:       choose a key, its node, a connection; append to what that sends
//! ```

use super::replies::Reply;
use super::requests::{Generator, Kind};
use super::tally::Tally;
use larder_cluster::placement::Table;
use std::collections::VecDeque;
use std::task::Waker;
use std::time::{Duration, Instant};

/// A request in flight.
#[derive(Clone, Copy, Debug)]
struct Flight {
    /// When it was sent; in an open loop, when it was due.
    began_ns: u64,
    kind: Kind,
}

/// A connection, without its socket.
#[derive(Debug, Default)]
pub(super) struct Lane {
    node: usize,
    /// Requests that the socket has not been offered yet.
    pub(super) out: Vec<u8>,
    flights: VecDeque<Flight>,
    /// When the server last sent something, or began to owe a reply.
    heard_ns: u64,
    /// Whether its socket is open.
    pub(super) is_up: bool,
    /// Its task must give it up.
    pub(super) is_dead: bool,
    /// Its task, if that sleeps, and whether it will look at this lane anyway.
    pub(super) waker: Option<Waker>,
    pub(super) is_awake: bool,
}

/// When requests of an open loop are due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    due_ns: f64,
    interval_ns: f64,
}

/// What is being worked off: the filling, the warm-up, or what is measured.
#[derive(Debug)]
pub(super) struct Phase {
    /// Requests not yet sent.
    left: u64,
    /// When to stop sending.
    end_ns: u64,
    pace: Option<Pace>,
    start_ns: u64,
    last_ns: u64,
    pub(super) tally: Tally,
}

impl Phase {
    fn wants_more(&self, now_ns: u64) -> bool {
        self.left > 0 && now_ns < self.end_ns
    }

    /// From the start to the last reply.
    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.last_ns - self.start_ns)
    }
}

/// How much there is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    pub(super) requests: u64,
    pub(super) limit: Option<Duration>,
    /// Requests per second; `None` is as fast as replies come.
    pub(super) rate: Option<f64>,
}

/// All that is shared.
#[derive(Debug)]
pub(super) struct Engine {
    epoch: Instant,
    pub(super) generator: Generator,
    /// Who owns which keys, if there are several nodes.
    table: Option<Table>,
    nodes: usize,
    pub(super) lanes: Vec<Lane>,
    /// Per node, whose turn it is.
    turns: Vec<usize>,
    clients: u64,
    in_flight: u64,
    timeout_ns: u64,
    pub(super) phase: Phase,
    /// What sockets are read into, one after the other.
    pub(super) buffer: Vec<u8>,
}

impl Engine {
    /// `per_node` connections for each of the table's members, or for one node.
    pub(super) fn new(
        generator: Generator,
        table: Option<Table>,
        per_node: usize,
        clients: u64,
        timeout: Duration,
    ) -> Engine {
        const READ_BYTES: usize = 256 * 1024;
        let nodes = table.as_ref().map_or(1, |table| table.members().len());
        let lane = |at| Lane {
            node: at / per_node,
            ..Lane::default()
        };
        Engine {
            epoch: Instant::now(),
            generator,
            table,
            nodes,
            lanes: (0..nodes * per_node).map(lane).collect(),
            turns: vec![0; nodes],
            clients,
            in_flight: 0,
            timeout_ns: timeout.as_nanos() as u64,
            phase: Phase {
                left: 0,
                end_ns: 0,
                pace: None,
                start_ns: 0,
                last_ns: 0,
                tally: Tally::new(nodes),
            },
            buffer: vec![0; READ_BYTES],
        }
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Begins something new; what came before must be over.
    pub(super) fn begin(&mut self, amount: Amount) -> Phase {
        let now_ns = self.now_ns();
        let phase = Phase {
            left: amount.requests,
            end_ns: amount
                .limit
                .map_or(u64::MAX, |limit| now_ns.saturating_add(limit.as_nanos() as u64)),
            pace: amount.rate.map(|rate| Pace {
                due_ns: now_ns as f64,
                interval_ns: 1e9 / rate,
            }),
            start_ns: now_ns,
            last_ns: now_ns,
            tally: Tally::new(self.nodes),
        };
        let before = std::mem::replace(&mut self.phase, phase);
        if amount.rate.is_none() {
            for _ in 0..self.clients {
                if self.phase.wants_more(now_ns) {
                    self.issue(now_ns, now_ns, None);
                }
            }
        }
        before
    }

    /// Sends nothing more.
    pub(super) fn stop(&mut self) {
        self.phase.end_ns = self.phase.end_ns.min(self.now_ns());
    }

    /// Whether all is sent and answered.
    pub(super) fn is_over(&self) -> bool {
        self.in_flight == 0 && self.phase.pace.is_none() && !self.phase.wants_more(self.now_ns())
    }

    /// Queues one request; `lane` is taken if the key belongs to its node.
    fn issue(&mut self, began_ns: u64, now_ns: u64, lane: Option<usize>) {
        let (kind, node) = self.generator.choose(self.table.as_ref());
        let at = match lane {
            Some(at) if self.lanes[at].node == node => at,
            _ => {
                let per_node = self.lanes.len() / self.nodes;
                let turn = self.turns[node];
                self.turns[node] = if turn + 1 == per_node { 0 } else { turn + 1 };
                node * per_node + turn
            }
        };
        let lane = &mut self.lanes[at];
        self.generator.encode(kind, &mut lane.out);
        if lane.flights.is_empty() {
            lane.heard_ns = now_ns;
        }
        lane.flights.push_back(Flight { began_ns, kind });
        self.phase.left -= 1;
        self.in_flight += 1;
        lane.wake();
    }

    /// Books a reply to the request that has waited longest on a connection.
    ///
    /// # Errors
    /// If none waits.
    #[inline]
    pub(super) fn settle(&mut self, at: usize, reply: Reply<'_>, now_ns: u64) -> Result<(), String> {
        let lane = &mut self.lanes[at];
        let Some(flight) = lane.flights.pop_front() else {
            return Err("a reply that nobody asked for".to_string());
        };
        self.in_flight -= 1;
        let tally = &mut self.phase.tally;
        match reply {
            Reply::Error(text) => {
                tally.failed(error_code(text), 1);
                return Ok(());
            }
            Reply::Value => tally.hits += 1,
            Reply::Nil => tally.misses += 1,
            Reply::Done => {}
        }
        tally.answered(flight.kind, lane.node, now_ns.saturating_sub(flight.began_ns));
        Ok(())
    }

    /// After replies on a connection: its clients go on.
    pub(super) fn settled(&mut self, at: usize, count: u64, now_ns: u64) {
        self.lanes[at].heard_ns = now_ns;
        self.phase.last_ns = now_ns;
        self.go_on(Some(at), count, now_ns);
    }

    fn go_on(&mut self, at: Option<usize>, count: u64, now_ns: u64) {
        // In an open loop the pacer sends what is due.
        if self.phase.pace.is_some() {
            return;
        }
        for _ in 0..count {
            if !self.phase.wants_more(now_ns) {
                return;
            }
            self.issue(now_ns, now_ns, at);
        }
    }

    /// A connection is gone and what was on it failed; its clients go on.
    pub(super) fn fail(&mut self, at: usize, kind: &str) {
        let now_ns = self.now_ns();
        let lane = &mut self.lanes[at];
        let failed = lane.flights.len() as u64;
        lane.flights.clear();
        lane.out.clear();
        lane.is_dead = false;
        self.in_flight -= failed;
        self.phase.last_ns = now_ns;
        self.phase.tally.failed(kind, failed);
        self.go_on(None, failed, now_ns);
    }

    /// Gives connections up on which the server owes a reply for too long.
    pub(super) fn find_silent(&mut self) {
        let now_ns = self.now_ns();
        for lane in &mut self.lanes {
            let is_silent = now_ns.saturating_sub(lane.heard_ns) > self.timeout_ns;
            if lane.is_up && is_silent && !lane.flights.is_empty() {
                lane.is_dead = true;
                lane.wake();
            }
        }
    }

    /// Open loop: queues what is due, as far as clients are free. Returns how long nothing is due; `None` if that was
    /// all, or it is a closed loop.
    pub(super) fn send_due(&mut self) -> Option<Duration> {
        let mut pace = self.phase.pace?;
        let now_ns = self.now_ns();
        let end_ns = self.phase.end_ns as f64;
        while pace.due_ns <= now_ns as f64
            && pace.due_ns < end_ns
            && self.phase.left > 0
            && self.in_flight < self.clients
        {
            self.issue(pace.due_ns as u64, now_ns, None);
            pace.due_ns += pace.interval_ns;
        }
        if self.phase.left > 0 && pace.due_ns < end_ns && (now_ns as f64) < end_ns {
            self.phase.pace = Some(pace);
            return Some(Duration::from_nanos((pace.due_ns - now_ns as f64).max(0.0) as u64));
        }
        // What was due and could not be sent has waited, too; to leave it out would flatter the server.
        while self.phase.left > 0 && pace.due_ns < end_ns.min(now_ns as f64) {
            let waited_ns = now_ns - pace.due_ns as u64;
            self.phase.tally.waited_in_vain(waited_ns);
            self.phase.left -= 1;
            pace.due_ns += pace.interval_ns;
        }
        self.phase.pace = None;
        self.phase.left = 0;
        None
    }
}

impl Lane {
    /// Has its task look at it.
    fn wake(&mut self) {
        if !self.is_awake {
            self.is_awake = true;
            if let Some(waker) = &self.waker {
                waker.wake_by_ref();
            }
        }
    }
}

/// The word in front of a server's error.
fn error_code(text: &str) -> &str {
    let word = text.split(' ').next().unwrap_or_default();
    let is_code = !word.is_empty() && word.len() <= 32 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { word } else { "error" }
}

#[cfg(test)]
mod tests;
