//! What a comparison of this spread and size could have seen, and how many pairs would see more.
//!
//! A two-sided t test of level alpha finds an effect with the probability that a noncentral t exceeds the critical
//! value. Its distribution function is taken by Abramowitz and Stegun's approximation 26.7.10 (Johnson and Welch,
//! 1940), which can be solved for the effect: with c the critical value, f the degrees of freedom and z the normal
//! quantile of the power,
//!
//! ```text
//! effect / standard error = c (1 - 1 / 4f) + z sqrt(1 + c^2 / 2f)
//! ```
//!
//! The tests check it by simulation. The usual "c plus z" leaves out that the spread is estimated as well, and promises
//! too much where pairs are few: with 5 pairs at a level of 0.001 it says 10 standard errors where 13 are needed.
//!
//! The spread is the one that was observed, so that the answer is an estimate too: with 5 pairs it may well be off by a
//! third.

use super::paired::Estimate;
use super::student::{normal_quantile, t_quantile};

/// No comparison is told to run more pairs than this.
pub const MOST_PAIRS: usize = 1_000;

/// The smallest ratio above 1 that a comparison like `estimate` finds at level `alpha` with probability `power`; its
/// reciprocal is the largest below 1.
pub fn detectable(estimate: &Estimate, alpha: f64, power: f64) -> f64 {
    detectable_with(estimate.pairs, estimate, alpha, power)
}

/// The ratio above `threshold` whose estimate is above it as well with probability `power`.
pub fn clearing(estimate: &Estimate, threshold: f64, power: f64) -> f64 {
    threshold * (normal_quantile(power) * estimate.standard_error).exp()
}

/// How many more pairs of the same spread it takes to find `ratio` (or its reciprocal) at level `alpha` with
/// probability `power`: 0 where these are enough, `None` where [`MOST_PAIRS`] are not.
pub fn more_pairs(estimate: &Estimate, ratio: f64, alpha: f64, power: f64) -> Option<usize> {
    let effect = ratio.max(1.0 / ratio);
    more_pairs_until(estimate, |pairs| detectable_with(pairs, estimate, alpha, power) <= effect)
}

/// How many more pairs it takes for the interval of the log ratio to be no wider than `half` to either side.
pub fn more_pairs_for_width(estimate: &Estimate, half: f64) -> Option<usize> {
    let level = estimate.interval.level;
    more_pairs_until(estimate, |pairs| {
        let df = estimate.estimator.degrees_of_freedom(pairs);
        t_quantile(f64::midpoint(1.0, level), df) * standard_error(estimate, pairs) <= half
    })
}

/// How many standard errors an effect has to measure.
pub fn noncentrality(degrees_of_freedom: f64, alpha: f64, power: f64) -> f64 {
    let critical = t_quantile(1.0 - alpha / 2.0, degrees_of_freedom);
    critical * (1.0 - 1.0 / (4.0 * degrees_of_freedom))
        + normal_quantile(power) * (1.0 + critical.powi(2) / (2.0 * degrees_of_freedom)).sqrt()
}

fn detectable_with(pairs: usize, estimate: &Estimate, alpha: f64, power: f64) -> f64 {
    let df = estimate.estimator.degrees_of_freedom(pairs);
    let level = alpha / estimate.estimator.tests();
    (noncentrality(df, level, power) * standard_error(estimate, pairs)).exp()
}

fn standard_error(estimate: &Estimate, pairs: usize) -> f64 {
    estimate.standard_error * (estimate.pairs as f64 / pairs as f64).sqrt()
}

fn more_pairs_until(estimate: &Estimate, enough: impl Fn(usize) -> bool) -> Option<usize> {
    let candidates: Vec<usize> = (estimate.pairs..=MOST_PAIRS).collect();
    let first = candidates.partition_point(|pairs| !enough(*pairs));
    (first < candidates.len()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::LogRatios;
    use crate::stats::simulate::{Draws, share};
    use proptest::prelude::*;
    use rstest::rstest;

    fn estimate(logs: &[f64]) -> Estimate {
        let head: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
        LogRatios::of(&vec![1.0; logs.len()], &head).expect("good").mean(0.95)
    }

    /// Pairs that a paired t test needs for 80 % power at a level of 0.05, as G*Power gives them (Faul and others, 2007): 34
    /// for half a standard deviation, 15 for 0.8, 199 for a fifth.
    #[rstest]
    #[case::medium(0.5, 34)]
    #[case::large(0.8, 15)]
    #[case::small(0.2, 199)]
    fn pairs_are_those_of_the_power_tables(#[case] effect: f64, #[case] pairs: usize) {
        let three = Estimate { standard_error: 1.0 / 3.0_f64.sqrt(), ..estimate(&[0.0, 0.5, 1.0]) };
        let more = more_pairs(&three, effect.exp(), 0.05, 0.8).expect("few enough");
        assert!((3 + more).abs_diff(pairs) <= 1, "{}", 3 + more);
    }

    /// What is promised is found: at the levels and sizes of a gate, in 95 % of simulated runs.
    #[rstest]
    #[case::five_pairs_of_ten_metrics(5, 0.001)]
    #[case::ten_pairs_of_ten_metrics(10, 0.001)]
    #[case::ten_pairs_of_one_metric(10, 0.01)]
    #[case::twenty_pairs(20, 0.001)]
    fn an_effect_of_this_size_is_found_with_the_power_that_was_asked(#[case] pairs: usize, #[case] alpha: f64) {
        let effect = noncentrality(pairs as f64 - 1.0, alpha, 0.95) / (pairs as f64).sqrt();
        let mut draws = Draws::new(3);
        let found = share(4_000, || {
            let logs: Vec<f64> = (0..pairs).map(|_| 0.05 * (effect + draws.normal())).collect();
            estimate(&logs).p <= alpha
        });
        assert!((0.94..0.965).contains(&found), "{found}");
    }

    #[test]
    fn what_these_pairs_see_needs_no_more_of_them() {
        let ten = estimate(&[0.1, 0.0, -0.1, 0.05, -0.05, 0.02, -0.02, 0.08, -0.08, 0.01]);
        let seen = detectable(&ten, 0.001, 0.95);
        assert_eq!(more_pairs(&ten, seen * 1.000_001, 0.001, 0.95), Some(0));
        assert_eq!(more_pairs(&ten, 1.0 / (seen * 1.000_001), 0.001, 0.95), Some(0));
        assert!(more_pairs(&ten, seen * 0.99, 0.001, 0.95).is_some_and(|more| more > 0));
        assert_eq!(more_pairs(&ten, 1.0, 0.001, 0.95), None);
    }

    proptest! {
        #[test]
        fn more_pairs_see_smaller_effects(
            logs in prop::collection::vec(-1.0f64..1.0, 3..20), more in 1usize..100, alpha in 0.0001f64..0.1,
        ) {
            let few = estimate(&logs);
            let now = detectable_with(few.pairs, &few, alpha, 0.95);
            prop_assert!(detectable_with(few.pairs + more, &few, alpha, 0.95) < now);
            prop_assert!(detectable(&few, alpha, 0.8) < now);
            prop_assert!(detectable(&few, alpha / 2.0, 0.95) > now);
        }
    }
}
