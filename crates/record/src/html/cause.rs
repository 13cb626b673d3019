//! Why a row did not pass, in words: where, who is missing, who was slow, and what was busy.

use measure::{Judged, Verdict};

use super::series::Components;
use super::usage::cores_between;
use crate::others::{SATURATED, other_programs};
use crate::schema::{PhaseRecord, Trial};
use crate::stages::parts;
use crate::table::{limit, observed};
use crate::text::{figure, percent, seconds};

/// Missing and slow objects that are named.
const NAMED: usize = 3;

/// One line of the explanation.
#[derive(Debug, PartialEq)]
pub(crate) struct Cause {
    /// What the line is about.
    pub(crate) about: &'static str,
    /// What it says.
    pub(crate) says: String,
}

/// Explains a trial that did not pass. `cpus` are those of the machine, 0 when not known.
pub(crate) fn causes(trial: &Trial, cpus: usize, components: Option<&Components>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut say = |about, says: String| causes.push(Cause { about, says });
    if trial.verdict == Some(Verdict::Unsupported) {
        let needs = trial.reason.trim_start_matches("needs ");
        say("needs", format!("{needs}. It is not there, so that nothing was created and nothing was measured."));
        return causes;
    }
    if trial.verdict.is_none() {
        say("ended", "The test process ended before it judged anything: killed, or out of its time.".to_owned());
    }
    let guilty = guilty_phase(trial);
    match guilty {
        Some((phase, why)) => {
            let PhaseRecord { name, end, done, expected, .. } = phase;
            say("phase", format!("{name}, {why}: {done} of {expected} objects got there; {end}."));
        }
        None => say("phase", "No phase came to its end; the record has nothing but how the trial began.".to_owned()),
    }
    // What was cut short has no figures because it was cut short: that is no cause.
    let cut_short = trial.phases.iter().any(|phase| phase.verdict.is_some());
    let missed: Vec<&Judged> =
        missed(trial).filter(|judged| !(cut_short && judged.verdict == Verdict::NoData)).collect();
    for judged in missed.iter().take(NAMED) {
        say("budget", against_its_limit(judged));
    }
    if missed.len() > NAMED {
        say("budget", format!("{} more were not met; all are below.", missed.len() - NAMED));
    }
    let Some((phase, _)) = guilty else { return causes };
    match phase.missing.first() {
        Some(first) => {
            say("first missing", format!("{}: {}.", first.name, first.reason));
            let more = phase.unaccounted.saturating_sub(1);
            let next: Vec<&str> = phase.missing.iter().skip(1).take(NAMED - 1).map(|m| m.name.as_str()).collect();
            if more > 0 {
                say("missing", format!("{more} more objects, next {}.", next.join(", ")));
            }
        }
        None => say("missing", "No object is missing in this phase.".to_owned()),
    }
    if let Some((stage, ms)) = longest(phase) {
        say("stage", format!("{stage} took longest: {} at the median.", seconds(ms / 1e3)));
    }
    let slowest = phase.slowest.iter().take(NAMED);
    let slowest: Vec<String> = slowest.map(|slow| format!("{} {}", slow.name, seconds(slow.took_ms / 1e3))).collect();
    if !slowest.is_empty() {
        say("slowest", format!("{}.", slowest.join(", ")));
    }
    for says in busy(trial, phase, cpus, components)
        .into_iter()
        .chain(other_programs(trial, cpus).map(|others| format!("Over the trial {others}.")))
    {
        say("busy", says);
    }
    for death in &trial.component_deaths {
        say("died", format!("{death}."));
    }
    for note in &trial.notes {
        say("note", format!("{note}."));
    }
    causes
}

/// The stage of a phase that took longest, and its median in milliseconds.
fn longest(phase: &PhaseRecord) -> Option<(String, f64)> {
    let medians = phase.stages.iter().filter_map(|(stage, times)| Some((stage.clone(), times.p50_ms?)));
    parts(medians.collect()).into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// Budgets that are no pass, those that a slowdown missed first.
fn missed(trial: &Trial) -> impl Iterator<Item = &Judged> {
    let of = |wanted: Verdict| trial.budgets.iter().filter(move |judged| judged.verdict == wanted);
    of(Verdict::Fail).chain(of(Verdict::Invalid)).chain(of(Verdict::NoData))
}

fn against_its_limit(judged: &Judged) -> String {
    match judged.verdict {
        Verdict::Fail => {
            let (observed, limit) = (observed(judged), limit(judged));
            let ratio = judged.observed.map(|value| value / judged.limit).filter(|ratio| ratio.is_finite());
            let ratio = ratio.map_or(String::new(), |ratio| format!(", {} x the limit", figure(ratio)));
            format!("{} is {observed}, the limit is {limit}{ratio}.", judged.metric)
        }
        _ => format!("{}.", judged.reason),
    }
}

/// The phase that the verdict is about, and why it is that one.
fn guilty_phase(trial: &Trial) -> Option<(&PhaseRecord, &'static str)> {
    let phases = &trial.phases;
    if let Some(phase) = phases.iter().find(|phase| phase.verdict.is_some()) {
        return Some((phase, "which did not complete"));
    }
    if trial.verdict.is_none() {
        return Some((phases.last()?, "the last that ended"));
    }
    for judged in missed(trial) {
        let of_metric = |phase: &&PhaseRecord| judged.metric.starts_with(&format!("{}_", phase.name.replace('-', "_")));
        if let Some(phase) = phases.iter().filter(of_metric).max_by_key(|phase| phase.name.len()) {
            return Some((phase, "whose budget was not met"));
        }
        let counted: Option<fn(&PhaseRecord) -> usize> = match judged.metric.as_str() {
            "unaccounted_objects" => Some(|phase| phase.unaccounted),
            "gone_early_objects" => Some(|phase| phase.gone_early),
            "relisted_objects" => Some(|phase| phase.relisted),
            "late_share" => Some(|phase| phase.late),
            _ => None,
        };
        let most = counted.and_then(|count| phases.iter().filter(|p| count(p) > 0).max_by_key(|phase| count(phase)));
        if let Some(phase) = most {
            return Some((phase, "to which most of these objects belong"));
        }
    }
    Some((phases.iter().max_by(|a, b| a.took_s.total_cmp(&b.took_s))?, "the longest"))
}

/// What the components did in a phase: while it moved, and after it stopped.
fn busy(trial: &Trial, phase: &PhaseRecord, cpus: usize, components: Option<&Components>) -> Vec<String> {
    let moved_until = phase.started_s + phase.took_s;
    if phase.verdict != Some(Verdict::Stalled) {
        return saturation(&cores(phase), cpus, &format!("In {}", phase.name)).into_iter().collect();
    }
    // A stalled phase took as long as it moved, while its CPU seconds include the wait: only the looks tell them apart.
    let Some(components) = components else {
        return vec![
            "How busy the components were before and after it stopped is not known: no series of them.".to_owned(),
        ];
    };
    let moving = cores_between(components, phase.started_s, moved_until);
    let still = cores_between(components, moved_until + 1.0, trial.wall_s);
    [
        saturation(&moving, cpus, "While it moved"),
        saturation(&still, cpus, &format!("From {} on, when nothing moved any more", seconds(moved_until))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Cores that each component used in a phase.
pub(crate) fn cores(phase: &PhaseRecord) -> Vec<(String, f64)> {
    let cores = |cpu_s: f64| cpu_s / phase.took_s.max(1e-3);
    phase.components.iter().map(|(name, used)| (name.clone(), cores(used.cpu_s))).collect()
}

/// Whether the machine or a component had no CPU left, and which was the busiest.
fn saturation(used: &[(String, f64)], cpus: usize, when: &str) -> Option<String> {
    let (name, most) = used.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let all: f64 = used.iter().map(|(_, cores)| cores).sum();
    let of_machine = |cores: f64| {
        if cpus == 0 { String::new() } else { format!(" ({} of all {cpus})", percent(cores / cpus as f64)) }
    };
    let (most_of, all_of, rounded) = (of_machine(*most), of_machine(all), format!("{most:.2}"));
    Some(if cpus > 0 && all >= SATURATED * cpus as f64 {
        format!(
            "{when} the machine was saturated: the components used {all:.2} cores{all_of}, {name} most of them with {rounded}."
        )
    } else if *most >= SATURATED {
        format!("{when} {name} was saturated if its work does not spread over cores: it used {rounded} cores{most_of}.")
    } else {
        format!(
            "{when} no component was saturated: the busiest, {name}, used {rounded} cores{most_of}. Something else was waited for."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::series::Look;
    use crate::schema::{ComponentUse, MachineUse, SlowObject};
    use measure::Missing;
    use measure::budget::{Direction, Role};
    use rstest::rstest;

    fn judged(metric: &str, verdict: Verdict) -> Judged {
        Judged {
            metric: metric.to_owned(),
            limit: 7.2,
            direction: Direction::AtMost,
            role: Role::Gate,
            observed: Some(10.8),
            verdict,
            reason: format!("{metric} was not measured"),
            source: "s".to_owned(),
            derivation: "d".to_owned(),
        }
    }

    fn phase(name: &str, took_s: f64, cpu_s: f64) -> PhaseRecord {
        let used = ComponentUse { cpu_s, rss_bytes: 0 };
        PhaseRecord {
            name: name.to_owned(),
            took_s,
            expected: 100,
            done: 100,
            end: format!("complete after {}", seconds(took_s)),
            slowest: vec![SlowObject { name: "web-7".to_owned(), took_ms: 4200.0 }],
            components: [("kube-apiserver".to_owned(), used)].into(),
            ..PhaseRecord::default()
        }
    }

    fn trial() -> Trial {
        Trial {
            verdict: Some(Verdict::Fail),
            phases: vec![phase("create", 9.0, 1.0), phase("create-pods", 5.0, 6.0)],
            ..Trial::default()
        }
    }

    fn said(causes: &[Cause]) -> Vec<String> {
        causes.iter().map(|cause| format!("{}: {}", cause.about, cause.says)).collect()
    }

    #[test]
    fn a_missed_budget_names_its_phase_and_what_was_busy_in_it() {
        let budgets = vec![judged("create_pods_api_requests_per_object", Verdict::Fail)];
        let causes = causes(&Trial { budgets, ..trial() }, 4, None);
        assert_eq!(
            said(&causes),
            [
                "phase: create-pods, whose budget was not met: 100 of 100 objects got there; complete after 5.00s.",
                "budget: create_pods_api_requests_per_object is 10.8, the limit is ≤ 7.20, 1.50 x the limit.",
                "missing: No object is missing in this phase.",
                "slowest: web-7 4.20s.",
                "busy: In create-pods kube-apiserver was saturated if its work does not spread over cores: it used 1.20 cores (30 % of all 4).",
            ]
        );
    }

    #[rstest]
    #[case::others(1.0, 2, Some("100 % busy, and the components and the harness had 25 % of it"))]
    #[case::idle(0.3, 2, None)]
    #[case::its_own(1.0, 1, None)]
    fn a_machine_that_others_keep_busy_is_told(#[case] busy: f64, #[case] cpus: usize, #[case] words: Option<&str>) {
        let machine = MachineUse { busy_share: busy, ..MachineUse::default() };
        let budgets = vec![judged("create_pods_s", Verdict::Fail)];
        let mut trial = Trial { budgets, machine, ..trial() };
        if cpus == 1 {
            trial.phases[0] = phase("create", 9.0, 8.0);
        }
        let said = said(&causes(&trial, cpus, None)).into_iter().find(|line| line.contains("other programs"));
        assert_eq!(said.is_some(), words.is_some(), "{said:?}");
        assert!(words.is_none_or(|words| said.unwrap_or_default().contains(words)));
    }

    #[test]
    fn a_stall_names_who_is_missing_and_that_nothing_was_busy_any_more() {
        let missing =
            ["web-2", "web-3"].map(|name| Missing { name: name.to_owned(), reason: "never running".to_owned() });
        let mut trial = Trial { verdict: Some(Verdict::Stalled), wall_s: 80.0, ..trial() };
        trial.phases[1] = PhaseRecord {
            started_s: 10.0,
            verdict: Some(Verdict::Stalled),
            done: 98,
            unaccounted: 2,
            missing: missing.into(),
            end: "stalled at 98/100 after 5.00s".to_owned(),
            ..trial.phases[1].clone()
        };
        let look = |t_s: f64| Look { t_s, used: Some(((t_s.min(15.0) - 10.0).max(0.0) * 1.9, 0.0)) };
        let looks = (0..80).map(|t_s| look(f64::from(t_s))).collect();
        let components = Components::from([("etcd".to_owned(), looks)]);
        let said = said(&causes(&trial, 2, Some(&components)));
        assert_eq!(said[1], "first missing: web-2: never running.");
        assert_eq!(said[2], "missing: 1 more objects, next web-3.");
        assert_eq!(
            said[4],
            "busy: While it moved the machine was saturated: the components used 1.90 cores (95 % of all 2), etcd most of them with 1.90."
        );
        assert!(
            said[5].starts_with("busy: From 15.00s on, when nothing moved any more no component was saturated"),
            "{}",
            said[5]
        );
    }

    #[rstest]
    #[case::killed_before_a_phase(Trial::default(), "No phase came to its end")]
    #[case::killed_later(Trial { verdict: None, ..trial() }, "create-pods, the last that ended")]
    #[case::no_figure(Trial { budgets: vec![judged("x", Verdict::NoData)], ..trial() }, "create, the longest")]
    #[case::an_object_that_went(
        Trial {
            budgets: vec![judged("gone_early_objects", Verdict::Fail)],
            phases: vec![phase("create", 9.0, 1.0), PhaseRecord { gone_early: 1, ..phase("roll", 1.0, 1.0) }],
            ..trial()
        },
        "roll, to which most of these objects belong"
    )]
    fn the_phase_is_the_one_that_the_verdict_is_about(#[case] trial: Trial, #[case] words: &str) {
        let causes = causes(&trial, 0, None);
        assert!(causes.iter().any(|cause| cause.says.contains(words)), "{causes:?}");
    }
}
