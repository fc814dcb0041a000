//! Prometheus's text format: families of samples, their names and labels written correctly by construction.

use super::snapshot::Snapshot;
use std::fmt::{Display, Write as _};

/// What a family's values mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Only rises, or starts anew.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by size, cumulative, with their sum.
    Histogram,
    /// A sum and how many it is of.
    Summary,
}

impl Kind {
    /// The name in TYPE lines.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        }
    }
}

/// A metric: one row of the page and of the documentation.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The labels of every sample, in the order in which samples give their values.
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
    pub(super) write: fn(&Snapshot<'_>, &mut Samples<'_>),
}

impl Family {
    /// Appends the family to the page; nothing if it has no sample.
    pub(super) fn append(&self, snapshot: &Snapshot<'_>, page: &mut String) {
        let before = page.len();
        // Writing to a String cannot fail.
        let _ = writeln!(page, "# HELP {} {}", self.name, self.help);
        let _ = writeln!(page, "# TYPE {} {}", self.name, self.kind.name());
        let head = page.len();
        (self.write)(snapshot, &mut Samples { page, family: self });
        if page.len() == head {
            page.truncate(before);
        }
    }
}

/// Takes the samples of one family.
pub(super) struct Samples<'p> {
    page: &'p mut String,
    family: &'p Family,
}

impl Samples<'_> {
    /// The sample of a family without labels.
    pub(super) fn one(&mut self, value: impl Display) {
        self.add(&[], value);
    }

    /// One sample: the values of the family's labels, and its own.
    pub(super) fn add(&mut self, labels: &[&str], value: impl Display) {
        self.sample("", labels, None, value);
    }

    /// The sum and the number of a summary or histogram.
    pub(super) fn total(&mut self, labels: &[&str], sum: f64, count: u64) {
        self.sample("_sum", labels, None, sum);
        self.sample("_count", labels, None, count);
    }

    /// One bucket of a histogram: how many were at most `le`.
    pub(super) fn bucket(&mut self, labels: &[&str], le: &str, count: u64) {
        self.sample("_bucket", labels, Some(le), count);
    }

    fn sample(&mut self, suffix: &str, labels: &[&str], le: Option<&str>, value: impl Display) {
        debug_assert_eq!(labels.len(), self.family.labels.len(), "{}", self.family.name);
        self.page.push_str(self.family.name);
        self.page.push_str(suffix);
        let pairs = self.family.labels.iter().copied().zip(labels.iter().copied());
        let mut opening = '{';
        for (name, value) in pairs.chain(le.map(|le| ("le", le))) {
            let _ = write!(self.page, "{opening}{name}=\"");
            escape(value, self.page);
            self.page.push('"');
            opening = ',';
        }
        let closing = if opening == ',' { "}" } else { "" };
        let _ = writeln!(self.page, "{closing} {value}");
    }
}

/// Label values may hold anything once quotes, backslashes and line ends are escaped.
pub(super) fn escape(value: &str, page: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            other => page.push(other),
        }
    }
}
