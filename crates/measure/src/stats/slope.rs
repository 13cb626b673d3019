//! How much a figure grows with another one: the slope of a straight line through points, by least squares (Draper and
//! Smith, "Applied Regression Analysis", chapter 1).

use serde::{Deserialize, Serialize};

use super::student::t_quantile;
use super::{Interval, SampleError};

/// A straight line through points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    /// What one more of `x` adds to `y`.
    pub per_unit: f64,
    /// The interval of that.
    pub interval: Interval,
    /// `y` where `x` is 0.
    pub at_zero: f64,
}

impl Slope {
    /// The line through points `(x, y)`.
    ///
    /// # Errors
    /// Fewer than three points, or all of them at one `x`.
    pub fn of(points: &[(f64, f64)], confidence: f64) -> Result<Self, SampleError> {
        let (n, needed) = (points.len(), 3);
        if n < needed {
            return Err(SampleError::TooFew { n, needed });
        }
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n as f64;
        let (mx, my) = (mean(|point| point.0), mean(|point| point.1));
        let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| of(x - mx, y - my)).sum::<f64>();
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        if xx <= 0.0 {
            return Err(SampleError::OnePlace);
        }
        let per_unit = xy / xx;
        let df = (n - 2) as f64;
        let error = ((yy - per_unit * xy).max(0.0) / df / xx).sqrt();
        let half = if error > 0.0 { t_quantile(f64::midpoint(1.0, confidence), df) * error } else { 0.0 };
        let interval = Interval { low: per_unit - half, high: per_unit + half, level: confidence };
        Ok(Self { per_unit, interval, at_zero: my - per_unit * mx })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_found_as_it_is() {
        let slope = Slope::of(&[(0.0, 1.0), (1.0, 3.0), (3.0, 7.0)], 0.95).unwrap();
        assert!((slope.per_unit - 2.0).abs() < 1e-12 && (slope.at_zero - 1.0).abs() < 1e-12);
        assert!(slope.interval.high - slope.interval.low < 1e-6);
    }

    /// Points around y = x, by hand: xx = 10, xy = 10, residuals sum to 4, so the error is sqrt(4 / 3 / 10).
    #[test]
    fn scatter_makes_the_interval_wide() {
        let slope = Slope::of(&[(0.0, 1.0), (1.0, 0.0), (2.0, 2.0), (3.0, 2.0), (4.0, 5.0)], 0.95).unwrap();
        assert!((slope.per_unit - 1.0).abs() < 1e-12, "{slope:?}");
        let half = 3.182_446 * (4.0_f64 / 3.0 / 10.0).sqrt();
        assert!((slope.interval.high - 1.0 - half).abs() < 1e-3, "{slope:?}");
    }

    #[test]
    fn a_line_needs_three_points_at_two_places() {
        assert_eq!(Slope::of(&[(0.0, 1.0)], 0.95), Err(SampleError::TooFew { n: 1, needed: 3 }));
        assert_eq!(Slope::of(&[(1.0, 1.0); 3], 0.95), Err(SampleError::OnePlace));
    }
}
