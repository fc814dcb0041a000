//! Client libraries: scripts in their own languages, one process each.

use super::{run, with_both};
use larder_tests::server::Server;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where `scripts/test` installs what these tests need.
fn tools() -> PathBuf {
    std::env::var_os("LARDER_TEST_TOOLS").map_or_else(|| root().join("target/test-tools"), PathBuf::from)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the root")
        .to_path_buf()
}

fn script(interpreter: PathBuf, name: &str, server: &Server) -> Command {
    assert!(
        interpreter.exists(),
        "{} is missing: ./scripts/test installs it",
        interpreter.display()
    );
    let mut command = Command::new(interpreter);
    command
        .arg(root().join("tests/clients").join(name))
        .arg(server.port().to_string());
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NODE_PATH", tools().join("node_modules"));
    // unittest reports on standard error, which a failed assertion shows.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn python(name: &str, server: &Server) -> Command {
    script(tools().join("venv/bin/python"), name, server)
}

fn node(name: &str, server: &Server) -> Command {
    assert!(
        tools().join("node_modules/ioredis").exists(),
        "ioredis is missing: ./scripts/test installs it"
    );
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("node"))
        .find(|candidate| candidate.is_file());
    script(found.unwrap_or_else(|| PathBuf::from("node")), name, server)
}

#[test]
fn redis_py_works_unchanged() {
    with_both(&[], |server| drop(run(python("redis_py.py", server))));
}

#[test]
fn django_caches_in_it() {
    with_both(&[], |server| drop(run(python("django_cache.py", server))));
}

#[test]
fn redis_cli_hints_and_helps_in_a_terminal() {
    with_both(&[], |server| drop(run(python("terminal.py", server))));
}

#[test]
fn ioredis_works_unchanged() {
    with_both(&[], |server| {
        let output = run(node("ioredis.js", server));
        assert!(output.contains(" passed, 0 failed"), "{output}");
    });
}
