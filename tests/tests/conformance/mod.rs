//! The same commands against a real redis-server and Larder, every reply compared byte by byte.

mod random;
mod runner;
mod scan;
pub(crate) mod script;

use runner::{Outcome, run_script};

macro_rules! families {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                conforms(stringify!($name), include_str!(concat!("scripts/", stringify!($name), ".txt")));
            }
        )+

        /// All of them, for the check that each known difference is still one.
        const SCRIPTS: &[&str] = &[$(include_str!(concat!("scripts/", stringify!($name), ".txt"))),+];
    };
}

families!(
    bits,
    client,
    command,
    config,
    connection,
    counters,
    debug,
    errors,
    expiry,
    inline,
    keys,
    lcs,
    newer,
    object,
    server,
    strings,
    transactions,
);

const KNOWN: &str = include_str!("known-differences.txt");

#[test]
fn wrong_types_are_refused() {
    let cases = script::parse(include_str!("scripts/wrongtype.txt"));
    let Outcome { failures, .. } = run_script("wrongtype", &cases, &known_ids());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn conforms(name: &str, source: &str) {
    let Outcome { compared, failures } = run_script(name, &script::parse(source), &known_ids());
    assert!(compared > 0, "{name} compared nothing");
    assert!(
        failures.is_empty(),
        "{name}: {} of {compared} replies differ\n\n{}\n",
        failures.len(),
        failures.join("\n\n")
    );
}

/// The ids of `known-differences.txt`: `id: reason`, one a line.
fn known_ids() -> Vec<&'static str> {
    let entries = KNOWN
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    entries
        .map(|line| {
            let (id, reason) = line.split_once(": ").expect("known-differences.txt: `id: reason`");
            assert!(reason.len() > 20, "{id}: the reason says nothing");
            id
        })
        .collect()
}

#[test]
fn every_known_difference_is_used_by_a_script() {
    let used: Vec<_> = SCRIPTS
        .iter()
        .flat_map(|source| script::parse(source))
        .flat_map(|case| case.steps)
        .collect();
    let frames = include_str!("../../corpus/frames.txt");
    for id in known_ids() {
        assert!(
            used.iter().any(|step| step.known.as_deref() == Some(id)) || frames.contains(&format!("!{id} ")),
            "no script uses !{id}"
        );
    }
}
