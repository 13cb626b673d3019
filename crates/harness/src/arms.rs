//! Arms inside a trial: the same row run in several variants that take turns.

use std::collections::{BTreeMap, BTreeSet};

use measure::arms::Schedule;
use measure::gate::Rule;
use measure::stats::{LogRatios, median};
use measure::{Budget, Budgets};
use record::ArmRun;

use crate::context::{Context, fixture};
use crate::error::{Error, Result};
use crate::judge;
use crate::opening::{opening_record, run_dir};
use crate::trial::{Row, Trial, judged};

/// The arms of a row.
#[derive(Clone, Copy, Debug)]
pub struct Arms {
    /// Their names; the first is the one that the others are compared with.
    pub names: &'static [&'static str],
    /// Those that are the subject: a run of theirs that does not pass is the row's. Another's is its result.
    pub subjects: &'static [&'static str],
    /// Measured runs of each, at least three.
    pub repeats: usize,
    /// Runs of each before that are thrown away.
    pub warm_up: usize,
}

/// Runs a row once for every run of its arms, interleaved, each from the same proven state, and judges what they say of
/// each other. The order is another one in every run, and its seed is recorded. The record of each run lies in
/// `arms/<arm>/<repeat>/` of the run; that of the row has, for each metric, the median of each arm as `<arm>_<metric>` and the
/// ratio to the first as `<arm>_to_<first>_<metric>`, which budgets bind, with the ends of its interval as `…_low` and `…_high`.
///
/// # Errors
/// When there is no fixture or no order of the arms, or results cannot be written.
pub async fn compared(
    row: Row,
    arms: &Arms,
    driver: impl AsyncFn(&mut Trial, &str) -> Result<()>,
) -> Result<record::Trial> {
    let context = Context::from_env()?;
    let seed = seed(&context.run_id, &row.test);
    let schedule = Schedule::new(arms.names, arms.repeats, arms.warm_up, seed);
    let schedule = schedule.map_err(|error| Error::Environment(format!("{}: {error}", row.test)))?;
    let (descriptor, _) = fixture(row.fixture)?;
    let mut whole = opening_record(&row, &context, &descriptor);
    whole.seeds.insert("arms".to_owned(), seed);
    let directory = run_dir(&row, &context);
    directory.write_trial(&whole)?;

    let (of_runs, of_row) = split(&row.budgets, arms.names);
    let mut runs: BTreeMap<String, Vec<record::Trial>> = BTreeMap::new();
    for run in &schedule.runs {
        let arm = ArmRun::from(run);
        let place = arm.directory();
        let aside = row.aside.as_ref().map_or(place.clone(), |outer| format!("{outer}/{place}"));
        let row = Row { aside: Some(aside), arm: Some(arm.clone()), budgets: of_runs.clone(), ..row.clone() };
        // On the heap: a trial is large, and this is one of many.
        let record = Box::pin(judged(row, async |trial| driver(trial, &arm.arm).await)).await?;
        whole.wall_s += record.wall_s;
        whole.reason = format!("last run: {place}");
        directory.write_trial(&whole)?;
        let unfit = record.verdict.filter(|verdict| !verdict.passes() && arms.subjects.contains(&arm.arm.as_str()));
        if let Some(verdict) = unfit {
            let end = format!("{place} is {verdict}: {}", record.reason);
            let error = Error::Phase { phase: arm.arm, end, verdict };
            judge::judge(&mut whole, Some(&error), &of_row);
            directory.write_trial(&whole)?;
            return Ok(whole);
        }
        if !arm.warm_up {
            runs.entry(arm.arm).or_default().push(record);
        }
    }
    let of = |record: &record::Trial| record.harness.cpu_wait_share;
    let waits = runs.values().flatten().map(of).collect::<Option<Vec<f64>>>();
    whole.harness.cpu_wait_share = waits.and_then(|waits| waits.into_iter().reduce(f64::max));
    // The clock of the worst run: one that was set during any of them makes the times of all worthless.
    let steps = runs.values().flatten().map(|record| record.machine.clock_step_ms);
    whole.machine.clock_step_ms = steps.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default();
    whole.metrics.extend(metrics(arms.names, &runs));
    judge::judge(&mut whole, None, &of_row);
    directory.write_trial(&whole)?;
    Ok(whole)
}

/// The seed of a row's order, which follows from the run, so that no order is everyone's: FNV-1a (Fowler, Noll and Vo), cut
/// to what every reader of JSON takes exactly.
fn seed(run_id: &str, test: &str) -> u64 {
    let bytes = run_id.bytes().chain([b'/']).chain(test.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    hash >> 32
}

/// The budgets that bind each run, and those about what the arms say of each other, whose metrics begin with an arm.
fn split(budgets: &Budgets, names: &[&str]) -> (Budgets, Budgets) {
    let of_row = |budget: &&Budget| names.iter().any(|arm| budget.metric.starts_with(&format!("{arm}_")));
    let part = |wanted: bool| Budgets {
        budgets: budgets.budgets.iter().filter(|budget| of_row(budget) == wanted).cloned().collect(),
        compared: budgets.compared.clone(),
    };
    (part(false), part(true))
}

fn metrics(names: &[&str], runs: &BTreeMap<String, Vec<record::Trial>>) -> BTreeMap<String, f64> {
    let samples = |arm: &str, metric: &str| {
        let of_arm = runs.get(arm).map_or(&[][..], Vec::as_slice);
        of_arm.iter().map(|record| record.metrics.get(metric).copied()).collect::<Option<Vec<f64>>>()
    };
    let (first, others) = names.split_first().unwrap_or((&"", &[]));
    // Some arms have figures that others lack: how long a mirror took to be ready.
    let known: BTreeSet<&String> =
        runs.values().filter_map(|runs| runs.first()).flat_map(|record| record.metrics.keys()).collect();
    let mut metrics = BTreeMap::new();
    for metric in known {
        for arm in names {
            let median = median(samples(arm, metric).unwrap_or_default());
            metrics.extend(median.map(|median| (format!("{arm}_{metric}"), median)));
        }
        for arm in others {
            let (Some(base), Some(head)) = (samples(first, metric), samples(arm, metric)) else { continue };
            let Ok(ratios) = LogRatios::of(&base, &head) else { continue };
            let rule = Rule::default();
            let estimate = ratios.estimate(rule.alpha, rule.confidence);
            let name = format!("{arm}_to_{first}_{metric}");
            metrics.insert(format!("{name}_low"), estimate.interval.low);
            metrics.insert(format!("{name}_high"), estimate.interval.high);
            metrics.insert(name, estimate.ratio);
        }
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_run_and_every_row_has_an_order_of_its_own_and_keeps_it() {
        let runs = ["20261128-022101-0a1b", "20261128-022102-0a1b"];
        let seeds = runs.iter().flat_map(|run| ["ratio", "other"].map(|row| seed(run, row)));
        assert_eq!(seeds.collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(seed(runs[0], "ratio"), seed(runs[0], "ratio"));
        // Over many runs both orders of two arms come.
        let first =
            |n: u32| Schedule::new(&["a", "b"], 2, 0, seed(&format!("run-{n}"), "ratio")).unwrap().runs[0].arm.clone();
        let begun_by_a = (0..200).filter(|n| first(*n) == "a").count();
        assert!((60..140).contains(&begun_by_a), "{begun_by_a}");
    }
}
