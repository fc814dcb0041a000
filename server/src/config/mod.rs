//! The configuration: flags, environment and file at start, `CONFIG GET`, `SET` and `REWRITE` while running.
//!
//! `settings.rs` has one row per setting; everything else follows from it. [`Config`] is the live
//! object: readers keep an `Arc<Settings>` and fetch a new one when the generation has moved on.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::text::Glob;

#[macro_use]
mod setting;

mod command_line;
pub mod docs;
mod environment;
mod error;
mod file;
mod kept;
mod layer;
mod lookup;
mod prefix_rules;
mod refused;
mod rewrite;
mod settings;
mod split_args;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod values;
mod wildcard;

pub use command_line::command;
pub use error::{LoadError, Origin, RewriteError, SetError};
pub use prefix_rules::PrefixRules;
pub use settings::Settings;
pub use split_args::{UnbalancedQuotes, split_args};
pub use values::{
    ClientMemory, DebugAccess, LogFormat, LogLevel, MaxmemoryPolicy, OutputLimit, OutputLimits, Percentiles, Secret,
};

use command_line::CommandLine;
use error::printable;
use layer::Layer;
use setting::{Change, Setting};

/// The live configuration of a node. Shared by all threads.
#[derive(Debug)]
pub struct Config {
    current: ArcSwap<Settings>,
    generation: AtomicU64,
    /// Held while settings change or are written, so that no change is lost.
    changing: Mutex<()>,
    /// The configuration file, absolute; none if there is none or it was standard input.
    file: Option<PathBuf>,
    warnings: Vec<String>,
    /// The most that `maxmemory` can be set to at run time.
    most_memory: AtomicU64,
}

/// What a `CONFIG SET` did.
#[derive(Debug)]
pub struct Applied {
    /// The names of the settings whose value is another now, in the table's order, never aliases.
    pub changed: Vec<&'static str>,
    /// What the operator should hear of; for the log.
    pub warnings: Vec<String>,
    /// The settings from now on.
    pub settings: Arc<Settings>,
}

impl Config {
    /// Reads the whole configuration: flags override environment variables, which override the file.
    ///
    /// `args` begins with the program's name, as [`std::env::args_os`] does; `env` is usually
    /// [`std::env::vars_os`]. Standard input is read if the file is called `-`.
    ///
    /// # Errors
    /// Any setting that cannot be used, `--help` and `--version`: see [`LoadError`].
    pub fn load(
        args: impl IntoIterator<Item = OsString>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, LoadError> {
        Self::load_with(args, env, std::io::stdin())
    }

    fn load_with(
        args: impl IntoIterator<Item = OsString>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        stdin: impl Read,
    ) -> Result<Self, LoadError> {
        let command_line = CommandLine::parse(args)?;
        let mut settings = Settings::default();
        let mut path = None;
        match &command_line.file {
            None => {}
            Some(name) if name == file::STDIN => {
                file::load_from(Path::new(file::STDIN), stdin, &mut Layer::over(&mut settings))?;
            }
            Some(name) => {
                let absolute = std::path::absolute(name).map_err(|source| LoadError::Unreadable {
                    file: PathBuf::from(name),
                    source,
                })?;
                file::load(Path::new(name), &mut Layer::over(&mut settings))?;
                path = Some(absolute);
            }
        }
        let mut warnings = environment::apply(env, &mut Layer::over(&mut settings))?;
        command_line.apply(&mut Layer::over(&mut settings))?;
        finish(&mut settings)?;
        if !settings.listens() {
            return Err(LoadError::NothingToListenOn);
        }
        warnings.extend(warnings_of(&settings));
        Ok(Self {
            file: path,
            warnings,
            ..Self::new(settings)
        })
    }

    /// A configuration of these settings, without a file.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            current: ArcSwap::from_pointee(settings),
            generation: AtomicU64::new(0),
            changing: Mutex::new(()),
            file: None,
            warnings: Vec::new(),
            most_memory: AtomicU64::new(u64::MAX),
        }
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        self.current.load_full()
    }

    /// A number that is another after every change: as long as it is the same, kept settings are current.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The configuration file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What the operator should hear of at start, one line each; to be logged once logging works.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// `CONFIG GET`: names and values that match any of the glob patterns (in any case), each once, in the table's order.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(&'static str, String)> {
        let settings = self.settings();
        let patterns: Vec<Glob> = patterns.iter().map(|pattern| Glob::new(pattern, true)).collect();
        let wanted = |name: &&'static str| patterns.iter().any(|pattern| pattern.matches(name.as_bytes()));
        lookup::all()
            .flat_map(|setting| setting.names().filter(wanted).map(move |name| (name, setting)))
            .map(|(name, setting)| (name, settings.show(setting)))
            .collect()
    }

    /// `CONFIG SET`: sets all of these names to their values, or none.
    ///
    /// # Errors
    /// [`SetError`]'s message is the reply.
    pub fn set(&self, pairs: &[(&[u8], &[u8])]) -> Result<Applied, SetError> {
        let targets = settable(pairs)?;
        let _guard = self.lock();
        let old = self.settings();
        let mut new = Settings::clone(&old);
        for ((name, value), setting) in pairs.iter().zip(&targets) {
            let text = std::str::from_utf8(value).map_err(|_| failed(name, "argument is not UTF-8"))?;
            new.read(setting, text).map_err(|problem| failed(name, &problem))?;
        }
        let most = self.most_memory.load(Ordering::Relaxed);
        if new.maxmemory > most && new.maxmemory != old.maxmemory {
            let problem = format!(
                "this node was started for less: it can use up to {most} bytes. Start it with the larger limit"
            );
            return Err(failed(b"maxmemory", &problem));
        }
        let changed: Vec<&'static Setting> = lookup::all()
            .filter(|setting| old.show(setting) != new.show(setting))
            .collect();
        let new = Arc::new(new);
        if !changed.is_empty() {
            self.current.store(Arc::clone(&new));
            self.generation.fetch_add(1, Ordering::Release);
        }
        let warnings = changed.iter().filter_map(|setting| warning_of(setting, &new)).collect();
        Ok(Applied {
            changed: changed.iter().map(|setting| setting.name).collect(),
            warnings,
            settings: new,
        })
    }

    /// Bounds what `maxmemory` can be set to from now on, in bytes.
    pub fn bound_memory(&self, most: u64) {
        self.most_memory.store(most, Ordering::Relaxed);
    }

    /// `CONFIG REWRITE`: makes the file give what runs now, keeping its comments and order.
    ///
    /// Blocks on the disk, so it is not for a worker's thread.
    ///
    /// # Errors
    /// [`RewriteError`]'s message is the reply; the file is as it was.
    pub fn rewrite(&self) -> Result<(), RewriteError> {
        let path = self.file.as_deref().ok_or(RewriteError::NoFile)?;
        let _guard = self.lock();
        rewrite::rewrite(path, &self.settings())
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // The mutex guards no data that a panic could leave half changed.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the value of the setting called `name` must not appear in logs, `SLOWLOG` or `MONITOR`.
#[must_use]
pub fn is_secret(name: &[u8]) -> bool {
    std::str::from_utf8(name)
        .ok()
        .and_then(lookup::find)
        .is_some_and(|(_, setting)| setting.syntax.is_secret())
}

/// The settings that `pairs` name, if all exist, may change now and are named once.
fn settable(pairs: &[(&[u8], &[u8])]) -> Result<Vec<&'static Setting>, SetError> {
    let mut seen = HashSet::new();
    let mut targets = Vec::new();
    for (name, _) in pairs {
        let text = String::from_utf8_lossy(&name[..name.len().min(1024)]);
        let Some((known, setting)) = lookup::find(&text) else {
            let hint = lookup::nearest(&text).map_or(String::new(), |near| format!(", did you mean '{near}'?"));
            return Err(SetError::Unknown {
                name: printable(&text),
                hint,
            });
        };
        match setting.change {
            Change::AtStart => return Err(failed(name, "can't set immutable config")),
            Change::Protected => return Err(failed(name, "can't set protected config")),
            Change::AtRuntime if !seen.insert(known) => {
                return Err(failed(name, "duplicate parameter"));
            }
            Change::AtRuntime => targets.push(setting),
        }
    }
    Ok(targets)
}

fn failed(name: &[u8], problem: &str) -> SetError {
    SetError::Failed {
        name: printable(&String::from_utf8_lossy(name)),
        problem: problem.to_owned(),
    }
}

/// What is derived once all sources were read.
fn finish(settings: &mut Settings) -> Result<(), LoadError> {
    let fail = |source| LoadError::Dir {
        dir: settings.dir.clone(),
        source,
    };
    let dir = std::fs::canonicalize(&settings.dir).map_err(fail)?;
    if !dir.is_dir() {
        return Err(fail(std::io::Error::from(std::io::ErrorKind::NotADirectory)));
    }
    let no_text = || fail(std::io::Error::other("its path is not UTF-8"));
    settings.dir = dir.to_str().ok_or_else(no_text)?.to_owned();
    Ok(())
}

fn warnings_of(settings: &Settings) -> impl Iterator<Item = String> {
    lookup::all().filter_map(|setting| warning_of(setting, settings))
}

fn warning_of(setting: &Setting, settings: &Settings) -> Option<String> {
    let value = settings.show(setting);
    let warning = kept::warning(setting.name, &value)?;
    Some(format!("{} {value} has no effect: {warning}", setting.name))
}
