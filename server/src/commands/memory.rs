//! MEMORY and its subcommands.

use crate::call::{Call, Error, Outcome};
use crate::info::human;
use crate::info::memory::{Usage, excess, ratio};
use crate::resp::Reply;
use crate::store::Survey;
use crate::text::parse_i64;
use std::sync::atomic::Ordering;

/// Resident memory below which ratios say nothing.
const MIN_BYTES_TO_JUDGE: u64 = 5 << 20;
/// Resident memory to memory used from which on DOCTOR speaks up.
const HIGH_FRAGMENTATION: f64 = 1.4;
/// Peak to memory used from which on DOCTOR speaks up.
const HIGH_PEAK: f64 = 1.5;
/// Buffers per connection from which on DOCTOR speaks up.
const LARGE_BUFFER_BYTES: u64 = 200 << 10;

/// MEMORY USAGE key [SAMPLES count]
///
/// The size is exact, so `count` only has to be valid.
pub fn usage(call: &mut Call<'_>) -> Outcome {
    let mut at = 3;
    while at < call.args.len() {
        let samples = call.args[at].eq_ignore_ascii_case(b"samples");
        let Some(count) = call.args.get(at + 1).filter(|_| samples) else {
            return Err(Error::SYNTAX);
        };
        if parse_i64(count).ok_or(Error::NOT_AN_INTEGER)? < 0 {
            return Err(Error::SYNTAX);
        }
        at += 2;
    }
    match call.store.key(&call.args[2]).held_bytes() {
        Some(bytes) => call.reply.len(bytes),
        None => call.reply.null(),
    }
    Ok(())
}

enum Field {
    Int(i64),
    Double(f64),
    /// A database's own map: bytes of its index.
    Database(i64),
}

/// MEMORY STATS
pub fn stats(call: &mut Call<'_>) -> Outcome {
    let survey = call.store.survey();
    let usage = Usage::of(call.node, &survey);
    let fields = fields(&usage, &survey);
    call.reply.map(fields.len());
    for (name, field) in fields {
        call.reply.bulk(name.as_bytes());
        match field {
            Field::Int(number) => call.reply.int(number),
            Field::Double(number) => call.reply.double(number),
            Field::Database(index_bytes) => {
                call.reply.map(2);
                pair(&mut call.reply, "overhead.hashtable.main", index_bytes);
                pair(&mut call.reply, "overhead.hashtable.expires", 0);
            }
        }
    }
    Ok(())
}

fn pair(reply: &mut Reply<'_>, name: &str, number: i64) {
    reply.bulk(name.as_bytes());
    reply.int(number);
}

fn fields(usage: &Usage, survey: &Survey) -> Vec<(String, Field)> {
    let mut fields = Vec::new();
    let mut add = |name: &str, field| fields.push((name.to_owned(), field));
    let int = |bytes: u64| Field::Int(bytes as i64);
    add("peak.allocated", int(usage.peak));
    add("total.allocated", int(usage.used()));
    add("startup.allocated", Field::Int(0));
    add("replication.backlog", Field::Int(0));
    add("clients.slaves", Field::Int(0));
    add("clients.normal", int(usage.clients));
    for absent in ["cluster.links", "aof.buffer", "lua.caches", "functions.caches"] {
        add(absent, Field::Int(0));
    }
    for (number, database) in survey
        .databases
        .iter()
        .enumerate()
        .filter(|(_, database)| database.keys > 0)
    {
        add(&format!("db.{number}"), Field::Database(database.index_bytes as i64));
    }
    let keys = survey.keys() as u64;
    add("overhead.total", int(usage.overhead()));
    add("keys.count", int(keys));
    add("keys.bytes-per-key", int(usage.used().checked_div(keys).unwrap_or(0)));
    add("dataset.bytes", int(usage.entries));
    add(
        "dataset.percentage",
        Field::Double(ratio(usage.entries, usage.used()) * 100.0),
    );
    add(
        "peak.percentage",
        Field::Double(ratio(usage.used(), usage.peak) * 100.0),
    );
    add("allocator.allocated", int(usage.live()));
    add("allocator.active", int(usage.used()));
    add("allocator.resident", int(usage.resident));
    let layers = [
        ("allocator-fragmentation", ".ratio", usage.used(), usage.live()),
        ("allocator-rss", ".ratio", usage.resident, usage.used()),
        ("rss-overhead", ".ratio", usage.resident, usage.resident),
        ("fragmentation", "", usage.resident, usage.used()),
    ];
    for (name, suffix, one, other) in layers {
        add(&format!("{name}{suffix}"), Field::Double(ratio(one, other)));
        add(&format!("{name}.bytes"), Field::Int(excess(one, other)));
    }
    for (name, bytes) in usage.kinds() {
        fields.push((format!("larder.{}", name.replace('_', ".")), int(bytes)));
    }
    fields.push(("larder.process".to_owned(), int(usage.process())));
    fields
}

/// MEMORY DOCTOR
pub fn doctor(call: &mut Call<'_>) -> Outcome {
    let survey = call.store.survey();
    let usage = Usage::of(call.node, &survey);
    let limit = call.node.memory_limit.load(Ordering::Relaxed);
    let clients = call.node.clients.len() as u64;
    call.reply.verbatim(&diagnose(&usage, limit, clients));
    Ok(())
}

fn diagnose(usage: &Usage, limit: u64, clients: u64) -> String {
    if usage.used() < MIN_BYTES_TO_JUDGE {
        return format!(
            "Only {} are used, too little to judge by. Ask again with data in it.\n",
            human(usage.used())
        );
    }
    let mut findings = Vec::new();
    if ratio(usage.peak, usage.used()) > HIGH_PEAK {
        findings.push(format!(
            "At its peak the node used {}, now {}. What was freed may still be resident; it is used again as data grows.",
            human(usage.peak),
            human(usage.used())
        ));
    }
    if ratio(usage.resident, usage.used()) > HIGH_FRAGMENTATION {
        findings.push(format!(
            "The process holds {}, {:.2} times what is counted: the allocator keeps what was freed for a second, or \
             its pages are sparse. What stays is taken off the limit.",
            human(usage.resident),
            ratio(usage.resident, usage.used())
        ));
    }
    if limit != 0 && usage.used() as f64 > limit as f64 * 0.95 {
        findings.push(format!(
            "{} of maxmemory ({}) are used: keys are being evicted, or writes refused, by maxmemory-policy.",
            human(usage.used()),
            human(limit)
        ));
    }
    if usage.clients / clients.max(1) > LARGE_BUFFER_BYTES {
        findings.push(format!(
            "Connections hold {} of buffers. CLIENT LIST shows which (qbuf, omem): they send large requests in parts, or \
             do not read their replies.",
            human(usage.clients)
        ));
    }
    if findings.is_empty() {
        return "Nothing is wrong with the use of memory.\n".to_owned();
    }
    findings.iter().map(|finding| format!("- {finding}\n")).collect()
}

/// MEMORY PURGE
///
/// Has the allocator give back what it keeps for later; slabs that are sparse are emptied anyway.
pub fn purge(call: &mut Call<'_>) -> Outcome {
    crate::store::give_back_spare();
    call.reply.ok();
    Ok(())
}

/// MEMORY MALLOC-STATS
pub fn malloc_stats(call: &mut Call<'_>) -> Outcome {
    let survey = call.store.survey();
    let usage = Usage::of(call.node, &survey);
    let mut text =
        "The allocator (jemalloc) keeps no statistics here; these are the node's own, in bytes.\n".to_owned();
    for (name, bytes) in usage.kinds() {
        text += &format!("{name}: {bytes}\n");
    }
    text += &format!("process: {}\nresident: {}\n", usage.process(), usage.resident);
    call.reply.verbatim(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: Usage = Usage {
        peak: 110 << 20,
        entries: 80 << 20,
        index: 9 << 20,
        free: 9 << 20,
        slack: 1 << 20,
        spare: 0,
        clients: 1 << 20,
        resident: 120 << 20,
    };

    #[test]
    fn the_doctor_names_each_trouble() {
        assert!(
            diagnose(
                &Usage {
                    entries: 1000,
                    ..Usage::default()
                },
                0,
                1
            )
            .starts_with("Only 1000B are used")
        );
        assert!(diagnose(&HEALTHY, 0, 10).starts_with("Nothing is wrong"));
        assert!(
            diagnose(
                &Usage {
                    peak: 200 << 20,
                    ..HEALTHY
                },
                0,
                10
            )
            .contains("peak")
        );
        assert!(
            diagnose(
                &Usage {
                    resident: 200 << 20,
                    ..HEALTHY
                },
                0,
                10
            )
            .contains("2.00 times")
        );
        assert!(diagnose(&HEALTHY, 101 << 20, 10).contains("maxmemory"));
        assert!(
            diagnose(
                &Usage {
                    clients: 50 << 20,
                    ..HEALTHY
                },
                0,
                10
            )
            .contains("CLIENT LIST")
        );
    }

    #[test]
    fn an_empty_node_has_no_nonsense_ratios() {
        let usage = Usage::default();
        for (name, field) in fields(&usage, &Survey::default()) {
            if let Field::Double(number) = field {
                assert!(number.is_finite(), "{name}");
            }
        }
    }
}
