//! A thread's own clock, its page faults, and the core it runs on.

use anyhow::Context;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// CPU time that this thread has used, in nanoseconds. One reading takes about 0.2 us, all of it counted.
#[inline]
pub(super) fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock since 2.6.12");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// What the kernel has done to this thread so far.
#[derive(Clone, Copy)]
pub(super) struct Disturbances {
    /// Page faults that needed no disk.
    pub(super) faults: u64,
    /// How often another thread was given the core.
    pub(super) preemptions: u64,
}

impl Disturbances {
    /// As they are now.
    pub(super) fn now() -> Disturbances {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("Linux counts per thread since 2.6.26");
        Disturbances {
            faults: usage.minor_page_faults() as u64,
            preemptions: usage.involuntary_context_switches() as u64,
        }
    }

    /// Those since an earlier reading.
    pub(super) fn since(self, earlier: Disturbances) -> Disturbances {
        Disturbances {
            faults: self.faults - earlier.faults,
            preemptions: self.preemptions - earlier.preemptions,
        }
    }
}

/// Keeps this thread on a core.
///
/// # Errors
/// There is no such core, or this process may not use it.
pub(super) fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .with_context(|| format!("cannot run on core {core}"))
}

/// Runs `work` on a thread of its own, pinned to a core.
///
/// # Errors
/// As `pin`.
pub(super) fn on_core<R: Send>(core: usize, work: impl FnOnce() -> R + Send) -> anyhow::Result<R> {
    std::thread::scope(|scope| {
        let handle = scope.spawn(|| pin(core).map(|()| work()));
        handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
