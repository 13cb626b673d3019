//! The gap between two stages: how many objects have reached the one and not yet the other, looked at once a second.
//!
//! kwok's own benchmark (`test/e2e/benchmark.go` in kubernetes-sigs/kwok) watches this figure for created against Ready:
//! a simulator that keeps up has a small gap at any moment, however fast objects come.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The gap of a phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The stages: `observed -> ready`.
    pub between: String,
    /// Looks, one a second.
    pub n: usize,
    /// Median of the looks.
    pub p50: usize,
    /// The largest of them.
    pub max: usize,
    /// How many of them found more than kwok's own limit, [`KWOK_LIMIT`].
    pub over_kwok_limit: usize,
}

/// What kwok's benchmark allows, but for a few looks.
pub const KWOK_LIMIT: usize = 5;

impl Gap {
    /// The gap between the sorted stamps of two stages from `from` on, until the last object has reached the second.
    pub fn of(between: String, first: &[Duration], second: &[Duration], from: Duration) -> Self {
        let by = |stamps: &[Duration], at: Duration| stamps.partition_point(|stamp| *stamp <= at);
        let seconds = second.last().map_or(0, |last| last.saturating_sub(from).as_secs());
        let looks = (1..=seconds).map(|second| from + Duration::from_secs(second));
        let mut gaps: Vec<usize> = looks.map(|at| by(first, at).saturating_sub(by(second, at))).collect();
        gaps.sort_unstable();
        Self {
            between,
            n: gaps.len(),
            p50: gaps.get(gaps.len().saturating_sub(1) / 2).copied().unwrap_or(0),
            max: gaps.last().copied().unwrap_or(0),
            over_kwok_limit: gaps.iter().filter(|gap| **gap > KWOK_LIMIT).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(ms: u64, n: u64, delay: u64) -> Vec<Duration> {
        (1..=n).map(|i| Duration::from_millis(i * ms + delay)).collect()
    }

    /// 100 objects a second for 10 s, each ready 30 ms later: 3 are under way at any moment.
    #[test]
    fn a_simulator_that_keeps_up_has_a_small_gap_at_any_rate() {
        let gap = Gap::of("observed -> ready".into(), &every(10, 1000, 0), &every(10, 1000, 30), Duration::ZERO);
        assert_eq!((gap.n, gap.p50, gap.over_kwok_limit), (10, 3, 0));
    }

    #[test]
    fn one_that_falls_behind_does_not() {
        let gap = Gap::of("observed -> ready".into(), &every(10, 1000, 0), &every(20, 1000, 0), Duration::ZERO);
        assert_eq!((gap.n, gap.max), (20, 500));
        assert!(gap.over_kwok_limit >= 18);
    }

    #[test]
    fn nothing_has_no_gap() {
        assert_eq!(Gap::of(String::new(), &[], &[], Duration::ZERO), Gap::default());
    }
}
