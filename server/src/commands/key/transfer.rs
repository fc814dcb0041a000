//! Values that go to another key or another database: COPY, MOVE, RENAME.

use crate::call::{Call, Error, Outcome};
use crate::text::parse_i64;

const SAME_OBJECT: Error = Error::new("ERR source and destination objects are the same");

/// Reads the number of a database.
fn database(text: &[u8], databases: usize) -> Result<usize, Error> {
    let number = parse_i64(text).ok_or(Error::NOT_AN_INTEGER)?;
    let number = i32::try_from(number)
        .map_err(|_| Error::new("ERR value is out of range, value must between -2147483648 and 2147483647"))?;
    let known = usize::try_from(number).ok().filter(|&number| number < databases);
    known.ok_or(Error::new("ERR DB index is out of range"))
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub fn copy(call: &mut Call<'_>) -> Outcome {
    let (mut target, mut replace) = (call.store.database, false);
    let mut at = 3;
    while let Some(option) = call.args.get(at) {
        if option.eq_ignore_ascii_case(b"replace") {
            replace = true;
        } else if let Some(number) = call.args.get(at + 1).filter(|_| option.eq_ignore_ascii_case(b"db")) {
            target = database(number, call.node.keyspace.shape().databases)?;
            at += 1;
        } else {
            return Err(Error::SYNTAX);
        }
        at += 1;
    }
    let (from, to) = (&call.args[1], &call.args[2]);
    if target == call.store.database && from == to {
        return Err(SAME_OBJECT);
    }
    call.store.hold([from, to]);
    let mut source = call.store.key(from);
    source.read();
    let copied = source.copy();
    drop(source);
    let mut destination = call.store.key_in(target, to);
    let stored = copied.filter(|_| replace || !destination.exists());
    let done = stored.map(|stored| destination.put(stored)).is_some();
    call.reply.int(i64::from(done));
    Ok(())
}

/// MOVE key db
pub fn move_(call: &mut Call<'_>) -> Outcome {
    let target = database(&call.args[2], call.node.keyspace.shape().databases)?;
    if target == call.store.database {
        return Err(SAME_OBJECT);
    }
    let name = &call.args[1];
    call.store.hold([name]);
    let taken = !call.store.key_in(target, name).exists();
    let mut source = call.store.key(name);
    source.touch();
    let stored = if taken { source.take() } else { None };
    drop(source);
    let done = stored
        .map(|stored| call.store.key_in(target, name).put(stored))
        .is_some();
    call.reply.int(i64::from(done));
    Ok(())
}

/// Gives a key another name; false if it was not to be replaced.
fn rename_to(call: &mut Call<'_>, replace: bool) -> Result<bool, Error> {
    let (from, to) = (&call.args[1], &call.args[2]);
    call.store.hold([from, to]);
    let mut source = call.store.key(from);
    source.touch();
    if !source.exists() {
        return Err(Error::NO_SUCH_KEY);
    }
    drop(source);
    if from == to {
        return Ok(replace);
    }
    if !replace && call.store.key(to).exists() {
        return Ok(false);
    }
    let taken = call.store.key(from).take();
    if let Some(stored) = taken {
        call.store.key(to).put(stored);
    }
    Ok(true)
}

/// RENAME key newkey
pub fn rename(call: &mut Call<'_>) -> Outcome {
    rename_to(call, true)?;
    call.reply.ok();
    Ok(())
}

/// RENAMENX key newkey
pub fn renamenx(call: &mut Call<'_>) -> Outcome {
    let done = rename_to(call, false)?;
    call.reply.int(i64::from(done));
    Ok(())
}
