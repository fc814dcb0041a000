//! What we build on: licences that agree with ours, from the registry, at pinned versions.

use super::{expect_none, root};
use std::fs;
use std::process::Command;

const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "BSL-1.0",
    "0BSD",
];

/// Crates that must not come in: what they do is done by something else here (see ARCHITECTURE.md).
const BANNED: &[(&str, &str)] = &[
    ("openssl", "TLS is rustls"),
    ("openssl-sys", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
    ("async-std", "the runtime is tokio"),
    ("failure", "errors are thiserror and anyhow"),
];

/// Whether an SPDX expression lets us choose licences from the list.
fn allowed(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], "").replace('/', " OR ");
    // Without its parentheses `A OR B AND C` is taken as `(A OR B) AND C`: never laxer than meant.
    flat.split(" AND ")
        .all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn every_crate_has_a_licence_that_agrees_with_ours() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--all-features",
            "--locked",
            "--offline",
            "--edges",
            "normal,build,dev",
            "--target",
            "all",
        ])
        .args(["--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(listed.lines().count() > 20, "cargo tree lists nothing: {listed}");
    let mut problems = Vec::new();
    for line in listed.lines().filter(|line| !line.is_empty()) {
        let (package, licence) = line.trim_end_matches(" (*)").split_once('|').expect("package|licence");
        let name = package.split(' ').next().unwrap_or_default();
        if !allowed(licence.trim_end_matches(" (*)")) {
            problems.push(format!("{package}: licence {licence:?}"));
        }
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            problems.push(format!("{package}: {why}"));
        }
    }
    problems.sort();
    problems.dedup();
    expect_none("crates that may not come in", &problems);
}

#[test]
fn every_dependency_is_pinned_and_comes_from_the_registry() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let sources: Vec<_> = lock.lines().filter(|line| line.starts_with("source = ")).collect();
    assert!(sources.len() > 20);
    expect_none(
        "sources other than the registry",
        &sources
            .iter()
            .filter(|line| !line.contains("\"registry+"))
            .map(|line| (*line).to_string())
            .collect::<Vec<_>>(),
    );
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let dependencies = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .expect("workspace dependencies");
    let dependencies = dependencies.lines().take_while(|line| !line.starts_with('['));
    let unpinned = dependencies.filter(|line| line.contains('=') && !line.contains("\"=") && !line.contains("path ="));
    expect_none(
        "versions that are not pinned with `=`",
        &unpinned.map(str::to_string).collect::<Vec<_>>(),
    );
    for member in ["server", "cluster", "client", "tests"] {
        let text = fs::read_to_string(root().join(member).join("Cargo.toml")).expect("a manifest");
        let versions = text
            .lines()
            .skip_while(|line| *line != "[dependencies]")
            .filter(|line| line.contains("version ="));
        expect_none(
            "versions outside [workspace.dependencies]",
            &versions.map(str::to_string).collect::<Vec<_>>(),
        );
    }
}

#[test]
fn licence_expressions_are_read_right() {
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "MIT/Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(allowed(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "AGPL-3.0-only"] {
        assert!(!allowed(bad), "{bad}");
    }
}
