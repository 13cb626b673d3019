//! Those that take longer than the others: they run with the fault rows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster::Slowdown;
use harness::{Arms, Injection, Tampered, compared, judged};
use kperf_suite::nodepool::{Disturbance, drive};
use kperf_suite::{DISTURBED_FIXTURE, bench, disturbed_bench_row, disturbed_row};
use measure::Verdict;
use record::Trial;

use super::{assert_missed, disturbed, loads, with};
use crate::means::{Neighbour, faults, pause, slow_down, unaccounted};

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
    let rates =
        ["create_nodes_per_s", "create_pods_per_s", "delete_nodes_per_s", "delete_pods_per_s", "roll_pods_per_s"];
    assert_missed(&record, Verdict::Fail, &rates);
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
    assert_missed(&record, Verdict::Fail, &["relisted_objects"]);
    assert_eq!(record.phases[1].relisted, 1);
    assert_eq!(unaccounted(&record), 0, "{}", record.reason);
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
    assert_missed(&record, Verdict::Fail, &["late_share"]);
    assert_eq!(unaccounted(&record), 0, "{}", record.reason);
    assert!(record.watches["pods"].breaks > 10, "{:?}", record.watches);
}

/// Runs the row in arms that take turns, one of them with all components at a third of their speed.
async fn one_arm_slowed(test: &'static str, slow: &str) -> Trial {
    let (row, pool) = disturbed_row("nodepool_arms", test).unwrap();
    let arms = Arms { names: &["plain", "slowed"], subjects: &["plain"], repeats: 4, warm_up: 1 };
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
    assert_missed(&record, Verdict::Fail, &["slowed_to_plain_create_pods_s"]);
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
async fn a_harness_that_costs_too_much_is_told() {
    let disturbance =
        Disturbance { pods: Some(Box::new(|_: &[u8]| Tampered::Pad(1_500_000))), ..Disturbance::default() };
    let record = disturbed("a_harness_that_costs_too_much_is_told", disturbance).await;
    assert_missed(&record, Verdict::Fail, &["harness_cpu_share_of_apiserver", "harness_peak_rss_mib"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_that_stands_still_misses_the_rate_and_the_latencies() {
    // The connections are open by then, and it goes on when the load should be over.
    let on_load = Box::new(|| {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(1));
            pause("kube-apiserver", Duration::from_secs(9));
        });
    });
    let test = "an_apiserver_that_stands_still_misses_the_rate_and_the_latencies";
    let record = loads::disturbed(test, Some(on_load)).await;
    let slow = ["load_service_p50_ms", "load_service_max_ms", "stale_list_service_p99_x_readyz"];
    assert_missed(&record, Verdict::Fail, &["load_achieved_share", "quorum_list_service_p99_x_readyz"]);
    assert_missed(&record, Verdict::Fail, &slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bench_whose_jobs_never_end_is_no_bench() {
    let test = "a_bench_whose_jobs_never_end_is_no_bench";
    let (row, bench) = disturbed_bench_row("node10_job1_pod100_smoke", test).unwrap();
    let act = Box::new(|| faults().pause("kwok-controller").map(drop).map_err(|error| error.to_string()));
    let record = judged(row, async |trial| {
        trial.inject(Injection { phase: "load", share: 0.0, what: "kwok-controller paused".to_owned(), act });
        let driven = tokio::time::timeout(Duration::from_secs(60), bench::drive(trial, &bench, DISTURBED_FIXTURE));
        let resumed = async {
            // Longer than the load; then what is left can go.
            tokio::time::sleep(Duration::from_secs(28)).await;
            faults().resume("kwok-controller").map(drop).map_err(|error| harness::Error::Environment(error.to_string()))
        };
        let (driven, resumed) = tokio::join!(driven, resumed);
        resumed?;
        driven.map_err(|_| harness::Error::Environment("the bench does not end".to_owned()))?
    });
    let record = record.await.unwrap();
    assert_missed(&record, Verdict::Fail, &["churn_rounds"]);
}
