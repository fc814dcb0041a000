//! Statistics over the whole keyspace, taken in one walk over the stripes.

use super::eviction::mix;
use super::prefixes::PrefixesSurvey;
use super::session::Store;
use super::stripe::{Counters, Memory, Stripe};

/// Entries drawn per stripe and database to estimate the average time to live.
const TTL_SAMPLES: u64 = 4;
/// Buckets that are looked at, of those with deadlines, where none of the drawn entries has one.
const TTL_BUCKETS: usize = 64;

/// What a database holds.
#[derive(Clone, Copy, Default, Debug)]
pub struct DatabaseSurvey {
    /// Keys, expired ones that were not reclaimed yet included.
    pub keys: usize,
    /// Keys with a deadline.
    pub volatile: usize,
    /// Bytes of buckets and their directories.
    pub index_bytes: usize,
    /// The average rest of the time to live in milliseconds, from a sample; 0 if no key has a deadline, or all have expired.
    pub average_ttl_ms: u64,
}

/// What the whole keyspace holds and has seen.
#[derive(Clone, Default, Debug)]
pub struct Survey {
    /// Bytes by kind.
    pub memory: Memory,
    /// Counters since the start or the last reset.
    pub counters: Counters,
    /// The databases, in order.
    pub databases: Vec<DatabaseSurvey>,
    /// The prefixes that are accounted for.
    pub prefixes: PrefixesSurvey,
}

impl Survey {
    /// Keys of all databases.
    pub fn keys(&self) -> usize {
        self.databases.iter().map(|database| database.keys).sum()
    }
}

impl Store<'_> {
    /// Looks at every stripe once: at all together if they are held, else one after the other.
    pub fn survey(&mut self) -> Survey {
        let (keyspace, now_ms) = (self.keyspace(), self.now_ms);
        let count = keyspace.databases.len();
        let mut survey = Survey {
            databases: vec![DatabaseSurvey::default(); count],
            prefixes: PrefixesSurvey::new(keyspace.prefixes()),
            ..Survey::default()
        };
        let mut ttls = vec![(0u64, 0u64); count];
        for index in 0..keyspace.stripes.len() {
            let mut guard = self.guard(index);
            let stripe = guard.stripe();
            survey.memory = survey.memory.plus(stripe.memory());
            survey.counters = survey.counters.plus(stripe.counters);
            survey.prefixes.add(stripe);
            for (number, (database, ttl)) in survey.databases.iter_mut().zip(&mut ttls).enumerate() {
                let table = keyspace.table_of(number);
                database.add(stripe, table);
                sample_ttls(stripe, table, now_ms, mix(now_ms, index as u64), ttl);
            }
        }
        for (database, (sum, samples)) in survey.databases.iter_mut().zip(ttls) {
            database.average_ttl_ms = sum.checked_div(samples).unwrap_or(0);
        }
        survey
    }

    /// Sets all counters but that of changes to zero.
    pub fn reset_counters(&mut self) {
        for index in 0..self.keyspace().stripes.len() {
            let mut guard = self.guard(index);
            guard.stripe().reset_prefix_counters();
            let counters = &mut guard.stripe().counters;
            *counters = Counters {
                changes: counters.changes,
                ..Counters::default()
            };
        }
    }
}

impl DatabaseSurvey {
    fn add(&mut self, stripe: &Stripe, table: usize) {
        if let Some(table) = stripe.table(table) {
            self.keys += table.len();
            self.volatile += table.volatile();
            self.index_bytes += table.index_bytes();
        }
    }
}

/// Adds the rest of the lives of a few entries to a sum and a count.
fn sample_ttls(stripe: &Stripe, table: usize, now_ms: u64, random: u64, (sum, samples): &mut (u64, u64)) {
    let Some(table) = stripe.table(table).filter(|table| table.volatile() > 0) else {
        return;
    };
    let rest = |place| {
        let deadline = table.entry(place).deadline()?;
        Some(deadline.saturating_sub(now_ms))
    };
    let drawn = (0..TTL_SAMPLES).filter_map(|draw| table.sample(mix(random, draw)));
    let mut rests: Vec<u64> = drawn.filter_map(rest).collect();
    if rests.is_empty() {
        // Few have one: those are easily found by their deadlines.
        table.visit_soonest(TTL_BUCKETS, |_, place| {
            rests.extend(rest(place));
            false
        });
    }
    *samples += rests.len() as u64;
    *sum = rests.into_iter().fold(*sum, u64::saturating_add);
}

impl Counters {
    /// Both together.
    pub fn plus(self, other: Counters) -> Counters {
        Counters {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            expired: self.expired + other.expired,
            evicted: self.evicted + other.evicted,
            changes: self.changes + other.changes,
        }
    }
}

impl Memory {
    /// Both together.
    pub fn plus(self, other: Memory) -> Memory {
        Memory {
            entries: self.entries + other.entries,
            index: self.index + other.index,
            free: self.free + other.free,
            held: self.held + other.held,
        }
    }
}
