//! How the tool reaches nodes: the options that all subcommands share, and one client per node.

use crate::{Usage, units};
use clap::Args;
use larder_client::{Client, Cmd, Config, Target, Value};
use std::time::Duration;

/// Where nodes are, if nobody says so.
pub(crate) const DEFAULT_URL: &str = "redis://127.0.0.1:6379";

/// Which nodes, and how long to wait for them.
#[derive(Clone, Debug, Args)]
pub(crate) struct Nodes {
    /// A node's URL; several, separated by commas or each with a -u, are a pool.
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

/// The one node of a list.
///
/// # Errors
/// If there are more.
pub(crate) fn only(urls: &[String]) -> Result<&str, Usage> {
    match urls {
        [url] => Ok(url),
        _ => Err(Usage(format!("one node is needed, {} were given", urls.len()))),
    }
}

/// One node and the client for it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Its address, for people; a URL may hold a password.
    pub(crate) name: String,
    client: Client,
}

impl Link {
    /// A client for a node; does not wait for the connection.
    ///
    /// # Errors
    /// If the URL makes no sense.
    pub(crate) fn open(url: &str, config: Config) -> larder_client::Result<Link> {
        let target: Target = url.parse()?;
        Ok(Link {
            name: target.address.to_string(),
            client: Client::connect_with(url, config)?,
        })
    }

    /// Sends a command.
    ///
    /// # Errors
    /// As the client says; an error that the server answers is one.
    pub(crate) async fn call(&self, cmd: &Cmd) -> larder_client::Result<Value> {
        self.client.query(cmd).await
    }
}
