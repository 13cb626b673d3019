//! Each budget of a runner group can be missed, and what is not touched is not lost.
//!
//! These rows share the cluster of real nodes. Their records lie in `disturbed/` of the run, apart from its results.

use std::time::Duration;

use cluster::Process;
use disturb::{faults, kubectl, when};
use harness::judged;
use kperf_suite::disturbed_group_row;
use kperf_suite::group::drive;
use measure::Verdict;
use record::Trial;

/// The only group of a trial.
const GROUP: &str = "runnergroup-server-0";
/// Runners of the row, and requests of each.
const RUNNERS: i64 = 3;
const REQUESTS: i64 = 200;

/// Runs the row, does `act` when all of its runners run, and returns what was judged.
async fn disturbed(test: &'static str, what: &str, act: impl FnOnce() -> Result<(), String> + Send + 'static) -> Trial {
    let (row, group) = disturbed_group_row("runner_group_disturbed", test).unwrap();
    let act = move || {
        // In the middle of the load.
        std::thread::sleep(Duration::from_secs(3));
        act()
    };
    let record = judged(row, async |trial| {
        trial.inject(when("load", 0.0, what, act));
        drive(trial, &group).await
    });
    Box::pin(record).await.unwrap()
}

/// The metrics whose budgets were missed.
fn missed(record: &Trial) -> Vec<&str> {
    let missed = record.budgets.iter().filter(|budget| budget.verdict == Verdict::Fail);
    missed.map(|budget| budget.metric.as_str()).collect()
}

/// A figure that is a count.
fn count(record: &Trial, name: &str) -> i64 {
    *record.metrics.get(name).unwrap_or_else(|| panic!("there is no {name}: {}", record.reason)) as i64
}

/// The control: what follows is the work of the disturbance, not of the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_nothing_disturbs() {
    let record = disturbed("nothing_is_missed_when_nothing_disturbs", "nothing", || Ok(())).await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
    assert_eq!(count(&record, "load_requests"), RUNNERS * REQUESTS);
}

/// What was asked while nobody answered has failed, and is accounted for as that; every runner leaves its result when there is
/// somebody to take it. What the apiserver had counted is lost with it, which leaves that figure without data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_that_is_started_again_loses_no_result() {
    let kill = || faults().kill("kube-apiserver").map(drop).map_err(|error| error.to_string());
    let test = "an_apiserver_that_is_started_again_loses_no_result";
    let record = disturbed(test, "kube-apiserver killed", kill).await;
    // Its kubelet has started another, and the next row wants to find it.
    faults().revive(&|_| ()).unwrap();
    assert_eq!(record.verdict, Some(Verdict::NoData), "{}", record.reason);
    let missed = missed(&record);
    assert!(missed.contains(&"load_error_share") && missed.contains(&"component_deaths"), "{}", record.reason);
    assert_eq!(record.phases.len(), 3, "{}", record.reason);
    for nothing in ["unaccounted_objects", "runners_without_result", "runners_not_succeeded", "requests_unaccounted"] {
        assert_eq!(count(&record, nothing), 0, "{nothing}: {}", record.reason);
    }
    assert_eq!(count(&record, "load_requests"), RUNNERS * REQUESTS);
}

/// It leaves nothing, and it is not started again: the load of the others is whole, and theirs alone is no measurement of the group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_killed_is_missing_and_the_others_are_whole() {
    let kill = || {
        let runner = Process::with_argument(GROUP).into_iter().next().ok_or("no runner runs")?;
        if runner.kill(Duration::from_secs(5)) { Ok(()) } else { Err("the runner does not end".to_owned()) }
    };
    let test = "a_runner_that_is_killed_is_missing_and_the_others_are_whole";
    let record = disturbed(test, "a runner killed", kill).await;
    assert_eq!(record.verdict, Some(Verdict::NoData), "{}", record.reason);
    assert!(
        record.reason.contains("1 of 3 runners did not come to their end, and 1 left no result"),
        "{}",
        record.reason
    );
    for one in ["unaccounted_objects", "runners_without_result", "runners_not_succeeded"] {
        assert_eq!(count(&record, one), 1, "{one}: {}", record.reason);
        assert!(missed(&record).contains(&one), "{}", record.reason);
    }
    assert_eq!(count(&record, "requests_unaccounted"), REQUESTS, "{}", record.reason);
    assert!(!missed(&record).contains(&"load_error_share"), "{}", record.reason);
}

/// As when its node is drained: it leaves what it has, which is not all of its load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_evicted_leaves_what_it_has() {
    let evict = || {
        let ours = ["--namespace", kperf::runnergroup::NAMESPACE];
        let pods = kubectl(&[&["get", "pods", "--output", "name"][..], &ours].concat())?;
        let pod = pods.lines().next().ok_or("there is no Pod")?;
        kubectl(&[&["delete", "--wait=false", pod][..], &ours].concat()).map(drop)
    };
    let record = disturbed("a_runner_that_is_evicted_leaves_what_it_has", "a runner evicted", evict).await;
    assert_eq!(record.verdict, Some(Verdict::NoData), "{}", record.reason);
    assert!(
        record.reason.contains("1 of 3 runners did not come to their end, and 0 left no result"),
        "{}",
        record.reason
    );
    let cut = count(&record, "requests_unaccounted");
    assert!((1..REQUESTS).contains(&cut), "{cut}: {}", record.reason);
}

/// Without its FlowSchema a group's requests are those of any ServiceAccount.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_their_priority_are_seen() {
    let delete = || kubectl(&["delete", "flowschema", kperf::runnergroup::RUNNER]).map(drop);
    let record = disturbed("requests_without_their_priority_are_seen", "FlowSchema deleted", delete).await;
    assert_eq!(missed(&record), ["served_at_priority_share"], "{}", record.reason);
}
