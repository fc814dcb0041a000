//! SET and its older forms: SETEX, PSETEX, SETNX.

use super::get::reply_text;
use super::options::{Condition, Grammar, Options};
use super::value;
use crate::call::{Call, Error, Outcome};
use crate::commands::expiry::{Unit, parse_deadline, parse_jitter};
use crate::resp::request::Args;
use crate::store::NewValue;

/// `SET key value [condition] [GET] [EX seconds | PX milliseconds | EXAT time | PXAT time | KEEPTTL] [JITTER percent]`
pub fn set(call: &mut Call<'_>) -> Outcome {
    if call.args.len() > 3 {
        return match unit_alone(&call.args) {
            Some(unit) => set_until(call, unit, 4, 2),
            None => set_with_options(call),
        };
    }
    match value(&call.args, 2) {
        NewValue::Bytes(value) => call.store.write_text(&call.args[1], value),
        value => call.store.key(&call.args[1]).set(value, None),
    }
    call.reply.ok();
    Ok(())
}

/// The unit of the time to live, if that is the only option of a SET: the usual case.
#[inline]
fn unit_alone(args: &Args<'_>) -> Option<Unit> {
    let [one, other] = *args.get(3).filter(|_| args.len() == 5)? else {
        return None;
    };
    match [one.to_ascii_lowercase(), other.to_ascii_lowercase()] {
        [b'e', b'x'] => Some(Unit::Seconds),
        [b'p', b'x'] => Some(Unit::Millis),
        _ => None,
    }
}

/// Stores argument `at` under the time to live that argument `time` says.
#[inline]
fn set_until(call: &mut Call<'_>, unit: Unit, time: usize, at: usize) -> Outcome {
    let deadline = parse_deadline(unit, &call.args[time], call.store.now_ms, call.command)?;
    match value(&call.args, at) {
        NewValue::Bytes(value) => call.store.write_text_until(&call.args[1], value, deadline),
        value => {
            let mut key = call.store.key(&call.args[1]);
            let deadline = key.relative_deadline(deadline, None);
            key.set(value, Some(deadline));
        }
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
    if call.args.len() == 4 {
        return set_until(call, unit, 2, 3);
    }
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
