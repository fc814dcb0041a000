//! Several strings at once: MGET, MSET, MSETNX, MSETEX. Each is atomic: the stripes of all its keys are held.

use super::options::{Condition, Grammar, Options};
use super::value;
use crate::call::{Call, Error, Outcome};
use crate::resp::request::Args;
use crate::store::Store;
use crate::text::parse_i64;

/// Keys whose entries are fetched into the cache together; more would push each other out.
const WINDOW: usize = 32;
/// A reply of this size is sent whatever the output limit.
const SMALL_REPLY_BYTES: usize = 1 << 20;

/// The hashes of a call's keys, so that each is computed once; those of small calls are not allocated.
struct Hashes {
    few: [u64; WINDOW],
    many: Vec<u64>,
    count: usize,
}

impl Hashes {
    fn of<'k>(store: &Store<'_>, keys: impl ExactSizeIterator<Item = &'k [u8]>) -> Hashes {
        let count = keys.len();
        let mut hashes = Hashes {
            few: [0; WINDOW],
            many: Vec::new(),
            count,
        };
        let keyspace = store.keyspace();
        if count <= WINDOW {
            hashes
                .few
                .iter_mut()
                .zip(keys)
                .for_each(|(hash, key)| *hash = keyspace.hash(key));
        } else {
            hashes.many = keys.map(|key| keyspace.hash(key)).collect();
        }
        hashes
    }

    fn all(&self) -> &[u64] {
        if self.count <= WINDOW {
            &self.few[..self.count]
        } else {
            &self.many
        }
    }
}

/// Where the keys of a call are, and so their values: key, value, key, value, ...
#[derive(Clone, Copy)]
struct Pairs<'a> {
    args: Args<'a>,
    first: usize,
    count: usize,
}

impl<'a> Pairs<'a> {
    fn keys(self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        (0..self.count).map(move |pair| self.args.get(self.first + 2 * pair).unwrap_or_default())
    }

    /// Stores all, under `deadline` as the options have it, or under the one that each key has.
    fn set(self, store: &mut Store<'_>, hashes: &[u64], deadline: Option<u64>, options: Options<'_>) {
        for (window, hashes) in hashes.chunks(WINDOW).enumerate() {
            store.prefetch(hashes);
            for (pair, &hash) in (window * WINDOW..).zip(hashes) {
                let at = self.first + 2 * pair;
                let name = self.args.get(at).unwrap_or_default();
                store.hint(name, hash);
                let mut key = store.key(name);
                // Each key has a share of its own: what is stored together is what must not expire together.
                options.store(&mut key, value(&self.args, at + 1), deadline);
            }
        }
    }

    /// Whether all keys, or none, are there.
    fn hold_for(self, store: &mut Store<'_>, condition: Condition<'_>) -> Result<bool, Error> {
        for key in self.keys() {
            if !condition.holds(&mut store.key(key))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// MGET key [key ...]
pub fn mget(call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    let hashes = Hashes::of(&call.store, args.iter().skip(1));
    call.store.hold_hashes(hashes.all());
    let mark = call.reply.output().mark();
    let before = call.reply.output().copied_len();
    call.reply.array(args.len() - 1);
    for (window, hashes) in hashes.all().chunks(WINDOW).enumerate() {
        call.store.prefetch(hashes);
        for (at, &hash) in (1 + window * WINDOW..).zip(hashes) {
            let name = &args[at];
            call.store.hint(name, hash);
            let mut key = call.store.key(name);
            key.read();
            match key.text() {
                Ok(Some(text)) => call.reply.text(&text),
                Ok(None) | Err(_) => call.reply.null(),
            }
        }
        if call.reply.output().copied_len() - before > SMALL_REPLY_BYTES && exceeds_output_limit(call) {
            call.reply.output().cut(mark);
            return Err(Error::new(
                "ERR the reply would exceed client-output-buffer-limit, ask for fewer keys",
            ));
        }
    }
    Ok(())
}

/// Whether the connection has more output waiting than it may: a short request can name the same long
/// string over and over. Strings that are sent without being copied cost nothing.
#[cold]
fn exceeds_output_limit(call: &mut Call<'_>) -> bool {
    let limit = call.node.config.settings().client_output_buffer_limit.normal.hard_bytes;
    limit > 0 && call.reply.output().copied_len() as u64 > limit
}

/// The pairs of MSET and MSETNX.
fn pairs<'a>(call: &Call<'a>) -> Result<Pairs<'a>, Error> {
    if call.args.len().is_multiple_of(2) {
        return Err(Error::wrong_arity(call.command));
    }
    Ok(Pairs {
        args: call.args,
        first: 1,
        count: call.args.len() / 2,
    })
}

/// MSET key value [key value ...]
pub fn mset(call: &mut Call<'_>) -> Outcome {
    let pairs = pairs(call)?;
    let hashes = Hashes::of(&call.store, pairs.keys());
    call.store.hold_hashes(hashes.all());
    pairs.set(&mut call.store, hashes.all(), None, Options::default());
    call.reply.ok();
    Ok(())
}

/// MSETNX key value [key value ...]
pub fn msetnx(call: &mut Call<'_>) -> Outcome {
    let pairs = pairs(call)?;
    let options = Options {
        condition: Condition::Absent,
        ..Options::default()
    };
    set_all_or_none(call, pairs, options)
}

/// `MSETEX numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT time | PXAT time | KEEPTTL]
/// [JITTER percent]`
pub fn msetex(call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    let count = parse_i64(&args[1]).filter(|count| (1..=i64::from(i32::MAX)).contains(count));
    let count = count.ok_or(Error::new("ERR invalid numkeys value"))? as usize;
    if 2 + 2 * count > args.len() {
        return Err(Error::new("ERR wrong number of key-value pairs"));
    }
    let options = Options::parse(args, 2 + 2 * count, Grammar::MultiSet)?;
    set_all_or_none(call, Pairs { args, first: 2, count }, options)
}

fn set_all_or_none(call: &mut Call<'_>, pairs: Pairs<'_>, options: Options<'_>) -> Outcome {
    let deadline = options.expiry.deadline(call.store.now_ms, call.command)?;
    let hashes = Hashes::of(&call.store, pairs.keys());
    call.store.hold_hashes(hashes.all());
    let store = pairs.hold_for(&mut call.store, options.condition)?;
    if store {
        pairs.set(&mut call.store, hashes.all(), deadline, options);
    }
    call.reply.int(i64::from(store));
    Ok(())
}
