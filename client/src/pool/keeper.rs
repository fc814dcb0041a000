//! The task that looks after a node while it does not serve: it asks whether the node is back, and tells it what it missed.

use super::member::{Member, Step};
use super::request::{DelMany, Ping};
use crate::error::{Error, Result};
use crate::resp::Value;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How many keys are deleted with one command.
const BATCH: usize = 500;

/// Until the node serves again, or nobody has it any more.
pub(super) async fn keep(member: Weak<Member>) {
    loop {
        // Held only while there is something to do, so that a client that is dropped takes its tasks with it.
        let Some(strong) = member.upgrade() else { return };
        match strong.next_step() {
            Step::Done => return,
            Step::Wait(time) => {
                drop(strong);
                tokio::time::sleep(time.max(Duration::from_millis(1))).await;
            }
            Step::Probe => {
                let took = probe(&strong).await;
                strong.probed(took.ok());
            }
            Step::Replay(keys) => {
                let done = replay(&strong, &keys).await;
                if let Err(error) = &done {
                    tracing::debug!(node = %strong.name(), %error, "what the node missed could not be replayed");
                }
                strong.replayed(keys, done.is_ok());
            }
        }
    }
}

async fn probe(member: &Arc<Member>) -> Result<Duration> {
    let began = Instant::now();
    let timeout = member.shared.health.probe_timeout;
    ok(member.node.attempt(&Ping, timeout).await)?;
    Ok(began.elapsed())
}

/// Deletes the keys. A server that does not is as good as out.
async fn replay(member: &Arc<Member>, keys: &[Box<[u8]>]) -> Result<()> {
    let timeout = member.node.config().response_timeout;
    for keys in keys.chunks(BATCH) {
        ok(member.node.attempt(&DelMany(keys), timeout).await)?;
    }
    Ok(())
}

fn ok(reply: Result<Value>) -> Result<()> {
    match reply?.into_result() {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Server(error)),
    }
}
