//! Seeded draws for the tests that check an estimator by simulation.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::student::normal_quantile;

pub(crate) struct Draws(Xoshiro256PlusPlus);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Uniform between 0 and 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0.random::<f64>()
    }

    /// Standard normal, by inversion.
    pub(crate) fn normal(&mut self) -> f64 {
        normal_quantile(self.uniform().clamp(1e-15, 1.0 - 1e-15))
    }

    /// Normal, but one in twenty is ten times as wide: the usual shape of times on a shared machine.
    pub(crate) fn contaminated(&mut self) -> f64 {
        let scale = if self.uniform() < 0.05 { 10.0 } else { 1.0 };
        scale * self.normal()
    }

    /// Laplace's distribution: the difference of two exponential ones.
    pub(crate) fn laplace(&mut self) -> f64 {
        (self.uniform() / self.uniform()).ln()
    }

    /// Cauchy's, which has no mean: the quotient of two normal ones.
    pub(crate) fn cauchy(&mut self) -> f64 {
        self.normal() / self.normal()
    }
}

/// The share of `n` trials that hit.
pub(crate) fn share(n: usize, mut trial: impl FnMut() -> bool) -> f64 {
    (0..n).filter(|_| trial()).count() as f64 / n as f64
}
