//! `larder ping`: whether nodes answer, how fast, and what they are.

use crate::info::Info;
use crate::link::{Link, Looked};
use crate::output::{self, Align, Style, Table, styled};
use crate::units;
use clap::Args;
use larder_client::{Error, cmd};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Ping nodes: round trips, and the version of what answers.
///
/// All nodes are pinged at the same time, each with one ping after the other. Ends with exit code 1 if a node never
/// answers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  larder ping
  larder ping 10.0.0.1 10.0.0.2:6380 unix:///run/larder.sock
  larder ping -c 1000 -i 1ms --json 10.0.0.1")]
pub(crate) struct Options {
    #[command(flatten)]
    nodes: Looked,
    /// How many pings each node gets.
    #[arg(short, long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// From one ping's reply to the next ping.
    #[arg(short, long, value_name = "DURATION", default_value = "100ms", value_parser = units::duration)]
    interval: Duration,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What became of one node's pings.
#[derive(Debug)]
struct Outcome {
    name: String,
    /// In ascending order.
    round_trips: Vec<Duration>,
    sent: u32,
    program: Option<String>,
    /// Why the ping failed that failed last.
    error: Option<String>,
}

/// Pings the nodes and prints what came back.
///
/// # Errors
/// If a URL makes no sense.
pub(crate) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut config = options.nodes.patience.config();
    // Down for a moment is not down for good: the next ping must not wait for a long backoff.
    config.backoff_max = options.interval.clamp(config.backoff_min, Duration::from_secs(1));
    let mut tasks = Vec::new();
    for link in options.nodes.links(&config)? {
        tasks.push(tokio::spawn(ping(link, options.count, options.interval)));
    }
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await?);
    }
    if options.json {
        output::print_json(&outcomes.iter().map(Outcome::json).collect())?;
    } else {
        output::print(table(&outcomes))?;
    }
    let all_answer = outcomes.iter().all(|outcome| !outcome.round_trips.is_empty());
    Ok(if all_answer {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn ping(link: Link, count: u32, interval: Duration) -> Outcome {
    let mut outcome = Outcome {
        name: link.name.clone(),
        round_trips: Vec::new(),
        sent: 0,
        program: None,
        error: None,
    };
    // The first call waits for the connection, so it is no round trip. It also asks what the node is.
    match link.call(&cmd("INFO server")).await {
        Ok(info) => outcome.program = info.as_bytes().and_then(|text| Info::parse(text).program()),
        // Some users may PING and no more.
        Err(Error::Server(_)) => {}
        Err(error) => {
            outcome.error = Some(link.why(&error));
            return outcome;
        }
    }
    let ping = cmd("PING");
    while outcome.sent < count {
        if outcome.sent > 0 {
            tokio::time::sleep(interval).await;
        }
        outcome.sent += 1;
        let began = Instant::now();
        match link.call(&ping).await {
            Ok(_) => outcome.round_trips.push(began.elapsed()),
            Err(error) => outcome.error = Some(link.why(&error)),
        }
    }
    outcome.round_trips.sort_unstable();
    outcome
}

impl Outcome {
    fn mean(&self) -> Duration {
        let count = u32::try_from(self.round_trips.len()).unwrap_or(u32::MAX).max(1);
        self.round_trips.iter().sum::<Duration>() / count
    }

    /// The round trip that a share of all was no longer than ("nearest rank").
    fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.round_trips.len() as f64).ceil() as usize;
        let at = rank.saturating_sub(1);
        self.round_trips.get(at).copied().unwrap_or_default()
    }

    fn json(&self) -> serde_json::Value {
        let us = |duration: Duration| duration.as_nanos() as f64 / 1000.0;
        let answered = !self.round_trips.is_empty();
        let figure = |duration: Duration| answered.then(|| us(duration));
        json!({
            "node": self.name,
            "reachable": answered,
            "sent": self.sent,
            "received": self.round_trips.len(),
            "min_us": figure(self.quantile(0.0)),
            "mean_us": figure(self.mean()),
            "p99_us": figure(self.quantile(0.99)),
            "max_us": figure(self.quantile(1.0)),
            "server": self.program,
            "error": self.error,
        })
    }
}

fn table(outcomes: &[Outcome]) -> String {
    let heads = ["sent", "lost", "min", "mean", "p99", "max"].map(|head| (Align::Right, head));
    let mut columns = vec![(Align::Left, "node")];
    columns.extend(heads);
    columns.push((Align::Left, "server"));
    let mut table = Table::new(&columns);
    let mut remarks = String::new();
    for outcome in outcomes {
        if outcome.round_trips.is_empty() {
            let what = format!("unreachable: {}", outcome.error.as_deref().unwrap_or_default());
            table.row(vec![outcome.name.clone(), styled(Style::Bad, &what)]);
            continue;
        }
        if let Some(error) = &outcome.error {
            remarks.push_str(&format!("{}: {error}\n", outcome.name));
        }
        let mut cells = vec![outcome.name.clone(), outcome.sent.to_string()];
        cells.push((outcome.sent as usize - outcome.round_trips.len()).to_string());
        let times = [
            outcome.quantile(0.0),
            outcome.mean(),
            outcome.quantile(0.99),
            outcome.quantile(1.0),
        ];
        cells.extend(times.map(units::short));
        cells.push(outcome.program.clone().unwrap_or_else(|| "?".to_string()));
        table.row(cells);
    }
    table.render() + &remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(micros: &[u64]) -> Outcome {
        Outcome {
            name: "a:1".to_string(),
            round_trips: micros.iter().copied().map(Duration::from_micros).collect(),
            sent: 100,
            program: Some("larder 0.1.0".to_string()),
            error: None,
        }
    }

    #[test]
    fn quantiles_are_round_trips_that_happened() {
        let micros: Vec<u64> = (1..=200).collect();
        let outcome = outcome(&micros);
        assert_eq!(outcome.quantile(0.0), Duration::from_micros(1));
        assert_eq!(outcome.quantile(0.99), Duration::from_micros(198));
        assert_eq!(outcome.quantile(1.0), Duration::from_micros(200));
        assert_eq!(outcome.mean(), Duration::from_nanos(100_500));
    }

    #[test]
    fn a_node_that_never_answered_has_no_times() {
        let json = outcome(&[]).json();
        assert_eq!(json["reachable"], false);
        assert!(json["min_us"].is_null());
        assert!(table(&[outcome(&[])]).contains("a:1   unreachable:"));
    }
}
