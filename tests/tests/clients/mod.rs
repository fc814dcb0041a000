//! Stock clients and tools, unchanged, against Larder and (as a control) the real Redis.

mod cli;
mod libraries;

use larder_tests::server::Server;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Runs `check` against the real Redis first, so that a test that cannot pass is not held against Larder.
fn with_both(args: &[&str], check: impl Fn(&Server)) {
    for server in [Server::redis(args), Server::larder(args)] {
        println!("{:?}", server.kind());
        check(&server);
    }
}

/// A command for `program` that talks to `server`.
fn tool(program: &str, server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(["-h", "127.0.0.1", "-p", &server.port().to_string()])
        .args(args);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end, at most a minute; its standard output.
fn run(command: Command) -> String {
    run_with_input(command, b"")
}

fn run_with_input(mut command: Command, input: &[u8]) -> String {
    let shown = format!("{command:?}");
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // From a thread: the tool may stop reading to print first.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let output = finish(child, &shown);
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{shown}: {}\n{stdout}\n{stderr}",
        output.status
    );
    assert!(
        !stderr.contains("Error") && !stderr.contains("WARNING"),
        "{shown}\n{stderr}"
    );
    stdout.into_owned()
}

fn finish(child: Child, shown: &str) -> Output {
    let id = child.id();
    let (done, waited) = mpsc::channel();
    std::thread::spawn(move || {
        // The receiver is gone only if the time was up.
        let _ = done.send(child.wait_with_output());
    });
    match waited.recv_timeout(Duration::from_secs(120)) {
        Ok(output) => output.unwrap_or_else(|error| panic!("{shown}: {error}")),
        Err(_) => {
            // Best effort: the test fails anyway.
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
            panic!("{shown} does not end within two minutes");
        }
    }
}

/// Runs a command that does not end by itself until it has printed `count` lines; these lines.
fn first_lines(mut command: Command, count: usize) -> Vec<String> {
    let shown = format!("{command:?}");
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
    let stdout = child.stdout.take().expect("stdout is piped");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        loop {
            let mut line = Vec::new();
            // `--latency-history` ends what it overwrites with a carriage return only.
            match reader.read_until(b'\n', &mut line) {
                Ok(1..) => {
                    if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    });
    let mut found = Vec::new();
    while found.len() < count {
        match lines.recv_timeout(Duration::from_secs(30)) {
            Ok(line) => found.push(line),
            Err(_) => break,
        }
    }
    // It may have ended by itself, which the count shows.
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(found.len(), count, "{shown} printed only {found:?}");
    found
}
