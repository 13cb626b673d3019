//! Those that take longer than the others: they run with the fault rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster::connect;
use harness::{compared, fixture, judged};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use measure::Verdict;
use rstest::rstest;
use serde_json::json;
use spiderpool_suite::matrix::drive;
use spiderpool_suite::plugin::{Plugin, Sandbox};
use spiderpool_suite::{DISTURBED_FIXTURE, Interpose, disturbed_ratio_row, disturbed_row, exhaustion, tier};

use super::{Before, Meddled, Mischief, all_missed, disturbed, disturbed_matrix};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cost_is_missed_when_the_plugin_wastes() {
    let client = connect(&fixture(DISTURBED_FIXTURE).unwrap().0).await.unwrap();
    let record = disturbed_matrix("spiderpool_v4_1x100", "Wasteful", wasteful(client)).await;
    let costs = record.budgets.iter().filter(|budget| budget.metric.ends_with("_per_object"));
    let costs: Vec<&str> = costs.map(|budget| budget.metric.as_str()).collect();
    assert_eq!(costs.len(), 7, "of each of three phases its requests and bytes, and the CPU of all");
    all_missed(&record, &costs);
}

/// A plugin that does twice as much of everything: it asks the apiserver and the agents, writes to etcd, gives the
/// controller something to look at, and burns CPU.
fn wasteful(client: Client) -> Interpose {
    let asked = Arc::new(AtomicUsize::new(0));
    Meddled::before(move |plugin, sandbox| {
        let nth = asked.fetch_add(1, Ordering::SeqCst);
        waste(client.clone(), plugin, sandbox, nth)
    })
}

async fn waste(client: Client, plugin: Arc<dyn Plugin>, sandbox: Sandbox, nth: usize) {
    let objects: Api<ConfigMap> = Api::namespaced(client.clone(), &sandbox.namespace);
    for i in 0..8 {
        let object = json!({"metadata": {"name": format!("waste-{nth}-{i}")}, "data": {"x": "x".repeat(8 << 10)}});
        let object: ConfigMap = serde_json::from_value(object).unwrap();
        objects.create(&PostParams::default(), &object).await.unwrap();
    }
    let pods: Api<Pod> = Api::namespaced(client, &sandbox.namespace);
    let nobody = Sandbox { pod: format!("nobody-{nth}"), ..sandbox.clone() };
    for i in 0..10 {
        let annotation = Patch::Merge(json!({"metadata": {"annotations": {"wasted": i.to_string()}}}));
        // Whoever is to go may be gone by now.
        pods.patch_metadata(&sandbox.pod, &PatchParams::default(), &annotation).await.ok();
        assert!(plugin.add(&nobody).await.is_err());
    }
    let loops = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done";
    tokio::process::Command::new("sh").args(["-c", loops]).status().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_never_gets_an_address_is_a_stall_and_is_named() {
    let record = disturbed("RefusesOne", Some(Mischief::RefusesOne)).await;
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(record.reason.contains("create: stalled at 9/10"), "{}", record.reason);
    let budget = record.budgets.iter().find(|budget| budget.metric == "unaccounted_objects").unwrap();
    assert_eq!(budget.verdict, Verdict::Fail, "{}", record.reason);
    assert!(record.notes.iter().any(|note| note.contains("not you")), "{:?}", record.notes);
}

/// Three seconds a request are a second too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_time_is_missed_when_the_plugin_is_slow() {
    let slow = Meddled::before(|_, _| tokio::time::sleep(Duration::from_secs(3)));
    let record = disturbed_matrix("times_disturbed", "Slow", slow).await;
    all_missed(&record, &["create_s", "rebuild_s", "recover_s", "delete_s"]);
}

/// Somebody asks for one pod more when the last address is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_pod_that_waits_for_the_last_address_is_told() {
    let (row, mut matrix) = disturbed_row("spiderpool_exhausted", "OneMore").unwrap();
    matrix.stalled_after_s = 10;
    let client = connect(&fixture(DISTURBED_FIXTURE).unwrap().0).await.unwrap();
    let one_more = Meddled::before(move |_, sandbox| one_more(client.clone(), sandbox));
    let record = judged(row, async |trial| exhaustion::drive(trial, &matrix, Some(one_more)).await).await.unwrap();
    all_missed(&record, &["pods_waiting_when_exhausted"]);
}

async fn one_more(client: Client, sandbox: Sandbox) {
    if !sandbox.pod.starts_with("late-") {
        return;
    }
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &sandbox.namespace);
    let two = Patch::Merge(json!({"spec": {"replicas": 2}}));
    // In the end it may be gone.
    deployments.patch("late", &PatchParams::default(), &two).await.ok();
    tokio::time::sleep(Duration::from_secs(4)).await;
}

/// Deployments that ask for other pools than the check wants: of one family only, one address too large, and kept for good.
fn demanding() -> Interpose {
    let wanted = [("subnet", r#"{"ipv4":["v4"]}"#), ("ippool-ip-number", "+1"), ("ippool-reclaim", "false")];
    let wanted = wanted.map(|(key, value)| (format!("ipam.spidernet.io/{key}"), value.to_owned()));
    Box::new(|plugin| {
        let before: Before = Box::new(|_, _| Box::pin(std::future::ready(())));
        Arc::new(Meddled { plugin, before, annotations: Some(wanted.into()) })
    })
}

#[rstest]
#[case::as_they_should(None, Verdict::Pass)]
#[case::otherwise(Some(demanding()), Verdict::Fail)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_that_do_not_follow_their_deployments_are_found(
    #[case] interpose: Option<Interpose>,
    #[case] verdict: Verdict,
) {
    let name = if interpose.is_some() { "Demanding" } else { "SubnetsAsTheyShould" };
    let (row, matrix) = disturbed_row("subnet_disturbed", name).unwrap();
    let record = judged(row, async |trial| drive(trial, &matrix, interpose).await).await.unwrap();
    for metric in ["automatic_pools_missing", "automatic_pools_of_wrong_size", "automatic_pools_left"] {
        let budget = record.budgets.iter().find(|budget| budget.metric == metric).unwrap();
        assert_eq!(budget.verdict, verdict, "{}: {:?}", record.reason, record.notes);
    }
}

/// The ratio to the floor is missed when the subject wastes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ratio_to_the_floor_is_missed_when_the_plugin_wastes() {
    let (row, ratio) = disturbed_ratio_row("ratio_disturbed", "WastefulRatio").unwrap();
    let client = connect(&fixture(DISTURBED_FIXTURE).unwrap().0).await.unwrap();
    let arms = ratio.arms();
    let run = compared(row, &arms, async |trial, arm| {
        let interpose = (arm == "spiderpool").then(|| wasteful(client.clone()));
        tier::drive(trial, &ratio.tier(arm), interpose).await
    });
    let record = run.await.unwrap();
    all_missed(&record, &["spiderpool_to_host_local_add_p50_ms"]);
}
