//! CPU time of a process, as precisely as Linux tells it.

use std::fs;
use std::io;

/// CPU time that the living threads of process `pid` have used, in nanoseconds.
///
/// From the scheduler's own count (`/proc/PID/task/TID/schedstat`); where the kernel keeps none,
/// from `/proc/PID/stat`, in ticks of 10 ms.
pub(super) fn cpu_time_ns(pid: u32) -> io::Result<u64> {
    let mut total_ns = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        match fs::read_to_string(task?.path().join("schedstat")) {
            Ok(text) => total_ns += field(&text, 0).unwrap_or(0),
            // A thread may end between the listing and the reading.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if total_ns > 0 {
        return Ok(total_ns);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in parentheses that may hold anything, so count from its end.
    let after_name = stat.rsplit(") ").next().unwrap_or("");
    let ticks = field(after_name, 11).zip(field(after_name, 12));
    let (user, system) = ticks.ok_or_else(|| io::Error::other(format!("bad /proc/{pid}/stat")))?;
    Ok((user + system) * 10_000_000)
}

fn field(text: &str, index: usize) -> Option<u64> {
    text.split_whitespace().nth(index)?.parse().ok()
}
