//! One run: the app's requests in real time, against a node that is started for it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::{Options, Outcome};
use crate::rng::Rng;
use crate::server::Server;

/// What is stored; its size does not matter here.
const VALUE: &str = "0123456789abcdef";
/// How long the app waits for requests to come together; far below a bin.
const TICK: Duration = Duration::from_millis(1);
/// How many keys are stored before their replies are read.
const FILL_BATCH: u32 = 1000;

/// Runs the app against a node with this `ttl-jitter`.
///
/// # Errors
/// If the node does not answer as a cache does.
///
/// # Panics
/// If the node does not start; the message has its output.
pub fn run(options: &Options, jitter: u32) -> anyhow::Result<Outcome> {
    let server = Server::larder(&["--ttl-jitter", &jitter.to_string()]);
    let stream = TcpStream::connect(("127.0.0.1", server.port())).context("cannot connect to the node")?;
    stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
    let bins = (u64::from(options.ttl_ms) * u64::from(options.rounds)).div_ceil(u64::from(options.bin_ms));
    let mut app = App {
        options,
        input: BufReader::new(stream.try_clone().context("cannot share the connection")?),
        stream,
        output: Vec::new(),
        loading: VecDeque::new(),
        outcome: Outcome {
            jitter,
            requests: 0,
            bins: vec![0; usize::try_from(bins).context("too many bins")?],
            late_ms: 0,
        },
    };
    app.fill()?;
    app.serve()?;
    Ok(app.outcome)
}

struct App<'a> {
    options: &'a Options,
    stream: TcpStream,
    input: BufReader<TcpStream>,
    output: Vec<u8>,
    /// Keys that are being loaded, and when that is done; in order, as every load takes the same time.
    loading: VecDeque<(Duration, u32)>,
    outcome: Outcome,
}

impl App<'_> {
    fn fill(&mut self) -> anyhow::Result<()> {
        for first in (0..self.options.keys).step_by(FILL_BATCH as usize) {
            let last = first.saturating_add(FILL_BATCH).min(self.options.keys);
            (first..last).for_each(|key| self.store(key));
            self.send()?;
            self.read_stored(last - first)?;
        }
        Ok(())
    }

    /// Sends what is due, tick by tick, until all bins are over.
    fn serve(&mut self) -> anyhow::Result<()> {
        let mut rng = Rng::new(self.options.seed);
        let bin = Duration::from_millis(u64::from(self.options.bin_ms));
        let origin = Duration::from_millis(u64::from(self.options.origin_ms));
        let end = bin * u32::try_from(self.outcome.bins.len()).context("too many bins")?;
        let mean_gap = 1.0 / f64::from(self.options.rate);
        let mut next = gap(&mut rng, mean_gap);
        let start = Instant::now();
        while next < end {
            let now = start.elapsed();
            if next > now {
                std::thread::sleep((next - now).max(TICK));
                continue;
            }
            let late_ms = u64::try_from((now - next).as_millis()).unwrap_or(u64::MAX);
            self.outcome.late_ms = self.outcome.late_ms.max(late_ms);
            let mut stored = 0;
            while let Some((_, key)) = self.loading.pop_front_if(|(due, _)| *due <= now) {
                self.store(key);
                stored += 1;
            }
            let mut asked = Vec::new();
            while next <= now && next < end {
                let key = u32::try_from(rng.below(self.options.keys as usize)).context("keys fit 32 bits")?;
                self.output.extend(format!("GET key:{key}\r\n").into_bytes());
                asked.push((next, key));
                next += gap(&mut rng, mean_gap);
            }
            self.send()?;
            self.read_stored(stored)?;
            for (at, key) in asked {
                self.outcome.requests += 1;
                if !self.read_found()? {
                    let index = usize::try_from(at.as_millis() / bin.as_millis()).context("too many bins")?;
                    self.outcome.bins[index] += 1;
                    self.loading.push_back((now + origin, key));
                }
            }
        }
        Ok(())
    }

    fn store(&mut self, key: u32) {
        let ttl_ms = self.options.ttl_ms;
        self.output
            .extend(format!("SET key:{key} {VALUE} PX {ttl_ms}\r\n").into_bytes());
    }

    fn send(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.output).context("cannot send")?;
        self.output.clear();
        Ok(())
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.input.read_line(&mut line).context("cannot receive")?;
        Ok(line)
    }

    fn read_stored(&mut self, count: u32) -> anyhow::Result<()> {
        for _ in 0..count {
            let line = self.line()?;
            if line != "+OK\r\n" {
                bail!("the node answered SET with {line:?}");
            }
        }
        Ok(())
    }

    fn read_found(&mut self) -> anyhow::Result<bool> {
        let line = self.line()?;
        match line.as_str() {
            "$-1\r\n" => Ok(false),
            text if text.starts_with('$') => self.line().map(|_| true),
            other => bail!("the node answered GET with {other:?}"),
        }
    }
}

/// The time to the next arrival of a Poisson process.
fn gap(rng: &mut Rng, mean: f64) -> Duration {
    // In (0, 1], so that its logarithm is finite.
    let uniform = ((rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    Duration::from_secs_f64(-uniform.ln() * mean)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::gap;
    use crate::rng::Rng;

    #[test]
    fn arrivals_come_at_the_rate_asked_for() {
        let mut rng = Rng::new(1);
        let total: Duration = (0..100_000).map(|_| gap(&mut rng, 0.001)).sum();
        assert!((99.0..101.0).contains(&total.as_secs_f64()), "{total:?}");
    }
}
