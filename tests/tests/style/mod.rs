//! What a reader may rely on is tested, not hoped for.

mod licences;
mod source;

use source::{Source, files, root, sources};
use std::fs;

/// The longest function and file outside tests, in lines. These only ever shrink.
const LONGEST_FUNCTION: usize = 70;
const LONGEST_FILE: usize = 500;

/// Fails with all of `problems`, if there are any.
fn expect_none(rule: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{rule}\n{}", problems.join("\n"));
}

#[test]
fn every_file_says_at_its_head_what_it_is_for() {
    let without = sources().into_iter().filter(|source| {
        let first = source.text.lines().next().unwrap_or_default();
        !first.starts_with("//! ") || first.len() < 15
    });
    expect_none(
        "no purpose line (`//! ...`)",
        &without.map(|source| source.path).collect::<Vec<_>>(),
    );
}

/// `(files below this, must not name this, because)`.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "cluster/",
        &["larder_server", "larder_client"],
        "cluster is what servers and clients agree on",
    ),
    (
        "cluster/src",
        &["tokio", "std::net", "std::os", "mio", "socket2"],
        "cluster is state machines without I/O",
    ),
    ("server/src", &["larder_client"], "server and client meet in cluster"),
    ("client/", &["larder_server"], "server and client meet in cluster"),
    (
        "server/src/store",
        &["crate::resp", "crate::commands", "crate::command"],
        "the engine knows no server",
    ),
    (
        "server/src/store",
        &["crate::connection", "crate::worker", "crate::server"],
        "the engine knows no server",
    ),
    (
        "server/src/store",
        &["tokio", "std::net", "mio", "socket2"],
        "the engine knows no socket",
    ),
    (
        "server/src/store/eviction",
        &["crate::call", "crate::dispatch"],
        "a policy knows no command",
    ),
    (
        "server/src/commands",
        &["tokio::net", "std::net::Tcp", "std::os::unix::net", "socket2"],
        "no socket in a command",
    ),
    (
        "server/src/commands",
        &["crate::connection"],
        "a command's handler knows no socket",
    ),
    (
        "server/src/resp",
        &["crate::commands", "tokio", "std::net"],
        "the protocol is without I/O",
    ),
];

#[test]
fn folders_depend_only_on_what_the_design_allows() {
    let mut problems = Vec::new();
    for source in sources().into_iter().filter(|source| !source.is_test()) {
        let paths = source.paths();
        for (folder, names, why) in FORBIDDEN {
            if !source.path.starts_with(folder) {
                continue;
            }
            for path in &paths {
                let named =
                    |name: &&&str| path == **name || path.starts_with(&format!("{name}::")) || is_prefix(path, name);
                if let Some(name) = names.iter().find(named) {
                    problems.push(format!("{}: `{path}` ({name}): {why}", source.path));
                }
            }
        }
    }
    problems.dedup();
    expect_none("dependencies that ARCHITECTURE.md forbids", &problems);
}

/// `std::net::Tcp` stands for TcpStream, TcpListener, ...
fn is_prefix(path: &str, name: &str) -> bool {
    name.ends_with("Tcp") && path.starts_with(name)
}

#[test]
fn crates_depend_only_on_what_the_design_allows() {
    let manifest = |name: &str| {
        let text = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a manifest");
        text.lines()
            .filter(|line| line.starts_with("larder-"))
            .map(str::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(manifest("cluster"), "", "cluster depends on no other crate of ours");
    assert!(
        !manifest("server").contains("larder-client"),
        "server does not depend on client"
    );
    assert!(
        !manifest("client").contains("larder-server"),
        "client does not depend on server"
    );
}

#[test]
fn the_engine_and_the_rules_read_no_clock_and_no_randomness() {
    const READS: &[&str] = &[
        "Instant::now",
        "SystemTime::now",
        "RandomState::new",
        "rand::",
        "thread_rng",
        "fastrand",
        "getrandom",
        "from_entropy",
    ];
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        if !source.path.starts_with("cluster/") && !source.path.starts_with("server/src/store") {
            continue;
        }
        for (number, line) in source.code.lines().enumerate() {
            for read in READS.iter().filter(|read| line.contains(**read)) {
                problems.push(format!("{}:{}: {read}", source.path, number + 1));
            }
        }
    }
    expect_none("time and randomness are passed in", &problems);
}

#[test]
fn unsafe_is_where_the_design_allows_it() {
    const ALLOWED: &[&str] = &[
        "server/src/store/arena",
        "server/src/store/entry",
        "server/src/store/table",
    ];
    let is_unsafe = |line: &str| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == "unsafe")
    };
    let mut problems = Vec::new();
    for source in sources() {
        if ALLOWED.iter().any(|allowed| source.path.starts_with(allowed)) {
            continue;
        }
        for (number, _) in source.code.lines().enumerate().filter(|(_, line)| is_unsafe(line)) {
            problems.push(format!("{}:{}", source.path, number + 1));
        }
    }
    expect_none("`unsafe` outside store/{arena,entry,table}", &problems);
}

#[test]
fn functions_and_files_stay_short() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        if source.length() > LONGEST_FILE {
            problems.push(format!("{}: {} lines", source.path, source.length()));
        }
        for (name, line, length) in source.functions() {
            if length > LONGEST_FUNCTION {
                problems.push(format!("{}:{line}: {name}: {length} lines", source.path));
            }
        }
    }
    expect_none("longer than 70 lines (functions) or 500 (files)", &problems);
}

#[test]
fn no_file_names_a_registry_host_or_a_path_of_one_machine() {
    // In halves, so that this file does not name them.
    const HALVES: &[(&str, &str)] = &[
        ("crates", ".io"),
        ("py", "pi.org"),
        ("registry.", "npmjs"),
        ("deb.", "debian.org"),
        ("files.python", "hosted"),
        ("static.", "rust-lang.org"),
        ("/ro", "ot/"),
        ("/wo", "rk/"),
        ("/ho", "me/"),
        ("/Us", "ers/"),
    ];
    const SKIPPED: &[&str] = &["Cargo.lock", ".md.tmp"];
    let mut problems = Vec::new();
    for path in files() {
        if SKIPPED.iter().any(|skipped| path.ends_with(skipped)) {
            continue;
        }
        // What is not text cannot be read like one, and is not ours to write.
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for (head, tail) in HALVES
                .iter()
                .filter(|(head, tail)| line.contains(&format!("{head}{tail}")))
            {
                problems.push(format!("{path}:{}: {head}{tail}", number + 1));
            }
        }
    }
    expect_none("hosts or paths that others do not have", &problems);
}

#[test]
fn every_relative_link_resolves() {
    let mut problems = Vec::new();
    for path in files().into_iter().filter(|path| path.ends_with(".md")) {
        let text = fs::read_to_string(root().join(&path)).expect("a page is text");
        let dir = root()
            .join(&path)
            .parent()
            .expect("a page lies in a folder")
            .to_path_buf();
        for target in links(&text) {
            let external = target.contains("://") || target.starts_with("mailto:");
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let linked = if file.is_empty() {
                root().join(&path)
            } else {
                dir.join(file)
            };
            if external {
                continue;
            }
            if !linked.exists() {
                problems.push(format!("{path}: {target}"));
            } else if !anchor.is_empty() && file.ends_with(".md") | file.is_empty() && !has_anchor(&linked, anchor) {
                problems.push(format!("{path}: {target}: no such heading"));
            }
        }
    }
    expect_none("links that lead nowhere", &problems);
}

/// Targets of `[text](target)` and `<img src="target">`, outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Inline code is every second part between backquotes.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for (at, open) in prose.match_indices("](").chain(prose.match_indices("src=\"")) {
            let rest = &prose[at + open.len()..];
            let end = rest.find([')', '"', ' ']).unwrap_or(rest.len());
            found.push(rest[..end].to_string());
        }
    }
    found
}

fn has_anchor(page: &std::path::Path, anchor: &str) -> bool {
    let text = fs::read_to_string(page).unwrap_or_default();
    text.lines().filter(|line| line.starts_with('#')).any(|heading| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let slug: String = words
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        slug == anchor
    })
}

#[test]
fn scripts_are_executable_and_say_what_they_do() {
    use std::os::unix::fs::PermissionsExt;
    let mut problems = Vec::new();
    for path in files() {
        let full = root().join(&path);
        let is_script = path == ".ci/run" || (path.starts_with("scripts/") && path.matches('/').count() == 1);
        if !is_script || path.ends_with(".md") {
            continue;
        }
        let mode = fs::metadata(&full).map(|meta| meta.permissions().mode()).unwrap_or(0);
        let text = fs::read_to_string(&full).unwrap_or_default();
        if mode & 0o111 == 0
            || !text.starts_with("#!")
            || !["# ", "\"\"\""]
                .iter()
                .any(|start| text.lines().nth(1).unwrap_or_default().starts_with(start))
        {
            problems.push(path);
        }
    }
    expect_none(
        "not executable, or no comment in line 2 that says what it does",
        &problems,
    );
}

#[test]
fn the_rules_find_what_they_forbid() {
    let names = |source: &Source| source.paths();
    let all = sources();
    assert!(all.len() > 30, "only {} sources found", all.len());
    let this = all
        .iter()
        .find(|source| source.path == "tests/tests/style/mod.rs")
        .expect("this file");
    assert!(names(this).iter().any(|path| path == "std::fs"));
    assert!(this.functions().iter().any(|(name, ..)| name == "links"));
    assert_eq!(links("a [b](c.md#d) `[x](y)` <img src=\"e.svg\">"), ["c.md#d", "e.svg"]);
}
