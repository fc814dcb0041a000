//! A node as the client sees it: its connections, and the rules about trying again.

use crate::command::{Access, Request};
use crate::config::{Config, Target};
use crate::connection::{Connection, Counts, Endpoint, Pending};
use crate::dedicated::Dedicated;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::resp::{Encoder, Value};
use crate::retry::Budget;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A node and the connections to it.
#[derive(Debug)]
pub(crate) struct Node {
    endpoint: Endpoint,
    connections: Box<[Connection]>,
    turn: AtomicUsize,
    budget: Budget,
    /// Connections beside the shared ones.
    dedicated: Arc<Dedicated>,
    errors: AtomicU64,
    retries: AtomicU64,
}

impl Node {
    /// Starts connecting, in tasks of the current runtime.
    pub(crate) fn spawn(name: &Arc<str>, target: &Target, config: &Arc<Config>, events: &Events) -> Node {
        let connect = |_| Connection::spawn(Arc::clone(name), target.clone(), Arc::clone(config), events.clone());
        let endpoint = Endpoint {
            name: Arc::clone(name),
            target: target.clone(),
            config: Arc::clone(config),
        };
        Node {
            connections: (0..config.connections_per_node).map(connect).collect(),
            turn: AtomicUsize::new(0),
            budget: Budget::new(),
            errors: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            dedicated: Arc::new(Dedicated::new(endpoint.clone())),
            endpoint,
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.endpoint.name
    }

    /// How to connect to it.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Connections that one caller at a time has.
    pub(crate) fn dedicated(&self) -> &Arc<Dedicated> {
        &self.dedicated
    }

    pub(crate) fn target(&self) -> &Target {
        &self.endpoint.target
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.endpoint.config
    }

    /// Its connections, for their figures.
    pub(crate) fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// The figures of its connections together.
    pub(crate) fn counts(&self) -> Counts {
        self.connections.iter().fold(Counts::default(), |sum, connection| {
            let counts = connection.counts();
            Counts {
                calls: sum.calls + counts.calls,
                timeouts: sum.timeouts + counts.timeouts,
                connects: sum.connects + counts.connects,
                losses: sum.losses + counts.losses,
                bytes_in: sum.bytes_in + counts.bytes_in,
                bytes_out: sum.bytes_out + counts.bytes_out,
            }
        })
    }

    /// How many calls wait for a reply.
    pub(crate) fn pending(&self) -> usize {
        self.connections.iter().map(Connection::pending).sum()
    }

    /// The running mean of what calls took on its slowest connection, in microseconds.
    pub(crate) fn latency_us(&self) -> u64 {
        self.connections.iter().map(Connection::latency_us).max().unwrap_or(0)
    }

    /// Calls that failed, server's errors aside.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Calls that were made again.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// The connection whose turn it is.
    #[inline]
    fn connection(&self) -> &Connection {
        match &*self.connections {
            [only] => only,
            many => &many[self.turn.fetch_add(1, Ordering::Relaxed) % many.len()],
        }
    }

    /// Sends a request and waits for its reply; tries again if that can do no harm and the budget allows it. `timeout`
    /// is for all attempts together.
    ///
    /// # Errors
    /// As [`Connection::call`]; a server's error is a value.
    pub(crate) async fn call(&self, request: &impl Request, timeout: Duration) -> Result<Value> {
        let encode = |out: &mut Encoder<'_>| request.encode(out);
        let mut first = self.connection().ask(request.replies(), timeout, encode);
        let mut result = (&mut first).await;
        if result.is_ok() {
            self.earn();
            return result;
        }
        let (failed, before) = (Instant::now(), first.elapsed());
        let mut wait_at_most = self.config().backoff_min;
        for _ in 0..self.config().max_retries {
            let Err(error) = &result else { break };
            if !may_try_again(error, request.access()) || !self.spend() {
                break;
            }
            tokio::time::sleep(wait_at_most.mul_f64(fastrand::f64())).await;
            wait_at_most = wait_at_most.saturating_mul(2).min(self.config().backoff_max);
            let left = timeout.saturating_sub(before + failed.elapsed());
            if left.is_zero() {
                break;
            }
            result = self.attempt(request, left).await;
        }
        if result.is_err() {
            self.count_error();
        }
        result
    }

    /// A call succeeded: it pays a part of a retry.
    #[inline]
    pub(crate) fn earn(&self) {
        self.budget.earn();
    }

    /// Whether there is enough for a retry, which is paid for then.
    pub(crate) fn spend(&self) -> bool {
        let paid = self.budget.spend();
        self.retries.fetch_add(u64::from(paid), Ordering::Relaxed);
        paid
    }

    /// A call failed that was made with [`attempt`](Node::attempt).
    pub(crate) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends a request once.
    #[inline]
    pub(crate) fn attempt(&self, request: &impl Request, timeout: Duration) -> Pending<'_> {
        self.connection()
            .call(request.replies(), timeout, |out| request.encode(out))
    }

    /// Sends a request once, on the connection on which all with the same `pin` go: what is sent there later is executed
    /// later.
    pub(crate) fn attempt_pinned(&self, pin: usize, request: &impl Request, timeout: Duration) -> Pending<'_> {
        self.connections[pin % self.connections.len()].call(request.replies(), timeout, |out| request.encode(out))
    }
}

/// Whether trying again can do no harm, and may help.
pub(crate) fn may_try_again(error: &Error, access: Access) -> bool {
    match error {
        Error::Connect { .. } => true,
        Error::Lost { .. } | Error::Protocol { .. } => access == Access::Read,
        // Time is up, the load must be shed, or it would fail again.
        Error::Timeout { .. }
        | Error::Busy { .. }
        | Error::NodeUnavailable { .. }
        | Error::CrossNode { .. }
        | Error::Conflict { .. }
        | Error::Server(_)
        | Error::Decode(_)
        | Error::Usage(_)
        | Error::Closed => false,
    }
}
