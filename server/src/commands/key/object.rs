//! OBJECT: how a value is kept.

use crate::call::{Call, Error, Outcome};
use crate::store::Key;
use crate::text::parse_i64;

/// Redis keeps one object for each integer below this, and says so in REFCOUNT.
const SHARED_INTEGERS: i64 = 10_000;

/// Answers something about the key; null if it is not there.
fn tell(call: &mut Call<'_>, show: impl Fn(&mut Key<'_>) -> Option<i64>) -> Outcome {
    let mut key = call.store.key(&call.args[2]);
    key.read_untouched();
    match show(&mut key) {
        Some(number) => call.reply.int(number),
        None => call.reply.null(),
    }
    Ok(())
}

/// OBJECT ENCODING key
pub fn object_encoding(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[2]);
    key.read_untouched();
    match key.encoding() {
        Some(name) => call.reply.bulk(name.as_bytes()),
        None => call.reply.null(),
    }
    Ok(())
}

/// OBJECT FREQ key
pub fn object_freq(call: &mut Call<'_>) -> Outcome {
    if !call.store.eviction.policy.is_lfu() && call.store.key(&call.args[2]).exists() {
        return Err(Error::new(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    tell(call, |key| key.frequency().map(i64::from))
}

/// OBJECT IDLETIME key
pub fn object_idletime(call: &mut Call<'_>) -> Outcome {
    if call.store.eviction.policy.is_lfu() && call.store.key(&call.args[2]).exists() {
        return Err(Error::new(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    tell(call, |key| key.idle_seconds().map(u64::cast_signed))
}

/// OBJECT REFCOUNT key
pub fn object_refcount(call: &mut Call<'_>) -> Outcome {
    tell(call, |key| {
        let number = match key.encoding()? {
            "int" => key.text().ok().flatten().and_then(|text| parse_i64(&text)),
            _ => None,
        };
        let shared = number.is_some_and(|number| (0..SHARED_INTEGERS).contains(&number));
        Some(if shared { i64::from(i32::MAX) } else { 1 })
    })
}
