//! Exact quantiles of samples that are all at hand, and how many samples a quantile needs.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Quantiles of a set of durations, in milliseconds, with the number of samples they rest on.
///
/// A quantile that the samples cannot carry is absent, never guessed: p99 of 20 samples is only their maximum under
/// another name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Number of samples.
    pub n: usize,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 90th percentile; needs 10 samples.
    pub p90_ms: Option<f64>,
    /// 99th percentile; needs 100 samples.
    pub p99_ms: Option<f64>,
    /// The largest sample.
    pub max_ms: Option<f64>,
}

impl Quantiles {
    /// Computes the quantiles of `samples`, which it sorts.
    pub fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let at = |p: f64| quantile(&samples, p).map(millis);
        Self { n: samples.len(), p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

/// The nearest-rank quantile of sorted samples: the element at index `ceil(n * p) - 1`.
///
/// This is the estimator of kperf's report (`metrics` in Azure/kperf) and the first definition of Hyndman and Fan,
/// "Sample Quantiles in Statistical Packages" (1996). `None` where there are fewer than `1 / (1 - p)` samples.
pub fn quantile<T: Copy>(sorted: &[T], p: f64) -> Option<T> {
    sorted.get(rank(sorted.len(), p)?).copied()
}

/// The nearest-rank median of samples in any order; `None` of fewer than two.
pub fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    quantile(&samples, 0.5)
}

/// The index of the nearest-rank quantile among `n` sorted samples; `None` where they cannot carry it.
pub(super) fn rank(n: usize, p: f64) -> Option<usize> {
    (n as f64 >= samples_to_carry(p)).then(|| ((n as f64 * p).ceil() as usize).saturating_sub(1))
}

/// The samples below which the quantile `p` is only the maximum under another name: `1 / (1 - p)`.
pub fn samples_to_carry(p: f64) -> f64 {
    // Six decimals keep 1 / (1 - 0.99) at 100 and not at 99.999….
    if p < 1.0 { (1.0 / (1.0 - p) * 1e6).round() / 1e6 } else { 1.0 }
}

/// How many samples it takes for their maximum to be an upper bound of the quantile `p` with this confidence: 299 for a
/// one-sided 95 % bound on p99, 2,995 on p99.9.
///
/// All of n samples lie below the quantile with probability p^n, so n has to reach `ln(1 - confidence) / ln(p)`: Wilks,
/// "Determination of Sample Sizes for Setting Tolerance Limits" (1941). [`Quantiles`] shows a p99 from 100 samples on,
/// as an estimate; a limit on p99 that is to hold needs this many.
///
/// `p` and `confidence` are probabilities between 0 and 1, both excluded.
pub fn samples_to_bound(p: f64, confidence: f64) -> usize {
    ((1.0 - confidence).ln() / p.ln()).ceil() as usize
}

/// A duration in milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn one_to(n: u64) -> Vec<Duration> {
        (1..=n).map(Duration::from_millis).collect()
    }

    #[test]
    fn nearest_rank_of_one_to_a_hundred_is_the_percentile_itself() {
        let quantiles = Quantiles::of(one_to(100));
        assert_eq!(quantiles.n, 100);
        assert_eq!(quantiles.p50_ms, Some(50.0));
        assert_eq!(quantiles.p90_ms, Some(90.0));
        assert_eq!(quantiles.p99_ms, Some(99.0));
        assert_eq!(quantiles.max_ms, Some(100.0));
    }

    #[test]
    fn a_percentile_that_the_samples_cannot_carry_is_absent() {
        let quantiles = Quantiles::of(one_to(99));
        assert_eq!(quantiles.p99_ms, None);
        assert!(quantiles.p90_ms.is_some());
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }

    #[rstest]
    #[case::p99(0.99, 0.95, 299)]
    #[case::p999(0.999, 0.95, 2_995)]
    #[case::the_95_95_tolerance_limit(0.95, 0.95, 59)]
    #[case::the_90_95_tolerance_limit(0.9, 0.95, 29)]
    fn a_bound_needs_as_many_samples_as_wilks_says(#[case] p: f64, #[case] confidence: f64, #[case] n: usize) {
        assert_eq!(samples_to_bound(p, confidence), n);
        assert!(p.powi(n as i32) <= 1.0 - confidence && p.powi(n as i32 - 1) > 1.0 - confidence);
    }

    proptest! {
        #[test]
        fn a_quantile_is_a_sample_and_at_least_its_share_lies_at_or_below_it(
            mut millis in prop::collection::vec(0u64..10_000, 100..400), p in 0.01f64..0.99,
        ) {
            millis.sort_unstable();
            let sorted: Vec<Duration> = millis.into_iter().map(Duration::from_millis).collect();
            let q = quantile(&sorted, p).expect("enough samples");
            let at_or_below = sorted.iter().filter(|sample| **sample <= q).count();
            prop_assert!(sorted.contains(&q));
            prop_assert!(at_or_below as f64 >= p * sorted.len() as f64);
        }
    }
}
