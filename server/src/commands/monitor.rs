//! MONITOR: a feed of all commands. Also what of a command's arguments may be shown, here and in SLOWLOG.

use crate::call::{Call, Error, Outcome};
use crate::client::{Client, Peer, flag as peer_flag};
use crate::command::{self, Command, flag};
use crate::config::{Settings, is_secret};
use crate::node::Node;
use crate::resp::request::Args;
use crate::text::quote_into;
use std::time::{SystemTime, UNIX_EPOCH};

/// Stands for an argument that is a password.
const REDACTED: &[u8] = b"(redacted)";
/// Stands for any argument, if arguments are to be masked.
const MASKED: &[u8] = b"(masked)";

/// MONITOR
pub fn monitor(call: &mut Call<'_>) -> Outcome {
    if call.client.executing {
        return Err(Error::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // As in Redis, a second MONITOR gets no reply: the feed is on already.
    if !call.client.monitoring {
        call.client.monitoring = true;
        call.client.peer.set(peer_flag::MONITOR, true);
        call.node.monitors.add(&call.client.peer);
        call.reply.ok();
    }
    Ok(())
}

/// Ends a connection's feed, if it has one.
pub(crate) fn leave(node: &Node, peer: &Peer) {
    if peer.has(peer_flag::MONITOR) {
        peer.set(peer_flag::MONITOR, false);
        node.monitors.remove(peer.id);
    }
}

/// Sends a command that has run to those who monitor, unless it is one for administrators.
#[cold]
pub(crate) fn feed(node: &Node, settings: &Settings, client: &Client, command: &Command, args: Args<'_>) {
    if command.flags.has_any(flag::ADMIN.with(flag::SKIP_MONITOR)) {
        return;
    }
    let limit = usize::try_from(settings.client_output_buffer_limit.normal.hard_bytes).unwrap_or(usize::MAX);
    let shown = shown(args, settings.mask_args);
    let bytes: usize = shown.iter().map(|arg| arg.len()).sum();
    if limit > 0 && bytes > limit {
        // More than a monitor may leave unread: not worth the time to write it.
        return node.monitors.kill();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut line = Vec::with_capacity(bytes + 64 + 3 * shown.len());
    let from = match client.peer.has(peer_flag::UNIX) {
        true => format!("unix:{}", settings.unixsocket),
        false => client.peer.address.clone(),
    };
    let head = format!(
        "+{}.{:06} [{} {from}]",
        now.as_secs(),
        now.subsec_micros(),
        client.database
    );
    line.extend_from_slice(head.as_bytes());
    for arg in shown {
        line.push(b' ');
        quote_into(&mut line, arg);
    }
    line.extend_from_slice(b"\r\n");
    node.monitors.post(&line, limit);
}

/// The arguments as others may see them: passwords never, with `mask` only the command's name.
pub(crate) fn shown(args: Args<'_>, mask: bool) -> Vec<&[u8]> {
    let first = args.get(0).unwrap_or_default();
    let command = command::resolve(first, args.get(1)).ok();
    let name_len = command.map_or(1, |command| command.full_name.split('|').count());
    let mut shown: Vec<&[u8]> = args.iter().collect();
    if mask {
        shown.iter_mut().skip(name_len).for_each(|arg| *arg = MASKED);
        return shown;
    }
    match command.map_or("", |command| command.full_name) {
        "auth" => shown.iter_mut().skip(1).for_each(|arg| *arg = REDACTED),
        "hello" => redact_hello(&mut shown),
        "config|set" => {
            for at in (2..shown.len().saturating_sub(1)).step_by(2) {
                if is_secret(shown[at]) {
                    shown[at + 1] = REDACTED;
                }
            }
        }
        _ => {}
    }
    shown
}

fn redact_hello(shown: &mut [&[u8]]) {
    let mut at = 2;
    while at < shown.len() {
        if shown[at].eq_ignore_ascii_case(b"auth") && at + 2 < shown.len() {
            shown[at + 1..at + 3].fill(REDACTED);
            at += 3;
        } else {
            at += 1 + usize::from(shown[at].eq_ignore_ascii_case(b"setname"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shown;
    use crate::resp::request::OwnedArgs;

    fn line(request: &str, mask: bool) -> String {
        let args = request
            .split(' ')
            .map(|arg| bytes::Bytes::copy_from_slice(arg.as_bytes()));
        let args = OwnedArgs::new(args.collect());
        let shown: Vec<_> = shown(args.args(), mask)
            .into_iter()
            .map(String::from_utf8_lossy)
            .collect();
        shown.join(" ")
    }

    #[test]
    fn passwords_are_never_shown() {
        assert_eq!(line("AUTH pw", false), "AUTH (redacted)");
        assert_eq!(line("auth default pw", false), "auth (redacted) (redacted)");
        assert_eq!(line("AUTH a b pw", false), "AUTH (redacted) (redacted) (redacted)");
        assert_eq!(
            line("HELLO 3 SETNAME auth AUTH u pw", false),
            "HELLO 3 SETNAME auth AUTH (redacted) (redacted)"
        );
        assert_eq!(
            line("config set port 1 RequirePass pw dir x", false),
            "config set port 1 RequirePass (redacted) dir x"
        );
        assert_eq!(line("config set requirepass", false), "config set requirepass");
    }

    #[test]
    fn other_arguments_are_shown_unless_masked() {
        assert_eq!(line("SET k v", false), "SET k v");
        assert_eq!(line("nosuch auth pw", false), "nosuch auth pw");
        assert_eq!(line("SET k v", true), "SET (masked) (masked)");
        assert_eq!(line("CLIENT SETNAME me", true), "CLIENT SETNAME (masked)");
        assert_eq!(line("AUTH pw", true), "AUTH (masked)");
    }
}
