//! `larder`: looks at cache nodes, says where keys belong, and makes load.

mod bench;
mod completions;
mod get;
mod info;
mod link;
mod output;
mod ping;
mod ring;
mod set;
mod top;
mod units;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Something that the caller has to write differently.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Tools for Larder, a cache that speaks RESP; most of them work with any server that does.
#[derive(Debug, Parser)]
#[command(
    name = "larder",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Nodes are named by URL: redis://[[user]:password@]host[:port][/database], rediss:// for TLS,
unix:///path, or just host:port. LARDER_URL names them where no option does.
Exit codes: 0 all went well, 1 something failed, 2 the command line is wrong."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ping(ping::Options),
    Get(get::Options),
    Set(set::Options),
    Ring(ring::Options),
    Bench(bench::Options),
    Top(top::Options),
    Completions(completions::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    if let Command::Bench(options) = command {
        return bench::run(&options);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Ping(options) => ping::run(&options).await,
            Command::Get(options) => get::run(&options).await,
            Command::Set(options) => set::run(&options).await,
            Command::Ring(options) => ring::run(&options),
            Command::Top(options) => top::run(&options).await,
            Command::Completions(options) => completions::run(&options),
            Command::Bench(options) => bench::run(&options),
        }
    })
}

/// Says what went wrong, and how the process ends for it.
fn report(error: &anyhow::Error) -> ExitCode {
    if output::is_broken_pipe(error) {
        // Whoever read the output has seen enough, as in `larder ring ... | head`.
        return ExitCode::SUCCESS;
    }
    let is_usage = error
        .chain()
        .any(|cause| cause.is::<Usage>() || matches!(cause.downcast_ref(), Some(larder_client::Error::Usage(_))));
    output::complain(&format!("larder: {}", whole(error)));
    if is_usage {
        output::complain("Try 'larder --help'.");
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}

/// The error and what it was caused by, without what the one already says of the other.
fn whole(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_in_order() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_is_said_once() {
        let source = std::sync::Arc::new(std::io::Error::other("refused"));
        let connect = larder_client::Error::Connect {
            node: "a:1".into(),
            source,
        };
        assert_eq!(whole(&connect.clone().into()), "a:1: could not connect: refused");
        let with_context = anyhow::Error::from(connect).context("filling");
        assert_eq!(whole(&with_context), "filling: a:1: could not connect: refused");
    }
}
