//! A node as the client sees it: its connections, and the rules about trying again.

use crate::command::{Access, Request};
use crate::config::{Config, Target};
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::resp::Value;
use crate::retry::Budget;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A node and the connections to it.
#[derive(Debug)]
pub(crate) struct Node {
    name: Arc<str>,
    connections: Box<[Connection]>,
    turn: AtomicUsize,
    budget: Budget,
    config: Arc<Config>,
}

impl Node {
    /// Starts connecting, in tasks of the current runtime.
    pub(crate) fn spawn(name: Arc<str>, target: &Target, config: &Arc<Config>, events: &Events) -> Node {
        let connect = |_| Connection::spawn(Arc::clone(&name), target.clone(), Arc::clone(config), events.clone());
        Node {
            connections: (0..config.connections_per_node).map(connect).collect(),
            turn: AtomicUsize::new(0),
            budget: Budget::new(),
            config: Arc::clone(config),
            name,
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its connections, for their figures.
    pub(crate) fn connections(&self) -> &[Connection] {
        &self.connections
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
        let mut result = self.attempt(request, timeout).await;
        let began = match &result {
            Ok(_) => {
                self.budget.earn();
                return result;
            }
            Err(_) => Instant::now(),
        };
        let mut wait_at_most = self.config.backoff_min;
        for _ in 0..self.config.max_retries {
            let Err(error) = &result else { break };
            if !may_try_again(error, request.access()) || !self.budget.spend() {
                break;
            }
            tokio::time::sleep(wait_at_most.mul_f64(fastrand::f64())).await;
            wait_at_most = wait_at_most.saturating_mul(2).min(self.config.backoff_max);
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            result = self.attempt(request, left).await;
        }
        result
    }

    #[inline]
    async fn attempt(&self, request: &impl Request, timeout: Duration) -> Result<Value> {
        self.connection()
            .ask(request.replies(), timeout, |out| request.encode(out))
            .await
    }
}

/// Whether trying again can do no harm, and may help.
fn may_try_again(error: &Error, access: Access) -> bool {
    match error {
        Error::Connect { .. } => true,
        Error::Lost { .. } | Error::Protocol { .. } => access == Access::Read,
        // Time is up, the load must be shed, or it would fail again.
        Error::Timeout { .. }
        | Error::Busy { .. }
        | Error::NodeUnavailable { .. }
        | Error::CrossNode { .. }
        | Error::Server(_)
        | Error::Decode(_)
        | Error::Usage(_)
        | Error::Closed => false,
    }
}
