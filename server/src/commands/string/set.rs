//! SET and its older forms: SETEX, PSETEX, SETNX.

use super::get::reply_text;
use super::options::{Condition, Grammar, Options};
use super::value;
use crate::call::{Call, Error, Outcome};
use crate::commands::expiry::{Unit, parse_deadline, parse_jitter};
use crate::store::NewValue;

/// `SET key value [condition] [GET] [EX seconds | PX milliseconds | EXAT time | PXAT time | KEEPTTL] [JITTER percent]`
pub fn set(call: &mut Call<'_>) -> Outcome {
    if call.args.len() > 3 {
        return set_with_options(call);
    }
    match value(&call.args, 2) {
        NewValue::Bytes(value) => call.store.write_text(&call.args[1], value),
        value => call.store.key(&call.args[1]).set(value, None),
    }
    call.reply.ok();
    Ok(())
}

fn set_with_options(call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    let options = Options::parse(args, 3, Grammar::Set)?;
    let deadline = options.expiry.deadline(call.store.now_ms, call.command)?;
    let mut key = call.store.key(&args[1]);
    let store = options.condition == Condition::Always || options.condition.holds(&mut key)?;
    if options.get {
        reply_text(&mut key, &mut call.reply)?;
    } else if store {
        call.reply.ok();
    } else {
        call.reply.null();
    }
    if store {
        options.store(&mut key, value(&args, 2), deadline);
    }
    Ok(())
}

/// SETEX key seconds value [JITTER percent]
pub fn setex(call: &mut Call<'_>) -> Outcome {
    set_for(call, Unit::Seconds)
}

/// PSETEX key milliseconds value [JITTER percent]
pub fn psetex(call: &mut Call<'_>) -> Outcome {
    set_for(call, Unit::Millis)
}

fn set_for(call: &mut Call<'_>, unit: Unit) -> Outcome {
    let deadline = parse_deadline(unit, &call.args[2], call.store.now_ms, call.command)?;
    let jitter = match call.args.get(4) {
        Some(word) => match parse_jitter(word, call.args.get(5))? {
            None => return Err(Error::wrong_arity(call.command)),
            jitter => jitter,
        },
        None => None,
    };
    let mut key = call.store.key(&call.args[1]);
    let deadline = key.relative_deadline(deadline, jitter);
    key.set(value(&call.args, 3), Some(deadline));
    call.reply.ok();
    Ok(())
}

/// SETNX key value
pub fn setnx(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[1]);
    let absent = !key.exists();
    if absent {
        key.mark_as_lock();
        key.set(value(&call.args, 2), None);
    }
    call.reply.int(i64::from(absent));
    Ok(())
}
