//! Strings that are numbers: INCR and its kin.

use crate::call::{Call, Error, Outcome};
use crate::store::NewValue;
use crate::text::{add_decimal, format_i64, parse_i64};

/// INCR key
pub fn incr(call: &mut Call<'_>) -> Outcome {
    add(call, 1)
}

/// DECR key
pub fn decr(call: &mut Call<'_>) -> Outcome {
    add(call, -1)
}

/// INCRBY key increment
pub fn incrby(call: &mut Call<'_>) -> Outcome {
    let step = call.int(2)?;
    add(call, step)
}

/// DECRBY key decrement
pub fn decrby(call: &mut Call<'_>) -> Outcome {
    let step = call
        .int(2)?
        .checked_neg()
        .ok_or(Error::new("ERR decrement would overflow"))?;
    add(call, step)
}

#[inline]
fn add(call: &mut Call<'_>, step: i64) -> Outcome {
    let mut sum = 0;
    call.store.rewrite_text(&call.args[1], |old, room| {
        let old = match old {
            Some(text) => parse_i64(text).ok_or(Error::NOT_AN_INTEGER)?,
            None => 0,
        };
        sum = old
            .checked_add(step)
            .ok_or(Error::new("ERR increment or decrement would overflow"))?;
        Ok::<_, Error>(format_i64(sum, room))
    })?;
    call.reply.int(sum);
    Ok(())
}

/// INCRBYFLOAT key increment
pub fn incrbyfloat(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[1]);
    let sum = match key.text()? {
        Some(text) => add_decimal(&text, &call.args[2]),
        None => add_decimal(b"0", &call.args[2]),
    };
    let sum = sum.map_err(|error| Error::of(error.to_string()))?;
    key.set_keeping_deadline(NewValue::Text(&sum));
    call.reply.bulk(&sum);
    Ok(())
}
