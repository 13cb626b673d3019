//! Two arms compared, from the records of their runs only.
//!
//! An arm is a directory of run directories, one a repeat: what `cargo xtask gate` writes below `arms/`, or any runs
//! that somebody put into one directory. A single run directory is an arm of one repeat.

mod cause;
mod read;
mod refuse;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use measure::Budgets;
use measure::gate::{self, Gate, GateError, Metric, Rule};
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
    /// The judgement.
    #[serde(flatten)]
    pub judgement: Judgement,
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
    let both = base.rows.iter().filter_map(|(row, of_base)| Some((row, of_base, head.rows.get(row)?)));
    let rows = both.map(|((suite, test), of_base, of_head)| {
        let differences = refuse::differences(of_base, of_head);
        let judgement = if differences.is_empty() || allow_different {
            judge(test, of_base, of_head, budgets.get(suite), rule).unwrap_or_else(Judgement::Unmeasured)
        } else {
            Judgement::Different(differences.clone())
        };
        RowComparison {
            suite: suite.clone(),
            test: test.clone(),
            pairs: of_base.len().min(of_head.len()),
            interleaved: refuse::interleaved(of_base, of_head),
            differences,
            judgement,
        }
    });
    Comparison { rows: rows.collect(), only_one_has: [lacks(base, head, "base"), lacks(head, base, "head")].concat() }
}

impl Comparison {
    /// Whether any row's metric is worse.
    pub fn is_worse(&self) -> bool {
        self.rows.iter().any(|row| row.gate().is_some_and(|gate| gate.worse().next().is_some()))
    }

    /// Whether every row was judged and nothing is worse or untold.
    pub fn passes(&self) -> bool {
        !self.rows.is_empty()
            && self.only_one_has.is_empty()
            && self.rows.iter().all(|row| row.gate().is_some_and(Gate::passes))
    }
}

impl RowComparison {
    /// How the gate decided, as a picture; none where it could not.
    pub fn picture(&self) -> Option<String> {
        let Judgement::Judged { gate, metrics, .. } = &self.judgement else { return None };
        let title = format!("{} {}: head against base, {} pairs", self.suite, self.test, self.pairs);
        Some(ratio_picture(&title, metrics, &gate.outcomes))
    }

    /// The answers, when there are any.
    pub fn gate(&self) -> Option<&Gate> {
        match &self.judgement {
            Judgement::Judged { gate, .. } => Some(gate),
            Judgement::Different(_) | Judgement::Unmeasured(_) => None,
        }
    }
}

fn judge(
    test: &str,
    base: &[Repeat],
    head: &[Repeat],
    budgets: Option<&Budgets>,
    rule: &Rule,
) -> Result<Judgement, String> {
    refuse::unusable(base, head)?;
    let metrics = metrics(test, base, head, budgets)?;
    let gate = gate::judge(&metrics, rule).map_err(|error: GateError| error.to_string())?;
    let causes =
        gate.changed().filter_map(|outcome| Some((outcome.metric.clone(), cause::of(&outcome.metric, base, head)?)));
    Ok(Judgement::Judged { causes: causes.collect(), gate, metrics })
}

/// The samples of every metric by which `test` is compared, one a repeat.
///
/// # Errors
/// When the suite names none for the row, or a repeat lacks one.
fn metrics(test: &str, base: &[Repeat], head: &[Repeat], budgets: Option<&Budgets>) -> Result<Vec<Metric>, String> {
    let compared: Vec<_> = budgets.into_iter().flat_map(|budgets| budgets.compared(test)).collect();
    if compared.is_empty() {
        return Err(format!("its suite's budgets.toml has no `[[compare]]` for `{test}`: nothing says what counts"));
    }
    let samples = |arm: &str, repeats: &[Repeat], metric: &str| {
        let sample = |repeat: &Repeat| {
            let value = repeat.trial.metrics.get(metric).copied();
            value.ok_or_else(|| format!("{metric}: {arm} {} has none: {}", repeat.name, repeat.trial.reason))
        };
        repeats.iter().map(sample).collect::<Result<Vec<_>, _>>()
    };
    let metric = |compared: &&measure::Compared| {
        let (base, head) = (samples("base", base, &compared.metric)?, samples("head", head, &compared.metric)?);
        Ok(compared.metric(base, head))
    };
    compared.iter().map(metric).collect()
}
