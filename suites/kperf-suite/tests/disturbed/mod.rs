//! Each budget can be missed: the running system or its event stream is disturbed, and the verdict says so.
//!
//! These rows run on a cluster of their own. Their records lie in `disturbed/` of the run, apart from its results.

mod loads;
mod nightly;

use std::time::Duration;

use harness::{Injection, judged};
use kperf_suite::disturbed_row;
use kperf_suite::nodepool::{Disturbance, drive};
use measure::Verdict;
use record::Trial;

use crate::means::{evict_a_pod_and_continue, faults, pause, paused_until_dropped, unaccounted};

/// Runs the row with a disturbance, and returns what was judged.
async fn disturbed(test: &'static str, disturbance: Disturbance) -> Trial {
    let (row, pool) = disturbed_row("nodepool_disturbed", test).unwrap();
    judged(row, async |trial| drive(trial, &pool, disturbance).await).await.unwrap()
}

/// The metrics whose budgets have this verdict, sorted.
fn with(record: &Trial, verdict: Verdict) -> Vec<&str> {
    let found = record.budgets.iter().filter(|budget| budget.verdict == verdict);
    let mut metrics: Vec<&str> = found.map(|budget| budget.metric.as_str()).collect();
    metrics.sort_unstable();
    metrics
}

/// The row has this verdict, and all of `wanted` are among the metrics that were missed.
fn assert_missed(record: &Trial, verdict: Verdict, wanted: &[&str]) {
    let missed = with(record, Verdict::Fail);
    assert_eq!(record.verdict, Some(verdict), "{}", record.reason);
    assert!(wanted.iter().all(|metric| missed.contains(metric)), "missed only {missed:?}: {}", record.reason);
}

/// The control: what follows is the work of the disturbance, not of the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_nothing_disturbs() {
    let record = disturbed("nothing_is_missed_when_nothing_disturbs", Disturbance::default()).await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
}

/// kwok's own CI asks that at most 5 objects are created and not yet ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_that_lags_behind_misses_the_gaps() {
    let test = "a_simulation_that_lags_behind_misses_the_gaps";
    let (row, pool) = disturbed_row("nodepool_lagging", test).unwrap();
    let on_phase = |phase: &str| match phase {
        "create-nodes" => pause("kwok-controller", Duration::from_secs(5)),
        // Nearly all pods have to be scheduled meanwhile, on a slow machine too.
        "create-pods" => pause("kwok-controller", Duration::from_secs(12)),
        _ => {}
    };
    let disturbance = Disturbance { on_phase: Some(Box::new(on_phase)), ..Disturbance::default() };
    let record = judged(row, async |trial| drive(trial, &pool, disturbance).await).await.unwrap();
    assert_missed(&record, Verdict::Fail, &["create_nodes_gap_p50", "create_pods_gap_max"]);
}

/// Somebody deletes a pod that waits for its node: another takes its place, and the account tells both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_is_evicted_before_it_runs_is_told_apart_from_the_one_that_takes_its_place() {
    let paused = paused_until_dropped("kube-scheduler");
    let on_phase = move |phase: &str| {
        if phase == "create-pods" {
            paused.now();
            tokio::spawn(evict_a_pod_and_continue(paused.process()));
        }
    };
    let disturbance = Disturbance { on_phase: Some(Box::new(on_phase)), ..Disturbance::default() };
    let test = "a_pod_that_is_evicted_before_it_runs_is_told_apart_from_the_one_that_takes_its_place";
    let record = disturbed(test, disturbance).await;
    assert_missed(&record, Verdict::Fail, &["gone_early_objects"]);
    assert_eq!((record.phases[1].gone_early, unaccounted(&record)), (1, 0), "{}", record.reason);
}

/// What document 004 calls "basically did not work any more" gets a place and a time, and every object a reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduler_that_never_comes_back_is_a_stall() {
    let paused = paused_until_dropped("kube-scheduler");
    let on_phase = move |phase: &str| {
        if phase == "create-pods" {
            paused.now()
        }
    };
    let disturbance = Disturbance { on_phase: Some(Box::new(on_phase)), ..Disturbance::default() };
    let record = disturbed("a_scheduler_that_never_comes_back_is_a_stall", disturbance).await;
    assert_missed(&record, Verdict::Stalled, &["unaccounted_objects"]);
    assert!(record.reason.contains("create-pods: stalled at "), "{}", record.reason);
    assert!(record.reason.contains("never running; observed at "), "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_apiserver_is_survived_and_what_was_missed_is_marked() {
    let test = "a_restarted_apiserver_is_survived_and_what_was_missed_is_marked";
    let (row, pool) = disturbed_row("nodepool_disturbed", test).unwrap();
    let act = Box::new(|| {
        let restart = || faults().kill("kube-apiserver").and_then(|_| faults().restart("kube-apiserver", &|_| ()));
        restart().map(drop).map_err(|error| error.to_string())
    });
    let record = judged(row, async |trial| {
        trial.inject(Injection { phase: "roll-pods", share: 0.3, what: "kube-apiserver killed".to_owned(), act });
        drive(trial, &pool, Disturbance::default()).await
    });
    let record = record.await.unwrap();
    assert_eq!(record.phases.len(), 5, "{}", record.reason);
    assert!(record.watches["pods"].breaks >= 1, "{:?}", record.watches);
    assert_eq!(unaccounted(&record), 0, "{}", record.reason);
    // What a component counted of a rolled pod is lost with it, and judged as not measured.
    assert_missed(&record, Verdict::NoData, &["component_deaths"]);
    assert!(record.component_deaths[0].starts_with("kube-apiserver"), "{:?}", record.component_deaths);
    assert!(record.metrics["recovery_s"] > 0.0, "{:?}", record.phases[2].faults);
    // What a component counted before it was restarted is lost, and lost figures are not zero. The next phase has its own.
    assert!(!record.metrics.contains_key("roll_pods_yardsticks_per_object"));
    assert!(record.metrics.contains_key("delete_pods_yardsticks_per_object"));
}
