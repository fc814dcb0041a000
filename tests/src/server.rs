//! Servers as child processes: Larder and the real Redis, on free ports, gone with their test.

use crate::reply::Reply;
use crate::wait::{PATIENCE, wait_until};
use crate::wire::Conn;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{OnceLock, mpsc};
use tempfile::TempDir;

/// Names the server under test, instead of the `larder-server` of this build.
pub const SERVER_VARIABLE: &str = "LARDER_SERVER_BIN";

/// Which program a [`Server`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server under test.
    Larder,
    /// The real redis-server, whose word is taken for right.
    Redis,
}

/// A running server; dropping it kills the process and removes its directory.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    child: Child,
    port: u16,
    dir: TempDir,
}

/// How to start a [`Server`] otherwise than with flags alone.
///
/// In `env` and `file`, `{port}` stands for the server's port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Launch<'a> {
    /// Flags, after the usual ones.
    pub args: &'a [&'a str],
    /// Variables of the environment.
    pub env: &'a [(&'a str, &'a str)],
    /// The text of a configuration file, `larder.conf` in the server's directory; none if `None`.
    pub file: Option<&'a str>,
    /// Leave out the usual flags, so that file and environment decide; they must give the port.
    pub bare: bool,
}

impl Server {
    /// Starts the server under test with `args` after the ones every test wants.
    ///
    /// # Panics
    /// If it does not start; the message has its output.
    pub fn larder(args: &[&str]) -> Self {
        Self::start(Kind::Larder, args)
    }

    /// Starts a real redis-server with `args` after the ones every test wants.
    ///
    /// # Panics
    /// If it does not start; the message has its output.
    pub fn redis(args: &[&str]) -> Self {
        Self::start(Kind::Redis, args)
    }

    /// Starts a server of `kind`. Both kinds get the same flags: that they work is part of the promise.
    ///
    /// # Panics
    /// If it does not start; the message has its output.
    pub fn start(kind: Kind, args: &[&str]) -> Self {
        Self::launch(
            kind,
            &Launch {
                args,
                ..Launch::default()
            },
        )
    }

    /// Starts a server of `kind` with a file, an environment, or without the usual flags.
    ///
    /// # Panics
    /// If it does not start; the message has its output.
    pub fn launch(kind: Kind, launch: &Launch<'_>) -> Self {
        let mut failures = String::new();
        // Another process may take the port between the look and the start, so try a few.
        for _ in 0..5 {
            match Self::try_start(kind, launch, free_port()) {
                Ok(server) => return server,
                Err(why) => failures.push_str(&why),
            }
        }
        panic!("{kind:?} does not start with {launch:?}:\n{failures}");
    }

    /// Starts the server under test on a port of the caller's choice: one that comes back after it was killed.
    ///
    /// # Panics
    /// If it does not start; the message has its output.
    pub fn larder_at(port: u16, args: &[&str]) -> Self {
        let launch = Launch {
            args,
            ..Launch::default()
        };
        Self::try_start(Kind::Larder, &launch, port).unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn try_start(kind: Kind, launch: &Launch<'_>, port: u16) -> Result<Self, String> {
        let program = program(kind)?;
        let dir = TempDir::with_prefix("larder-test-").map_err(|error| format!("no temp dir: {error}"))?;
        let log_path = dir.path().join("output");
        let log = File::create(&log_path).map_err(|error| format!("{}: {error}", log_path.display()))?;
        let both = log.try_clone().map_err(|error| error.to_string())?;
        let mut command = tied_to_parent(&program);
        // What steers the tests must not steer the server.
        let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LARDER_"));
        for (name, _) in ours {
            command.env_remove(name);
        }
        let number = port.to_string();
        if let Some(text) = launch.file {
            let path = dir.path().join("larder.conf");
            fs::write(&path, text.replace("{port}", &number)).map_err(|error| error.to_string())?;
            command.arg(path);
        }
        if !launch.bare {
            let usual = [
                "--port",
                &number,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ];
            command
                .args(usual)
                .args(["--enable-debug-command", "yes", "--maxmemory-policy", "noeviction"]);
        }
        for (name, value) in launch.env {
            command.env(name, value.replace("{port}", &number));
        }
        command
            .args(launch.args)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(both);
        let child = spawn(command).map_err(|error| format!("{}: {error}\n", program.display()))?;
        let mut server = Self { kind, child, port, dir };
        let ready = wait_until(PATIENCE, || server.has_exited() || server.answers());
        if ready && !server.has_exited() {
            return Ok(server);
        }
        let output = fs::read_to_string(&log_path).unwrap_or_default();
        Err(format!("{} on port {port}:\n{output}\n", program.display()))
    }

    /// Whether the process has ended (by itself, or told to).
    pub fn has_exited(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Waits up to 20 s for the process to end; its exit code, if it has one.
    pub fn wait_exit(&mut self) -> Option<i32> {
        wait_until(PATIENCE, || self.has_exited());
        self.child.try_wait().ok().flatten().and_then(|status| status.code())
    }

    /// Sends a signal such as `TERM`.
    ///
    /// # Panics
    /// If the process has been waited for.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
    }

    fn answers(&self) -> bool {
        let Ok(mut conn) = Conn::open(self.port) else {
            return false;
        };
        // With a password set, the refusal is as good a sign of life as a PONG.
        conn.call_raw(&["PING"])
            .is_ok_and(|raw| raw == b"+PONG\r\n" || raw.starts_with(b"-NOAUTH"))
    }

    /// A new connection.
    ///
    /// # Panics
    /// If the server refuses it.
    pub fn connect(&self) -> Conn {
        Conn::open(self.port).unwrap_or_else(|error| panic!("{:?} on port {}: {error}", self.kind, self.port))
    }

    /// Which program this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its TCP port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The directory it runs in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("output")).unwrap_or_default()
    }

    /// The process's resident memory in bytes (0 where the system does not tell).
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|text| text.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// CPU time the process used so far, in clock ticks (10 ms; 0 where the system does not tell).
    pub fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        ticks(11) + ticks(12)
    }

    /// One field of INFO, such as `used_memory`.
    ///
    /// # Panics
    /// If the connection fails.
    pub fn info(&self, field: &str) -> Option<String> {
        let reply: Reply = self.connect().call("INFO everything");
        let text = reply.text();
        text.lines()
            .find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.to_string()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a real redis-server stands in for Larder, so that what only Larder can do is not asked of it.
pub fn is_stand_in() -> bool {
    std::env::var(SERVER_VARIABLE).is_ok_and(|path| path.ends_with("redis-server"))
}

/// A program of this build, for example `larder-server`, beside the running test's own directory.
///
/// # Errors
/// If it was not built.
pub fn built_program(name: &str) -> Result<PathBuf, String> {
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = test.parent().and_then(Path::parent).ok_or("a test outside target/")?;
    let path = profile.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "{} is not built: run scripts/test, or `cargo build --profile test-release` first",
        path.display()
    ))
}

fn program(kind: Kind) -> Result<PathBuf, String> {
    match kind {
        Kind::Redis => Ok(PathBuf::from("redis-server")),
        Kind::Larder => match std::env::var_os(SERVER_VARIABLE) {
            Some(path) => Ok(PathBuf::from(path)),
            None => built_program("larder-server"),
        },
    }
}

/// A command for `program` that the kernel kills when this process dies, however it dies.
pub(crate) fn tied_to_parent(program: &Path) -> Command {
    if cfg!(target_os = "linux") && Path::new("/usr/bin/setpriv").exists() {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        return command;
    }
    Command::new(program)
}

/// Starts `command` from a thread that lives as long as the process: the kernel's death signal
/// follows the thread that started the child, and a test's own thread ends with its test.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                // Whoever asked may be gone; then the child dies with its handle's thread.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, child) = mpsc::channel();
    spawner.send((command, answer)).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

/// A port that nobody listens on now, and that this process has not handed out lately.
///
/// Below the range from which the kernel takes ports for outgoing connections, so that a
/// connection of another test cannot sit on it.
///
/// # Panics
/// If no port is free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT)).expect("below COUNT");
    for _ in 0..COUNT {
        let port = FIRST + (start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
