//! Matches names against patterns with `*`, `?` and classes: paths of `include`.

use std::path::{Path, PathBuf};

use crate::text::glob_match;

/// The paths that `pattern` means, sorted. Without wildcards that is the path itself, whether it exists or not.
///
/// Only existing paths match wildcards, and a name that starts with a dot only matches a pattern that does.
pub(super) fn paths(pattern: &str) -> Vec<PathBuf> {
    if !is_wild(pattern) {
        return vec![PathBuf::from(pattern)];
    }
    let start = if pattern.starts_with('/') {
        PathBuf::from("/")
    } else {
        PathBuf::new()
    };
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let mut found = vec![start];
    for part in parts {
        found = found.iter().flat_map(|folder| step(folder, part)).collect();
    }
    found.retain(|path| path.exists());
    found
}

fn is_wild(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn step(folder: &Path, part: &str) -> Vec<PathBuf> {
    if !is_wild(part) {
        return vec![folder.join(part)];
    }
    let place = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    // A folder that cannot be read has no matches, as in glob(3).
    let Ok(entries) = std::fs::read_dir(place) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.retain(|name| {
        let hidden = name.starts_with('.') && !part.starts_with('.');
        !hidden && glob_match(part.as_bytes(), name.as_bytes(), false)
    });
    names.sort();
    names.into_iter().map(|name| folder.join(name)).collect()
}
