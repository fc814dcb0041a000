//! The page for Prometheus against a strict parser, and against its documentation.

use super::{alive, families, page, ready};
use crate::config::{Config, Settings};
use crate::node::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/observability.md");

type Labels = BTreeMap<String, String>;

#[derive(Default)]
struct Parsed {
    kind: String,
    help: String,
    samples: Vec<(String, Labels, f64)>,
}

/// Parses the text format, and panics at whatever Prometheus or its linter would object to.
fn parse(page: &str) -> BTreeMap<String, Parsed> {
    assert!(page.ends_with('\n'), "the last line must end");
    let mut families: BTreeMap<String, Parsed> = BTreeMap::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    for line in page.lines() {
        if let Some(head) = line.strip_prefix("# HELP ") {
            let (name, help) = head.split_once(' ').expect("HELP has a name and a text");
            current = name.to_owned();
            let family = Parsed {
                help: help.to_owned(),
                ..Parsed::default()
            };
            assert!(families.insert(current.clone(), family).is_none(), "{name} comes twice");
        } else if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').expect("TYPE has a name and a type");
            assert_eq!(name, current, "TYPE follows HELP");
            let family = families.get_mut(name).unwrap();
            assert!(
                family.kind.is_empty() && family.samples.is_empty(),
                "{name}: one TYPE, before all samples"
            );
            kind.clone_into(&mut family.kind);
        } else {
            let (name, labels, value) = sample(line);
            assert!(seen.insert((name.clone(), labels.clone())), "twice: {line}");
            let family = families.get_mut(&current).expect("samples follow their TYPE");
            let suffix = name
                .strip_prefix(&current)
                .unwrap_or_else(|| panic!("{name} is not of {current}"));
            let allowed: &[&str] = match family.kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                "summary" => &["_sum", "_count"],
                "counter" | "gauge" => &[""],
                other => panic!("{current} has type {other}"),
            };
            assert!(allowed.contains(&suffix), "{line}");
            family.samples.push((name, labels, value));
        }
    }
    families.iter().for_each(|(name, family)| lint(name, family));
    families
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit()) && {
        name.chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    }
}

fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect("a sample has a value");
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, tail) = rest.split_once("=\"").expect("a label has a quoted value");
            assert!(is_name(label), "{line}");
            let (value, tail) = unquote(tail);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            if let Some(tail) = tail.strip_prefix(',') {
                rest = tail;
            } else {
                rest = tail.strip_prefix('}').expect("labels end with a brace");
                break;
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("one space before the value");
    let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    assert!(value.is_finite() && value >= 0.0, "{line}");
    (name.to_owned(), labels, value)
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => match letters.next().expect("an escape has a letter").1 {
                'n' => value.push('\n'),
                plain @ ('\\' | '"') => value.push(plain),
                other => panic!("unknown escape {other}"),
            },
            other => value.push(other),
        }
    }
    panic!("a label's value does not end")
}

/// What `promtool check metrics` would say.
fn lint(name: &str, family: &Parsed) {
    assert!(
        !family.help.is_empty() && !family.samples.is_empty(),
        "{name} lacks help or samples"
    );
    assert_eq!(
        name.ends_with("_total"),
        family.kind == "counter",
        "{name}: _total is for counters and only for them"
    );
    for unit in [
        "_ms",
        "_nanos",
        "_micros",
        "_milliseconds",
        "_kb",
        "_count",
        "_sum",
        "_bucket",
    ] {
        assert!(!name.ends_with(unit), "{name}: base units only, and no reserved suffix");
    }
    if family.kind == "histogram" {
        lint_histogram(name, family);
    }
}

fn lint_histogram(name: &str, family: &Parsed) {
    let mut series: BTreeMap<Labels, (f64, f64, Option<f64>)> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        let le = labels.remove("le");
        assert_eq!(le.is_some(), sample.ends_with("_bucket"));
        let (bound, count, total) = series.entry(labels).or_insert((f64::NEG_INFINITY, 0.0, None));
        if let Some(le) = le {
            let le: f64 = if le == "+Inf" {
                f64::INFINITY
            } else {
                le.parse().unwrap()
            };
            assert!(le > *bound && value >= count, "{name}: buckets rise and are cumulative");
            (*bound, *count) = (le, *value);
        } else if sample.ends_with("_count") {
            *total = Some(*value);
        }
    }
    for (labels, (bound, count, total)) in series {
        assert!(bound.is_infinite(), "{name} {labels:?}: the last bucket is +Inf");
        assert_eq!(Some(count), total, "{name} {labels:?}: it counts all");
    }
}

fn node() -> Node {
    let mut settings = Settings::default();
    (settings.threads, settings.maxmemory) = (2, 64 << 20);
    Node::new(Config::new(settings))
}

/// A node on which everything that can be counted was.
fn busy_node() -> Node {
    let node = node();
    node.keyspace
        .declare_prefixes(&[(b"a\"b".to_vec(), 1 << 20), (b"c".to_vec(), 0)]);
    for (number, worker) in node.workers.iter().enumerate() {
        let get = worker.command(crate::command::lookup(b"get").unwrap().id);
        get.record(1_500 + number as u64, 10, true);
        get.record(u64::MAX >> 20, 1, true);
        get.failed.add(1);
        get.rejected.add(2);
        worker.bytes_in.add(100);
        worker.record_lag(Duration::from_micros(300), Duration::from_millis(100));
    }
    node.count_error("WRONGTYPE");
    node
}

fn value(families: &BTreeMap<String, Parsed>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: Labels = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let samples = families.values().flat_map(|family| &family.samples);
    let mut found = samples.filter(|(sample, labels, _)| sample == name && *labels == wanted);
    found.next().unwrap_or_else(|| panic!("no {name} {labels:?}")).2
}

#[test]
fn the_page_is_what_prometheus_reads() {
    let families = parse(&page(&busy_node()));
    assert_eq!(
        value(
            &families,
            "larder_commands_total",
            &[("cmd", "get"), ("group", "string")]
        ),
        22.0
    );
    assert_eq!(
        value(
            &families,
            "larder_commands_rejected_total",
            &[("cmd", "get"), ("group", "string")]
        ),
        4.0
    );
    assert_eq!(
        value(
            &families,
            "larder_command_duration_seconds_count",
            &[("group", "string")]
        ),
        22.0
    );
    assert_eq!(
        value(&families, "larder_worker_received_bytes_total", &[("worker", "1")]),
        100.0
    );
    assert_eq!(
        value(&families, "larder_worker_loop_lag_seconds_sum", &[("worker", "0")]),
        0.0003
    );
    assert_eq!(value(&families, "larder_errors_total", &[("code", "WRONGTYPE")]), 1.0);
    assert_eq!(value(&families, "larder_keys", &[("db", "0")]), 0.0);
    let quota = |prefix| value(&families, "larder_prefix_quota_bytes", &[("prefix", prefix)]);
    assert_eq!((quota("a\"b"), quota("c")), (f64::from(1 << 20), 0.0));
    assert_eq!(value(&families, "larder_memory_limit_bytes", &[]), f64::from(64 << 20));
}

#[test]
fn a_busy_node_shows_every_family_in_order_and_an_idle_one_is_valid() {
    let all = families::ALL.iter().copied().flatten();
    let names: Vec<_> = all.map(|family| family.name).collect();
    let page_of_busy = page(&busy_node());
    let shown: Vec<_> = page_of_busy
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert_eq!(shown, names);
    parse(&page(&node()));
}

#[test]
fn buckets_hold_what_their_bound_says() {
    let families = parse(&page(&busy_node()));
    let below = |le| {
        value(
            &families,
            "larder_command_duration_seconds_bucket",
            &[("group", "string"), ("le", le)],
        )
    };
    assert_eq!(below("0.000001023"), 0.0);
    assert_eq!(below("0.000002047"), 20.0);
    assert_eq!(below("+Inf"), 22.0);
}

#[test]
fn durations_are_absent_while_they_are_not_tracked() {
    let mut settings = Settings::default();
    settings.latency_tracking = false;
    let families = parse(&page(&Node::new(Config::new(settings))));
    assert!(!families.contains_key("larder_command_duration_seconds"));
}

#[test]
fn label_values_may_hold_anything() {
    let nasty = "quote\" backslash\\ line\nend}";
    let mut page = String::new();
    super::text::escape(nasty, &mut page);
    page.push_str("\"} 1");
    assert_eq!(unquote(&page), (nasty.to_owned(), "} 1"));
}

#[test]
fn readiness_follows_the_nodes_state() {
    let node = node();
    assert_eq!((alive(&node), ready(&node)), (Ok(()), Ok(())));
    node.shut_down();
    assert_eq!(alive(&node), Ok(()));
    assert_eq!(ready(&node), Err("shutting down".to_owned()));
}

/// With `LARDER_BLESS=1` the table is written instead of compared.
#[test]
fn the_documentation_lists_every_metric() {
    const BEGIN: &str = "<!-- metrics: made from server/src/metrics/families.rs -->\n";
    const END: &str = "<!-- end of metrics -->\n";
    let mut table = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for family in families::ALL.iter().copied().flatten() {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (family.name, family.kind.name(), family.help);
        table += &format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "));
    }
    let text = std::fs::read_to_string(DOCS).unwrap();
    let (head, rest) = text
        .split_once(BEGIN)
        .expect("the page has the mark where the table begins");
    let (old, tail) = rest
        .split_once(END)
        .expect("the page has the mark where the table ends");
    if std::env::var_os("LARDER_BLESS").is_some() {
        std::fs::write(DOCS, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
    } else {
        assert_eq!(
            old, table,
            "LARDER_BLESS=1 cargo test -p larder-server metrics, and commit the page"
        );
    }
}
