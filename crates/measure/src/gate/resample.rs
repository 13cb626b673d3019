//! How often a gate is wrong, and how often it finds what is there: gates drawn from a pool of real repeats.
//!
//! A pool is the metrics of many repeats of two arms, in the order in which they ran: the same build twice (A/A) for
//! false alarms, a build and one with a slowdown injected for power. It is cut into blocks of consecutive repeats, and
//! a gate is some of the blocks, no block twice. So each gate is like one that could have been run, where the pool was run
//! as gates are ([`crate::arms::Schedule::of_comparisons`]): the drift and the dependence of neighbours that the machine
//! had stay in, and so does what metrics share, because all metrics of a gate come from the same repeats. The share of
//! gates that hit is then an unbiased estimate of the rate among gates of this size (Hoeffding's U-statistic, 1948;
//! Politis, Romano and Wolf, "Subsampling", 1999). What is alike beyond a block is lost: longer blocks show whether
//! there is such a thing.
//!
//! Drawing with replacement, as the bootstrap does, would not do here: a repeat that is in a gate twice agrees with
//! itself, so the spread looks smaller than it is, and false alarms go up at the levels that a gate works at.
//!
//! Of an A/A pool the labels mean nothing, but its finite repeats have a small difference of their own, which every
//! gate drawn from it would find again. [`Labels::Exchanged`] swaps the arms of each block by a fair coin, which makes
//! the null hypothesis true of what is drawn.
//!
//! The interval of the [`Rate`] is that of Clopper and Pearson over the gates that were drawn. It does not cover the
//! luck of the pool: more gates do not replace more repeats.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::{Gate, GateError, Metric, Rule, judge};
use crate::stats::{Rate, SampleError};

/// How gates are drawn from a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// How many gates.
    pub gates: usize,
    /// Pairs of each gate.
    pub pairs: usize,
    /// Consecutive repeats that are drawn together; for two arms 2, which is one ABBA, or a multiple of it. Repeats at
    /// the end of the pool that fill no block are left out.
    pub block: usize,
    /// What the arms of a drawn block are called.
    pub labels: Labels,
    /// What the draws follow from.
    pub seed: u64,
}

/// What the arms of a drawn block are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// As they ran: for power.
    Kept,
    /// Swapped or not by a fair coin, all metrics of a block alike: for false alarms of an A/A pool.
    Exchanged,
}

/// The share of gates, drawn from `pool` and judged by `rule`, that `hit` holds of.
///
/// False alarms are `|gate| gate.worse().next().is_some()` of an A/A pool.
///
/// # Errors
/// A pool without metrics, with different numbers of repeats or with fewer than a gate needs, and what [`judge`]
/// refuses of a gate that was drawn.
pub fn rate(pool: &[Metric], draw: &Draw, rule: &Rule, hit: impl Fn(&Gate) -> bool) -> Result<Rate, GateError> {
    let repeats = pool.first().ok_or(GateError::NoMetrics)?.base.len();
    for metric in pool {
        for (arm, samples) in [("base", &metric.base), ("head", &metric.head)] {
            if samples.is_empty() {
                let cause = SampleError::Missing { arm: arm.to_owned() };
                return Err(GateError::Samples { metric: metric.name.clone(), cause });
            }
            if samples.len() != repeats {
                return Err(GateError::Repeats {
                    metric: metric.name.clone(),
                    repeats: samples.len(),
                    expected: repeats,
                });
            }
        }
    }
    let blocks =
        Blocks::of(draw, repeats).map_err(|cause| GateError::Samples { metric: pool[0].name.clone(), cause })?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(draw.seed);
    let mut gate = pool.to_vec();
    let mut hits = 0;
    for _ in 0..draw.gates {
        let drawn = blocks.draw(&mut rng, draw);
        for (metric, drawn_metric) in pool.iter().zip(&mut gate) {
            let (base, head) = (&metric.base, &metric.head);
            let arms = |swapped| if swapped { (head, base) } else { (base, head) };
            drawn_metric.base = drawn.iter().map(|(repeat, swapped)| arms(*swapped).0[*repeat]).collect();
            drawn_metric.head = drawn.iter().map(|(repeat, swapped)| arms(*swapped).1[*repeat]).collect();
        }
        hits += u64::from(hit(&judge(&gate, rule)?));
    }
    Ok(Rate::new(hits, draw.gates as u64, rule.confidence))
}

/// The blocks of a pool.
struct Blocks {
    size: usize,
    in_pool: usize,
    in_gate: usize,
}

impl Blocks {
    fn of(draw: &Draw, repeats: usize) -> Result<Self, SampleError> {
        let size = draw.block.max(1);
        let in_gate = draw.pairs.div_ceil(size);
        let in_pool = repeats / size;
        if in_gate > in_pool {
            return Err(SampleError::TooFew { n: repeats, needed: in_gate * size });
        }
        Ok(Self { size, in_pool, in_gate })
    }

    /// The repeats of one gate, and whether the arms of each are swapped.
    fn draw(&self, rng: &mut Xoshiro256PlusPlus, draw: &Draw) -> Vec<(usize, bool)> {
        let mut repeats = Vec::with_capacity(self.in_gate * self.size);
        for block in rand::seq::index::sample(rng, self.in_pool, self.in_gate) {
            let swapped = draw.labels == Labels::Exchanged && rng.random::<bool>();
            repeats.extend((block * self.size..(block + 1) * self.size).map(|repeat| (repeat, swapped)));
        }
        repeats.truncate(draw.pairs);
        repeats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Basis;
    use crate::gate::Better;
    use crate::stats::simulate::Draws;
    use rstest::rstest;

    /// Forty repeats of ten metrics on a machine that drifts, with noise that the metrics share in part; head costs
    /// `factor` as much.
    fn pool(seed: u64, factor: f64, noise: fn(&mut Draws) -> f64) -> Vec<Metric> {
        let mut draws = Draws::new(seed);
        let mut metrics: Vec<Metric> = (0..10)
            .map(|i| Metric {
                name: format!("metric_{i}_s"),
                better: Better::Lower,
                basis: Basis::Time,
                relevance: 1.1,
                base: Vec::new(),
                head: Vec::new(),
            })
            .collect();
        for position in 0..80 {
            let machine = 0.01 * f64::from(position) + 0.05 * noise(&mut draws);
            for metric in &mut metrics {
                let sample = (machine + 0.05 * noise(&mut draws)).exp();
                // ABBA: the second pair of a block runs the other way round.
                if matches!(position % 4, 0 | 3) { metric.base.push(sample) } else { metric.head.push(sample * factor) }
            }
        }
        metrics
    }

    fn draw(gates: usize, labels: Labels) -> Draw {
        Draw { gates, pairs: 10, block: 2, labels, seed: 43 }
    }

    /// Of many pools, because one has its own luck.
    #[rstest]
    #[case::normal(Draws::normal as fn(&mut Draws) -> f64)]
    #[case::contaminated(Draws::contaminated as fn(&mut Draws) -> f64)]
    fn a_gate_of_two_equal_arms_raises_a_false_alarm_at_most_once_in_a_hundred(#[case] noise: fn(&mut Draws) -> f64) {
        let changed = |gate: &Gate| gate.outcomes.iter().any(|outcome| outcome.adjusted_p <= gate.rule.alpha);
        let alarms: u64 = (0..40)
            .map(|seed| {
                let pool = pool(seed, 1.0, noise);
                rate(&pool, &draw(100, Labels::Exchanged), &Rule::default(), changed).expect("judged").hits
            })
            .sum();
        // 4,000 gates: 40 are expected at most, and 60 are three standard errors more.
        assert!(alarms <= 60, "{alarms}");
    }

    #[test]
    fn a_gate_finds_a_slowdown_by_three_tenths_in_ten_pairs() {
        let worse = |gate: &Gate| gate.worse().next().is_some();
        let slower = pool(41, 1.3, Draws::normal);
        let found = rate(&slower, &draw(1_000, Labels::Kept), &Rule::default(), worse).expect("judged");
        assert!(found.value().is_some_and(|power| power >= 0.95), "{found}");
    }

    #[test]
    fn the_same_seed_draws_the_same_gates() {
        let (pool, rule) = (pool(41, 1.15, Draws::contaminated), Rule::default());
        let of = |seed| rate(&pool, &Draw { seed, ..draw(200, Labels::Kept) }, &rule, Gate::passes).expect("judged");
        assert_eq!(of(1), of(1));
    }

    #[test]
    fn blocks_keep_their_order_and_all_metrics_their_repeats() {
        let metric = |name: &str, unit: f64| Metric {
            name: name.to_owned(),
            better: Better::Lower,
            basis: Basis::Count,
            relevance: 1.1,
            base: (1..=40).map(|i| f64::from(i) * unit).collect(),
            head: (1..=40).map(|i| f64::from(i * i) * unit).collect(),
        };
        let pool = [metric("a", 1.0), metric("b", 1000.0)];
        // The units differ, the repeats do not: all that is drawn of both is the same.
        let alike = |gate: &Gate| (gate.outcomes[0].ratio / gate.outcomes[1].ratio - 1.0).abs() < 1e-9;
        let rate = rate(&pool, &draw(100, Labels::Exchanged), &Rule::default(), alike).expect("judged");
        assert_eq!((rate.hits, rate.of), (100, 100));
    }

    #[test]
    fn a_pool_that_is_not_whole_is_refused_by_name() {
        let mut ragged = pool(41, 1.0, Draws::normal);
        ragged[3].head.pop();
        let of = |pool: &[Metric], pairs| {
            let draw = Draw { pairs, ..draw(1, Labels::Kept) };
            rate(pool, &draw, &Rule::default(), Gate::passes).expect_err("bad").to_string()
        };
        assert_eq!(of(&ragged, 10), "metric_3_s: 39 repeats where the pool has 40: keep the repeats that all have");
        ragged[3].head.clear();
        assert_eq!(of(&ragged, 10), "metric_3_s: the head arm has no samples: was it run?");
        assert!(of(&pool(41, 1.0, Draws::normal), 41).contains("40 samples are fewer than the 42 that this needs"));
        assert_eq!(of(&[], 10), GateError::NoMetrics.to_string());
        assert!(of(&pool(41, 1.0, Draws::normal), 4).contains("4 samples are fewer than the 5 that this needs"));
    }
}
