//! Rules about times to live: jitter, defaults and caps, for all keys and by prefix. Time and randomness are passed in.
//!
//! Keys that are stored together under one time to live expire together, and whoever reads them then asks
//! the origin for all of them at once. Jitter spreads that: a time that was given relative to now is
//! shortened by a random share, so what was asked for stays the upper bound.
//!
//! A cap comes before jitter, as else everything above it would be due at the same moment. A time to live that
//! nobody asked for (a default, or a cap of what would live for ever) is relative, and so is spread, too.

use crate::store::eviction::mix;

/// A share of a time to live, 0 to 100.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Percent(u8);

impl Percent {
    /// A share, unless `percent` is above 100.
    #[must_use]
    pub fn new(percent: u64) -> Option<Percent> {
        u8::try_from(percent)
            .ok()
            .filter(|percent| *percent <= 100)
            .map(Percent)
    }

    /// Cuts a uniformly random share, at most this one, off `length_ms`; at least 1 ms stays.
    #[must_use]
    pub fn shorten(self, length_ms: u64, random: u64) -> u64 {
        let most = u128::from(length_ms) * u128::from(self.0) / 100;
        // The high half of the product is uniform over 0..=most.
        let cut = ((most + 1) * u128::from(random)) >> 64;
        length_ms.saturating_sub(cut as u64).max(1)
    }
}

/// A value for all keys, and others for those that begin with a prefix.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct ByPrefix<T> {
    general: T,
    /// The longest first, so that the first that fits is the one that counts.
    rules: Box<[(Box<[u8]>, T)]>,
}

impl<T: Copy + PartialEq + Default> ByPrefix<T> {
    fn new(general: T, rules: impl Iterator<Item = (Box<[u8]>, T)>) -> Self {
        let mut rules: Vec<_> = rules.collect();
        rules.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self {
            general,
            rules: rules.into(),
        }
    }

    fn of(&self, key: &[u8]) -> T {
        let rule = self.rules.iter().find(|(prefix, _)| key.starts_with(prefix));
        rule.map_or(self.general, |(_, value)| *value)
    }

    fn is_off(&self) -> bool {
        self.general == T::default() && self.rules.iter().all(|(_, value)| *value == T::default())
    }
}

/// One value for all keys, and those for the keys that begin with a prefix, as configured.
pub type Configured<'a> = (u64, &'a [(String, u64)]);

/// What a node does to times to live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    jitter: ByPrefix<Percent>,
    /// What a key gets that is stored without a time to live; 0 is none.
    default_ms: ByPrefix<u64>,
    /// The longest time to live; 0 is none.
    max_ms: ByPrefix<u64>,
}

impl Rules {
    /// The rules of these percentages and seconds; `None` if none of them does anything. Percentages above 100 count as 100.
    #[must_use]
    pub fn new(jitter: Configured<'_>, default: Configured<'_>, max: Configured<'_>) -> Option<Rules> {
        fn by_prefix<T: Copy + PartialEq + Default>(of: Configured<'_>, read: impl Fn(u64) -> T) -> ByPrefix<T> {
            let rules =
                of.1.iter()
                    .map(|(prefix, value)| (prefix.as_bytes().into(), read(*value)));
            ByPrefix::new(read(of.0), rules)
        }
        let millis = |seconds: u64| seconds.saturating_mul(1000);
        let rules = Rules {
            jitter: by_prefix(jitter, |percent| Percent::new(percent).unwrap_or(Percent(100))),
            default_ms: by_prefix(default, millis),
            max_ms: by_prefix(max, millis),
        };
        let is_off = rules.jitter.is_off() && rules.default_ms.is_off() && rules.max_ms.is_off();
        (!is_off).then_some(rules)
    }

    /// The longest that a key may live, in milliseconds.
    fn max_ms(&self, key: &[u8]) -> Option<u64> {
        Some(self.max_ms.of(key)).filter(|length| *length > 0)
    }

    /// How long a key lives for which nobody asked for anything, before jitter.
    fn unasked_ms(&self, key: &[u8]) -> Option<u64> {
        let default = Some(self.default_ms.of(key)).filter(|length| *length > 0);
        [default, self.max_ms(key)].into_iter().flatten().min()
    }
}

/// The rules in force, and the turn's randomness, on their way to a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'r> {
    /// `None` if there are no rules: then nothing but a call's own jitter is looked at.
    pub rules: Option<&'r Rules>,
    /// Differs from turn to turn; a key's share follows from it and the key's hash.
    pub seed: u64,
    /// The key is a lock (`NX`), which must live as long as it says: the rules' jitter leaves it alone.
    pub is_lock: bool,
}

/// The key that a deadline is for, and the time.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'k> {
    /// Its name.
    pub key: &'k [u8],
    /// The hash of the name.
    pub hash: u64,
    /// Unix time in milliseconds.
    pub now_ms: u64,
}

impl Scope<'_> {
    /// The deadline of a key for which `deadline` was asked as a time from now; `own` is the call's `JITTER`.
    #[must_use]
    pub fn relative(&self, of: Subject<'_>, deadline: u64, own: Option<Percent>) -> u64 {
        let asked_ms = deadline.saturating_sub(of.now_ms);
        if asked_ms == 0 || self.rules.is_none() && own.is_none() {
            return deadline;
        }
        let max_ms = self.rules.and_then(|rules| rules.max_ms(of.key));
        self.spread(of, asked_ms.min(max_ms.unwrap_or(u64::MAX)), own)
    }

    /// The deadline of a key for which `deadline` was asked as a point in time.
    #[must_use]
    pub fn absolute(&self, of: Subject<'_>, deadline: u64) -> u64 {
        let max_ms = self.rules.and_then(|rules| rules.max_ms(of.key));
        max_ms.map_or(deadline, |max_ms| deadline.min(of.now_ms.saturating_add(max_ms)))
    }

    /// The deadline of a key that is stored and for which none was asked.
    #[inline]
    #[must_use]
    pub fn unasked(&self, of: Subject<'_>) -> Option<u64> {
        self.unasked_by(self.rules?, of)
    }

    #[cold]
    fn unasked_by(&self, rules: &Rules, of: Subject<'_>) -> Option<u64> {
        let length_ms = rules.unasked_ms(of.key)?;
        Some(self.spread(of, length_ms, None))
    }

    /// The deadline of a key that is to have none any more: only a cap is left.
    #[must_use]
    pub fn persisted(&self, of: Subject<'_>) -> Option<u64> {
        let length_ms = self.rules?.max_ms(of.key)?;
        Some(self.spread(of, length_ms, None))
    }

    fn spread(&self, of: Subject<'_>, length_ms: u64, own: Option<Percent>) -> u64 {
        let rules = self.rules.filter(|_| !self.is_lock);
        let percent = own.or_else(|| Some(rules?.jitter.of(of.key))).unwrap_or_default();
        let random = mix(mix(self.seed, of.now_ms), of.hash);
        of.now_ms.saturating_add(percent.shorten(length_ms, random))
    }
}

#[cfg(test)]
mod tests {
    use super::{Percent, Rules, Scope, Subject};
    use crate::store::eviction::mix;

    const NOW: u64 = 1_700_000_000_000;

    fn subject(key: &str, hash: u64) -> Subject<'_> {
        Subject {
            key: key.as_bytes(),
            hash,
            now_ms: NOW,
        }
    }

    fn rules(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter()
            .map(|(prefix, value)| ((*prefix).to_owned(), *value))
            .collect()
    }

    #[test]
    fn a_share_is_never_negative_and_never_all() {
        for length in [1, 2, 99, 100, 1000, u64::MAX / 2, u64::MAX] {
            for percent in [0, 1, 10, 100] {
                let percent = Percent::new(percent).unwrap();
                for random in [0, 1, u64::MAX / 3, u64::MAX] {
                    let left = percent.shorten(length, random);
                    let least = length - (u128::from(length) * u128::from(percent.0) / 100) as u64;
                    assert!(
                        left >= least.max(1) && left <= length,
                        "{length} {percent:?} {random}: {left}"
                    );
                }
                assert_eq!(percent.shorten(length, 0), length);
            }
        }
        assert_eq!(Percent(100).shorten(5, u64::MAX), 1);
        assert_eq!(Percent(10).shorten(1000, u64::MAX), 900);
        assert_eq!((Percent::new(101), Percent::new(u64::MAX)), (None, None));
    }

    /// Chi-squared over ten tenths of the range: 27.9 is exceeded by one uniform sample in a thousand, and the
    /// draws are the same in every run.
    #[test]
    fn shares_are_uniform_over_keys_and_over_turns() {
        let all = Rules::new((30, &[]), (0, &[]), (0, &[])).unwrap();
        let draws = 20_000_u64;
        let cut = |seed: u64, hash: u64| {
            let scope = Scope {
                rules: Some(&all),
                seed,
                ..Scope::default()
            };
            let deadline = scope.relative(subject("k", hash), NOW + 100_000, None);
            NOW + 100_000 - deadline
        };
        let of_keys: Vec<u64> = (0..draws).map(|draw| cut(7, mix(draw, 1))).collect();
        let of_turns: Vec<u64> = (0..draws).map(|draw| cut(draw, 1)).collect();
        for cuts in [of_keys, of_turns] {
            assert!(cuts.iter().all(|cut| *cut <= 30_000));
            let mut bins = [0_u64; 10];
            cuts.iter().for_each(|cut| bins[(*cut * 10 / 30_001) as usize] += 1);
            let expected = draws as f64 / 10.0;
            let chi: f64 = bins
                .iter()
                .map(|count| (*count as f64 - expected).powi(2) / expected)
                .sum();
            assert!(chi < 27.9, "{chi}: {bins:?}");
        }
    }

    #[test]
    fn the_longest_prefix_that_fits_decides() {
        let list = rules(&[("a:", 10), ("a:b:", 0), ("a:b:c:", 30), ("z", 40)]);
        let rules = Rules::new((0, &[]), (5, &list), (0, &[])).unwrap();
        let of = |key: &str| rules.unasked_ms(key.as_bytes());
        assert_eq!(of("a:1"), Some(10_000));
        assert_eq!(of("a:b:1"), None);
        assert_eq!(of("a:b:c:1"), Some(30_000));
        assert_eq!((of("z"), of("y"), of("")), (Some(40_000), Some(5000), Some(5000)));
    }

    #[test]
    fn nothing_is_done_if_nothing_is_asked_for() {
        assert_eq!(Rules::new((0, &rules(&[("a", 0)])), (0, &[]), (0, &[])), None);
        let off = Scope::default();
        assert_eq!(off.relative(subject("k", 1), NOW + 10, None), NOW + 10);
        assert_eq!(off.absolute(subject("k", 1), u64::MAX), u64::MAX);
        assert_eq!(
            (off.unasked(subject("k", 1)), off.persisted(subject("k", 1))),
            (None, None)
        );
    }

    #[test]
    fn a_cap_bounds_everything_and_comes_before_jitter() {
        let exempt = rules(&[("free:", 0)]);
        let rules = Rules::new((50, &[]), (100, &[]), (10, &exempt)).unwrap();
        let mut scope = Scope {
            rules: Some(&rules),
            ..Scope::default()
        };
        let lengths: Vec<u64> = (0..1000)
            .map(|hash| scope.relative(subject("k", mix(hash, 0)), NOW + 1_000_000, None) - NOW)
            .collect();
        assert!(lengths.iter().all(|length| (5000..=10_000).contains(length)));
        assert!(lengths.iter().any(|length| *length < 6000) && lengths.iter().any(|length| *length > 9000));
        assert_eq!(scope.absolute(subject("k", 1), NOW + 99_999), NOW + 10_000);
        assert_eq!(scope.absolute(subject("k", 1), NOW + 9999), NOW + 9999);
        assert_eq!(scope.absolute(subject("free:1", 1), i64::MAX as u64), i64::MAX as u64);
        assert_eq!(scope.persisted(subject("free:1", 1)), None);

        scope.is_lock = true;
        assert_eq!(scope.unasked(subject("k", 1)), Some(NOW + 10_000));
        assert_eq!(scope.unasked(subject("free:1", 1)), Some(NOW + 100_000));
        assert_eq!(scope.relative(subject("k", 1), NOW + 7000, None), NOW + 7000);
        let own = scope.relative(subject("k", 1), NOW + 7000, Percent::new(100));
        assert!((NOW + 1..NOW + 7000).contains(&own));
    }

    #[test]
    fn deadlines_at_the_ends_of_time_stay_in_it() {
        let rules = Rules::new((100, &[]), (0, &[]), (0, &[])).unwrap();
        let scope = Scope {
            rules: Some(&rules),
            ..Scope::default()
        };
        for deadline in [0, NOW - 1, NOW] {
            assert_eq!(scope.relative(subject("k", 3), deadline, Percent::new(100)), deadline);
        }
        assert_eq!(scope.relative(subject("k", 3), NOW + 1, None), NOW + 1);
        let far = scope.relative(subject("k", 3), u64::MAX, None);
        assert!(far > NOW && far < u64::MAX);
    }
}
