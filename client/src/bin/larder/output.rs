//! What is printed: whole texts, tables, colours where a person reads them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

/// Prints all of it to standard output, or fails; `println!` would panic when a pipe is closed.
///
/// # Errors
/// What the system says.
pub(crate) fn print(bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes.as_ref())?;
    stdout.flush()
}

/// Prints a JSON document on a line of its own.
///
/// # Errors
/// What the system says.
pub(crate) fn print_json(document: &serde_json::Value) -> io::Result<()> {
    print(format!("{document}\n"))
}

/// Prints a line to standard error; if that is closed there is nobody left to tell.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether output failed because its reader is gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    // Of an error of the network the chain holds a cause that looks the same, so only the outermost counts.
    error.downcast_ref::<io::Error>().is_some_and(is)
}

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A head line.
    Bold,
    /// Something is wrong.
    Bad,
}

/// The text, coloured if standard output is a terminal and `NO_COLOR` (no-color.org) is not set.
pub(crate) fn styled(style: Style, text: &str) -> String {
    static COLOURS: LazyLock<bool> = LazyLock::new(|| colours_wanted() && io::stdout().is_terminal());
    if !*COLOURS {
        return text.to_string();
    }
    let code = match style {
        Style::Bold => "1",
        Style::Bad => "31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Whether the environment allows colours.
pub(crate) fn colours_wanted() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether the terminal's character set has block characters.
pub(crate) fn has_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// On which side of its column a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table of texts, with columns as wide as they must be.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(Align, String)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(Align, &str)]) -> Table {
        Table {
            columns: columns
                .iter()
                .map(|(align, head)| (*align, (*head).to_string()))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. One with fewer cells than columns ends with its last cell, which may be as long as it likes.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, the head first.
    pub(crate) fn render(&self) -> String {
        let mut widths: Vec<usize> = self.columns.iter().map(|(_, head)| width(head)).collect();
        for row in &self.rows {
            let is_whole = row.len() == self.columns.len();
            let counted = if is_whole {
                row.len()
            } else {
                row.len().saturating_sub(1)
            };
            for (known, cell) in widths.iter_mut().zip(&row[..counted]) {
                *known = (*known).max(width(cell));
            }
        }
        let head: Vec<String> = self.columns.iter().map(|(_, head)| head.clone()).collect();
        let mut text = styled(Style::Bold, self.line(&head, &widths).trim_end());
        text.push('\n');
        for row in &self.rows {
            text.push_str(self.line(row, &widths).trim_end());
            text.push('\n');
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        let is_whole = cells.len() == self.columns.len();
        for (at, (cell, wide)) in cells.iter().zip(widths).enumerate() {
            if at > 0 {
                line.push_str("  ");
            }
            let room = " ".repeat(wide.saturating_sub(width(cell)));
            let is_overlong = !is_whole && at + 1 == cells.len();
            let _ = match self.columns[at].0 {
                Align::Left => write!(line, "{cell}{room}"),
                Align::Right if is_overlong => write!(line, "{cell}"),
                Align::Right => write!(line, "{room}{cell}"),
            };
        }
        line
    }
}

/// How many columns of a terminal a text takes; colours take none.
fn width(text: &str) -> usize {
    let mut wide = 0;
    let mut in_colour = false;
    for character in text.chars() {
        match (in_colour, character) {
            (false, '\x1b') => in_colour = true,
            (true, 'm') => in_colour = false,
            (true, _) => {}
            (false, _) => wide += 1,
        }
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[(Align::Left, "node"), (Align::Right, "ops")]);
        table.row(vec!["a".to_string(), "12345".to_string()]);
        table.row(vec!["longer".to_string(), "7".to_string()]);
        assert_eq!(table.render(), "node      ops\na       12345\nlonger      7\n");
    }

    #[test]
    fn a_short_row_may_end_in_a_long_text() {
        let mut table = Table::new(&[(Align::Left, "node"), (Align::Right, "ops"), (Align::Right, "p99")]);
        table.row(vec!["a".to_string(), "unreachable: it is gone".to_string()]);
        table.row(vec!["b".to_string(), "1".to_string(), "2".to_string()]);
        assert_eq!(
            table.render(),
            "node  ops  p99\na     unreachable: it is gone\nb       1    2\n"
        );
    }

    #[test]
    fn colours_take_no_room() {
        assert_eq!(width("\x1b[31mdown\x1b[0m"), 4);
        assert_eq!(width("äö█"), 3);
    }

    #[test]
    fn only_our_own_output_counts_as_a_broken_pipe() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&anyhow::Error::from(broken())));
        let lost = larder_client::Error::Lost {
            node: "a".into(),
            source: std::sync::Arc::new(broken()),
        };
        assert!(!is_broken_pipe(&anyhow::Error::from(lost)));
    }
}
