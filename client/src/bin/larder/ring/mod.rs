//! `larder ring`: which node of a pool owns which keys, and what would move. It asks no server.

mod placed;
mod report;

use crate::link::PoolNode;
use crate::{Usage, output};
use clap::{Args, ValueEnum};
use larder_cluster::ketama::KeyHash;
use larder_cluster::placement::Member;
use placed::Placed;
use report::{Change, Report};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

/// Show which node of a pool owns which keys, and what would move.
///
/// Asks no server: placement follows from the nodes' names and weights alone. A node is given by its name, as
/// 'NAME ADDRESS WEIGHT' as in a pool's list, or by its URL, which stands for host:port: that is what a pool calls a node
/// that was given no name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  larder ring cache-1 cache-2 cache-3
  larder ring cache-1 cache-2 cache-3 --key user:1 --key '{user:1}:cart'
  larder ring cache-1 cache-2 cache-3 --weights 2,1,1
  larder ring 10.0.1.1 10.0.1.2:11212 --ketama=fnv1a_64
  larder ring cache-1 cache-2 cache-3 --add cache-4 --remove cache-1")]
pub(crate) struct Options {
    /// The nodes' names.
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<String>,
    /// A key to look up; may be given several times.
    #[arg(short, long = "key", value_name = "KEY")]
    keys: Vec<OsString>,
    /// The nodes' weights, in their order [default: 1 each].
    #[arg(short, long, value_name = "N,N...", value_delimiter = ',')]
    weights: Vec<u32>,
    /// Place keys by ketama, as pools of memcached (MD5) and twemproxy (md5, or its default fnv1a_64) do.
    #[arg(long, value_name = "HASH", num_args = 0..=1, require_equals = true, default_missing_value = "md5")]
    ketama: Option<Hash>,
    /// Show what moves if this node joins, with weight 1 or NODE=WEIGHT; may be given several times.
    #[arg(long, value_name = "NODE")]
    add: Vec<String>,
    /// Show what moves if this node leaves; may be given several times.
    #[arg(long, value_name = "NODE")]
    remove: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How ketama hashes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Hash {
    Md5,
    #[value(name = "fnv1a_64")]
    Fnv1a64,
}

/// Prints who owns what.
///
/// # Errors
/// If there is no placement for such nodes.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let members = members(options)?;
    let ketama = options.ketama.map(|hash| match hash {
        Hash::Md5 => KeyHash::Md5,
        Hash::Fnv1a64 => KeyHash::Fnv1a64,
    });
    let place = |members: &[Member]| Placed::new(members, ketama).map_err(Usage);
    let placed = place(&members)?;
    let mut changes = Vec::new();
    for text in &options.add {
        let joined = joining(text)?;
        let mut with = members.clone();
        with.push(joined.clone());
        changes.push(Change::new(format!("add {}", joined.name), &placed, &place(&with)?));
    }
    for text in &options.remove {
        let gone = member(text)?.name;
        let without: Vec<Member> = members.iter().filter(|member| member.name != gone).cloned().collect();
        if without.len() == members.len() {
            return Err(Usage(format!("--remove {gone}: no such node among those given")).into());
        }
        if without.is_empty() {
            return Err(Usage(format!("--remove {gone}: no node would be left")).into());
        }
        changes.push(Change::new(format!("remove {gone}"), &placed, &place(&without)?));
    }
    let keys: Vec<&[u8]> = options.keys.iter().map(|key| key.as_bytes()).collect();
    let report = Report {
        placed: &placed,
        keys: &keys,
        changes: &changes,
    };
    if options.json {
        output::print_json(&report.json())?;
    } else {
        output::print(report.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn members(options: &Options) -> Result<Vec<Member>, Usage> {
    let (nodes, weights) = (&options.nodes, &options.weights);
    if !weights.is_empty() && weights.len() != nodes.len() {
        let (nodes, weights) = (nodes.len(), weights.len());
        return Err(Usage(format!("--weights has {weights} weights for {nodes} nodes")));
    }
    let mut members = nodes
        .iter()
        .map(|text| member(text))
        .collect::<Result<Vec<Member>, Usage>>()?;
    for (member, weight) in members.iter_mut().zip(weights) {
        member.weight = *weight;
    }
    Ok(members)
}

/// A node as a pool knows it: `NAME ADDRESS WEIGHT`, a URL, or a name alone, for which no address is needed here.
fn member(text: &str) -> Result<Member, Usage> {
    let is_name = !text.contains("://") && !text.contains(char::is_whitespace);
    if is_name {
        return Ok(Member::new(text, 1));
    }
    Ok(text.parse::<PoolNode>()?.member)
}

/// `NODE` or `NODE=WEIGHT`.
fn joining(text: &str) -> Result<Member, Usage> {
    match text.rsplit_once('=') {
        None => member(text),
        Some((node, weight)) => match weight.parse() {
            Ok(weight) => Ok(Member::new(member(node)?.name, weight)),
            Err(_) => Err(Usage(format!("--add {text}: '{weight}' is no weight"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_stands_for_its_address_without_the_password() {
        let named = |text| {
            let member = member(text).expect("a node");
            (member.name, member.weight)
        };
        assert_eq!(named("redis://:secret@10.0.0.1"), ("10.0.0.1:6379".to_string(), 1));
        assert_eq!(named("cache-1"), ("cache-1".to_string(), 1));
        assert_eq!(named("cache-1 10.0.0.1 5"), ("cache-1".to_string(), 5));
        let error = member("redis://:secret@h:x").expect_err("no port").to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_node_that_joins_may_have_a_weight() {
        assert_eq!(joining("d=3").expect("a member"), Member::new("d", 3));
        assert_eq!(joining("d").expect("a member"), Member::new("d", 1));
        assert!(joining("d=x").is_err());
    }
}
