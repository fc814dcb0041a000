//! Directives of redis.conf that set no value and would change behaviour if they were ignored.

/// Their names, so that a mistyped one can be recognised and flags of these names get the same answer.
pub(super) const NAMES: &[&str] = &[
    "loadmodule",
    "loadmodule-ex",
    "rename-command",
    "user",
    "sentinel",
    "include",
];

/// Why the directive cannot be honoured; none if it asks for what Larder does anyway. `name` is one of [`NAMES`].
pub(super) fn refusal(name: &str, words: &[String]) -> Option<&'static str> {
    match name {
        "loadmodule" | "loadmodule-ex" => Some("Larder loads no modules; delete the line"),
        "rename-command" => Some(
            "Larder renames no commands, so clients that rely on it would not be stopped; delete the line and protect the server with requirepass",
        ),
        "user" if is_open_default_user(words) => None,
        "user" => Some("this version of Larder has no access control lists yet; delete the line and use requirepass"),
        "sentinel" => Some("this is a configuration of Redis Sentinel, not of a server"),
        "include" => Some("include works only inside a configuration file"),
        _ => Some("Larder does not know this directive"),
    }
}

/// Redis writes such a line into every file that it rewrites: the default user may do everything.
fn is_open_default_user(words: &[String]) -> bool {
    let harmless = ["on", "nopass", "sanitize-payload", "~*", "&*", "+@all"];
    words.first().is_some_and(|user| user == "default")
        && words[1..].iter().all(|rule| harmless.contains(&rule.as_str()))
}
