//! Whether samples may have come from a normal distribution: the test of Shapiro and Wilk.
//!
//! W compares two estimates of the variance, one from the order of the samples and one from their squares: Shapiro and
//! Wilk, "An analysis of variance test for normality" (1965). The coefficients and the probability are Royston's
//! approximation, "Remark AS R94" (Applied Statistics, 1995). It is the strongest of the usual tests at small sizes
//! (Razali and Wah, 2011), and the only one of them that says anything about 5 samples.

use super::student::{normal_quantile, normal_tail};

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShapiroWilk {
    /// The statistic: 1 where the sorted samples lie on the line that a normal distribution gives.
    pub w: f64,
    /// The probability of a W at least as small where the distribution is normal.
    pub p: f64,
}

/// The samples for which Royston fitted the approximation.
const SIZES: std::ops::RangeInclusive<usize> = 3..=5_000;

/// Tests sorted samples; `None` where they are all the same, or fewer than 3 or more than 5,000.
pub fn shapiro_wilk(sorted: &[f64]) -> Option<ShapiroWilk> {
    let n = sorted.len();
    let (first, last) = (sorted.first()?, sorted.last()?);
    if !SIZES.contains(&n) || last - first <= 0.0 {
        return None;
    }
    let mean = sorted.iter().sum::<f64>() / n as f64;
    let squares: f64 = sorted.iter().map(|x| (x - mean).powi(2)).sum();
    let slope: f64 = coefficients(n).iter().enumerate().map(|(i, a)| a * (sorted[n - 1 - i] - sorted[i])).sum();
    let w = (slope * slope / squares).min(1.0);
    Some(ShapiroWilk { w, p: probability(w, n) })
}

/// The weights of the differences between the largest and the smallest, the second largest and the second smallest, ….
fn coefficients(n: usize) -> Vec<f64> {
    if n == 3 {
        return vec![0.5_f64.sqrt()];
    }
    // Blom's scores, of the upper half.
    let scores: Vec<f64> = (1..=n / 2).map(|i| -normal_quantile((i as f64 - 0.375) / (n as f64 + 0.25))).collect();
    let total = 2.0 * scores.iter().map(|m| m * m).sum::<f64>();
    let u = 1.0 / (n as f64).sqrt();
    let outer = polynomial(&[0.0, 0.221157, -0.147981, -2.071190, 4.434685, -2.706056], u) + scores[0] / total.sqrt();
    let mut weights = vec![outer];
    let mut left = total - 2.0 * scores[0].powi(2);
    let mut share = 1.0 - 2.0 * outer.powi(2);
    if n > 5 {
        let next =
            polynomial(&[0.0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633], u) + scores[1] / total.sqrt();
        weights.push(next);
        left -= 2.0 * scores[1].powi(2);
        share -= 2.0 * next.powi(2);
    }
    let scale = (left / share).sqrt();
    weights.extend(scores[weights.len()..].iter().map(|m| m / scale));
    weights
}

/// The probability of a W at most this large among `n` normal samples.
fn probability(w: f64, n: usize) -> f64 {
    if n == 3 {
        let exact = 6.0 / std::f64::consts::PI * (w.sqrt().asin() - 0.75_f64.sqrt().asin());
        return exact.clamp(0.0, 1.0);
    }
    let size = n as f64;
    let y = (1.0 - w).ln();
    let (y, mean, sigma) = if n <= 11 {
        let bound = -2.273 + 0.459 * size;
        if y >= bound {
            return 0.0;
        }
        let mean = polynomial(&[0.5440, -0.399_78, 0.025_054, -0.000_671_4], size);
        let sigma = polynomial(&[1.3822, -0.778_57, 0.062_767, -0.002_032_2], size).exp();
        (-(bound - y).ln(), mean, sigma)
    } else {
        let mean = polynomial(&[-1.5861, -0.310_82, -0.083_751, 0.003_891_5], size.ln());
        let sigma = polynomial(&[-0.4803, -0.082_676, 0.003_030_2], size.ln()).exp();
        (y, mean, sigma)
    };
    normal_tail((y - mean) / sigma)
}

/// `c[0] + c[1] x + c[2] x^2 + …`
fn polynomial(c: &[f64], x: f64) -> f64 {
    c.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::simulate::{Draws, share};
    use rstest::rstest;

    /// The weights of eleven men, an example of Shapiro and Wilk: W = 0.79, and 0.0067 by Royston's
    /// approximation.
    const MEN: [f64; 11] = [148., 154., 158., 160., 161., 162., 166., 170., 182., 195., 236.];

    #[test]
    fn the_weights_of_eleven_men_are_not_normal() {
        let test = shapiro_wilk(&MEN).expect("eleven");
        assert!((test.w - 0.788_8).abs() < 1e-4, "{test:?}");
        assert!((test.p - 0.006_7).abs() < 1e-4, "{test:?}");
    }

    /// Table 5 of Shapiro and Wilk (1965): the coefficients for 5 and for 10 samples, to the accuracy of the fit.
    #[rstest]
    #[case::five(5, &[0.6646, 0.2413])]
    #[case::ten(10, &[0.5739, 0.3291, 0.2141, 0.1224, 0.0399])]
    fn coefficients_are_those_of_the_table(#[case] n: usize, #[case] table: &[f64]) {
        let fitted = coefficients(n);
        assert_eq!(fitted.len(), table.len());
        assert!(fitted.iter().zip(table).all(|(a, b)| (a - b).abs() < 2e-3), "{fitted:?}");
    }

    /// The test has to be wrong about normal samples as often as it says.
    #[rstest]
    #[case::three(3)]
    #[case::five(5)]
    #[case::eight(8)]
    #[case::ten(10)]
    #[case::twenty(20)]
    fn one_in_twenty_normal_samples_is_refuted_at_a_twentieth(#[case] n: usize) {
        let mut draws = Draws::new(n as u64);
        let refuted = share(10_000, || {
            let mut samples: Vec<f64> = (0..n).map(|_| draws.normal()).collect();
            samples.sort_unstable_by(f64::total_cmp);
            shapiro_wilk(&samples).expect("spread").p < 0.05
        });
        assert!((0.04..0.06).contains(&refuted), "{refuted}");
    }

    #[test]
    fn a_gross_outlier_among_ten_is_refuted() {
        let mut samples: Vec<f64> = (0..9).map(|i| f64::from(i) / 100.0).collect();
        samples.push(1.0);
        assert!(shapiro_wilk(&samples).expect("spread").p < 1e-4);
    }

    #[rstest]
    #[case::two(&[1.0, 2.0])]
    #[case::all_the_same(&[1.0, 1.0, 1.0, 1.0])]
    #[case::none(&[])]
    fn samples_without_a_shape_are_not_tested(#[case] samples: &[f64]) {
        assert_eq!(shapiro_wilk(samples), None);
    }
}
