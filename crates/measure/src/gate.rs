//! Whether head is worse than base: a judgement of all metrics of a comparison together.
//!
//! **What decides.** Each metric is compared on the log ratios of its pairs (why: [`crate::stats`]), by the estimator
//! that their shape allows (which: [`crate::stats::paired`]). A metric is `worse` or `better` where two things hold:
//!
//! - its p, adjusted by Holm's step-down over all metrics of the gate, is at most [`Rule::alpha`]: the change is not
//!   noise;
//! - its ratio is at least the metric's relevance threshold away from 1: the change matters.
//!
//! It is the `same` where the whole interval lies within the threshold, which is the test of equivalence of Schuirmann
//! (1987) at half of what is outside the interval, 2.5 % to each side. Where a robust estimator decides, the interval of
//! the mean of all pairs has to lie within it as well: a slowdown that comes and goes is in a few repeats, which robust
//! estimators set aside as if the machine had done it. Everything else is `cannot-tell`, with the pairs that are missing.
//! Only `better` and `same` pass: what was not seen to be harmless is not passed as harmless.
//!
//! **Why Holm, and why alpha is 0.01.** A gate of ten metrics at 0.01 each would cry wolf once in ten runs. Holm keeps
//! the probability that *any* metric of a gate is wrongly called changed at one in a hundred, whatever the metrics
//! share: one and a half by p alone, in the worst case of [`crate::stats::paired`], less by what has to matter as well. The
//! tests are two-sided, so a wrong `worse` is half of that. A gate that runs on every change and is wrong
//! more often gets switched off.
//!
//! **Why power is 0.95.** The smallest ratio that a gate could have seen is printed beside each answer. It is the one
//! that 19 of 20 gates like this one find, at the level that Holm's first step asks (alpha over the number of metrics),
//! because the gate cannot count on other metrics to be worse as well. More metrics make a gate blunter: gate few.
//!
//! **Counts beside times.** Requests, bytes and writes per object vary far less than wall time, so the same pairs see
//! far smaller changes in them. They go through the same test. A count may be the same to the last digit in every pair,
//! and is then known without doubt; a time may not: equal ratios mean that its clock is too coarse, or that one arm was
//! read twice.
//!
//! **What it cannot see.** Changes below the threshold; changes in the tail of a distribution that the metric averages
//! away; that a change in up to a fifth of the repeats is the build's and not the machine's, because the robust
//! estimators, which outcomes name, set such repeats aside: it `cannot-tell` then; and anything that both arms share.
//! [`resample`] measures what it does see.

pub mod resample;
mod sentence;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::budget::Basis;
use crate::stats::{Estimate, Estimator, Interval, LogRatios, SampleError, holm, power};

/// One metric of both arms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The metric's name; its unit is part of the name.
    pub name: String,
    /// Which way is better.
    pub better: Better,
    /// What it is made of.
    pub basis: Basis,
    /// The smallest ratio that matters, above 1: at 1.1, nothing between 1 / 1.1 and 1.1 is called a change.
    pub relevance: f64,
    /// The samples of the base arm, one a repeat, in the order of repeats.
    pub base: Vec<f64>,
    /// The samples of the head arm of the same repeats.
    pub head: Vec<f64>,
}

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Durations and costs.
    Lower,
    /// Rates.
    Higher,
}

/// The rates of error that a gate is held to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The probability that any metric of a gate is called changed where none is.
    pub alpha: f64,
    /// The probability with which the smallest ratio that is claimed to be seen is found.
    pub power: f64,
    /// The confidence of the intervals.
    pub confidence: f64,
    /// The fewest pairs that are judged.
    pub least_pairs: usize,
}

impl Default for Rule {
    fn default() -> Self {
        Self { alpha: 0.01, power: 0.95, confidence: 0.95, least_pairs: 5 }
    }
}

/// A gate that was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The rule it was judged by.
    pub rule: Rule,
    /// The metrics, in the order given.
    pub outcomes: Vec<Outcome>,
}

/// What a gate says about one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The metric's name.
    pub metric: String,
    /// What it is made of.
    pub basis: Basis,
    /// The smallest ratio that matters.
    pub relevance: f64,
    /// The answer.
    pub answer: Answer,
    /// How the ratio was estimated.
    pub estimator: Estimator,
    /// Number of pairs.
    pub pairs: usize,
    /// The ratio of head to base.
    pub ratio: f64,
    /// The interval of the ratio.
    pub interval: Interval,
    /// The interval of the mean ratio of all pairs, none set aside; where the mean decides, it is [`Outcome::interval`].
    pub of_all_pairs: Interval,
    /// The probability of a ratio at least this far from 1 where the arms are alike.
    pub p: f64,
    /// The same, adjusted for all metrics of the gate.
    pub adjusted_p: f64,
    /// The smallest ratio above 1 that this run could have seen; where it cannot be told, also in the mean of all pairs.
    pub detectable: f64,
    /// One sentence: the answer with its figures.
    pub sentence: String,
}

/// The answer about one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Changed for the better, by more than the threshold.
    Better,
    /// Changed for the worse, by more than the threshold.
    Worse,
    /// No change that matters.
    Same,
    /// Neither could be shown.
    CannotTell {
        /// How many more pairs of the same spread would; `None` where more than [`power::MOST_PAIRS`] would be needed.
        more_pairs: Option<usize>,
    },
}

/// Why a gate was not judged: all metrics or none, because the rate of error is that of all.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GateError {
    /// Nothing was measured.
    #[error("a gate without metrics passes nothing: name at least one that both arms have")]
    NoMetrics,
    /// Two metrics of one name.
    #[error("{metric}: named twice")]
    Twice {
        /// The metric's name.
        metric: String,
    },
    /// A threshold that is none.
    #[error("{metric}: a relevance of {relevance} is not a ratio above 1")]
    Relevance {
        /// The metric's name.
        metric: String,
        /// What was given.
        relevance: f64,
    },
    /// Samples that cannot be compared.
    #[error("{metric}: {cause}")]
    Samples {
        /// The metric's name.
        metric: String,
        /// What is wrong with them.
        #[source]
        cause: SampleError,
    },
    /// Metrics of a pool that were not measured in the same repeats.
    #[error("{metric}: {repeats} repeats where the pool has {expected}: keep the repeats that all have")]
    Repeats {
        /// The metric's name.
        metric: String,
        /// Its repeats.
        repeats: usize,
        /// The repeats of the first metric.
        expected: usize,
    },
    /// A time that has the same ratio in every pair.
    #[error(
        "{metric}: a time with the same ratio in all {pairs} pairs was rounded or read twice: \
         use a finer clock, or compare two arms"
    )]
    NoSpread {
        /// The metric's name.
        metric: String,
        /// Number of pairs.
        pairs: usize,
    },
}

/// Log ratios closer than this are the same ratio, computed twice.
const SAME_RATIO: f64 = 1e-9;

/// Judges the metrics of a gate together.
///
/// # Errors
/// No metrics, two of one name, a relevance that is not above 1; a missing arm, arms of different length, samples that
/// are not finite and above zero, fewer than [`Rule::least_pairs`] pairs, a time without any spread. The error names
/// the metric.
pub fn judge(metrics: &[Metric], rule: &Rule) -> Result<Gate, GateError> {
    if metrics.is_empty() {
        return Err(GateError::NoMetrics);
    }
    // The level that Holm's first step asks of the smallest p.
    let level = rule.alpha / metrics.len() as f64;
    let mut all = Vec::with_capacity(metrics.len());
    for (i, metric) in metrics.iter().enumerate() {
        if metrics[..i].iter().any(|earlier| earlier.name == metric.name) {
            return Err(GateError::Twice { metric: metric.name.clone() });
        }
        all.push(Estimates::of(&metric.log_ratios(rule)?, level, rule));
    }
    let adjusted = holm::adjust(&all.iter().map(|estimates| estimates.deciding.p).collect::<Vec<_>>());
    let judged = metrics.iter().zip(&all).zip(adjusted);
    let outcomes = judged.map(|((metric, estimates), adjusted_p)| metric.outcome(estimates, adjusted_p, level, rule));
    Ok(Gate { rule: *rule, outcomes: outcomes.collect() })
}

impl Gate {
    /// Whether every metric is better or the same.
    pub fn passes(&self) -> bool {
        self.outcomes.iter().all(|outcome| matches!(outcome.answer, Answer::Better | Answer::Same))
    }

    /// The metrics that are better or worse.
    pub fn changed(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| matches!(outcome.answer, Answer::Better | Answer::Worse))
    }

    /// The metrics that are worse.
    pub fn worse(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.answer == Answer::Worse)
    }

    /// The metrics that cannot be told.
    pub fn untold(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| matches!(outcome.answer, Answer::CannotTell { .. }))
    }
}

/// What the same pairs say by the estimator that decides and by the mean of all of them.
struct Estimates {
    deciding: Estimate,
    mean: Estimate,
}

impl Estimates {
    fn of(ratios: &LogRatios, level: f64, rule: &Rule) -> Self {
        Self { deciding: ratios.estimate(level, rule.confidence), mean: ratios.mean(rule.confidence) }
    }

    /// Both; the mean once where it decides.
    fn each(&self) -> impl Iterator<Item = &Estimate> {
        let other = (self.deciding.estimator != Estimator::Mean).then_some(&self.mean);
        std::iter::once(&self.deciding).chain(other)
    }
}

impl Metric {
    fn log_ratios(&self, rule: &Rule) -> Result<LogRatios, GateError> {
        let metric = || self.name.clone();
        if !(self.relevance.is_finite() && self.relevance > 1.0) {
            return Err(GateError::Relevance { metric: metric(), relevance: self.relevance });
        }
        let ratios =
            LogRatios::of(&self.base, &self.head).map_err(|cause| GateError::Samples { metric: metric(), cause })?;
        let pairs = self.base.len();
        if pairs < rule.least_pairs {
            let cause = SampleError::TooFew { n: pairs, needed: rule.least_pairs };
            return Err(GateError::Samples { metric: metric(), cause });
        }
        let spread = ratios.sorted()[pairs - 1] - ratios.sorted()[0];
        if self.basis == Basis::Time && spread < SAME_RATIO {
            return Err(GateError::NoSpread { metric: metric(), pairs });
        }
        Ok(ratios)
    }

    fn outcome(&self, estimates: &Estimates, adjusted_p: f64, level: f64, rule: &Rule) -> Outcome {
        let estimate = &estimates.deciding;
        let answer = self.answer(estimates, adjusted_p, level, rule);
        // A change has to be significant and to be estimated beyond the threshold.
        let significant = power::detectable(estimate, level, rule.power);
        let seen_by = |estimate: &Estimate| {
            let significant = power::detectable(estimate, level, rule.power);
            significant.max(power::clearing(estimate, self.relevance, rule.power))
        };
        let detectable = match answer {
            Answer::CannotTell { .. } => estimates.each().map(seen_by).fold(1.0, f64::max),
            Answer::Better | Answer::Worse | Answer::Same => seen_by(estimate),
        };
        let mut outcome = Outcome {
            metric: self.name.clone(),
            basis: self.basis,
            relevance: self.relevance,
            answer,
            estimator: estimate.estimator,
            pairs: estimate.pairs,
            ratio: estimate.ratio,
            interval: estimate.interval,
            of_all_pairs: estimates.mean.interval,
            p: estimate.p,
            adjusted_p,
            detectable,
            sentence: String::new(),
        };
        outcome.sentence = sentence::of(&outcome, self.better, significant <= self.relevance);
        outcome
    }

    fn answer(&self, estimates: &Estimates, adjusted_p: f64, level: f64, rule: &Rule) -> Answer {
        let ratio = estimates.deciding.ratio;
        let matters = ratio.max(1.0 / ratio) >= self.relevance;
        match () {
            () if adjusted_p <= rule.alpha && matters => match (self.better, ratio > 1.0) {
                (Better::Lower, true) | (Better::Higher, false) => Answer::Worse,
                (Better::Lower, false) | (Better::Higher, true) => Answer::Better,
            },
            () if estimates.each().all(|estimate| estimate.interval.is_within(self.relevance)) => Answer::Same,
            () => {
                let each: Option<Vec<usize>> =
                    estimates.each().map(|estimate| self.more_pairs(estimate, level, rule)).collect();
                Answer::CannotTell { more_pairs: each.and_then(|each| each.into_iter().max()) }
            }
        }
    }

    /// Pairs that would find a change of the size that matters, and whose interval would lie to one side of the threshold:
    /// the more of both, because a change that lies close to the threshold is found long before it can be placed.
    fn more_pairs(&self, estimate: &Estimate, level: f64, rule: &Rule) -> Option<usize> {
        let to_find = power::more_pairs(estimate, self.relevance, level, rule.power)?;
        let distance = self.relevance.ln() - estimate.ratio.ln().abs();
        if distance <= 0.0 {
            return Some(to_find.max(1));
        }
        let to_place = power::more_pairs_for_width(estimate, distance)?;
        Some(to_find.max(to_place).max(1))
    }
}
