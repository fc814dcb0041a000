//! The caches under test: how each is started, and which of them this machine has.

use std::env;
use std::path::{Path, PathBuf};

use super::options::{Equal, ExtraPeer, Options};
use crate::load::Protocol;

const MIB: u64 = 1 << 20;
/// The policies of Larder that are measured unless others are asked for.
const POLICIES: [&str; 3] = ["allkeys-adaptive", "allkeys-lru", "allkeys-lfu"];
/// The policies that Larder and Redis both have, for comparing them at equal entries.
const SHARED_POLICIES: [&str; 3] = ["allkeys-lru", "allkeys-lfu", "allkeys-random"];
/// Values from here on need memcached to be told; below it, its default does.
const MEMCACHED_ITEM: u64 = MIB - 1024;
const MEMCACHED_ITEM_MAX: u64 = 64 * MIB;

/// One line in the tables: a server with its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cache {
    /// Such as `redis allkeys-lru`.
    pub(super) name: String,
    pub(super) protocol: Protocol,
    pub(super) is_larder: bool,
    program: Program,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Program {
    /// Larder, Redis, Valkey: the program and its policy.
    Redislike {
        path: PathBuf,
        policy: String,
    },
    Memcached,
    Shell(String),
}

impl Cache {
    pub(super) fn larder(path: &Path, policy: &str) -> Self {
        Self {
            is_larder: true,
            ..Self::redislike("larder", path, policy)
        }
    }

    fn redislike(name: &str, path: &Path, policy: &str) -> Self {
        Self {
            name: format!("{name} {policy}"),
            protocol: Protocol::Resp,
            is_larder: false,
            program: Program::Redislike {
                path: path.to_owned(),
                policy: policy.to_owned(),
            },
        }
    }

    pub(super) fn memcached() -> Self {
        Self {
            name: "memcached".to_owned(),
            protocol: Protocol::Memcached,
            is_larder: false,
            program: Program::Memcached,
        }
    }

    fn extra(peer: &ExtraPeer) -> Self {
        Self {
            name: peer.name.clone(),
            protocol: peer.protocol,
            is_larder: false,
            program: Program::Shell(peer.command.clone()),
        }
    }

    /// The limit that this cache really gets when told `limit`: memcached counts in MiB.
    pub(super) fn rounded(&self, limit: u64) -> u64 {
        match self.program {
            Program::Memcached => limit / MIB * MIB,
            Program::Redislike { .. } | Program::Shell(_) => limit,
        }
    }

    /// Its command line. Fails if the cache cannot be given this limit.
    pub(super) fn command(&self, port: u16, limit: u64, largest_value: u32) -> Result<Vec<String>, String> {
        match &self.program {
            Program::Redislike { path, policy } => {
                let mut words = vec![path.to_string_lossy().into_owned()];
                let flags = format!(
                    "--port {port} --bind 127.0.0.1 --appendonly no --loglevel warning \
                     --maxmemory {limit} --maxmemory-policy {policy} --save"
                );
                words.extend(flags.split_whitespace().map(str::to_owned));
                words.push(String::new());
                Ok(words)
            }
            Program::Memcached => memcached_command(port, limit, largest_value),
            Program::Shell(command) => {
                let command = command
                    .replace("{port}", &port.to_string())
                    .replace("{bytes}", &limit.to_string())
                    .replace("{mib}", &(limit / MIB).to_string());
                Ok(["sh", "-c", &format!("exec {command}")].map(str::to_owned).to_vec())
            }
        }
    }
}

fn memcached_command(port: u16, limit: u64, largest_value: u32) -> Result<Vec<String>, String> {
    let mib = limit / MIB;
    if mib == 0 {
        return Err(format!("a limit of {limit} bytes is below memcached's smallest, 1 MiB"));
    }
    let mut command = format!("memcached -l 127.0.0.1 -p {port} -U 0 -m {mib} -u root");
    let needed = u64::from(largest_value) + 1024;
    if needed > MEMCACHED_ITEM {
        // It takes items of half its memory at most.
        let item = (2 * needed)
            .next_multiple_of(MIB)
            .min(MEMCACHED_ITEM_MAX)
            .min(limit / 2);
        command.push_str(&format!(" -I {item}"));
    }
    Ok(command.split_whitespace().map(str::to_owned).collect())
}

/// The caches to measure, and a line on each peer that is missing.
pub(super) fn chosen(options: &Options, larder: &Path) -> (Vec<Cache>, Vec<String>) {
    let mut caches: Vec<_> = larder_policies(options)
        .iter()
        .map(|policy| Cache::larder(larder, policy))
        .collect();
    let mut missing = Vec::new();
    if options.skip.iter().any(|skipped| skipped == "larder") {
        caches.clear();
        missing.push("larder: left out by --skip".to_owned());
    }
    for (name, program) in [
        ("redis", "redis-server"),
        ("valkey", "valkey-server"),
        ("memcached", "memcached"),
    ] {
        if options.skip.iter().any(|skipped| skipped == name) {
            missing.push(format!("{name}: left out by --skip"));
        } else if let Some(path) = find_program(program) {
            if name == "memcached" {
                caches.push(Cache::memcached());
            } else {
                let policies = options.peer_policies.iter();
                caches.extend(policies.map(|policy| Cache::redislike(name, &path, policy)));
            }
        } else {
            missing.push(format!("{name}: no {program} on PATH"));
        }
    }
    caches.extend(options.peer.iter().map(Cache::extra));
    (caches, missing)
}

/// The pairs to compare at equal entries: (Redis, Larder), both with the same policy.
pub(super) fn pairs(options: &Options, larder: &Path) -> Result<Vec<(Cache, Cache)>, String> {
    let redis = find_program("redis-server").ok_or("no redis-server on PATH: nothing to compare with")?;
    let pair = |policy: &String| (Cache::redislike("redis", &redis, policy), Cache::larder(larder, policy));
    Ok(larder_policies(options).iter().map(pair).collect())
}

fn larder_policies(options: &Options) -> Vec<String> {
    if !options.policies.is_empty() {
        return options.policies.clone();
    }
    let default = match options.equal {
        Equal::Entries => SHARED_POLICIES,
        Equal::Limit | Equal::Memory => POLICIES,
    };
    default.map(str::to_owned).to_vec()
}

fn find_program(name: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
