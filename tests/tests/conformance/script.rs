//! Conformance scripts: commands as one would type them, with notes on how to compare the replies.
//!
//! ```text
//! # a case: both servers are flushed, all connections are new
//! SET k "a\x00b"              compared byte by byte
//! SET k {ab*1000}             an argument of 2,000 bytes
//! 2> GET k                    on a second connection
//! ~sorted KEYS *              compared as the normaliser says (see `Compare`)
//! ~silent CLIENT REPLY SKIP   sent, no reply is read
//! => +OK\r\n                  under a command: Larder alone runs it, and says this
//! !id COMMAND                 a known difference (known-differences.txt): `=>` is what Larder says
//! @raw "PING\r\n"             bytes as they are, then one reply
//! @reply                      one more reply (of MONITOR, of a raw pipeline)
//! @gone k                     waits until `k` is gone on both
//! @closed                     the connection has been closed by the server
//! @needs lpush                the case runs as soon as Larder has this command
//! ; a comment
//! ```

/// How two replies are compared. All but `Exact` exist because a right reply is not determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// Byte by byte.
    Exact,
    /// Order means nothing (KEYS, SCAN, CONFIG GET, COMMAND LIST): collections are sorted first.
    Sorted,
    /// As `Sorted`, without the `notes` of COMMAND INFO, which everybody writes in words of their own.
    Facts,
    /// Values are the server's own (TIME, CLIENT ID, MEMORY STATS): types and lengths only.
    Shape,
    /// A text or collection that is the server's own (INFO, LOLWUT, CLIENT LIST): the type only.
    Type,
    /// An integer that the clock takes part in (PTTL, EXPIRETIME): at most 2,000 apart.
    Near,
    /// Sent only; there is no reply (CLIENT REPLY OFF), or a later line reads it.
    Silent,
}

/// What one line of a script does.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Command(Vec<Vec<u8>>),
    Raw(Vec<u8>),
    Reply,
    Gone(Vec<u8>),
    Closed,
}

/// One line of a script.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) conn: usize,
    pub(super) compare: Compare,
    pub(super) action: Action,
    /// What Larder must say, if Redis 7.0 cannot be asked.
    pub(super) expected: Option<Vec<u8>>,
    /// The id of a known difference.
    pub(super) known: Option<String>,
}

/// Steps that share connections and a keyspace that was empty at the start.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    /// A command that Larder may not have yet.
    pub(super) needs: Option<String>,
    pub(super) steps: Vec<Step>,
}

/// Parses a script; a mistake in it fails the test that asked.
pub(super) fn parse(source: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in source.lines().enumerate() {
        let line_number = index + 1;
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(';') {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix("# ") {
            cases.push(Case {
                name: name.to_string(),
                needs: None,
                steps: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().expect("a script starts with a case: `# name`");
        if let Some(command) = trimmed.strip_prefix("@needs ") {
            case.needs = Some(command.to_string());
            continue;
        }
        if let Some(expected) = trimmed.strip_prefix("=>") {
            let step = case.steps.last_mut().expect("`=>` follows a command");
            let reply = unescape(expected.trim()).unwrap_or_else(|why| panic!("line {line_number}: {why}"));
            step.expected = Some(reply);
            continue;
        }
        let step =
            parse_step(line_number, trimmed).unwrap_or_else(|why| panic!("line {line_number}: {why}: {trimmed}"));
        case.steps.push(step);
    }
    for step in cases.iter().flat_map(|case| &case.steps) {
        assert!(
            step.known.is_none() || step.expected.is_some(),
            "line {}: `!` needs `=>`",
            step.line
        );
    }
    cases
}

fn parse_step(line: usize, text: &str) -> Result<Step, String> {
    let mut step = Step {
        line,
        text: text.to_string(),
        conn: 1,
        compare: Compare::Exact,
        action: Action::Reply,
        expected: None,
        known: None,
    };
    let mut rest = text;
    loop {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        if let Some(number) = word.strip_suffix('>').and_then(|digits| digits.parse().ok()) {
            step.conn = number;
        } else if let Some(name) = word.strip_prefix('~') {
            step.compare = match name {
                "sorted" => Compare::Sorted,
                "facts" => Compare::Facts,
                "shape" => Compare::Shape,
                "type" => Compare::Type,
                "near" => Compare::Near,
                "silent" => Compare::Silent,
                other => return Err(format!("no normaliser ~{other}")),
            };
        } else if let Some(id) = word.strip_prefix('!') {
            step.known = Some(id.to_string());
        } else {
            break;
        }
        rest = after.trim_start();
    }
    step.action = match rest.split_once(' ').unwrap_or((rest, "")) {
        ("@raw", bytes) => Action::Raw(split_args(bytes)?.concat()),
        ("@reply", _) => Action::Reply,
        ("@gone", key) => Action::Gone(key.as_bytes().to_vec()),
        ("@closed", _) => Action::Closed,
        _ => Action::Command(split_args(rest)?),
    };
    Ok(step)
}

/// Splits a line into arguments as redis-cli does, with `{text*N}` for repetition.
pub(crate) fn split_args(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut args = Vec::new();
    let mut rest = line.as_bytes();
    loop {
        while let [b' ', after @ ..] = rest {
            rest = after;
        }
        match rest {
            [] => return Ok(args),
            [quote @ (b'"' | b'\''), after @ ..] => {
                let end = closing_quote(after, *quote).ok_or("an unbalanced quote")?;
                let body = std::str::from_utf8(&after[..end]).map_err(|error| error.to_string())?;
                args.push(if *quote == b'"' {
                    unescape(body)?
                } else {
                    body.as_bytes().to_vec()
                });
                rest = &after[end + 1..];
            }
            _ => {
                let end = match rest.iter().position(|&byte| byte == b'}') {
                    Some(brace) if rest[0] == b'{' => brace + 1,
                    _ => rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len()),
                };
                args.push(repeat(&rest[..end]));
                rest = &rest[end..];
            }
        }
    }
}

fn closing_quote(text: &[u8], quote: u8) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' if quote == b'"' => at += 2,
            byte if byte == quote => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// `{ab*3}` is `ababab`; anything else is itself.
fn repeat(word: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(word).unwrap_or_default();
    let parts = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .and_then(|text| text.rsplit_once('*'));
    match parts.and_then(|(unit, count)| Some((unit, count.parse::<usize>().ok()?))) {
        Some((unit, count)) => unescape(unit).expect("a unit that repeats").repeat(count),
        None => word.to_vec(),
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next().ok_or("a lone backslash")? {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'0' => out.push(0),
            b'x' => {
                let hex = [bytes.next().unwrap_or(b'?'), bytes.next().unwrap_or(b'?')];
                let hex = std::str::from_utf8(&hex).map_err(|error| error.to_string())?;
                out.push(u8::from_str_radix(hex, 16).map_err(|error| format!("\\x{hex}: {error}"))?);
            }
            other => out.push(other),
        }
    }
    Ok(out)
}
