//! stub
use clap::Args;
/// Top
#[derive(Debug, Args)]
pub(crate) struct Options {}
pub(crate) async fn run(_: Options) -> anyhow::Result<std::process::ExitCode> { Ok(std::process::ExitCode::SUCCESS) }
