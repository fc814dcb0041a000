//! Looking at one node, again and again.

use super::sample::{Latencies, Sample};
use crate::info::Info;
use crate::link::Link;
use larder_client::{DecodeError, Error, cmd};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

/// What one look at a node saw.
#[derive(Debug)]
pub(super) struct Look {
    /// Which node, by its place among the others.
    pub(super) node: usize,
    /// Its counters, or why there are none.
    pub(super) seen: Result<Sample, String>,
}

/// Looks at a node each `every`, until nobody wants to know any more.
pub(super) async fn watch(node: usize, link: Link, every: Duration, sender: mpsc::Sender<Look>) {
    let mut ticks = interval(every);
    // A look that took long is not made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seen = look(&link).await.map_err(|error| link.why(&error));
        if sender.send(Look { node, seen }).await.is_err() {
            return;
        }
    }
}

async fn look(link: &Link) -> larder_client::Result<Sample> {
    let reply = link.call(&cmd("INFO")).await?;
    let at = Instant::now();
    let text = reply
        .as_bytes()
        .ok_or_else(|| DecodeError::new("the text of INFO", &reply))?;
    let latencies = match link.call(&cmd("LATENCY HISTOGRAM")).await {
        Ok(reply) => Latencies::parse(reply),
        // Servers before Redis 7 do not know it, and some users may not.
        Err(Error::Server(_)) => None,
        Err(error) => return Err(error),
    };
    Ok(Sample {
        at,
        info: Info::parse(text),
        latencies,
    })
}
