//! What memory is used for: the section Memory, and the numbers behind MEMORY STATS.

use super::{Source, Text};
use crate::node::{Node, machine_memory};
use crate::store::Survey;
use std::sync::atomic::Ordering;

/// Name of the allocator that the binary uses.
const ALLOCATOR: &str = "jemalloc";

/// What memory is used for, in bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Usage {
    /// The most that `used` ever was, as seen by samples.
    pub peak: u64,
    /// Entries, each as its block, and large values as the allocator gives them.
    pub entries: u64,
    /// Buckets and their directories.
    pub index: u64,
    /// Free blocks in slabs.
    pub free: u64,
    /// What is left over at the end of slabs, lists of slabs, tables; and what was flushed and is being freed.
    pub slack: u64,
    /// Huge pages, or parts of them, that no slab has taken.
    pub spare: u64,
    /// Connection buffers.
    pub clients: u64,
    /// Resident memory of the process.
    pub resident: u64,
}

impl Usage {
    /// The use of memory now.
    pub fn of(node: &Node, survey: &Survey) -> Usage {
        let clients = node.client_bytes.load(Ordering::Relaxed);
        let (memory, spare) = (survey.memory, node.keyspace.spare_bytes());
        let rest = memory.held.max(node.keyspace.used_bytes().saturating_sub(spare));
        let mut usage = Usage {
            peak: 0,
            entries: memory.entries as u64,
            index: memory.index as u64,
            free: memory.free as u64,
            slack: rest.saturating_sub(memory.entries + memory.index + memory.free) as u64,
            spare: spare as u64,
            clients: clients as u64,
            resident: crate::housekeeping::resident_bytes() as u64,
        };
        let used = usage.used();
        usage.peak = node
            .totals
            .peak_bytes
            .fetch_max(used as usize, Ordering::Relaxed)
            .max(used as usize) as u64;
        usage
    }

    /// What counts against `maxmemory`: all but what the process has anyway and what the allocator adds.
    pub fn used(&self) -> u64 {
        self.live() + self.free + self.slack + self.spare
    }

    /// What is in use at this moment: entries, index, connection buffers.
    pub fn live(&self) -> u64 {
        self.entries + self.index + self.clients
    }

    /// What is used for other things than keys and values.
    pub fn overhead(&self) -> u64 {
        self.used() - self.entries
    }

    /// Resident beyond what counts: code, stacks, workers' buffers, and what the allocator keeps.
    pub fn process(&self) -> u64 {
        self.resident.saturating_sub(self.used())
    }

    /// Bytes by kind, each with the name that INFO and MEMORY STATS give it; together they are `used`.
    pub fn kinds(&self) -> [(&'static str, u64); 6] {
        [
            ("entries", self.entries),
            ("index", self.index),
            ("slabs_free", self.free),
            ("slabs_overhead", self.slack),
            ("spare_pages", self.spare),
            ("connection_buffers", self.clients),
        ]
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
    text.bytes("used_memory", usage.used());
    text.bytes("used_memory_rss", usage.resident);
    text.bytes("used_memory_peak", usage.peak);
    text.field("used_memory_peak_perc", percent(usage.used(), usage.peak));
    text.field("used_memory_overhead", usage.overhead());
    text.field("used_memory_startup", 0);
    text.field("used_memory_dataset", usage.entries);
    text.field("used_memory_dataset_perc", percent(usage.entries, usage.used()));
    text.field("allocator_allocated", usage.live());
    text.field("allocator_active", usage.used());
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
    for (name, bytes) in usage.kinds() {
        text.field(&format!("larder_memory_{name}"), bytes);
    }
    text.field("larder_memory_process", usage.process());
    text.field("larder_memory_unexplained", source.node.budget.unexplained());
    text.field(
        "larder_unauthenticated_bytes",
        source.node.unauthenticated_bytes.load(Ordering::Relaxed),
    );
}

/// How the layers of memory compare: what is in use, what is held, what is resident.
fn ratios(text: &mut Text, usage: &Usage) {
    let layers = [
        (
            ["allocator_frag_ratio", "allocator_frag_bytes"],
            usage.used(),
            usage.live(),
        ),
        (
            ["allocator_rss_ratio", "allocator_rss_bytes"],
            usage.resident,
            usage.used(),
        ),
        (
            ["rss_overhead_ratio", "rss_overhead_bytes"],
            usage.resident,
            usage.resident,
        ),
        (
            ["mem_fragmentation_ratio", "mem_fragmentation_bytes"],
            usage.resident,
            usage.used(),
        ),
    ];
    for ([ratio_name, bytes_name], one, other) in layers {
        text.field(ratio_name, format_args!("{:.2}", ratio(one, other)));
        text.field(bytes_name, excess(one, other));
    }
}
