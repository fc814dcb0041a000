//! `larder bench`: a load generator.
//!
//! It has its own connections instead of the library's: what it measures is the server, so it must need less CPU than
//! that. One thread, one task per connection, no allocation per request; replies are counted, not kept.

mod connection;
mod engine;
mod keys;
mod options;
mod progress;
mod replies;
mod report;
mod requests;
mod tally;

pub(crate) use options::Options;

use crate::link::{self, PoolNode};
use crate::output;
use anyhow::Context;
use connection::Socket;
use engine::{Amount, Engine, Phase};
use keys::{Keys, Zipf};
use larder_client::Target;
use larder_cluster::placement::Table;
use progress::Progress;
use report::Report;
use requests::{Generator, Shape};
use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinHandle, LocalSet};

/// How often silent connections are looked for, and whether all is done.
const TICK: Duration = Duration::from_millis(10);
/// How many connections are made at the same time.
const CONNECTING: usize = 64;
/// A pacer sleeps no closer to what is due than this, which is more than timers may be late.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// Puts load on the nodes and prints how they answered.
///
/// # Errors
/// If the options contradict each other, a node cannot be reached at the start, or a file cannot be written.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    options.check()?;
    let (nodes, table) = link::pool(&options.nodes.urls)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = LocalSet::new().block_on(&runtime, load(options, &nodes, table))?;
    if let Some(path) = &options.histogram {
        std::fs::write(path, report.percentiles()).with_context(|| path.display().to_string())?;
    }
    if options.json {
        output::print_json(&report.json())?;
    } else {
        output::print(report.text())?;
    }
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn load(options: &Options, nodes: &[PoolNode], table: Table) -> anyhow::Result<Report> {
    let names = nodes.iter().map(|node| node.member.name.clone()).collect();
    let targets: Vec<Target> = nodes.iter().map(|node| node.target.clone()).collect();
    // One node owns all, so nobody needs to look.
    let table = (nodes.len() > 1).then_some(table);
    let per_node = options.connections_per_node();
    let patience = options.nodes.patience.timeout;
    let sockets = connect_all(&targets, per_node, patience).await?;
    let shape = Shape {
        prefix: &options.prefix,
        get_share: options.ratio,
        sizes: options.size.clone(),
        ttl_ms: options.ttl.map(|ttl| ttl.as_millis().max(1) as u64),
        seed: options.seed.unwrap_or_else(|| fastrand::u64(..)),
    };
    let generator = Generator::new(&shape, Keys::Ascending { next: 0 });
    let engine = Engine::new(generator, table, per_node, u64::from(options.clients), patience);
    let engine = Rc::new(RefCell::new(engine));
    for (at, socket) in sockets.into_iter().enumerate() {
        let target = targets[at / per_node].clone();
        tokio::task::spawn_local(connection::run(Rc::clone(&engine), at, socket, target, patience));
    }
    let (phase, was_stopped) = phases(options, &engine).await?;
    Ok(Report::new(options, names, per_node, phase, was_stopped))
}

/// As many connections to each node, in the order of the nodes.
async fn connect_all(targets: &[Target], per_node: usize, patience: Duration) -> anyhow::Result<Vec<Box<dyn Socket>>> {
    let all: Vec<&Target> = targets
        .iter()
        .flat_map(|target| std::iter::repeat_n(target, per_node))
        .collect();
    let mut sockets = Vec::with_capacity(all.len());
    for some in all.chunks(CONNECTING) {
        let attempt = |target: &&Target| {
            let target = (*target).clone();
            tokio::task::spawn_local(async move { (connection::connect(&target, patience).await, target) })
        };
        let attempts: Vec<JoinHandle<_>> = some.iter().map(attempt).collect();
        for attempt in attempts {
            let (socket, target) = attempt.await?;
            sockets.push(socket.with_context(|| format!("{}: could not connect", target.address))?);
        }
    }
    Ok(sockets)
}

/// Fills, warms up, measures; returns what was measured, and whether somebody stopped it.
async fn phases(options: &Options, engine: &Rc<RefCell<Engine>>) -> anyhow::Result<(Phase, bool)> {
    let mut stopped = false;
    if options.fill {
        let all = Amount {
            requests: options.keys,
            limit: None,
            rate: None,
        };
        let filled = phase(engine, "filling", all, &mut stopped).await?;
        let errors = &filled.tally.errors;
        anyhow::ensure!(errors.is_empty(), "filling failed: {}", report::kinds(errors));
    }
    engine.borrow_mut().generator.keys = match options.zipf {
        None => Keys::Uniform { count: options.keys },
        Some(exponent) => Keys::Zipf(Zipf::new(options.keys, exponent)),
    };
    if !options.warmup.is_zero() && !stopped {
        let warmup = Amount {
            requests: u64::MAX,
            limit: Some(options.warmup),
            rate: options.rate,
        };
        phase(engine, "warming up", warmup, &mut stopped).await?;
    }
    let measured = Amount {
        requests: if stopped {
            0
        } else {
            options.requests.unwrap_or(u64::MAX)
        },
        limit: options.limit(),
        rate: options.rate,
    };
    Ok((phase(engine, "measuring", measured, &mut stopped).await?, stopped))
}

/// Works off one amount.
async fn phase(
    engine: &Rc<RefCell<Engine>>,
    name: &'static str,
    amount: Amount,
    stopped: &mut bool,
) -> anyhow::Result<Phase> {
    engine.borrow_mut().begin(amount);
    let pacer = tokio::task::spawn_local(pace(Rc::clone(engine)));
    let mut progress = Progress::new(name);
    let mut interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    while !engine.borrow().is_over() {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {
                engine.borrow_mut().find_silent();
                progress.show(&engine.borrow().phase);
            }
            _ = interrupts.recv() => {
                // The second time, what is in flight is not waited for.
                anyhow::ensure!(!*stopped, "interrupted");
                *stopped = true;
                engine.borrow_mut().stop();
            }
        }
    }
    pacer.await?;
    progress.clear();
    let nothing = Amount {
        requests: 0,
        limit: None,
        rate: None,
    };
    let phase = engine.borrow_mut().begin(nothing);
    Ok(phase)
}

/// Sends the requests of an open loop when they are due.
async fn pace(engine: Rc<RefCell<Engine>>) {
    loop {
        let Some(wait) = engine.borrow_mut().send_due() else {
            return;
        };
        // Timers tick in milliseconds and requests are due microseconds apart, so the rest of the way is watched.
        match wait.checked_sub(TIMER_SLACK) {
            // Not long in any case: somebody may stop the run.
            Some(wait) => tokio::time::sleep(wait.min(TICK)).await,
            None => tokio::task::yield_now().await,
        }
    }
}
