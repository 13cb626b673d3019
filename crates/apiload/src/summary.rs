//! The quantiles of latencies, for reports.

use measure::stats::{Hdr, millis};
use serde::Serialize;

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

impl Summary {
    /// The quantiles of these and `unknown` more: see [`Hdr::quantile_of`].
    pub fn of(latencies: &Hdr, unknown: u64) -> Self {
        let at = |p| latencies.quantile_of(p, unknown).map(millis);
        Self {
            n: latencies.count(),
            unknown,
            mean_ms: latencies.mean().map(millis),
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
    use std::time::Duration;

    #[test]
    fn unknown_latencies_are_told_and_take_the_quantiles_that_they_could_decide() {
        let mut latencies = Hdr::default();
        (1..=980).for_each(|n| latencies.record(Duration::from_millis(n)));
        let summary = Summary::of(&latencies, 20);
        assert_eq!((summary.n, summary.unknown), (980, 20));
        assert!(summary.p95_ms.is_some_and(|p95| (p95 - 950.0).abs() < 1.0));
        assert_eq!((summary.p99_ms, summary.max_ms), (None, None));
        assert_eq!(Summary::of(&Hdr::default(), 0), Summary::default());
    }
}
