//! Two arms compared, from the records of their runs only.
//!
//! An arm is a directory of run directories, one a repeat: what `cargo xtask gate` writes below `arms/`, or any runs
//! that somebody put into one directory. A single run directory is an arm of one repeat.

mod beside;
mod cause;
mod read;
mod refuse;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use measure::budget::MUST_SEE;
use measure::gate::{self, Answer, Gate, GateError, Metric, Outcome, Rule};
use measure::{Basis, Budgets, Compared, Verdict};
use serde::Serialize;

use crate::pictures::ratio_picture;

pub use read::{Arm, Repeat};
pub use show::{comparison_markdown, comparison_table};

/// Two arms compared, row by row.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The rows that both arms have.
    pub rows: Vec<RowComparison>,
    /// Rows that only one arm has, in words.
    pub only_one_has: Vec<String>,
    /// Rows of both arms by which nothing is compared: their suite's `budgets.toml` has no `[[compare]]` for them.
    pub not_compared: Vec<String>,
}

/// One row of both arms.
#[derive(Clone, Debug, Serialize)]
pub struct RowComparison {
    /// The suite's package.
    pub suite: String,
    /// The row.
    pub test: String,
    /// Pairs of runs.
    pub pairs: usize,
    /// Whether the arms took turns. Where they did not, whatever the machine did in between is in every ratio.
    pub interleaved: bool,
    /// Differences between the arms beside what is compared; told, because they were allowed.
    pub differences: Vec<String>,
    /// Versions of the systems under test that differ between the arms.
    pub versions: Vec<String>,
    /// Budgets of the row that runs of head missed and none of base.
    pub missed: Vec<Missed>,
    /// Metrics that were not judged: times of arms that did not take turns.
    pub unjudged: Vec<String>,
    /// The ratio that runs have to have been able to see, where they cannot tell and are to pass all the same.
    pub must_see: BTreeMap<String, f64>,
    /// The judgement.
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// A budget that head misses and base meets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// The budget's metric.
    pub metric: String,
    /// Runs of head that missed it.
    pub runs: usize,
    /// Runs of head.
    pub of: usize,
    /// What one of them says of it.
    pub reason: String,
}

impl Missed {
    /// Whether it is more than chance: more than half of head's runs missed it.
    pub fn is_worse(&self) -> bool {
        2 * self.runs > self.of
    }
}

/// What can be said of a row.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// All metrics were judged together.
    Judged {
        /// The answers.
        gate: Gate,
        /// What they rest on: the samples of each metric.
        metrics: Vec<Metric>,
        /// What changed beneath a metric that is better or worse: a stage, a component's CPU.
        causes: BTreeMap<String, String>,
        /// What stands beside the answers and decides nothing: drifts, and the ratios of medians of what changed.
        beside: Vec<String>,
    },
    /// The runs cannot be compared: they are of different things. The differences, in words.
    Different(Vec<String>),
    /// A run was killed, is invalid or lacks a figure; or there are too few. Why, in words.
    Unmeasured(String),
}

/// Compares two arms by the metrics that `budgets` names for each suite. Arms of different machines, settings,
/// parameters or schemas are refused unless `allow_different`.
pub fn compare(
    base: &Arm,
    head: &Arm,
    budgets: &BTreeMap<String, Budgets>,
    allow_different: bool,
    rule: &Rule,
) -> Comparison {
    let names = |arm: &Arm| arm.rows.keys().cloned().collect::<Vec<_>>();
    let lacks = |one: &Arm, other: &Arm, name: &str| {
        let only = names(one).into_iter().filter(|row| !other.rows.contains_key(row));
        only.map(|(suite, test)| format!("{suite} {test}: only {name} has it")).collect::<Vec<_>>()
    };
    let compared = |suite: &str, test: &str| -> Vec<Compared> {
        budgets.get(suite).into_iter().flat_map(|budgets| budgets.compared(test)).cloned().collect()
    };
    let both = base.rows.iter().filter_map(|(row, of_base)| {
        let (suite, test) = row;
        Some((suite, test, of_base, head.rows.get(row)?, compared(suite, test)))
    });
    let (judged, others): (Vec<_>, Vec<_>) = both.partition(|(.., by)| !by.is_empty());
    // The rate of false alarms is that of the whole comparison: each row has its part of it.
    let rule = &Rule { alpha: rule.alpha / judged.len().max(1) as f64, ..*rule };
    let rows = judged.into_iter().map(|(suite, test, of_base, of_head, by)| {
        let differences = refuse::differences(of_base, of_head);
        let interleaved = refuse::interleaved(of_base, of_head);
        let must_see = by.iter().map(|by| (by.metric.clone(), by.must_see())).collect();
        // What the machine did between the runs of the arms is in every time, and in no count.
        let (by, times): (Vec<_>, Vec<_>) = by.into_iter().partition(|by| interleaved || by.basis == Basis::Count);
        let judgement = if differences.is_empty() || allow_different {
            judge(&by, of_base, of_head, rule).unwrap_or_else(Judgement::Unmeasured)
        } else {
            Judgement::Different(differences.clone())
        };
        RowComparison {
            suite: suite.clone(),
            test: test.clone(),
            pairs: of_base.len().min(of_head.len()),
            interleaved,
            differences,
            versions: refuse::versions(of_base, of_head),
            missed: missed(of_base, of_head),
            unjudged: times.into_iter().map(|by| by.metric).collect(),
            must_see,
            judgement,
        }
    });
    let not_compared = others
        .iter()
        .map(|(suite, test, ..)| format!("{suite} {test}: its suite's budgets.toml has no `[[compare]]` for it"));
    let only_one_has = [lacks(base, head, "base"), lacks(head, base, "head")].concat();
    Comparison { rows: rows.collect(), only_one_has, not_compared: not_compared.collect() }
}

/// The budgets that runs of head miss and none of base.
fn missed(base: &[Repeat], head: &[Repeat]) -> Vec<Missed> {
    let of = |repeat: &Repeat| {
        let failed = repeat.trial.budgets.iter().filter(|budget| budget.verdict == Verdict::Fail);
        failed.map(|budget| (budget.metric.clone(), budget.reason.clone())).collect::<BTreeMap<_, _>>()
    };
    let by_base: Vec<_> = base.iter().map(of).collect();
    let mut missed: BTreeMap<String, Missed> = BTreeMap::new();
    for (metric, reason) in head.iter().flat_map(of) {
        if by_base.iter().any(|run| run.contains_key(&metric)) {
            continue;
        }
        let new = Missed { metric: metric.clone(), runs: 0, of: head.len(), reason };
        missed.entry(metric).or_insert(new).runs += 1;
    }
    missed.into_values().collect()
}

impl Comparison {
    /// Whether any row's metric is worse, or head misses a budget that base meets.
    pub fn is_worse(&self) -> bool {
        let worse = |row: &RowComparison| row.gate().is_some_and(|gate| gate.worse().next().is_some());
        self.rows.iter().any(|row| worse(row) || row.missed.iter().any(Missed::is_worse))
    }

    /// Whether every row could be judged, whatever the answer.
    pub fn is_judged(&self) -> bool {
        self.only_one_has.is_empty() && self.rows.iter().all(|row| row.gate().is_some())
    }

    /// The metrics that cannot be told and of which these runs could not even have seen what has to be seen: `must_see`,
    /// or what their suite's `budgets.toml` says of each. A sentence each.
    pub fn too_blunt(&self, must_see: Option<f64>) -> Vec<String> {
        self.rows.iter().flat_map(|row| row.too_blunt(must_see)).collect()
    }

    /// Whether every row was judged and nothing is worse or untold.
    pub fn passes(&self) -> bool {
        !self.rows.is_empty()
            && self.only_one_has.is_empty()
            && self
                .rows
                .iter()
                .all(|row| row.gate().is_some_and(Gate::passes) && row.missed.is_empty() && row.unjudged.is_empty())
    }
}

impl RowComparison {
    /// How the gate decided, as a picture; none where it could not.
    pub fn picture(&self) -> Option<String> {
        let Judgement::Judged { gate, metrics, .. } = &self.judgement else { return None };
        let title = format!("{} {}: head against base, {} pairs", self.suite, self.test, self.pairs);
        Some(ratio_picture(&title, metrics, &gate.outcomes))
    }

    fn too_blunt(&self, must_see: Option<f64>) -> Vec<String> {
        let limit = |metric: &str| must_see.or_else(|| self.must_see.get(metric).copied()).unwrap_or(MUST_SEE);
        let untold = self.gate().into_iter().flat_map(Gate::untold);
        let blunt = untold.filter(|outcome| outcome.detectable > limit(&outcome.metric));
        let sentence = |outcome: &Outcome| {
            let (metric, seen, limit) = (&outcome.metric, outcome.detectable, limit(&outcome.metric));
            let more = show::more_pairs(&outcome.answer).unwrap_or_default();
            format!(
                "{} {}: {metric} cannot be told, and these runs could only have seen a change by {seen:.2} x, where {limit} x \
                 has to be seen{more}",
                self.suite, self.test
            )
        };
        blunt.map(sentence).collect()
    }

    /// The answers, when there are any.
    pub fn gate(&self) -> Option<&Gate> {
        match &self.judgement {
            Judgement::Judged { gate, .. } => Some(gate),
            Judgement::Different(_) | Judgement::Unmeasured(_) => None,
        }
    }
}

fn judge(by: &[Compared], base: &[Repeat], head: &[Repeat], rule: &Rule) -> Result<Judgement, String> {
    refuse::unusable(base, head)?;
    if by.is_empty() {
        return Err("the arms did not take turns, and it is compared by times only".to_owned());
    }
    if by.iter().any(|by| by.basis == Basis::Time) {
        refuse::untimed(base, head)?;
    }
    let metrics = metrics(by, base, head)?;
    let gate = gate::judge(&metrics, rule).map_err(|error: GateError| error.to_string())?;
    let cause = |outcome: &Outcome| {
        let slower = outcome.answer == Answer::Worse;
        Some((outcome.metric.clone(), cause::of(&outcome.metric, slower, base, head)?))
    };
    let causes = gate.changed().filter_map(cause).collect();
    let drifts = metrics.iter().filter_map(|metric| beside::drift(metric, base, head));
    let changed = |metric: &&Metric| gate.changed().any(|outcome| outcome.metric == metric.name);
    let medians = metrics.iter().filter(changed).filter_map(beside::medians);
    let beside = drifts.chain(medians).collect();
    Ok(Judgement::Judged { causes, gate, metrics, beside })
}

/// The samples of every metric by which a row is compared, one a repeat.
///
/// # Errors
/// When a repeat lacks one.
fn metrics(compared: &[Compared], base: &[Repeat], head: &[Repeat]) -> Result<Vec<Metric>, String> {
    let samples = |arm: &str, repeats: &[Repeat], metric: &str| {
        let sample = |repeat: &Repeat| {
            let value = repeat.trial.metrics.get(metric).copied();
            value.ok_or_else(|| format!("{metric}: {arm} {} has none: {}", repeat.name, repeat.trial.reason))
        };
        repeats.iter().map(sample).collect::<Result<Vec<_>, _>>()
    };
    let metric = |compared: &Compared| {
        let (base, head) = (samples("base", base, &compared.metric)?, samples("head", head, &compared.metric)?);
        Ok(compared.metric(base, head))
    };
    compared.iter().map(metric).collect()
}
