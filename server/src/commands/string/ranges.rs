//! Parts of strings: APPEND, SETRANGE, GETRANGE, and STRLEN.

use super::{check_len, value};
use crate::call::{Call, Error, Outcome};
use crate::store::Text;
use crate::text::clamp_range;

/// STRLEN key
pub fn strlen(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[1]);
    key.read();
    let len = key.text()?.map_or(0, |text| text.len());
    call.reply.len(len);
    Ok(())
}

/// APPEND key value
pub fn append(call: &mut Call<'_>) -> Outcome {
    let more = &call.args[2];
    let mut key = call.store.key(&call.args[1]);
    let len = match key.text()? {
        Some(text) => {
            let (old, len) = (text.len(), text.len().saturating_add(more.len()));
            check_len(call.node, len as u64)?;
            key.edit_text(len, |text| text[old..].copy_from_slice(more));
            len
        }
        None => {
            key.set(value(&call.args, 2), None);
            more.len()
        }
    };
    call.reply.len(len);
    Ok(())
}

/// SETRANGE key offset value
pub fn setrange(call: &mut Call<'_>) -> Outcome {
    let offset = usize::try_from(call.int(2)?).map_err(|_| Error::new("ERR offset is out of range"))?;
    let part = &call.args[3];
    let mut key = call.store.key(&call.args[1]);
    let old = key.text()?.map_or(0, |text| text.len());
    if part.is_empty() {
        call.reply.len(old);
        return Ok(());
    }
    let end = offset.saturating_add(part.len());
    check_len(call.node, end as u64)?;
    let len = old.max(end);
    key.edit_text(len, |text| text[offset..end].copy_from_slice(part));
    call.reply.len(len);
    Ok(())
}

/// GETRANGE key start end, and SUBSTR
pub fn getrange(call: &mut Call<'_>) -> Outcome {
    let (start, end) = (call.int(2)?, call.int(3)?);
    let mut key = call.store.key(&call.args[1]);
    key.read();
    let Some(text) = key.text()? else {
        call.reply.bulk(b"");
        return Ok(());
    };
    match (clamp_range(start, end, text.len()), text) {
        (None, _) => call.reply.bulk(b""),
        (Some(range), Text::Inline(bytes)) => call.reply.bulk(&bytes[range]),
        (Some(range), Text::Shared(bytes)) => call.reply.bulk_shared(&bytes.slice(range)),
    }
    Ok(())
}
