//! A cache's process: started on a free port, weighed, and gone when it is dropped.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::caches::Cache;
use crate::load::Protocol;
use crate::server::{free_port, tied_to_parent};
use crate::wait::{PATIENCE, wait_until};

/// A port may be taken between the look and the start.
const START_ATTEMPTS: usize = 3;

/// A running cache.
pub(super) struct Running {
    child: Child,
    protocol: Protocol,
    pub(super) port: u16,
    /// Resident memory when it had started, in bytes.
    pub(super) idle_bytes: u64,
    dir: TempDir,
}

impl Running {
    /// Starts `cache` with this limit; the error says what the server said.
    pub(super) fn start(cache: &Cache, limit: u64, largest_value: u32) -> Result<Self, String> {
        let mut trouble = String::new();
        for _ in 0..START_ATTEMPTS {
            match Self::try_start(cache, limit, largest_value) {
                Ok(running) => return Ok(running),
                Err(why) => trouble = why,
            }
        }
        Err(trouble)
    }

    fn try_start(cache: &Cache, limit: u64, largest_value: u32) -> Result<Self, String> {
        let port = free_port();
        let words = cache.command(port, limit, largest_value)?;
        let (program, arguments) = words.split_first().ok_or("an empty command")?;
        let text = |error: std::io::Error| error.to_string();
        let dir = TempDir::with_prefix("larder-hitratio-").map_err(text)?;
        let log = File::create(dir.path().join("output")).map_err(text)?;
        let child = tied_to_parent(Path::new(program))
            .args(arguments)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(text)?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let mut running = Self {
            child,
            protocol: cache.protocol,
            port,
            idle_bytes: 0,
            dir,
        };
        let mut ended = false;
        let ready = wait_until(PATIENCE, || {
            ended = running.has_ended();
            ended || running.answers()
        });
        if ended || !ready {
            let end = if ended { "ends at once" } else { "does not answer" };
            return Err(format!("{end} with {}: {}", arguments.join(" "), running.output()));
        }
        // From here on the kernel's highest mark is ours. Where it cannot be reset, it includes the start.
        let _ = fs::write(format!("/proc/{}/clear_refs", running.child.id()), "5");
        running.idle_bytes = running.memory("VmRSS:").ok_or("its memory is not known (no /proc?)")?;
        Ok(running)
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn answers(&self) -> bool {
        match self.protocol {
            Protocol::Resp => self.ask("PING\r\n").is_some_and(|reply| reply.starts_with("+PONG")),
            Protocol::Memcached => self.ask("mn\r\n").is_some_and(|reply| reply.starts_with("MN")),
        }
    }

    /// The answer to a question, up to the line that ends it.
    fn ask(&self, question: &str) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        socket.write_all(question.as_bytes()).ok()?;
        let mut reply = Vec::new();
        let mut chunk = [0; 16 << 10];
        let is_list = question.starts_with("stats");
        let whole = |reply: &[u8]| reply.ends_with(b"\r\n") && (!is_list || reply.ends_with(b"END\r\n"));
        while !whole(&reply) {
            match socket.read(&mut chunk).ok()? {
                0 => break,
                read => reply.extend_from_slice(&chunk[..read]),
            }
        }
        Some(String::from_utf8_lossy(&reply).into_owned())
    }

    /// How many entries it holds, if it tells.
    pub(super) fn entries(&self) -> Option<u64> {
        match self.protocol {
            Protocol::Resp => self.ask("DBSIZE\r\n")?.strip_prefix(':')?.trim_end().parse().ok(),
            Protocol::Memcached => self.statistic("stats\r\n", "curr_items"),
        }
    }

    /// Bytes that memcached took for its slabs, if this is one.
    pub(super) fn slab_bytes(&self) -> Option<u64> {
        let is_memcached = self.protocol == Protocol::Memcached;
        is_memcached
            .then(|| self.statistic("stats slabs\r\n", "total_malloced"))
            .flatten()
    }

    fn statistic(&self, question: &str, name: &str) -> Option<u64> {
        let stats = self.ask(question)?;
        let fields = stats
            .lines()
            .filter_map(|line| line.strip_prefix("STAT ")?.split_once(' '));
        fields
            .into_iter()
            .find(|(field, _)| *field == name)?
            .1
            .trim_end()
            .parse()
            .ok()
    }

    /// The most memory that it held at any time since its start, above what it held when idle, in bytes.
    pub(super) fn peak_above_idle(&self) -> Option<u64> {
        Some(self.memory("VmHWM:")?.saturating_sub(self.idle_bytes))
    }

    fn memory(&self, field: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
    }

    /// The end of what it printed, on one line.
    pub(super) fn output(&self) -> String {
        let output = fs::read(self.dir.path().join("output")).unwrap_or_default();
        let tail = &output[output.len().saturating_sub(400)..];
        let lines: Vec<_> = String::from_utf8_lossy(tail)
            .lines()
            .map(|line| line.trim().to_owned())
            .collect();
        lines.join("; ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It holds nothing worth a clean end, and may have gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
