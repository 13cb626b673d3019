//! kperf's commands, as the document types them, on a real control plane with simulated nodes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use cluster::{Descriptor, Fixtures, Lease, Mode, Process, connect};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// The fixture, which no row measures meanwhile.
struct Fixture {
    descriptor: Descriptor,
    _lease: Lease,
}

impl Fixture {
    async fn adopt() -> Self {
        let path = std::env::var("KUBEDYNO_FIXTURE_KWOK").expect("nextest's setup script sets it");
        let state = Path::new(&path).ancestors().nth(3).unwrap().to_owned();
        let descriptor = Descriptor::read(Path::new(&path)).unwrap().unwrap();
        let locks = Fixtures::new(&state).locks();
        loop {
            // Alone: pools and groups have names that the document gives.
            match Lease::try_take(&locks, &descriptor.name, Mode::Exclusive, "kperf's commands", None).unwrap() {
                Ok(lease) => return Self { descriptor, _lease: lease },
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn client(&self) -> Client {
        connect(&self.descriptor).await.unwrap()
    }

    fn kperf(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kperf"));
        command.args(words.split(' ')).env("KUBECONFIG", &self.descriptor.kubeconfig);
        command.output().unwrap()
    }

    /// What a command that has to work prints.
    fn prints(&self, words: &str) -> String {
        let output = self.kperf(words);
        assert!(output.status.success(), "kperf {words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn profiles(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/kperf").join(name)
}

#[tokio::test]
async fn a_pool_is_added_listed_and_deleted_as_in_the_document() {
    let fixture = Fixture::adopt().await;
    let nodes: Api<Node> = Api::all(fixture.client().await);
    fixture.kperf("vc nodepool delete example");
    let add = "vc nodepool add example --nodes=10 --cpu=32 --memory=96 --max-pods=50";
    let refused = fixture.kperf(&format!("{add} --affinity=node.kubernetes.io/instance-type=Standard_DS2_v2"));
    assert_eq!(refused.status.code(), Some(13), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("this cluster has none inside"), "{refused:?}");

    fixture.prints(add);
    let list = fixture.prints("vc nodepool list");
    let row: Vec<&str> = list.lines().find(|line| line.starts_with("example ")).unwrap().split_whitespace().collect();
    assert_eq!(row, ["example", "10", "/", "10", "32", "96", "50", "deployed"]);
    let node = nodes.get("example-7").await.unwrap();
    let labels = node.metadata.labels.unwrap();
    assert_eq!((&*labels["type"], &*labels["alpha.kperf.io/nodepool"]), ("kperf-virtualnodes", "example"));
    let taint = &node.spec.unwrap().taints.unwrap()[0];
    assert_eq!(
        (&*taint.key, taint.value.as_deref(), &*taint.effect),
        ("kperf.io/nodepool", Some("fake"), "NoSchedule")
    );
    assert_eq!(fixture.kperf(add).status.code(), Some(2));

    fixture.prints("vc nodepool batch-add more --nodes=5 --batch-size=2");
    let list = fixture.prints("virtualcluster nodepool list");
    for (pool, ready) in [("more-0", "2 / 2"), ("more-1", "2 / 2"), ("more-2", "1 / 1")] {
        assert!(list.lines().any(|line| line.starts_with(pool) && line.contains(ready)), "{list}");
    }
    for pool in ["example", "more-0", "more-1", "more-2"] {
        fixture.prints(&format!("vc nodepool delete {pool}"));
    }
    let left = nodes.list_metadata(&ListParams::default().labels("alpha.kperf.io/nodepool")).await.unwrap();
    assert!(left.items.iter().all(|node| !node.metadata.name.as_deref().unwrap().starts_with("example")));
    assert_eq!(fixture.kperf("vc nodepool delete example").status.code(), Some(2));
}

#[tokio::test]
async fn a_group_leaves_its_results_in_the_cluster_and_goes_with_its_processes() {
    let fixture = Fixture::adopt().await;
    fixture.prints("rg delete");
    let place = tempfile::tempdir().unwrap();
    let small = "count: 3\nloadProfile:\n  version: 1\n  spec:\n    rate: 50\n    total: 40\n    conns: 2\n    client: 10\n    \
                 requests:\n    - {shares: 1, staleList: {version: v1, resource: pods}}\n    - {shares: 1, quorumList: \
                 {version: v1, resource: pods, limit: 10}}\n";
    let spec = place.path().join("small.yaml");
    std::fs::write(&spec, small).unwrap();
    let long = place.path().join("long.yaml");
    std::fs::write(&long, small.replace("total: 40", "duration: 600").replace("count: 3", "count: 1")).unwrap();

    fixture.prints(&format!("rg run --runner-image=kperf:none --runnergroup=file://{}", spec.display()));
    let result: Value = serde_json::from_str(&fixture.prints("rg result --wait --timeout=2m")).unwrap();
    assert_eq!((&result["total"], &result["counts"]["completed"]), (&json!(120), &json!(120)));
    assert_eq!(result["percentileLatenciesByURL"].as_object().unwrap().len(), 2);
    let status = fixture.prints("rg status");
    let row: Vec<&str> = status.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], ["runnergroup-server-0", "3", "3", "0", "finished"]);

    // A second one beside it, which is not over by itself.
    fixture.prints(&format!("runnergroup run --runnergroup=file://{}", long.display()));
    let name = "runnergroup-server-1";
    let early = fixture.kperf(&format!("rg result {name} --wait=false"));
    assert_eq!(early.status.code(), Some(11), "{early:?}");
    assert_eq!(fixture.kperf("rg result").status.code(), Some(2), "there are two groups");
    let jobs: Api<Job> = Api::namespaced(fixture.client().await, "runnergroups-kperf-io");
    while jobs.get_status(name).await.unwrap().status.unwrap().active != Some(1) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(Process::with_argument(name).len(), 2, "its supervisor and its runner");
    fixture.prints("rg delete");
    for _ in 0..100 {
        if Process::with_argument(name).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(Process::with_argument(name).len(), 0, "they end when their group is deleted");
    assert_eq!(fixture.prints("rg status"), "NAME   COUNT   SUCCEEDED   FAILED   STATE   START\n");
}

/// The others send all of their load, and status, result and exit code tell what is missing.
#[tokio::test]
async fn a_runner_that_is_killed_costs_its_own_result_alone() {
    let fixture = Fixture::adopt().await;
    fixture.prints("rg delete");
    let place = tempfile::tempdir().unwrap();
    let spec = place.path().join("spec.yaml");
    let text = "count: 3\nloadProfile: {version: 1, spec: {rate: 20, total: 100, conns: 1, client: 5, requests: [{shares: 1, \
                staleList: {version: v1, resource: pods}}]}}\n";
    std::fs::write(&spec, text).unwrap();
    fixture.prints(&format!("rg run --runnergroup=file://{}", spec.display()));
    let name = "runnergroup-server-0";
    let runner = |process: &Process| {
        let words = process.command_line();
        words.contains(&"runner".to_owned()) && words.last().is_some_and(|index| index == "1")
    };
    let runner = loop {
        match Process::with_argument(name).into_iter().find(runner) {
            Some(process) => break process,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert!(runner.kill(Duration::from_secs(5)));
    let output = fixture.kperf("rg result --wait --timeout=1m");
    assert_eq!(output.status.code(), Some(11), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 of 3 runners left no result"), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["total"], &result["counts"]["completed"]), (&json!(200), &json!(200)));
    let status = fixture.prints("rg status");
    let row: Vec<&str> = status.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], [name, "3", "2", "1", "finished"]);
    fixture.prints("rg delete");
}

/// All kinds that a simulated cluster can answer: the log of a simulated container is the kubelet's, of which there is none.
#[tokio::test]
async fn every_kind_of_request_is_answered_by_a_real_apiserver() {
    let fixture = Fixture::adopt().await;
    let client = fixture.client().await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let name = format!("kperf-kinds-{}", std::process::id());
    let made = |kind: Value| serde_json::from_value(kind).unwrap();
    namespaces.create(&PostParams::default(), &made(json!({"metadata": {"name": name}}))).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &name);
    for index in 0..2 {
        let map = json!({"metadata": {"name": format!("cm-{index}")}, "data": {"a": "b"}});
        maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    }
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &name);
    let web = json!({"metadata": {"name": "web"}, "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main", "image": "pause"}]}}}});
    deployments.create(&PostParams::default(), &serde_json::from_value(web).unwrap()).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let profile = place.path().join("profile.yaml");
    let text = std::fs::read_to_string(profiles("every-kind.yaml")).unwrap();
    let text =
        text.replace("kperf-kinds", &name).replace("- shares: 5\n        getPodLog", "- shares: 0\n        getPodLog");
    std::fs::write(&profile, text).unwrap();
    // Pods are refused until the namespace has its service account.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let output = fixture.kperf(&format!("runner run --format full --config {}", profile.display()));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = result["phases"][0]["rows"].as_array().unwrap();
    for row in rows.iter().filter(|row| row["kind"] != "getPodLog") {
        let counts = &row["counts"];
        assert!(
            counts["completed"].as_u64() > Some(0) || row["label"].as_str().unwrap().starts_with("DELETE"),
            "{row}"
        );
        assert_eq!((&counts["offered"], &counts["failed"]), (&counts["completed"], &json!({})), "{row}");
    }
    let pods: Api<Pod> = Api::namespaced(client, &name);
    assert!(!pods.list_metadata(&ListParams::default()).await.unwrap().items.is_empty(), "postDel leaves Pods");
    namespaces.delete(&name, &DeleteParams::background()).await.unwrap();
}
