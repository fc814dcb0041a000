//! What memory is used for: the section Memory, and the numbers behind MEMORY STATS.

use super::{Source, Text};
use crate::node::{Node, machine_memory};
use crate::store::Survey;
use std::sync::atomic::Ordering;

/// Name of the allocator that the binary uses.
const ALLOCATOR: &str = "jemalloc";

/// What memory is used for, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Entries, index and connection buffers: what `maxmemory` bounds.
    pub used: u64,
    /// The most that this ever was, as seen by samples.
    pub peak: u64,
    /// Buckets and their directories.
    pub index: u64,
    /// Connection buffers.
    pub clients: u64,
    /// `used`, and slabs that are not filled.
    pub held: u64,
    /// Resident memory of the process.
    pub resident: u64,
}

impl Usage {
    /// The use of memory now.
    pub fn of(node: &Node, survey: &Survey) -> Usage {
        let clients = node.client_bytes.load(Ordering::Relaxed);
        let used = survey.memory.entries + survey.memory.index + clients;
        let peak = node.totals.peak_bytes.fetch_max(used, Ordering::Relaxed).max(used);
        Usage {
            used: used as u64,
            peak: peak as u64,
            index: survey.memory.index as u64,
            clients: clients as u64,
            held: (survey.memory.held + clients) as u64,
            resident: node.resident_bytes.load(Ordering::Relaxed) as u64,
        }
    }

    /// What is used for other things than keys and values.
    pub fn overhead(&self) -> u64 {
        self.index + self.clients
    }

    /// What keys and values take.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead())
    }
}

/// One as a share of the other; 0 if that is nothing.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// By how much one exceeds the other.
pub fn excess(one: u64, other: u64) -> i64 {
    (i128::from(one) - i128::from(other)).clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

pub(super) fn write(text: &mut Text, source: &Source<'_>) {
    let usage = Usage::of(source.node, &source.survey);
    let percent = |part, whole| format!("{:.2}%", ratio(part, whole) * 100.0);
    text.bytes("used_memory", usage.used);
    text.bytes("used_memory_rss", usage.resident);
    text.bytes("used_memory_peak", usage.peak);
    text.field("used_memory_peak_perc", percent(usage.used, usage.peak));
    text.field("used_memory_overhead", usage.overhead());
    text.field("used_memory_startup", 0);
    text.field("used_memory_dataset", usage.dataset());
    text.field("used_memory_dataset_perc", percent(usage.dataset(), usage.used));
    text.field("allocator_allocated", usage.used);
    text.field("allocator_active", usage.held);
    text.field("allocator_resident", usage.resident);
    text.bytes("total_system_memory", machine_memory());
    for name in ["used_memory_lua", "used_memory_vm_total", "used_memory_scripts"] {
        text.bytes(name, 0);
    }
    text.fields(
        &[
            "used_memory_vm_eval",
            "used_memory_scripts_eval",
            "number_of_cached_scripts",
            "number_of_functions",
            "number_of_libraries",
            "used_memory_vm_functions",
            "used_memory_functions",
        ],
        0,
    );
    text.bytes("maxmemory", source.node.memory_limit.load(Ordering::Relaxed));
    text.field("maxmemory_policy", source.settings.maxmemory_policy.name());
    ratios(text, &usage);
    text.field("mem_not_counted_for_evict", 0);
    text.fields(
        &[
            "mem_replication_backlog",
            "mem_total_replication_buffers",
            "mem_clients_slaves",
        ],
        0,
    );
    text.field("mem_clients_normal", usage.clients);
    text.fields(&["mem_cluster_links", "mem_aof_buffer"], 0);
    text.field("mem_allocator", ALLOCATOR);
    text.fields(
        &["active_defrag_running", "lazyfree_pending_objects", "lazyfreed_objects"],
        0,
    );
    text.field(
        "larder_unauthenticated_bytes",
        source.node.unauthenticated_bytes.load(Ordering::Relaxed),
    );
}

/// How the layers of memory compare: what is used, what slabs hold, what is resident.
fn ratios(text: &mut Text, usage: &Usage) {
    let layers = [
        (["allocator_frag_ratio", "allocator_frag_bytes"], usage.held, usage.used),
        (
            ["allocator_rss_ratio", "allocator_rss_bytes"],
            usage.resident,
            usage.held,
        ),
        (
            ["rss_overhead_ratio", "rss_overhead_bytes"],
            usage.resident,
            usage.resident,
        ),
        (
            ["mem_fragmentation_ratio", "mem_fragmentation_bytes"],
            usage.resident,
            usage.used,
        ),
    ];
    for ([ratio_name, bytes_name], one, other) in layers {
        text.field(ratio_name, format_args!("{:.2}", ratio(one, other)));
        text.field(bytes_name, excess(one, other));
    }
}
