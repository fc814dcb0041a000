//! LATENCY and its subcommands.

use crate::call::{Call, Error, Outcome};
use crate::command::{self, Command};
use crate::latency::History;
use crate::stats::CommandTotals;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A reply to a request that names the same commands over and over is cut off here.
const MAX_REPLY_BYTES: usize = 16 << 20;
/// Columns of GRAPH's picture.
const GRAPH_COLUMNS: usize = 80;
/// The heights that a column of the picture can have, lowest first.
const GRAPH_LEVELS: [char; 5] = ['_', '.', 'o', 'O', '#'];

/// LATENCY LATEST
pub fn latest(call: &mut Call<'_>) -> Outcome {
    let events = call.node.latency.all();
    let reply = &mut call.reply;
    reply.array(events.len());
    for (name, history) in events {
        let (at, millis) = history.samples.last().copied().unwrap_or_default();
        reply.array(4);
        reply.bulk(name.as_bytes());
        reply.int(at as i64);
        reply.int(millis as i64);
        reply.int(history.worst as i64);
    }
    Ok(())
}

/// LATENCY HISTORY event
pub fn history(call: &mut Call<'_>) -> Outcome {
    let samples = event(call).map_or_else(Vec::new, |history| history.samples);
    call.reply.array(samples.len());
    for (at, millis) in samples {
        call.reply.array(2);
        call.reply.int(at as i64);
        call.reply.int(millis as i64);
    }
    Ok(())
}

fn event(call: &Call<'_>) -> Option<History> {
    std::str::from_utf8(&call.args[2])
        .ok()
        .and_then(|name| call.node.latency.history(name))
}

/// LATENCY RESET [event ...]
pub fn reset(call: &mut Call<'_>) -> Outcome {
    let monitor = &call.node.latency;
    let count = if call.args.len() == 2 {
        monitor.reset_all()
    } else {
        let names = call
            .args
            .iter()
            .skip(2)
            .filter_map(|name| std::str::from_utf8(name).ok());
        names.filter(|name| monitor.reset(name)).count()
    };
    call.reply.len(count);
    Ok(())
}

/// LATENCY GRAPH event
pub fn graph(call: &mut Call<'_>) -> Outcome {
    let name = String::from_utf8_lossy(&call.args[2]).into_owned();
    let history = event(call).filter(|history| !history.samples.is_empty());
    let history = history.ok_or_else(|| Error::of(format!("ERR No samples available for event '{name}'")))?;
    call.reply.verbatim(&draw(&name, &history, call.store.now_ms / 1000));
    Ok(())
}

/// A column per sample, the newest at the right, under a line that tells the extremes.
fn draw(name: &str, history: &History, now_seconds: u64) -> String {
    let shown = &history.samples[history.samples.len().saturating_sub(GRAPH_COLUMNS)..];
    let high = shown.iter().map(|(_, millis)| *millis).max().unwrap_or(0);
    let low = shown.iter().map(|(_, millis)| *millis).min().unwrap_or(0);
    let oldest = shown.first().map_or(0, |(at, _)| now_seconds.saturating_sub(*at));
    let span = (high - low).max(1);
    let columns: String = shown
        .iter()
        .map(|(_, millis)| {
            let level = u128::from(millis - low) * (GRAPH_LEVELS.len() as u128 - 1) / u128::from(span);
            GRAPH_LEVELS[level as usize]
        })
        .collect();
    let worst = history.worst;
    let rule = "-".repeat(GRAPH_COLUMNS);
    format!(
        "{name} - high {high} ms, low {low} ms (all time high {worst} ms)\n{rule}\n{columns}\n{rule}\n\
         {} samples, the first {oldest} s ago\n",
        shown.len()
    )
}

/// LATENCY DOCTOR
pub fn doctor(call: &mut Call<'_>) -> Outcome {
    let threshold = call.node.config.settings().latency_monitor_threshold;
    let report = diagnose(threshold, &call.node.latency.all());
    call.reply.verbatim(&report);
    Ok(())
}

fn diagnose(threshold_ms: u64, events: &BTreeMap<&'static str, History>) -> String {
    if threshold_ms == 0 {
        return "Latency monitoring is off, so there is nothing to examine. CONFIG SET latency-monitor-threshold \
                <milliseconds> turns it on.\n"
            .to_owned();
    }
    if events.is_empty() {
        return format!("Nothing has taken {threshold_ms} ms or longer since monitoring was turned on or reset.\n");
    }
    let mut report = format!(
        "{} kind(s) of events took {threshold_ms} ms or longer:\n\n",
        events.len()
    );
    for (name, history) in events {
        let count = history.samples.len().max(1) as u64;
        let mean = history.samples.iter().map(|(_, millis)| *millis).sum::<u64>() / count;
        let advice = match *name {
            "command" => "Look for them with SLOWLOG GET: commands over large values or many keys take long.",
            "fast-command" => {
                "These take constant time, so something else held the worker up: a slow command before them, a \
                 machine without free CPU, or swapping."
            }
            _ => "See what else the machine was doing at these times: LATENCY HISTORY lists them.",
        };
        writeln!(
            report,
            "- {name}: {count} second(s) with such events, {mean} ms on average, {} ms at worst. {advice}",
            history.worst
        )
        .expect("writing to a string does not fail");
    }
    report
}

/// LATENCY HISTOGRAM [command ...]
pub fn histogram(call: &mut Call<'_>) -> Outcome {
    let workers = &call.node.workers;
    let timed = |command: &'static Command| {
        let totals = CommandTotals::of(workers, command.id);
        (totals.timed() > 0).then_some((command.full_name, totals))
    };
    let mut rows = Vec::new();
    if call.args.len() == 2 {
        rows.extend(command::all_with_subcommands().iter().filter_map(timed));
    } else {
        let known = call.args.iter().skip(2).filter_map(command::lookup_full);
        let mut bytes = 0;
        for command in known {
            let subcommands = command.subcommands().iter();
            for (name, totals) in std::iter::once(command).chain(subcommands).filter_map(timed) {
                bytes += size_of::<CommandTotals>() + 8 * crate::stats::Histogram::LEN;
                if bytes > MAX_REPLY_BYTES {
                    return Err(Error::new("ERR the reply would be too large, name fewer commands"));
                }
                rows.push((name, totals));
            }
        }
    }
    call.reply.map(rows.len());
    for (name, totals) in rows {
        let steps = totals.cumulative();
        call.reply.bulk(name.as_bytes());
        call.reply.map(2);
        call.reply.bulk(b"calls");
        call.reply.int(totals.timed() as i64);
        call.reply.bulk(b"histogram_usec");
        call.reply.map(steps.len());
        for (bound_nanos, count) in steps {
            call.reply.int((bound_nanos / 1000) as i64);
            call.reply.int(count as i64);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_shows_the_newest_samples_and_the_extremes() {
        let samples = (0..100).map(|at| (1000 + at, 50 + at)).collect();
        let text = draw("command", &History { samples, worst: 400 }, 1100);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "command - high 149 ms, low 70 ms (all time high 400 ms)");
        assert_eq!(lines[2].len(), GRAPH_COLUMNS);
        assert!(lines[2].starts_with('_') && lines[2].ends_with('#'));
        assert_eq!(lines[4], "80 samples, the first 80 s ago");
        let one = draw(
            "x",
            &History {
                samples: vec![(5, u64::MAX)],
                worst: u64::MAX,
            },
            0,
        );
        assert_eq!(one.lines().nth(2), Some("_"));
    }

    #[test]
    fn the_doctor_says_why_there_is_nothing_to_say() {
        let mut events = BTreeMap::new();
        assert!(diagnose(0, &events).contains("latency-monitor-threshold"));
        assert!(diagnose(10, &events).contains("10 ms"));
        events.insert(
            "command",
            History {
                samples: vec![(1, 20), (2, 40)],
                worst: 90,
            },
        );
        assert!(
            diagnose(10, &events).contains("command: 2 second(s) with such events, 30 ms on average, 90 ms at worst")
        );
    }
}
