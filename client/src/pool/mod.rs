//! A pool: nodes that know nothing of each other, and a client that places every key on one of them.
//!
//! ```text
//!   run --> route: key -> slot -> owner ----- serves, nothing to mind ----> Node::attempt     the usual way
//!             |
//!             +-> detour.rs: the owner failed, is out, is suspected of old values, or has just got the slot
//!                   |-- gutter.rs    another node stands in for a node that is out
//!                   |-- handover.rs  a new owner is filled from the one before
//!                   +-- missed.rs    what a node missed, what of its content is not believed
//!
//!   hot.rs      copies of keys that are read too often for one node
//!   member.rs   a node: its mode, its log      keeper.rs      brings one that is out back
//!   health.rs   when a node is out             watch.rs       looks at all of them, four times a second
//!   view.rs     one membership                 membership.rs  changes it; source.rs has lists from files and DNS
//! ```
//!
//! The usual way takes no lock and allocates nothing. See `docs/pool.md` for what all this promises.

mod builder;
mod config;
mod detour;
mod figures;
mod gutter;
mod handover;
mod health;
mod hot;
mod keeper;
mod member;
mod membership;
mod methods;
mod missed;
mod request;
mod source;
mod split;
#[cfg(test)]
mod tests;
mod view;
mod watch;

pub use builder::PoolBuilder;
pub(crate) use config::Options;
pub use config::{GutterConfig, Placement, PoolNode};
pub use health::{HealthConfig, Reason};
pub use larder_cluster::hotkeys::Rules as HotKeyRules;
pub use larder_cluster::ketama::KeyHash;

use crate::command::{Access, Request};
use crate::error::{Error, Result};
use crate::events::Events;
use crate::node::Node;
use crate::resp::{Encoder, Value};
use arc_swap::ArcSwap;
use hot::Hot;
use larder_cluster::slot::Slot;
use member::{Member, Shared};
use membership::Ledger;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use view::{Spot, View};

/// How many parts of the slots are handed over independently of each other.
const STRIPES: usize = 64;

/// A pool of nodes.
#[derive(Debug)]
pub(crate) struct Pool {
    view: ArcSwap<View>,
    shared: Arc<Shared>,
    options: Options,
    ledger: Mutex<Ledger>,
    /// Counts, per stripe, the writes to keys that are being handed over.
    writes: Box<[Mutex<u64>]>,
    hot: Hot,
    uses_hot: AtomicBool,
}

/// Where a request goes.
struct Route {
    member: Arc<Member>,
    /// Its number.
    place: usize,
    /// Which membership said so.
    version: u64,
    /// Whether there is nothing to mind there.
    plain: bool,
}

/// An attempt that failed.
struct Failed {
    member: Arc<Member>,
    error: Error,
}

impl Pool {
    /// Starts connecting to all nodes, in tasks of the current runtime.
    ///
    /// # Errors
    /// [`Error::Usage`] if the nodes or the options make no sense.
    pub(crate) fn spawn(nodes: Vec<PoolNode>, options: Options, events: &Events) -> Result<Arc<Pool>> {
        options.check()?;
        let shared = Arc::new(Shared {
            health: options.health.clone(),
            gutter: options.gutter.clone(),
            events: events.clone(),
            epoch: Instant::now(),
            runtime: tokio::runtime::Handle::current(),
        });
        let mut ledger = Ledger::default();
        let config = Arc::new(options.config.clone());
        let view = ledger.first(nodes, options.placement, &config, &shared)?;
        let hot = Hot::new(options.hot_rules, options.hedge);
        let uses_hot = AtomicBool::new(options.hot);
        let pool = Arc::new(Pool {
            view: ArcSwap::from_pointee(view),
            shared,
            options,
            ledger: Mutex::new(ledger),
            writes: (0..STRIPES).map(|_| Mutex::new(0)).collect(),
            hot,
            uses_hot,
        });
        tokio::spawn(watch::watch(Arc::downgrade(&pool)));
        if let Some(source) = &pool.options.source {
            tokio::spawn(source::follow(source.clone(), Arc::downgrade(&pool)));
        }
        Ok(pool)
    }

    /// From now on the reads of some handle of the client may go to copies of hot keys, so writes must look after them.
    pub(crate) fn use_hot_keys(&self) {
        self.uses_hot.store(true, Ordering::Relaxed);
    }

    /// How many nodes there are.
    pub(crate) fn places(&self) -> usize {
        self.view.load().members.len()
    }

    /// Which node owns a key, as a number below [`places`](Pool::places).
    #[inline]
    pub(crate) fn place(&self, key: &[u8]) -> usize {
        let spot = Spot::new(key);
        self.view.load().places.owner(spot.slot, key)
    }

    /// Sends a request to the owner of its keys and waits for the reply, for at most `timeout` all in all. With `hot` a read
    /// of a hot key may go to a copy.
    #[inline]
    pub(crate) async fn run(&self, request: &impl Request, timeout: Duration, hot: bool) -> Result<Value> {
        let began = Instant::now();
        let route = self.route(request)?;
        if hot
            && request.is_get()
            && let Some(key) = request.key().and_then(|key| self.hot.read(route.place, key))
            && let Some(value) = Box::pin(self.get_hot(&key, timeout)).await
        {
            return Ok(value);
        }
        let result = self.send(route, request, began, timeout).await;
        if request.access() == Access::Write && self.counts_hot_keys() {
            self.written(request).await;
        }
        result
    }

    /// Whatever became of a write: copies of its keys are not what they should be.
    async fn written(&self, request: &impl Request) {
        let hot = self.hot.written(request);
        if !hot.is_empty() {
            Box::pin(self.delete_copies(hot)).await;
        }
    }

    #[inline]
    async fn send(&self, route: Route, request: &impl Request, began: Instant, timeout: Duration) -> Result<Value> {
        let failed = if route.plain {
            // A read that its owner does not answer leaves time to ask elsewhere.
            let allowed = if request.is_get() { timeout / 2 } else { timeout };
            let timing = route.member.start_timing();
            match route.member.node.attempt(request, allowed).await {
                Ok(value) => {
                    route.member.succeeded(timing);
                    if request.access() == Access::Write && self.view.load().version != route.version {
                        Box::pin(self.straddled(request, &route.member)).await;
                    }
                    return Ok(value);
                }
                Err(error) => Some(Failed {
                    member: route.member,
                    error,
                }),
            }
        } else {
            None
        };
        // Rare, and large: it would make the future of every call large.
        Box::pin(self.detour(request, began + timeout, failed)).await
    }

    /// A node by its number.
    ///
    /// # Errors
    /// [`Error::NodeUnavailable`] if it is out, [`Error::Usage`] if there is none.
    pub(crate) fn at<T>(&self, place: usize, get: impl FnOnce(&Node) -> T) -> Result<T> {
        let view = self.view.load();
        match view.members.get(place) {
            Some(member) if member.serves() => Ok(get(&member.node)),
            Some(member) => Err(member.unavailable()),
            None => Err(Error::Usage(format!("there is no node {place} in this pool"))),
        }
    }

    /// Sends a request to a node by its number, whatever its keys.
    pub(crate) async fn run_at(&self, place: usize, request: &impl Request, timeout: Duration) -> Result<Value> {
        let view = self.view.load_full();
        let Some(member) = view.members.get(place) else {
            return Err(Error::Usage(format!("there is no node {place} in this pool")));
        };
        if !member.serves() {
            return Err(member.unavailable());
        }
        let result = member.node.attempt(request, timeout).await;
        match &result {
            Ok(_) => member.succeeded(None),
            Err(error) => {
                member.failed(error);
                self.note_missed(member, request, error);
            }
        }
        if request.access() == Access::Write && self.counts_hot_keys() {
            self.written(request).await;
        }
        result
    }

    /// Where a request goes.
    ///
    /// # Errors
    /// [`Error::CrossNode`] if its keys are on different nodes.
    #[inline]
    fn route(&self, request: &impl Request) -> Result<Route> {
        let view = self.view.load();
        let mut owner: Option<(&[u8], usize)> = None;
        let mut stranger: Option<&[u8]> = None;
        let mut handed_over = false;
        request.keys(&mut |key| {
            let spot = Spot::new(key);
            let place = view.places.owner(spot.slot, key);
            handed_over |= view.is_handed_over(spot, &view.members[place]);
            match owner {
                None => owner = Some((key, place)),
                Some((_, first)) if first != place && stranger.is_none() => stranger = Some(key),
                Some(_) => {}
            }
        });
        match (owner, stranger) {
            (Some((first, _)), Some(second)) => Err(cross_node(&request.name(), first, second)),
            (Some((_, place)), None) => {
                let member = &view.members[place];
                Ok(Route {
                    plain: member.is_plain() && !handed_over,
                    member: Arc::clone(member),
                    place,
                    version: view.version,
                })
            }
            (None, _) => Ok(self.any(&view)),
        }
    }

    /// A node for a request without a key: one that serves, if there is one.
    fn any(&self, view: &View) -> Route {
        let count = view.members.len();
        let start = fastrand::usize(..count);
        let nth = |step: usize| &view.members[(start + step) % count];
        let serving = (0..count).map(nth).find(|member| member.serves());
        Route {
            member: Arc::clone(serving.unwrap_or(&view.members[start])),
            place: start,
            version: view.version,
            plain: true,
        }
    }

    /// Notes what a node may have missed by an attempt that failed.
    fn note_missed(&self, member: &Arc<Member>, request: &impl Request, error: &Error) {
        if request.access() == Access::Write && error.may_have_run() && error.is_node_failure() {
            let mut encoded = Vec::new();
            request.encode(&mut Encoder::new(&mut encoded));
            for key in gutter::overwritten(&encoded) {
                member.missed(Spot::new(key).slot, key, true);
            }
        }
    }

    fn stripe(&self, slot: Slot) -> &Mutex<u64> {
        &self.writes[slot.index() % STRIPES]
    }
}

/// Says that two keys of one command are on different nodes.
pub(crate) fn cross_node(command: &str, first: &[u8], second: &[u8]) -> Error {
    let shown = |key: &[u8]| String::from_utf8_lossy(&key[..key.len().min(64)]).into_owned();
    Error::CrossNode {
        command: command.to_string(),
        first: shown(first),
        second: shown(second),
    }
}
