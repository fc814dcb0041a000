//! Fetching what a batch of commands will touch into the cache before they run.
//!
//! Once system calls are shared by a batch, waiting for memory is what a command costs: one miss for
//! the bucket, one for the entry. So the keys of a batch go through three passes: ask for all buckets,
//! then, under the stripes' locks, look for the tags and ask for the entries, then run the commands. The
//! first pass works on what the worker remembers of the tables, without a lock.

use super::Keyspace;
use super::table::Hint;

/// What one worker remembers of where buckets are, per stripe.
pub struct Prefetcher {
    database: usize,
    hints: Box<[Hint]>,
}

impl Prefetcher {
    /// Knows nothing yet.
    pub fn new(keyspace: &Keyspace) -> Prefetcher {
        Prefetcher {
            database: 0,
            hints: keyspace.stripes.iter().map(|_| Hint::default()).collect(),
        }
    }

    /// Asks for the bucket of a key of a database, given by its hash: the first pass.
    #[inline]
    pub fn ask(&self, keyspace: &Keyspace, database: usize, hash: u64) {
        if self.database == database {
            self.hints[keyspace.index(hash)].prefetch_bucket(hash);
        }
    }

    /// Fetches the entries of keys of a database, given by their hashes: the second pass.
    #[inline]
    pub fn fetch(&mut self, keyspace: &Keyspace, database: usize, hashes: impl Iterator<Item = u64>) {
        self.database = database;
        for hash in hashes {
            let index = keyspace.index(hash);
            let stripe = keyspace.lock(index);
            if let Some(table) = stripe.table(keyspace.table_of(database)) {
                if !table.prefetch_entry(hash) {
                    stripe.evictor.prefetch(hash);
                }
                table.note(&mut self.hints[index]);
            }
        }
    }
}
