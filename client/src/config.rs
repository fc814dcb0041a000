//! How a client connects and how long it waits: every limit has a default here.

use crate::error::{Error, Result};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The port that is meant where none is given.
pub const DEFAULT_PORT: u16 = 6379;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A host name or IP address, and a port.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// The same over TLS; needs the feature `tls`.
    Tls {
        /// A name, an IPv4 address, or an IPv6 address without brackets; the server's certificate must be for it.
        host: String,
        /// The port.
        port: u16,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } | Address::Tls { host, port } if host.contains(':') => {
                write!(f, "[{host}]:{port}")
            }
            Address::Tcp { host, port } | Address::Tls { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What a node's URL says: where it is, and how to log in there.
///
/// `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS, `unix:///path[?db=number]`, or just
/// `host`, `host:port` or `/path`. Parts may be percent-encoded.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where it listens.
    pub address: Address,
    /// The user to log in as; the server's default user if `None`.
    pub user: Option<String>,
    /// The password; no login if `None`.
    pub password: Option<String>,
    /// The database to select.
    pub database: u32,
}

impl fmt::Debug for Target {
    /// Without the password, so that logs may have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = if self.password.is_some() { "***@" } else { "" };
        write!(f, "{login}{}/{}", self.address, self.database)
    }
}

impl From<Address> for Target {
    fn from(address: Address) -> Target {
        Target {
            address,
            user: None,
            password: None,
            database: 0,
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Target> {
        let bad = |what: &str| Error::Usage(format!("'{}': {what}", without_password(text)));
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        match scheme {
            "unix" | "redis+unix" => unix(rest, &bad),
            "" if rest.starts_with('/') => unix(rest, &bad),
            "" | "redis" | "tcp" | "larder" => tcp(rest, &bad, |host, port| Address::Tcp { host, port }),
            "rediss" | "larders" => tcp(rest, &bad, |host, port| Address::Tls { host, port }),
            _ => Err(bad("unknown scheme; use redis://, rediss:// or unix://")),
        }
    }
}

fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rfind('@')) {
        (Some((scheme, _)), Some(at)) => format!("{scheme}://***{}", &url[at..]),
        (None, Some(at)) => format!("***{}", &url[at..]),
        _ => url.to_string(),
    }
}

fn unix(rest: &str, bad: &dyn Fn(&str) -> Error) -> Result<Target> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = decoded(path).ok_or_else(|| bad("broken percent-encoding"))?;
    if path.is_empty() {
        return Err(bad("no path"));
    }
    let mut target = Target::from(Address::Unix(path.into()));
    if let Some(number) = query.strip_prefix("db=") {
        target.database = number.parse().map_err(|_| bad("the database is no number"))?;
    } else if !query.is_empty() {
        return Err(bad("only ?db= is understood"));
    }
    Ok(target)
}

fn tcp(rest: &str, bad: &dyn Fn(&str) -> Error, address: fn(String, u16) -> Address) -> Result<Target> {
    let (login, rest) = rest
        .rsplit_once('@')
        .map_or((None, rest), |(login, rest)| (Some(login), rest));
    let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match place.strip_prefix('[').map(|place| place.split_once(']')) {
        Some(Some((host, ""))) => (host, DEFAULT_PORT.to_string()),
        Some(Some((host, port))) => (host, port.strip_prefix(':').unwrap_or_default().to_string()),
        Some(None) => return Err(bad("the bracket around the address is not closed")),
        // An IPv6 address without brackets has no port.
        None if place.matches(':').count() > 1 => (place, DEFAULT_PORT.to_string()),
        None => place
            .split_once(':')
            .map_or((place, DEFAULT_PORT.to_string()), |(host, port)| {
                (host, port.to_string())
            }),
    };
    if host.is_empty() {
        return Err(bad("no host"));
    }
    let port = match port.parse() {
        Ok(0) | Err(_) => return Err(bad("the port is no number from 1 to 65535")),
        Ok(port) => port,
    };
    let mut target = Target::from(address(host.to_string(), port));
    if let Some(login) = login {
        let (user, password) = login.split_once(':').unwrap_or(("", login));
        let part = |text: &str| decoded(text).ok_or_else(|| bad("broken percent-encoding"));
        target.user = Some(part(user)?).filter(|user| !user.is_empty());
        target.password = Some(part(password)?).filter(|password| !password.is_empty());
    }
    if !database.is_empty() {
        target.database = database.parse().map_err(|_| bad("the database is no number"))?;
    }
    Ok(target)
}

/// Resolves percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

/// How a client behaves. The defaults suit a cache near the app.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The longest that making a connection may take: name look-up, TCP, TLS and login. 2 s.
    pub connect_timeout: Duration,
    /// The longest that a call may wait for its reply, from being made on. 1 s. Blocking commands wait that much
    /// longer than they ask for.
    pub response_timeout: Duration,
    /// The longest that a socket may take nothing of what is to be sent, before the connection is given up. 2 s.
    pub write_timeout: Duration,
    /// Calls that may wait for one connection; one more fails with [`Error::Busy`]. 4096.
    pub max_pending: usize,
    /// Bytes of requests that may wait for one connection to be sent; a call more fails with [`Error::Busy`].
    /// 64 MiB. A request larger than that is sent if no other waits.
    pub max_pending_bytes: usize,
    /// The largest reply that is accepted, elements included. 512 MiB.
    pub max_reply_bytes: usize,
    /// Connections per node; calls take turns. 1.
    pub connections_per_node: usize,
    /// Connections per node beside those, each for one caller: for commands that block, and for transactions that watch
    /// keys. One more such call fails with [`Error::Busy`]. 32.
    pub dedicated_connections_per_node: usize,
    /// The first wait between attempts to connect; it doubles up to `backoff_max`, and a random share of it
    /// is waited ("full jitter"). 10 ms.
    pub backoff_min: Duration,
    /// The longest wait between attempts to connect. 2 s.
    pub backoff_max: Duration,
    /// How often a call may be tried again, if that can do no harm. 2.
    pub max_retries: u32,
    /// The name that servers show for the connections (`CLIENT LIST`). None.
    pub client_name: Option<String>,
    /// With TLS: a file with the certificates that are trusted, in PEM; those of the system if `None`.
    pub tls_ca_file: Option<PathBuf>,
    /// With TLS: a file with our own certificate and those between it and its root, in PEM, for servers that want one.
    /// Goes with `tls_key_file`. None.
    pub tls_cert_file: Option<PathBuf>,
    /// With TLS: a file with the key of our own certificate, in PEM. None.
    pub tls_key_file: Option<PathBuf>,
    /// RESP3 is asked for, and RESP2 used with servers that lack it; with false RESP2 at once. true.
    pub resp3: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(2),
            max_pending: 4096,
            max_pending_bytes: 64 << 20,
            max_reply_bytes: 512 << 20,
            connections_per_node: 1,
            dedicated_connections_per_node: 32,
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(2),
            max_retries: 2,
            client_name: None,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            resp3: true,
        }
    }
}

impl Config {
    /// Checks the ranges.
    pub(crate) fn check(&self) -> Result<()> {
        let positive = [
            ("connect_timeout", !self.connect_timeout.is_zero()),
            ("response_timeout", !self.response_timeout.is_zero()),
            ("write_timeout", !self.write_timeout.is_zero()),
            ("max_pending", self.max_pending > 0),
            ("max_pending_bytes", self.max_pending_bytes > 0),
            (
                "tls_key_file",
                self.tls_cert_file.is_some() == self.tls_key_file.is_some(),
            ),
            ("connections_per_node", (1..=1024).contains(&self.connections_per_node)),
            (
                "dedicated_connections_per_node",
                (1..=65_536).contains(&self.dedicated_connections_per_node),
            ),
            ("max_reply_bytes", self.max_reply_bytes > 0),
            (
                "backoff_min",
                !self.backoff_min.is_zero() && self.backoff_min <= self.backoff_max,
            ),
        ];
        match positive.iter().find(|(_, holds)| !holds) {
            Some((name, _)) => Err(Error::Usage(format!("{name} is out of its range"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn urls_say_where_and_how_to_log_in() {
        let full = target("rediss://me:p%40ss@cache.example:7000/3");
        assert_eq!(
            full.address,
            Address::Tls {
                host: "cache.example".into(),
                port: 7000
            }
        );
        assert_eq!(
            (full.user.as_deref(), full.password.as_deref(), full.database),
            (Some("me"), Some("p@ss"), 3)
        );
        assert_eq!(target("redis://:secret@h").password.as_deref(), Some("secret"));
        assert_eq!(target("h").address.to_string(), "h:6379");
        assert_eq!(target("[::1]:7000").address.to_string(), "[::1]:7000");
        assert_eq!(target("::1").address.to_string(), "[::1]:6379");
        assert_eq!(
            target("unix:///tmp/a%20b?db=2").address,
            Address::Unix("/tmp/a b".into())
        );
        assert_eq!(target("/tmp/a").database, 0);
    }

    #[test]
    fn a_broken_url_says_why_and_hides_the_password() {
        for url in [
            "",
            "redis://",
            "h:0",
            "h:65536",
            "h:x",
            "http://h",
            "redis://h/x",
            "unix://",
            "[::1",
            "redis://%zz@h",
            "unix:///a?x=1",
            ":6379",
        ] {
            assert!(url.parse::<Target>().is_err(), "{url}");
        }
        let error = "redis://me:secret@h:x".parse::<Target>().expect_err("no port");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(!format!("{:?}", target("redis://me:secret@h")).contains("secret"));
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        assert!(Config::default().check().is_ok());
        let (mut no_calls, mut no_bytes) = (Config::default(), Config::default());
        no_calls.max_pending = 0;
        no_bytes.max_pending_bytes = 0;
        for (broken, name) in [(no_calls, "max_pending is"), (no_bytes, "max_pending_bytes is")] {
            let error = broken.check().expect_err("out of range").to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
