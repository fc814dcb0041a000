//! Commands on keys, whatever their values are.

pub mod expire;
pub mod object;
pub mod scan;
pub mod transfer;

use crate::call::{Call, Outcome};
use crate::store::Key;
use crate::store::eviction::mix;

/// Counts the keys of the call for which `test` holds, all of them looked at at the same moment.
fn count(call: &mut Call<'_>, test: impl Fn(&mut Key<'_>) -> bool) -> Outcome {
    let keys = call.args.from(1);
    if keys.len() > 1 {
        call.store.hold(keys.iter());
    }
    let counted = keys.iter().filter(|key| test(&mut call.store.key(key))).count();
    call.reply.len(counted);
    Ok(())
}

/// DEL key [key ...]
pub fn del(call: &mut Call<'_>) -> Outcome {
    count(call, |key| key.remove())
}

/// UNLINK key [key ...]
pub fn unlink(call: &mut Call<'_>) -> Outcome {
    count(call, |key| key.remove())
}

/// EXISTS key [key ...]
pub fn exists(call: &mut Call<'_>) -> Outcome {
    count(call, |key| key.read_untouched())
}

/// TOUCH key [key ...]
pub fn touch(call: &mut Call<'_>) -> Outcome {
    // Also for a client whose other reads leave no trace.
    let other_reads = std::mem::replace(&mut call.store.touch, true);
    let outcome = count(call, |key| key.read());
    call.store.touch = other_reads;
    outcome
}

/// TYPE key
pub fn type_(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[1]);
    key.read_untouched();
    call.reply.simple(key.type_name().unwrap_or("none"));
    Ok(())
}

/// RANDOMKEY
pub fn randomkey(call: &mut Call<'_>) -> Outcome {
    // Several in one turn, or several workers at once, must not draw the same number.
    let calls = call.stats.command(call.command.id).calls.get();
    let seed = mix(call.store.now_ms, call.stats.turns.get()) ^ call.client.peer.id.rotate_left(32);
    match call.store.random_key(mix(seed, calls)) {
        Some(key) => call.reply.bulk(&key),
        None => call.reply.null(),
    }
    Ok(())
}
