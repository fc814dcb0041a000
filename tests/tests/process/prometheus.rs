//! A small parser of Prometheus's text format 0.0.4 that is strict where scrapers are not.

use std::collections::{BTreeMap, BTreeSet};

/// One metric with all its samples.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) kind: String,
    /// Values by series: the name and its labels in order of their names.
    pub(super) samples: BTreeMap<Series, f64>,
}

/// A sample's name and labels.
pub(super) type Series = (String, BTreeMap<String, String>);

/// Parses a page: families by name.
///
/// # Errors
/// The first line that breaks a rule: a sample without HELP and TYPE of its family right before it, a series
/// or family that comes twice, a wrong name, escape or number, a histogram that does not add up.
pub(super) fn parse(page: &str) -> Result<BTreeMap<String, Family>, String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut helped: BTreeSet<String> = BTreeSet::new();
    let mut current = String::new();
    if !page.ends_with('\n') {
        return Err("the last line does not end".to_string());
    }
    for line in page.lines() {
        let wrong = |what: &str| format!("{what}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("HELP without text"))?;
            if help.trim().is_empty() || !helped.insert(name.to_string()) {
                return Err(wrong("HELP that is empty or comes twice"));
            }
            current.clear();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("TYPE without a kind"))?;
            let known = ["counter", "gauge", "histogram", "summary"].contains(&kind);
            if !known || !is_name(name) || !helped.contains(name) || families.contains_key(name) {
                return Err(wrong("TYPE that is unknown, comes twice or before its HELP"));
            }
            current = name.to_string();
            let samples = BTreeMap::new();
            families.insert(
                current.clone(),
                Family {
                    kind: kind.to_string(),
                    samples,
                },
            );
        } else {
            let (series, value) = sample(line).map_err(|why| wrong(&why))?;
            let family = families
                .get_mut(&current)
                .ok_or_else(|| wrong("a sample of no family"))?;
            if !belongs(&series.0, &current, &family.kind) {
                return Err(wrong("a sample within another family"));
            }
            if family.samples.insert(series, value).is_some() {
                return Err(wrong("a series that comes twice"));
            }
        }
    }
    for (name, family) in &families {
        check(name, family)?;
    }
    Ok(families)
}

/// Whether samples called `sample` may stand in the family `family`.
fn belongs(sample: &str, family: &str, kind: &str) -> bool {
    let suffix = sample.strip_prefix(family);
    match kind {
        "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
        "summary" => matches!(suffix, Some("" | "_sum" | "_count")),
        _ => suffix == Some(""),
    }
}

fn check(name: &str, family: &Family) -> Result<(), String> {
    if family.samples.is_empty() {
        return Err(format!("{name} has no sample"));
    }
    if family.kind == "counter" && !name.ends_with("_total") {
        return Err(format!("{name} is a counter and does not end in _total"));
    }
    if family.kind != "gauge" && family.samples.values().any(|value| value.is_nan() || *value < 0.0) {
        return Err(format!("{name} counts below zero"));
    }
    if family.kind != "histogram" {
        return Ok(());
    }
    let mut buckets: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    for ((_, labels), value) in family
        .samples
        .iter()
        .filter(|((sample, _), _)| sample.ends_with("_bucket"))
    {
        let mut others = labels.clone();
        let bound = others
            .remove("le")
            .ok_or_else(|| format!("{name}: a bucket without le"))?;
        buckets.entry(others).or_default().push((number(&bound)?, *value));
    }
    for (labels, mut steps) in buckets {
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let rises = steps.windows(2).all(|pair| pair[0].1 <= pair[1].1);
        let last = steps.last().copied().unwrap_or_default();
        let count = family.samples.get(&(format!("{name}_count"), labels.clone()));
        let sum = family.samples.contains_key(&(format!("{name}_sum"), labels.clone()));
        if !rises || last.0 != f64::INFINITY || count != Some(&last.1) || !sum {
            return Err(format!(
                "{name} {labels:?}: buckets do not add up: {steps:?}, count {count:?}"
            ));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ if text
            .bytes()
            .any(|byte| byte.is_ascii_alphabetic() && byte != b'e' && byte != b'E') =>
        {
            Err(format!("no number: {text}"))
        }
        _ => text.parse().map_err(|_| format!("no number: {text}")),
    }
}

fn sample(line: &str) -> Result<(Series, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name) {
        return Err("a wrong name".to_string());
    }
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
            let (value, after) = quoted(after)?;
            if !is_name(label) || labels.insert(label.to_string(), value).is_some() {
                return Err("a label that is wrong or comes twice".to_string());
            }
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    Ok(((name.to_string(), labels), number(value)?))
}

/// The text up to the closing quote, unescaped, and what follows the quote.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => return Err("a wrong escape".to_string()),
            },
            other => value.push(other),
        }
    }
    Err("a label's value does not end".to_string())
}

#[test]
fn the_parser_refuses_what_is_wrong() {
    let head = "# HELP a_total Text.\n# TYPE a_total counter\n";
    let good = format!("{head}a_total{{x=\"1\",y=\"q\\\"\\\\\\n\"}} 5\na_total{{x=\"2\"}} 1e3\n");
    assert_eq!(parse(&good).expect("right")["a_total"].samples.len(), 2);
    for wrong in [
        "a_total 5\n".to_string(),
        format!("{head}a_total 5\na_total 6\n"),
        format!("{head}b_total 5\n"),
        format!("{head}a_total five\n"),
        format!("{head}a_total -1\n"),
        format!("{head}a_total{{x=\"1}} 5\n"),
        format!("{head}a_total{{x=\"\\q\"}} 5\n"),
        format!("{head}a_total 5"),
        head.to_string(),
        format!("{good}{good}"),
        "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"+Inf\"} 4\nh_sum 1\nh_count 4\n"
            .to_string(),
        "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_sum 1\nh_count 5\n".to_string(),
    ] {
        assert!(parse(&wrong).is_err(), "{wrong}");
    }
}
