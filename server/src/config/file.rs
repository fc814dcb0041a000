//! Reads configuration files in the form of redis.conf, with `include`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::error::{LoadError, Origin, printable};
use super::layer::{Layer, invalid};
use super::split_args::split_args;
use super::wildcard;

/// How deep includes may nest: deeper ones are a file that includes itself.
const MAX_DEPTH: usize = 16;

/// Larger files are no configuration: somebody named the wrong file, or an endless one.
const MAX_FILE_LEN: u64 = 16 << 20;

/// How the standard input is named on the command line and in messages.
pub(super) const STDIN: &str = "-";

/// Applies the file at `path` to `layer`.
pub(super) fn load(path: &Path, layer: &mut Layer<'_>) -> Result<(), LoadError> {
    load_nested(path, layer, 0)
}

/// Applies what `input` holds to `layer`; messages call it `name`.
pub(super) fn load_from(name: &Path, input: impl Read, layer: &mut Layer<'_>) -> Result<(), LoadError> {
    let text = read_all(input).map_err(|source| unreadable(name, source))?;
    apply_lines(name, &text, layer, 0)
}

fn load_nested(path: &Path, layer: &mut Layer<'_>, depth: usize) -> Result<(), LoadError> {
    let text = File::open(path)
        .and_then(read_all)
        .map_err(|source| unreadable(path, source))?;
    apply_lines(path, &text, layer, depth)
}

fn unreadable(file: &Path, source: io::Error) -> LoadError {
    LoadError::Unreadable {
        file: file.to_owned(),
        source,
    }
}

fn read_all(input: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.take(MAX_FILE_LEN + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE_LEN {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_LEN} bytes")));
    }
    Ok(text)
}

fn apply_lines(path: &Path, text: &[u8], layer: &mut Layer<'_>, depth: usize) -> Result<(), LoadError> {
    for (index, line) in lines(text).enumerate() {
        let origin = Origin::Line {
            file: path.to_owned(),
            line: index + 1,
        };
        let directive = parse(line).map_err(|_| {
            let advice = "close the quote, and leave a space after it";
            // The line may be a password's.
            let name = String::from_utf8_lossy(line)
                .split_ascii_whitespace()
                .next()
                .map(printable);
            invalid(
                &origin,
                None,
                &name.unwrap_or_default(),
                "",
                "Unbalanced quotes in configuration line",
                advice,
            )
        })?;
        match directive {
            None => {}
            Some(Directive { name, words }) if name == "include" => {
                include(&origin, &words, layer, depth)?;
            }
            Some(Directive { name, words }) => layer.apply_words(&origin, &name, &words)?,
        }
    }
    Ok(())
}

/// One line's directive.
pub(super) struct Directive {
    /// In lower case.
    pub(super) name: String,
    pub(super) words: Vec<Vec<u8>>,
}

/// The lines of a file, without line ends and a leading byte order mark.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The directive of a line; none if it is blank or a comment.
pub(super) fn parse(line: &[u8]) -> Result<Option<Directive>, super::UnbalancedQuotes> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let mut words = split_args(line)?;
    if words.is_empty() {
        return Ok(None);
    }
    let name = String::from_utf8_lossy(&words.remove(0)).to_ascii_lowercase();
    Ok(Some(Directive { name, words }))
}

fn include(origin: &Origin, words: &[Vec<u8>], layer: &mut Layer<'_>, depth: usize) -> Result<(), LoadError> {
    let shown = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
    let fail = |problem: &str, advice: &str| Err(invalid(origin, None, "include", &shown, problem, advice));
    let [pattern] = words else {
        return fail("wrong number of arguments", "give one path; quote it if it has spaces");
    };
    if depth + 1 >= MAX_DEPTH {
        return fail("includes are nested too deeply", "check whether a file includes itself");
    }
    let Ok(pattern) = std::str::from_utf8(pattern) else {
        return fail("argument is not UTF-8", "write the path in UTF-8");
    };
    for path in wildcard::paths(pattern) {
        load_nested(&path, layer, depth + 1)?;
    }
    Ok(())
}
