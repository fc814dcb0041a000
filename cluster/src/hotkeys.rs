//! Which keys are hot, and on how many nodes their copies should be.
//!
//! A cache spreads keys over nodes, so the load is even as long as no key has a great share of it. One celebrity is enough
//! to break that: its node is at its limit while the others wait. What helps is copies on other nodes, and reads that choose
//! among them. Here is decided when: the caller tells of the reads and writes that it makes (a sample of them will do), and
//! at the end of each window learns which keys have become hot, how many nodes should hold them, and which have cooled.
//!
//! **Counting.** The number of keys has no bound, so the most frequent ones are found with a Space-Saving sketch (Metwally,
//! Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005): [`TRACKED`] counters; a
//! key without one takes over the smallest, and its count with it as possible error. A key with more than one in `TRACKED`
//! of the reads is never missed. What is held against a threshold is the count less its error, so that no key is taken
//! for hot by mistake.
//!
//! **Deciding.** A key is hot if it passes [`Rules`] in two windows running, and hot no more after two windows running below half
//! of them, or one in which too much of its traffic was writes: between the two it stays what it is, so that a key at the
//! threshold does not flap. Copies grow at once and shrink after two windows that ask for fewer.
//!
//! **Copying.** With a share `s` of all reads on `N` nodes, [`holders`] = ⌈2sN⌉ nodes, so that each holder gets at most half
//! of a node's fair share from this key, and the holders can stay level with the others. Holders are the first in the rendezvous
//! order of the key's slot ([`Table::ranking`](crate::placement::Table::ranking)). A read goes to the [less loaded](Load) of two
//! random holders ("power of two choices", Mitzenmacher 1996).

/// Keys that are counted at a time.
pub const TRACKED: usize = 128;
/// Keys that can be hot at a time; of more, those with the most reads.
pub const MAX_HOT: usize = 32;
/// Longer keys are not counted, and so never hot: they would make the sketch's memory a caller's choice.
pub const MAX_KEY_BYTES: usize = 1024;
/// The most nodes that hold a hot key, its owner included.
pub const MAX_HOLDERS: usize = 32;
/// Windows running that a change of mind takes.
const WINDOWS: u8 = 2;

/// When a key is hot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// The length of a window in milliseconds. 1000.
    pub window_ms: u64,
    /// The share of its node's reads that makes a key hot, 0 to 1, if it also has `min_reads_per_s`. 0.05.
    pub min_share: f64,
    /// Below so many reads per second no key is hot by its share. 100.
    pub min_reads_per_s: f64,
    /// So many reads per second make a key hot, whatever its share; `None`: no such rate. `None`.
    pub hot_reads_per_s: Option<f64>,
    /// A key of whose operations more than this share are writes is not hot: every write goes to all copies. 0.1.
    pub max_write_share: f64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            window_ms: 1000,
            min_share: 0.05,
            min_reads_per_s: 100.0,
            hot_reads_per_s: None,
            max_write_share: 0.1,
        }
    }
}

/// How many nodes should hold a key with a share `share` (0 to 1) of all reads on `nodes` nodes: its owner, and as many
/// more as it takes; at most [`MAX_HOLDERS`] and `nodes`, at least 1.
#[must_use]
pub fn holders(share: f64, nodes: usize) -> usize {
    let wanted = (2.0 * share.clamp(0.0, 1.0) * nodes as f64).ceil() as usize;
    wanted.clamp(1, nodes.clamp(1, MAX_HOLDERS))
}

/// How loaded a node is, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Calls that wait for a reply.
    pub pending: usize,
    /// The mean of what calls took lately, in microseconds.
    pub latency_us: u64,
}

impl Load {
    /// How long a call more would take, roughly: those in front of it, each as long as the last ones.
    fn cost(self) -> u128 {
        (self.pending as u128 + 1) * u128::from(self.latency_us.max(1))
    }

    /// Whether this is less loaded than `other`, or equally.
    #[must_use]
    pub fn at_most(self, other: Load) -> bool {
        self.cost() <= other.cost()
    }
}

/// What has changed at the end of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key is hot, or its number of holders is another one.
    Hot {
        /// The key.
        key: Box<[u8]>,
        /// How many nodes should hold it, its owner included.
        holders: usize,
    },
    /// A key is hot no more.
    Cooled {
        /// The key.
        key: Box<[u8]>,
    },
}

/// A key that is counted.
#[derive(Clone, Debug, Default)]
struct Counter {
    key: Vec<u8>,
    node: usize,
    /// Of this window, what it took over from the key before it aside.
    writes: u64,
    /// How much of the count may be the key's before it.
    error: u64,
    /// Windows running in which it was hot enough to become hot.
    hot_windows: u8,
}

/// A key that is hot; it is counted here, exactly, so that no other can take its counter over.
#[derive(Clone, Debug)]
struct Hot {
    hash: u64,
    key: Box<[u8]>,
    node: usize,
    holders: usize,
    /// Of this window.
    reads: u64,
    writes: u64,
    /// Windows running that asked for it to be cooled.
    cool_windows: u8,
    /// Windows running that asked for fewer holders, and the most that one of them asked for.
    fewer_windows: u8,
    fewer: usize,
}

/// Finds hot keys in a client's traffic. No clock, no randomness, bounded memory.
#[derive(Clone, Debug)]
pub struct Detector {
    rules: Rules,
    /// The hashes and counts of `counters`, apart, so that a look-up reads few cache lines.
    hashes: Vec<u64>,
    counts: Vec<u64>,
    counters: Vec<Counter>,
    hot: Vec<Hot>,
    /// Reads of this window by node, and of all.
    node_reads: Vec<u64>,
    reads: u64,
    window_began_ms: u64,
}

impl Detector {
    /// A detector for `nodes` nodes whose first window begins at `now_ms`.
    #[must_use]
    pub fn new(rules: Rules, nodes: usize, now_ms: u64) -> Detector {
        Detector {
            rules,
            hashes: Vec::with_capacity(TRACKED),
            counts: Vec::with_capacity(TRACKED),
            counters: Vec::with_capacity(TRACKED),
            hot: Vec::new(),
            node_reads: vec![0; nodes],
            reads: 0,
            window_began_ms: now_ms,
        }
    }

    /// Begins anew with another number of nodes; all hot keys are forgotten, and returned so that their copies can be
    /// taken away.
    pub fn reset(&mut self, nodes: usize, now_ms: u64) -> Vec<Box<[u8]>> {
        let hot = std::mem::take(&mut self.hot);
        *self = Detector::new(self.rules, nodes, now_ms);
        hot.into_iter().map(|hot| hot.key).collect()
    }

    /// Counts reads of a key: `times`, if the caller tells of one in so many. `node` is the owner, wherever the read went.
    /// `hash` stands for the key; it must be spread over all 64 bits, and is never compared with another process's.
    pub fn read(&mut self, node: usize, hash: u64, key: &[u8], times: u64) {
        self.reads += times;
        if let Some(reads) = self.node_reads.get_mut(node) {
            *reads += times;
        }
        if let Some(hot) = self.hot.iter_mut().find(|hot| hot.hash == hash) {
            hot.reads += times;
        } else if let Some(at) = self.find(hash) {
            self.counts[at] += times;
        } else if key.len() <= MAX_KEY_BYTES {
            self.track(node, hash, key, times);
        }
    }

    /// Counts writes of a key, if the key is one of those that are counted; all others cannot be hot.
    pub fn write(&mut self, hash: u64, times: u64) {
        if let Some(hot) = self.hot.iter_mut().find(|hot| hot.hash == hash) {
            hot.writes += times;
        } else if let Some(at) = self.find(hash) {
            self.counters[at].writes += times;
        }
    }

    fn find(&self, hash: u64) -> Option<usize> {
        self.hashes.iter().position(|known| *known == hash)
    }

    /// Gives a key a counter: a free one, or the smallest.
    fn track(&mut self, node: usize, hash: u64, key: &[u8], times: u64) {
        if self.counters.len() < TRACKED {
            self.hashes.push(hash);
            self.counts.push(times);
            self.counters.push(Counter {
                key: key.to_vec(),
                node,
                ..Counter::default()
            });
            return;
        }
        let smallest = self.counts.iter().enumerate().min_by_key(|(_, count)| **count);
        let Some((at, &error)) = smallest else { return };
        self.hashes[at] = hash;
        self.counts[at] = error + times;
        let counter = &mut self.counters[at];
        counter.key.clear();
        counter.key.extend_from_slice(key);
        (counter.node, counter.error, counter.writes, counter.hot_windows) = (node, error, 0, 0);
    }

    /// Ends the window if its time is over; what has changed then. A window that ends late is judged by its true length.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Change> {
        let passed_ms = now_ms.saturating_sub(self.window_began_ms);
        if passed_ms < self.rules.window_ms {
            return Vec::new();
        }
        let mut changes = Vec::new();
        self.judge_hot(passed_ms, &mut changes);
        self.judge_others(passed_ms, &mut changes);
        self.begin_window(now_ms);
        changes
    }

    /// What a window of `passed_ms` has shown of a key.
    fn seen(&self, node: usize, reads: u64, writes: u64, passed_ms: u64) -> Seen {
        let share = |of: u64| if of == 0 { 0.0 } else { reads as f64 / of as f64 };
        Seen {
            reads,
            reads_per_s: reads as f64 * 1000.0 / passed_ms.max(1) as f64,
            node_share: share(self.node_reads.get(node).copied().unwrap_or(0)),
            share: share(self.reads),
            write_share: writes as f64 / (reads + writes).max(1) as f64,
        }
    }

    fn judge_hot(&mut self, passed_ms: u64, changes: &mut Vec<Change>) {
        let nodes = self.node_reads.len();
        let mut hot = std::mem::take(&mut self.hot);
        hot.retain_mut(|hot| {
            let seen = self.seen(hot.node, hot.reads, hot.writes, passed_ms);
            (hot.reads, hot.writes) = (0, 0);
            if seen.write_share > self.rules.max_write_share || hot.cools(seen.is_hot(&self.rules, 0.5)) {
                changes.push(Change::Cooled { key: hot.key.clone() });
                return false;
            }
            if hot.resizes(holders(seen.share, nodes)) {
                changes.push(Change::Hot {
                    key: hot.key.clone(),
                    holders: hot.holders,
                });
            }
            true
        });
        self.hot = hot;
    }

    fn judge_others(&mut self, passed_ms: u64, changes: &mut Vec<Change>) {
        let nodes = self.node_reads.len();
        let mut found = Vec::new();
        for at in 0..self.counters.len() {
            let counter = &self.counters[at];
            let reads = self.counts[at].saturating_sub(counter.error);
            let seen = self.seen(counter.node, reads, counter.writes, passed_ms);
            let is_hot = seen.is_hot(&self.rules, 1.0) && seen.write_share <= self.rules.max_write_share;
            let counter = &mut self.counters[at];
            counter.hot_windows = if is_hot {
                counter.hot_windows.saturating_add(1)
            } else {
                0
            };
            if counter.hot_windows >= WINDOWS {
                found.push((seen, at));
            }
        }
        found.sort_unstable_by_key(|(seen, _)| std::cmp::Reverse(seen.reads));
        found.truncate(MAX_HOT - self.hot.len());
        for (seen, at) in found {
            let holders = holders(seen.share, nodes);
            let key: Box<[u8]> = self.counters[at].key.as_slice().into();
            self.hot.push(Hot {
                hash: self.hashes[at],
                key: key.clone(),
                node: self.counters[at].node,
                holders,
                reads: 0,
                writes: 0,
                cool_windows: 0,
                fewer_windows: 0,
                fewer: 0,
            });
            changes.push(Change::Hot { key, holders });
        }
    }

    /// Counts from zero; of the keys only those are kept that may be hot after the next window.
    fn begin_window(&mut self, now_ms: u64) {
        let kept: Vec<_> = (0..self.counters.len())
            .filter(|&at| {
                let is_hot = self.hot.iter().any(|hot| hot.hash == self.hashes[at]);
                self.counters[at].hot_windows > 0 && !is_hot
            })
            .collect();
        // From the front, so that none is moved over one that is still to come.
        for (to, from) in kept.iter().copied().enumerate() {
            self.hashes.swap(to, from);
            self.counters.swap(to, from);
        }
        self.hashes.truncate(kept.len());
        self.counters.truncate(kept.len());
        self.counts.clear();
        self.counts.resize(kept.len(), 0);
        for counter in &mut self.counters {
            (counter.writes, counter.error) = (0, 0);
        }
        self.node_reads.fill(0);
        self.reads = 0;
        self.window_began_ms = now_ms;
    }

    /// The keys that are hot, and how many nodes should hold each.
    pub fn hot(&self) -> impl Iterator<Item = (&[u8], usize)> {
        self.hot.iter().map(|hot| (&*hot.key, hot.holders))
    }
}

/// What a window has shown of a key.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    reads: u64,
    reads_per_s: f64,
    node_share: f64,
    share: f64,
    write_share: f64,
}

impl Seen {
    /// Whether it has passed the rules, or `part` of what they ask for.
    fn is_hot(&self, rules: &Rules, part: f64) -> bool {
        let by_share = self.node_share > rules.min_share * part && self.reads_per_s > rules.min_reads_per_s * part;
        by_share || rules.hot_reads_per_s.is_some_and(|rate| self.reads_per_s > rate * part)
    }
}

impl Hot {
    /// Notes whether the key is still warm; whether it has cooled.
    fn cools(&mut self, warm: bool) -> bool {
        self.cool_windows = if warm { 0 } else { self.cool_windows + 1 };
        self.cool_windows >= WINDOWS
    }

    /// Notes how many holders the window asks for; whether their number changes.
    fn resizes(&mut self, wanted: usize) -> bool {
        if wanted >= self.holders {
            let grows = wanted > self.holders;
            (self.holders, self.fewer_windows, self.fewer) = (wanted, 0, 0);
            return grows;
        }
        self.fewer_windows += 1;
        self.fewer = self.fewer.max(wanted);
        if self.fewer_windows < WINDOWS {
            return false;
        }
        (self.holders, self.fewer_windows, self.fewer) = (self.fewer, 0, 0);
        true
    }
}

#[cfg(test)]
mod tests;
