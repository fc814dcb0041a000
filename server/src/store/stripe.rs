//! One lock's part of the keyspace: a table per database, and the one funnel for change.

use super::arena::Pool;
use super::entry::{self, Content, Entry, Form, Parts};
use super::eviction::{Eviction, Evictor, Use};
use super::key::{Text, WrongType};
use super::prefixes::Ledger;
use super::table::{NEVER_MS, Place, Table};
use super::value::{self, Value};
use super::watch::Watchers;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is stored for a key.
pub enum NewValue<'a> {
    /// A string, copied into the entry when it fits a slab.
    Bytes(&'a [u8]),
    /// The same, and it stays text even if it reads like an integer.
    Text(&'a [u8]),
    /// A string that may be kept as it is.
    Shared(Bytes),
    /// The same, computed by a command and not given by a client, which OBJECT ENCODING tells apart.
    Built(Bytes),
    /// Any other value.
    Boxed(Box<Value>),
}

/// Counts of what a stripe has seen since the start or the last reset.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys removed because their deadline had passed.
    pub expired: u64,
    /// Keys removed to make room.
    pub evicted: u64,
    /// Changes of any kind.
    pub changes: u64,
}

/// Bytes by what they are for.
#[derive(Clone, Copy, Default, Debug)]
pub struct Memory {
    /// Entries, each as its block, and values kept apart.
    pub entries: usize,
    /// Buckets and their directories.
    pub index: usize,
    /// Free blocks in slabs: room for entries of the same size.
    pub free: usize,
    /// All that the tables hold: the above, what is left over at the end of slabs, and lists of slabs.
    pub held: usize,
}

/// Which entry: its table, its key and the key's hash, and the time of the request.
#[derive(Clone, Copy)]
pub(super) struct Target<'k> {
    pub(super) table: usize,
    pub(super) key: &'k [u8],
    pub(super) hash: u64,
    pub(super) now_ms: u64,
}

/// What an entry holds beside its key and value.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) deadline: Option<u64>,
    pub(super) meta: u32,
}

/// A stripe; callers hold its lock.
pub struct Stripe {
    pub(super) tables: Vec<Option<Box<Table>>>,
    pub(super) watchers: Watchers,
    pub(super) counters: Counters,
    pub(super) hasher: ahash::RandomState,
    pub(super) evictor: Evictor,
    /// What is had of each prefix, if there are any.
    pub(super) ledger: Option<Box<Ledger>>,
    pool: Arc<Pool>,
    /// Bytes that the tables hold: what counts against the node's limit.
    pub(super) used: usize,
    /// What the node's total has been told of them.
    pub(super) published: usize,
    /// The table with which the background reclaim of expired keys goes on.
    pub(super) reclaim_at: usize,
    /// When that has something to do next, in Unix milliseconds, for those to see who do not hold the lock.
    pub(super) due_ms: Arc<AtomicU64>,
}

impl Stripe {
    pub(super) fn new(hasher: ahash::RandomState, pool: Arc<Pool>, tables: usize) -> Stripe {
        Stripe {
            tables: (0..tables).map(|_| None).collect(),
            watchers: Watchers::default(),
            counters: Counters::default(),
            hasher,
            evictor: Evictor::default(),
            ledger: None,
            pool,
            used: 0,
            published: 0,
            reclaim_at: 0,
            due_ms: Arc::new(AtomicU64::new(NEVER_MS)),
        }
    }

    /// Bytes by kind.
    pub fn memory(&self) -> Memory {
        self.tables
            .iter()
            .flatten()
            .fold(Memory::default(), |sum, table| Memory {
                entries: sum.entries + table.entry_bytes(),
                index: sum.index + table.index_bytes(),
                free: sum.free + table.free_bytes(),
                held: sum.held + table.held_bytes(),
            })
    }

    pub(super) fn table(&self, table: usize) -> Option<&Table> {
        self.tables[table].as_deref()
    }

    /// Finds a key that has not expired; one that has is removed on the way.
    #[inline]
    pub(super) fn find(&mut self, target: Target<'_>) -> Option<Place> {
        let table = self.tables[target.table].as_deref()?;
        let place = table.find(target.hash, target.key)?;
        match table.entry(place).deadline() {
            Some(deadline) if deadline <= target.now_ms => {
                self.expire(target, place);
                None
            }
            _ => Some(place),
        }
    }

    #[cold]
    fn expire(&mut self, target: Target<'_>, place: Place) {
        self.remove_at(target, place);
        self.counters.expired += 1;
    }

    #[inline]
    pub(super) fn entry(&self, table: usize, place: Place) -> Entry<'_> {
        self.tables[table]
            .as_deref()
            .expect("a place is of a table that is there")
            .entry(place)
    }

    #[inline]
    fn entry_mut(&mut self, table: usize, place: Place) -> Entry<'_> {
        self.table_mut(table).entry_mut(place)
    }

    #[inline]
    fn table_mut(&mut self, table: usize) -> &mut Table {
        self.tables[table]
            .as_deref_mut()
            .expect("a place is of a table that is there")
    }

    /// Changes a table, and the count of bytes used with it.
    #[inline]
    pub(super) fn change<R>(&mut self, table: usize, change: impl FnOnce(&mut Table, &ahash::RandomState) -> R) -> R {
        let table = self.tables[table]
            .as_deref_mut()
            .expect("a place is of a table that is there");
        let before = table.held_bytes();
        let result = change(table, &self.hasher);
        self.used = self.used + table.held_bytes() - before;
        result
    }

    /// Notes a use of the entry for eviction; writes only if that changes something.
    #[inline]
    pub(super) fn touch(&mut self, target: Target<'_>, place: Place, eviction: &Eviction, usage: Use) {
        let before = self.entry(target.table, place).meta();
        let after = self.meta_after(target, before, eviction, usage);
        if before != after {
            self.entry_mut(target.table, place).set_meta(after);
        }
    }

    /// The eviction metadata of an entry after a use.
    #[inline]
    fn meta_after(&mut self, target: Target<'_>, meta: u32, eviction: &Eviction, usage: Use) -> u32 {
        let random = target.hash ^ self.counters.hits;
        let tables = &self.tables;
        self.evictor
            .used(usage, meta, eviction, (target.now_ms, random), || entries(tables))
    }

    /// The eviction metadata of what is about to be stored for a key: of a new entry, or of the one at `place` after
    /// `usage`.
    #[inline]
    pub(super) fn meta_for(
        &mut self,
        target: Target<'_>,
        place: Option<Place>,
        eviction: &Eviction,
        usage: Use,
    ) -> u32 {
        if let Some(place) = place {
            let before = self.entry(target.table, place).meta();
            return self.meta_after(target, before, eviction, usage);
        }
        let tables = &self.tables;
        self.evictor
            .fresh(eviction, target.hash, target.now_ms, || entries(tables))
    }

    /// The string of a key, counted as a hit or a miss and, with `eviction`, noted as used.
    #[inline]
    pub(super) fn read_text(
        &mut self,
        target: Target<'_>,
        eviction: Option<&Eviction>,
    ) -> Result<Option<Text<'_>>, WrongType> {
        let Some(place) = self.find(target) else {
            self.count_miss(target.key);
            return Ok(None);
        };
        self.count_hit(target.key);
        if let Some(eviction) = eviction {
            self.touch(target, place, eviction, Use::Read);
        }
        let entry = self.entry(target.table, place);
        entry.into_text().map(Some).ok_or(WrongType)
    }

    /// Replaces the short string at a place where it stands, if it suits; tells those who must hear of it.
    #[inline]
    pub(super) fn overwrite(&mut self, target: Target<'_>, place: Place, value: &[u8], facts: Facts) -> bool {
        let table = self.table_mut(target.table);
        let done = table.overwrite(place, value, facts.deadline, Form::Given, facts.meta);
        if done {
            if let Some(deadline) = facts.deadline {
                self.schedule(target, deadline);
            }
            self.changed(target);
        }
        done
    }

    /// Replaces the inline string at a place by one of the same length, its deadline kept; tells those who must hear of
    /// it. False, and nothing has changed, if there is no such string.
    #[inline]
    pub(super) fn overwrite_alike(&mut self, target: Target<'_>, place: Place, value: &[u8], meta: u32) -> bool {
        let done = self.entry_mut(target.table, place).set_alike(value, meta);
        if done {
            self.changed(target);
        }
        done
    }

    /// Sees to it that the key is reclaimed when this deadline of it comes.
    #[inline]
    fn schedule(&mut self, target: Target<'_>, deadline: u64) {
        if !self.table_mut(target.table).is_scheduled(target.hash, deadline) {
            let due_ms = self.change(target.table, |table, _| {
                table.schedule(target.hash, deadline, target.now_ms)
            });
            note_due(&self.due_ms, due_ms);
        }
    }

    /// Stores a value under a key, whatever was there, and tells those who must hear of it.
    pub(super) fn set(
        &mut self,
        target: Target<'_>,
        known: Option<Option<Place>>,
        value: NewValue<'_>,
        facts: Facts,
    ) -> Option<Box<Value>> {
        let replaced = self.set_quietly(target, known, value, facts);
        self.changed(target);
        replaced
    }

    /// As `set`, for a change that nobody must hear of.
    ///
    /// `known` is where the key is, or that it is not there, if the caller has looked already. What was
    /// boxed there before is given back for the caller to drop.
    pub(super) fn set_quietly(
        &mut self,
        target: Target<'_>,
        known: Option<Option<Place>>,
        value: NewValue<'_>,
        facts: Facts,
    ) -> Option<Box<Value>> {
        let Facts { deadline, meta } = facts;
        let weight = self.weigh(target.table);
        let find = || {
            self.tables[target.table]
                .as_deref()
                .and_then(|table| table.find(target.hash, target.key))
        };
        let place = known.unwrap_or_else(find);
        let (pool, used) = (&self.pool, &mut self.used);
        let table = self.tables[target.table].get_or_insert_with(|| {
            let table = Table::new(pool);
            *used += table.held_bytes();
            Box::new(table)
        });
        let before = table.held_bytes();
        if deadline.is_some() {
            table.prefetch_deadline(target.hash);
        }
        let room = table.max_inline_entry();
        let fits = |len| entry::size(target.key.len(), len, deadline.is_some()) <= room;
        let form = match value {
            NewValue::Text(_) => Form::Text,
            NewValue::Built(_) => Form::Built,
            NewValue::Bytes(_) | NewValue::Shared(_) | NewValue::Boxed(_) => Form::Given,
        };
        let content = match value {
            NewValue::Bytes(bytes) | NewValue::Text(bytes) if fits(bytes.len()) => Content::Inline(bytes),
            NewValue::Bytes(bytes) | NewValue::Text(bytes) => {
                Content::Apart(Box::new(Value::Text(value::Text::new(Bytes::copy_from_slice(bytes)))))
            }
            NewValue::Shared(ref bytes) | NewValue::Built(ref bytes) if fits(bytes.len()) => Content::Inline(bytes),
            NewValue::Shared(bytes) | NewValue::Built(bytes) => {
                Content::Apart(Box::new(Value::Text(value::Text::new(bytes))))
            }
            NewValue::Boxed(value) => Content::Apart(value),
        };
        let parts = Parts {
            key: target.key,
            content,
            deadline,
            form,
            meta,
        };
        let replaced = match place {
            Some(place) => table.replace(place, parts),
            None => {
                let hasher = &self.hasher;
                table.insert(target.hash, parts, |key| hasher.hash_one(key));
                None
            }
        };
        if let Some(deadline) = deadline
            && !table.is_scheduled(target.hash, deadline)
        {
            note_due(&self.due_ms, table.schedule(target.hash, deadline, target.now_ms));
        }
        *used = *used + table.held_bytes() - before;
        self.settle(target, weight);
        replaced
    }

    /// Edits a string in place: `change` sees it with `len` bytes, cut or padded with zeros, and tells whether
    /// anybody must hear of it.
    pub(super) fn edit(
        &mut self,
        target: Target<'_>,
        place: Place,
        len: usize,
        change: impl FnOnce(&mut [u8]) -> bool,
    ) {
        let mut changed = false;
        let edit = |text: &mut [u8]| changed = change(text);
        let weight = self.weigh(target.table);
        self.change(target.table, |table, _| table.edit(place, len, edit));
        self.settle(target, weight);
        if changed {
            self.changed(target);
        }
    }

    /// Gives the entry another deadline, or none.
    pub(super) fn set_deadline(&mut self, target: Target<'_>, place: Place, deadline: Option<u64>) {
        let weight = self.weigh(target.table);
        self.change(target.table, |table, _| table.set_deadline(place, deadline));
        if let Some(deadline) = deadline {
            self.schedule(target, deadline);
        }
        self.settle(target, weight);
        self.changed(target);
    }

    /// Takes an entry out; its boxed value is given back for the caller to drop.
    pub(super) fn remove_at(&mut self, target: Target<'_>, place: Place) -> Option<Box<Value>> {
        let rehash = |table: &mut Table, hasher: &ahash::RandomState| {
            table.remove(place, target.hash, |key| hasher.hash_one(key))
        };
        let weight = self.weigh(target.table);
        let value = self.change(target.table, rehash);
        if self.table(target.table).is_some_and(|table| table.len() == 0) {
            self.relax_evictor();
        }
        self.settle(target, weight);
        self.changed(target);
        value
    }

    /// The one funnel for change: all that must hear of a changed key is told here.
    #[inline]
    pub(super) fn changed(&mut self, target: Target<'_>) {
        self.counters.changes += 1;
        if self.watchers.any() {
            self.watchers.changed(target.table, target.key);
        }
    }

    /// Drops what eviction keeps about entries, if there are none any more.
    #[cold]
    fn relax_evictor(&mut self) {
        if entries(&self.tables) == 0 {
            self.used -= self.evictor.bytes();
            self.evictor.forget();
        }
    }

    /// Takes a whole table away, to be dropped when no lock is held.
    pub(super) fn take_table(&mut self, table: usize) -> Option<Box<Table>> {
        let taken = self.tables[table].take();
        self.used -= taken.as_ref().map_or(0, |table| table.held_bytes());
        self.forget_table_prefixes(table);
        self.counters.changes += taken.as_ref().map_or(0, |table| table.len() as u64);
        self.relax_evictor();
        self.watchers.table_changed(table, |key| {
            taken
                .as_ref()
                .is_some_and(|table| table.find(self.hasher.hash_one(key), key).is_some())
        });
        taken
    }

    /// Bytes of the smallest slabs.
    pub(super) fn slab_bytes(&self) -> usize {
        self.pool.slab_bytes()
    }

    /// Drops tables that hold nothing.
    pub(super) fn drop_empty_tables(&mut self) {
        for number in 0..self.tables.len() {
            if self.tables[number].as_ref().is_some_and(|table| table.len() == 0) {
                self.used -= self.tables[number].take().map_or(0, |table| table.held_bytes());
            }
        }
    }

    /// Empties the stripe after a panic under its lock, when its tables may be inconsistent.
    pub(super) fn abandon(&mut self) {
        for (number, table) in self.tables.iter_mut().enumerate() {
            if let Some(table) = table.take() {
                // Its links may be broken: leaking what they name is safe, walking them is not.
                std::mem::forget(table);
            }
            self.watchers.table_changed(number, |_| true);
        }
        self.evictor.forget();
        self.forget_prefixes();
        self.used = self.ledger_bytes();
    }
}

/// Entries of all tables.
fn entries(tables: &[Option<Box<Table>>]) -> usize {
    tables.iter().flatten().map(|table| table.len()).sum()
}

/// Moves the time of the next reclaim to an earlier one; callers hold the stripe's lock.
#[inline]
fn note_due(next: &AtomicU64, due_ms: u64) {
    if due_ms < next.load(Ordering::Relaxed) {
        next.store(due_ms, Ordering::Relaxed);
    }
}
