//! Durations, sizes and counts as people write and read them.

use std::time::Duration;

/// The longest duration that is taken: a hundred years, which no clock arithmetic overflows with.
const MAX_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;

/// Reads `250us`, `500ms`, `1.5s`, `5m`, `1h`, `7d`, or a number of seconds; above 0.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(format!("unknown unit '{unit}'; use us, ms, s, m, h or d")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "a duration is a number and a unit, as in 500ms, 60s or 5m".to_string())?;
    let seconds = number * scale;
    if !(seconds > 0.0 && seconds <= MAX_SECONDS) {
        return Err("a duration is above 0 and at most 100 years".to_string());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Reads `64`, `1kb`, `4KiB`, `16mb`: bytes, in the units of redis.conf (`k` is 1000, `kb` 1024).
///
/// # Errors
/// What is wrong with it.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let lower = text.to_ascii_lowercase();
    let split = lower.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(split);
    let scale: usize = match unit {
        "" | "b" => 1,
        "k" => 1000,
        "kb" | "kib" => 1 << 10,
        "m" => 1_000_000,
        "mb" | "mib" => 1 << 20,
        _ => return Err(format!("unknown unit '{unit}'; use b, k, kb, m or mb")),
    };
    let number: usize = number
        .parse()
        .map_err(|_| "a size is a whole number and a unit, as in 64, 4kb or 1mb".to_string())?;
    number
        .checked_mul(scale)
        .ok_or_else(|| "this size is too large".to_string())
}

/// A count with three digits that matter: `999`, `12.3k`, `4.57M`.
pub(crate) fn count(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T", "P"])
}

/// Bytes with three digits that matter: `512B`, `1.50G`, in powers of 1024.
pub(crate) fn bytes(number: f64) -> String {
    scaled(number, 1024.0, &["B", "K", "M", "G", "T", "P"])
}

fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let mut scaled = number;
    let mut at = 0;
    // What would be rounded up to the next unit belongs to it.
    while scaled >= step - 0.5 && at + 1 < units.len() {
        scaled /= step;
        at += 1;
    }
    let digits = match scaled {
        _ if at == 0 => 0,
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$}{}", units[at])
}

/// A count of things: `1 node`, `3 nodes`.
pub(crate) fn plural(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

/// A duration with three digits that matter: `850ns`, `61.2us`, `1.50ms`, `2.00s`.
pub(crate) fn short(duration: Duration) -> String {
    let ns = duration.as_nanos() as f64;
    let (number, unit) = match ns {
        ns if ns < 999.5 => return format!("{ns:.0}ns"),
        ns if ns < 999_500.0 => (ns / 1e3, "us"),
        ns if ns < 999_500_000.0 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let digits = match number {
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.digits$}{unit}")
}

/// How long something has lasted, in its two largest units: `42s`, `3m07s`, `5h12m`, `12d4h`.
pub(crate) fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, ..) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_a_range() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for broken in ["", "s", "0", "-1s", "1x", "1 s", "nan", "inf", "1e300", "1s1m", "1e9d"] {
            assert!(duration(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn sizes_are_those_of_redis_conf() {
        assert_eq!(size("64"), Ok(64));
        assert_eq!(size("1k"), Ok(1000));
        assert_eq!(size("1KB"), Ok(1024));
        assert_eq!(size("2MiB"), Ok(2 << 20));
        for broken in [
            "",
            "kb",
            "-1",
            "1.5kb",
            "1x",
            "99999999999999999999",
            "99999999999999999mb",
        ] {
            assert!(size(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(
            [0, 1, 2].map(|count| plural(count, "node")),
            ["0 nodes", "1 node", "2 nodes"]
        );
        let counts = [0.0, 999.0, 999.6, 12_345.0, 4_567_890.0].map(count);
        assert_eq!(counts, ["0", "999", "1.00k", "12.3k", "4.57M"]);
        assert_eq!([512.0, 1536.0, 18_993_951_744.0].map(bytes), ["512B", "1.50K", "17.7G"]);
        let times = [850, 61_234, 1_500_000, 2_000_000_000].map(|ns| short(Duration::from_nanos(ns)));
        assert_eq!(times, ["850ns", "61.2us", "1.50ms", "2.00s"]);
        assert_eq!(
            [42, 187, 18_720, 1_051_200].map(age),
            ["42s", "3m07s", "5h12m", "12d04h"]
        );
    }
}
