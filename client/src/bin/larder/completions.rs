//! `larder completions`: scripts with which shells complete what is typed.

use crate::{Cli, output};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::process::ExitCode;

/// Print a script that completes larder's command line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  larder completions bash > ~/.local/share/bash-completion/completions/larder
  larder completions zsh > \"${fpath[1]}/_larder\"
  larder completions fish > ~/.config/fish/completions/larder.fish")]
pub(crate) struct Options {
    /// The shell to write for.
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// If standard output takes it not.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "larder", &mut script);
    output::print(&script)?;
    Ok(ExitCode::SUCCESS)
}
