//! Each budget on simulated nodes can be missed: the running system is disturbed, and the verdict says so. These rows run on a
//! cluster of their own; their records lie in `disturbed/` of the run, apart from its results.

mod nightly;

use std::time::{Duration, Instant};

use cluster::{Faults, RUN_LABEL, connect};
use disturb::{missed, when};
use harness::{Injection, fixture, judged};
use image_pull_suite::{DISTURBED_FIXTURE, disturbed_simulated_row, simulated};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use measure::Verdict;
use record::Trial;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Runs the row with a disturbance when a phase has come so far, and returns what was judged.
async fn disturbed(row: &str, test: &str, injection: Option<Injection>) -> Trial {
    let (row, simulated) = disturbed_simulated_row(row, test).unwrap();
    let record = judged(row, async |trial| {
        injection.into_iter().for_each(|injection| trial.inject(injection));
        simulated::drive(trial, &simulated).await
    });
    Box::pin(record).await.unwrap()
}

fn faults() -> Faults {
    let (descriptor, fixtures) = fixture(DISTURBED_FIXTURE).unwrap();
    Faults::of(&fixtures, &descriptor.name)
}

/// Somebody who uses the same cluster.
async fn client() -> Client {
    connect(&fixture(DISTURBED_FIXTURE).unwrap().0).await.unwrap()
}

/// The control: what follows is the work of the disturbance, not of the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_nothing_disturbs() {
    let record = disturbed("startup_disturbed", "nothing_is_missed_when_nothing_disturbs_simulated", None).await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
}

/// Simulated kubelets stand still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_nobody_runs_are_named() {
    let pause = || faults().pause("kwok-controller").map(drop).map_err(|error| error.to_string());
    let injection = when("create", 0.3, "kwok-controller paused", pause);
    let record = disturbed("startup_disturbed", "pods_that_nobody_runs_are_named", Some(injection)).await;
    faults().resume("kwok-controller").unwrap();
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(missed(&record, "unaccounted_objects"), "{}", record.reason);
    assert!(
        !record.metrics.contains_key("create_pod_startup_p99_ms"),
        "some of the pods are no row: {}",
        record.reason
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_dies_is_told() {
    let kill = || {
        faults().kill("kube-scheduler").map_err(|error| error.to_string())?;
        // The pods that are to come need one.
        faults().revive(&|_| ()).map(drop).map_err(|error| error.to_string())
    };
    let injection = when("create", 0.3, "kube-scheduler killed", kill);
    let record = disturbed("startup_disturbed", "a_component_that_dies_is_told", Some(injection)).await;
    assert!(missed(&record, "component_deaths"), "{}", record.reason);
    assert!(record.component_deaths[0].starts_with("kube-scheduler"), "{:?}", record.component_deaths);
}

/// Somebody cordons all nodes of the row but one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_share_a_node_where_others_are_empty_are_counted() {
    let cordon = async || {
        let api: Api<Node> = Api::all(client().await);
        let nodes =
            api.list_metadata(&ListParams::default().labels(RUN_LABEL)).await.map_err(|error| error.to_string())?;
        for node in nodes.items.into_iter().skip(1).filter_map(|node| node.metadata.name) {
            let cordoned = Patch::Merge(json!({"spec": {"unschedulable": true}}));
            let patched = api.patch(&node, &PatchParams::default(), &cordoned).await;
            patched.map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    let act = move || Handle::current().block_on(cordon());
    let test = "pods_that_share_a_node_where_others_are_empty_are_counted";
    let record = disturbed("startup_disturbed", test, Some(when("create", 0.0, "nodes cordoned", act))).await;
    assert!(missed(&record, "create_pods_on_one_node_max"), "{}", record.reason);
    assert!(!missed(&record, "unaccounted_objects"), "every pod still ran: {}", record.reason);
}

/// Somebody's controllers gone wild write and read meanwhile, which nobody can tell from what the pods cost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cost_is_missed_beside_noisy_neighbours() {
    let neighbours = async || {
        let client = client().await;
        let mut at_work = JoinSet::new();
        (0..4).for_each(|number| drop(at_work.spawn(write(client.clone(), number))));
        at_work.join_all().await.into_iter().collect::<Result<(), _>>().map_err(|error| error.to_string())
    };
    let act = move || Handle::current().block_on(neighbours());
    let test = "every_cost_is_missed_beside_noisy_neighbours";
    let record = disturbed("startup_disturbed", test, Some(when("create", 0.0, "noisy neighbours", act))).await;
    for cost in ["create_api_requests_per_object", "create_etcd_puts_per_object"] {
        assert!(missed(&record, cost), "{cost} is met: {} {:?}", record.reason, record.metrics.get(cost));
    }
}

/// Writes a ConfigMap over and over for 3 s.
async fn write(client: Client, number: usize) -> Result<(), kube::Error> {
    let (api, name) = (Api::<ConfigMap>::default_namespaced(client), format!("noisy-{number}"));
    let until = Instant::now() + Duration::from_secs(3);
    for i in 0.. {
        let data = json!({"i": i.to_string(), "padding": "x".repeat(4000)});
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        api.patch(&name, &PatchParams::apply("noisy"), &Patch::Apply(&object)).await?;
        if Instant::now() > until {
            break;
        }
    }
    api.delete(&name, &DeleteParams::default()).await.map(drop)
}

/// The harness itself stands still while Deployments are due: what it measures then is no fault of the system.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_that_the_harness_did_not_keep_is_no_measurement() {
    let stand_still = || {
        let script = ["-c", "kill -STOP $PPID; sleep 0.4; kill -CONT $PPID"];
        std::process::Command::new("sh").args(script).status().map(drop).map_err(|error| error.to_string())
    };
    let test = "a_rate_that_the_harness_did_not_keep_is_no_measurement";
    let injection = when("create", 0.1, "the harness stopped for 0.4 s", stand_still);
    let record = disturbed("startup_disturbed", test, Some(injection)).await;
    assert_eq!(record.verdict, Some(Verdict::Invalid), "{}", record.reason);
    assert!(record.reason.starts_with("create: not 10 Deployments a second"), "{}", record.reason);
}
