//! How victims are found: a hand that walks the buckets, and chooses the coldest of many entries at once.
//!
//! Nothing links entries to each other, so victims are looked for. Each stripe has a hand (a scan cursor) that goes from
//! bucket to bucket, through one table after the other, so that no entry is looked at twice before all others were. When
//! victims are wanted, it looks at `LOOKS` entries for each of a batch of up to `BATCH`, and the coldest are to go;
//! as many of those that come next stay in the pool, to be compared with what is found the next time. (The pool is Redis's
//! idea, `evict.c`; it makes a few samples as good as many.) Doing so for several victims at once is what
//! makes it cheap: memory is read for many entries in parallel, and each is touched once.
//!
//! Where few keys have a deadline and only those may go, the buckets of the timing wheel that are due next take the
//! place of the hand's.
//!
//! A candidate is known by the handle of its block and by the cursor of its bucket, so nothing must be told when
//! entries move or go: one that is not found there with the metadata it had has been used, moved or removed, and is
//! forgotten. Work is bounded: `BUCKETS` per batch, found or not.

use super::clock::{self, Clock};
use super::ghost::Ghosts;
use super::hazard::{Learner, Model};
use super::{Eviction, Policy, Rank, Ranking, Scene, Subject, Use, adaptive, is_eligible, is_scarce};
use crate::store::table::{Glance, LANES, Place, Table};
use std::sync::Arc;

/// Victims that are chosen at once, at most.
const BATCH: usize = 8;
/// In a stripe with few entries, one victim for each so many of them.
const BATCH_SHARE: usize = 64;
/// Entries that are looked at for each victim: about as many as a bucket has.
const LOOKS: u64 = 8;
/// Buckets that are looked at for one batch, at most: some five hundred entries, or 20 us.
const BUCKETS: u32 = 64;

/// Buckets whose entries are read in one go.
const ROUND: u32 = 8;
/// Room for what they hold.
const GLANCES: usize = ROUND as usize * LANES;
/// Entries that a bucket has, most often.
const USUAL: usize = 7;

/// An entry that may be the next to go.
#[derive(Clone, Copy)]
struct Candidate {
    coldness: u64,
    table: u32,
    /// Of its bucket.
    cursor: u32,
    /// Names its block.
    handle: u32,
    meta: u32,
}

/// Whom to evict, and whether its time had come anyway.
pub(in crate::store) struct Victim {
    pub(in crate::store) table: usize,
    pub(in crate::store) place: Place,
    pub(in crate::store) expired: bool,
}

/// What a stripe needs for eviction: its clock, the hand, and what it has learnt.
pub(in crate::store) struct Evictor {
    clock: Clock,
    /// For which policy the pool is good.
    policy: Policy,
    /// Where the hand is: a table, and a scan cursor in it.
    table: usize,
    hand: u32,
    /// The coldest last.
    pool: Vec<Candidate>,
    /// How many of the pool may go before more are looked at.
    ready: usize,
    learner: Option<Box<Learner>>,
    ghosts: Ghosts,
    model: Arc<Model>,
    stripes: usize,
}

impl Default for Evictor {
    fn default() -> Evictor {
        Evictor {
            clock: Clock::default(),
            policy: Policy::NOEVICTION,
            table: 0,
            hand: 0,
            pool: Vec::new(),
            ready: 0,
            learner: None,
            ghosts: Ghosts::default(),
            model: Arc::default(),
            stripes: 1,
        }
    }
}

impl Evictor {
    /// Learns together with the other stripes, of which there are so many in all.
    pub(in crate::store) fn join(&mut self, model: &Arc<Model>, stripes: usize) {
        (self.model, self.stripes) = (Arc::clone(model), stripes);
    }

    /// The metadata of a new entry; `entries` tells how many there are.
    #[inline]
    pub(in crate::store) fn fresh(
        &mut self,
        eviction: &Eviction,
        hash: u64,
        now_ms: u64,
        entries: impl FnOnce() -> usize,
    ) -> u32 {
        self.clock.advance(now_ms, entries);
        let mut frequency = eviction.fresh();
        if eviction.policy.is_adaptive()
            && let Some((ticks, before)) = self.ghosts.take(hash, self.clock.now())
        {
            frequency = adaptive::raised(before, ticks);
        }
        self.clock.now() << 8 | u32::from(frequency)
    }

    /// The metadata of an entry that comes from another stripe.
    pub(in crate::store) fn arrived(&mut self, meta: u32) -> u32 {
        super::restamp(meta, &self.clock)
    }

    /// The metadata of an entry after a use. `random` need only differ from use to use and key to key.
    #[inline]
    pub(in crate::store) fn used(
        &mut self,
        usage: Use,
        meta: u32,
        eviction: &Eviction,
        (now_ms, random): (u64, u64),
        entries: impl FnOnce() -> usize,
    ) -> u32 {
        self.clock.advance(now_ms, entries);
        let scene = Scene {
            eviction,
            clock: &self.clock,
            now_ms,
        };
        if eviction.policy.is_adaptive()
            && usage != Use::Overwrite
            && let Some(learner) = &mut self.learner
        {
            learner.hit(adaptive::cell(&scene, meta));
        }
        scene.after(usage, meta, random)
    }

    /// Seconds since an entry's last use.
    pub(in crate::store) fn idle_seconds(&self, meta: u32, now_ms: u64) -> u64 {
        self.clock.seconds_since(meta >> 8, now_ms)
    }

    /// The access counter of an entry, decayed to now: what OBJECT FREQ answers.
    pub(in crate::store) fn frequency(&self, meta: u32, eviction: &Eviction, now_ms: u64) -> u8 {
        let scene = Scene {
            eviction,
            clock: &self.clock,
            now_ms,
        };
        super::lfu::decayed(&scene, meta)
    }

    /// Gets ready to rank entries that are found by other ways than its own.
    pub(in crate::store) fn prepare(&mut self, entries: usize) {
        self.clock.press(entries);
    }

    /// How much an entry of a table deserves to go; `None` if the policy may not take it. Nothing is learnt from it.
    pub(in crate::store) fn coldness(
        &self,
        table: &Table,
        place: Place,
        eviction: &Eviction,
        (now_ms, random): (u64, u64),
    ) -> Option<u64> {
        let scene = Scene {
            eviction,
            clock: &self.clock,
            now_ms,
        };
        let entry = table.entry(place);
        let meta = entry.meta();
        let mut subject = Subject {
            meta,
            deadline: entry.deadline(),
            bytes: 0,
            value: 0,
            random: random ^ u64::from(place.handle.get()),
        };
        if eviction.policy.is_adaptive() {
            let (frequency, age) = (meta as u8, scene.age(meta));
            subject.bytes = table.held_by(place);
            subject.value = match &self.learner {
                Some(learner) => learner.value(frequency, age),
                None => super::hazard::expected(frequency, age),
            };
        }
        scene.coldness(&subject)
    }

    /// Whom to evict, of those that were chosen; `None` if there is none left, and others must be chosen.
    pub(in crate::store) fn next(
        &mut self,
        tables: &[Option<Box<Table>>],
        eviction: &Eviction,
        now_ms: u64,
    ) -> Option<Victim> {
        if self.policy != eviction.policy {
            return None;
        }
        while self.ready > 0 {
            let candidate = self.pool.pop()?;
            let number = candidate.table as usize;
            let Some(table) = tables[number].as_deref() else {
                continue;
            };
            let found = table.place_of(candidate.cursor, candidate.handle);
            if let Some(place) = found.filter(|&place| table.entry(place).meta() == candidate.meta) {
                let deadline = table.entry(place).deadline();
                // A deadline may have been taken off since.
                if deadline.is_some() || !eviction.policy.volatile_only() {
                    self.ready -= 1;
                    return Some(Victim {
                        table: number,
                        place,
                        expired: deadline.is_some_and(|deadline| deadline <= now_ms),
                    });
                }
            }
        }
        None
    }

    /// Chooses the next victims.
    pub(in crate::store) fn choose(
        &mut self,
        tables: &[Option<Box<Table>>],
        eviction: &Eviction,
        (now_ms, random): (u64, u64),
        hasher: &ahash::RandomState,
    ) {
        let is_eligible = |table: &&Table| is_eligible(table, eviction.policy);
        let all = || tables.iter().flatten().map(|table| &**table);
        let entries = all().map(Table::len).sum();
        let buckets: u32 = all().filter(is_eligible).map(Table::bucket_count).sum();
        self.begin(entries, eviction.policy);
        if buckets == 0 {
            return;
        }
        let looks = eviction.samples.max(LOOKS) as usize;
        let batch = (entries / BATCH_SHARE).clamp(1, BATCH);
        let kept = self.pool.len().min(batch);
        self.pool.drain(..self.pool.len() - kept);
        let mut walk = Walk {
            tables,
            scene: Scene {
                eviction,
                clock: &self.clock,
                now_ms,
            },
            random,
            at: (self.table, self.hand),
            pool: &mut self.pool,
            learner: self.learner.as_deref_mut(),
            seen: 0,
            wanted: batch * looks,
        };
        walk.run(BUCKETS.min(buckets));
        let seen = walk.seen;
        (self.table, self.hand) = walk.at;
        if let Some(learner) = &mut self.learner {
            learner.saw(seen);
            learner.share(&self.model, entries, self.stripes);
        }
        self.ready = (seen / looks).clamp(1, batch).min(self.pool.len());
        let dropped = self.pool.len().saturating_sub(self.ready + batch);
        if dropped > 0 {
            self.pool
                .select_nth_unstable_by_key(dropped, |candidate| candidate.coldness);
            self.pool.drain(..dropped);
        }
        self.pool.sort_unstable_by_key(|candidate| candidate.coldness);
        self.look_at_chosen(tables, hasher);
    }

    /// Asks the cache for what evicting the chosen will touch: all of a block, as what is stored next will take it, and
    /// where the key will be remembered. What is still on its way to a block is waited for when the lock is let go.
    fn look_at_chosen(&self, tables: &[Option<Box<Table>>], hasher: &ahash::RandomState) {
        for candidate in &self.pool[self.pool.len() - self.ready..] {
            let Some(table) = tables[candidate.table as usize].as_deref() else {
                continue;
            };
            let Some(place) = table.place_of(candidate.cursor, candidate.handle) else {
                continue;
            };
            table.prefetch_block(place);
            if self.remembers() {
                self.ghosts.prefetch(hasher.hash_one(table.entry(place).key()));
            }
        }
    }

    /// Asks the cache for what a new key will look at.
    #[inline]
    pub(in crate::store) fn prefetch(&self, hash: u64) {
        self.ghosts.prefetch(hash);
    }

    /// Gets ready for a policy and a number of entries.
    fn begin(&mut self, entries: usize, policy: Policy) {
        self.clock.press(entries);
        self.ready = 0;
        if self.policy != policy {
            self.policy = policy;
            self.pool.clear();
            if !policy.is_adaptive() {
                self.forget();
            }
        }
        if policy.is_adaptive() {
            if self.learner.is_none() {
                self.learner = Some(Box::new(Learner::new(&self.model)));
            }
            self.ghosts.resize(entries);
        }
    }

    /// Notes that an entry was evicted for want of room.
    pub(in crate::store) fn evicted(&mut self, hash: u64, meta: u32) {
        self.ghosts.add(hash, meta >> 8, meta as u8);
    }

    /// Whether it must be told of what is evicted.
    pub(in crate::store) fn remembers(&self) -> bool {
        self.policy.is_adaptive()
    }

    /// Drops what was learnt of entries that may be gone.
    pub(in crate::store) fn forget(&mut self) {
        self.pool = Vec::new();
        self.ready = 0;
        self.ghosts = Ghosts::default();
        self.learner = None;
    }

    /// Bytes allocated.
    pub(in crate::store) fn bytes(&self) -> usize {
        let learner = self.learner.as_ref().map_or(0, |_| size_of::<Learner>());
        // Those of the clock count while there is something to evict, which is when it matters.
        let clock = if self.pool.capacity() > 0 { clock::MARK_BYTES } else { 0 };
        self.pool.capacity() * size_of::<Candidate>() + self.ghosts.bytes() + learner + clock
    }
}

/// Asks the cache for what the next round will read, the entries, and for the buckets of the one after it: nobody has to
/// wait for memory then.
fn look_ahead(table: &Table, next: Option<u32>) {
    let mut next = next;
    for step in 0..2 * ROUND {
        let Some(cursor) = next else { return };
        if step < ROUND {
            table.prefetch_entries(cursor);
        } else {
            table.prefetch_at(cursor);
        }
        next = table.after(cursor);
    }
}

/// One walk of the hand, which fills the pool.
struct Walk<'e> {
    tables: &'e [Option<Box<Table>>],
    scene: Scene<'e>,
    random: u64,
    /// Table and cursor.
    at: (usize, u32),
    pool: &'e mut Vec<Candidate>,
    learner: Option<&'e mut Learner>,
    seen: usize,
    wanted: usize,
}

impl Walk<'_> {
    /// Walks on until enough entries were seen, but over so many buckets at most; some table is eligible.
    fn run(&mut self, buckets: u32) {
        match self.scene.eviction.policy.rank {
            Some(Rank::Adaptive) => self.walk::<adaptive::Adaptive>(buckets),
            Some(Rank::Lru) => self.walk::<super::lru::Lru>(buckets),
            Some(Rank::Lfu) => self.walk::<super::lfu::Lfu>(buckets),
            Some(Rank::Random) => self.walk::<super::random::Random>(buckets),
            Some(Rank::Ttl) => self.walk::<super::ttl::Ttl>(buckets),
            Some(Rank::Lrm) => self.walk::<super::lrm::Lrm>(buckets),
            Some(Rank::Fifo) => self.walk::<super::fifo::Fifo>(buckets),
            Some(Rank::Mru) => self.walk::<super::mru::Mru>(buckets),
            None => {}
        }
    }

    /// The table at the hand, which moves on to the next that is eligible if that is not.
    fn table<'t>(&mut self, tables: &'t [Option<Box<Table>>]) -> Option<&'t Table> {
        let policy = self.scene.eviction.policy;
        for _ in 0..=tables.len() {
            match tables.get(self.at.0).and_then(Option::as_deref) {
                Some(table) if is_eligible(table, policy) => return Some(table),
                _ => self.at = ((self.at.0 + 1) % tables.len(), 0),
            }
        }
        None
    }

    fn walk<R: Ranking>(&mut self, mut buckets: u32) {
        let tables = self.tables;
        if let Some(table) = self
            .table(tables)
            .filter(|table| is_scarce(table, self.scene.eviction.policy))
        {
            table.visit_soonest(BUCKETS as usize, |cursor, place| {
                self.see::<R>(table, table.glance_at(place, cursor));
                self.seen >= self.wanted
            });
            if self.seen > 0 {
                self.at = (self.at.0 + 1, 0);
                return;
            }
        }
        let mut glances = [Glance::default(); GLANCES];
        while self.seen < self.wanted && buckets > 0 {
            let Some(table) = self.table(tables) else { return };
            let missing = (self.wanted - self.seen).div_ceil(USUAL) as u32;
            let round = missing.min(ROUND).min(buckets);
            let (mut count, mut next) = (0, Some(self.at.1));
            for _ in 0..round {
                let Some(cursor) = next else { break };
                let mut bucket = Some(table.bucket_at(cursor));
                while let Some(number) = bucket {
                    if count + LANES > GLANCES {
                        self.see_all::<R>(table, &glances[..std::mem::take(&mut count)]);
                    }
                    bucket = table.glance(number, cursor, &mut glances, &mut count);
                }
                next = table.after(cursor);
                buckets -= 1;
            }
            look_ahead(table, next);
            self.see_all::<R>(table, &glances[..count]);
            self.at = next.map_or((self.at.0 + 1, 0), |next| (self.at.0, next));
        }
    }

    fn see_all<R: Ranking>(&mut self, table: &Table, glances: &[Glance]) {
        for &glance in glances {
            self.see::<R>(table, glance);
        }
    }

    /// Puts an entry into the pool, if the policy may take it.
    #[inline]
    fn see<R: Ranking>(&mut self, table: &Table, glance: Glance) {
        let (scene, meta) = (&self.scene, glance.head.meta());
        let (mut deadline, mut bytes) = (None, glance.bytes as usize);
        if !glance.head.is_plain() {
            let Some(place) = table.place_of(glance.cursor, glance.handle) else {
                return;
            };
            deadline = table.entry(place).deadline();
            bytes = table.held_by(place);
        }
        if deadline.is_none() && scene.eviction.policy.volatile_only() {
            return;
        }
        self.seen += 1;
        let mut subject = Subject {
            meta,
            deadline,
            bytes,
            value: 0,
            random: self.random ^ u64::from(glance.handle),
        };
        if let Some(learner) = &mut self.learner {
            subject.value = learner.see(meta as u8, scene.age(meta));
        }
        let expired = deadline.is_some_and(|deadline| deadline <= scene.now_ms);
        let coldness = if expired {
            u64::MAX
        } else {
            R::coldness(scene, &subject)
        };
        self.pool.push(Candidate {
            coldness,
            table: self.at.0 as u32,
            cursor: glance.cursor,
            handle: glance.handle,
            meta,
        });
    }
}
