//! The pulls of one arm in a few figures.

use measure::stats::quantile;

/// Pull times of a step, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Pulls.
    pub n: usize,
    /// The shortest.
    pub min: f64,
    /// The lower quartile.
    pub q25: f64,
    /// The median: half of them took no longer. (Upstream's box plot draws the mean in its place.)
    pub median: f64,
    /// The upper quartile.
    pub q75: f64,
    /// 90th percentile by the nearest rank; needs 10 pulls.
    pub p90: Option<f64>,
    /// 99th percentile by the nearest rank; needs 100 pulls.
    pub p99: Option<f64>,
    /// The longest.
    pub max: f64,
    /// The mean, which upstream's published improvements are of.
    pub mean: f64,
}

impl Summary {
    /// Of sorted times; none of no times.
    pub fn of(sorted: &[f64]) -> Option<Self> {
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Self {
            n: sorted.len(),
            min,
            q25: between(sorted, 0.25),
            median: between(sorted, 0.5),
            q75: between(sorted, 0.75),
            p90: quantile(sorted, 0.9),
            p99: quantile(sorted, 0.99),
            max,
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
        })
    }
}

/// A quantile that is linear between neighbours: the seventh definition of Hyndman and Fan, "Sample Quantiles in Statistical
/// Packages" (1996), whose median of an even number is the middle of the middle two.
fn between(sorted: &[f64], p: f64) -> f64 {
    let at = p * sorted.len().saturating_sub(1) as f64;
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (at - at.floor())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The mean, which upstream draws, is 3.7.
    #[test]
    fn the_median_is_no_mean() {
        let summary = Summary::of(&[1.0, 1.2, 1.4, 2.0, 12.9]).unwrap();
        assert!((summary.median - 1.4).abs() < 1e-9 && (summary.mean - 3.7).abs() < 1e-9, "{summary:?}");
        assert_eq!((summary.n, summary.p90, summary.p99), (5, None, None));
    }

    #[rstest]
    #[case(&[2.0], 2.0, 2.0)]
    #[case(&[1.0, 3.0], 1.5, 2.0)]
    #[case(&[1.0, 2.0, 3.0, 4.0], 1.75, 2.5)]
    fn quartiles_lie_between_neighbours(#[case] sorted: &[f64], #[case] q25: f64, #[case] median: f64) {
        let summary = Summary::of(sorted).unwrap();
        assert!((summary.q25 - q25).abs() < 1e-9 && (summary.median - median).abs() < 1e-9, "{summary:?}");
    }

    #[test]
    fn no_pulls_have_no_figures() {
        assert_eq!(Summary::of(&[]), None);
    }
}
