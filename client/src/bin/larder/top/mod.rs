//! `larder top`: what nodes do right now, in the terminal or once as text.
//!
//! ```text
//!   poll (a task per node) -- samples --> app (nodes, sorting, choice) --> view --> terminal or text
//!                            keys ----->
//! ```

mod app;
mod poll;
mod sample;
mod terminal;
mod view;

use crate::link::Looked;
use crate::{Usage, output, units};
use app::App;
use clap::Args;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many samples may wait to be shown.
const QUEUE: usize = 1024;

/// Watch nodes: operations, hit ratio, memory, latency, connections, evictions.
///
/// All figures come from INFO and LATENCY HISTOGRAM and are about the time since the last look. p99 is what 99 of 100
/// commands took at most inside of the server, to a power of two. Keys: q quits, left and right choose the column to
/// sort by, up and down the node whose operations are drawn.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  larder top
  larder top 10.0.0.1 10.0.0.2 10.0.0.3 --interval 5s
  larder top --once --json 10.0.0.1 | jq '.[0].ops_per_s'")]
pub(crate) struct Options {
    #[command(flatten)]
    nodes: Looked,
    /// From one look to the next.
    #[arg(short, long, value_name = "DURATION", default_value = "1s", value_parser = units::duration)]
    interval: Duration,
    /// Print one frame as text, after one interval; exit code 1 if a node is unreachable.
    #[arg(long)]
    once: bool,
    /// With --once, print JSON.
    #[arg(long, requires = "once")]
    json: bool,
}

/// Shows the nodes until somebody quits, or once.
///
/// # Errors
/// If a URL makes no sense, or there is no terminal to show them in.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let has_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !options.once && !has_terminal {
        return Err(Usage("top needs a terminal; for one frame as text use --once".to_string()).into());
    }
    let mut config = options.nodes.patience.config();
    // A node that comes back is to be seen at the next look.
    config.backoff_max = options.interval.clamp(config.backoff_min, Duration::from_secs(1));
    let links = options.nodes.links(&config)?;
    let mut app = App::new(links.iter().map(|link| link.name.clone()).collect(), options.interval);
    let (sender, samples) = mpsc::channel(QUEUE);
    for (node, link) in links.into_iter().enumerate() {
        tokio::spawn(poll::watch(node, link, options.interval, sender.clone()));
    }
    drop(sender);
    if options.once {
        return once(app, samples, options.json).await;
    }
    terminal::show(&mut app, samples).await?;
    Ok(ExitCode::SUCCESS)
}

/// Waits until all nodes have shown what they do, or that they do nothing, and prints that.
async fn once(mut app: App, mut samples: mpsc::Receiver<poll::Look>, json: bool) -> anyhow::Result<ExitCode> {
    while !app.is_complete() {
        match samples.recv().await {
            Some(look) => app.take(look),
            None => anyhow::bail!("the nodes are watched no more"),
        }
    }
    if json {
        output::print_json(&view::json(&app))?;
    } else {
        output::print(view::text(&app))?;
    }
    Ok(if app.down() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
