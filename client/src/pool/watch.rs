//! The task that looks at all nodes of a pool: which are slow, and what is due.

use super::Pool;
use super::health::{self, Reason};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often it looks.
const TICK: Duration = Duration::from_millis(250);
/// Every how many ticks latencies are compared.
const WINDOW_TICKS: u64 = 2;

/// Until nobody has the pool any more.
pub(super) async fn watch(pool: Weak<Pool>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 1u64.. {
        ticks.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        pool.tick(tick % WINDOW_TICKS == 0);
    }
}

impl Pool {
    fn tick(self: &Arc<Self>, window: bool) {
        let view = self.view.load_full();
        for member in view.members.iter() {
            member.tick();
        }
        if window {
            self.drain_slow();
        }
        if self.counts_hot_keys() {
            self.hot.tick(&view, &self.shared);
        }
        self.end_handovers();
    }

    /// Takes nodes out that are far slower than their peers, the slowest first, as many as may be out for that.
    fn drain_slow(&self) {
        let rules = &self.shared.health;
        let members = Arc::clone(&self.view.load().members);
        let mean = |serves: bool, mean_us: Option<u64>| mean_us.filter(|_| serves);
        let means_us: Vec<_> = members
            .iter()
            .map(|member| mean(member.serves(), member.take_mean_us()))
            .collect();
        let limits_us = health::limits_us(rules, &means_us);
        let mut slow: Vec<_> = members
            .iter()
            .zip(means_us.iter().zip(&limits_us))
            .filter(|(member, (mean_us, limit_us))| member.window(**mean_us, **limit_us))
            .map(|(member, (mean_us, _))| (*mean_us, member))
            .collect();
        slow.sort_by_key(|(mean_us, _)| std::cmp::Reverse(*mean_us));
        let out = members
            .iter()
            .filter(|member| member.out() == Some(Reason::Slow))
            .count();
        let more = rules.max_slow(members.len()).saturating_sub(out);
        slow.into_iter().take(more).for_each(|(_, member)| member.drain());
    }
}
