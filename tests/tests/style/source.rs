//! Rust sources as the style tests see them: without comments, strings and test modules.

use std::fs;
use std::path::{Path, PathBuf};

/// One `.rs` file of the project.
pub(super) struct Source {
    /// Relative to the repository's root.
    pub(super) path: String,
    /// As it stands.
    pub(super) text: String,
    /// The same lines with comments, string contents and `#[cfg(test)]` modules blanked.
    pub(super) code: String,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let mut code = blank_comments_and_strings(&text);
        blank_test_modules(&mut code);
        Self { path, text, code }
    }

    /// Whether the whole file is a test.
    pub(super) fn is_test(&self) -> bool {
        self.path.starts_with("tests/tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Lines up to the first test module, which stands last.
    pub(super) fn length(&self) -> usize {
        self.code.trim_end().lines().count()
    }

    /// Every path that is named, in `use` trees or in place, as `crate::a::b`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut rest = self.code.as_str();
        while let Some(at) = rest.find("use ") {
            let starts_word = rest[..at]
                .chars()
                .next_back()
                .is_none_or(|c| !c.is_alphanumeric() && c != '_');
            rest = &rest[at + 4..];
            if starts_word && let Some(end) = rest.find(';') {
                let tree: String = rest[..end].split_whitespace().collect();
                expand("", &tree, &mut paths);
            }
        }
        let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        paths.extend(
            self.code
                .split(|c| !is_path(c))
                .filter(|word| word.contains("::"))
                .map(str::to_string),
        );
        paths
    }

    /// Name, first line and length of every function.
    pub(super) fn functions(&self) -> Vec<(String, usize, usize)> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let before = self.code[..at].chars().next_back();
            let name: String = self.code[at + 3..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') || name.is_empty() {
                continue;
            }
            let Some(open) = body(&self.code, at) else { continue };
            let close = closing_brace(&self.code, open);
            let lines = |range: &str| range.matches('\n').count();
            found.push((name, lines(&self.code[..at]) + 1, lines(&self.code[at..close]) + 1));
        }
        found
    }
}

/// The `{` of the function that starts at `at`, unless it is a declaration without a body.
fn body(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0;
    for (offset, byte) in code[at..].bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at + offset),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in code[open..].bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return open + offset;
                }
            }
            _ => {}
        }
    }
    code.len() - 1
}

/// Turns `a::{b, c::{d}}` (without spaces) into `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some(open) = tree.find('{') else {
        paths.extend(
            tree.split(',')
                .filter(|part| !part.is_empty())
                .map(|part| format!("{prefix}{part}")),
        );
        return;
    };
    let plain_end = tree[..open].rfind(',').map_or(0, |comma| comma + 1);
    expand(prefix, &tree[..plain_end.saturating_sub(1)], paths);
    let close = closing_brace(tree, open);
    let inner_prefix = format!("{prefix}{}", &tree[plain_end..open]);
    // Parts at the group's own level, so that each nested group keeps its prefix.
    let (mut depth, mut start) = (0, open + 1);
    for (at, byte) in tree.bytes().enumerate().take(close).skip(open + 1) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                expand(&inner_prefix, &tree[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    expand(&inner_prefix, &tree[start..close], paths);
    expand(
        prefix,
        tree[(close + 1).min(tree.len())..].trim_start_matches(','),
        paths,
    );
}

fn blank_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => find(bytes, at, b"\n"),
            b'/' if bytes[at..].starts_with(b"/*") => block_comment_end(bytes, at),
            b'r' if raw_string_hashes(bytes, at).is_some() => {
                let hashes = raw_string_hashes(bytes, at).unwrap_or_default();
                let close = [&b"\""[..], &vec![b'#'; hashes]].concat();
                (find(bytes, at + hashes + 2, &close) + close.len()).min(bytes.len())
            }
            b'"' => string_end(bytes, at),
            b'\'' => char_end(bytes, at),
            _ => {
                at += 1;
                continue;
            }
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("only whole strings and comments were blanked")
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(what.len())
        .position(|window| window == what)
        .map_or(bytes.len(), |offset| from + offset)
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn raw_string_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    let word_before = at.checked_sub(1).map(|before| bytes[before]);
    if word_before.is_some_and(|byte| (byte.is_ascii_alphanumeric() && byte != b'b') || byte == b'_') {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|&&byte| byte == b'#').count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a character literal; a lifetime is no literal and ends at once.
fn char_end(bytes: &[u8], start: usize) -> usize {
    if bytes.get(start + 1) == Some(&b'\\') {
        return (find(bytes, start + 3, b"'") + 1).min(bytes.len());
    }
    let close = bytes[start + 1..].iter().take(5).position(|&byte| byte == b'\'');
    match close {
        // 'x' or one character of several bytes; `'a, 'b` has something else between.
        Some(1) => start + 3,
        Some(length) if length > 1 && bytes[start + 1] >= 0x80 => start + length + 2,
        _ => start + 1,
    }
}

fn blank_test_modules(code: &mut String) {
    while let Some(at) = code.find("#[cfg(test)]") {
        let item = &code[at..];
        let (brace, semicolon) = (item.find('{'), item.find(';'));
        let end = match (brace, semicolon) {
            (Some(brace), Some(semicolon)) if semicolon < brace => at + semicolon + 1,
            (Some(brace), _) => closing_brace(code, at + brace) + 1,
            (None, Some(semicolon)) => at + semicolon + 1,
            (None, None) => code.len(),
        };
        let blank: String = code[at..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        code.replace_range(at..end, &blank);
    }
}

/// The repository's root.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the root")
        .to_path_buf()
}

/// All files below the root that are part of the project, as relative paths.
pub(super) fn files() -> Vec<String> {
    fn walk(root: &Path, dir: &Path, found: &mut Vec<String>) {
        let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                let skipped = ["target", ".git", "node_modules", "__pycache__"];
                if !skipped.iter().any(|skipped| name == *skipped) {
                    walk(root, &path, found);
                }
            } else if name == ".git" {
                // In a worktree of git, this is a file.
                continue;
            } else if let Ok(relative) = path.strip_prefix(root) {
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &root(), &mut found);
    found.sort();
    found
}

/// All Rust sources.
pub(super) fn sources() -> Vec<Source> {
    let rust = files().into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Source::new(path, text)
    })
    .collect()
}

#[test]
fn the_scanner_sees_code_and_only_code() {
    let text = r##"//! Purpose. unsafe
use a::{b, c::{d, e}, f};
fn long<'a>(x: &'a str) -> char { /* unsafe { /* nested */ */
    let s = "unsafe \" {"; let r = r#"unsafe " {"#; let c = '{'; let q = '\''; let u = 'ä';
    c
}
trait T { fn declared(&self); }
#[cfg(test)]
mod tests { fn unsafe_test() { unsafe {} } }
"##;
    let source = Source::new("x.rs".to_string(), text.to_string());
    assert!(!source.code.contains("unsafe"), "{}", source.code);
    assert_eq!(source.functions(), [("long".to_string(), 3, 4)]);
    let paths = source.paths();
    for expected in ["a::b", "a::c::d", "a::c::e", "a::f"] {
        assert!(
            paths.iter().any(|path| path == expected),
            "{expected} is not in {paths:?}"
        );
    }
    assert_eq!(source.length(), 7);
}
