//! What the operating system knows of this process, read from `/proc`.

use std::time::Duration;

/// The unit of CPU times in `/proc`, which Linux keeps at 100 per second for programs whatever its own tick.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time spent in the kernel and outside of it.
#[derive(Clone, Copy, Default)]
pub(super) struct CpuTime {
    pub(super) system: Duration,
    pub(super) user: Duration,
}

/// CPU times of the process, to a hundredth of a second; zero where the system does not tell.
#[derive(Clone, Copy, Default)]
pub(super) struct CpuTimes {
    pub(super) process: CpuTime,
    pub(super) children: CpuTime,
    pub(super) main_thread: CpuTime,
}

pub(super) fn cpu_times() -> CpuTimes {
    let (process, children) = read("/proc/self/stat");
    let (main_thread, _) = read(&format!("/proc/self/task/{}/stat", std::process::id()));
    CpuTimes {
        process,
        children,
        main_thread,
    }
}

fn read(path: &str) -> (CpuTime, CpuTime) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The second field is the program's name, in parentheses and free to hold anything.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let time = |at: usize| Duration::from_millis(ticks.get(at).map_or(0, |ticks| ticks * (1000 / TICKS_PER_SECOND)));
    let pair = |at: usize| CpuTime {
        user: time(at),
        system: time(at + 1),
    };
    (pair(0), pair(2))
}

/// The system's name, its release and the machine's architecture.
pub(super) fn system() -> String {
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        text.trim().to_owned()
    };
    format!("{} {} {}", read("ostype"), read("osrelease"), std::env::consts::ARCH)
}
