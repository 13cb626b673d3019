//! Wilcoxon's signed ranks, exact, with the estimate of Hodges and Lehmann.
//!
//! Wilcoxon, "Individual comparisons by ranking methods" (1945); Hodges and Lehmann, "Estimates of location based on
//! rank tests" (1963); Hollander and Wolfe, "Nonparametric Statistical Methods", chapter 3.
//!
//! The distribution is exact for any number of pairs, with or without ties: each sign is a fair coin, and the sums of
//! the signed ranks are counted one pair after the other. It costs the cube of the pairs, which is nothing for dozens.

use super::Interval;
use super::paired::{Estimate, Estimator, LogRatios};
use super::student::t_quantile;

/// The smallest two-sided p that `pairs` can give: all of them on one side.
pub fn smallest_p(pairs: usize) -> f64 {
    2.0_f64.powf(1.0 - pairs as f64)
}

/// The Hodges-Lehmann estimate of the ratio, the interval that belongs to it, and Wilcoxon's two-sided p.
///
/// Pairs without a difference are left out of the test, as Wilcoxon did, and kept in the estimate. The standard error
/// is the one that Student's interval of the same width would have.
pub fn signed_ranks(ratios: &LogRatios, confidence: f64) -> Estimate {
    let logs = ratios.sorted();
    let pairs = logs.len();
    let walsh = walsh_averages(logs);
    let cut = interval_cut(pairs, confidence);
    let interval = Interval { low: walsh[cut.index], high: walsh[walsh.len() - 1 - cut.index], level: cut.level };
    let middle = walsh.len() / 2;
    let centre = if walsh.len() % 2 == 1 { walsh[middle] } else { f64::midpoint(walsh[middle - 1], walsh[middle]) };
    let t = t_quantile(f64::midpoint(1.0, cut.level), Estimator::SignedRanks.degrees_of_freedom(pairs));
    Estimate {
        estimator: Estimator::SignedRanks,
        pairs,
        ratio: centre.exp(),
        interval: interval.map(f64::exp),
        p: wilcoxon(logs).p,
        standard_error: (interval.high - interval.low) / (2.0 * t),
    }
}

/// Wilcoxon's statistic and what it means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// The sum of the ranks of the differences above zero.
    pub w: f64,
    /// The two-sided probability of a sum at least as far from its middle.
    pub p: f64,
}

/// The signed-rank test of whether `differences` lie around zero. Ties share their mean rank.
pub fn wilcoxon(differences: &[f64]) -> SignedRank {
    let mut by_size: Vec<f64> = differences.iter().copied().filter(|d| d.abs() > 0.0).collect();
    by_size.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    // Ranks are doubled: the mean rank of a tie is a half at most, so twice it is a whole number.
    let mut doubled = Vec::with_capacity(by_size.len());
    for tie in by_size.chunk_by(|a, b| a.abs().total_cmp(&b.abs()).is_eq()) {
        let first = doubled.len() + 1;
        doubled.extend(std::iter::repeat_n(2 * first + tie.len() - 1, tie.len()));
    }
    let w: usize = by_size.iter().zip(&doubled).filter(|(d, _)| **d > 0.0).map(|(_, rank)| rank).sum();
    let chances = sums(&doubled);
    let below: f64 = chances[..=w].iter().sum();
    let above: f64 = chances[w..].iter().sum();
    SignedRank { w: w as f64 / 2.0, p: (2.0 * below.min(above)).min(1.0) }
}

/// The probability of each sum of `ranks`, each of which counts or does not by a fair coin.
fn sums(ranks: &[usize]) -> Vec<f64> {
    let mut chances = vec![0.0; ranks.iter().sum::<usize>() + 1];
    chances[0] = 1.0;
    let mut highest = 0;
    for rank in ranks {
        for sum in (0..=highest).rev() {
            chances[sum] /= 2.0;
            chances[sum + rank] += chances[sum];
        }
        highest += rank;
    }
    chances
}

/// The averages of all pairs of values, each with itself too, in ascending order.
fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let mut averages: Vec<f64> =
        values.iter().enumerate().flat_map(|(i, a)| values[i..].iter().map(move |b| f64::midpoint(*a, *b))).collect();
    averages.sort_unstable_by(f64::total_cmp);
    averages
}

struct Cut {
    /// How many Walsh averages lie outside at each end.
    index: usize,
    /// The level that is reached.
    level: f64,
}

/// The narrowest interval of Walsh averages with at least this confidence, or the whole range where none reaches it.
fn interval_cut(pairs: usize, confidence: f64) -> Cut {
    let ranks: Vec<usize> = (1..=pairs).collect();
    let chances = sums(&ranks);
    let mut tail = chances[0];
    let mut index = 0;
    while 1.0 - 2.0 * (tail + chances[index + 1]) >= confidence {
        index += 1;
        tail += chances[index];
    }
    Cut { index, level: 1.0 - 2.0 * tail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn ratios(logs: &[f64]) -> LogRatios {
        let head: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
        LogRatios::of(&vec![1.0; logs.len()], &head).expect("good")
    }

    /// Wilcoxon's table as in Hollander and Wolfe, A.4: the largest smaller sum that is significant, two-sided.
    #[rstest]
    #[case::six(6, 0.05, 0)]
    #[case::eight(8, 0.05, 3)]
    #[case::ten(10, 0.05, 8)]
    #[case::ten_at_a_hundredth(10, 0.01, 3)]
    #[case::twelve(12, 0.05, 13)]
    #[case::fifteen(15, 0.05, 25)]
    #[case::twenty(20, 0.05, 52)]
    #[case::twenty_five(25, 0.05, 89)]
    fn critical_values_are_those_of_the_tables(#[case] n: usize, #[case] level: f64, #[case] critical: usize) {
        let ranks: Vec<usize> = (1..=n).collect();
        let chances = sums(&ranks);
        let two_sided = |w: usize| 2.0 * chances[..=w].iter().sum::<f64>();
        assert!(two_sided(critical) <= level && two_sided(critical + 1) > level);
    }

    /// Fisher's account of Darwin's maize: pairs of crossed and self-fertilised plants, W = 24 of the negative, p =
    /// 0.0413.
    #[test]
    fn darwin_s_plants_are_as_published() {
        let eighths = [6., 8., 14., 16., 23., 24., 28., 29., 41., -48., 49., 56., 60., -67., 75.];
        let test = wilcoxon(&eighths);
        assert!((120.0 - test.w - 24.0).abs() < 1e-12, "{test:?}");
        assert!((test.p - 0.041_259_765_625).abs() < 1e-12, "{test:?}");
    }

    /// Hamilton's depression scale before and after, Hollander and Wolfe, examples 3.1 to 3.3: T+ = 40 with one-sided p
    /// 0.0195, estimate 0.46, 96 % interval 0.010 to 0.786.
    #[test]
    fn the_depression_scale_is_as_published() {
        let before = [1830, 500, 1620, 2480, 1680, 1880, 1550, 3060, 1300];
        let after = [878, 647, 598, 2050, 1060, 1290, 1060, 3140, 1290];
        let fell: Vec<f64> = before.into_iter().zip(after).map(|(was, is)| f64::from(was - is) / 1e3).collect();
        let test = wilcoxon(&fell);
        let estimate = signed_ranks(&ratios(&fell), 0.95);
        let interval = estimate.interval.map(f64::ln);
        assert!((test.w - 40.0).abs() < 1e-12 && (test.p / 2.0 - 0.019_531_25).abs() < 1e-12, "{test:?}");
        assert!((estimate.ratio.ln() - 0.46).abs() < 1e-9, "{estimate:?}");
        assert!((interval.low - 0.010).abs() < 1e-9 && (interval.high - 0.786).abs() < 1e-9, "{interval:?}");
        assert!((interval.level - 0.961).abs() < 1e-3);
    }

    #[test]
    fn ties_share_their_rank_and_pairs_without_a_difference_are_left_out() {
        // Ranks 1.5, 1.5 and 3: of the eight choices of signs, three have a sum as large as the 4.5 that was seen.
        let test = wilcoxon(&[0.0, 1.0, -1.0, 2.0]);
        assert!((test.w - 4.5).abs() < 1e-12, "{test:?}");
        assert!((test.p - 0.75).abs() < 1e-12, "{test:?}");
        assert!((wilcoxon(&[0.0, 0.0]).p - 1.0).abs() < 1e-12);
    }

    #[test]
    fn five_pairs_reach_no_interval_of_95_percent_and_say_so() {
        let interval = signed_ranks(&ratios(&[0.1, 0.2, 0.3, 0.4, 0.5]), 0.95).interval;
        assert!((interval.level - 0.937_5).abs() < 1e-12);
        assert!((interval.low.ln() - 0.1).abs() < 1e-9 && (interval.high.ln() - 0.5).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn probabilities_are_whole(ranks in prop::collection::vec(1usize..40, 0..30)) {
            prop_assert!((sums(&ranks).iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }

        #[test]
        fn no_p_is_below_the_smallest(logs in prop::collection::vec(-1.0f64..1.0, 3..20)) {
            prop_assert!(wilcoxon(&logs).p >= smallest_p(logs.len()) * (1.0 - 1e-9));
        }
    }
}
