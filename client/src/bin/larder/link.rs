//! How the tool reaches nodes: the options that all subcommands share, and one client per node.

use crate::info::printable;
use crate::{Usage, units};
use clap::Args;
use larder_client::{Client, Cmd, Config, Target, Value};
use larder_cluster::placement::{Member, Table};
use std::str::FromStr;
use std::time::Duration;

/// Where nodes are, if nobody says so.
pub(crate) const DEFAULT_URL: &str = "redis://127.0.0.1:6379";

/// Which nodes, and how long to wait for them.
#[derive(Clone, Debug, Args)]
pub(crate) struct Nodes {
    /// A node's URL, or 'NAME URL WEIGHT'; several, separated by commas or each with a -u, are a pool.
    #[arg(
        short = 'u',
        long = "url",
        value_name = "URL",
        env = "LARDER_URL",
        hide_env_values = true,
        value_delimiter = ',',
        default_value = DEFAULT_URL
    )]
    pub(crate) urls: Vec<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// The nodes that a command looks at, each for itself.
#[derive(Clone, Debug, Args)]
pub(crate) struct Looked {
    /// The nodes [default: what LARDER_URL says, or redis://127.0.0.1:6379].
    #[arg(value_name = "URL", value_delimiter = ',')]
    named: Vec<String>,
    /// The same as an option.
    #[arg(
        short = 'u',
        long = "url",
        value_name = "URL",
        value_delimiter = ',',
        conflicts_with = "named"
    )]
    urls: Vec<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

impl Looked {
    /// A link to each node.
    ///
    /// # Errors
    /// If a node is written wrong.
    pub(crate) fn links(&self, config: &Config) -> anyhow::Result<Vec<Link>> {
        let mut urls = self.named.clone();
        urls.extend_from_slice(&self.urls);
        if urls.is_empty() {
            let said = std::env::var("LARDER_URL").ok().filter(|said| !said.is_empty());
            let said = said.unwrap_or_else(|| DEFAULT_URL.to_string());
            urls.extend(said.split(',').map(ToString::to_string));
        }
        urls.iter().map(|url| Link::open(url, config.clone())).collect()
    }
}

/// How long to wait.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Patience {
    /// The longest to wait for a connection, and for a reply.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = units::duration)]
    pub(crate) timeout: Duration,
}

impl Patience {
    /// Settings for a client that hides nothing: no call is tried again.
    pub(crate) fn config(self) -> Config {
        let mut config = Config::default();
        config.connect_timeout = self.timeout;
        config.response_timeout = self.timeout;
        config.write_timeout = self.timeout;
        config.max_retries = 0;
        config.client_name = Some("larder-cli".to_string());
        config
    }
}

/// A node as a pool knows it, written as `NAME ADDRESS WEIGHT`, as `NAME ADDRESS`, whose weight is 1, or as an address
/// alone, which is its name as well.
#[derive(Clone, Debug)]
pub(crate) struct PoolNode {
    pub(crate) member: Member,
    pub(crate) target: Target,
    pub(crate) url: String,
}

impl FromStr for PoolNode {
    type Err = Usage;

    fn from_str(text: &str) -> Result<PoolNode, Usage> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (name, url, weight) = match *words {
            [url] => (None, url, "1"),
            [name, url] => (Some(name), url, "1"),
            [name, url, weight] => (Some(name), url, weight),
            _ => {
                let how = "a node is written as 'name address weight', 'name address' or 'address'";
                return Err(Usage(how.to_string()));
            }
        };
        let target: Target = url
            .parse()
            .map_err(|error: larder_client::Error| Usage(error.to_string()))?;
        let name = name.map_or_else(|| target.address.to_string(), ToString::to_string);
        let weight = weight
            .parse()
            .map_err(|_| Usage(format!("node {name}: '{weight}' is no weight")))?;
        Ok(PoolNode {
            member: Member::new(name, weight),
            target,
            url: url.to_string(),
        })
    }
}

/// The nodes of a pool and who owns what among them.
///
/// # Errors
/// If a node is written wrong, or two have one name.
pub(crate) fn pool(texts: &[String]) -> Result<(Vec<PoolNode>, Table), Usage> {
    let nodes = texts
        .iter()
        .map(|text| text.parse())
        .collect::<Result<Vec<PoolNode>, Usage>>()?;
    let members: Vec<Member> = nodes.iter().map(|node| node.member.clone()).collect();
    let table = Table::new(&members).map_err(|error| Usage(error.to_string()))?;
    Ok((nodes, table))
}

/// One node and the client for it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// What it is called, for people; a URL may hold a password.
    pub(crate) name: String,
    /// Where it is.
    address: String,
    client: Client,
}

impl Link {
    /// A client for a node, written as [`PoolNode`]; does not wait for the connection.
    ///
    /// # Errors
    /// If that makes no sense.
    pub(crate) fn open(text: &str, config: Config) -> anyhow::Result<Link> {
        let node: PoolNode = text.parse()?;
        Link::to(&node, config)
    }

    fn to(node: &PoolNode, config: Config) -> anyhow::Result<Link> {
        Ok(Link {
            name: node.member.name.clone(),
            address: node.target.address.to_string(),
            client: Client::connect_with(&node.url, config)?,
        })
    }

    /// An error of a call without the address in front, for where the name stands already.
    pub(crate) fn why(&self, error: &larder_client::Error) -> String {
        let text = error.to_string();
        let bare = text
            .strip_prefix(&self.address)
            .and_then(|rest| rest.strip_prefix(": "));
        printable(bare.unwrap_or(&text))
    }

    /// A client for the node that owns a key.
    ///
    /// # Errors
    /// As [`pool`] and [`open`](Link::open).
    pub(crate) fn to_owner(nodes: &Nodes, key: &[u8]) -> anyhow::Result<Link> {
        let (pool, table) = pool(&nodes.urls)?;
        let owner = &pool[table.owner_of(key)];
        Link::to(owner, nodes.patience.config())
    }

    /// Sends a command.
    ///
    /// # Errors
    /// As the client says; an error that the server answers is one.
    pub(crate) async fn call(&self, cmd: &Cmd) -> larder_client::Result<Value> {
        self.client.query(cmd).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_written_as_for_the_library() {
        let texts = ["cache-1 redis://:secret@10.0.0.1 3", "cache-2 10.0.0.2", "10.0.0.3"].map(str::to_string);
        let (nodes, table) = pool(&texts).expect("nodes");
        let members: Vec<_> = nodes.iter().map(|node| node.member.clone()).collect();
        let wanted = [("cache-1", 3), ("cache-2", 1), ("10.0.0.3:6379", 1)];
        assert_eq!(members, wanted.map(|(name, weight)| Member::new(name, weight)));
        assert_eq!(table.members(), members);
        assert_eq!(nodes[0].url, "redis://:secret@10.0.0.1");
    }

    #[test]
    fn a_pool_that_makes_no_sense_is_refused() {
        for texts in [
            &["a b c d"][..],
            &[""],
            &["a 10.0.0.1 x"],
            &["a", "a"],
            &["a h:x"],
            &["a h 0"],
        ] {
            let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
            assert!(pool(&texts).is_err(), "{texts:?}");
        }
    }
}
