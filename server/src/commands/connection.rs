//! Commands about the connection itself.

use super::{client, monitor, transaction};
use crate::call::{Call, Error, Outcome};
use crate::client::{ReplyMode, flag};
use crate::resp::Version;
use crate::text::parse_i64;
use crate::version::REDIS_VERSION;
use std::sync::atomic::Ordering;
use subtle::ConstantTimeEq;

const WRONG_PASSWORD: Error = Error::new("WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD: Error = Error::new(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration \
     is correct?",
);
const HELLO_UNAUTHENTICATED: Error = Error::new(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
     option can be used to authenticate the client and select the RESP protocol version at the same time",
);

/// `AUTH [username] password`
pub fn auth(call: &mut Call<'_>) -> Outcome {
    let args = call.args;
    let no_password = call.node.config.settings().requirepass.is_empty();
    let (user, password) = match (args.get(1), args.get(2)) {
        (Some(password), None) if !no_password => (&b"default"[..], password),
        (Some(user), Some(password)) if args.len() == 3 => (user, password),
        (Some(_), None) => return Err(NO_PASSWORD),
        _ => return Err(Error::SYNTAX),
    };
    authenticate(call, user, password)?;
    call.reply.ok();
    Ok(())
}

/// Lets the connection in if user and password are right; there is one user, `default`.
fn authenticate(call: &mut Call<'_>, user: &[u8], password: &[u8]) -> Result<(), Error> {
    let settings = call.node.config.settings();
    let secret = settings.requirepass.expose().as_bytes();
    let right = secret.is_empty() || is_same(password, secret);
    if right && user == b"default" {
        call.client.authenticated = true;
        return Ok(());
    }
    call.node.totals.auth_failures.fetch_add(1, Ordering::Relaxed);
    Err(WRONG_PASSWORD)
}

/// Compares in a time that depends only on the length of what was `given`.
fn is_same(given: &[u8], secret: &[u8]) -> bool {
    let padded: Vec<u8> = (0..given.len())
        .map(|at| secret.get(at).copied().unwrap_or_default())
        .collect();
    let same_len = (given.len() as u64).ct_eq(&(secret.len() as u64));
    (padded.ct_eq(given) & same_len).into()
}

/// ECHO message
pub fn echo(call: &mut Call<'_>) -> Outcome {
    call.reply.bulk(&call.args[1]);
    Ok(())
}

/// `PING [message]`
pub fn ping(call: &mut Call<'_>) -> Outcome {
    match call.args.get(1) {
        _ if call.args.len() > 2 => return Err(Error::wrong_arity(call.command)),
        None => call.reply.simple("PONG"),
        Some(message) => call.reply.bulk(message),
    }
    Ok(())
}

/// QUIT
pub fn quit(call: &mut Call<'_>) -> Outcome {
    call.client.close = true;
    monitor::leave(call.node, &call.client.peer);
    call.reply.ok();
    Ok(())
}

/// SELECT index
pub fn select(call: &mut Call<'_>) -> Outcome {
    let index = call.int(1)?;
    if i32::try_from(index).is_err() {
        let (min, max) = (i32::MIN, i32::MAX);
        let text = format!("ERR value is out of range, value must between {min} and {max}");
        return Err(Error::of(text));
    }
    let databases = call.node.keyspace.shape().databases;
    let index = usize::try_from(index).ok().filter(|&index| index < databases);
    call.client.database = index.ok_or(Error::new("ERR DB index is out of range"))?;
    call.reply.ok();
    Ok(())
}

/// RESET: the connection is as it was when it was accepted, but for what it told of its library.
pub fn reset(call: &mut Call<'_>) -> Outcome {
    let client = &mut *call.client;
    transaction::discard_open(client, call.node);
    monitor::leave(call.node, &client.peer);
    client.monitoring = false;
    client.database = 0;
    client.version = Version::Resp2;
    client.authenticated = call.node.config.settings().requirepass.is_empty();
    if client.reply_mode != ReplyMode::Skip {
        client.reply_mode = ReplyMode::On;
    }
    client.no_touch = false;
    client.peer.set(flag::NO_TOUCH, false);
    client.peer.set(flag::NO_EVICT, false);
    client.peer.names().name.clear();
    call.reply.simple("RESET");
    Ok(())
}

/// What HELLO asks for.
#[derive(Default)]
struct Hello<'a> {
    version: Option<Version>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<String>,
}

impl<'a> Hello<'a> {
    fn parse(args: crate::resp::request::Args<'a>) -> Result<Hello<'a>, Error> {
        let mut hello = Hello::default();
        let Some(version) = args.get(1) else { return Ok(hello) };
        hello.version = match parse_i64(version) {
            Some(2) => Some(Version::Resp2),
            Some(3) => Some(Version::Resp3),
            Some(_) => return Err(Error::new("NOPROTO unsupported protocol version")),
            None => return Err(Error::new("ERR Protocol version is not an integer or out of range")),
        };
        let mut rest = args.iter().skip(2);
        while let Some(option) = rest.next() {
            let left = rest.len();
            if option.eq_ignore_ascii_case(b"auth") && left >= 2 {
                hello.login = rest.next().zip(rest.next());
            } else if option.eq_ignore_ascii_case(b"setname") && left >= 1 {
                hello.name = Some(client::valid_name(rest.next().unwrap_or_default())?);
            } else {
                let option = crate::text::shown(&option[..option.len().min(128)]);
                return Err(Error::of(format!("ERR Syntax error in HELLO option '{option}'")));
            }
        }
        Ok(hello)
    }
}

/// HELLO [protover [AUTH username password] [SETNAME clientname]]
pub fn hello(call: &mut Call<'_>) -> Outcome {
    let hello = Hello::parse(call.args)?;
    if let Some((user, password)) = hello.login {
        authenticate(call, user, password)?;
    }
    if !call.client.authenticated && !call.node.config.settings().requirepass.is_empty() {
        return Err(HELLO_UNAUTHENTICATED);
    }
    if let Some(name) = hello.name {
        call.client.peer.names().name = name;
    }
    if let Some(version) = hello.version {
        call.client.version = version;
        call.reply.set_version(version);
    }
    let reply = &mut call.reply;
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.int(client::version_number(call.client.version).into());
    reply.bulk(b"id");
    reply.int(call.client.peer.id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn only_the_very_password_is_right() {
        assert!(is_same(b"secret", b"secret"));
        assert!(is_same(b"", b""));
        for wrong in [&b""[..], b"secre", b"secret ", b"Secret", b"secret\0"] {
            assert!(!is_same(wrong, b"secret"), "{wrong:?}");
        }
    }
}
