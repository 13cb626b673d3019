//! Two arms compared pair by pair: Student's t on the log ratios, and what takes its place where they are not normal.
//!
//! **Which one decides** ([`LogRatios::estimate`]):
//!
//! 1. Student's paired t test on the mean of the log ratios, as long as Shapiro and Wilk's test does not refute that
//!    they are normal, at the level [`NORMALITY_LEVEL`]. The level is low because each wrong refutation costs power,
//!    and a departure that small samples cannot show at it is mild enough for t.
//! 2. Where normality is refuted, the signed ranks ([`crate::stats::ranks`]), which need nothing but symmetry, if there
//!    are pairs enough: n pairs can give no p below 2^(1-n), and ranks are asked only where this is a tenth of the
//!    level that has to be reached, so that one pair against the trend does not silence them. A family of ten metrics
//!    at 0.01 needs 15 pairs for that.
//! 3. With fewer pairs, t on the trimmed mean, a fifth off each end (Tukey and McLaughlin, 1963): a repeat that the
//!    machine disturbed loses its pull on the estimate and on the spread alike.
//!
//! A robust estimate is the second test of the same pairs, chosen after a look at them, and is charged for it: its p is
//! doubled. The mean is not, so that what is kept is one and a half times the level at most, the level itself by the mean and
//! half of it by the other; ten pairs of normal noise come to that (0.25 % at a level of 0.17 %), other noise stays below. One whose spread is zero while the log ratios differ is a sign of rounded values and not of precision:
//! there the mean decides after all.
//!
//! **Why that keeps the rate of false alarms.** With nothing changed, the arms of a pair are exchangeable, because the
//! order in which they ran is drawn, so their log ratio is symmetric around zero whatever the noise looks like. Under
//! symmetry t errs to the safe side where tails are heavy (Efron, "Student's t-test under symmetry conditions", 1969),
//! which is what noise on a shared machine is; it costs power, and the trimmed mean is there to win that back.
//!
//! **What it cannot stand** is noise without tails, which agrees with itself by chance: of 5 pairs of flat noise, 2.5 %
//! pass a level of 0.01 and 0.4 % one of 0.001; of 15 pairs 1.2 and 0.2 %. Noise in two clumps with nothing between is
//! worse, for with 5 pairs all are on one side once in 16 times. That real repeats are not like that is what their
//! resampling shows ([`crate::gate::resample`]).

use serde::{Deserialize, Serialize};

use super::normality::{ShapiroWilk, shapiro_wilk};
use super::student::{t_quantile, two_sided_p};
use super::{Interval, SampleError, check_arm, ranks};

/// At which level normality is refuted.
pub const NORMALITY_LEVEL: f64 = 0.01;

/// The share of pairs that the trimmed mean leaves out at each end: the usual choice (Wilcox, "Introduction to Robust
/// Estimation and Hypothesis Testing").
pub const TRIM: f64 = 0.2;

/// The fewest pairs that an estimate can be made of: with two, the spread is one difference, and no test of normality
/// exists.
pub const LEAST_PAIRS: usize = 3;

/// How far below the level that has to be reached the smallest p of the signed ranks has to lie.
const RANKS_MARGIN: f64 = 10.0;

/// The log ratios `ln(head / base)` of pairs, in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRatios(Vec<f64>);

/// What pairs say about the ratio of two arms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// How it was made.
    pub estimator: Estimator,
    /// Number of pairs.
    pub pairs: usize,
    /// The ratio of head to base.
    pub ratio: f64,
    /// The interval of the ratio.
    pub interval: Interval,
    /// The probability of a ratio at least this far from 1, in either direction, where the arms are alike.
    pub p: f64,
    /// The standard error of the logarithm of the ratio.
    pub standard_error: f64,
}

/// How an estimate is made of log ratios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// The mean, with Student's t.
    Mean,
    /// The mean of the middle three fifths, with t on the winsorised spread.
    TrimmedMean,
    /// The Hodges-Lehmann estimate, with Wilcoxon's signed ranks.
    SignedRanks,
}

impl LogRatios {
    /// The log ratios of `head` to `base`, pair by pair.
    ///
    /// # Errors
    /// An arm that is missing, arms of different length, samples that are not finite and above zero, fewer than
    /// [`LEAST_PAIRS`].
    pub fn of(base: &[f64], head: &[f64]) -> Result<Self, SampleError> {
        check_arm("base", base)?;
        check_arm("head", head)?;
        if base.len() != head.len() {
            return Err(SampleError::Unequal { base: base.len(), head: head.len() });
        }
        if base.len() < LEAST_PAIRS {
            return Err(SampleError::TooFew { n: base.len(), needed: LEAST_PAIRS });
        }
        let mut logs: Vec<f64> = base.iter().zip(head).map(|(base, head)| (head / base).ln()).collect();
        logs.sort_unstable_by(f64::total_cmp);
        Ok(Self(logs))
    }

    /// The log ratios in ascending order.
    pub fn sorted(&self) -> &[f64] {
        &self.0
    }

    /// The estimate that decides, by the rule of this module, where a p of `level` has to be reached; its interval
    /// holds the true ratio with probability `confidence`.
    pub fn estimate(&self, level: f64, confidence: f64) -> Estimate {
        if self.normality().is_none_or(|test| test.p >= NORMALITY_LEVEL) {
            return self.mean(confidence);
        }
        let ranks_can_tell = ranks::smallest_p(self.0.len()) * RANKS_MARGIN <= level;
        let robust = if ranks_can_tell { ranks::signed_ranks(self, confidence) } else { self.trimmed_mean(confidence) };
        if robust.standard_error > 0.0 {
            Estimate { p: (robust.p * robust.estimator.tests()).min(1.0), ..robust }
        } else {
            self.mean(confidence)
        }
    }

    /// Whether the log ratios may be normal; `None` where they are all the same.
    pub fn normality(&self) -> Option<ShapiroWilk> {
        shapiro_wilk(&self.0)
    }

    /// The ratio of geometric means, with Student's interval and test: Student, "The probable error of a mean" (1908).
    pub fn mean(&self, confidence: f64) -> Estimate {
        let (mean, deviation) = moments(&self.0);
        let error = deviation / (self.0.len() as f64).sqrt();
        self.by_t(Estimator::Mean, mean, error, confidence)
    }

    /// The trimmed mean with t on the winsorised spread: Tukey and McLaughlin, "Less vulnerable confidence and
    /// significance procedures for location based on a single sample" (1963), in the form of Wilcox.
    pub fn trimmed_mean(&self, confidence: f64) -> Estimate {
        let n = self.0.len();
        let cut = trimmed(n);
        let kept = &self.0[cut..n - cut];
        let centre = kept.iter().sum::<f64>() / kept.len() as f64;
        let winsorised: Vec<f64> = self.0.iter().map(|log| log.clamp(kept[0], kept[kept.len() - 1])).collect();
        let error = moments(&winsorised).1 / ((1.0 - 2.0 * TRIM) * (n as f64).sqrt());
        self.by_t(Estimator::TrimmedMean, centre, error, confidence)
    }

    fn by_t(&self, estimator: Estimator, centre: f64, error: f64, confidence: f64) -> Estimate {
        let pairs = self.0.len();
        let df = estimator.degrees_of_freedom(pairs);
        let half = t_quantile(f64::midpoint(1.0, confidence), df) * error;
        let p = match () {
            () if error > 0.0 => two_sided_p(centre / error, df),
            // Counts can be exact: no spread leaves no doubt about a difference.
            () if centre.abs() > 0.0 => 0.0,
            () => 1.0,
        };
        let interval = Interval { low: centre - half, high: centre + half, level: confidence };
        Estimate { estimator, pairs, ratio: centre.exp(), interval: interval.map(f64::exp), p, standard_error: error }
    }
}

impl Estimator {
    /// How many tests an estimate of this kind is charged for by [`LogRatios::estimate`].
    pub fn tests(self) -> f64 {
        match self {
            Self::Mean => 1.0,
            Self::TrimmedMean | Self::SignedRanks => 2.0,
        }
    }

    /// The degrees of freedom of the spread of `pairs`.
    pub fn degrees_of_freedom(self, pairs: usize) -> f64 {
        match self {
            Self::Mean | Self::SignedRanks => pairs as f64 - 1.0,
            Self::TrimmedMean => (pairs - 2 * trimmed(pairs)) as f64 - 1.0,
        }
    }
}

/// How many of `n` are left out at each end.
fn trimmed(n: usize) -> usize {
    (n as f64 * TRIM).floor() as usize
}

/// Mean and standard deviation; equal values have no deviation, whatever their sum was rounded to.
fn moments(sorted: &[f64]) -> (f64, f64) {
    let n = sorted.len() as f64;
    if sorted[0].total_cmp(&sorted[sorted.len() - 1]).is_eq() {
        return (sorted[0], 0.0);
    }
    let mean = sorted.iter().sum::<f64>() / n;
    let squares: f64 = sorted.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::simulate::{Draws, share};
    use proptest::prelude::*;
    use rstest::rstest;

    /// Arms whose log ratios are `logs`.
    pub(crate) fn ratios(logs: &[f64]) -> LogRatios {
        let head: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
        LogRatios::of(&vec![1.0; logs.len()], &head).expect("good")
    }

    /// Additional hours of sleep under two drugs, Student (1908): t = 4.0621 with 9 degrees of freedom, p = 0.002833,
    /// 95 % interval 0.7001 to 2.4599.
    #[test]
    fn student_s_sleep_is_as_published() {
        let sleep = ratios(&[1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]).mean(0.95);
        let interval = sleep.interval.map(f64::ln);
        assert!((sleep.ratio.ln() / sleep.standard_error - 4.062_1).abs() < 1e-4, "{sleep:?}");
        assert!((sleep.p - 0.002_833).abs() < 1e-6, "{sleep:?}");
        assert!((interval.low - 0.700_114).abs() < 1e-5 && (interval.high - 2.459_886).abs() < 1e-5, "{interval:?}");
    }

    /// Dana's data on self-awareness, the example of Wilcox for the trimmed mean: 282.7, interval 160.4 to 405.0.
    #[test]
    fn the_trimmed_mean_of_self_awareness_is_as_published() {
        let seconds = [
            77., 87., 88., 114., 151., 210., 219., 246., 253., 262., 296., 299., 306., 376., 428., 515., 666., 1310.,
            2611.,
        ];
        let logs: Vec<f64> = seconds.iter().map(|x| x / 1e4).collect();
        let estimate = ratios(&logs).trimmed_mean(0.95);
        let interval = estimate.interval.map(|ratio| ratio.ln() * 1e4);
        assert!((estimate.ratio.ln() * 1e4 - 282.69).abs() < 0.01, "{estimate:?}");
        assert!((interval.low - 160.4).abs() < 0.1 && (interval.high - 405.0).abs() < 0.1, "{interval:?}");
    }

    #[rstest]
    #[case::normal(&[0.10, 0.12, 0.14, 0.13, 0.11], 0.001, Estimator::Mean)]
    #[case::an_outlier(&[0.10, 0.12, 0.14, 0.13, 0.11, 0.12, 0.13, 0.12, 0.11, 1.5], 0.001, Estimator::TrimmedMean)]
    #[case::an_outlier_and_one_metric(
        &[0.10, 0.12, 0.14, 0.13, 0.11, 0.12, 0.13, 0.12, 0.11, 0.125, 1.5], 0.01, Estimator::SignedRanks,
    )]
    #[case::rounded(&[0.0, 0.0, 0.0, 0.0, 0.7], 0.001, Estimator::Mean)]
    #[case::exact(&[0.1, 0.1, 0.1, 0.1, 0.1], 0.001, Estimator::Mean)]
    fn the_shape_of_the_log_ratios_chooses_the_estimator(
        #[case] logs: &[f64],
        #[case] level: f64,
        #[case] estimator: Estimator,
    ) {
        assert_eq!(ratios(logs).estimate(level, 0.95).estimator, estimator);
    }

    #[test]
    fn exact_counts_that_differ_leave_no_doubt() {
        let twice = LogRatios::of(&[10.0, 20.0, 40.0], &[11.0, 22.0, 44.0]).expect("good").mean(0.95);
        let same = LogRatios::of(&[10.0, 20.0, 40.0], &[10.0, 20.0, 40.0]).expect("good").mean(0.95);
        assert!(twice.p < 1e-9 && (twice.ratio - 1.1).abs() < 1e-12, "{twice:?}");
        assert!((same.p - 1.0).abs() < 1e-12 && same.interval.holds(1.0), "{same:?}");
    }

    #[rstest]
    #[case::no_base(&[], &[1.0], SampleError::Missing { arm: "base".into() })]
    #[case::no_head(&[1.0], &[], SampleError::Missing { arm: "head".into() })]
    #[case::unequal(&[1.0, 1.0, 1.0], &[1.0, 1.0], SampleError::Unequal { base: 3, head: 2 })]
    #[case::zero(&[1.0, 0.0, 1.0], &[1.0; 3], SampleError::NotPositive { arm: "base".into(), index: 1, value: 0.0 })]
    #[case::negative(
        &[1.0; 3], &[1.0, 1.0, -2.0], SampleError::NotPositive { arm: "head".into(), index: 2, value: -2.0 },
    )]
    #[case::too_few(&[1.0, 1.0], &[1.0, 1.0], SampleError::TooFew { n: 2, needed: 3 })]
    fn bad_samples_are_refused(#[case] base: &[f64], #[case] head: &[f64], #[case] error: SampleError) {
        assert_eq!(LogRatios::of(base, head), Err(error));
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        let of = |base: &[f64], head: &[f64]| LogRatios::of(base, head).expect_err("bad").to_string();
        assert_eq!(
            of(&[1.0; 3], &[1.0, f64::NAN, 1.0]),
            "sample 1 of head is NaN: a ratio needs finite samples above zero"
        );
        assert_eq!(
            of(&[1.0, 1.0, f64::INFINITY], &[1.0; 3]),
            "sample 2 of base is inf: a ratio needs finite samples above zero"
        );
    }

    /// Of 95 % intervals, 95 % hold the truth: 2,000 trials have a standard error of 0.5 %.
    #[rstest]
    #[case::mean_of_five(5, LogRatios::mean as fn(&LogRatios, f64) -> Estimate)]
    #[case::mean_of_ten(10, LogRatios::mean)]
    #[case::signed_ranks_of_ten(10, ranks::signed_ranks)]
    #[case::trimmed_mean_of_ten(10, LogRatios::trimmed_mean)]
    #[case::trimmed_mean_of_sixteen(16, LogRatios::trimmed_mean)]
    fn an_interval_holds_the_truth_as_often_as_it_says(
        #[case] pairs: usize,
        #[case] estimator: fn(&LogRatios, f64) -> Estimate,
    ) {
        let mut draws = Draws::new(11);
        let held = share(4_000, || {
            let logs: Vec<f64> = (0..pairs).map(|_| 0.2 + 0.1 * draws.normal()).collect();
            estimator(&ratios(&logs), 0.95).interval.holds(0.2_f64.exp())
        });
        assert!((0.93..0.98).contains(&held), "{held}");
    }

    /// What decides must not cry wolf at a level of 0.01 on any symmetric noise, at the sizes that gates have.
    #[rstest]
    #[case::normal(|draws: &mut Draws| draws.normal())]
    #[case::contaminated(Draws::contaminated as fn(&mut Draws) -> f64)]
    #[case::laplace(Draws::laplace)]
    #[case::cauchy(Draws::cauchy)]
    fn symmetric_noise_raises_no_more_alarms_than_the_level(#[case] noise: fn(&mut Draws) -> f64) {
        for pairs in [5, 8, 10, 12] {
            let mut draws = Draws::new(5);
            let alarms = share(10_000, || {
                let logs: Vec<f64> = (0..pairs).map(|_| noise(&mut draws) / 100.0).collect();
                ratios(&logs).estimate(0.01, 0.95).p <= 0.01
            });
            assert!(alarms < 0.014, "{pairs} pairs: {alarms}");
        }
    }

    /// The same at the level that the smallest p of six metrics has to reach, at the sizes of a gate: at most the level by the
    /// mean and half of it by a robust estimate. 40,000 trials have a standard error of 0.025 %.
    #[rstest]
    #[case::five_normal(5, Draws::normal as fn(&mut Draws) -> f64)]
    #[case::ten_normal(10, Draws::normal)]
    #[case::five_contaminated(5, Draws::contaminated)]
    #[case::ten_contaminated(10, Draws::contaminated)]
    #[case::five_laplace(5, Draws::laplace)]
    #[case::ten_laplace(10, Draws::laplace)]
    #[case::five_cauchy(5, Draws::cauchy)]
    #[case::ten_cauchy(10, Draws::cauchy)]
    fn symmetric_noise_keeps_the_level_of_six_metrics(#[case] pairs: usize, #[case] noise: fn(&mut Draws) -> f64) {
        let (mut draws, level) = (Draws::new(67), 0.01 / 6.0);
        let alarms = share(40_000, || {
            // Of Cauchy's noise some is beyond what a ratio can be.
            let logs: Vec<f64> = (0..pairs).map(|_| (noise(&mut draws) / 100.0).clamp(-300.0, 300.0)).collect();
            ratios(&logs).estimate(level, 0.95).p <= level
        });
        assert!(alarms < 1.5 * level + 0.000_7, "{alarms}");
    }

    /// Where noise is flat, few pairs agree with each other too often: three times the level with 5 pairs, and less
    /// with more.
    #[rstest]
    #[case::five(5, 0.03)]
    #[case::ten(10, 0.02)]
    #[case::fifteen(15, 0.015)]
    fn flat_noise_raises_more_alarms_and_more_pairs_bring_them_down(#[case] pairs: usize, #[case] at_most: f64) {
        let mut draws = Draws::new(5);
        let alarms = share(10_000, || {
            let logs: Vec<f64> = (0..pairs).map(|_| draws.uniform() - 0.5).collect();
            ratios(&logs).estimate(0.01, 0.95).p <= 0.01
        });
        assert!(alarms < at_most, "{alarms}");
    }

    /// A slowdown by three tenths in ten pairs, at the level of ten metrics.
    #[test]
    fn beside_disturbed_repeats_the_trimmed_mean_finds_what_the_mean_does_not() {
        let mut draws = Draws::new(7);
        let (mut by_rule, mut by_mean) = (0, 0);
        for _ in 0..2_000 {
            let logs: Vec<f64> = (0..10).map(|_| 1.3_f64.ln() + 0.07 * draws.contaminated()).collect();
            by_rule += usize::from(ratios(&logs).estimate(0.001, 0.95).p <= 0.001);
            by_mean += usize::from(ratios(&logs).mean(0.95).p <= 0.001);
        }
        assert!(by_rule > 1_820 && by_mean < 1_680, "{by_rule} {by_mean}");
    }

    proptest! {
        #[test]
        fn swapping_the_arms_gives_the_reciprocal(
            pairs in prop::collection::vec((0.1f64..10.0, 0.1f64..10.0), 3..30),
        ) {
            let (base, head): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let there = LogRatios::of(&base, &head).expect("good").estimate(0.001, 0.95);
            let back = LogRatios::of(&head, &base).expect("good").estimate(0.001, 0.95);
            prop_assert_eq!(there.estimator, back.estimator);
            prop_assert!((there.ratio * back.ratio - 1.0).abs() < 1e-9);
            prop_assert!((there.interval.low * back.interval.high - 1.0).abs() < 1e-9);
            prop_assert!((there.p - back.p).abs() < 1e-9);
        }

        #[test]
        fn the_unit_of_the_samples_does_not_matter(
            pairs in prop::collection::vec((0.1f64..10.0, 0.1f64..10.0), 3..30), unit in 1e-6f64..1e6,
        ) {
            let (base, head): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            let (small, large): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(b, h)| (b * unit, h * unit)).unzip();
            let one = LogRatios::of(&base, &head).expect("good").mean(0.95);
            let other = LogRatios::of(&small, &large).expect("good").mean(0.95);
            prop_assert!((one.ratio / other.ratio - 1.0).abs() < 1e-9);
            prop_assert!((one.p - other.p).abs() < 1e-6);
        }
    }
}
