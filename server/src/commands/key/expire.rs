//! Times to live of keys.

use crate::call::{Call, Error, Outcome};
use crate::commands::expiry::{Unit, parse_instant, parse_jitter};
use crate::resp::request::Args;
use crate::ttl::Percent;

/// Under which of its conditions EXPIRE may change a key; all that are set must hold.
#[derive(Clone, Copy, Default)]
struct Conditions {
    /// The key has no deadline.
    nx: bool,
    /// The key has one.
    xx: bool,
    /// The new one is later; none is later than any.
    gt: bool,
    /// The new one is earlier.
    lt: bool,
}

impl Conditions {
    /// Reads the conditions, and the jitter that a time from now may have.
    fn parse(options: Args<'_>, unit: Unit) -> Result<(Conditions, Option<Percent>), Error> {
        let (mut conditions, mut jitter) = (Conditions::default(), None);
        let mut at = 0;
        while let Some(option) = options.get(at) {
            at += 1;
            if unit.is_relative()
                && let Some(percent) = parse_jitter(option, options.get(at))?
            {
                jitter = Some(percent);
                at += 1;
                continue;
            }
            let known = [
                ("nx", &mut conditions.nx),
                ("xx", &mut conditions.xx),
                ("gt", &mut conditions.gt),
                ("lt", &mut conditions.lt),
            ];
            let named = known
                .into_iter()
                .find(|(name, _)| option.eq_ignore_ascii_case(name.as_bytes()));
            let Some((_, condition)) = named else {
                return Err(Error::of(format!(
                    "ERR Unsupported option {}",
                    crate::text::shown(option)
                )));
            };
            *condition = true;
        }
        let Conditions { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            return Err(Error::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if gt && lt {
            return Err(Error::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok((conditions, jitter))
    }

    fn allow(self, old: Option<u64>, new: i64) -> bool {
        let old = old.map(u64::cast_signed);
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old))
    }
}

fn expire_as(call: &mut Call<'_>, unit: Unit) -> Outcome {
    let (conditions, jitter) = Conditions::parse(call.args.from(3), unit)?;
    let now_ms = call.store.now_ms;
    let mut instant = parse_instant(unit, &call.args[2], call.store.now_ms, call.command)?;
    let mut key = call.store.key(&call.args[1]);
    key.touch();
    // What lies in the past removes the key: there is nothing to shorten. Conditions are about what the key will get.
    if let Some(deadline) = u64::try_from(instant).ok().filter(|deadline| *deadline > now_ms) {
        instant = if unit.is_relative() {
            key.relative_deadline(deadline, jitter)
        } else {
            key.absolute_deadline(deadline)
        }
        .cast_signed();
    }
    let changes = key.exists() && conditions.allow(key.deadline(), instant);
    if changes {
        // What lies before 1970 has passed as surely as 1970.
        key.set_deadline(Some(instant.max(0).cast_unsigned()));
    }
    call.reply.int(i64::from(changes));
    Ok(())
}

/// EXPIRE key seconds [NX | XX | GT | LT] [JITTER percent]
pub fn expire(call: &mut Call<'_>) -> Outcome {
    expire_as(call, Unit::Seconds)
}

/// EXPIREAT key unix-time-seconds [NX | XX | GT | LT]
pub fn expireat(call: &mut Call<'_>) -> Outcome {
    expire_as(call, Unit::AtSeconds)
}

/// PEXPIRE key milliseconds [NX | XX | GT | LT] [JITTER percent]
pub fn pexpire(call: &mut Call<'_>) -> Outcome {
    expire_as(call, Unit::Millis)
}

/// PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]
pub fn pexpireat(call: &mut Call<'_>) -> Outcome {
    expire_as(call, Unit::AtMillis)
}

/// PERSIST key
pub fn persist(call: &mut Call<'_>) -> Outcome {
    let mut key = call.store.key(&call.args[1]);
    key.touch();
    let changes = key.deadline().is_some();
    if changes {
        key.set_deadline(None);
    }
    call.reply.int(i64::from(changes));
    Ok(())
}

/// Answers something about the key's deadline; `show` gets it and the time, in Unix milliseconds.
fn tell(call: &mut Call<'_>, show: impl Fn(u64, u64) -> u64) -> Outcome {
    let now_ms = call.store.now_ms;
    let mut key = call.store.key(&call.args[1]);
    let answer = match (key.read_untouched(), key.deadline()) {
        (false, _) => -2,
        (true, None) => -1,
        (true, Some(deadline)) => show(deadline, now_ms).cast_signed(),
    };
    call.reply.int(answer);
    Ok(())
}

/// Milliseconds as seconds, rounded as Redis does.
fn seconds(millis: u64) -> u64 {
    (millis + 500) / 1000
}

/// TTL key
pub fn ttl(call: &mut Call<'_>) -> Outcome {
    tell(call, |deadline, now_ms| seconds(deadline.saturating_sub(now_ms)))
}

/// PTTL key
pub fn pttl(call: &mut Call<'_>) -> Outcome {
    tell(call, |deadline, now_ms| deadline.saturating_sub(now_ms))
}

/// EXPIRETIME key
pub fn expiretime(call: &mut Call<'_>) -> Outcome {
    tell(call, |deadline, _| seconds(deadline))
}

/// PEXPIRETIME key
pub fn pexpiretime(call: &mut Call<'_>) -> Outcome {
    tell(call, |deadline, _| deadline)
}
