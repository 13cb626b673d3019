//! Student's t and the normal distribution, as the estimators here use them.

use std::f64::consts::SQRT_2;

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::beta::beta_reg;
use statrs::function::erf::{erf_inv, erfc};

/// The value that Student's t with `df` degrees of freedom stays below with probability `p`.
pub(crate) fn t_quantile(p: f64, df: f64) -> f64 {
    // Without degrees of freedom, or of what is no probability, nothing is known: no value is large enough.
    let t = StudentsT::new(0.0, 1.0, df).ok().filter(|_| (0.0..=1.0).contains(&p));
    t.map_or(f64::INFINITY, |t| t.inverse_cdf(p))
}

/// The probability of a |t| at least as large as this one.
///
/// Abramowitz and Stegun, 26.7.1 with 26.5.27, straight from the incomplete beta function: one minus a distribution
/// function would have no digits left where it matters.
pub(crate) fn two_sided_p(t: f64, df: f64) -> f64 {
    if t.is_infinite() { 0.0 } else { beta_reg(df / 2.0, 0.5, df / (df + t * t)) }
}

/// The probability of a standard normal value above `z`.
pub(crate) fn normal_tail(z: f64) -> f64 {
    erfc(z / SQRT_2) / 2.0
}

/// The value that a standard normal variable stays below with probability `p`.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    SQRT_2 * erf_inv(2.0 * p - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Pearson and Hartley, "Biometrika Tables for Statisticians", table 12.
    #[rstest]
    #[case::one(0.975, 1.0, 12.706)]
    #[case::two_far_out(0.9995, 2.0, 31.599)]
    #[case::four(0.9995, 4.0, 8.610)]
    #[case::nine(0.975, 9.0, 2.262)]
    #[case::nine_far_out(0.9995, 9.0, 4.781)]
    #[case::thirty(0.975, 30.0, 2.042)]
    fn quantiles_of_t_are_those_of_the_tables(#[case] p: f64, #[case] df: f64, #[case] t: f64) {
        assert!((t_quantile(p, df) - t).abs() < 6e-4, "{}", t_quantile(p, df));
        assert!((two_sided_p(t_quantile(p, df), df) - 2.0 * (1.0 - p)).abs() < 1e-8);
    }

    #[rstest]
    #[case::no_degrees(0.975, 0.0)]
    #[case::no_probability(f64::NAN, 4.0)]
    #[case::certainty(1.0, 4.0)]
    fn where_nothing_is_known_no_value_is_large_enough(#[case] p: f64, #[case] df: f64) {
        assert!(t_quantile(p, df).is_infinite());
    }

    #[test]
    fn the_tail_of_t_with_two_degrees_of_freedom_has_digits_far_out() {
        // The distribution function is algebraic here: p = 1 - t / sqrt(2 + t^2), about 1 / t^2 far out.
        let p = two_sided_p(1e6, 2.0);
        assert!((p * 1e12 - 1.0).abs() < 1e-6, "{p}");
    }

    #[rstest]
    #[case::half(0.5, 0.0)]
    #[case::two_sided_95(0.975, 1.959_964)]
    #[case::one_sided_95(0.95, 1.644_854)]
    #[case::below(0.001, -3.090_232)]
    fn quantiles_of_the_normal_are_those_of_the_tables(#[case] p: f64, #[case] z: f64) {
        assert!((normal_quantile(p) - z).abs() < 1e-6, "{}", normal_quantile(p));
        assert!((normal_tail(z) - (1.0 - p)).abs() < 1e-6);
    }
}
