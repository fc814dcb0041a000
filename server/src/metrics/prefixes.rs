//! The metrics of each prefix that is accounted for: as many series as prefixes are declared.

use super::families::{Write, family};
use super::snapshot::Snapshot;
use super::text::Kind::{Counter, Gauge};
use super::text::{Family, Samples};
use crate::store::PrefixSurvey;

const PREFIX: &[&str] = &["prefix"];

const fn gauge(name: &'static str, help: &'static str, write: Write) -> Family {
    family(name, Gauge, PREFIX, help, write)
}

const fn counter(name: &'static str, help: &'static str, write: Write) -> Family {
    family(name, Counter, PREFIX, help, write)
}

pub(super) const PREFIXES: &[Family] = &[
    gauge("larder_prefix_keys", "Keys of a prefix.", |now, to| {
        each(now, to, |prefix| prefix.keys as u64);
    }),
    gauge(
        "larder_prefix_bytes",
        "Bytes of their entries and their share of the index.",
        |now, to| each(now, to, |prefix| prefix.bytes as u64),
    ),
    gauge(
        "larder_prefix_quota_bytes",
        "The most that they may take; 0: no limit.",
        |now, to| each(now, to, |prefix| prefix.quota),
    ),
    counter(
        "larder_prefix_hits_total",
        "Reads of the prefix that found their key.",
        |now, to| each(now, to, |prefix| prefix.counters.hits),
    ),
    counter("larder_prefix_misses_total", "Reads that did not.", |now, to| {
        each(now, to, |prefix| prefix.counters.misses);
    }),
    counter(
        "larder_prefix_evicted_total",
        "Keys of the prefix removed to make room, for its quota or the node.",
        |now, to| each(now, to, |prefix| prefix.counters.evicted),
    ),
];

fn each(now: &Snapshot<'_>, to: &mut Samples<'_>, value: fn(&PrefixSurvey) -> u64) {
    for prefix in &now.keyspace.prefixes.list {
        to.add(&[&String::from_utf8_lossy(&prefix.name)], value(prefix));
    }
}
