//! COMMAND and its subcommands: the command table, told to clients.

use crate::call::{Call, Error, Outcome};
use crate::command::keys::{Begin, Find};
use crate::command::{self, Arg, Args, Categories, Command, InvalidKeys, KeyRef, KeySpec, keys_of};
use crate::resp::Reply;
use crate::text::Glob;

/// The reply to a request that names the same commands over and over is cut off here.
const MAX_REPLY_BYTES: usize = 16 << 20;

/// COMMAND
pub fn command(call: &mut Call<'_>) -> Outcome {
    describe_all(&mut call.reply);
    Ok(())
}

/// COMMAND COUNT
pub fn count(call: &mut Call<'_>) -> Outcome {
    call.reply.len(command::command_count());
    Ok(())
}

/// COMMAND INFO [name ...]
pub fn info(call: &mut Call<'_>) -> Outcome {
    match call.args.from(2) {
        names if names.is_empty() => describe_all(&mut call.reply),
        names => describe_named(&mut call.reply, names.iter())?,
    }
    Ok(())
}

/// COMMAND DOCS [name ...]
pub fn docs(call: &mut Call<'_>) -> Outcome {
    match call.args.from(2) {
        names if names.is_empty() => document_all(&mut call.reply),
        names => document_named(&mut call.reply, names.iter()),
    }
    Ok(())
}

/// COMMAND LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN pattern>]
pub fn list(call: &mut Call<'_>) -> Outcome {
    match call.args.len() {
        2 => list_where(&mut call.reply, |_| true),
        5 if call.args[2].eq_ignore_ascii_case(b"filterby") => {
            list_filtered(&mut call.reply, &call.args[3], &call.args[4])?;
        }
        _ => return Err(Error::SYNTAX),
    }
    Ok(())
}

/// COMMAND GETKEYS command [arg ...]
pub fn getkeys(call: &mut Call<'_>) -> Outcome {
    let asked = call.args.from(2);
    let keys = keys_in_call(&asked)?;
    call.reply.array(keys.len());
    for key in keys {
        call.reply.bulk(asked.arg(key.index));
    }
    Ok(())
}

/// COMMAND GETKEYSANDFLAGS command [arg ...]
pub fn getkeysandflags(call: &mut Call<'_>) -> Outcome {
    let asked = call.args.from(2);
    let keys = keys_in_call(&asked)?;
    call.reply.array(keys.len());
    for key in keys {
        call.reply.array(2);
        call.reply.bulk(asked.arg(key.index));
        simple_set(&mut call.reply, key.flags.names(), "");
    }
    Ok(())
}

/// The HELP of every command that has subcommands, from the table.
pub fn help(call: &mut Call<'_>) -> Outcome {
    let parent = call
        .command
        .full_name
        .split_once('|')
        .and_then(|(parent, _)| command::lookup(parent.as_bytes()));
    let subcommands = parent.map_or(&[][..], Command::subcommands);
    let name = parent.map_or("", |parent| parent.full_name).to_uppercase();
    call.reply.array(1 + 2 * subcommands.len());
    call.reply.simple(&format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for sub in subcommands {
        let line = format!("{} {}", sub.name.to_uppercase(), command::args::syntax(sub.args));
        call.reply.simple(line.trim_end());
        call.reply.simple(&format!("    {}", sub.summary));
    }
    Ok(())
}

/// COMMAND, and COMMAND INFO without names: everything.
fn describe_all(reply: &mut Reply<'_>) {
    reply.array(command::command_count());
    for command in command::all() {
        describe(reply, command);
    }
}

/// COMMAND INFO: an entry for each name, null where there is no such command.
fn describe_named<'a>(reply: &mut Reply<'_>, names: impl ExactSizeIterator<Item = &'a [u8]>) -> Outcome {
    let start = reply.output().len();
    let mark = reply.output().mark();
    reply.array(names.len());
    for name in names {
        match command::lookup_full(name) {
            Some(command) => describe(reply, command),
            None => reply.null(),
        }
        if reply.output().len() - start > MAX_REPLY_BYTES {
            reply.output().cut(mark);
            return Err(Error::new("ERR the reply would be too large, name fewer commands"));
        }
    }
    Ok(())
}

/// The ten fields of one command, its subcommands last.
fn describe(reply: &mut Reply<'_>, command: &Command) {
    reply.array(10);
    reply.bulk(command.full_name.as_bytes());
    reply.int(i64::from(command.arity));
    simple_set(reply, command.flags.names(), "");
    reply.int(i64::from(command.first_key));
    reply.int(i64::from(command.last_key));
    reply.int(i64::from(command.key_step));
    simple_set(reply, command.categories.names(), "@");
    reply.set(command.tips.len());
    for tip in command.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(command.keys.len());
    for spec in command.keys {
        describe_keys(reply, spec);
    }
    // A set if there are none and an array otherwise, as in Redis.
    match command.subcommands() {
        [] => reply.set(0),
        subcommands => {
            reply.array(subcommands.len());
            subcommands.iter().for_each(|sub| describe(reply, sub));
        }
    }
}

fn describe_keys(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        text_field(reply, "notes", notes);
    }
    reply.bulk(b"flags");
    simple_set(reply, spec.flags.names(), "");
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => step(reply, "index", &[("index", i64::from(index))]),
        Begin::Keyword { word, start_from } => {
            reply.map(2);
            text_field(reply, "type", "keyword");
            reply.bulk(b"spec");
            reply.map(2);
            text_field(reply, "keyword", word);
            reply.bulk(b"startfrom");
            reply.int(i64::from(start_from));
        }
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range {
            last,
            step: keystep,
            limit,
        } => step(
            reply,
            "range",
            &[
                ("lastkey", last.into()),
                ("keystep", keystep.into()),
                ("limit", limit.into()),
            ],
        ),
        Find::KeyNum {
            count_at,
            first,
            step: keystep,
        } => step(
            reply,
            "keynum",
            &[
                ("keynumidx", count_at.into()),
                ("firstkey", first.into()),
                ("keystep", keystep.into()),
            ],
        ),
    }
}

/// One step of a key specification, whose parameters are numbers.
fn step(reply: &mut Reply<'_>, kind: &str, parameters: &[(&str, i64)]) {
    reply.map(2);
    text_field(reply, "type", kind);
    reply.bulk(b"spec");
    reply.map(parameters.len());
    for (name, number) in parameters {
        reply.bulk(name.as_bytes());
        reply.int(*number);
    }
}

/// COMMAND DOCS: a map of the commands that exist, each once.
fn document_named<'a>(reply: &mut Reply<'_>, names: impl Iterator<Item = &'a [u8]>) {
    let mut seen = [false; command::COMMAND_COUNT];
    let mut commands = Vec::new();
    for command in names.filter_map(command::lookup_full) {
        if !std::mem::replace(&mut seen[usize::from(command.id)], true) {
            commands.push(command);
        }
    }
    reply.map(commands.len());
    for command in commands {
        document(reply, command);
    }
}

/// COMMAND DOCS without names: everything.
fn document_all(reply: &mut Reply<'_>) {
    reply.map(command::command_count());
    for command in command::all() {
        document(reply, command);
    }
}

fn document(reply: &mut Reply<'_>, command: &Command) {
    let doc_flags = [
        (command.deprecated.is_some(), "deprecated"),
        (command.is_system, "syscmd"),
    ];
    let doc_flags = doc_flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name);
    let is_flagged = doc_flags.clone().next().is_some();
    let fields = 4
        + usize::from(is_flagged)
        + if command.deprecated.is_some() { 2 } else { 0 }
        + usize::from(!command.history.is_empty())
        + usize::from(!command.args.is_empty())
        + usize::from(!command.subcommands().is_empty());
    reply.bulk(command.full_name.as_bytes());
    reply.map(fields);
    text_field(reply, "summary", command.summary);
    text_field(reply, "since", command.since);
    text_field(reply, "group", command.group.name());
    text_field(reply, "complexity", command.complexity);
    if is_flagged {
        reply.bulk(b"doc_flags");
        simple_set(reply, doc_flags, "");
    }
    if let Some(deprecation) = command.deprecated {
        text_field(reply, "deprecated_since", deprecation.since);
        text_field(reply, "replaced_by", deprecation.replaced_by);
    }
    if !command.history.is_empty() {
        reply.bulk(b"history");
        reply.set(command.history.len());
        for (version, change) in command.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    if !command.args.is_empty() {
        reply.bulk(b"arguments");
        document_args(reply, command.args);
    }
    if !command.subcommands().is_empty() {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands().len());
        command.subcommands().iter().for_each(|sub| document(reply, sub));
    }
}

fn document_args(reply: &mut Reply<'_>, args: &[Arg]) {
    reply.array(args.len());
    for arg in args {
        // Everything has either children or a text to show for it.
        let optional = [arg.token, arg.summary, arg.since, arg.deprecated_since];
        let fields = 3
            + optional.iter().flatten().count()
            + usize::from(arg.key_spec.is_some())
            + usize::from(arg.flag_names().next().is_some());
        reply.map(fields);
        text_field(reply, "name", arg.name);
        text_field(reply, "type", arg.kind.name());
        if !arg.kind.has_children() {
            text_field(reply, "display_text", arg.name);
        }
        if let Some(spec) = arg.key_spec {
            reply.bulk(b"key_spec_index");
            reply.int(i64::from(spec));
        }
        for (name, text) in ["token", "summary", "since", "deprecated_since"]
            .into_iter()
            .zip(optional)
        {
            if let Some(text) = text {
                text_field(reply, name, text);
            }
        }
        if arg.flag_names().next().is_some() {
            reply.bulk(b"flags");
            simple_set(reply, arg.flag_names(), "");
        }
        if arg.kind.has_children() {
            reply.bulk(b"arguments");
            document_args(reply, arg.children);
        }
    }
}

fn text_field(reply: &mut Reply<'_>, name: &str, text: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(text.as_bytes());
}

fn simple_set(reply: &mut Reply<'_>, names: impl Iterator<Item = &'static str> + Clone, prefix: &str) {
    reply.set(names.clone().count());
    for name in names {
        if prefix.is_empty() {
            reply.simple(name);
        } else {
            reply.simple(&format!("{prefix}{name}"));
        }
    }
}

/// COMMAND LIST, of all commands or of those that pass the filter.
fn list_where(reply: &mut Reply<'_>, passes: impl Fn(&Command) -> bool) {
    let names: Vec<&str> = command::all_with_subcommands()
        .iter()
        .filter(|c| passes(c))
        .map(|c| c.full_name)
        .collect();
    reply.array(names.len());
    for name in names {
        reply.bulk(name.as_bytes());
    }
}

/// COMMAND LIST FILTERBY `kind` `wanted`.
fn list_filtered(reply: &mut Reply<'_>, kind: &[u8], wanted: &[u8]) -> Outcome {
    if kind.eq_ignore_ascii_case(b"module") {
        list_where(reply, |_| false);
    } else if kind.eq_ignore_ascii_case(b"aclcat") {
        let category = Categories::named(wanted);
        list_where(reply, |command| {
            category.is_some_and(|category| command.categories.has(category))
        });
    } else if kind.eq_ignore_ascii_case(b"pattern") {
        let pattern = Glob::new(wanted, true);
        list_where(reply, |command| pattern.matches(command.full_name.as_bytes()));
    } else {
        return Err(Error::SYNTAX);
    }
    Ok(())
}

/// The keys in a whole call of another command.
fn keys_in_call(call: &dyn Args) -> Result<Vec<KeyRef>, Error> {
    let sub = (call.count() > 1).then(|| call.arg(1));
    let command = command::resolve(call.arg(0), sub).map_err(|_| Error::new("ERR Invalid command specified"))?;
    if command.keys.is_empty() {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !command.accepts(call.count()) {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    match keys_of(command, call) {
        Ok(keys) => Ok(keys.collect()),
        Err(InvalidKeys) => Err(Error::new("ERR Invalid arguments specified for command")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::encode::{Output, Version};

    /// Takes one reply off the front and says how deep it nests; panics where a count is wrong.
    fn take_reply(rest: &mut &[u8]) -> usize {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let (line, after) = (&rest[..end], &rest[end + 2..]);
        *rest = after;
        let number = || std::str::from_utf8(&line[1..]).unwrap().parse::<usize>().unwrap();
        match line[0] {
            b'+' | b':' | b'_' => 0,
            b'$' => {
                *rest = &rest[number() + 2..];
                0
            }
            kind @ (b'*' | b'~' | b'%') => {
                let children = number() * if kind == b'%' { 2 } else { 1 };
                (0..children)
                    .map(|_| take_reply(rest))
                    .max()
                    .map_or(1, |depth| depth + 1)
            }
            kind => panic!("no reply begins with {kind}"),
        }
    }

    #[test]
    fn everything_told_of_all_commands_is_one_whole_reply() {
        for version in [Version::Resp2, Version::Resp3] {
            let tell: [fn(&mut Reply<'_>); 3] = [describe_all, document_all, |reply| list_where(reply, |_| true)];
            for tell in tell {
                let mut output = Output::default();
                tell(&mut Reply::new(&mut output, version));
                let mut rest = output.contiguous().unwrap();
                assert!(take_reply(&mut rest) >= 1);
                assert_eq!(rest, b"");
            }
        }
    }

    #[test]
    fn naming_a_command_over_and_over_does_not_fill_the_memory() {
        let names = vec![&b"client"[..]; 1_000_000];
        let mut output = Output::default();
        document_named(&mut Reply::new(&mut output, Version::Resp3), names.iter().copied());
        assert!(output.len() < 1 << 16);
        output.clear();
        let outcome = describe_named(&mut Reply::new(&mut output, Version::Resp3), names.iter().copied());
        assert!(outcome.is_err());
        assert_eq!(output.len(), 0);
    }
}
