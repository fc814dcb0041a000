//! GET and those that read and change: GETDEL, GETEX, GETSET.

use super::value;
use crate::call::{Call, Error, Outcome};
use crate::commands::expiry::{Expiry, parse_jitter};
use crate::resp::{Args, Reply};
use crate::store::Key;
use crate::ttl::Percent;

/// Replies the string or null, counted as a read.
///
/// # Errors
/// The value is no string; nothing was replied.
#[inline]
pub(super) fn reply_text(key: &mut Key<'_>, reply: &mut Reply<'_>) -> Outcome {
    match key.read_text()? {
        Some(text) => reply.text(&text),
        None => reply.null(),
    }
    Ok(())
}

/// GET key
pub fn get(call: &mut Call<'_>) -> Outcome {
    let reply = &mut call.reply;
    call.store.read_text(&call.args[1], |text| match text {
        Some(text) => reply.text(&text),
        None => reply.null(),
    })?;
    Ok(())
}

/// GETDEL key
pub fn getdel(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[1]);
    reply_text(&mut key, &mut call.reply)?;
    key.remove();
    Ok(())
}

/// GETSET key value
pub fn getset(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[1]);
    reply_text(&mut key, &mut call.reply)?;
    key.set(value(&call.args, 2), None);
    Ok(())
}

/// `GETEX key [EX seconds | PX milliseconds | EXAT time | PXAT time | PERSIST] [JITTER percent]`
pub fn getex(call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    let (expiry, jitter) = getex_options(args)?;
    let now_ms = call.store.now_ms;
    let mut key = call.store.key(&args[1]);
    let found = key.text()?.is_some();
    // As in Redis, a bad number goes unnoticed if there is no key.
    let deadline = if found {
        expiry.deadline(now_ms, call.command)?
    } else {
        None
    };
    reply_text(&mut key, &mut call.reply)?;
    match (expiry, deadline) {
        (_, Some(deadline)) => {
            let deadline = if expiry.is_relative() {
                key.relative_deadline(deadline, jitter)
            } else {
                deadline
            };
            key.set_deadline(Some(deadline));
        }
        (Expiry::Persist, None) if key.deadline().is_some() => {
            key.set_deadline(None);
        }
        _ => {}
    }
    Ok(())
}

fn getex_options(args: Args<'_>) -> Result<(Expiry<'_>, Option<Percent>), Error> {
    let (mut expiry, mut jitter) = (Expiry::Unset, None);
    let mut at = 2;
    while let Some(word) = args.get(at) {
        let next = args.get(at + 1);
        at += match expiry.accept(word, next)? {
            0 => {
                jitter = parse_jitter(word, next)?;
                jitter.map(|_| 2).ok_or(Error::SYNTAX)?
            }
            taken => taken,
        };
    }
    if expiry == Expiry::Keep || jitter.is_some() && !expiry.is_relative() {
        return Err(Error::SYNTAX);
    }
    Ok((expiry, jitter))
}
