//! Commands that took long, newest first.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// As in Redis: arguments beyond these are cut, so that one entry stays small.
const MAX_ARGS: usize = 32;
const MAX_ARG_BYTES: usize = 128;

/// One slow command.
#[derive(Clone, Debug)]
pub struct Slow {
    /// Rises by one with each, over the node's life.
    pub id: u64,
    /// When it ran, in Unix seconds.
    pub at: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// Its arguments, cut, or only its name if arguments are masked.
    pub args: Vec<Vec<u8>>,
    /// The peer's address.
    pub address: String,
    /// The connection's name.
    pub name: String,
}

#[derive(Default)]
struct Log {
    entries: VecDeque<Slow>,
    next_id: u64,
    max: usize,
}

/// The slow log of a node.
#[derive(Default)]
pub struct Slowlog {
    log: Mutex<Log>,
}

impl Slowlog {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a command; `id` is given by the log.
    pub fn push(&self, mut slow: Slow) {
        let mut log = self.log();
        slow.id = log.next_id;
        log.next_id += 1;
        log.entries.push_front(slow);
        let max = log.max;
        log.entries.truncate(max);
    }

    /// The newest `count`.
    pub fn newest(&self, count: usize) -> Vec<Slow> {
        self.log().entries.iter().take(count).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.log().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn reset(&self) {
        self.log().entries.clear();
    }

    /// Changes how many are kept.
    pub fn resize(&self, max: usize) {
        let mut log = self.log();
        log.max = max;
        log.entries.truncate(max);
    }
}

/// Arguments as the slow log keeps them: at most 32, at most 128 bytes of each.
pub fn cut_args<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let total = args.len();
    let kept = if total > MAX_ARGS { MAX_ARGS - 1 } else { total };
    let mut cut: Vec<Vec<u8>> = args.take(kept).map(cut_arg).collect();
    if total > kept {
        cut.push(format!("... ({} more arguments)", total - kept).into_bytes());
    }
    cut
}

fn cut_arg(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= MAX_ARG_BYTES {
        return arg.to_vec();
    }
    let mut cut = arg[..MAX_ARG_BYTES].to_vec();
    cut.extend_from_slice(format!("... ({} more bytes)", arg.len() - MAX_ARG_BYTES).as_bytes());
    cut
}
