//! Commands about the connection itself.

use crate::call::{Call, Outcome};

/// PING [message]
pub fn ping(call: &mut Call<'_>) -> Outcome {
    match call.args.get(1) {
        None => call.reply.simple("PONG"),
        Some(message) => call.reply.bulk(message),
    }
    Ok(())
}
