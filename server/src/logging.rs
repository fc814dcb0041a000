//! Logs: where they go, in what form, and how much of them, as the settings say.
//!
//! Logs never contain keys or values unless `log-keys` is on; who logs something that may hold one asks [`keys_allowed`].

use crate::config::{LogFormat, LogLevel, Settings};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Whose events `loglevel` applies to. The crates beneath us log at most warnings, as theirs may show what a peer sent.
const OWN: [&str; 2] = ["larder_server", "larder_cluster"];

static LOG_KEYS: AtomicBool = AtomicBool::new(false);
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    filter: reload::Handle<Targets, Registry>,
    sink: &'static Sink,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log file cannot be written.
    #[error("cannot write the log file '{}': {source}; set logfile to a path that can be written", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else in this process has set up logging.
    #[error("logging was started already")]
    Started,
}

/// Starts the process's logging, and has panics logged.
///
/// # Errors
/// A log file that cannot be opened, or logging that runs already.
pub fn start(settings: &Settings) -> Result<(), StartError> {
    let path = (!settings.logfile.is_empty()).then(|| settings.path(&settings.logfile));
    let colours = path.is_none() && io::stdout().is_terminal();
    let sink: &'static Sink = Box::leak(Box::new(Sink::open(path)?));
    let (filter, handle) = reload::Layer::new(targets(settings.loglevel));
    tracing_subscriber::registry()
        .with(filter)
        .with(layer(settings.log_format, sink, colours))
        .try_init()
        .map_err(|_| StartError::Started)?;
    let _ = LOG.set(Log { filter: handle, sink });
    apply(settings);
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Takes over the settings that may change while the node runs: `loglevel` and `log-keys`.
pub fn apply(settings: &Settings) {
    LOG_KEYS.store(settings.log_keys, Ordering::Relaxed);
    if let Some(log) = LOG.get() {
        // It fails only if the subscriber is gone, which is as lasting as the process.
        let _ = log.filter.reload(targets(settings.loglevel));
    }
}

/// Opens the log file anew, after something like logrotate has moved it away.
pub fn reopen() {
    match LOG.get().map(|log| log.sink.reopen()) {
        Some(Ok(true)) => tracing::info!("the log file was opened anew"),
        Some(Err(error)) => tracing::warn!(%error, "cannot open the log file anew; the old one stays in use"),
        Some(Ok(false)) | None => {}
    }
}

/// Whether logs may contain keys and values: the setting `log-keys`.
pub fn keys_allowed() -> bool {
    LOG_KEYS.load(Ordering::Relaxed)
}

/// Redis has four levels and so have we, but `tracing` names them otherwise: its `WARN` and `ERROR` are our `warning`.
fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::TRACE,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Nothing => LevelFilter::OFF,
    }
}

fn targets(wanted: LogLevel) -> Targets {
    let level = level(wanted);
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(OWN.map(|name| (name, level)))
}

fn layer<S, W>(format: LogFormat, writer: W, colours: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A full disk must not end the process, as a complaint on a closed standard error would.
    let layer = tracing_subscriber::fmt::layer()
        .log_internal_errors(false)
        .with_writer(writer);
    match format {
        LogFormat::Human => layer.with_ansi(colours).with_target(false).boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    }
}

/// Logs where a panic happened. Its message stays out, as it may quote data: `byte 3 is not a char boundary of "..."`.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let text = panic.payload_as_str().filter(|_| keys_allowed());
    tracing::error!(location, thread, text, "panic");
}

/// Where log lines go. Each is one write, so that lines of several processes in one file stay whole.
struct Sink {
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
}

impl Sink {
    /// A sink that appends to a file, or writes to standard output.
    fn open(path: Option<PathBuf>) -> Result<Sink, StartError> {
        let open = |path: &PathBuf| {
            append(path).map_err(|source| StartError::File {
                file: path.clone(),
                source,
            })
        };
        let file = path.as_ref().map(open).transpose()?;
        Ok(Sink {
            path,
            file: Mutex::new(file),
        })
    }

    /// Opens the file anew; false if there is none.
    fn reopen(&self) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        let file = append(path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(true)
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.write(line),
            None => io::stdout().lock().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for &'static Sink {
    type Writer = &'static Sink;

    fn make_writer(&'w self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(wanted: LogLevel, format: LogFormat) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sink: &'static Sink = Box::leak(Box::new(Sink::open(Some(path.clone())).unwrap()));
        let subscriber = tracing_subscriber::registry()
            .with(targets(wanted))
            .with(layer(format, sink, false));
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!("is debug");
            tracing::debug!("is verbose");
            tracing::info!(port = 6379, "is notice");
            tracing::warn!("is warning");
            tracing::error!("is warning too");
            tracing::info!(target: "hyper", "is not ours");
        });
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn loglevel_lets_through_what_redis_would() {
        let lines = |wanted| logged(wanted, LogFormat::Human).lines().count();
        assert_eq!(lines(LogLevel::Debug), 5);
        assert_eq!(lines(LogLevel::Verbose), 4);
        assert_eq!(lines(LogLevel::Notice), 3);
        assert_eq!(lines(LogLevel::Warning), 2);
        assert_eq!(lines(LogLevel::Nothing), 0);
    }

    #[test]
    fn json_lines_are_flat_objects() {
        let text = logged(LogLevel::Notice, LogFormat::Json);
        let first = text.lines().next().unwrap();
        assert!(
            first.starts_with("{\"timestamp\":\"") && first.ends_with('}'),
            "{first}"
        );
        assert!(first.contains("\"message\":\"is notice\",\"port\":6379"), "{first}");
    }

    #[test]
    fn human_lines_hold_no_control_sequences_outside_a_terminal() {
        assert!(!logged(LogLevel::Debug, LogFormat::Human).contains('\u{1b}'));
    }

    #[test]
    fn a_moved_log_file_is_followed_once_reopened() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let sink = Sink::open(Some(path.clone())).unwrap();
        (&sink).write_all(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        assert!(sink.reopen().unwrap());
        (&sink).write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read(moved).unwrap(), b"one\n");
        assert_eq!(std::fs::read(path).unwrap(), b"two\n");
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_is_named() {
        let error = Sink::open(Some(PathBuf::from("/nonexistent/folder/log")))
            .err()
            .unwrap();
        assert!(error.to_string().contains("/nonexistent/folder/log"), "{error}");
    }
}
