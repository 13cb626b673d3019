//! The interval of the ratio of a quantile of two arms, by resampling.
//!
//! The error of a median or a p99 depends on how dense the samples are around it, which no formula knows. So the
//! samples are drawn again and again from themselves, and the spread of the ratio over the draws is its interval:
//! Efron, "Bootstrap methods: another look at the jackknife" (1979); Efron and Tibshirani, "An Introduction to the
//! Bootstrap" (1993), chapter 13.
//!
//! It is the percentile interval and not the corrected one (BCa), because the correction rests on the jackknife, which
//! does not converge for quantiles (Efron and Tibshirani, chapter 11). What a percentile interval promises, it keeps
//! with dozens of samples; with a handful it is too narrow, which is why these intervals are shown and no gate decides
//! by them.
//!
//! Samples of one repeat resemble each other more than those of another. [`ratio_of_quantiles`] is for samples that are
//! independent; where an arm was run several times, [`ratio_of_quantiles_by_repeat`] draws whole repeats, the same ones
//! for both arms, and so keeps the pairs.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::quantile::{rank, samples_to_carry};
use super::{Interval, SampleError, check_arm};

/// The fewest repeats that are drawn from: of four, one draw in 64 is one and the same repeat.
pub const LEAST_REPEATS: usize = 5;

/// How samples are drawn again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resampling {
    /// How many times: at least a thousand for an interval (Efron and Tibshirani).
    pub draws: usize,
    /// What the draws follow from; kept with the result.
    pub seed: u64,
    /// The share of intervals that hold the true ratio.
    pub confidence: f64,
}

impl Resampling {
    /// 2,000 draws and a 95 % interval.
    pub fn seeded(seed: u64) -> Self {
        Self { draws: 2_000, seed, confidence: 0.95 }
    }
}

/// A ratio with the interval that the draws give it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrapped {
    /// The ratio of head to base, of the samples as they are.
    pub ratio: f64,
    /// The interval of the ratio.
    pub interval: Interval,
}

/// The ratio of the quantile `p` (0.5 for the median) of `head` to that of `base`, where all samples are independent.
///
/// # Errors
/// An arm that is missing or too small to carry the quantile, samples that are not finite and above zero.
pub fn ratio_of_quantiles(
    base: &[f64],
    head: &[f64],
    p: f64,
    resampling: &Resampling,
) -> Result<Bootstrapped, SampleError> {
    for (arm, samples) in [("base", base), ("head", head)] {
        check_arm(arm, samples)?;
        carries(samples.len(), p)?;
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(resampling.seed);
    let mut drawn = Vec::new();
    let ratio = nearest_rank(&mut head.to_vec(), p) / nearest_rank(&mut base.to_vec(), p);
    let ratios = (0..resampling.draws).map(|_| {
        let [base, head] = [base, head].map(|samples| {
            drawn.clear();
            drawn.extend((0..samples.len()).map(|_| samples[rng.random_range(0..samples.len())]));
            nearest_rank(&mut drawn, p)
        });
        head / base
    });
    Ok(Bootstrapped { ratio, interval: percentiles(ratios.collect(), ratio, resampling.confidence) })
}

/// The ratio of the quantile `p` of all samples of `head` to that of `base`, where sample lists of the same index are
/// the repeats of a pair. Swapping the arms gives the reciprocal.
///
/// # Errors
/// An arm that is missing, arms with different numbers of repeats or fewer than [`LEAST_REPEATS`], a repeat without
/// samples, too few samples to carry the quantile, samples that are not finite and above zero.
pub fn ratio_of_quantiles_by_repeat(
    base: &[Vec<f64>],
    head: &[Vec<f64>],
    p: f64,
    resampling: &Resampling,
) -> Result<Bootstrapped, SampleError> {
    let repeats = base.len();
    for (arm, samples) in [("base", base), ("head", head)] {
        if samples.is_empty() {
            return Err(SampleError::Missing { arm: arm.to_owned() });
        }
        for repeat in samples {
            check_arm(arm, repeat)?;
        }
    }
    if head.len() != repeats {
        return Err(SampleError::Unequal { base: repeats, head: head.len() });
    }
    if repeats < LEAST_REPEATS {
        return Err(SampleError::TooFew { n: repeats, needed: LEAST_REPEATS });
    }
    // Whatever is drawn has to carry the quantile, also the smallest repeat each time.
    carries(base.iter().chain(head).map(Vec::len).min().unwrap_or(0) * repeats, p)?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(resampling.seed);
    let mut drawn = Vec::new();
    let mut ratio_of = |chosen: &[usize]| {
        let [base, head] = [base, head].map(|samples| {
            drawn.clear();
            chosen.iter().for_each(|repeat| drawn.extend_from_slice(&samples[*repeat]));
            nearest_rank(&mut drawn, p)
        });
        head / base
    };
    let all: Vec<usize> = (0..repeats).collect();
    let ratio = ratio_of(&all);
    let ratios = (0..resampling.draws).map(|_| {
        let chosen: Vec<usize> = all.iter().map(|_| rng.random_range(0..repeats)).collect();
        ratio_of(&chosen)
    });
    Ok(Bootstrapped { ratio, interval: percentiles(ratios.collect(), ratio, resampling.confidence) })
}

fn carries(n: usize, p: f64) -> Result<(), SampleError> {
    match rank(n, p) {
        Some(_) => Ok(()),
        None => Err(SampleError::TooFew { n, needed: samples_to_carry(p).ceil() as usize }),
    }
}

/// The nearest-rank quantile of samples that are known to carry it, in linear time.
fn nearest_rank(samples: &mut [f64], p: f64) -> f64 {
    let rank = rank(samples.len(), p).unwrap_or(samples.len() - 1);
    *samples.select_nth_unstable_by(rank, f64::total_cmp).1
}

/// The middle of the drawn ratios that holds this share of them. Without draws it is the ratio itself, at level 0.
fn percentiles(mut ratios: Vec<f64>, ratio: f64, confidence: f64) -> Interval {
    ratios.sort_unstable_by(f64::total_cmp);
    let last = ratios.len().saturating_sub(1);
    let outside = ((1.0 - confidence) / 2.0 * last as f64).floor() as usize;
    match (ratios.get(outside), ratios.get(last - outside)) {
        (Some(&low), Some(&high)) => Interval { low, high, level: confidence },
        _ => Interval { low: ratio, high: ratio, level: 0.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::simulate::{Draws, share};
    use proptest::prelude::*;
    use rstest::rstest;

    const FEW: Resampling = Resampling { draws: 400, seed: 1, confidence: 0.95 };

    /// Exponential samples with this mean.
    fn exponential(draws: &mut Draws, n: usize, mean: f64) -> Vec<f64> {
        (0..n).map(|_| -mean * (1.0 - draws.uniform()).ln()).collect()
    }

    /// The ratio of any quantile of two exponential distributions is the ratio of their means.
    #[rstest]
    #[case::median(0.5, 60)]
    #[case::p99(0.99, 600)]
    fn an_interval_holds_the_ratio_about_as_often_as_it_says(#[case] p: f64, #[case] n: usize) {
        let mut draws = Draws::new(23);
        let held = share(400, || {
            let (base, head) = (exponential(&mut draws, n, 1.0), exponential(&mut draws, n, 1.3));
            ratio_of_quantiles(&base, &head, p, &FEW).expect("enough").interval.holds(1.3)
        });
        assert!((0.91..0.99).contains(&held), "{held}");
    }

    /// Repeats differ by a factor that both arms of a pair share. Drawn as pairs it cancels; drawn alone it is taken
    /// for noise.
    #[test]
    fn drawing_pairs_keeps_what_the_arms_of_a_pair_share_out_of_the_interval() {
        let mut draws = Draws::new(29);
        let mut held = 0;
        let mut narrower = 0;
        for _ in 0..200 {
            let (mut base, mut head) = (Vec::new(), Vec::new());
            for _ in 0..12 {
                let machine = (0.5 * draws.normal()).exp();
                base.push(vec![machine * (0.05 * draws.normal()).exp()]);
                head.push(vec![1.3 * machine * (0.05 * draws.normal()).exp()]);
            }
            let paired = ratio_of_quantiles_by_repeat(&base, &head, 0.5, &FEW).expect("twelve").interval;
            let unpaired = ratio_of_quantiles(&base.concat(), &head.concat(), 0.5, &FEW).expect("twelve").interval;
            held += usize::from(paired.holds(1.3));
            narrower += usize::from(paired.high / paired.low < unpaired.high / unpaired.low);
        }
        assert!(held >= 180 && narrower >= 190, "{held} {narrower}");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let mut draws = Draws::new(31);
        let (base, head) = (exponential(&mut draws, 50, 1.0), exponential(&mut draws, 40, 1.0));
        let one = ratio_of_quantiles(&base, &head, 0.5, &FEW).expect("enough");
        assert_eq!(one, ratio_of_quantiles(&base, &head, 0.5, &FEW).expect("enough"));
        assert_ne!(one, ratio_of_quantiles(&base, &head, 0.5, &Resampling { seed: 2, ..FEW }).expect("enough"));
    }

    #[rstest]
    #[case::missing(&[], &[vec![1.0]], 0.5, "the base arm has no samples: was it run?")]
    #[case::unequal(
        &[vec![1.0]], &[vec![1.0], vec![1.0]], 0.5,
        "1 samples of base and 2 of head do not make pairs: drop the repeats that only one arm has",
    )]
    #[case::few_repeats(
        &[vec![1.0]], &[vec![1.0]], 0.5, "1 samples are fewer than the 5 that this needs: run more repeats",
    )]
    #[case::few_samples(
        &vec![vec![1.0; 19]; 5], &vec![vec![1.0; 30]; 5], 0.99,
        "95 samples are fewer than the 100 that this needs: run more repeats",
    )]
    #[case::zero(
        &vec![vec![1.0, 0.0]; 5], &vec![vec![1.0]; 5], 0.5,
        "sample 1 of base is 0: a ratio needs finite samples above zero",
    )]
    fn bad_repeats_are_refused(
        #[case] base: &[Vec<f64>],
        #[case] head: &[Vec<f64>],
        #[case] p: f64,
        #[case] message: &str,
    ) {
        let error = ratio_of_quantiles_by_repeat(base, head, p, &FEW).expect_err("bad");
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn an_arm_that_cannot_carry_the_quantile_is_refused() {
        let error = ratio_of_quantiles(&[1.0; 100], &[1.0; 99], 0.99, &FEW);
        assert_eq!(error, Err(SampleError::TooFew { n: 99, needed: 100 }));
    }

    proptest! {
        #[test]
        fn swapping_the_arms_gives_the_reciprocal_and_units_do_not_matter(
            pairs in prop::collection::vec((0.1f64..10.0, 0.1f64..10.0), 5..20), unit in 0.001f64..1000.0,
        ) {
            let base: Vec<Vec<f64>> = pairs.iter().map(|(base, _)| vec![*base]).collect();
            let head: Vec<Vec<f64>> = pairs.iter().map(|(_, head)| vec![*head * unit]).collect();
            let few = Resampling { draws: 100, ..FEW };
            let there = ratio_of_quantiles_by_repeat(&base, &head, 0.5, &few).expect("enough");
            let back = ratio_of_quantiles_by_repeat(&head, &base, 0.5, &few).expect("enough");
            prop_assert!((there.ratio * back.ratio - 1.0).abs() < 1e-9);
            prop_assert!((there.interval.low * back.interval.high - 1.0).abs() < 1e-9);
            let plain: Vec<Vec<f64>> = pairs.iter().map(|(_, head)| vec![*head]).collect();
            let scaled = ratio_of_quantiles_by_repeat(&base, &plain, 0.5, &few).expect("enough").interval;
            prop_assert!((there.interval.low / scaled.low / unit - 1.0).abs() < 1e-9);
        }
    }
}
