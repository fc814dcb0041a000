//! What COMMAND says of commands: complete, and the same facts as the real Redis gives.

use super::known;
use larder_tests::reply::Reply;
use larder_tests::server::Server;
use std::collections::BTreeMap;

/// Commands of Redis 7.0 that Larder lacks (`command NAME: reason`, `family GROUP: reason`) and facts that differ (`FACT NAME: reason`).
const KNOWN: &str = include_str!("known-commands.txt");

/// The reply's elements two by two: a map of RESP2.
fn pairs(reply: &Reply) -> Vec<(String, &Reply)> {
    let items = reply.items().unwrap_or_else(|| panic!("no map: {reply:?}"));
    items.chunks(2).map(|pair| (pair[0].text(), &pair[1])).collect()
}

type Docs = BTreeMap<String, BTreeMap<String, Reply>>;

/// COMMAND DOCS by full name, subcommands too.
fn docs(server: &Server) -> Docs {
    fn add(name: &str, entry: &Reply, found: &mut Docs) {
        let fields: BTreeMap<String, Reply> = pairs(entry)
            .into_iter()
            .map(|(key, value)| (key, value.clone()))
            .collect();
        if let Some(subcommands) = fields.get("subcommands") {
            for (name, entry) in pairs(subcommands) {
                add(&name, entry, found);
            }
        }
        found.insert(name.to_string(), fields);
    }
    let reply = server.connect().call("COMMAND DOCS");
    let mut found = Docs::new();
    for (name, entry) in pairs(&reply) {
        add(&name, entry, &mut found);
    }
    found
}

/// COMMAND INFO's facts by full name: `fact -> value`, order made the same where it means nothing.
fn infos(server: &Server) -> BTreeMap<String, BTreeMap<&'static str, String>> {
    fn add(entry: &Reply, found: &mut BTreeMap<String, BTreeMap<&'static str, String>>) {
        let items = entry.items().unwrap_or_else(|| panic!("no entry: {entry:?}"));
        let specs = items[8]
            .items()
            .expect("key specifications")
            .iter()
            .map(spec)
            .collect::<Vec<_>>();
        let sorted = |at: usize| format!("{:?}", items[at].clone().sorted());
        let facts = BTreeMap::from([
            ("arity", format!("{:?}", items[1])),
            ("flags", sorted(2)),
            ("positions", format!("{:?}", &items[3..6])),
            ("categories", sorted(6)),
            ("tips", sorted(7)),
            ("keys", format!("{specs:?}")),
        ]);
        found.insert(items[0].text(), facts);
        items[9]
            .items()
            .expect("subcommands")
            .iter()
            .for_each(|entry| add(entry, found));
    }
    let reply = server.connect().call("COMMAND");
    let mut found = BTreeMap::new();
    reply
        .items()
        .expect("commands")
        .iter()
        .for_each(|entry| add(entry, &mut found));
    found
}

/// A key specification without its notes, which everybody words as they like.
fn spec(spec: &Reply) -> Vec<(String, Reply)> {
    let fields = pairs(spec).into_iter().filter(|(name, _)| name != "notes");
    fields
        .map(|(name, value)| {
            let value = if name == "flags" {
                value.clone().sorted()
            } else {
                value.clone()
            };
            (name, value)
        })
        .collect()
}

/// Arguments as a line of text: name, type, token, flags, and what is inside.
fn arguments(reply: Option<&Reply>) -> String {
    let Some(list) = reply.and_then(Reply::items) else {
        return String::new();
    };
    let each = list.iter().map(|argument| {
        let mut text = String::new();
        for (name, value) in pairs(argument) {
            match name.as_str() {
                "arguments" => text.push_str(&format!("({})", arguments(Some(value)))),
                "flags" => text.push_str(&format!("{:?} ", value.clone().sorted())),
                // Shown to people only, and newer than 7.0's.
                "display_text" | "since" | "deprecated_since" => {}
                _ => match value.integer() {
                    Some(number) => text.push_str(&format!("{name}={number} ")),
                    None => text.push_str(&format!("{name}={} ", value.text())),
                },
            }
        }
        text
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Fails with what differs and is not listed, and with what is listed and differs no more.
fn settle(kinds: &[&str], mut differences: BTreeMap<String, String>) {
    let mut problems = Vec::new();
    for (id, _) in known(KNOWN)
        .into_iter()
        .filter(|(id, _)| kinds.iter().any(|kind| id.starts_with(kind)))
    {
        if differences.remove(id).is_none() {
            problems.push(format!(
                "{id} is no difference any more: drop it from known-commands.txt"
            ));
        }
    }
    problems.extend(differences.into_iter().map(|(id, what)| format!("{id}\n{what}")));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_command_and_subcommand_is_documented() {
    let server = Server::larder(&[]);
    let (docs, infos) = (docs(&server), infos(&server));
    assert_eq!(docs.keys().collect::<Vec<_>>(), infos.keys().collect::<Vec<_>>());
    assert!(docs.len() > 100, "{}", docs.len());
    let mut problems = Vec::new();
    for (name, fields) in &docs {
        for field in ["summary", "since", "group", "complexity"] {
            if fields.get(field).is_none_or(|value| value.text().is_empty()) {
                problems.push(format!("{name}: no {field}"));
            }
        }
        let summary = fields.get("summary").map(Reply::text).unwrap_or_default();
        if summary.len() < 10 || !summary.ends_with('.') {
            problems.push(format!("{name}: a summary is a sentence: {summary}"));
        }
        let since = fields.get("since").map(Reply::text).unwrap_or_default();
        if since.split('.').count() != 3 || !since.split('.').all(|part| part.parse::<u32>().is_ok()) {
            problems.push(format!("{name}: since {since}"));
        }
        let arity = &infos[name]["arity"];
        let alone = if name.contains('|') { "\"2\"" } else { "\"1\"" };
        // Redis documents none for these two either: anything may follow QUIT, and DEBUG is for developers.
        let takes = !["debug", "quit"].contains(&name.as_str())
            && !fields.contains_key("subcommands")
            && *arity != format!("{:?}", Reply::Line(b':', alone.trim_matches('"').into()));
        if takes && arguments(fields.get("arguments")).is_empty() {
            problems.push(format!("{name} takes arguments ({arity}) and none is documented"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_facts_of_commands_are_those_of_redis() {
    let (redis, larder) = (infos(&Server::redis(&[])), infos(&Server::larder(&[])));
    let mut differences = BTreeMap::new();
    for (name, facts) in &redis {
        let Some(ours) = larder.get(name) else { continue };
        for (fact, value) in facts {
            if ours[fact] != *value {
                differences.insert(
                    format!("{fact} {name}"),
                    format!("  redis:  {value}\n  larder: {}", ours[fact]),
                );
            }
        }
    }
    settle(
        &["arity ", "flags ", "positions ", "categories ", "tips ", "keys "],
        differences,
    );
}

#[test]
fn the_documented_arguments_are_those_of_redis() {
    let (redis, larder) = (docs(&Server::redis(&[])), docs(&Server::larder(&[])));
    let mut differences = BTreeMap::new();
    for (name, fields) in &redis {
        let Some(ours) = larder.get(name) else { continue };
        let [expected, got] = [fields, ours].map(|fields| arguments(fields.get("arguments")));
        if expected != got {
            differences.insert(
                format!("arguments {name}"),
                format!("  redis:  {expected}\n  larder: {got}"),
            );
        }
        for field in ["since", "group"] {
            let [expected, got] = [fields, ours].map(|fields| fields.get(field).map(Reply::text));
            if expected != got {
                differences.insert(
                    format!("{field} {name}"),
                    format!("  redis:  {expected:?}\n  larder: {got:?}"),
                );
            }
        }
        assert_ne!(
            fields.get("summary"),
            ours.get("summary"),
            "{name}: summaries are our own words"
        );
    }
    settle(&["arguments ", "since ", "group "], differences);
}

#[test]
fn commands_of_redis_that_are_not_there_are_listed() {
    let (redis, larder) = (docs(&Server::redis(&[])), docs(&Server::larder(&[])));
    let mut differences = BTreeMap::new();
    for (name, fields) in &redis {
        if larder.contains_key(name) {
            continue;
        }
        let group = fields.get("group").map(Reply::text).unwrap_or_default();
        let whole = [
            "hash",
            "list",
            "set",
            "sorted-set",
            "stream",
            "geo",
            "hyperloglog",
            "pubsub",
            "scripting",
            "cluster",
        ];
        let id = match name.split_once('|') {
            _ if whole.contains(&group.as_str()) => format!("family {group}"),
            Some((parent, _)) if !larder.contains_key(parent) => format!("command {parent}"),
            _ => format!("command {name}"),
        };
        differences.insert(id, String::new());
    }
    settle(&["command ", "family "], differences);
}

#[test]
fn what_only_larder_has_is_from_later_versions_of_redis() {
    let (redis, larder) = (docs(&Server::redis(&[])), docs(&Server::larder(&[])));
    let newer: Vec<String> = larder
        .iter()
        .filter(|(name, _)| !redis.contains_key(*name))
        .map(|(name, fields)| format!("{name} {}", fields["since"].text()))
        .collect();
    assert_eq!(
        newer,
        [
            "client|no-touch 7.2.0",
            "client|setinfo 7.2.0",
            "delex 8.4.0",
            "digest 8.4.0",
            "msetex 8.4.0"
        ]
    );
}
