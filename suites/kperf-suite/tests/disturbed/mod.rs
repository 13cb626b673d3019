//! Each budget can be missed: the running system or its event stream is disturbed, and the verdict says so.
//!
//! These rows run on a cluster of their own. Their records lie in `disturbed/` of the run, apart from its results.

mod loads;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster::Slowdown;
use harness::{Arms, Injection, Tampered, compared, judged};
use kperf_suite::disturbed_row;
use kperf_suite::nodepool::{Disturbance, drive};
use measure::Verdict;
use record::Trial;

use crate::means::{Neighbour, evict_a_pod_and_continue, faults, pause, paused_until_dropped, slow_down, unaccounted};

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

/// The control: what follows is the work of the disturbance, not of the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_nothing_disturbs() {
    let record = disturbed("nothing_is_missed_when_nothing_disturbs", Disturbance::default()).await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rate_is_missed_when_its_component_stands_still() {
    let on_phase = |phase: &str| match phase {
        "create-nodes" => pause("kwok-controller", Duration::from_secs(5)),
        "create-pods" => pause("kube-scheduler", Duration::from_secs(16)),
        "roll-pods" => pause("kube-controller-manager", Duration::from_secs(18)),
        "delete-pods" => pause("kube-controller-manager", Duration::from_secs(16)),
        _ => pause("kube-apiserver", Duration::from_secs(5)),
    };
    let disturbance = Disturbance { on_phase: Some(Box::new(on_phase)), ..Disturbance::default() };
    let record = disturbed("every_rate_is_missed_when_its_component_stands_still", disturbance).await;
    assert_eq!(record.verdict, Some(Verdict::Fail), "{}", record.reason);
    let missed = with(&record, Verdict::Fail);
    let rates =
        ["create_nodes_per_s", "create_pods_per_s", "delete_nodes_per_s", "delete_pods_per_s", "roll_pods_per_s"];
    assert!(rates.iter().all(|rate| missed.contains(rate)), "missed only {missed:?}");
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
    let missed = with(&record, Verdict::Fail);
    assert!(missed.contains(&"create_nodes_gap_p50") && missed.contains(&"create_pods_gap_max"), "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cost_is_missed_beside_a_noisy_neighbour() {
    let neighbour = Neighbour::new();
    let on_phase = {
        let neighbour = neighbour.clone();
        // A fast machine creates its pods before a neighbour costs much: each phase waits for the scheduler as well.
        move |phase: &str| match phase {
            "create-pods" => {
                neighbour.start();
                pause("kube-scheduler", Duration::from_secs(8));
            }
            "roll-pods" => pause("kube-scheduler", Duration::from_secs(8)),
            "delete-pods" => neighbour.stop(),
            _ => {}
        }
    };
    let disturbance = Disturbance { on_phase: Some(Box::new(on_phase)), ..Disturbance::default() };
    let record = disturbed("every_cost_is_missed_beside_a_noisy_neighbour", disturbance).await;
    assert_eq!(record.verdict, Some(Verdict::Fail), "{}", record.reason);
    let missed = with(&record, Verdict::Fail);
    for phase in ["create_pods", "roll_pods"] {
        for cost in ["api_requests", "etcd_puts", "etcd_wal_bytes", "yardsticks"] {
            let metric = format!("{phase}_{cost}_per_object");
            assert!(missed.contains(&metric.as_str()), "{metric} is met; missed only {missed:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_event_is_found_by_a_list_and_marked() {
    let dropped = AtomicUsize::new(0);
    // The first pod that is seen Running is never seen again.
    let mut victim: Option<Vec<u8>> = None;
    let tamper = move |line: &[u8]| {
        let name = name_of(line);
        if victim.is_none() && contains(line, br#""phase":"Running""#) {
            victim = Some(name.to_vec());
        }
        if victim.as_deref() == Some(name) && contains(line, br#""phase":"Running""#) {
            dropped.fetch_add(1, Ordering::Relaxed);
            return Tampered::Drop;
        }
        Tampered::Keep
    };
    let disturbance = Disturbance { pods: Some(Box::new(tamper)), ..Disturbance::default() };
    let record = disturbed("a_dropped_event_is_found_by_a_list_and_marked", disturbance).await;
    assert_eq!(record.verdict, Some(Verdict::Fail), "{}", record.reason);
    assert!(with(&record, Verdict::Fail).contains(&"relisted_objects"), "{}", record.reason);
    assert_eq!(record.phases[1].relisted, 1);
    assert_eq!(unaccounted(&record), 0, "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_cut_again_and_again_makes_events_late() {
    let mut lines = 0;
    let tamper = move |_: &[u8]| {
        lines += 1;
        // Every event comes twice at most: a stream always brings ten before it is cut.
        if lines % 10 == 0 { Tampered::Cut(Duration::from_millis(200)) } else { Tampered::Keep }
    };
    let disturbance = Disturbance { pods: Some(Box::new(tamper)), ..Disturbance::default() };
    let record = disturbed("a_network_that_is_cut_again_and_again_makes_events_late", disturbance).await;
    assert!(with(&record, Verdict::Fail).contains(&"late_share"), "{}", record.reason);
    assert_eq!(unaccounted(&record), 0, "{}", record.reason);
    assert!(record.watches["pods"].breaks > 10, "{:?}", record.watches);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_harness_that_costs_too_much_is_told() {
    let disturbance =
        Disturbance { pods: Some(Box::new(|_: &[u8]| Tampered::Pad(1_500_000))), ..Disturbance::default() };
    let record = disturbed("a_harness_that_costs_too_much_is_told", disturbance).await;
    let missed = with(&record, Verdict::Fail);
    let own = ["harness_cpu_share_of_apiserver", "harness_peak_rss_mib"];
    assert!(own.iter().all(|metric| missed.contains(metric)), "missed only {missed:?}");
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
    assert_eq!(record.verdict, Some(Verdict::Fail), "{}", record.reason);
    assert!(with(&record, Verdict::Fail).contains(&"gone_early_objects"), "{}", record.reason);
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
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(with(&record, Verdict::Fail).contains(&"unaccounted_objects"), "{}", record.reason);
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
    assert!(with(&record, Verdict::Fail).contains(&"component_deaths"), "{}", record.reason);
    assert!(record.component_deaths[0].starts_with("kube-apiserver"), "{:?}", record.component_deaths);
    assert!(record.metrics["recovery_s"] > 0.0, "{:?}", record.phases[2].faults);
    // What a component counted before it was restarted is lost, and lost figures are not zero. The next phase has its own.
    assert!(!record.metrics.contains_key("roll_pods_yardsticks_per_object"));
    assert!(record.metrics.contains_key("delete_pods_yardsticks_per_object"));
    assert_ne!(record.verdict, Some(Verdict::Pass));
}

fn contains(line: &[u8], text: &[u8]) -> bool {
    line.windows(text.len()).any(|window| window == text)
}

/// The bytes after the first `"name":"`, which is the object's own name.
fn name_of(line: &[u8]) -> &[u8] {
    const KEY: &[u8] = br#""name":""#;
    let start = line.windows(KEY.len()).position(|window| window == KEY).map_or(line.len(), |at| at + KEY.len());
    line[start..].split(|byte| *byte == b'"').next().unwrap_or_default()
}

/// Runs the row in arms that take turns, one of them with all components at a third of their speed.
async fn one_arm_slowed(test: &'static str, slow: &str) -> Trial {
    let (row, pool) = disturbed_row("nodepool_arms", test).unwrap();
    let arms = Arms { names: &["plain", "slowed"], subjects: &["plain"], repeats: 3, warm_up: 0, seed: 7 };
    let slowdown: Slowdown = "cpu:*=3".parse().unwrap();
    let record = compared(row, &arms, async |trial, arm| {
        let slowed = if arm == slow { Some(slow_down(&slowdown).await) } else { None };
        let driven = drive(trial, &pool, Disturbance::default()).await;
        drop(slowed);
        driven
    });
    record.await.unwrap()
}

/// Arms that take turns show a slowdown of known size, and every run of them is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slowed_arm_is_slower_than_the_plain_one() {
    let record = one_arm_slowed("a_slowed_arm_is_slower_than_the_plain_one", "slowed").await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
    assert!(record.metrics["slowed_to_plain_create_pods_s"] > 1.2, "{:?}", record.metrics);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_arm_that_is_slower_than_the_slowed_one_fails() {
    let record = one_arm_slowed("a_plain_arm_that_is_slower_than_the_slowed_one_fails", "plain").await;
    assert!(with(&record, Verdict::Fail).contains(&"slowed_to_plain_create_pods_s"), "{}", record.reason);
}
