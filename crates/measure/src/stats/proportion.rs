//! How well a rate is known that was seen k times of n.

use std::fmt;

use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF};

use super::Interval;

/// k of n.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// How often it occurred.
    pub hits: u64,
    /// Of how many.
    pub of: u64,
    /// The interval of the true rate.
    pub interval: Interval,
}

impl Rate {
    /// The rate of `hits` in `of` with the interval of Clopper and Pearson, "The use of confidence or fiducial limits"
    /// (1934): exact, in that it holds the true rate at least as often as `level` says.
    pub fn new(hits: u64, of: u64, level: f64) -> Self {
        let (k, n) = (hits.min(of) as f64, of as f64);
        let tail = (1.0 - level) / 2.0;
        let low = if hits == 0 { 0.0 } else { beta_quantile(tail, k, n - k + 1.0) };
        let high = if hits >= of { 1.0 } else { beta_quantile(1.0 - tail, k + 1.0, n - k) };
        Self { hits, of, interval: Interval { low, high, level } }
    }

    /// The rate itself; `None` of none.
    pub fn value(&self) -> Option<f64> {
        (self.of > 0).then(|| self.hits as f64 / self.of as f64)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { low, high, level } = self.interval;
        write!(
            f,
            "{} of {} ({:.0} % interval {:.2} to {:.2} %)",
            self.hits,
            self.of,
            level * 100.0,
            low * 100.0,
            high * 100.0
        )
    }
}

/// The quantile of a beta distribution with parameters above zero.
fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    Beta::new(a, b).ok().and_then(|beta| beta.try_inverse_cdf(p).ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// The first five as in the tables that go with the paper (Pearson and Hartley, table 41), the last one the rule of
    /// three made exact: 1 - (alpha / 2)^(1 / n).
    #[rstest]
    #[case::none_of_ten(0, 10, 0.0, 0.3085)]
    #[case::one_of_ten(1, 10, 0.0025, 0.4450)]
    #[case::five_of_ten(5, 10, 0.1871, 0.8129)]
    #[case::all_of_ten(10, 10, 0.6915, 1.0)]
    #[case::two_of_twenty(2, 20, 0.0123, 0.3170)]
    #[case::none_of_ten_thousand(0, 10_000, 0.0, 0.000_368_8)]
    fn limits_are_those_of_the_tables(#[case] hits: u64, #[case] of: u64, #[case] low: f64, #[case] high: f64) {
        let interval = Rate::new(hits, of, 0.95).interval;
        assert!((interval.low - low).abs() < 5e-5 && (interval.high - high).abs() < 5e-5, "{interval:?}");
    }

    #[test]
    fn of_nothing_nothing_is_known() {
        let rate = Rate::new(0, 0, 0.95);
        assert_eq!((rate.value(), rate.interval.low, rate.interval.high), (None, 0.0, 1.0));
    }

    #[test]
    fn a_rate_reads_as_k_of_n_with_its_interval() {
        assert_eq!(Rate::new(3, 1_000, 0.95).to_string(), "3 of 1000 (95 % interval 0.06 to 0.87 %)");
    }

    proptest! {
        #[test]
        fn misses_are_hits_seen_from_the_other_side(of in 1u64..2_000, part in 0.0f64..1.0) {
            let hits = (of as f64 * part) as u64;
            let (hit, miss) = (Rate::new(hits, of, 0.95).interval, Rate::new(of - hits, of, 0.95).interval);
            prop_assert!((hit.low - (1.0 - miss.high)).abs() < 1e-6 && (hit.high - (1.0 - miss.low)).abs() < 1e-6);
            prop_assert!(hit.holds(hits as f64 / of as f64));
        }
    }
}
