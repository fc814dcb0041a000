//! INFO: the state and the statistics of a node as text.
//!
//! A section is a row of `SECTIONS` and a function that writes its fields. The names are Redis's, so that
//! tools find what they read; what only Larder has begins with `larder_`. Fields about features that Larder
//! lacks say what Redis says while they are off, where tools read them.

pub mod memory;
mod prefixes;
mod process;
mod state;
mod statistics;

use crate::config::Settings;
use crate::node::Node;
use crate::store::{Store, Survey};
use std::fmt::{Display, Write};
use std::sync::Arc;

/// What a section is made from.
struct Source<'a> {
    node: &'a Node,
    settings: Arc<Settings>,
    survey: Survey,
    now_ms: u64,
}

/// A section of INFO.
struct Section {
    title: &'static str,
    /// Whether it is there when nothing is asked for.
    default: bool,
    /// Whether it is there when everything is asked for: it is, if Redis has it.
    of_redis: bool,
    /// Whether it needs the walk over the keyspace.
    surveys: bool,
    write: fn(&mut Text, &Source<'_>),
}

const fn section(title: &'static str, write: fn(&mut Text, &Source<'_>)) -> Section {
    Section {
        title,
        default: true,
        of_redis: true,
        surveys: false,
        write,
    }
}

impl Section {
    const fn surveying(mut self) -> Section {
        self.surveys = true;
        self
    }

    const fn on_demand(mut self) -> Section {
        self.default = false;
        self
    }

    /// Larder's own, for those who know of it.
    const fn by_name_only(mut self) -> Section {
        (self.default, self.of_redis) = (false, false);
        self
    }
}

/// In the order of the reply.
const SECTIONS: [Section; 14] = [
    section("Server", state::server),
    section("Clients", state::clients),
    section("Memory", memory::write).surveying(),
    section("Persistence", state::persistence).surveying(),
    section("Stats", statistics::stats).surveying(),
    section("Replication", state::replication),
    section("CPU", state::cpu),
    section("Modules", |_, _| {}),
    section("Commandstats", statistics::commands).on_demand(),
    section("Errorstats", statistics::errors),
    section("Latencystats", statistics::latency).on_demand(),
    section("Cluster", state::cluster),
    section("Prefixes", prefixes::write).surveying().by_name_only(),
    section("Keyspace", statistics::keyspace).surveying(),
];

/// The text under construction.
#[derive(Default)]
struct Text(String);

impl Text {
    fn title(&mut self, title: &str) {
        let gap = if self.0.is_empty() { "" } else { "\r\n" };
        self.put(format_args!("{gap}# {title}\r\n"));
    }

    fn field(&mut self, name: &str, value: impl Display) {
        self.put(format_args!("{name}:{value}\r\n"));
    }

    /// Fields about what Larder does not have, all with the same value.
    fn fields(&mut self, names: &[&str], value: impl Display) {
        names.iter().for_each(|name| self.field(name, &value));
    }

    /// A number of bytes, and once more for people to read.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.put(format_args!("{name}_human:{}\r\n", human(bytes)));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing to a string does not fail");
    }
}

/// A number of bytes as Redis shows it to people: with two decimals and the largest unit that fits.
pub fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 'K');
    for next in ['M', 'G', 'T', 'P', 'E'] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    format!("{value:.2}{unit}")
}

/// The sections that are asked for; a name that is none asks for nothing.
fn chosen(names: &[&[u8]]) -> impl Fn(&Section) -> bool {
    let is = |name: &[u8], other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let any = |other: &str| names.iter().any(|name| is(name, other));
    // They differ in the fields of modules, and there are no modules.
    let everything = any("everything") || any("all");
    let default = names.is_empty() || any("default");
    let named: Vec<&str> = SECTIONS
        .iter()
        .map(|section| section.title)
        .filter(|title| any(title))
        .collect();
    move |section| {
        let of_group = everything && section.of_redis || default && section.default;
        of_group || named.contains(&section.title)
    }
}

/// The reply to INFO with these arguments.
pub fn render(node: &Node, store: &mut Store<'_>, names: &[&[u8]]) -> String {
    let wanted = chosen(names);
    let sections = || SECTIONS.iter().filter(|section| wanted(section));
    let survey = if sections().any(|section| section.surveys) {
        store.survey()
    } else {
        Survey::default()
    };
    let source = Source {
        node,
        settings: node.config.settings(),
        survey,
        now_ms: store.now_ms,
    };
    let mut text = Text::default();
    for section in sections() {
        text.title(section.title);
        (section.write)(&mut text, &source);
    }
    text.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        let wanted = chosen(&names);
        SECTIONS
            .iter()
            .filter(|section| wanted(section))
            .map(|section| section.title)
            .collect()
    }

    #[test]
    fn sections_are_chosen_as_in_redis() {
        assert_eq!(titles(&["KEYSPACE", "server", "keyspace"]), ["Server", "Keyspace"]);
        assert_eq!(titles(&["nothing"]), [""; 0]);
        assert_eq!(titles(&[]), titles(&["default"]));
        assert_eq!(titles(&[]).len(), SECTIONS.len() - 3);
        assert_eq!(titles(&["all"]).len(), SECTIONS.len() - 1);
        assert_eq!(titles(&["everything"]).len(), SECTIONS.len() - 1);
        assert_eq!(titles(&["all", "prefixes"]).len(), SECTIONS.len());
        assert_eq!(titles(&["default", "commandstats"]).len(), SECTIONS.len() - 2);
    }

    #[test]
    fn bytes_are_shown_as_redis_shows_them() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(1023), "1023B");
        assert_eq!(human(1_830_136), "1.75M");
        assert_eq!(human(25_276_514_304), "23.54G");
    }

    #[test]
    fn every_line_is_a_title_a_field_or_empty() {
        let node = Node::new(crate::config::Config::new(Settings::default()));
        node.count_error("ERR");
        node.workers[0].command(0).record(2_000, 3, true);
        let eviction = crate::node::eviction(&Settings::default());
        let mut store = Store::new(&node.keyspace, 0, 1_000_000, &eviction);
        store
            .key(b"key")
            .set(crate::store::NewValue::Bytes(b"value"), Some(1_005_000));
        let text = render(&node, &mut store, &[b"everything"]);
        let mut names = std::collections::HashSet::new();
        for line in text
            .split_terminator("\r\n")
            .filter(|line| !line.is_empty() && !line.starts_with("# "))
        {
            let (name, _) = line.split_once(':').unwrap();
            assert!(names.insert(name), "{name} is there twice");
        }
        assert!(text.ends_with("# Keyspace\r\ndb0:keys=1,expires=1,avg_ttl=5000\r\n"));
        assert!(text.contains("\r\n\r\n# Modules\r\n\r\n# Commandstats\r\n"));
        assert!(text.contains("calls=3,usec=6,usec_per_call=2.00,rejected_calls=0,failed_calls=0\r\n"));
        assert!(text.contains("errorstat_ERR:count=1\r\n"));
    }
}
