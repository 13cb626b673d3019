//! Latencies in constant memory.

use std::time::Duration;

use hdrhistogram::Histogram;
use measure::stats::{millis, samples_to_carry};
use serde::Serialize;

/// The smallest latency that is told from zero.
const LOWEST_NS: u64 = 1_000;
/// The largest; what took longer counts as this.
const HIGHEST_NS: u64 = 3_600_000_000_000;
/// Significant decimal digits: a value is known to 0.1 %.
const DIGITS: u8 = 3;

/// A histogram of latencies from 1 µs to 1 h with three significant digits, in about 100 KiB whatever it holds.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u32>);

/// The quantiles of latencies, some of which may not be known. All in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Latencies that were measured.
    pub n: u64,
    /// Requests whose latency never came to be known: cancelled, or never sent.
    pub unknown: u64,
    /// Mean of those that were measured.
    pub mean_ms: Option<f64>,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 90th percentile.
    pub p90_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile; needs 100 requests.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile; needs 1,000 requests.
    pub p999_ms: Option<f64>,
    /// The largest.
    pub max_ms: Option<f64>,
}

impl Default for Latency {
    fn default() -> Self {
        // The bounds are constants that hdrhistogram takes: every test of this crate would fail if it did not.
        Self(Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS).expect("bounds a factor of two apart"))
    }
}

impl Latency {
    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(HIGHEST_NS));
    }

    /// Adds all of another. Histograms add up exactly, unlike percentiles.
    pub fn add(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The nearest-rank quantile where all are known: see [`Latency::quantile_of`].
    pub fn quantile(&self, p: f64) -> Option<Duration> {
        self.quantile_of(p, 0)
    }

    /// The nearest-rank quantile among these and `unknown` more, which may have been longer than all of these. Where that
    /// would decide it, or where the samples cannot carry it (`1 / (1 - p)` are needed), there is none: leaving out the
    /// requests that did worst makes the rest look good.
    pub fn quantile_of(&self, p: f64, unknown: u64) -> Option<Duration> {
        let n = self.0.len() + unknown;
        if (n as f64) < samples_to_carry(p) {
            return None;
        }
        let rank = ((n as f64 * p).ceil() as u64).max(1);
        let mut seen = 0;
        let mut buckets = self.0.iter_recorded();
        buckets.find_map(|bucket| {
            seen += u64::from(bucket.count_at_value());
            (seen >= rank).then(|| Duration::from_nanos(bucket.value_iterated_to()))
        })
    }

    /// The histogram itself, in nanoseconds, for whoever writes or merges it.
    pub fn histogram(&self) -> &Histogram<u32> {
        &self.0
    }

    /// The quantiles of these and `unknown` more.
    pub fn summary(&self, unknown: u64) -> Summary {
        let at = |p| self.quantile_of(p, unknown).map(millis);
        Summary {
            n: self.0.len(),
            unknown,
            mean_ms: (!self.0.is_empty()).then(|| self.0.mean() / 1e6),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(latencies: &[Duration]) -> Latency {
        let mut latency = Latency::default();
        latencies.iter().for_each(|one| latency.record(*one));
        latency
    }

    proptest! {
        #[test]
        fn a_quantile_is_the_exact_one_to_three_digits(
            mut micros in prop::collection::vec(1u64..100_000_000, 100..500), p in 0.01f64..0.99,
        ) {
            micros.sort_unstable();
            let exact: Vec<Duration> = micros.into_iter().map(Duration::from_micros).collect();
            let got = of(&exact).quantile(p).expect("enough").as_secs_f64();
            let expected = measure::stats::quantile(&exact, p).expect("enough").as_secs_f64();
            prop_assert!((got - expected).abs() <= expected * 1e-3 + 1e-6, "{got} for {expected}");
        }
    }

    #[test]
    fn unknown_latencies_take_the_quantiles_that_they_could_decide() {
        let latency = of(&(1..=980).map(Duration::from_millis).collect::<Vec<_>>());
        let summary = latency.summary(20);
        assert_eq!((summary.n, summary.unknown), (980, 20));
        assert!(summary.p50_ms.is_some_and(|p50| (p50 - 500.0).abs() < 1.0));
        assert!(summary.p95_ms.is_some_and(|p95| (p95 - 950.0).abs() < 1.0));
        assert_eq!((summary.p99_ms, summary.max_ms), (None, None));
    }

    #[test]
    fn a_percentile_that_the_samples_cannot_carry_is_absent() {
        let latency = of(&[Duration::from_millis(1); 99]);
        assert_eq!(latency.quantile(0.99), None);
        assert!(latency.quantile(0.9).is_some());
        assert_eq!(Latency::default().summary(0), Summary::default());
    }

    #[test]
    fn what_is_out_of_range_is_counted_at_its_edge() {
        let latency = of(&[Duration::ZERO, Duration::from_secs(10_000)]);
        assert_eq!(latency.count(), 2);
        assert!(latency.quantile(1.0).is_some_and(|max| (3_599..=3_604).contains(&max.as_secs())));
    }
}
