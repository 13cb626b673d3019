//! The statistics that a comparison and a gate stand on.
//!
//! - [`mod@quantile`], [`hdr`]: where a distribution lies, and when its tail cannot be known;
//! - [`paired`], [`ranks`], [`normality`]: two arms compared pair by pair, on the logarithm of their ratio;
//! - [`bootstrap`]: the ratio of a quantile of two arms, which has no formula for its error;
//! - [`drift`]: what the machine did while the arms took turns;
//! - [`power`]: what a run of this size and spread could have seen, and how many more pairs would see more;
//! - [`slope`]: how much a figure grows with another one;
//! - [`holm`], [`proportion`]: many tests at one error rate, and how well k of n is known.
//!
//! **Why log ratios.** A slowdown multiplies: what takes 1.3 x as long on a fast machine does so on a slow one, while
//! the seconds differ. On the logarithm a factor is a shift, noise that is proportional becomes even, and swapping the
//! arms only changes the sign, so that "1.25 x slower" and "0.8 x" are the same finding. The mean of log ratios is the
//! log of the ratio of geometric means (Fleming and Wallace, "How not to lie with statistics", 1986).
//!
//! **Why pairs.** The two runs of a pair stand next to each other in time, so that the state of the machine, which
//! varies more from hour to hour than most changes matter, is in both and cancels (Fisher, "The Design of Experiments",
//! 1935).
//!
//! Nothing here draws a random number but from a seed that it is given: Xoshiro256++ (Blackman and Vigna, 2021), which
//! is the same on every machine.

pub mod bootstrap;
pub mod drift;
pub mod hdr;
pub mod holm;
pub mod normality;
pub mod paired;
pub mod power;
pub mod proportion;
pub mod quantile;
pub mod ranks;
pub mod slope;
mod student;

#[cfg(test)]
pub(crate) mod simulate;

use serde::{Deserialize, Serialize};

pub use hdr::Hdr;
pub use paired::{Estimate, Estimator, LogRatios};
pub use proportion::Rate;
pub use quantile::{Quantiles, median, millis, quantile, samples_to_bound, samples_to_carry};
pub use slope::Slope;

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The share of such intervals that hold the true value, as 0.95. A method on ranks or counts cannot hit every
    /// level: then this is the level that was reached.
    pub level: f64,
}

impl Interval {
    /// Whether `value` lies in the interval, ends included.
    pub fn holds(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether an interval of a ratio reaches neither `threshold`, which is above 1, nor its reciprocal.
    pub fn is_within(&self, threshold: f64) -> bool {
        self.low > 1.0 / threshold && self.high < threshold
    }

    /// The interval of `f(x)` for an increasing `f`.
    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { low: f(self.low), high: f(self.high), level: self.level }
    }
}

/// Why samples cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SampleError {
    /// One arm has no samples at all.
    #[error("the {arm} arm has no samples: was it run?")]
    Missing {
        /// The arm's name.
        arm: String,
    },
    /// The arms do not pair up.
    #[error("{base} samples of base and {head} of head do not make pairs: drop the repeats that only one arm has")]
    Unequal {
        /// Samples of the base arm.
        base: usize,
        /// Samples of the head arm.
        head: usize,
    },
    /// A sample that has no logarithm.
    #[error("sample {index} of {arm} is {value}: a ratio needs finite samples above zero")]
    NotPositive {
        /// The arm's name.
        arm: String,
        /// Index of the sample in its arm, from 0.
        index: usize,
        /// The sample.
        value: f64,
    },
    /// Samples between which no time passed.
    #[error("the samples of each arm stand at one position: a trend needs several")]
    OnePlace,
    /// Fewer samples than the method needs.
    #[error("{n} samples are fewer than the {needed} that this needs: run more repeats")]
    TooFew {
        /// Samples, or pairs of them.
        n: usize,
        /// How many there have to be.
        needed: usize,
    },
}

/// Refuses an arm that is empty or holds what has no logarithm.
fn check_arm(arm: &str, samples: &[f64]) -> Result<(), SampleError> {
    if samples.is_empty() {
        return Err(SampleError::Missing { arm: arm.to_owned() });
    }
    match samples.iter().position(|value| !(value.is_finite() && *value > 0.0)) {
        Some(index) => Err(SampleError::NotPositive { arm: arm.to_owned(), index, value: samples[index] }),
        None => Ok(()),
    }
}
