//! Commands on whole databases.

use crate::call::{Call, Error, Outcome};
use crate::store::Flushed;
use crate::text::parse_i64;

/// Frees that one command may do itself: about a millisecond's worth.
const INLINE_FREES: usize = 512;

/// DBSIZE
pub fn dbsize(call: &mut Call<'_>) -> Outcome {
    let keys = call.store.len(call.store.database);
    call.reply.len(keys);
    Ok(())
}

/// Reads `[ASYNC | SYNC]`. Both do the same here: the keys are gone for everybody before the reply, and
/// giving back the memory of many never holds up the worker and its other connections.
fn check_mode(call: &Call<'_>) -> Result<(), Error> {
    let known = |mode: &[u8]| mode.eq_ignore_ascii_case(b"async") || mode.eq_ignore_ascii_case(b"sync");
    match call.args.get(1) {
        Some(mode) if call.args.len() > 2 || !known(mode) => Err(Error::SYNTAX),
        _ => Ok(()),
    }
}

/// Frees flushed tables: large ones in a thread of their own.
fn free(flushed: Flushed) {
    if flushed.frees() <= INLINE_FREES {
        return;
    }
    let freeing = std::thread::Builder::new()
        .name("lazy-free".into())
        .spawn(move || drop(flushed));
    if let Err(error) = freeing {
        tracing::warn!(%error, "freed flushed keys on a worker, as no thread could be started for it");
    }
}

/// FLUSHDB [ASYNC | SYNC]
pub fn flushdb(call: &mut Call<'_>) -> Outcome {
    check_mode(call)?;
    free(call.store.flush(call.store.database));
    call.reply.ok();
    Ok(())
}

/// FLUSHALL [ASYNC | SYNC]
pub fn flushall(call: &mut Call<'_>) -> Outcome {
    check_mode(call)?;
    free(call.store.flush_all());
    call.reply.ok();
    Ok(())
}

/// SWAPDB index1 index2
pub fn swapdb(call: &mut Call<'_>) -> Outcome {
    let number = |index: usize, error| {
        parse_i64(&call.args[index])
            .and_then(|n| i32::try_from(n).ok())
            .ok_or(error)
    };
    let first = number(1, Error::new("ERR invalid first DB index"))?;
    let second = number(2, Error::new("ERR invalid second DB index"))?;
    let databases = call.node.keyspace.shape().databases;
    let known = |number: i32| {
        let number = usize::try_from(number).ok().filter(|&number| number < databases);
        number.ok_or(Error::new("ERR DB index is out of range"))
    };
    let (first, second) = (known(first)?, known(second)?);
    if first != second {
        call.store.swap(first, second);
    }
    call.reply.ok();
    Ok(())
}
