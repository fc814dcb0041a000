//! Commands on the bits of strings.

use crate::bits::{self, BitError, BitOp, FieldOp, Unit};
use crate::call::{Call, Error, Outcome};
use crate::commands::string::{check_len, look_at};
use crate::node::Node;
use crate::store::{NewValue, Text};
use bytes::Bytes;

impl From<BitError> for Error {
    fn from(error: BitError) -> Error {
        Error::of(error.to_string())
    }
}

/// Reads a bit offset. The limit on a string's length is looked up only for those that may exceed it.
fn offset(node: &Node, text: &[u8]) -> Result<u64, Error> {
    const CERTAIN_BYTES: u64 = 1 << 20;
    let offset = bits::parse_offset(text, None, u64::MAX)?;
    if offset >> 3 >= CERTAIN_BYTES && offset >> 3 >= node.config.settings().proto_max_bulk_len {
        return Err(BitError::Offset.into());
    }
    Ok(offset)
}

/// GETBIT key offset
pub fn getbit(call: &mut Call<'_>) -> Outcome {
    let offset = offset(call.node, &call.args[2])?;
    let mut key = call.store.key(&call.args[1]);
    key.read();
    let bit = key.text()?.is_some_and(|text| bits::get_bit(&text, offset));
    call.reply.int(i64::from(bit));
    Ok(())
}

/// SETBIT key offset value
pub fn setbit(call: &mut Call<'_>) -> Outcome {
    let offset = offset(call.node, &call.args[2])?;
    let new = bits::parse_bit(&call.args[3])?;
    let needed = bits::bytes_for(offset, 1);
    check_len(call.node, needed)?;
    let mut key = call.store.key(&call.args[1]);
    let (len, old) = match key.text()? {
        Some(text) => (text.len(), bits::get_bit(&text, offset)),
        None => (0, false),
    };
    key.edit_text_if(len.max(needed as usize), |text| {
        bits::set_bit(text, offset, new);
        // Where nothing changes nobody who watches is told.
        old != new || needed > len as u64
    });
    call.reply.int(i64::from(old));
    Ok(())
}

fn unit(word: Option<&[u8]>) -> Result<Unit, Error> {
    word.map_or(Ok(Unit::Byte), |word| Unit::parse(word).ok_or(Error::SYNTAX))
}

/// `BITCOUNT key [start end [BYTE | BIT]]`
pub fn bitcount(call: &mut Call<'_>) -> Outcome {
    let range = match call.args.len() {
        2 => None,
        4 | 5 => Some((call.int(2)?, call.int(3)?, unit(call.args.get(4))?)),
        _ => return Err(Error::SYNTAX),
    };
    let count = look_at(call.store.key(&call.args[1]), |text| match range {
        Some((start, end, unit)) => bits::bit_count_range(text, start, end, unit),
        None => bits::bit_count(text),
    })?;
    call.reply.int(count.unwrap_or(0).cast_signed());
    Ok(())
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`
pub fn bitpos(call: &mut Call<'_>) -> Outcome {
    let bit = match call.int(2)? {
        0 => false,
        1 => true,
        _ => return Err(BitError::Target.into()),
    };
    let args = call.args;
    if args.len() > 6 {
        return Err(Error::SYNTAX);
    }
    let start = if args.len() > 3 { call.int(3)? } else { 0 };
    let unit = unit(args.get(5))?;
    let end = if args.len() > 4 { Some(call.int(4)?) } else { None };
    let position = look_at(call.store.key(&args[1]), |text| {
        bits::bit_pos(text, bit, start, end, unit)
    })?;
    // An absent key reads as zeros without end.
    call.reply.int(position.unwrap_or(if bit { -1 } else { 0 }));
    Ok(())
}

/// `BITOP AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE destkey key [key ...]`
pub fn bitop(call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    let op = BitOp::parse(&args[1]).ok_or(Error::SYNTAX)?;
    if let Some(error) = op.source_error(args.len() - 3) {
        return Err(Error::new(error));
    }
    call.store.hold(args.iter().skip(2));
    let mut sources = Vec::with_capacity(args.len() - 3);
    for name in args.iter().skip(3) {
        let mut key = call.store.key(name);
        key.read();
        sources.push(match key.text()? {
            None => Bytes::new(),
            Some(Text::Inline(bytes)) => Bytes::copy_from_slice(bytes),
            Some(Text::Shared(bytes)) => bytes.clone(),
        });
    }
    let sources: Vec<&[u8]> = sources.iter().map(|source| &source[..]).collect();
    let result = bits::bit_op(op, &sources);
    let len = result.len();
    let mut key = call.store.key(&args[2]);
    if result.is_empty() {
        key.remove();
    } else {
        key.set(NewValue::Built(result.into()), None);
    }
    call.reply.len(len);
    Ok(())
}

/// BITFIELD key [operation ...]
pub fn bitfield(call: &mut Call<'_>) -> Outcome {
    run_fields(call, false)
}

/// BITFIELD_RO key [GET encoding offset ...]
pub fn bitfield_ro(call: &mut Call<'_>) -> Outcome {
    run_fields(call, true)
}

fn run_fields(call: &mut Call<'_>, read_only: bool) -> Outcome {
    let max_bytes = call.node.config.settings().proto_max_bulk_len;
    let ops = bits::parse_field_ops(call.args.iter().skip(2), read_only, max_bytes)?;
    let needed = ops.iter().filter_map(FieldOp::bytes_needed).max();
    // As in Redis the limit is on the offset: a field that begins below it may end a little above.
    check_len(call.node, needed.unwrap_or(0).saturating_sub(8))?;
    let mut key = call.store.key(&call.args[1]);
    let mut replies = Vec::with_capacity(ops.len());
    match needed {
        None => {
            key.read();
            let text = key.text()?;
            let text = text.as_deref().unwrap_or_default();
            replies.extend(ops.iter().map(|op| op.read(text)));
        }
        Some(needed) => {
            let old = key.text()?.map_or(0, |text| text.len());
            // As in Redis the string grows even if an operation then fails.
            key.edit_text_if(old.max(needed as usize), |text| {
                let (mut changed, grown) = (false, text.len() > old);
                replies.extend(ops.iter().map(|op| {
                    let before = op.kind.get(text, op.offset);
                    let result = op.run(text);
                    let written = op.bytes_needed().is_some() && result.is_some();
                    changed |= written && (grown || op.kind.get(text, op.offset) != before);
                    result
                }));
                changed
            });
        }
    }
    call.reply.array(replies.len());
    for reply in replies {
        match reply {
            Some(number) => call.reply.int(number),
            None => call.reply.null(),
        }
    }
    Ok(())
}
