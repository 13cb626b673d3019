//! What must not be compared, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::read::Repeat;

/// What has to be one value, and how it is read.
type Facet = (&'static str, fn(&Repeat) -> String);

/// What differs between the runs beside the build that is compared: each must be one value over both arms.
pub(super) fn differences(base: &[Repeat], head: &[Repeat]) -> Vec<String> {
    let facets: [Facet; 10] = [
        ("schema", |repeat| repeat.trial.schema.to_string()),
        ("definitions of metrics", |repeat| repeat.trial.metrics_version.to_string()),
        ("machine", |repeat| machine(repeat)),
        ("host and its start (a hash)", |repeat| repeat.run.fingerprint.host.clone()),
        ("kernel", |repeat| repeat.run.fingerprint.kernel.clone()),
        ("provider", |repeat| repeat.trial.provider.clone()),
        ("profile", |repeat| repeat.trial.profile.clone()),
        ("parameters", |repeat| json(&repeat.trial.parameters)),
        ("settings", |repeat| json(&repeat.trial.settings)),
        ("document", |repeat| repeat.trial.document.name.clone()),
    ];
    let differs = |(name, of): &Facet| {
        let values = |repeats: &[Repeat]| repeats.iter().map(of).collect::<BTreeSet<_>>();
        let (base, head) = (values(base), values(head));
        let one = base.len() == 1 && base == head;
        let list = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join(" and ");
        (!one && !base.is_empty() && !head.is_empty())
            .then(|| format!("{name}: base has {}, head has {}", list(base), list(head)))
    };
    facets.iter().filter_map(differs).collect()
}

/// The versions of the systems under test that differ, in words: in a comparison of builds they may, and are only told.
pub(super) fn versions(base: &[Repeat], head: &[Repeat]) -> Vec<String> {
    let of = |repeats: &[Repeat]| {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (system, version) in repeats.iter().flat_map(|repeat| &repeat.trial.versions) {
            all.entry(system.clone()).or_default().insert(version.clone());
        }
        all
    };
    let (base, head) = (of(base), of(head));
    let systems: BTreeSet<&String> = base.keys().chain(head.keys()).collect();
    let list = |versions: Option<&BTreeSet<String>>| {
        let versions = versions.into_iter().flatten().cloned().collect::<Vec<_>>();
        if versions.is_empty() { "none".to_owned() } else { versions.join(" and ") }
    };
    let differs = systems.into_iter().filter(|system| base.get(*system) != head.get(*system));
    differs
        .map(|system| format!("{system}: base has {}, head has {}", list(base.get(system)), list(head.get(system))))
        .collect()
}

/// Refuses runs that are not whole, and arms that do not pair.
pub(super) fn unusable(base: &[Repeat], head: &[Repeat]) -> Result<(), String> {
    for (arm, repeats) in [("base", base), ("head", head)] {
        if repeats.is_empty() {
            return Err(format!("{arm} has no repeat: was it run?"));
        }
        for Repeat { name, trial, .. } in repeats {
            match trial.verdict {
                Some(verdict) if verdict.is_measured() => {}
                Some(verdict) => return Err(format!("{arm} {name} is {verdict}: {}", trial.reason)),
                None => return Err(format!("{arm} {name} was killed: {}", trial.reason)),
            }
        }
    }
    let repeats = |repeats: &[Repeat]| -> BTreeSet<usize> {
        repeats.iter().filter_map(|repeat| repeat.trial.arm.as_ref()).map(|arm| arm.repeat).collect()
    };
    let (of_base, of_head) = (repeats(base), repeats(head));
    if let Some(lone) = of_base.symmetric_difference(&of_head).next() {
        let lacks = if of_base.contains(lone) { "head" } else { "base" };
        return Err(format!("{lacks} has no repeat {lone}: its run is missing"));
    }
    if base.len() != head.len() {
        return Err(format!("{} repeats of base and {} of head do not make pairs", base.len(), head.len()));
    }
    Ok(())
}

/// Refuses runs whose times cannot be trusted.
pub(super) fn untimed(base: &[Repeat], head: &[Repeat]) -> Result<(), String> {
    for (arm, repeats) in [("base", base), ("head", head)] {
        let untimed = repeats.iter().find_map(|repeat| Some((&repeat.name, repeat.trial.untimed.as_ref()?)));
        if let Some((name, why)) = untimed {
            return Err(format!("the times of {arm} {name} cannot be trusted: {why}"));
        }
    }
    Ok(())
}

/// Whether the arms took turns: they are of one series, each knows its place, and no arm ran twice more often than the
/// other at any time.
pub(super) fn interleaved(base: &[Repeat], head: &[Repeat]) -> bool {
    let series = |repeat: &Repeat| repeat.trial.run_id.rsplit_once('-').map(|(series, _)| series.to_owned());
    let of_all: BTreeSet<Option<String>> = base.iter().chain(head).map(series).collect();
    if of_all.len() != 1 {
        return false;
    }
    let places = |repeats: &[Repeat], step: i32| {
        let place = |repeat: &Repeat| repeat.trial.arm.as_ref().map(|arm| (arm.position, step));
        repeats.iter().map(place).collect::<Option<Vec<_>>>()
    };
    let (Some(base), Some(head)) = (places(base, 1), places(head, -1)) else { return false };
    let mut places = [base, head].concat();
    places.sort_unstable();
    let mut balance = 0_i32;
    places.iter().all(|(_, step)| {
        balance += step;
        balance.abs() <= 2
    })
}

fn machine(repeat: &Repeat) -> String {
    let machine = &repeat.run.fingerprint;
    format!("{} x {} with {} GiB", machine.cpus, machine.cpu_model, machine.memory_bytes >> 30)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
