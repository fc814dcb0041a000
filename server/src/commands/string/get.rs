//! GET and those that read and change: GETDEL, GETEX, GETSET.

use super::value;
use crate::call::{Call, Error, Outcome};
use crate::commands::expiry::Expiry;
use crate::resp::Reply;
use crate::store::Key;

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

/// `GETEX key [EX seconds | PX milliseconds | EXAT time | PXAT time | PERSIST]`
pub fn getex(call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    let mut expiry = Expiry::Unset;
    let mut next = 2;
    while let Some(word) = args.get(next) {
        match expiry.accept(word, args.get(next + 1))? {
            0 => return Err(Error::SYNTAX),
            taken => next += taken,
        }
    }
    if expiry == Expiry::Keep {
        return Err(Error::SYNTAX);
    }
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
            key.set_deadline(Some(deadline));
        }
        (Expiry::Persist, None) if key.deadline().is_some() => {
            key.set_deadline(None);
        }
        _ => {}
    }
    Ok(())
}
