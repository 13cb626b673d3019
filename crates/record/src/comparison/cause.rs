//! What changed beneath a metric: the stage that grew most and the component whose CPU did; of one that is better, those
//! that shrank most.

use std::collections::BTreeMap;

use measure::budget::Figure;

use super::read::Repeat;
use crate::schema::PhaseRecord;
use crate::stages::parts;

/// A growth below this factor explains nothing.
const TOLD_FROM: f64 = 1.05;

/// The causes of a change of `metric` for the worse, or for the better, in words; `None` when nothing beneath it moved that
/// way.
pub(super) fn of(metric: &str, worse: bool, base: &[Repeat], head: &[Repeat]) -> Option<String> {
    let phase = phase_of(metric, base.first()?)?;
    let stage = largest(worse, &stages(&phase, base), &stages(&phase, head));
    let stage =
        stage.map(|(stage, from, to)| format!("{stage} went from {} to {} ms at the median", Figure(from), Figure(to)));
    let cpu = largest(worse, &cpu(&phase, base), &cpu(&phase, head));
    let cpu = cpu.map(|(component, from, to)| {
        format!("{component} took {} ms of CPU an object instead of {}", Figure(to), Figure(from))
    });
    let causes: Vec<String> = stage.into_iter().chain(cpu).collect();
    (!causes.is_empty()).then(|| causes.join("; "))
}

/// The phase that a metric is named after.
fn phase_of(metric: &str, repeat: &Repeat) -> Option<String> {
    let names = repeat.trial.phases.iter().map(|phase| &phase.name);
    names.filter(|name| metric.starts_with(&name.replace('-', "_"))).max_by_key(|name| name.len()).cloned()
}

/// The entry that grew most in absolute terms, or shrank most, and by a factor that counts. Times and CPU explain nothing
/// that went the other way.
fn largest(grew: bool, base: &BTreeMap<String, f64>, head: &BTreeMap<String, f64>) -> Option<(String, f64, f64)> {
    let both = base.iter().filter_map(|(name, from)| Some((name.clone(), *from, *head.get(name)?)));
    let told = both.filter(|(_, from, to)| if grew { to / from >= TOLD_FROM } else { from / to >= TOLD_FROM });
    told.max_by(|(_, a, b), (_, c, d)| (b - a).abs().total_cmp(&(d - c).abs()))
}

/// The median of each stage over the repeats, in milliseconds.
fn stages(phase: &str, repeats: &[Repeat]) -> BTreeMap<String, f64> {
    let medians = over_repeats(phase, repeats, |phase| {
        let stages = phase.stages.iter().filter_map(|(stage, quantiles)| Some((stage.clone(), quantiles.p50_ms?)));
        stages.collect()
    });
    parts(medians)
}

/// The median CPU of each component over the repeats, in milliseconds an object.
fn cpu(phase: &str, repeats: &[Repeat]) -> BTreeMap<String, f64> {
    over_repeats(phase, repeats, |phase| {
        let objects = phase.done.max(1) as f64;
        phase.components.iter().map(|(name, used)| (name.clone(), used.cpu_s * 1e3 / objects)).collect()
    })
}

fn over_repeats(
    phase: &str,
    repeats: &[Repeat],
    of: impl Fn(&PhaseRecord) -> Vec<(String, f64)>,
) -> BTreeMap<String, f64> {
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for record in repeats.iter().flat_map(|repeat| &repeat.trial.phases).filter(|record| record.name == phase) {
        for (name, value) in of(record) {
            samples.entry(name).or_default().push(value);
        }
    }
    samples.into_iter().filter_map(|(name, values)| Some((name, measure::stats::median(values)?))).collect()
}
