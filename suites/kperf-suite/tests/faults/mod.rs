//! Fault rows: what the virtual node pool goes through when its control plane breaks. Where a component dies the verdict is
//! never `pass`, nothing is lost from the account, and how long the recovery took is a figure.
//!
//! They run on the cluster that may be broken, and take an hour: `cargo nextest run -p kperf-suite --profile nightly`.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use cluster::{Error, Proxy};
use harness::{Injection, fixture, judged};
use kperf_suite::nodepool::{Disturbance, drive};
use kperf_suite::{DISTURBED_FIXTURE, disturbed_row};
use measure::Verdict;
use record::{PhaseRecord, Trial};
use rstest::rstest;

use crate::means::{faults, unaccounted};

/// The share of a phase's objects that are done when the fault comes.
const SHARE: f64 = 0.2;
/// How long a component stays dead.
const DOWN: Duration = Duration::from_secs(2);

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

/// Where requests were refused, or the simulation was away, it may have stranded pods: it asks once for each, and one whose
/// request was refused never runs. Started again, it waits for the Leases of the one that died, for up to 200 s. Then the
/// phase stalls, and the objects that it lacks are counted and named.
fn recovered_or_stranded(record: &Trial, phase: &str) {
    let last = record.phases.last().unwrap();
    if last.verdict.is_none() {
        return recovered(record, phase);
    }
    let injected = |found: &PhaseRecord| found.name == phase && found.faults.len() == 1;
    assert!(record.phases.iter().any(injected), "{}", record.reason);
    assert_eq!((last.verdict, record.verdict), (Some(Verdict::Stalled), Some(Verdict::Stalled)), "{}", record.reason);
    // A roll is over when the new pods run and the old ones are gone.
    let objects = if last.name == "roll-pods" { 2 * last.expected } else { last.expected };
    let account = format!("stalled at {}/{objects} after", objects - last.unaccounted);
    assert!(last.end.starts_with(&account), "{account}: {last:?}");
    assert!(!last.missing.is_empty());
    assert!(last.faults.iter().all(|fault| fault.recovered_after_s.is_none()), "nothing recovered: {last:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_killed_and_started_again(
    #[values("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller")]
    component: &'static str,
    #[values("create-nodes", "create-pods", "roll-pods", "delete-pods", "delete-nodes")] phase: &'static str,
) {
    let record = faulted(&format!("{component}_in_{phase}"), phase, format!("{component} killed"), move || {
        faults().kill(component)?;
        sleep(DOWN);
        faults().restart(component, &|_| ()).map(drop)
    })
    .await;
    assert_ne!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
    assert!(record.component_deaths.iter().any(|death| death.starts_with(component)), "{:?}", record.component_deaths);
    assert!(record.reason.contains(component) && record.reason.contains("died"), "{}", record.reason);
    // Two answer requests. Nodes are created and deleted one by one: when such a request is refused, the phase ends there.
    let answers = ["etcd", "kube-apiserver"].contains(&component);
    let last = record.phases.last().unwrap();
    match last.verdict {
        Some(verdict) if answers && ["create-nodes", "delete-nodes"].contains(&phase) => {
            assert_eq!((verdict, last.name.as_str()), (Verdict::NoData, phase), "{}", record.reason);
            assert_eq!(record.verdict, Some(verdict), "{}", record.reason);
            assert_eq!(last.done + last.unaccounted, last.expected, "{last:?}");
            assert!(!last.missing.is_empty());
        }
        _ if answers || component == "kwok-controller" => recovered_or_stranded(&record, phase),
        _ => recovered(&record, phase),
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_apiserver_is_stopped_in_an_orderly_way_and_started_again(
    #[values("create-pods", "roll-pods")] phase: &'static str,
) {
    let test = format!("apiserver_stopped_in_{phase}");
    let record = faulted(&test, phase, "kube-apiserver stopped".to_owned(), || {
        faults().stop("kube-apiserver")?;
        faults().restart("kube-apiserver", &|_| ()).map(drop)
    })
    .await;
    assert!(record.watches["pods"].breaks >= 1, "{:?}", record.watches);
    recovered_or_stranded(&record, phase);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_stands_still_for_ten_seconds(#[values("create-pods", "roll-pods", "delete-pods")] phase: &'static str) {
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
    recovered_or_stranded(&record, phase);
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
    assert!(record.component_deaths.iter().any(|death| death.starts_with("etcd")), "{:?}", record.component_deaths);
    recovered_or_stranded(&record, "roll-pods");
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
    recovered(&record, "roll-pods");
    assert!(record.watches["pods"].breaks >= 1, "{:?}", record.watches);
    assert!(record.phases.iter().any(|phase| phase.late > 0), "{}", record.reason);
    assert_eq!(record.component_deaths, Vec::<String>::new());
}
