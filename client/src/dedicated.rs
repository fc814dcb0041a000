//! Connections for one caller at a time: few per node, kept for the next caller if they were left in order.

use crate::client::Client;
use crate::command::{Request, Wait};
use crate::connection::{Endpoint, Session};
use crate::error::{Error, Result};
use crate::resp::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections without a caller are kept.
const MAX_IDLE: usize = 4;
/// The longest wait that is understood; for ever, for all that a caller will see of it.
const MAX_WAIT_SECONDS: f64 = 1e9;

/// The dedicated connections of a node.
#[derive(Debug)]
pub(crate) struct Dedicated {
    endpoint: Endpoint,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
}

impl Dedicated {
    pub(crate) fn new(endpoint: Endpoint) -> Dedicated {
        Dedicated {
            permits: Arc::new(Semaphore::new(endpoint.config.dedicated_connections_per_node)),
            idle: Mutex::new(Vec::new()),
            endpoint,
        }
    }

    /// A connection for as long as the lease lives.
    ///
    /// # Errors
    /// [`Error::Busy`] if all are taken, [`Error::Connect`] if a new one cannot be made.
    pub(crate) async fn lease(self: &Arc<Dedicated>) -> Result<Lease> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Error::Busy {
            node: Arc::clone(&self.endpoint.name),
            pending: self.endpoint.config.dedicated_connections_per_node,
        })?;
        let kept = self.take_idle();
        let session = match kept {
            Some(session) => session,
            None => Session::open(&self.endpoint).await?,
        };
        Ok(Lease {
            dedicated: Arc::clone(self),
            session,
            _permit: permit,
        })
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut session) = idle.pop() {
            if session.is_at_rest() {
                return Some(session);
            }
        }
        None
    }
}

/// A dedicated connection and the right to it. Dropping it closes the connection, so that a server does not go on with
/// what nobody waits for.
#[derive(Debug)]
pub(crate) struct Lease {
    dedicated: Arc<Dedicated>,
    pub(crate) session: Session,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Leaves the connection for the next caller, if it is in order.
    pub(crate) fn give_back(mut self) {
        if !self.session.is_at_rest() {
            return;
        }
        let mut idle = self.dedicated.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(self.session);
        }
    }
}

impl Client {
    /// Which node a request belongs to.
    ///
    /// # Errors
    /// [`Error::CrossNode`] if its keys are on several, [`Error::Usage`] if it has none and there are several nodes.
    pub(crate) fn place_of(&self, request: &impl Request) -> Result<usize> {
        let mut first: Option<(usize, &[u8])> = None;
        let mut other = None;
        request.keys(&mut |key| {
            let place = self.place(key);
            match first {
                None => first = Some((place, key)),
                Some((known, _)) if known == place => {}
                Some(_) => other = other.or(Some(key)),
            }
        });
        let shown = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        match (first, other) {
            (Some((_, first)), Some(second)) => Err(Error::CrossNode {
                command: request.name(),
                first: shown(first),
                second: shown(second),
            }),
            (Some((place, _)), None) => Ok(place),
            (None, _) if self.places() == 1 => Ok(0),
            (None, _) => Err(Error::Usage(format!(
                "{}: names no key, and there are several nodes",
                request.name()
            ))),
        }
    }

    /// Runs a command that may block, on a connection of its own. If the caller goes away, the connection is closed.
    pub(crate) async fn run_blocking(&self, request: &impl Request, wait: Wait) -> Result<Value> {
        let timeout = match wait {
            Wait::Forever => None,
            Wait::No => Some(self.timeout()),
            Wait::Seconds(seconds) => Some(self.timeout() + Duration::from_secs_f64(seconds.min(MAX_WAIT_SECONDS))),
        };
        let place = self.place_of(request)?;
        self.mind(request).await?;
        let mut lease = self.dedicated(place)?.lease().await?;
        let result = lease.session.call(request, timeout).await;
        let value = result.inspect_err(|error| self.mind_failure(request, error))?;
        lease.give_back();
        Ok(value.into_result()?)
    }
}
