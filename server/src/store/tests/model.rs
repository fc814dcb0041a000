//! Random operations on the keyspace and on a plain map must agree.

use super::{NOW, Rng, SHAPES, reclaim_all, scan_all, steps, view};
use crate::store::value::Value;
use crate::store::{Keyspace, NewValue, Shape, Store};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};

type Map = HashMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

struct Both {
    rng: Rng,
    keyspace: Keyspace,
    /// What each database must hold.
    maps: Vec<Map>,
    keys: Vec<Vec<u8>>,
    now_ms: u64,
}

impl Both {
    fn new(shape: Shape, seed: u64) -> Both {
        let lengths = [0, 1, 7, 16, 100, 254, 255, 256, 257, 500, 504, 505, 5000, 8190, 70_000];
        let mut keys: Vec<Vec<u8>> = lengths.iter().map(|&length| vec![b'k'; length]).collect();
        keys.extend((0..60).map(super::number));
        Both {
            rng: Rng::new(seed),
            keyspace: Keyspace::new(shape, ahash::RandomState::new()),
            maps: vec![Map::new(); shape.databases],
            keys,
            now_ms: NOW,
        }
    }

    fn key(&mut self) -> Vec<u8> {
        self.keys[self.rng.below(self.keys.len())].clone()
    }

    fn database(&mut self) -> usize {
        self.rng.below(self.maps.len())
    }

    fn value(&mut self) -> Vec<u8> {
        let edge = self.keyspace.shape().slab_bytes / 8;
        let length = match self.rng.below(8) {
            0 => 0,
            1..=4 => self.rng.below(100),
            5 => edge - 30 + self.rng.below(40),
            6 => edge * 3 + self.rng.below(100),
            _ => self.rng.below(edge),
        };
        vec![self.rng.below(256) as u8; length]
    }

    fn deadline(&mut self) -> Option<u64> {
        (!self.rng.one_in(3)).then(|| self.now_ms - 5 + self.rng.below(200) as u64)
    }

    fn store(&self, database: usize) -> Store<'_> {
        view(&self.keyspace, database, self.now_ms)
    }

    fn forget_expired(&mut self) {
        let now_ms = self.now_ms;
        for map in &mut self.maps {
            map.retain(|_, (_, deadline)| deadline.is_none_or(|deadline| deadline > now_ms));
        }
    }

    fn step(&mut self) {
        let (database, key) = (self.database(), self.key());
        match self.rng.below(100) {
            0..30 => self.set(database, key),
            30..45 => self.edit(database, key),
            45..55 => {
                let removed = self.store(database).key(&key).remove();
                assert_eq!(removed, self.maps[database].remove(&key).is_some());
            }
            55..65 => self.expire(database, &key),
            65..75 => self.transfer(database, &key),
            75..78 => {
                self.now_ms += self.rng.below(40) as u64;
                self.forget_expired();
            }
            78 => {
                let other = self.database();
                self.store(database).swap(database, other);
                self.maps.swap(database, other);
            }
            79 if self.rng.one_in(4) => {
                drop(self.store(database).flush(database));
                self.maps[database].clear();
            }
            80 => self.check_random(database),
            _ => self.check_key(database, &key),
        }
    }

    fn set(&mut self, database: usize, key: Vec<u8>) {
        let (value, deadline, kind) = (self.value(), self.deadline(), self.rng.below(4));
        let mut store = self.store(database);
        let mut open = store.key(&key);
        let mut kept = deadline;
        match kind {
            0 => open.set(NewValue::Bytes(&value), deadline),
            1 => open.set(NewValue::Shared(Bytes::from(value.clone())), deadline),
            2 => {
                let text = super::super::value::Text::new(Bytes::from(value.clone()));
                open.set(NewValue::Boxed(Box::new(Value::Text(text))), deadline);
            }
            _ => {
                kept = open.deadline();
                open.set_keeping_deadline(NewValue::Bytes(&value));
            }
        }
        drop(open);
        drop(store);
        self.maps[database].insert(key, (value, kept));
        self.forget_expired();
    }

    fn edit(&mut self, database: usize, key: Vec<u8>) {
        let (length, byte) = (self.value().len(), self.rng.below(256) as u8);
        self.store(database).key(&key).edit_text(length, |text| {
            assert_eq!(text.len(), length);
            text.iter_mut().rev().take(3).for_each(|last| *last = byte);
        });
        let entry = self.maps[database].entry(key).or_default();
        entry.0.resize(length, 0);
        entry.0.iter_mut().rev().take(3).for_each(|last| *last = byte);
    }

    fn expire(&mut self, database: usize, key: &[u8]) {
        let deadline = self.deadline();
        let found = self.store(database).key(key).set_deadline(deadline);
        let entry = self.maps[database].get_mut(key);
        assert_eq!(found, entry.is_some());
        if let Some(entry) = entry {
            entry.1 = deadline;
        }
        self.forget_expired();
    }

    fn transfer(&mut self, database: usize, key: &[u8]) {
        let (other, target, takes) = (self.database(), self.key(), self.rng.one_in(2));
        let mut store = self.store(database);
        store.hold([key, &target[..]]);
        let stored = if takes {
            store.key(key).take()
        } else {
            store.key(key).copy()
        };
        let moved = stored.map(|stored| store.key_in(other, &target).put(stored)).is_some();
        drop(store);
        let entry = self.maps[database].get(key).cloned();
        assert_eq!(moved, entry.is_some());
        if takes {
            self.maps[database].remove(key);
        }
        if let Some(entry) = entry {
            self.maps[other].insert(target, entry);
        }
    }

    fn check_key(&self, database: usize, key: &[u8]) {
        let mut store = self.store(database);
        let mut open = store.key(key);
        let entry = self.maps[database].get(key);
        assert_eq!(open.read(), entry.is_some());
        assert_eq!(open.deadline(), entry.and_then(|entry| entry.1));
        let text = open.text().expect("all values are strings");
        assert_eq!(text.as_deref(), entry.map(|entry| &entry.0[..]));
        assert_eq!(open.type_name(), entry.map(|_| "string"));
        assert_eq!(open.held_bytes().is_some(), entry.is_some());
    }

    fn check_random(&mut self, database: usize) {
        let random = self.rng.below(usize::MAX) as u64;
        match self.store(database).random_key(random) {
            Some(key) => assert!(self.maps[database].contains_key(&key)),
            None => assert!(self.maps[database].is_empty()),
        }
    }

    /// Compares everything, and what the keyspace says that it uses with what its entries use.
    fn check_all(&mut self) {
        // Keys are reclaimed by ticks of 8 ms.
        self.now_ms = self.now_ms.next_multiple_of(8);
        self.forget_expired();
        reclaim_all(&self.keyspace, self.now_ms);
        let mut entry_bytes = 0;
        for database in 0..self.maps.len() {
            let mut store = self.store(database);
            let keys = scan_all(&mut store);
            let map = &self.maps[database];
            assert_eq!(keys.len(), map.len(), "a scan sees each key once");
            assert_eq!(keys.iter().collect::<HashSet<_>>(), map.keys().collect());
            assert_eq!(store.len(database), map.len());
            let volatile = map.values().filter(|(_, deadline)| deadline.is_some()).count();
            assert_eq!(store.volatile(database), volatile);
            for key in &keys {
                // An entry's share of a bucket of 64 bytes with 12 lanes is counted with it.
                entry_bytes += store.key(key).held_bytes().expect("it was scanned") - 64 / 12;
            }
            drop(store);
            for key in &keys {
                self.check_key(database, key);
            }
        }
        let memory = self.keyspace.memory();
        assert_eq!(memory.entries, entry_bytes);
        assert!(memory.held >= memory.entries + memory.index);
        let shape = self.keyspace.shape();
        let held = memory.held + self.keyspace.spare_bytes();
        let told = self.keyspace.used_bytes().abs_diff(held);
        // Deadlines, touches and lookups that find a key expired are told with the next change.
        assert!(told <= shape.stripes * shape.slab_bytes, "{told} bytes were not told");
    }
}

#[test]
fn the_keyspace_does_what_a_map_does() {
    for (shape, seed) in SHAPES
        .into_iter()
        .flat_map(|shape| (0..3).map(move |seed| (shape, seed)))
    {
        println!("{shape:?}, seed {seed}");
        let mut both = Both::new(shape, seed);
        for round in 0..steps(6000) {
            both.step();
            if round % 500 == 0 {
                both.check_all();
            }
        }
        both.check_all();
        drop(both.store(0).flush_all());
        assert_eq!(both.keyspace.memory().held, 0);
        assert_eq!(both.keyspace.used_bytes(), both.keyspace.spare_bytes());
    }
}
