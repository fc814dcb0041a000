//! Which key comes next: all of them in order, any of them alike, or some far more often than others.

use fastrand::Rng;

/// How keys are chosen. Keys are numbers from 0 on.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// Each once.
    Ascending { next: u64 },
    /// Each as often as any other.
    Uniform { count: u64 },
    /// By [`Zipf`]; key 0 is the most popular.
    Zipf(Zipf),
}

impl Keys {
    /// The next key.
    #[inline]
    pub(super) fn next(&mut self, rng: &mut Rng) -> u64 {
        match self {
            Keys::Ascending { next } => {
                *next += 1;
                *next - 1
            }
            Keys::Uniform { count } => rng.u64(..*count),
            Keys::Zipf(zipf) => zipf.sample(rng) - 1,
        }
    }
}

/// Ranks from 1 to n, where rank k comes with a probability proportional to k^-s.
///
/// By rejection-inversion (Hörmann and Derflinger 1996, "Rejection-inversion to generate variates from monotone
/// discrete distributions"): the area under x^-s is inverted for a point, which is rounded to a rank, and rarely
/// thrown away. It needs no table, so any number of keys starts at once.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    n: f64,
    exponent: f64,
    /// The range of areas that points are drawn from.
    first: f64,
    last: f64,
    /// A point this far below its rank is taken without a second look.
    sure: f64,
}

impl Zipf {
    /// `n` ranks, from 1 on; `exponent` above 0.
    pub(super) fn new(n: u64, exponent: f64) -> Zipf {
        let mut zipf = Zipf {
            n: n as f64,
            exponent,
            first: 0.0,
            last: 0.0,
            sure: 0.0,
        };
        zipf.first = zipf.area(1.5) - 1.0;
        zipf.last = zipf.area(zipf.n + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.area(2.5) - zipf.height(2.0));
        zipf
    }

    /// The next rank.
    #[inline]
    pub(super) fn sample(&self, rng: &mut Rng) -> u64 {
        loop {
            let area = self.last + rng.f64() * (self.first - self.last);
            let point = self.inverse(area);
            let rank = point.round().clamp(1.0, self.n);
            if rank - point <= self.sure || area >= self.area(rank + 0.5) - self.height(rank) {
                return rank as u64;
            }
        }
    }

    /// x^-s
    fn height(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of x^-s, which is (x^(1-s) - 1) / (1-s), and ln x for s = 1.
    fn area(&self, x: f64) -> f64 {
        let log = x.ln();
        over_x(f64::exp_m1, (1.0 - self.exponent) * log) * log
    }

    /// The x that has this area.
    fn inverse(&self, area: f64) -> f64 {
        // Rounding may lead below -1, where there is no logarithm.
        let scaled = (area * (1.0 - self.exponent)).max(-1.0);
        (over_x(f64::ln_1p, scaled) * area).exp()
    }
}

/// f(x)/x for functions that are like x near 0.
fn over_x(f: fn(f64) -> f64, x: f64) -> f64 {
    if x.abs() > 1e-8 { f(x) / x } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_come_as_often_as_zipf_says() {
        const SAMPLES: u32 = 400_000;
        for exponent in [0.5, 0.99, 1.0, 1.4] {
            let zipf = Zipf::new(1000, exponent);
            let mut rng = Rng::with_seed(7);
            let mut counts = vec![0u32; 1001];
            for _ in 0..SAMPLES {
                counts[zipf.sample(&mut rng) as usize] += 1;
            }
            let sum: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-exponent)).sum();
            for rank in [1, 2, 3, 10, 100, 1000] {
                let expected = f64::from(rank).powf(-exponent) / sum * f64::from(SAMPLES);
                let seen = f64::from(counts[rank as usize]);
                // Five standard deviations of a count.
                assert!(
                    (seen - expected).abs() < 5.0 * expected.sqrt() + 1.0,
                    "s={exponent} rank {rank}: {seen}, expected {expected:.0}"
                );
            }
        }
    }

    #[test]
    fn every_key_is_in_range_and_one_key_is_enough() {
        let mut rng = Rng::with_seed(1);
        for mut keys in [Keys::Uniform { count: 1 }, Keys::Zipf(Zipf::new(1, 0.99))] {
            assert!((0..100).all(|_| keys.next(&mut rng) == 0));
        }
        let zipf = Zipf::new(10, 3.0);
        assert!((0..10_000).all(|_| (1..=10).contains(&zipf.sample(&mut rng))));
        let mut ascending = Keys::Ascending { next: 0 };
        assert_eq!([0; 3].map(|_| ascending.next(&mut rng)), [0, 1, 2]);
    }
}
