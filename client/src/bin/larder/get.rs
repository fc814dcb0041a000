//! `larder get`: a key's value, byte by byte.

use crate::link::{Link, Nodes};
use crate::output;
use clap::Args;
use larder_client::{Value, cmd};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

/// Print the value of a key, byte by byte as it is stored.
///
/// Of several nodes, the one is asked that owns the key, as `larder ring` places it. A key that is not there prints nothing, says so on standard error, and ends with exit code 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  larder get user:1
  larder get picture:7 > picture.png
  larder get -u redis://:secret@10.0.0.1 user:1
  larder get -u 'cache-1 10.0.0.1' -u 'cache-2 10.0.0.2' user:1")]
pub(crate) struct Options {
    /// The key.
    key: OsString,
    #[command(flatten)]
    nodes: Nodes,
}

/// Prints the value.
///
/// # Errors
/// If the node cannot be reached, or holds something else than a string there.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let key = options.key.as_bytes();
    let link = Link::to_owner(&options.nodes, key)?;
    let value = link.call(&cmd("GET").arg(key)).await?;
    let Some(bytes) = value.as_bytes() else {
        anyhow::ensure!(value == Value::Nil, "{}: GET was answered with no string", link.name);
        output::complain(&format!(
            "larder: no key '{}'",
            options.key.to_string_lossy().escape_debug()
        ));
        return Ok(ExitCode::FAILURE);
    };
    output::print(bytes)?;
    // A shell's prompt wants a line of its own; a file wants the value as it is.
    if std::io::stdout().is_terminal() && !bytes.ends_with(b"\n") {
        output::print("\n")?;
    }
    Ok(ExitCode::SUCCESS)
}
