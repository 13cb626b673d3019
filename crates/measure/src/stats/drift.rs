//! What the machine did while the arms took turns: the trend of a metric over the positions of a schedule.
//!
//! The logarithm of the samples is regressed on their position, with one slope for all arms and a level for each: the
//! analysis of covariance (Snedecor and Cochran, "Statistical Methods", chapter 18). The levels keep a difference
//! between the arms, which is what is looked for, out of the trend and out of its error.
//!
//! A drift does not make a comparison wrong: pairs stand next to each other, and ABBA gives each arm the same mean
//! position. It says that the machine was not at rest, and it makes an unpaired comparison of the same samples wrong.

use serde::{Deserialize, Serialize};

use super::student::{t_quantile, two_sided_p};
use super::{Interval, SampleError, check_arm};

/// A sample with its place in the order of runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// The place, as in [`crate::arms::Run::position`].
    pub position: usize,
    /// The sample, above zero.
    pub value: f64,
}

/// The trend of a metric from one position to the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The factor from one position to the next: 1.01 is one percent more each time.
    pub per_position: f64,
    /// The interval of the factor.
    pub interval: Interval,
    /// The probability of a trend at least this steep, up or down, where there is none.
    pub p: f64,
}

impl Drift {
    /// The trend that the samples of all arms share. Each arm comes with its name.
    ///
    /// # Errors
    /// No arm, an arm without samples, a sample that is not finite and above zero, fewer than three samples more than
    /// there are arms, or none at a place of its own.
    pub fn of(arms: &[(&str, &[Placed])], confidence: f64) -> Result<Self, SampleError> {
        let n: usize = arms.iter().map(|(_, runs)| runs.len()).sum();
        let needed = arms.len() + 3;
        if n < needed {
            return Err(SampleError::TooFew { n, needed });
        }
        let mut sums = Sums::default();
        for (name, runs) in arms {
            sums.add(name, runs)?;
        }
        if sums.xx <= 0.0 {
            return Err(SampleError::OnePlace);
        }
        let df = (n - arms.len() - 1) as f64;
        let slope = sums.xy / sums.xx;
        let error = ((sums.yy - slope * sums.xy).max(0.0) / df / sums.xx).sqrt();
        let half = t_quantile(f64::midpoint(1.0, confidence), df) * error;
        let p = match () {
            () if error > 0.0 => two_sided_p(slope / error, df),
            () if slope.abs() > 0.0 => 0.0,
            () => 1.0,
        };
        let interval = Interval { low: slope - half, high: slope + half, level: confidence };
        Ok(Self { per_position: slope.exp(), interval: interval.map(f64::exp), p })
    }

    /// The factor over this many positions.
    pub fn over(&self, positions: usize) -> f64 {
        self.per_position.powf(positions as f64)
    }
}

/// Sums of squares and products around each arm's means.
#[derive(Default)]
struct Sums {
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Sums {
    fn add(&mut self, arm: &str, runs: &[Placed]) -> Result<(), SampleError> {
        let values: Vec<f64> = runs.iter().map(|run| run.value).collect();
        check_arm(arm, &values)?;
        let n = runs.len() as f64;
        let mean_x = runs.iter().map(|run| run.position as f64).sum::<f64>() / n;
        let mean_y = values.iter().map(|value| value.ln()).sum::<f64>() / n;
        for run in runs {
            let (x, y) = (run.position as f64 - mean_x, run.value.ln() - mean_y);
            self.xx += x * x;
            self.xy += x * y;
            self.yy += y * y;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::simulate::{Draws, share};
    use proptest::prelude::*;

    fn placed(position: usize, log: f64) -> Placed {
        Placed { position, value: log.exp() }
    }

    /// The first set of Anscombe, "Graphs in Statistical Analysis" (1973): slope 0.5001, its error 0.1179, p = 0.00217.
    #[test]
    fn the_first_quartet_of_anscombe_is_as_published() {
        let ys = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
        let xs = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5];
        let arm: Vec<Placed> = xs.into_iter().zip(ys).map(|(x, y)| placed(x, y)).collect();
        let drift = Drift::of(&[("a", &arm)], 0.95).expect("eleven");
        let half = (drift.interval.high / drift.interval.low).ln() / 2.0;
        assert!((drift.per_position.ln() - 0.500_1).abs() < 1e-4, "{drift:?}");
        assert!((half / 2.262_16 - 0.117_9).abs() < 1e-4, "{half}");
        assert!((drift.p - 0.002_17).abs() < 1e-5, "{drift:?}");
    }

    #[test]
    fn a_difference_between_the_arms_is_no_drift() {
        let noise = [0.01, -0.02, 0.0, 0.02, -0.01, 0.01];
        let arm = |offset: usize, level: f64| -> Vec<Placed> {
            noise.iter().enumerate().map(|(i, noise)| placed(2 * i + offset, level + noise)).collect()
        };
        let alike = Drift::of(&[("a", &arm(0, 0.0)), ("b", &arm(1, 0.0))], 0.95).expect("twelve");
        let apart = Drift::of(&[("a", &arm(0, 0.0)), ("b", &arm(1, 2.0))], 0.95).expect("twelve");
        assert!((alike.per_position - apart.per_position).abs() < 1e-12 && (alike.p - apart.p).abs() < 1e-9);
        assert!(apart.interval.holds(1.0), "{apart:?}");
    }

    #[test]
    fn an_interval_holds_the_drift_as_often_as_it_says() {
        let mut draws = Draws::new(17);
        let held = share(4_000, || {
            let mut arm = |offset: usize| -> Vec<Placed> {
                (0..8).map(|i| 2 * i + offset).map(|at| placed(at, 0.02 * at as f64 + 0.1 * draws.normal())).collect()
            };
            let (a, b) = (arm(0), arm(1));
            Drift::of(&[("a", &a), ("b", &b)], 0.95).expect("sixteen").interval.holds(0.02_f64.exp())
        });
        assert!((0.935..0.965).contains(&held), "{held}");
    }

    #[test]
    fn samples_that_show_no_trend_are_refused() {
        let at_one_place = vec![placed(4, 0.1); 9];
        assert!(matches!(Drift::of(&[], 0.95), Err(SampleError::TooFew { n: 0, needed: 3 })));
        assert!(matches!(Drift::of(&[("a", &at_one_place)], 0.95), Err(SampleError::OnePlace)));
        let dead = vec![Placed { position: 0, value: 0.0 }; 9];
        assert!(matches!(Drift::of(&[("a", &dead)], 0.95), Err(SampleError::NotPositive { index: 0, .. })));
    }

    proptest! {
        #[test]
        fn a_pure_trend_is_found_exactly(slope in -0.1f64..0.1, n in 4usize..40) {
            let arm: Vec<Placed> = (0..n).map(|at| placed(at, slope * at as f64)).collect();
            let drift = Drift::of(&[("a", &arm)], 0.95).expect("enough");
            prop_assert!((drift.per_position.ln() - slope).abs() < 1e-9);
            prop_assert!((drift.over(n).ln() - slope * n as f64).abs() < 1e-6);
        }
    }
}
