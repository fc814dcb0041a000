//! The INFO command: which sections, and the reply.

use crate::call::{Call, Outcome};
use crate::info::render;

/// INFO [section ...]
pub fn info(call: &mut Call<'_>) -> Outcome {
    let sections: Vec<&[u8]> = call.args.iter().skip(1).collect();
    let text = render(call.node, &mut call.store, &sections);
    call.reply.verbatim(&text);
    Ok(())
}
