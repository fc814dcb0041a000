//! TIME, LASTSAVE, ROLE, LOLWUT, SHUTDOWN.

use crate::call::{Call, Error, Outcome};
use crate::node::unix_micros;
use crate::text::parse_i64;
use crate::version::{LARDER_VERSION, REDIS_VERSION};

/// TIME
pub fn time(call: &mut Call<'_>) -> Outcome {
    let micros = unix_micros();
    call.reply.array(2);
    call.reply.bulk((micros / 1_000_000).to_string().as_bytes());
    call.reply.bulk((micros % 1_000_000).to_string().as_bytes());
    Ok(())
}

/// LASTSAVE: the node's start, as nothing is ever saved.
pub fn lastsave(call: &mut Call<'_>) -> Outcome {
    call.reply.int((call.node.started_ms / 1000) as i64);
    Ok(())
}

/// ROLE: a primary without replicas.
pub fn role(call: &mut Call<'_>) -> Outcome {
    call.reply.array(3);
    call.reply.bulk(b"master");
    call.reply.int(0);
    call.reply.array(0);
    Ok(())
}

const PICTURE: &str = r"
      _____________________________
     |  ___    ___    ___    ___  |
     | (k:v)  (k:v)  (k:v)  (k:v) |
     |============================|
     |  ___    ___           ___  |
     | (k:v)  (k:v)    .    (k:v) |
     |============================|
     |  ___           ___    ___  |
     | (k:v)    .    (k:v)  (k:v) |
     |____________________________|
      |_|                      |_|
";

/// LOLWUT [VERSION version]
pub fn lolwut(call: &mut Call<'_>) -> Outcome {
    let asks_version = call
        .args
        .get(1)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"version"));
    if let Some(version) = call.args.get(2).filter(|_| asks_version) {
        parse_i64(version).ok_or(Error::NOT_AN_INTEGER)?;
    }
    call.reply.verbatim(&format!(
        "{PICTURE}\nA larder keeps what is needed soon.\nLarder ver. {LARDER_VERSION}, speaks Redis ver. {REDIS_VERSION}\n"
    ));
    Ok(())
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]`
///
/// There is nothing to save, and connections finish what was read whatever is asked for.
pub fn shutdown(call: &mut Call<'_>) -> Outcome {
    let (mut save, mut nosave, mut abort, mut other) = (false, false, false, false);
    for option in call.args.iter().skip(1) {
        match option.to_ascii_lowercase().as_slice() {
            b"save" => save = true,
            b"nosave" => nosave = true,
            b"now" | b"force" => other = true,
            b"abort" => abort = true,
            _ => return Err(Error::SYNTAX),
        }
    }
    if save && nosave || abort && (save || nosave || other) {
        return Err(Error::SYNTAX);
    }
    if abort {
        return Err(Error::new("ERR No shutdown in progress."));
    }
    tracing::warn!(client = %call.client.peer.address, "a client asked the node to shut down");
    call.client.close = true;
    call.node.shut_down();
    Ok(())
}
