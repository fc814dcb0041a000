//! The task that reclaims the memory of expired keys as they become due.
//!
//! The keyspace tells when that is (`Keyspace::next_due_ms`), so the task sleeps until then, but never so long that
//! a key whose deadline is set meanwhile, or a clock that jumps, would make it late: what is due is gone within
//! `LONGEST_WAIT` and a tick of the schedule (8 ms). It runs on the acceptor's thread and lets others go first: other
//! tasks of that thread and other threads of that core by the rules of `pace`.

use crate::node::{Node, unix_ms};
use crate::pace::Pace;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The shortest time between two looks: keys that expire one by one are reclaimed some at a time.
const SHORTEST_WAIT: Duration = Duration::from_millis(16);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_millis(80);

/// Reclaims expired keys until the task is dropped.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        let active = node.active_expire.load(Ordering::Relaxed);
        let due_ms = node.keyspace.next_due_ms().filter(|_| active);
        tokio::time::sleep(wait(due_ms, unix_ms())).await;
        reclaim(&node).await;
    }
}

/// How long to wait for a deadline.
fn wait(due_ms: Option<u64>, now_ms: u64) -> Duration {
    let wait = due_ms.map_or(LONGEST_WAIT, |due_ms| {
        Duration::from_millis(due_ms.saturating_sub(now_ms))
    });
    wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

/// Reclaims what is due, and what becomes due meanwhile.
async fn reclaim(node: &Node) {
    let mut pace = Pace::new();
    loop {
        let now_ms = unix_ms();
        let mut idle = true;
        // Stripe by stripe, so that those who wait for a lock get it.
        for index in 0..node.keyspace.shape().stripes {
            if !node.active_expire.load(Ordering::Relaxed) {
                return;
            }
            if node.keyspace.is_due(index, now_ms) {
                node.keyspace.reclaim_due(index, now_ms);
                pace.keep().await;
                idle = false;
            }
        }
        if idle {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Settings};
    use crate::store::{NewValue, Store};

    const DEADLINE: u64 = 2_000;

    /// A node with so many keys that have expired since 1970.
    fn node(keys: u32) -> Node {
        let mut settings = Settings::default();
        (settings.threads, settings.maxmemory) = (1, 64 << 20);
        let node = Node::new(Config::new(settings));
        let eviction = crate::node::eviction(&node.config.settings());
        let mut store = Store::new(&node.keyspace, 3, 1_000, &eviction);
        for number in 0..keys {
            let name = number.to_be_bytes();
            store.key(&name).set(NewValue::Bytes(b"value"), Some(DEADLINE));
        }
        assert_eq!((store.len(3), store.volatile(3)), (keys as usize, keys as usize));
        drop(store);
        node
    }

    fn keys(node: &Node) -> usize {
        let eviction = crate::node::eviction(&node.config.settings());
        Store::new(&node.keyspace, 3, 1_000, &eviction).len(3)
    }

    #[tokio::test]
    async fn expired_keys_of_all_stripes_are_reclaimed_and_then_nothing_is_due() {
        let node = node(10_000);
        assert!(node.keyspace.next_due_ms().is_some_and(|due_ms| due_ms <= DEADLINE));
        reclaim(&node).await;
        assert_eq!((keys(&node), node.keyspace.next_due_ms()), (0, None));
        assert_eq!(node.keyspace.counters().expired, 10_000);
    }

    #[tokio::test]
    async fn nothing_is_reclaimed_while_that_is_switched_off() {
        let node = node(100);
        node.active_expire.store(false, Ordering::Relaxed);
        reclaim(&node).await;
        assert_eq!(keys(&node), 100);
    }

    #[test]
    fn it_never_waits_so_long_that_a_nearer_deadline_would_be_missed() {
        let ms = Duration::from_millis;
        assert_eq!(wait(None, 1_000), LONGEST_WAIT);
        assert_eq!(wait(Some(1_000_000), 1_000), LONGEST_WAIT);
        assert_eq!(wait(Some(1_040), 1_000), ms(40));
        assert_eq!(wait(Some(1_001), 1_000), SHORTEST_WAIT);
        assert_eq!(wait(Some(0), 1_000), SHORTEST_WAIT);
    }
}
