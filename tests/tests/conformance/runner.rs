//! Runs scripts against both servers and says where their replies differ.

use super::script::{Action, Case, Compare, Step};
use larder_tests::reply::{self, Reply, escape};
use larder_tests::server::{Server, is_stand_in};
use larder_tests::wait::{PATIENCE, wait_until};
use larder_tests::wire::{Conn, encode};
use std::collections::BTreeMap;

/// What a script's run found.
pub(super) struct Outcome {
    pub(super) compared: usize,
    pub(super) failures: Vec<String>,
}

/// How the commands of a case reach the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Resp2,
    Resp3,
    /// RESP2, all of a case in one write, so that batching must not change a reply.
    Pipelined,
}

const REDIS: usize = 0;
const LARDER: usize = 1;
const NO_REPLY: &str = "no reply";

/// Runs all cases in all modes against a fresh pair of servers.
pub(super) fn run_script(name: &str, cases: &[Case], known_ids: &[&str]) -> Outcome {
    let mut outcome = Outcome {
        compared: 0,
        failures: Vec::new(),
    };
    let servers = [Server::redis(&[]), Server::larder(&[])];
    for case in cases {
        if let Some(command) = case
            .needs
            .as_deref()
            .filter(|command| !knows(&servers[LARDER], command))
        {
            println!("{name}: not run: {} (needs {command})", case.name);
            continue;
        }
        for mode in [Mode::Resp2, Mode::Resp3, Mode::Pipelined] {
            if mode == Mode::Pipelined && !can_pipeline(case) {
                continue;
            }
            for server in &servers {
                flush(server);
            }
            let mut run = Run {
                servers: &servers,
                mode,
                conns: BTreeMap::new(),
                outcome: &mut outcome,
                known_ids,
            };
            let place = |step: &Step| format!("{name}.txt:{} [{mode:?}] {}: {}", step.line, case.name, step.text);
            if mode == Mode::Pipelined {
                run.pipelined(case, place);
            } else {
                run.stepwise(case, place);
            }
        }
    }
    outcome
}

fn knows(server: &Server, command: &str) -> bool {
    let reply = server.connect().call_args(&["COMMAND", "INFO", command]);
    reply
        .items()
        .and_then(|items| items.first())
        .is_some_and(|entry| entry.items().is_some())
}

fn flush(server: &Server) {
    let mut conn = server.connect();
    // A case may have left the server paused; only CLIENT UNPAUSE gets through then.
    conn.call("CLIENT UNPAUSE");
    conn.call("FLUSHALL");
}

/// Only plain commands of one connection, all for both servers, can go in one write.
fn can_pipeline(case: &Case) -> bool {
    case.steps.iter().all(|step| {
        step.conn == 1
            && step.expected.is_none()
            && step.compare != Compare::Silent
            && matches!(step.action, Action::Command(_))
    })
}

struct Run<'a> {
    servers: &'a [Server; 2],
    mode: Mode,
    conns: BTreeMap<(usize, usize), Conn>,
    outcome: &'a mut Outcome,
    known_ids: &'a [&'a str],
}

impl Run<'_> {
    fn stepwise(&mut self, case: &Case, place: impl Fn(&Step) -> String) {
        for step in &case.steps {
            if let Err(why) = self.step(step) {
                // Without one of the replies, all that follow would be off by one.
                let lost = why.contains(NO_REPLY);
                self.outcome.failures.push(format!("{}\n{why}", place(step)));
                if lost {
                    return;
                }
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.action {
            Action::Closed => return self.closed(step),
            Action::Gone(key) => return self.gone(step, key),
            Action::Command(_) | Action::Raw(_) | Action::Reply => {}
        }
        self.outcome.compared += 1;
        let Some(expected) = &step.expected else {
            let redis = self.talk(REDIS, step);
            let larder = self.talk(LARDER, step);
            return compare(step.compare, &redis, &larder);
        };
        if is_stand_in() {
            return Ok(());
        }
        let redis = step.known.is_some().then(|| self.talk(REDIS, step));
        let larder = self.talk(LARDER, step);
        if let (Some(id), Some(redis)) = (&step.known, redis) {
            if !self.known_ids.contains(&id.as_str()) {
                return Err(format!("!{id} is not in known-differences.txt"));
            }
            if redis == larder {
                return Err(format!("!{id} is no difference any more: both say {}", show(&larder)));
            }
        }
        let larder = larder?;
        reply::check_with_redis_protocol(&larder, self.mode == Mode::Resp3)?;
        compare(step.compare, &Ok(in_mode(expected, self.mode)), &Ok(larder))
    }

    /// Does the step on one server; its reply's bytes, or why there is none.
    fn talk(&mut self, server: usize, step: &Step) -> Result<Vec<u8>, String> {
        let conn = self.conn(server, step.conn)?;
        match &step.action {
            Action::Command(args) => conn.send(&encode(args)).map_err(|error| error.to_string())?,
            Action::Raw(bytes) => conn.send(bytes).map_err(|error| error.to_string())?,
            _ => {}
        }
        if step.compare == Compare::Silent {
            return Ok(Vec::new());
        }
        conn.read_raw().map_err(|error| error.to_string())
    }

    fn conn(&mut self, server: usize, number: usize) -> Result<&mut Conn, String> {
        if !self.conns.contains_key(&(server, number)) {
            let mut conn = self.servers[server].connect();
            if self.mode == Mode::Resp3 {
                conn.call_raw(&["HELLO", "3"])
                    .map_err(|error| format!("HELLO 3: {error}"))?;
            }
            self.conns.insert((server, number), conn);
        }
        self.conns
            .get_mut(&(server, number))
            .ok_or_else(|| "no connection".to_string())
    }

    fn closed(&mut self, step: &Step) -> Result<(), String> {
        for server in [REDIS, LARDER] {
            let rest = self.conn(server, step.conn)?.read_to_close(PATIENCE);
            let kind = self.servers[server].kind();
            match rest {
                Ok(rest) if rest.is_empty() => {}
                Ok(rest) => {
                    return Err(format!("{kind:?} said before it closed: {}", escape(&rest)));
                }
                Err(error) => return Err(format!("{kind:?} does not close: {error}")),
            }
            self.conns.remove(&(server, step.conn));
        }
        Ok(())
    }

    fn gone(&mut self, step: &Step, key: &[u8]) -> Result<(), String> {
        for server in [REDIS, LARDER] {
            let kind = self.servers[server].kind();
            let conn = self.conn(server, step.conn)?;
            let mut reply = Vec::new();
            let gone = || {
                reply = conn.call_raw(&[b"EXISTS", key]).unwrap_or_default();
                reply != b":1\r\n"
            };
            wait_until(PATIENCE, gone);
            if reply != b":0\r\n" {
                return Err(format!("{kind:?} still has the key: {}", escape(&reply)));
            }
        }
        Ok(())
    }

    fn pipelined(&mut self, case: &Case, place: impl Fn(&Step) -> String) {
        let mut bytes = Vec::new();
        for step in &case.steps {
            if let Action::Command(args) = &step.action {
                bytes.extend(encode(args));
            }
        }
        for server in [REDIS, LARDER] {
            if let Err(why) = self
                .conn(server, 1)
                .and_then(|conn| conn.send(&bytes).map_err(|e| e.to_string()))
            {
                self.outcome.failures.push(format!("{}: {why}", case.name));
                return;
            }
        }
        for step in &case.steps {
            let mut read = |server| {
                self.conn(server, 1)
                    .and_then(|conn| conn.read_raw().map_err(|e| e.to_string()))
            };
            let (redis, larder) = (read(REDIS), read(LARDER));
            self.outcome.compared += 1;
            if let Err(why) = compare(step.compare, &redis, &larder) {
                self.outcome.failures.push(format!("{}\n{why}", place(step)));
            }
        }
    }
}

/// Scripts state replies in RESP2; the nulls are what RESP3 says otherwise.
fn in_mode(expected: &[u8], mode: Mode) -> Vec<u8> {
    match expected {
        b"$-1\r\n" | b"*-1\r\n" if mode == Mode::Resp3 => b"_\r\n".to_vec(),
        other => other.to_vec(),
    }
}

pub(super) fn compare(
    how: Compare,
    redis: &Result<Vec<u8>, String>,
    larder: &Result<Vec<u8>, String>,
) -> Result<(), String> {
    if redis == larder && redis.is_ok() {
        return Ok(());
    }
    let differ = || format!("  redis:  {}\n  larder: {}", show(redis), show(larder));
    let (Ok(redis_raw), Ok(larder_raw)) = (redis, larder) else {
        return Err(differ());
    };
    let same = match how {
        Compare::Exact | Compare::Silent => false,
        Compare::Type => redis_raw.first() == larder_raw.first(),
        Compare::Sorted => normalised(redis_raw, Reply::sorted)? == normalised(larder_raw, Reply::sorted)?,
        Compare::Facts => normalised(redis_raw, without_notes)? == normalised(larder_raw, without_notes)?,
        Compare::Shape => normalised(redis_raw, Reply::shape)? == normalised(larder_raw, Reply::shape)?,
        Compare::Near => {
            let number = |raw: &[u8]| reply::decode(raw).ok().and_then(|reply| reply.integer());
            matches!((number(redis_raw), number(larder_raw)), (Some(a), Some(b)) if a.abs_diff(b) <= 2000
                && (a < 0) == (b < 0))
        }
    };
    if same { Ok(()) } else { Err(differ()) }
}

fn normalised(raw: &[u8], with: fn(Reply) -> Reply) -> Result<Reply, String> {
    reply::decode(raw).map(with)
}

/// Drops the key `notes` and its value, wherever they stand, and sorts the rest.
fn without_notes(reply: Reply) -> Reply {
    fn drop_notes(reply: Reply) -> Reply {
        let is_notes = |reply: &Reply| reply.bytes() == Some(b"notes");
        match reply {
            Reply::Array(kind, Some(items)) => {
                let notes = items.iter().position(is_notes);
                let kept = items.into_iter().enumerate();
                let kept = kept.filter(|(at, _)| notes.is_none_or(|notes| *at != notes && *at != notes + 1));
                Reply::Array(kind, Some(kept.map(|(_, item)| drop_notes(item)).collect()))
            }
            Reply::Map(kind, pairs) => {
                let kept = pairs.into_iter().filter(|(key, _)| !is_notes(key));
                Reply::Map(kind, kept.map(|(key, value)| (key, drop_notes(value))).collect())
            }
            other => other,
        }
    }
    drop_notes(reply).sorted()
}

fn show(reply: &Result<Vec<u8>, String>) -> String {
    match reply {
        Ok(raw) => escape(raw),
        Err(why) => format!("({NO_REPLY}: {why})"),
    }
}
