//! SLOWLOG and its subcommands.

use crate::call::{Call, Error, Outcome};
use crate::text::parse_i64;

/// Entries that GET returns when it is not told how many.
const DEFAULT_COUNT: usize = 10;

/// `SLOWLOG GET [count]`
pub fn get(call: &mut Call<'_>) -> Outcome {
    if call.args.len() > 3 {
        let name = String::from_utf8_lossy(&call.args[1]).into_owned();
        return Err(Error::of(format!(
            "ERR unknown subcommand or wrong number of arguments for '{name}'. Try SLOWLOG HELP."
        )));
    }
    let count = match call.args.get(2).map(parse_i64) {
        None => DEFAULT_COUNT,
        Some(Some(-1)) => usize::MAX,
        Some(count) => count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(Error::new("ERR count should be greater than or equal to -1"))?,
    };
    let entries = call.node.slowlog.newest(count);
    let reply = &mut call.reply;
    reply.array(entries.len());
    for slow in entries {
        reply.array(6);
        reply.int(slow.id as i64);
        reply.int(slow.at as i64);
        reply.int(slow.micros as i64);
        reply.array(slow.args.len());
        slow.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(slow.address.as_bytes());
        reply.bulk(slow.name.as_bytes());
    }
    Ok(())
}

/// SLOWLOG LEN
pub fn len(call: &mut Call<'_>) -> Outcome {
    call.reply.len(call.node.slowlog.len());
    Ok(())
}

/// SLOWLOG RESET
pub fn reset(call: &mut Call<'_>) -> Outcome {
    call.node.slowlog.reset();
    call.reply.ok();
    Ok(())
}
