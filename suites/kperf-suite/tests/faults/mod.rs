//! Fault rows: what the virtual node pool goes through when its control plane breaks. Beside each fault stands how its row may
//! end and with which verdict; nothing is lost from the account, and how long the recovery took is a figure.
//!
//! They run on the cluster that may be broken, and take an hour: `cargo nextest run -p kperf-suite --profile nightly`.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use cluster::{Error, Proxy};
use harness::{Injection, fixture, judged};
use kperf_suite::nodepool::{Disturbance, drive};
use kperf_suite::{DISTURBED_FIXTURE, disturbed_row};
use measure::Verdict::{self, Fail, NoData, Pass, Stalled};
use record::{PhaseRecord, Trial};
use rstest::rstest;

use self::Ending::{Recovered, Refused, Stranded};
use crate::means::{faults, unaccounted};

/// The share of a phase's objects that are done when the fault comes.
const SHARE: f64 = 0.2;
/// How long a component stays dead.
const DOWN: Duration = Duration::from_secs(2);

/// How a fault row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Every phase came to its end; the verdict is that of the budgets. It is `no-data` where a component counted what an object
    /// cost and died with its count.
    Recovered(Verdict),
    /// Nodes are created and deleted one by one; a request that met what was dead ended the phase: `no-data`.
    Refused,
    /// Where requests were refused, or the simulation was away, it may have stranded pods: it asks once for each, and one whose
    /// request was refused never runs. Started again, it waits for the Leases of the one that died, for up to 200 s. Then the
    /// phase stalls, and the objects that it lacks are counted and named: `stalled`.
    Stranded,
}

/// Runs the row, and does `act` to its cluster in `phase`.
async fn faulted(
    test: &str,
    phase: &'static str,
    what: String,
    act: impl FnOnce() -> Result<(), Error> + Send + 'static,
) -> Trial {
    // What the row before did to the cluster is no part of this one.
    faults().revive(&|_| ()).unwrap();
    let (row, pool) = disturbed_row("nodepool_fault", test).unwrap();
    let act = Box::new(move || act().map_err(|error| error.to_string()));
    judged(row, async |trial| {
        trial.inject(Injection { phase, share: SHARE, what, act });
        drive(trial, &pool, Disturbance::default()).await
    })
    .await
    .unwrap()
}

/// The row ended in one of the ways that are right for its fault, and its account says so.
fn assert_ended(record: &Trial, phase: &str, right: &[Ending]) {
    let ending = match record.phases.last().unwrap().verdict {
        None => Recovered(record.verdict.unwrap()),
        Some(NoData) => Refused,
        Some(Stalled) => Stranded,
        Some(other) => panic!("a phase ended {other}: {}", record.reason),
    };
    assert!(right.contains(&ending), "{ending:?} is none of {right:?}: {}", record.reason);
    match ending {
        Recovered(_) => recovered(record, phase),
        Refused => refused(record, phase),
        Stranded => stranded(record, phase),
    }
}

/// Every phase came to its end, every object is accounted for, and the recovery has a figure.
fn recovered(record: &Trial, phase: &str) {
    // What stages rest on where a watch was broken is said; of the fault itself there is nothing to say: it was injected.
    let of_times = |note: &&String| note.contains(": the times of ") || note.starts_with("times cannot be trusted");
    let others: Vec<&String> = record.notes.iter().filter(|note| !of_times(note)).collect();
    assert_eq!(others, Vec::<&String>::new());
    assert!(record.phases.len() == 5 && record.phases.iter().all(|phase| phase.verdict.is_none()), "{}", record.reason);
    assert_eq!(unaccounted(record), 0, "{}", record.reason);
    let faulted = record.phases.iter().find(|found| found.name == phase).unwrap();
    assert_eq!(faulted.faults.len(), 1, "{faulted:?}");
    let recovery = record.metrics.get("recovery_s").copied();
    assert_eq!(recovery, faulted.faults[0].recovered_after_s);
    assert!(recovery.is_some_and(|seconds| seconds > 0.0), "{faulted:?}");
}

/// The phase of the fault is the last, and what it did not get to is counted and named.
fn refused(record: &Trial, phase: &str) {
    let last = record.phases.last().unwrap();
    assert_eq!((last.name.as_str(), record.verdict), (phase, Some(NoData)), "{}", record.reason);
    assert_eq!(last.done + last.unaccounted, last.expected, "{last:?}");
    assert!(!last.missing.is_empty());
}

/// The phase of the fault, or one after it, stalled; what it lacks is counted and named.
fn stranded(record: &Trial, phase: &str) {
    let last = record.phases.last().unwrap();
    let injected = |found: &PhaseRecord| found.name == phase && found.faults.len() == 1;
    assert!(record.phases.iter().any(injected), "{}", record.reason);
    assert_eq!(record.verdict, Some(Stalled), "{}", record.reason);
    // A roll is over when the new pods run and the old ones are gone.
    let objects = if last.name == "roll-pods" { 2 * last.expected } else { last.expected };
    let account = format!("stalled at {}/{objects} after", objects - last.unaccounted);
    assert!(last.end.starts_with(&account), "{account}: {last:?}");
    assert!(!last.missing.is_empty());
    assert!(last.faults.iter().all(|fault| fault.recovered_after_s.is_none()), "nothing recovered: {last:?}");
}

/// A component died, and that alone misses a budget.
fn died(record: &Trial, component: &str) {
    assert!(record.component_deaths.iter().any(|death| death.starts_with(component)), "{:?}", record.component_deaths);
    assert!(record.reason.contains(component) && record.reason.contains("died"), "{}", record.reason);
}

/// Two components answer requests. What they counted of a pod's cost is judged in `create-pods`, and lost with them. No pod needs
/// the other three to be accounted for, except the simulation: who runs the pods of its nodes is not there any more.
#[rstest]
#[case::etcd_in_create_nodes("etcd", "create-nodes", &[Recovered(Fail), Refused])]
#[case::etcd_in_create_pods("etcd", "create-pods", &[Recovered(NoData), Stranded])]
#[case::etcd_in_roll_pods("etcd", "roll-pods", &[Recovered(Fail), Stranded])]
#[case::etcd_in_delete_pods("etcd", "delete-pods", &[Recovered(Fail), Stranded])]
#[case::etcd_in_delete_nodes("etcd", "delete-nodes", &[Refused])]
#[case::apiserver_in_create_nodes("kube-apiserver", "create-nodes", &[Recovered(Fail), Refused])]
#[case::apiserver_in_create_pods("kube-apiserver", "create-pods", &[Recovered(NoData), Stranded])]
#[case::apiserver_in_roll_pods("kube-apiserver", "roll-pods", &[Recovered(Fail), Stranded])]
#[case::apiserver_in_delete_pods("kube-apiserver", "delete-pods", &[Recovered(Fail), Stranded])]
#[case::apiserver_in_delete_nodes("kube-apiserver", "delete-nodes", &[Refused])]
#[case::controller_manager_in_create_nodes("kube-controller-manager", "create-nodes", &[Recovered(Fail)])]
#[case::controller_manager_in_create_pods("kube-controller-manager", "create-pods", &[Recovered(Fail)])]
#[case::controller_manager_in_roll_pods("kube-controller-manager", "roll-pods", &[Recovered(Fail)])]
#[case::controller_manager_in_delete_pods("kube-controller-manager", "delete-pods", &[Recovered(Fail)])]
#[case::controller_manager_in_delete_nodes("kube-controller-manager", "delete-nodes", &[Recovered(Fail)])]
#[case::scheduler_in_create_nodes("kube-scheduler", "create-nodes", &[Recovered(Fail)])]
#[case::scheduler_in_create_pods("kube-scheduler", "create-pods", &[Recovered(Fail)])]
#[case::scheduler_in_roll_pods("kube-scheduler", "roll-pods", &[Recovered(Fail)])]
#[case::scheduler_in_delete_pods("kube-scheduler", "delete-pods", &[Recovered(Fail)])]
#[case::scheduler_in_delete_nodes("kube-scheduler", "delete-nodes", &[Recovered(Fail)])]
#[case::kwok_in_create_nodes("kwok-controller", "create-nodes", &[Recovered(Fail), Stranded])]
#[case::kwok_in_create_pods("kwok-controller", "create-pods", &[Stranded])]
#[case::kwok_in_roll_pods("kwok-controller", "roll-pods", &[Stranded])]
#[case::kwok_in_delete_pods("kwok-controller", "delete-pods", &[Recovered(Fail), Stranded])]
#[case::kwok_in_delete_nodes("kwok-controller", "delete-nodes", &[Recovered(Fail)])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_killed_and_started_again(
    #[case] component: &'static str,
    #[case] phase: &'static str,
    #[case] right: &[Ending],
) {
    let record = faulted(&format!("{component}_in_{phase}"), phase, format!("{component} killed"), move || {
        faults().kill(component)?;
        sleep(DOWN);
        faults().restart(component, &|_| ()).map(drop)
    })
    .await;
    assert_ended(&record, phase, right);
    died(&record, component);
}

#[rstest]
#[case::in_create_pods("create-pods", &[Recovered(NoData), Stranded])]
#[case::in_roll_pods("roll-pods", &[Recovered(Fail), Stranded])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_apiserver_is_stopped_in_an_orderly_way_and_started_again(
    #[case] phase: &'static str,
    #[case] right: &[Ending],
) {
    let test = format!("apiserver_stopped_in_{phase}");
    let record = faulted(&test, phase, "kube-apiserver stopped".to_owned(), || {
        faults().stop("kube-apiserver")?;
        faults().restart("kube-apiserver", &|_| ()).map(drop)
    })
    .await;
    assert!(record.watches["pods"].breaks >= 1, "{:?}", record.watches);
    assert_ended(&record, phase, right);
    died(&record, "kube-apiserver");
}

/// Nobody is killed. `fail` is right where a leader ended because it could not renew its Lease, or where ten seconds are too much
/// for a rate: for nothing else.
#[rstest]
#[case::in_create_pods("create-pods", &[Recovered(Pass), Recovered(Fail), Stranded])]
#[case::in_roll_pods("roll-pods", &[Recovered(Pass), Recovered(Fail), Stranded])]
#[case::in_delete_pods("delete-pods", &[Recovered(Pass), Recovered(Fail), Stranded])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_stands_still_for_ten_seconds(#[case] phase: &'static str, #[case] right: &[Ending]) {
    let test = format!("etcd_paused_in_{phase}");
    let record = faulted(&test, phase, "etcd paused for 10 s".to_owned(), || {
        faults().pause("etcd")?;
        sleep(Duration::from_secs(10));
        faults().resume("etcd")?;
        // Leaders that could not renew their Leases end by now, and a kubelet would start them again.
        sleep(Duration::from_secs(5));
        faults().revive(&|_| ()).map(drop)
    })
    .await;
    assert_ended(&record, phase, right);
    if record.verdict == Some(Fail) {
        let missed = record.budgets.iter().filter(|budget| budget.verdict == Fail).map(|budget| budget.metric.as_str());
        let others: Vec<&str> =
            missed.filter(|metric| *metric != "component_deaths" && !metric.ends_with("_per_s")).collect();
        assert_eq!(others, Vec::<&str>::new(), "{}", record.reason);
    }
    assert!(record.metrics.get("recovery_s").is_none_or(|seconds| *seconds >= 10.0), "{:?}", record.metrics);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_finds_its_disk_full_and_is_started_again_when_there_is_room() {
    let record = faulted("etcd_disk_full", "roll-pods", "disk full under etcd".to_owned(), || {
        faults().fill_disk("etcd")?;
        sleep(Duration::from_secs(5));
        // etcd ends by itself when it cannot write its log.
        faults().restart("etcd", &|_| ()).map(drop)
    })
    .await;
    assert_ended(&record, "roll-pods", &[Recovered(Fail), Stranded]);
    died(&record, "etcd");
}

/// The network between the trial and the apiserver is cut; the control plane itself works on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_network_is_cut_under_the_watch_and_what_it_missed_is_marked() {
    faults().revive(&|_| ()).unwrap();
    let (row, pool) = disturbed_row("nodepool_fault", "watch_cut").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let proxy = Proxy::of_apiserver(&fixture(DISTURBED_FIXTURE).unwrap().0, &kubeconfig).await.unwrap();
    let proxy = Arc::new(proxy);
    let row = harness::Row { kubeconfig: Some(kubeconfig), ..row };
    let act = Box::new({
        let proxy = Arc::clone(&proxy);
        move || {
            proxy.cut();
            sleep(Duration::from_secs(3));
            proxy.mend();
            Ok(())
        }
    });
    let record = judged(row, async |trial| {
        trial.inject(Injection { phase: "roll-pods", share: SHARE, what: "network cut for 3 s".to_owned(), act });
        drive(trial, &pool, Disturbance::default()).await
    })
    .await
    .unwrap();
    assert_ended(&record, "roll-pods", &[Recovered(Pass)]);
    assert!(record.watches["pods"].breaks >= 1, "{:?}", record.watches);
    assert!(record.phases.iter().any(|phase| phase.late > 0), "{}", record.reason);
    assert_eq!(record.component_deaths, Vec::<String>::new());
}
