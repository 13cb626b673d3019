//! Those that take longer than the others: they run with the fault rows.

use std::sync::Arc;
use std::time::Duration;

use cluster::Slowed;
use futures_util::future::BoxFuture;
use harness::judged;
use kamaji_suite::tenant::api;
use kamaji_suite::{Meddler, Scene, disturbed_row, isolation};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use measure::Verdict;
use serde_json::json;

use super::{all_missed, disturbed};

/// Somebody who changes what every tenant is to have, so that the operator has to look, and to write, again and again.
struct Poker;

impl Meddler for Poker {
    fn beside(&self, phase: &'static str, scene: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let tenants = api(&scene.client, &scene.namespace);
            if phase == "leaks" {
                return;
            }
            for round in 1_u64.. {
                for tenant in &*scene.tenants {
                    let annotations = json!({"annotations": {"poked": format!("{round}{}", "x".repeat(16 << 10))}});
                    let also = json!({"additionalMetadata": annotations});
                    let parts = json!({"deployment": also, "service": also});
                    // What changes without end is never made, because a tenant's status conflicts each time.
                    let spec = if round <= 40 { json!({"controlPlane": parts}) } else { json!({}) };
                    let patch = json!({"metadata": annotations, "spec": spec});
                    tenants.patch(&tenant.name, &PatchParams::default(), &Patch::Merge(&patch)).await.ok();
                }
                let key = format!("/{}/poked", scene.tenants[0].schema(&scene.namespace));
                scene.stores[0].run(&["put", &key, &"x".repeat(16 << 10)]).await.ok();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cost_is_missed_when_the_operator_has_to_look_again() {
    let record = disturbed("tcp_disturbed", "Poker", Poker).await;
    let costs = [
        "create_operator_api_requests_per_tcp",
        "create_datastore_wal_bytes_per_tcp",
        "create_api_requests_per_object",
        "create_etcd_wal_bytes_per_object",
        "steady_reconciles_per_tcp_per_minute",
    ];
    all_missed(&record, &costs);
}

/// Somebody who makes what tenants have, after they are gone.
struct Intruder;

impl Meddler for Intruder {
    fn beside(&self, phase: &'static str, scene: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if phase != "leaks" {
                return;
            }
            let schema = scene.tenants[0].schema(&scene.namespace);
            for args in [
                &["put", &format!("/{schema}/left"), "x"][..],
                &["user", "add", &schema, "--no-password"],
                &["role", "add", &schema],
            ] {
                scene.stores[0].run(args).await.unwrap();
            }
            let named = |spec: serde_json::Value| json!({"metadata": {"name": "left"}, "spec": spec});
            make::<k8s_openapi::api::core::v1::Secret>(&scene, json!({"metadata": {"name": "left"}})).await;
            for i in 0..4 {
                let name = format!("left-{i}-datastore-config");
                make::<k8s_openapi::api::core::v1::Secret>(&scene, json!({"metadata": {"name": name}})).await;
            }
            make::<k8s_openapi::api::core::v1::ConfigMap>(&scene, json!({"metadata": {"name": "left"}})).await;
            make::<k8s_openapi::api::core::v1::Service>(&scene, named(json!({"ports": [{"port": 1}]}))).await;
            let pod =
                json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "c"}]}});
            let spec = json!({"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": pod});
            make::<k8s_openapi::api::apps::v1::Deployment>(&scene, named(spec)).await;
            hold_connections(&scene.metrics, 100).await;
        })
    }
}

/// Keeps connections to the operator open: each is a goroutine and a descriptor of it. It ends those that say nothing for
/// half a minute, so that others come before.
async fn hold_connections(url: &str, count: usize) {
    let address = url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let mut held = open_connections(&address, count).await;
    tokio::spawn(async move {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            held = open_connections(&address, count).await;
        }
        drop(held);
    });
}

async fn open_connections(address: &str, count: usize) -> Vec<tokio::net::TcpStream> {
    let mut open = Vec::new();
    for _ in 0..count {
        open.extend(tokio::net::TcpStream::connect(address).await.ok());
    }
    open
}

async fn make<K>(scene: &Scene, object: serde_json::Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let object: K = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_left_behind_is_found() {
    let record = disturbed("tcp_disturbed", "Intruder", Intruder).await;
    let kinds = [
        "etcd_keys_left",
        "etcd_users_left",
        "etcd_roles_left",
        "secrets_left",
        "datastore_secrets_left",
        "configmaps_left",
        "services_left",
        "deployments_left",
        "operator_goroutines_left",
        "operator_fds_left",
    ];
    all_missed(&record, &kinds);
    assert!(
        record.notes.iter().any(|note| note.starts_with("left behind of etcd_keys: etcd-01: /")),
        "{:?}",
        record.notes
    );
}

/// Somebody who lets the operator have a quarter of its time.
struct Brake;

impl Meddler for Brake {
    fn beside(&self, phase: &'static str, scene: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if phase == "create" {
                let _slowed = Slowed::processes(vec![scene.operator], 4.0);
                std::future::pending::<()>().await;
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_is_missed_when_the_operator_is_slow() {
    let record = disturbed("tcp_disturbed", "Brake", Brake).await;
    all_missed(&record, &["create_to_bare"]);
}

/// Somebody who asks the operator for its metrics all the time.
struct Scraper;

impl Meddler for Scraper {
    fn beside(&self, phase: &'static str, scene: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if phase == "create" {
                tokio::join!(scrape(&scene), scrape(&scene), scrape(&scene));
            }
        })
    }
}

async fn scrape(scene: &Scene) {
    loop {
        let url = scene.metrics.clone();
        let page = tokio::task::spawn_blocking(move || {
            ureq::get(url).call().ok().and_then(|page| page.into_body().read_to_vec().ok())
        });
        page.await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_is_missed_when_the_operator_has_other_things_to_do() {
    let record = disturbed("tcp_disturbed", "Scraper", Scraper).await;
    all_missed(&record, &["create_operator_cpu_to_bare_keys"]);
}

/// Somebody who burns the harness's own CPU.
struct Glutton;

impl Meddler for Glutton {
    fn beside(&self, phase: &'static str, _: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if phase != "create" {
                return;
            }
            loop {
                let until = std::time::Instant::now() + Duration::from_millis(200);
                while std::time::Instant::now() < until {
                    std::hint::spin_loop();
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_harness_that_costs_much_is_told() {
    let record = disturbed("tcp_disturbed", "Glutton", Glutton).await;
    all_missed(&record, &["create_harness_cpu_share_of_operator", "harness_cpu_share_of_operator"]);
}

/// Somebody who lets the operator have a sixth of its time while tenants are made, has it keep Secrets that are none of its own,
/// and asks for its metrics all the time.
struct Burden;

impl Meddler for Burden {
    fn beside(&self, phase: &'static str, scene: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            match phase {
                "create" => {
                    let _slowed = Slowed::processes(vec![scene.operator], 6.0);
                    for i in 0..60 {
                        let data = json!({"x": "x".repeat(900 << 10)});
                        let secret = json!({"metadata": {"name": format!("heavy-{i}")}, "stringData": data});
                        make::<k8s_openapi::api::core::v1::Secret>(&scene, secret).await;
                    }
                    std::future::pending::<()>().await;
                }
                "steady" => {
                    tokio::join!(scrape(&scene), scrape(&scene), scrape(&scene));
                }
                _ => {}
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_document_publishes_is_missed_when_the_operator_bears_a_burden() {
    let record = disturbed("tcp_burdened", "Burden", Burden).await;
    all_missed(&record, &["create_s", "operator_peak_mcpu_per_tcp", "operator_peak_mib_per_tcp"]);
}

/// Somebody who kills the operator.
struct Killer;

impl Meddler for Killer {
    fn beside(&self, phase: &'static str, scene: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if phase == "create" {
                tokio::time::sleep(Duration::from_millis(500)).await;
                scene.operator.kill(Duration::from_secs(5));
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_dies_is_told_and_its_tenants_are_missing_by_name() {
    let record = disturbed("tcp_disturbed", "Killer", Killer).await;
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(record.reason.contains("kamaji (pid"), "{}", record.reason);
    all_missed(&record, &["unaccounted_objects", "component_deaths"]);
    assert!(
        record.phases[0].missing.iter().any(|missing| missing.name.starts_with("benchmark")),
        "{:?}",
        record.phases
    );
}

/// Somebody who touches keys of the others while one tenant is deleted, and writes a key of the deleted one afterwards.
struct Clumsy;

impl Meddler for Clumsy {
    fn beside(&self, phase: &'static str, scene: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if phase == "delete-one" {
                let prefix = |i: usize| format!("/{}/", scene.tenants[i].schema(&scene.namespace));
                scene.stores[0].run(&["put", &format!("{}touched", prefix(1)), "x"]).await.unwrap();
                loop {
                    scene.stores[0].run(&["put", &format!("{}left", prefix(0)), "x"]).await.ok();
                }
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_tenant_that_changes_is_found() {
    let (row, benchmark) = disturbed_row("isolation", "Clumsy").unwrap();
    let record = judged(row, async |trial| isolation::drive(trial, &benchmark, Some(Arc::new(Clumsy))).await);
    let record = record.await.unwrap();
    all_missed(&record, &["keys_of_others_changed", "keys_of_deleted_left"]);
}
