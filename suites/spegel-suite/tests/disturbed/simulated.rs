//! Each gate on simulated nodes can be missed. These rows run on a cluster of their own; their records lie in `disturbed/` of the
//! run, apart from its results.

use cluster::{Faults, connect};
use disturb::{missed, when};
use harness::{Injection, fixture, judged};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use measure::Verdict;
use record::Trial;
use spegel_suite::{DISTURBED_FIXTURE, disturbed_simulated_row, simulated};
use tokio::runtime::Handle;

async fn disturbed(test: &'static str, injection: Option<Injection>) -> Trial {
    let (row, simulated) = disturbed_simulated_row("rollout_disturbed", test).unwrap();
    let record = judged(row, async |trial| {
        injection.into_iter().for_each(|injection| trial.inject(injection));
        simulated::drive(trial, &simulated, None).await
    });
    Box::pin(record).await.unwrap()
}

fn faults() -> Faults {
    let (descriptor, fixtures) = fixture(DISTURBED_FIXTURE).unwrap();
    Faults::of(&fixtures, &descriptor.name)
}

/// The control.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_nothing_disturbs() {
    let record = disturbed("nothing_is_missed_when_nothing_disturbs_simulated", None).await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
}

/// In the middle of the update somebody deletes all pods.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_go_together_are_not_replaced_one_at_a_time() {
    let delete = async || {
        let (descriptor, _) = fixture(DISTURBED_FIXTURE).map_err(|error| error.to_string())?;
        let client = connect(&descriptor).await.map_err(|error| error.to_string())?;
        let labelled = ListParams::default().labels("app=spegel-benchmark");
        let all: Api<Pod> = Api::all(client.clone());
        let pods = all.list_metadata(&labelled).await.map_err(|error| error.to_string())?;
        let namespace = pods.items.into_iter().find_map(|pod| pod.metadata.namespace).unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(client, &namespace);
        let deleted = pods.delete_collection(&DeleteParams::default(), &labelled).await;
        deleted.map(drop).map_err(|error| error.to_string())
    };
    let act = move || Handle::current().block_on(delete());
    let test = "simulated_pods_that_go_together_are_not_replaced_one_at_a_time";
    let record = disturbed(test, Some(when("update", 0.3, "pods deleted", act))).await;
    assert!(missed(&record, "update_unavailable_max"), "{}", record.reason);
}

/// Simulated kubelets stand still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_nobody_runs_are_named() {
    let pause = || faults().pause("kwok-controller").map(drop).map_err(|error| error.to_string());
    let injection = when("update", 0.3, "kwok-controller paused", pause);
    let record = disturbed("pods_that_nobody_runs_are_named", Some(injection)).await;
    faults().resume("kwok-controller").unwrap();
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(missed(&record, "unaccounted_objects"), "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_dies_is_told() {
    let kill = || faults().kill("kube-scheduler").map(drop).map_err(|error| error.to_string());
    // Once all pods are placed, a DaemonSet's pods need a scheduler again with each replacement: it is started again at once.
    let act = move || {
        kill()?;
        faults().revive(&|_| ()).map(drop).map_err(|error| error.to_string())
    };
    let injection = when("update", 0.3, "kube-scheduler killed", act);
    let record = disturbed("a_component_that_dies_is_told", Some(injection)).await;
    assert!(missed(&record, "component_deaths"), "{}", record.reason);
}
