//! A connection as CLIENT LIST and CLIENT INFO describe it: one line of fields, with Redis's names.

use super::command_name;
use crate::client::{Peer, flag};
use std::fmt::Write;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Appends the line, without a line end. Buffers that Larder's connections share are counted as 0.
pub(super) fn describe(text: &mut String, peer: &Peer, now_ms: u64) {
    let names = peer.names().clone();
    let seconds_since = |then: u64| now_ms.saturating_sub(then) / 1000;
    let (input, output) = (peer.input_bytes.load(Relaxed), peer.output_bytes.load(Relaxed));
    let queued_bytes = peer.queued_bytes.load(Relaxed);
    let queued = match peer.has(flag::MULTI) {
        true => peer.queued.load(Relaxed) as i64,
        false => -1,
    };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub=0 psub=0 ssub=0 multi={queued} watch={} \
         qbuf={input} qbuf-free=0 argv-mem=0 multi-mem={queued_bytes} rbs=0 rbp=0 obl=0 oll={} omem={output} tot-mem={} \
         events={} cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}",
        peer.id,
        peer.address,
        peer.local_address,
        peer.descriptor,
        names.name,
        seconds_since(peer.created_ms),
        seconds_since(peer.active_ms.load(Relaxed)),
        flags(peer),
        peer.database.load(Relaxed),
        peer.watched.load(Relaxed),
        usize::from(output > 0),
        size_of::<Peer>() + input + output + queued_bytes,
        if output > 0 { "rw" } else { "r" },
        command_name(peer.last_command.load(Relaxed)),
        peer.version.load(Relaxed),
        names.lib_name,
        names.lib_version,
    );
}

fn flags(peer: &Peer) -> String {
    let letters = [
        (peer.has(flag::MONITOR), 'O'),
        (peer.has(flag::MULTI), 'x'),
        (peer.has(flag::BLOCKED), 'b'),
        (peer.dirty.load(Acquire), 'd'),
        (peer.has(flag::CLOSING), 'c'),
        (peer.has(flag::UNIX), 'U'),
        (peer.has(flag::NO_EVICT), 'e'),
        (peer.has(flag::NO_TOUCH), 'T'),
    ];
    let set: String = letters.iter().filter(|(on, _)| *on).map(|(_, letter)| letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}

#[cfg(test)]
pub(super) mod tests {
    use super::describe;
    use crate::client::{Origin, Peer, flag};
    use crate::command::lookup_full;
    use std::sync::atomic::Ordering::Relaxed;

    pub(in super::super) fn peer() -> Peer {
        let origin = Origin {
            address: "127.0.0.1:5000".to_owned(),
            local_address: "127.0.0.1:6379".to_owned(),
            descriptor: 9,
            flags: flag::LOCAL,
        };
        Peer::new(7, 0, origin, 1_700_000_000_000)
    }

    fn line(peer: &Peer, now_ms: u64) -> String {
        let mut text = String::new();
        describe(&mut text, peer, now_ms);
        text
    }

    #[test]
    fn a_new_connection_has_run_nothing() {
        let peer = peer();
        let size = size_of::<Peer>();
        assert_eq!(
            line(&peer, peer.created_ms + 2_999),
            format!(
                "id=7 addr=127.0.0.1:5000 laddr=127.0.0.1:6379 fd=9 name= age=2 idle=2 flags=N db=0 sub=0 psub=0 ssub=0 \
                 multi=-1 watch=0 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 \
                 tot-mem={size} events=r cmd=NULL user=default redir=-1 resp=2 lib-name= lib-ver="
            )
        );
    }

    #[test]
    fn what_it_does_shows() {
        let peer = peer();
        peer.names().name = "me".to_owned();
        peer.names().lib_name = "lib".to_owned();
        peer.names().lib_version = "1.2".to_owned();
        peer.set(flag::MULTI | flag::NO_TOUCH, true);
        peer.dirty.store(true, Relaxed);
        peer.queued.store(3, Relaxed);
        peer.watched.store(2, Relaxed);
        peer.output_bytes.store(10, Relaxed);
        peer.version.store(3, Relaxed);
        peer.last_command
            .store(lookup_full(b"client|list").unwrap().id, Relaxed);
        let line = line(&peer, 0);
        for part in [
            " name=me age=0 idle=0 flags=xdT ",
            " multi=3 watch=2 ",
            " oll=1 omem=10 ",
            " events=rw cmd=client|list ",
            " resp=3 lib-name=lib lib-ver=1.2",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
