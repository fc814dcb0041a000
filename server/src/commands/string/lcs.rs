//! LCS: the longest common subsequence of two strings.

use crate::call::{Call, Error, Outcome};
use crate::lcs::{Lcs, Match, Want};
use crate::resp::Reply;
use crate::resp::request::Args;
use crate::store::{Store, Text};
use crate::text::parse_i64;
use bytes::Bytes;

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: usize,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, Error> {
        let mut options = Options::default();
        let mut words = args.from(3).iter();
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"idx") {
                options.idx = true;
            } else if word.eq_ignore_ascii_case(b"len") {
                options.len = true;
            } else if word.eq_ignore_ascii_case(b"withmatchlen") {
                options.with_match_len = true;
            } else if word.eq_ignore_ascii_case(b"minmatchlen") {
                let least = words.next().ok_or(Error::SYNTAX)?;
                let least = parse_i64(least).ok_or(Error::NOT_AN_INTEGER)?;
                options.min_match_len = usize::try_from(least).unwrap_or(0);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if options.len && options.idx {
            return Err(Error::new(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }

    fn want(&self) -> Want {
        match (self.len, self.idx) {
            (_, true) => Want::Matches {
                min_len: self.min_match_len,
            },
            (true, false) => Want::Length,
            (false, false) => Want::Text,
        }
    }
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`
pub fn lcs(call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    call.store.hold([&args[1], &args[2]]);
    let strings = [content(&mut call.store, &args[1]), content(&mut call.store, &args[2])];
    // What follows may take a while, and needs the strings only as they were.
    call.store.release();
    let [Some(a), Some(b)] = strings else {
        return Err(Error::new("ERR The specified keys must contain string values"));
    };
    let options = Options::parse(args)?;
    let max_bytes = call.node.config.settings().proto_max_bulk_len;
    let result = crate::lcs::lcs(&a, &b, options.want(), max_bytes).map_err(|error| Error::of(error.to_string()))?;
    match options.want() {
        Want::Length => call.reply.len(result.len),
        Want::Text => call.reply.bulk_shared(&result.text.into()),
        Want::Matches { .. } => reply_matches(&mut call.reply, &result, options.with_match_len),
    }
    Ok(())
}

/// The string of a key, empty if there is no key; `None` if the value is no string.
fn content(store: &mut Store<'_>, key: &[u8]) -> Option<Bytes> {
    let mut key = store.key(key);
    key.read();
    match key.text().ok()? {
        None => Some(Bytes::new()),
        Some(Text::Inline(bytes)) => Some(Bytes::copy_from_slice(bytes)),
        Some(Text::Shared(bytes)) => Some(bytes.clone()),
    }
}

fn reply_matches(reply: &mut Reply<'_>, result: &Lcs, with_len: bool) {
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(result.matches.len());
    for Match { a, b } in &result.matches {
        reply.array(2 + usize::from(with_len));
        for range in [a, b] {
            reply.array(2);
            reply.len(range.start);
            reply.len(range.end - 1);
        }
        if with_len {
            reply.len(a.len());
        }
    }
    reply.bulk(b"len");
    reply.len(result.len);
}
