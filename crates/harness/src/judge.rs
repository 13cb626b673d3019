//! From phases to metrics, from metrics to a verdict, from a verdict to the sentence that explains it.

use std::collections::BTreeMap;

use measure::{Budgets, Verdict};
use record::{PhaseRecord, Trial, other_programs};

use crate::error::Error;

/// The control plane; the simulation of nodes is not part of it.
const CONTROL_PLANE: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// A thread of the harness that had no CPU for more than this share of the trial stamps too late: times are `invalid`.
/// On two cores that the control plane saturates, shares up to 0.1 were seen, which delays a stamp by milliseconds.
const CPU_WAIT_LIMIT: f64 = 0.25;

/// A wall clock that moved by more than this against the monotonic one was set, not adjusted.
const CLOCK_STEP_LIMIT_MS: f64 = 50.0;

/// Budgets that a sentence names.
const NAMED: usize = 3;

/// Computes the metrics of a trial, judges its budgets, and writes verdict and sentence into it. `ended` is what ended
/// the driver before its last phase.
pub(crate) fn judge(trial: &mut Trial, ended: Option<&Error>, budgets: &Budgets) {
    // What is no finite number cannot be written as JSON, and was not measured.
    trial.metrics.extend(metrics(trial).into_iter().filter(|(_, value)| value.is_finite()));
    let untimed = untimed(trial);
    if let Some(cause) = &untimed {
        trial.notes.push(format!("times cannot be trusted: {cause}"));
    }
    trial.untimed.clone_from(&untimed);
    trial.notes.extend(trial.phases.iter().flat_map(thin_stages));
    let bound = budgets.of_row(&trial.test, &trial.provider);
    trial.budgets = bound.map(|budget| budget.judge(&trial.metrics, untimed.as_deref())).collect();
    let mut verdict = trial.budgets.iter().map(|budget| budget.verdict).max().unwrap_or(Verdict::NoData);
    if let Some(error) = ended {
        verdict = verdict.max(error.verdict());
        // What was cut short has no figures because it was cut short: that is the news, not the missing figures.
        if verdict == Verdict::NoData {
            verdict = error.verdict();
        }
    }
    trial.verdict = Some(verdict);
    trial.reason = sentence(trial, verdict, ended);
    if trial.ended_well() && !verdict.passes() {
        trial.reason.push_str("; of a comparator that is its result, and sets no exit code");
    }
}

/// `{phase}_s`, `{phase}_per_s` and the costs of an object of the phase, plus what the trial as a whole lost and cost.
fn metrics(trial: &Trial) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let complete: Vec<&PhaseRecord> = trial.phases.iter().filter(|phase| phase.verdict.is_none()).collect();
    for phase in &complete {
        let name = phase.name.replace('-', "_");
        let objects = phase.done.max(1) as f64;
        let mut put = |what: &str, value: Option<f64>| {
            if let Some(value) = value {
                metrics.insert(format!("{name}_{what}"), value);
            }
        };
        let cpu_s = control_plane_cpu_s(phase);
        put("s", Some(phase.took_s));
        put("per_s", Some(phase.per_s));
        put("control_plane_cpu_ms_per_object", cpu_s.map(|cpu| cpu * 1e3 / objects));
        let yardstick_s = phase.yardstick_ms.filter(|ms| *ms > 0.0).map(|ms| ms / 1e3);
        put("yardsticks_per_object", cpu_s.zip(yardstick_s).map(|(cpu, yardstick)| cpu / yardstick / objects));
        put("api_requests_per_object", phase.api_requests.map(|requests| requests / objects));
        put("ended_watches", phase.ended_watches);
        put("etcd_puts_per_object", phase.etcd_puts.map(|puts| puts / objects));
        put("etcd_wal_bytes_per_object", phase.etcd_wal_bytes.map(|bytes| bytes / objects));
        put("longest_standstill_s", phase.longest_standstill_s);
        let gap = phase.gap.as_ref();
        put("gap_p50", gap.map(|gap| gap.p50 as f64));
        put("gap_max", gap.map(|gap| gap.max as f64));
        put("gap_looks_over_kwok_limit", gap.map(|gap| gap.over_kwok_limit as f64));
    }
    if !trial.phases.is_empty() {
        let sum = |count: fn(&PhaseRecord) -> usize| trial.phases.iter().map(count).sum::<usize>() as f64;
        metrics.insert("unaccounted_objects".to_owned(), sum(|phase| phase.unaccounted));
        metrics.insert("gone_early_objects".to_owned(), sum(|phase| phase.gone_early));
        metrics.insert("component_deaths".to_owned(), trial.component_deaths.len() as f64);
        let faults: Vec<_> = trial.phases.iter().flat_map(|phase| &phase.faults).collect();
        // One fault that the system never recovered from leaves nothing to say of its recovery.
        let recovered: Option<Vec<f64>> = faults.iter().map(|fault| fault.recovered_after_s).collect();
        if let Some(longest) = recovered.and_then(|all| all.into_iter().reduce(f64::max)) {
            metrics.insert("recovery_s".to_owned(), longest);
        }
        metrics.insert("relisted_objects".to_owned(), sum(|phase| phase.relisted));
        metrics.insert("late_share".to_owned(), sum(|phase| phase.late) / sum(|phase| phase.done).max(1.0));
        let apiserver: f64 =
            trial.phases.iter().filter_map(|phase| phase.components.get("kube-apiserver")).map(|used| used.cpu_s).sum();
        if apiserver > 0.0 {
            metrics.insert("harness_cpu_share_of_apiserver".to_owned(), trial.harness.cpu_s / apiserver);
        }
        let mib = trial.harness.peak_rss_bytes as f64 / f64::from(1 << 20);
        metrics.insert("harness_peak_rss_mib".to_owned(), mib);
        metrics.insert("ledger_bytes_per_object".to_owned(), trial.harness.ledger_bytes_per_object);
    }
    metrics
}

/// Stages whose times rest on less than half of the objects, which are no random ones: a stamp of the others came late, after a
/// watch had been broken, from a list, or never, and is no measurement.
fn thin_stages(phase: &PhaseRecord) -> Vec<String> {
    let thin = phase.stages.iter().filter(|(_, times)| 2 * times.n < phase.done);
    let ended = phase.ended_watches.filter(|ended| *ended > 0.0);
    let ended =
        ended.map_or(String::new(), |ended| format!("; the apiserver ended {ended} watches in this phase, of anybody"));
    thin.map(|(stage, times)| {
        let PhaseRecord { name, done, .. } = phase;
        let n = times.n;
        format!(
            "{name}: the times of {stage} rest on {n} of {done} objects: of the others an end was seen late, by a watch that had been \
             broken, or by a list, or not at all{ended}"
        )
    })
    .collect()
}

/// CPU seconds of the control plane in a phase; none when one of its components was started again in between.
fn control_plane_cpu_s(phase: &PhaseRecord) -> Option<f64> {
    CONTROL_PLANE.iter().map(|name| phase.components.get(*name).map(|used| used.cpu_s)).sum()
}

/// Why times cannot be trusted, when they cannot.
fn untimed(trial: &Trial) -> Option<String> {
    let Some(wait) = trial.harness.cpu_wait_share else {
        return Some("how long the harness waited for a CPU was not counted (/proc/self/schedstat)".to_owned());
    };
    let step = trial.machine.clock_step_ms;
    if wait > CPU_WAIT_LIMIT {
        Some(format!(
            "the harness had no CPU for {:.0} % of the trial (limit {:.0} %)",
            wait * 100.0,
            CPU_WAIT_LIMIT * 100.0
        ))
    } else if step.abs() > CLOCK_STEP_LIMIT_MS {
        Some(format!("the wall clock stepped by {step:.0} ms (limit {CLOCK_STEP_LIMIT_MS:.0} ms)"))
    } else {
        None
    }
}

fn sentence(trial: &Trial, verdict: Verdict, ended: Option<&Error>) -> String {
    let mut parts = Vec::new();
    if let Some(error) = ended {
        parts.push(error.sentence());
        parts.extend(trial.component_deaths.iter().cloned());
        if let Some(missing) = trial.phases.last().and_then(|phase| phase.missing.first()) {
            parts.push(format!("first missing: {}: {}", missing.name, missing.reason));
        }
    }
    let named = |wanted: Verdict| trial.budgets.iter().filter(move |budget| budget.verdict == wanted);
    // Of what was cut short, missing figures are no news; of what somebody or something interrupted, no figure is.
    let news: &[Verdict] = match ended.map(Error::verdict) {
        Some(Verdict::Invalid) => &[],
        Some(_) => &[Verdict::Fail, Verdict::Invalid],
        None => &[Verdict::Fail, Verdict::Invalid, Verdict::NoData],
    };
    for wanted in news.iter().copied() {
        parts.extend(named(wanted).take(NAMED).map(|budget| budget.reason.clone()));
        let more = named(wanted).count().saturating_sub(NAMED);
        if more > 0 {
            parts.push(format!("and {more} more budgets {wanted}"));
        }
    }
    if verdict == Verdict::Pass {
        let phases = trial.phases.iter().map(|phase| format!("{} {:.1} s", phase.name, phase.took_s));
        let phases = phases.collect::<Vec<_>>().join(", ");
        let met = match trial.budgets.len() {
            1 => "1 budget met".to_owned(),
            n => format!("{n} budgets met"),
        };
        parts.push(if phases.is_empty() { met } else { format!("{met}: {phases}") });
    } else {
        if ended.is_none() {
            parts.extend(trial.component_deaths.iter().cloned());
        }
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        parts.extend(other_programs(trial, cpus).or_else(|| busiest(trial)));
    }
    if trial.budgets.is_empty() {
        parts.push("no budget binds this row".to_owned());
    }
    parts.join("; ")
}

/// The component that used most CPU in the slowest phase, when it was close to a whole core. A stalled phase took as long
/// as it moved, while its CPU includes the wait: the page tells these apart, by the series.
fn busiest(trial: &Trial) -> Option<String> {
    let phase = trial.phases.iter().max_by(|a, b| a.took_s.total_cmp(&b.took_s))?;
    if phase.verdict == Some(Verdict::Stalled) {
        return None;
    }
    let (name, used) = phase.components.iter().max_by(|a, b| a.1.cpu_s.total_cmp(&b.1.cpu_s))?;
    let cores = used.cpu_s / phase.took_s.max(0.001);
    (cores > 0.5).then(|| format!("in {} {name} used {cores:.1} cores", phase.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::Missing;
    use record::{ComponentUse, HarnessUse};
    use rstest::rstest;

    const BUDGETS: &str = r#"
[[budget]]
metric = "create_pods_per_s"
limit = 20
direction = "at-least"
basis = "time"
role = "ceiling"
rows = ["*"]
provider = "kwok"
source = "s"
derivation = "d"

[[budget]]
metric = "unaccounted_objects"
limit = 0
direction = "at-most"
basis = "count"
role = "gate"
rows = ["*"]
provider = "kwok"
source = "s"
derivation = "d"
"#;

    fn trial(per_s: f64) -> Trial {
        let phase = PhaseRecord { name: "create-pods".into(), done: 100, took_s: 5.0, per_s, ..PhaseRecord::default() };
        let harness = HarnessUse { cpu_wait_share: Some(0.0), ..HarnessUse::default() };
        Trial { test: "row".into(), provider: "kwok".into(), phases: vec![phase], harness, ..Trial::default() }
    }

    fn budgets() -> Budgets {
        Budgets::parse("budgets.toml", BUDGETS).unwrap()
    }

    #[rstest]
    #[case::met(25.0, Verdict::Pass, "2 budgets met: create-pods 5.0 s")]
    #[case::missed(10.0, Verdict::Fail, "create_pods_per_s is 10, budget at least 20")]
    fn a_trial_is_judged_and_explained(#[case] per_s: f64, #[case] verdict: Verdict, #[case] reason: &str) {
        let mut trial = trial(per_s);
        judge(&mut trial, None, &budgets());
        assert_eq!((trial.verdict, trial.reason.as_str()), (Some(verdict), reason));
    }

    #[test]
    fn a_starved_harness_makes_times_invalid_and_leaves_counts_judged() {
        let mut trial = trial(25.0);
        trial.harness.cpu_wait_share = Some(0.3);
        judge(&mut trial, None, &budgets());
        assert_eq!(trial.verdict, Some(Verdict::Invalid));
        assert_eq!(trial.budgets[1].verdict, Verdict::Pass);
        assert!(trial.reason.contains("had no CPU for 30 % of the trial"), "{}", trial.reason);
    }

    #[test]
    fn what_was_not_counted_is_not_trusted() {
        let mut trial = trial(25.0);
        trial.harness.cpu_wait_share = None;
        judge(&mut trial, None, &budgets());
        assert_eq!(trial.verdict, Some(Verdict::Invalid));
    }

    #[test]
    fn a_clock_that_steps_makes_times_invalid() {
        let mut trial = trial(25.0);
        trial.machine.clock_step_ms = -400.0;
        judge(&mut trial, None, &budgets());
        assert_eq!(trial.verdict, Some(Verdict::Invalid));
    }

    #[test]
    fn a_stall_names_where_and_who_is_missing_and_what_died() {
        let mut trial = trial(0.0);
        let missing = vec![Missing { name: "web-2".into(), reason: "never running".into() }];
        trial.phases[0] =
            PhaseRecord { verdict: Some(Verdict::Stalled), missing, unaccounted: 1, ..trial.phases[0].clone() };
        trial.component_deaths.push("kube-scheduler (pid 7) died by +12 s".into());
        let end = "stalled at 99/100 after 12.00s".to_owned();
        let error = Error::Phase { phase: "create-pods".into(), end, verdict: Verdict::Stalled };
        judge(&mut trial, Some(&error), &budgets());
        assert_eq!(trial.verdict, Some(Verdict::Stalled));
        assert_eq!(
            trial.reason,
            "create-pods: stalled at 99/100 after 12.00s; kube-scheduler (pid 7) died by +12 s; first missing: web-2: never \
             running; unaccounted_objects is 1, budget at most 0"
        );
    }

    #[test]
    fn what_was_interrupted_is_told_without_the_budgets_that_it_could_not_meet() {
        let mut trial = trial(0.0);
        trial.phases[0].unaccounted = 100;
        let error =
            Error::Phase { phase: String::new(), end: "interrupted by SIGINT".to_owned(), verdict: Verdict::Invalid };
        judge(&mut trial, Some(&error), &budgets());
        assert_eq!((trial.verdict, trial.reason.as_str()), (Some(Verdict::Invalid), "interrupted by SIGINT"));
    }

    #[test]
    fn that_others_had_the_machine_is_told_with_what_was_missed() {
        let mut trial = trial(10.0);
        trial.machine.busy_share = 1.0;
        judge(&mut trial, None, &budgets());
        assert!(trial.reason.contains("other programs had the rest"), "{}", trial.reason);
    }

    #[test]
    fn a_stage_that_few_objects_were_measured_in_is_told() {
        let mut trial = trial(25.0);
        let times = |n| measure::Quantiles { n, p50_ms: None, p90_ms: None, p99_ms: None, max_ms: None };
        let stages = [("a -> b".to_owned(), times(49)), ("b -> c".to_owned(), times(50))];
        trial.phases[0].stages = stages.into();
        judge(&mut trial, None, &budgets());
        assert_eq!(trial.notes.len(), 1, "{:?}", trial.notes);
        assert!(trial.notes[0].contains("the times of a -> b rest on 49 of 100 objects"), "{:?}", trial.notes);
    }

    #[test]
    fn a_trial_without_a_budget_does_not_pass() {
        let mut trial = trial(25.0);
        judge(&mut trial, None, &Budgets::default());
        assert_eq!(trial.verdict, Some(Verdict::NoData));
    }

    #[test]
    fn the_cost_of_an_object_is_that_of_the_whole_control_plane_or_absent() {
        let mut trial = trial(25.0);
        let used = |cpu_s| ComponentUse { cpu_s, rss_bytes: 0 };
        trial.phases[0].components = CONTROL_PLANE.iter().map(|name| ((*name).to_owned(), used(0.5))).collect();
        trial.phases[0].components.insert("kwok-controller".into(), used(9.0));
        let cost = metrics(&trial)["create_pods_control_plane_cpu_ms_per_object"];
        assert!((cost - 20.0).abs() < 1e-9, "{cost}");
        trial.phases[0].components.remove("etcd");
        assert!(!metrics(&trial).contains_key("create_pods_control_plane_cpu_ms_per_object"));
    }
}
