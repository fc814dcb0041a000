//! Commands on strings.

use crate::call::{Call, Error, Outcome};
use crate::store::NewValue;
use crate::text::{format_i64, number::INT_BYTES, parse_i64};

/// GET key
pub fn get(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[1]);
    key.read();
    match key.text()? {
        Some(text) => call.reply.text(&text),
        None => call.reply.null(),
    }
    Ok(())
}

/// SET key value
pub fn set(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[1]);
    key.set(NewValue::Bytes(&call.args[2]), None);
    call.reply.ok();
    Ok(())
}

/// INCR key
pub fn incr(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[1]);
    let old = match key.text()? {
        Some(text) => parse_i64(&text).ok_or(Error::NOT_AN_INTEGER)?,
        None => 0,
    };
    let new = old
        .checked_add(1)
        .ok_or(Error::new("ERR increment or decrement would overflow"))?;
    let mut digits = [0; INT_BYTES];
    key.set_text_keeping_deadline(format_i64(new, &mut digits));
    call.reply.int(new);
    Ok(())
}
