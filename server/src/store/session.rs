//! What one command sees of the keyspace: a database, a time, and the stripes it holds.

use super::eviction::{self, Eviction};
use super::key::{Guard, Key};
use super::stripe::{Stripe, Target};
use super::table::scan_order;
use super::{Dirty, Flushed, Keyspace};
use crate::ttl;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// Keys that are drawn at random before they are searched in order, because all drawn had expired.
const RANDOM_DRAWS: u64 = 100;
/// A stripe with so many keys has about as many as any other, as hashes spread them.
const EVEN_KEYS: usize = 64;

/// What a view holds over several operations.
enum Locks<'n> {
    /// Nothing: each key locks its stripe while it is open.
    None,
    /// Stripes of its own, in rising order.
    Held(Box<Held<'n>>),
    /// Those of the transaction of which this is one command.
    Lent(&'n mut (dyn Lender + 'n)),
}

struct Held<'n>(Vec<(usize, Guard<'n>)>);

/// What a transaction holds, as its commands see it; a trait, so that lending it costs nothing.
trait Lender {
    fn stripe(&mut self, index: usize) -> &mut Stripe;
}

impl Lender for Held<'_> {
    fn stripe(&mut self, index: usize) -> &mut Stripe {
        let place = self.0.binary_search_by_key(&index, |(number, _)| *number);
        let (_, guard) = &mut self.0[place.expect("a command opens only keys that it declared")];
        guard.stripe()
    }
}

/// A view of the keyspace for the length of one command.
pub struct Store<'n> {
    keyspace: &'n Keyspace,
    /// The selected database.
    pub database: usize,
    /// Unix time of this turn in milliseconds.
    pub now_ms: u64,
    /// The policy and its parameters.
    pub eviction: &'n Eviction,
    /// False for CLIENT NO-TOUCH: reads leave eviction metadata alone.
    pub touch: bool,
    /// What is done to times to live.
    pub ttl: ttl::Scope<'n>,
    locks: Locks<'n>,
    /// A key whose hash is known already: where it stands in memory, and the hash.
    hint: (*const u8, u64),
}

impl<'n> Store<'n> {
    /// A view that holds nothing yet.
    pub fn new(keyspace: &'n Keyspace, database: usize, now_ms: u64, eviction: &'n Eviction) -> Store<'n> {
        let hint = (std::ptr::null(), 0);
        Store {
            keyspace,
            database,
            now_ms,
            eviction,
            touch: true,
            ttl: ttl::Scope::default(),
            locks: Locks::None,
            hint,
        }
    }

    /// The keyspace beneath.
    pub fn keyspace(&self) -> &'n Keyspace {
        self.keyspace
    }

    /// Tells the hash of a key, so that opening that very slice need not hash it again.
    #[inline]
    pub fn hint(&mut self, key: &[u8], hash: u64) {
        self.hint = (key.as_ptr(), hash);
    }

    /// Runs `work` on a key's stripe, held as long as that takes.
    #[inline]
    pub(super) fn with_stripe<R>(&mut self, key: &[u8], work: impl FnOnce(&mut Stripe, Target<'_>) -> R) -> R {
        let hash = self.hash(key);
        let (keyspace, database, now_ms) = (self.keyspace, self.database, self.now_ms);
        let index = keyspace.index(hash);
        let mut own;
        let stripe = match &mut self.locks {
            Locks::None => {
                own = keyspace.lock(index);
                &mut *own
            }
            Locks::Held(held) => held.stripe(index),
            Locks::Lent(lender) => lender.stripe(index),
        };
        // Read under the lock: SWAPDB changes it only while all stripes are held.
        let table = keyspace.table_of(database);
        let target = Target {
            table,
            key,
            hash,
            now_ms,
        };
        work(stripe, target)
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        if std::ptr::eq(self.hint.0, key.as_ptr()) {
            self.hint.1
        } else {
            self.keyspace.hash(key)
        }
    }

    /// Opens a key of the selected database: locks its stripe until the `Key` is dropped.
    #[inline]
    pub fn key<'s>(&'s mut self, key: &'s [u8]) -> Key<'s> {
        self.key_in(self.database, key)
    }

    /// Opens a key of any database.
    #[inline]
    pub fn key_in<'s>(&'s mut self, database: usize, key: &'s [u8]) -> Key<'s> {
        let hash = self.hash(key);
        let keyspace = self.keyspace;
        let (now_ms, eviction, touch, ttl) = (self.now_ms, self.eviction, self.touch, self.ttl);
        let guard = self.guard(keyspace.index(hash));
        // Read under the lock: SWAPDB changes it only while all stripes are held.
        let target = Target {
            table: keyspace.table_of(database),
            key,
            hash,
            now_ms,
        };
        Key::new(keyspace, guard, target, eviction, touch, ttl)
    }

    #[inline]
    pub(super) fn guard<'s>(&'s mut self, index: usize) -> Guard<'s> {
        match &mut self.locks {
            Locks::None => Guard::Own(self.keyspace.lock(index)),
            Locks::Held(held) => Guard::Held(held.stripe(index)),
            Locks::Lent(lender) => Guard::Held(lender.stripe(index)),
        }
    }

    /// Whether stripes are held, by this view or by the transaction that it works for.
    #[inline]
    pub fn holds(&self) -> bool {
        !matches!(self.locks, Locks::None)
    }

    /// Holds the stripes of these keys until `release`, so that what is done to them is atomic. Does
    /// nothing if stripes are held already: a transaction holds those of all its commands.
    pub fn hold<'k>(&mut self, keys: impl IntoIterator<Item = &'k [u8]>) {
        if self.holds() {
            return;
        }
        let indices = keys
            .into_iter()
            .map(|key| self.keyspace.index(self.hash(key)))
            .collect();
        self.take_sorted(indices);
    }

    /// As `hold`, for keys whose hashes are known.
    pub fn hold_hashes(&mut self, hashes: &[u64]) {
        if !self.holds() {
            self.take_sorted(hashes.iter().map(|&hash| self.keyspace.index(hash)).collect());
        }
    }

    /// Asks the cache for the entries of keys, given by their hashes, whose stripes are held.
    pub fn prefetch(&mut self, hashes: &[u64]) {
        let number = self.keyspace.table_of(self.database);
        for &hash in hashes {
            let index = self.keyspace.index(hash);
            if let Some(table) = self.guard(index).stripe().table(number) {
                table.prefetch_bucket(hash);
            }
        }
        for &hash in hashes {
            let index = self.keyspace.index(hash);
            if let Some(table) = self.guard(index).stripe().table(number) {
                table.prefetch_entry(hash);
            }
        }
    }

    fn take_sorted(&mut self, mut indices: Vec<usize>) {
        indices.sort_unstable();
        indices.dedup();
        self.take_all(&indices);
    }

    fn take_all(&mut self, indices: &[usize]) {
        if indices.is_empty() {
            // Holding nothing must not look like holding, or a key opened later would be missing.
            return;
        }
        let guards = self.keyspace.lock_many(indices).into_iter();
        let held = guards.map(|(index, guard)| (index, Guard::Own(guard)));
        self.locks = Locks::Held(Box::new(Held(held.collect())));
    }

    /// Holds every stripe.
    pub fn hold_all(&mut self) {
        let stripes = self.keyspace.stripes.len();
        let enough = match &self.locks {
            Locks::None => false,
            Locks::Held(held) => held.0.len() == stripes,
            Locks::Lent(_) => true,
        };
        if !enough {
            self.release();
            let indices: Vec<usize> = (0..stripes).collect();
            self.take_all(&indices);
        }
    }

    /// Lets go of what this view holds; a transaction keeps what it has lent.
    #[inline]
    pub fn release(&mut self) {
        if matches!(self.locks, Locks::Held(_)) {
            self.locks = Locks::None;
        }
    }

    /// A view for one command of a transaction: it works under what this one holds.
    pub fn lend(&mut self, database: usize) -> Store<'_> {
        let locks = match &mut self.locks {
            Locks::None => Locks::None,
            Locks::Held(held) => Locks::Lent(&mut **held),
            Locks::Lent(lender) => Locks::Lent(&mut **lender),
        };
        Store {
            locks,
            keyspace: self.keyspace,
            database,
            now_ms: self.now_ms,
            eviction: self.eviction,
            touch: self.touch,
            ttl: self.ttl,
            hint: (std::ptr::null(), 0),
        }
    }

    /// Registers `dirty` for the next change of a key, unless the key has expired already.
    pub fn watch(&mut self, database: usize, key: &[u8], dirty: &Dirty) {
        let hash = self.hash(key);
        let (keyspace, now_ms) = (self.keyspace, self.now_ms);
        let mut guard = self.guard(keyspace.index(hash));
        let table = keyspace.table_of(database);
        let stripe = guard.stripe();
        // Removing it now keeps its later reclaim from looking like a change.
        stripe.find(Target {
            table,
            key,
            hash,
            now_ms,
        });
        stripe.watchers.watch(table, key, dirty);
    }

    /// Forgets a watch.
    pub fn unwatch(&mut self, database: usize, key: &[u8], dirty: &Dirty) {
        let keyspace = self.keyspace;
        let mut guard = self.guard(keyspace.index(self.hash(key)));
        let table = keyspace.table_of(database);
        guard.stripe().watchers.unwatch(table, key, dirty);
    }

    /// How many keys the database has, expired ones that were not reclaimed yet included.
    pub fn len(&mut self, database: usize) -> usize {
        let table = self.keyspace.table_of(database);
        self.sum(|stripe| stripe.table(table).map_or(0, |table| table.len()))
    }

    /// How many keys of the database have a deadline.
    pub fn volatile(&mut self, database: usize) -> usize {
        let table = self.keyspace.table_of(database);
        self.sum(|stripe| stripe.table(table).map_or(0, |table| table.volatile()))
    }

    /// Buckets of the database over all stripes.
    pub fn buckets(&mut self, database: usize) -> usize {
        let table = self.keyspace.table_of(database);
        self.sum(|stripe| stripe.table(table).map_or(0, |table| table.bucket_count() as usize))
    }

    fn sum(&mut self, part: impl Fn(&Stripe) -> usize) -> usize {
        (0..self.keyspace.stripes.len())
            .map(|index| part(self.guard(index).stripe()))
            .sum()
    }

    /// Cuts a database loose, for everybody at once: holding all stripes is short, as each table is only
    /// unhooked. The keys are gone when this returns; their memory is freed when the result is dropped.
    pub fn flush(&mut self, database: usize) -> Flushed {
        self.flush_range(database..database + 1)
    }

    /// Cuts all databases loose, as `flush` does one.
    pub fn flush_all(&mut self) -> Flushed {
        self.flush_range(0..self.keyspace.shape.databases)
    }

    fn flush_range(&mut self, databases: Range<usize>) -> Flushed {
        let mine = !self.holds();
        self.hold_all();
        let keyspace = self.keyspace;
        let mut flushed = Flushed {
            tables: Vec::new(),
            pool: Some(std::sync::Arc::clone(&keyspace.pool)),
        };
        for index in 0..keyspace.stripes.len() {
            let mut guard = self.guard(index);
            let stripe = guard.stripe();
            let tables = databases
                .clone()
                .filter_map(|database| stripe.take_table(keyspace.table_of(database)));
            let begin = flushed.tables.len();
            flushed.tables.extend(tables);
            // They count until they are freed; `publish` tells that the stripe has them no more.
            let bytes = flushed.tables[begin..].iter().map(|table| table.held_bytes()).sum();
            keyspace.pool.tell(bytes);
            keyspace.publish(stripe);
        }
        if mine {
            self.release();
        }
        flushed
    }

    /// Swaps two databases for everybody at once.
    pub fn swap(&mut self, first: usize, second: usize) {
        let mine = !self.holds();
        self.hold_all();
        let keyspace = self.keyspace;
        let (one, two) = (keyspace.table_of(first), keyspace.table_of(second));
        for index in 0..keyspace.stripes.len() {
            let mut guard = self.guard(index);
            let stripe = guard.stripe();
            for (table, other) in [(one, two), (two, one)] {
                let here = |number: usize, key: &[u8]| {
                    stripe
                        .table(number)
                        .is_some_and(|table| table.find(keyspace.hash(key), key).is_some())
                };
                stripe
                    .watchers
                    .table_changed(table, |key| here(table, key) || here(other, key));
            }
            // A watch is on a key of a database, so it moves with the number, not with the table.
            stripe.watchers.swap_tables(one, two);
        }
        keyspace.databases[first].store(two, Ordering::Relaxed);
        keyspace.databases[second].store(one, Ordering::Relaxed);
        if mine {
            self.release();
        }
    }

    /// Visits the keys of one bucket. `cursor` is 0 at the start; the result is where to go on, 0 at the
    /// end. `visit` gets each key that has not expired, and its kind of value through the entry.
    ///
    /// A key that is there from the first call to the last is visited at least once, and just once unless
    /// databases were swapped meanwhile.
    pub fn scan(&mut self, cursor: u64, visit: &mut dyn FnMut(&[u8], &'static str)) -> u64 {
        let stripes = self.keyspace.stripes.len() as u64;
        let (index, bucket) = (cursor >> 32, cursor as u32);
        if index >= stripes {
            return 0;
        }
        let keyspace = self.keyspace;
        let (database, now_ms) = (self.database, self.now_ms);
        let mut guard = self.guard(index as usize);
        let next = guard.stripe().table(keyspace.table_of(database)).and_then(|table| {
            let begins = table.begins_bucket(bucket);
            let is_new = |key: &[u8]| begins || scan_order(keyspace.hash(key)) >= bucket;
            table.scan(bucket, |place| {
                let entry = table.entry(place);
                if entry.deadline().is_none_or(|deadline| deadline > now_ms) && is_new(entry.key()) {
                    visit(entry.key(), super::key::type_name(&entry));
                }
            })
        });
        match next {
            Some(bucket) => index << 32 | u64::from(bucket),
            None if index + 1 < stripes => (index + 1) << 32,
            None => 0,
        }
    }

    /// A key of the database at random, from a random number; `None` if it is empty.
    pub fn random_key(&mut self, random: u64) -> Option<Vec<u8>> {
        for draw in 0..RANDOM_DRAWS {
            let random = eviction::mix(random, draw);
            let index = self.random_stripe(random)?;
            if let Some(key) = self.sample(index, random) {
                return Some(key);
            }
        }
        self.first_key()
    }

    /// A stripe at random, by how many keys of the database it has; `None` if none has any.
    fn random_stripe(&mut self, random: u64) -> Option<usize> {
        let keyspace = self.keyspace;
        let (table, stripes) = (keyspace.table_of(self.database), keyspace.stripes.len());
        let drawn = random as usize % stripes;
        let len = |stripe: &Stripe| stripe.table(table).map_or(0, |table| table.len());
        if len(self.guard(drawn).stripe()) >= EVEN_KEYS {
            return Some(drawn);
        }
        let keys: Vec<usize> = (0..stripes).map(|index| len(self.guard(index).stripe())).collect();
        let mut place = (random >> 32).checked_rem(keys.iter().sum::<usize>() as u64)? as usize;
        keys.iter().position(|&keys| {
            let here = place < keys;
            place = place.saturating_sub(keys);
            here
        })
    }

    /// A key of a stripe at random; `None` if what was drawn had expired, or there is none.
    fn sample(&mut self, index: usize, random: u64) -> Option<Vec<u8>> {
        let keyspace = self.keyspace;
        let (database, now_ms) = (self.database, self.now_ms);
        let mut guard = self.guard(index);
        let (stripe, number) = (guard.stripe(), keyspace.table_of(database));
        let table = stripe.table(number)?;
        let key = table.entry(table.sample(random)?).key().to_vec();
        let target = Target {
            table: number,
            key: &key,
            hash: keyspace.hash(&key),
            now_ms,
        };
        stripe.find(target)?;
        Some(key)
    }

    /// The first key that a scan finds.
    fn first_key(&mut self) -> Option<Vec<u8>> {
        let mut cursor = 0;
        loop {
            let mut found = None;
            cursor = self.scan(cursor, &mut |key, _| found = Some(key.to_vec()));
            if found.is_some() || cursor == 0 {
                return found;
            }
        }
    }
}
