//! The `larder-server` binary: reads the settings and runs a node until it is told to stop.

use larder_server::config::{Config, LoadError, LogFormat, Settings};
use larder_server::logging;
use larder_server::node::Node;
use larder_server::server::Server;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let config = match Config::load(std::env::args_os(), std::env::vars_os()) {
        Ok(config) => config,
        Err(LoadError::CommandLine(error)) => error.exit(),
        Err(error) => return fail(&error.to_string()),
    };
    let settings = config.settings();
    if let Err(error) = logging::start(&settings) {
        return fail(&error.to_string());
    }
    match serve(config) {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let problem = format!("{error:#}");
            if !settings.logfile.is_empty() {
                tracing::error!("{problem}");
            }
            fail(&problem)
        }
    }
}

fn fail(problem: &str) -> ExitCode {
    eprintln!("larder-server: {problem}");
    ExitCode::FAILURE
}

fn serve(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let warnings = config.warnings().to_vec();
    runtime.block_on(async {
        let signals = Signals::listen()?;
        let server = Server::start(Node::new(config))?;
        let node = server.node();
        let settings = node.config.settings();
        let traces = Traces::leave(&settings, server.unix_path());
        announce(&server, &settings);
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        warn_if_open(&settings);
        tokio::spawn(signals.obey(node, traces.clone()));
        tracing::info!(
            addresses = addresses(&server),
            metrics = server.metrics_address().map(tracing::field::display),
            "Ready to accept connections"
        );
        let result = server.run().await;
        traces.remove();
        result
    })
}

/// Files that tell others of this process, for as long as it runs.
#[derive(Clone)]
struct Traces {
    pidfile: Option<PathBuf>,
    socket: Option<PathBuf>,
}

impl Traces {
    /// Writes the pidfile; as in Redis, one that cannot be written is no reason not to serve.
    fn leave(settings: &Settings, socket: Option<&Path>) -> Traces {
        let wanted = (!settings.pidfile.is_empty()).then(|| settings.path(&settings.pidfile));
        let pidfile = wanted.filter(|path| {
            let written = std::fs::write(path, format!("{}\n", std::process::id()));
            if let Err(error) = &written {
                tracing::warn!(path = %path.display(), %error, "cannot write the pidfile");
            }
            written.is_ok()
        });
        Traces {
            pidfile,
            socket: socket.map(Path::to_owned),
        }
    }

    fn remove(&self) {
        for path in [&self.pidfile, &self.socket].into_iter().flatten() {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn announce(server: &Server, settings: &Settings) {
    let node = server.node();
    let (version, pid, workers) = (env!("CARGO_PKG_VERSION"), std::process::id(), node.workers.len());
    let limit = node.memory_limit.load(Ordering::Relaxed);
    if settings.logfile.is_empty() && settings.log_format == LogFormat::Human && std::io::stdout().is_terminal() {
        let (addresses, gib) = (addresses(server), limit as f64 / f64::from(1 << 30));
        println!(
            "\n  Larder {version}, a cache that speaks RESP\n  {addresses}\n  pid {pid}, {workers} workers, memory limit {gib:.2} GiB\n"
        );
    }
    let config = node.config.file().map(|file| tracing::field::display(file.display()));
    let policy = settings.maxmemory_policy.name();
    tracing::info!(
        version,
        pid,
        workers,
        memory_limit_bytes = limit,
        policy,
        config,
        "Larder starts"
    );
}

/// All that clients can connect to, separated by spaces.
fn addresses(server: &Server) -> String {
    let tcp = server.addresses().into_iter().map(|address| address.to_string());
    let unix = server.unix_path().map(|path| path.display().to_string());
    tcp.chain(unix).collect::<Vec<_>>().join(" ")
}

fn warn_if_open(settings: &Settings) {
    let local = |name: &String| matches!(name.trim_start_matches('-'), "127.0.0.1" | "::1" | "localhost");
    let exposed = settings.port != 0 && !settings.bind.iter().all(local);
    if exposed && settings.requirepass.is_empty() && !settings.protected_mode {
        tracing::warn!(
            "whoever reaches this machine can read and change all data: set requirepass, or bind to 127.0.0.1"
        );
    }
}

/// The signals that the process obeys, from before it can be found by others.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// SIGTERM and SIGINT drain the node, and the second of them ends the process at once; SIGHUP opens the log file
    /// anew.
    async fn obey(mut self, node: Arc<Node>, traces: Traces) {
        let mut told = false;
        loop {
            let name = tokio::select! {
                () = received(&mut self.terminate) => "SIGTERM",
                () = received(&mut self.interrupt) => "SIGINT",
                () = received(&mut self.hang_up) => {
                    logging::reopen();
                    continue;
                }
            };
            if std::mem::replace(&mut told, true) {
                tracing::warn!(signal = name, "told to stop again: exiting at once");
                traces.remove();
                std::process::exit(1);
            }
            tracing::info!(signal = name, "told to stop");
            node.shut_down();
        }
    }
}

async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}
