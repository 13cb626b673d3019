//! The pool: the metrics of many real repeats of every arm, as one committed file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use measure::arms::{Schedule, block};
use measure::gate::Metric;
use measure::{Budgets, Verdict};
use record::{Arm, Fingerprint};
use serde::{Deserialize, Serialize};

use super::base_of;
use crate::exit::Failure;

/// Significant digits that are kept of a figure: far more than it repeats.
const DIGITS: i32 = 6;

/// The metrics of an arm's measured runs, by repeat.
type ByRepeat = BTreeMap<usize, BTreeMap<String, f64>>;

/// Repeats of several arms of one row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pool {
    /// The suite's package.
    pub(crate) suite: String,
    /// The row.
    pub(crate) test: String,
    /// When the first run began, RFC 3339.
    pub(crate) measured_at: String,
    /// The machine.
    pub(crate) machine: Fingerprint,
    /// The revision of this repository.
    pub(crate) git_revision: String,
    /// Versions of the system under test.
    pub(crate) versions: BTreeMap<String, String>,
    /// The row's parameters.
    pub(crate) parameters: BTreeMap<String, serde_json::Value>,
    /// What each arm is.
    pub(crate) arms: BTreeMap<String, String>,
    /// What the order of the runs follows from.
    pub(crate) seed: u64,
    /// The arms in the order in which they ran, warm-up included.
    pub(crate) order: Vec<String>,
    /// Repeats of heads that are not here, by whole ABBAs, because one of their runs was not measured; which.
    pub(crate) dropped: Vec<String>,
    /// The metrics of each arm, one figure a repeat.
    pub(crate) metrics: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

impl Pool {
    /// Makes the pool of the runs that lie below `directory/arms`.
    pub(crate) fn gather(
        directory: &Path,
        schedule: &Schedule,
        arms: BTreeMap<String, String>,
        comparisons: &[[String; 2]],
    ) -> Result<Self, Failure> {
        let read = |name: &String| Ok((name.clone(), Arm::read(&directory.join("arms").join(name))?));
        let read: BTreeMap<String, Arm> = arms.keys().map(read).collect::<Result<_, record::Error>>()?;
        let first = read.values().find_map(|arm| arm.rows.iter().next()).and_then(|(_, repeats)| repeats.first());
        let first = first.ok_or_else(|| Failure::environment("no run left a record"))?.clone();
        let row = (first.trial.suite.clone(), first.trial.test.clone());
        let all_runs = read.values().flat_map(|arm| arm.rows.values().flatten());
        if let Some(other) =
            all_runs.map(|repeat| &repeat.run.fingerprint).find(|other| **other != first.run.fingerprint)
        {
            let message = format!("runs of two machines: {:?} and {other:?}", first.run.fingerprint);
            return Err(Failure::usage(message));
        }
        let measured = |repeat: &&record::Repeat| repeat.trial.verdict.is_some_and(Verdict::is_measured);
        let by_repeat = |arm: &String| -> ByRepeat {
            let repeats = read[arm].rows.get(&row).into_iter().flatten().filter(measured);
            repeats.filter_map(|r| Some((r.trial.arm.as_ref()?.repeat, r.trial.metrics.clone()))).collect()
        };
        let names: BTreeSet<&String> = first.trial.metrics.keys().collect();
        let (mut dropped, mut metrics) = (Vec::new(), BTreeMap::new());
        for [base, head] in comparisons {
            let of_arms = [base, head].map(by_repeat);
            let (kept, lost) = whole_blocks(&of_arms);
            dropped.extend(lost.iter().map(|repeat| format!("repeat {repeat} of {head}")));
            for (arm, repeats) in [base, head].into_iter().zip(&of_arms) {
                let samples = |name: &&String| {
                    let samples = kept.iter().map(|repeat| repeats[repeat].get(*name).copied().map(rounded));
                    Some(((*name).clone(), samples.collect::<Option<Vec<f64>>>()?))
                };
                metrics.insert(arm.clone(), names.iter().filter_map(samples).collect::<BTreeMap<_, _>>());
            }
        }
        Ok(Self {
            suite: row.0.clone(),
            test: row.1.clone(),
            measured_at: first.trial.started_at.clone(),
            machine: first.run.fingerprint.clone(),
            git_revision: first.run.git_revision.clone(),
            versions: first.trial.versions.clone(),
            parameters: first.trial.parameters.clone(),
            arms,
            seed: schedule.seed,
            order: schedule.runs.iter().map(|run| run.arm.clone()).collect(),
            dropped,
            metrics,
        })
    }

    /// Repeats of each arm.
    pub(crate) fn repeats(&self) -> usize {
        self.metrics.values().flat_map(BTreeMap::values).map(Vec::len).min().unwrap_or(0)
    }

    /// A head and its base as the metrics of a gate.
    pub(crate) fn pair(&self, head: &str, budgets: &Budgets) -> Result<Vec<Metric>, Failure> {
        let base = &base_of(head);
        let samples = |arm: &str, metric: &str| {
            let samples = self.metrics.get(arm).and_then(|metrics| metrics.get(metric));
            samples
                .cloned()
                .ok_or_else(|| Failure::usage(format!("the pool has no {metric} of arm `{arm}`: collect it again")))
        };
        let metric = |compared: &measure::Compared| {
            Ok(compared.metric(samples(base, &compared.metric)?, samples(head, &compared.metric)?))
        };
        budgets.compared(&self.test).map(metric).collect()
    }
}

/// The repeats of both arms whose whole ABBA was measured, and those of the others: blocks that are drawn have to be the
/// ones that ran.
fn whole_blocks(arms: &[ByRepeat; 2]) -> (Vec<usize>, Vec<usize>) {
    let measured = |repeat: usize| arms.iter().all(|repeats| repeats.contains_key(&repeat));
    let size = block(2);
    let all: BTreeSet<usize> = arms.iter().flat_map(BTreeMap::keys).map(|repeat| repeat - repeat % size).collect();
    let repeats = all.into_iter().flat_map(|begin| begin..begin + size);
    repeats.partition(|repeat| (repeat - repeat % size..repeat - repeat % size + size).all(measured))
}

fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(DIGITS - 1 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_not_measured_takes_its_whole_abba_with_it() {
        let of = |repeats: &[usize]| repeats.iter().map(|repeat| (*repeat, BTreeMap::new())).collect::<ByRepeat>();
        let (kept, lost) = whole_blocks(&[of(&[0, 1, 2, 3, 4, 5]), of(&[0, 1, 3, 4, 5])]);
        assert_eq!((kept, lost), (vec![0, 1, 4, 5], vec![2, 3]));
    }
}
