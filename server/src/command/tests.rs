//! What the command table promises.

use super::*;

fn found(name: &str) -> &'static str {
    lookup(name.as_bytes()).map_or("", |command| command.full_name)
}

fn keys_in(call: &[&str]) -> Result<Vec<(usize, String)>, InvalidKeys> {
    let command = resolve(call[0].as_bytes(), call.get(1).map(|arg| arg.as_bytes())).unwrap();
    let args = call;
    let keys = keys_of(command, &args)?;
    Ok(keys
        .map(|key| (key.index, key.flags.names().collect::<Vec<_>>().join(" ")))
        .collect())
}

#[test]
fn every_command_is_found_by_its_name_in_any_case() {
    for command in all() {
        assert_eq!(found(command.full_name), command.full_name);
        assert_eq!(found(&command.full_name.to_uppercase()), command.full_name);
        assert!(lookup(format!("{}x", command.full_name).as_bytes()).is_none_or(|c| c.id != command.id));
    }
}

#[test]
fn a_name_that_only_resembles_a_command_finds_nothing() {
    for name in [
        "",
        "ge",
        "gets",
        "g\0t",
        "getx",
        "bitfield\x7fro",
        "config|get",
        "unknown",
        "\u{e9}",
    ] {
        assert_eq!(found(name), "", "{name:?}");
    }
    // Setting the case bit turns 0x07 into a quote and '_' into DEL, never anything into a letter but that letter.
    for byte in (0..=255u8).filter(|byte| !byte.eq_ignore_ascii_case(&b'g')) {
        assert!(lookup(&[byte, b'e', b't']).is_none_or(|command| command.full_name == "set" && byte | 32 == b's'));
    }
    assert!(lookup(&[b'g'; 33]).is_none());
    assert!(lookup(&vec![b'g'; 1 << 20]).is_none());
}

#[test]
fn ids_are_dense_and_stand_for_their_commands() {
    for (place, command) in all_with_subcommands().iter().enumerate() {
        assert_eq!(usize::from(command.id), place);
        assert_eq!(by_id(command.id).unwrap().full_name, command.full_name);
        assert_eq!(lookup_full(command.full_name.as_bytes()).unwrap().id, command.id);
    }
    assert_eq!(all_with_subcommands().len(), COMMAND_COUNT);
    assert_eq!(all().len(), command_count());
    assert!(by_id(u16::try_from(COMMAND_COUNT).unwrap()).is_none());
}

#[test]
fn rows_are_complete() {
    for command in all_with_subcommands() {
        let name = command.full_name;
        assert!(!command.since.is_empty() && !command.summary.is_empty(), "{name}");
        assert!(!command.complexity.is_empty() && command.arity != 0, "{name}");
        assert!(command.summary.ends_with('.'), "{name}");
        let keys = args_of_kind(command.args, ArgKind::Key);
        assert_eq!(
            keys.is_empty(),
            command.keys.is_empty(),
            "{name}: keys in the grammar but not in the specs"
        );
        assert!(
            keys.iter()
                .all(|key| usize::from(key.key_spec.unwrap()) < command.keys.len()),
            "{name}"
        );
        let parent = command
            .full_name
            .split_once('|')
            .map(|(parent, _)| lookup(parent.as_bytes()).unwrap());
        if let Some(parent) = parent {
            assert!(parent.subcommands().iter().any(|sub| sub.id == command.id), "{name}");
        }
    }
}

fn args_of_kind(args: &[Arg], kind: ArgKind) -> Vec<Arg> {
    args.iter()
        .flat_map(|arg| {
            let mut found = args_of_kind(arg.children, kind);
            if arg.kind == kind {
                found.push(*arg);
            }
            found
        })
        .collect()
}

#[test]
fn a_call_resolves_to_its_subcommand() {
    let full = |name: &str, arg: Option<&str>| match resolve(name.as_bytes(), arg.map(str::as_bytes)) {
        Ok(command) => command.full_name.to_owned(),
        Err(Unknown::Command) => "no command".to_owned(),
        Err(Unknown::Subcommand(parent)) => format!("no subcommand of {}", parent.full_name),
    };
    assert_eq!(full("CONFIG", Some("Get")), "config|get");
    assert_eq!(full("CONFIG", None), "config");
    assert_eq!(full("CONFIG", Some("x")), "no subcommand of config");
    assert_eq!(full("GET", Some("x")), "get");
    assert_eq!(full("nope", Some("x")), "no command");
}

#[test]
fn arity_counts_the_name() {
    let get = lookup(b"get").unwrap();
    assert!(get.accepts(2) && !get.accepts(1) && !get.accepts(3));
    let set = lookup(b"set").unwrap();
    assert!(!set.accepts(2) && set.accepts(3) && set.accepts(1000));
}

#[test]
fn positions_for_old_clients_follow_from_the_specs() {
    let range = |name: &str| {
        let command = lookup_full(name.as_bytes()).unwrap();
        (
            command.first_key,
            command.last_key,
            command.key_step,
            command.flags.has(flag::MOVABLEKEYS),
        )
    };
    assert_eq!(range("get"), (1, 1, 1, false));
    assert_eq!(range("mset"), (1, -1, 2, false));
    assert_eq!(range("rename"), (1, 2, 1, false));
    assert_eq!(range("bitop"), (2, -1, 1, false));
    assert_eq!(range("object|encoding"), (2, 2, 1, false));
    assert_eq!(range("msetex"), (0, 0, 0, true));
    assert_eq!(range("ping"), (0, 0, 0, false));
    let single: Vec<_> = ["get", "mget", "object|freq", "rename", "ping"]
        .map(|n| lookup_full(n.as_bytes()).unwrap().single_key)
        .into();
    assert_eq!(single, [true, false, false, false, false]);
}

#[test]
fn keys_and_what_happens_to_them_are_found() {
    let key = |index, flags: &str| (index, flags.to_owned());
    assert_eq!(keys_in(&["get", "a"]), Ok(vec![key(1, "RO access")]));
    assert_eq!(
        keys_in(&["mset", "a", "1", "b", "2"]),
        Ok(vec![key(1, "OW update"), key(3, "OW update")])
    );
    assert_eq!(
        keys_in(&["bitop", "and", "to", "a", "b"]),
        Ok(vec![key(2, "OW update"), key(3, "RO access"), key(4, "RO access")])
    );
    assert_eq!(keys_in(&["set", "a", "b"]), Ok(vec![key(1, "OW update")]));
    assert_eq!(
        keys_in(&["set", "a", "b", "nx", "Get"]),
        Ok(vec![key(1, "RW access update")])
    );
    assert_eq!(
        keys_in(&["bitfield", "a", "get", "u8", "0"]),
        Ok(vec![key(1, "RO access")])
    );
    assert_eq!(
        keys_in(&["bitfield", "a", "overflow", "wrap"]),
        Ok(vec![key(1, "RO access")])
    );
    assert_eq!(
        keys_in(&["bitfield", "a", "get", "u8"]),
        Ok(vec![key(1, "RW access update")])
    );
    assert_eq!(keys_in(&["object", "encoding", "a"]), Ok(vec![key(2, "RO")]));
    assert_eq!(
        keys_in(&["msetex", "2", "a", "1", "b", "2", "EX", "9"]),
        Ok(vec![key(2, "OW update"), key(4, "OW update")])
    );
    assert_eq!(keys_in(&["ping"]), Ok(vec![]));
}

#[test]
fn hostile_arguments_are_invalid_and_nothing_worse() {
    for count in [
        "0",
        "-1",
        "3",
        "007",
        "",
        " 2",
        "2147483648",
        "99999999999999999999",
        "x",
    ] {
        assert_eq!(keys_in(&["msetex", count, "a", "1", "b"]), Err(InvalidKeys), "{count}");
    }
    for call in [
        &["get"][..],
        &["bitop"],
        &["bitop", "and", "to"],
        &["mget"],
        &["msetex"],
        &["rename", "a"],
    ] {
        assert_eq!(keys_in(call), Err(InvalidKeys), "{call:?}");
    }
}

#[test]
fn the_request_path_reads_one_cache_line_of_a_command() {
    assert!(std::mem::offset_of!(Command, full_name) <= 64);
    assert_eq!(std::mem::align_of::<Command>(), 64);
}

#[test]
fn only_setex_and_psetex_take_an_option_that_their_arity_does_not_tell() {
    let more = super::all().iter().filter(|command| command.arity > 0);
    let names: Vec<_> = more
        .filter(|command| command.accepts(usize::from(command.arity.unsigned_abs()) + 2))
        .map(|command| command.full_name)
        .collect();
    assert_eq!(names, ["psetex", "setex"]);
}
