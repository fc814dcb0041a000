//! CONFIG and its subcommands.

use crate::call::{Call, Error, Outcome};
use crate::server::raise_file_limit;

/// CONFIG GET pattern [pattern ...]
pub fn get(call: &mut Call<'_>) -> Outcome {
    let patterns: Vec<&[u8]> = call.args.iter().skip(2).collect();
    let found = call.node.config.get(&patterns);
    call.reply.map(found.len());
    for (name, value) in found {
        // As in Redis a name that was asked for literally comes back as it was spelt.
        let spelt = patterns
            .iter()
            .find(|pattern| pattern.eq_ignore_ascii_case(name.as_bytes()));
        call.reply.bulk(spelt.copied().unwrap_or(name.as_bytes()));
        call.reply.bulk(value.as_bytes());
    }
    Ok(())
}

/// CONFIG SET name value [name value ...]
pub fn set(call: &mut Call<'_>) -> Outcome {
    if !call.args.len().is_multiple_of(2) {
        return Err(Error::SYNTAX);
    }
    let words: Vec<&[u8]> = call.args.iter().skip(2).collect();
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let applied = call
        .node
        .config
        .set(&pairs)
        .map_err(|error| Error::of(error.to_string()))?;
    // Workers take the rest over at their next turn. Values stay out of the log, as some are secrets.
    call.node.apply(&applied.settings);
    if applied.changed.contains(&"maxclients") {
        raise_file_limit(&applied.settings);
    }
    applied.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if !applied.changed.is_empty() {
        tracing::info!(settings = %applied.changed.join(" "), "settings were changed by CONFIG SET");
    }
    call.reply.ok();
    Ok(())
}

/// CONFIG REWRITE
///
/// Runs on the worker's thread, which waits for the disk: an operator asks for it, and seldom.
pub fn rewrite(call: &mut Call<'_>) -> Outcome {
    if let Err(error) = call.node.config.rewrite() {
        tracing::warn!(%error, "CONFIG REWRITE failed");
        return Err(Error::of(error.to_string()));
    }
    tracing::info!("CONFIG REWRITE wrote the configuration file");
    call.reply.ok();
    Ok(())
}

/// CONFIG RESETSTAT
pub fn resetstat(call: &mut Call<'_>) -> Outcome {
    call.node.reset_stats();
    call.store.reset_counters();
    call.reply.ok();
    Ok(())
}
