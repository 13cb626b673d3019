use std::path::Path;

use measure::gate::Answer;
use measure::stats::Estimator;
use measure::{Quantiles, Verdict};
use rstest::rstest;

use super::*;
use crate::{ArmRun, ComponentUse, Fingerprint, METRICS, PhaseRecord, Run, RunDir, SCHEMA, Trial};

const BUDGETS: &str = "\
[[compare]]\nmetric = \"create_pods_s\"\nbetter = \"lower\"\nbasis = \"time\"\nrelevance = 1.15\nrows = [\"row\"]\n
[[compare]]\nmetric = \"create_pods_api_requests_per_object\"\nbetter = \"lower\"\nbasis = \"count\"\nrelevance = 1.05\nrows = [\"row\"]\n";

fn budgets() -> BTreeMap<String, Budgets> {
    BTreeMap::from([("kperf-suite".to_owned(), Budgets::parse("budgets.toml", BUDGETS).unwrap())])
}

/// One run of an arm whose machine takes `factor` as long and whose noise is that of its repeat.
fn trial(arm: &str, repeat: usize, factor: f64) -> Trial {
    let seconds = 10.0 * factor * (1.0 + 0.02 * ((repeat * usize::from(arm.as_bytes()[0])) % 5) as f64);
    let used = ComponentUse { cpu_s: 0.1 * seconds, rss_bytes: 0 };
    let idle = ComponentUse { cpu_s: 0.5, rss_bytes: 0 };
    let stage = |ms: f64| Quantiles { n: 100, p50_ms: Some(ms), p90_ms: None, p99_ms: None, max_ms: None };
    let phase = PhaseRecord {
        name: "create-pods".to_owned(),
        done: 100,
        took_s: seconds,
        stages: BTreeMap::from([
            ("intended -> observed".to_owned(), stage(5.0)),
            ("observed -> running".to_owned(), stage(seconds * 100.0)),
            ("intended -> running".to_owned(), stage(seconds * 100.0 + 5.0)),
        ]),
        components: BTreeMap::from([("kube-apiserver".to_owned(), used), ("etcd".to_owned(), idle)]),
        ..PhaseRecord::default()
    };
    let first = if repeat.is_multiple_of(2) { "base" } else { "head" };
    let place = if arm == first { 0 } else { 1 };
    Trial {
        schema: SCHEMA,
        metrics_version: METRICS,
        suite: "kperf-suite".to_owned(),
        test: "row".to_owned(),
        arm: Some(ArmRun { arm: arm.to_owned(), repeat, warm_up: false, position: 2 * repeat + place }),
        verdict: Some(Verdict::Pass),
        metrics: BTreeMap::from([
            ("create_pods_s".to_owned(), seconds),
            ("create_pods_api_requests_per_object".to_owned(), 5.5),
        ]),
        phases: vec![phase],
        ..Trial::default()
    }
}

fn write(arm: &Path, repeat: usize, trial: &Trial) {
    let run_dir = RunDir::at(arm.join(format!("{repeat:03}")));
    run_dir.write_json(&run_dir.run_json(), &Run::default()).unwrap();
    run_dir.write_trial(trial).unwrap();
}

/// Eight repeats of both arms, written and read again; `change` may spoil a trial before it is written.
fn compared(factor: f64, change: impl Fn(&mut Trial)) -> Comparison {
    let dir = tempfile::tempdir().unwrap();
    for (arm, factor) in [("base", 1.0), ("head", factor)] {
        for repeat in 0..8 {
            let mut trial = trial(arm, repeat, factor);
            change(&mut trial);
            write(&dir.path().join(arm), repeat, &trial);
        }
    }
    let arm = |name: &str| Arm::read(&dir.path().join(name)).unwrap();
    compare(&arm("base"), &arm("head"), &budgets(), false, &Rule::default())
}

#[test]
fn a_slower_build_is_worse_and_the_stage_and_the_component_are_named() {
    let comparison = compared(1.4, |_| {});
    let Judgement::Judged { gate, causes, .. } = &comparison.rows[0].judgement else { panic!("{comparison:?}") };
    assert_eq!(gate.outcomes[0].answer, Answer::Worse);
    assert_eq!(gate.outcomes[1].answer, Answer::Same, "a count that is the same to the last digit");
    let cause = &causes["create_pods_s"];
    assert!(cause.contains("observed -> running went from") && cause.contains("kube-apiserver took"), "{cause}");
    assert!(comparison.rows[0].interleaved && comparison.is_worse() && !comparison.passes());
    insta::assert_snapshot!(comparison_markdown(&comparison));
    let picture = comparison.rows[0].picture().unwrap();
    assert_eq!(picture.matches("class=\"pair\"").count(), 16, "a dot a pair and metric");
    let mut reader = quick_xml::Reader::from_str(&picture);
    while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
}

#[test]
fn what_went_the_other_way_explains_nothing() {
    let comparison = compared(1.4, |trial| {
        if of_head(trial) {
            let phase = &mut trial.phases[0];
            // The largest change of all, in the other direction.
            phase.components.get_mut("etcd").unwrap().cpu_s = 0.01;
            phase.components.get_mut("kube-apiserver").unwrap().cpu_s *= 1.06;
            phase.stages.get_mut("observed -> running").unwrap().p50_ms = Some(100.0);
        }
        let cpu_s = if of_head(trial) { 1.0 } else { 100.0 };
        trial.phases[0].components.insert("idle".to_owned(), ComponentUse { cpu_s, rss_bytes: 0 });
    });
    let Judgement::Judged { causes, .. } = &comparison.rows[0].judgement else { panic!("{comparison:?}") };
    let cause = &causes["create_pods_s"];
    assert!(cause.starts_with("kube-apiserver took"), "{cause}");
}

#[test]
fn a_better_build_is_told_by_what_shrank() {
    let comparison = compared(0.7, |_| {});
    let Judgement::Judged { gate, causes, .. } = &comparison.rows[0].judgement else { panic!("{comparison:?}") };
    assert_eq!(gate.outcomes[0].answer, Answer::Better);
    assert!(causes["create_pods_s"].contains("observed -> running went from"), "{causes:?}");
}

#[test]
fn a_slowdown_of_some_runs_is_not_the_same_and_its_estimator_is_shown() {
    let comparison = compared(1.0, |trial| {
        if of_head(trial) && trial.arm.as_ref().unwrap().repeat == 5 {
            *trial.metrics.get_mut("create_pods_s").unwrap() *= 3.0;
        }
    });
    let gate = comparison.rows[0].gate().unwrap();
    assert!(matches!(gate.outcomes[0].answer, Answer::CannotTell { .. }), "{gate:?}");
    assert_eq!(gate.outcomes[0].estimator, Estimator::TrimmedMean);
    assert!(!comparison.passes() && comparison.is_judged());
    let said = comparison_markdown(&comparison);
    assert!(said.contains(" | trimmed mean | "), "{said}");
    assert!(
        said.contains("Runs that lie far out were set aside of create_pods_s, whose mean of all pairs may be "),
        "{said}"
    );
    let blunt = comparison.too_blunt(None);
    assert_eq!(blunt.len(), 1, "{blunt:?}");
    assert!(comparison.too_blunt(Some(10.0)).is_empty());
}

#[test]
fn the_same_build_twice_passes() {
    let comparison = compared(1.0, |_| {});
    assert!(comparison.passes(), "{}", comparison_table(&comparison, 120));
}

#[rstest]
#[case::killed(|trial: &mut Trial| trial.verdict = None, "head 003 was killed")]
#[case::invalid(|trial: &mut Trial| trial.verdict = Some(Verdict::Invalid), "head 003 is invalid")]
#[case::stalled(|trial: &mut Trial| trial.verdict = Some(Verdict::Stalled), "head 003 is stalled")]
#[case::lacks_a_figure(|trial: &mut Trial| trial.metrics.clear(), "create_pods_s: head 003 has none")]
#[case::zero(|trial: &mut Trial| { trial.metrics.insert("create_pods_s".to_owned(), 0.0); }, "sample 3 of head is 0")]
#[case::untimed(|trial: &mut Trial| trial.untimed = Some("the clock was set".to_owned()), "head 003 cannot be trusted: the clock was set")]
#[case::another_repeat(|trial: &mut Trial| trial.arm.as_mut().unwrap().repeat = 9, "head has no repeat 3")]
#[case::warm_up(|trial: &mut Trial| trial.arm.as_mut().unwrap().warm_up = true, "head has no repeat 3")]
fn one_run_that_is_not_whole_is_never_a_silent_pass(#[case] spoil: fn(&mut Trial), #[case] reason: &str) {
    let comparison = compared(1.0, |trial| {
        let arm = trial.arm.clone().unwrap();
        if arm.arm == "head" && arm.repeat == 3 {
            spoil(trial);
        }
    });
    let Judgement::Unmeasured(why) = &comparison.rows[0].judgement else { panic!("{comparison:?}") };
    assert!(why.contains(reason), "{why}");
    assert!(!comparison.passes());
}

#[rstest]
#[case::schema(|trial: &mut Trial| trial.schema = 2, "schema: base has 1, head has 2")]
#[case::metrics(|trial: &mut Trial| trial.metrics_version = 2, "definitions of metrics: base has 1, head has 2")]
#[case::provider(|trial: &mut Trial| trial.provider = "existing".to_owned(), "provider: base has , head has existing")]
#[case::settings(|trial: &mut Trial| trial.settings = serde_json::json!({"qps": 5}), "settings: base has null, head has {\"qps\":5}")]
fn arms_of_different_kinds_are_refused_with_the_difference(#[case] change: fn(&mut Trial), #[case] difference: &str) {
    let comparison = compared(1.0, |trial| {
        if trial.arm.as_ref().unwrap().arm == "head" {
            change(trial);
        }
    });
    let Judgement::Different(differences) = &comparison.rows[0].judgement else { panic!("{comparison:?}") };
    assert_eq!(differences, &[difference]);
}

#[test]
fn versions_that_differ_are_told_and_refuse_nothing() {
    let comparison = compared(1.0, |trial| {
        let version = if of_head(trial) { "v1.36.3" } else { "v1.36.2" };
        trial.versions.insert("kubernetes".to_owned(), version.to_owned());
        trial.versions.insert("etcd".to_owned(), "3.6.8".to_owned());
    });
    assert!(comparison.passes(), "{comparison:?}");
    assert_eq!(comparison.rows[0].versions, ["kubernetes: base has v1.36.2, head has v1.36.3"]);
    assert!(comparison_markdown(&comparison).contains("Versions that differ: kubernetes: base has v1.36.2"));
}

/// Two machines of one kind are two machines: what differs between them is in every ratio.
#[test]
fn arms_of_two_machines_of_one_kind_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (arm, host) in [("base", "0123456789abcdef"), ("head", "fedcba9876543210")] {
        for repeat in 0..8 {
            write(&dir.path().join(arm), repeat, &trial(arm, repeat, 1.0));
            let run_dir = RunDir::at(dir.path().join(arm).join(format!("{repeat:03}")));
            let fingerprint = Fingerprint { host: host.to_owned(), ..Fingerprint::default() };
            run_dir.write_json(&run_dir.run_json(), &Run { fingerprint, ..Run::default() }).unwrap();
        }
    }
    let arm = |name: &str| Arm::read(&dir.path().join(name)).unwrap();
    let comparison = compare(&arm("base"), &arm("head"), &budgets(), false, &Rule::default());
    let Judgement::Different(differences) = &comparison.rows[0].judgement else { panic!("{comparison:?}") };
    assert_eq!(differences, &["host and its start (a hash): base has 0123456789abcdef, head has fedcba9876543210"]);
}

#[test]
fn fewer_repeats_than_the_test_needs_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (arm, repeat) in [("base", 0), ("base", 1), ("head", 0), ("head", 1)] {
        write(&dir.path().join(arm), repeat, &trial(arm, repeat, 1.0));
    }
    let arm = |name: &str| Arm::read(&dir.path().join(name)).unwrap();
    let comparison = compare(&arm("base"), &arm("head"), &budgets(), false, &Rule::default());
    let Judgement::Unmeasured(why) = &comparison.rows[0].judgement else { panic!("{comparison:?}") };
    assert!(why.contains("2 samples are fewer than the 3 that this needs"), "{why}");
}

#[test]
fn a_row_that_only_one_arm_has_is_told() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("base"), 0, &trial("base", 0, 1.0));
    write(&dir.path().join("head"), 0, &Trial { test: "other".to_owned(), ..trial("head", 0, 1.0) });
    let arm = |name: &str| Arm::read(&dir.path().join(name)).unwrap();
    let comparison = compare(&arm("base"), &arm("head"), &budgets(), false, &Rule::default());
    assert_eq!(comparison.only_one_has, ["kperf-suite row: only base has it", "kperf-suite other: only head has it"]);
    assert!(!comparison.passes());
}

#[test]
fn a_directory_without_runs_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Arm::read(dir.path()).unwrap_err().to_string().contains("holds no run"));
}

fn of_head(trial: &Trial) -> bool {
    trial.arm.as_ref().unwrap().arm == "head"
}

fn miss(trial: &mut Trial) {
    let budget = "[[budget]]\nmetric = \"component_deaths\"\nlimit = 0\ndirection = \"at-most\"\nbasis = \"count\"\n\
        role = \"gate\"\nrows = [\"*\"]\nprovider = \"kwok\"\nsource = \"s\"\nderivation = \"d\"\n";
    let budget = Budgets::parse("budgets.toml", budget).unwrap().budgets.remove(0);
    trial.budgets = vec![budget.judge(&BTreeMap::from([("component_deaths".to_owned(), 1.0)]), None)];
    trial.verdict = Some(Verdict::Fail);
}

#[rstest]
#[case::in_every_run(|_: usize| true, true)]
#[case::in_one_run(|repeat: usize| repeat == 3, false)]
fn a_budget_that_head_misses_and_base_meets_is_no_pass(#[case] misses: fn(usize) -> bool, #[case] worse: bool) {
    let comparison = compared(1.0, |trial| {
        if of_head(trial) && misses(trial.arm.as_ref().unwrap().repeat) {
            miss(trial);
        }
    });
    assert_eq!((comparison.is_worse(), comparison.passes()), (worse, false), "{comparison:?}");
    let said = comparison_markdown(&comparison);
    assert!(said.contains("component_deaths is a budget that"), "{said}");
}

#[test]
fn what_base_misses_too_is_none_of_heads() {
    assert!(compared(1.0, miss).passes());
}

#[test]
fn times_of_arms_of_two_series_are_not_judged() {
    let comparison = compared(1.4, |trial| trial.run_id = format!("{}-0", trial.arm.as_ref().unwrap().arm));
    let row = &comparison.rows[0];
    assert_eq!(row.unjudged, ["create_pods_s"]);
    assert_eq!(row.gate().unwrap().outcomes.len(), 1);
    assert!(!row.interleaved && !comparison.is_worse() && !comparison.passes());
}

#[test]
fn a_row_by_which_nothing_is_compared_is_told_and_holds_nothing_up() {
    let comparison = compared(1.0, |trial| trial.test = "another".to_owned());
    assert_eq!(comparison.not_compared, ["kperf-suite another: its suite's budgets.toml has no `[[compare]]` for it"]);
    assert!(comparison.rows.is_empty() && !comparison.passes());
}
