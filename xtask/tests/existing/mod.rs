//! A cluster of others: made under a state directory that the runs do not know, and used by a person's kubeconfig.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use cluster::Needs;

use crate::machine::{Machine, text, wait_for};

/// Sizes that end within seconds, still large enough to need leave.
const SMALL: [&str; 6] = ["--set", "nodes=3", "--set", "deployments=2", "--set", "replicas=60"];

/// Labels that runs of this project put on what they make.
const OURS: &str = "kubedyno.io/run-id";

/// Somebody's cluster, and a machine that knows nothing of it but a kubeconfig.
struct Guest {
    stranger: Machine,
    machine: Machine,
    results: tempfile::TempDir,
}

impl Guest {
    fn new() -> Self {
        let stranger = Machine::new();
        stranger.ok(&["cluster", "up"]);
        Self { stranger, machine: Machine::new(), results: tempfile::tempdir().unwrap() }
    }

    fn kubectl(&self, args: &[&str]) -> String {
        self.stranger.kubectl("default", args)
    }

    /// The stranger's own kubeconfig: all rights.
    fn admin(&self) -> PathBuf {
        self.stranger.descriptor("default").kubeconfig
    }

    /// A kubeconfig of a user who may do only what `rules` says, as `verbs on resources`.
    fn limited(&self, rules: &[(&str, &str)]) -> PathBuf {
        self.kubectl(&["create", "serviceaccount", "jane", "-n", "default"]);
        for (i, (verbs, resources)) in rules.iter().enumerate() {
            let role = format!("jane-{i}");
            let (verbs, resources) = (format!("--verb={verbs}"), format!("--resource={resources}"));
            self.kubectl(&["create", "clusterrole", &role, &verbs, &resources]);
            let role_flag = format!("--clusterrole={role}");
            self.kubectl(&["create", "clusterrolebinding", &role, &role_flag, "--serviceaccount=default:jane"]);
        }
        let token = self.kubectl(&["create", "token", "jane", "-n", "default"]);
        let admin = std::fs::read_to_string(self.admin()).unwrap();
        let value = |key: &str| {
            let line = admin.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
            line.trim().to_owned()
        };
        let text = format!(
            "clusters: [{{name: c, cluster: {{server: '{}', certificate-authority: '{}'}}}}]\n\
             users: [{{name: jane, user: {{token: '{}'}}}}]\n\
             contexts: [{{name: limited, context: {{cluster: c, user: jane}}}}]\ncurrent-context: limited\n",
            value("server:"),
            value("certificate-authority:"),
            token.trim()
        );
        let path = self.machine.path().join("jane.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, kubeconfig: &Path, args: &[&str]) -> Output {
        let (kubeconfig, out) = (kubeconfig.display().to_string(), self.results.path().display().to_string());
        let common = ["run", "kperf", "--provider", "existing", "--kubeconfig", &kubeconfig, "--out", &out];
        self.machine.xtask(&[&common[..], args].concat())
    }

    /// The last run's `run.json`.
    fn record(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.results.path().join("latest/run.json")).unwrap()).unwrap()
    }

    /// Nodes and namespaces that carry our labels.
    fn labelled(&self) -> String {
        self.kubectl(&["get", "nodes,namespaces", "-l", OURS, "-o", "name", "--ignore-not-found"])
    }

    /// A namespace and a node that look like those of somebody else's run.
    fn run_of_another(&self) {
        let (run, owner) = ("kubedyno.io/run-id=20260101-000000-beef", "kubedyno.io/owner=0badcafe");
        self.kubectl(&["create", "namespace", "theirs"]);
        self.kubectl(&["label", "namespace", "theirs", run, owner]);
        let node = self.stranger.path().join("node.yaml");
        let labels = "labels: {kubedyno.io/run-id: 20260101-000000-beef, kubedyno.io/owner: 0badcafe}";
        std::fs::write(&node, format!("apiVersion: v1\nkind: Node\nmetadata: {{name: theirs, {labels}}}\n")).unwrap();
        self.kubectl(&["create", "-f", &node.display().to_string()]);
        self.kubectl(&["create", "namespace", "production"]);
        self.kubectl(&["create", "configmap", "precious", "-n", "production"]);
    }
}

#[test]
fn a_run_on_a_cluster_of_others_asks_first_and_leaves_what_is_not_its_own() {
    let guest = Guest::new();
    guest.run_of_another();
    let theirs = guest.labelled();
    assert_eq!(theirs.lines().count(), 2, "{theirs}");

    // Without leave nothing begins, and the message says what would have.
    let row = [&["--filter", "test(nodepool_smoke)"], &SMALL[..]].concat();
    let refused = guest.run(&guest.admin(), &row);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    let said = text(&refused);
    assert!(said.contains("--allow-nodes: it creates 3 simulated nodes"), "{said}");
    assert!(said.contains("--allow-load: it creates 123 nodes and pods as fast as the apiserver answers"), "{said}");
    assert_eq!(guest.labelled(), theirs);

    let ran = guest.run(&guest.admin(), &[&row[..], &["--allow-nodes", "--allow-load"]].concat());
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran));
    assert_eq!(guest.labelled(), theirs, "all of the run is gone when it ends, and nothing else is");
    guest.kubectl(&["get", "configmap", "precious", "-n", "production"]);
    let run = guest.record();
    assert_eq!(run["trials"][0]["provider"], "existing");
    let budgets = run["trials"][0]["budgets"].as_array().unwrap();
    assert!(budgets.iter().any(|budget| budget["metric"] == "unaccounted_objects"), "{budgets:?}");
    let trial = guest.results.path().join("latest/trials/kperf-suite/nodepool_smoke.json");
    let trial: serde_json::Value = serde_json::from_slice(&std::fs::read(trial).unwrap()).unwrap();
    assert_eq!(trial["settings"], serde_json::Value::Null, "the settings of others are not ours");
    let deviations = trial["deviations"].to_string();
    assert!(deviations.contains("its settings, its machines and who else loads it are unknown"), "{deviations}");
    assert!(!deviations.contains("etcd does not sync"), "{deviations}");

    let gc = guest.machine.ok(&["cluster", "gc"]);
    assert!(gc.contains("is forgotten; https://127.0.0.1:"), "{gc}");
    assert_eq!(guest.labelled(), theirs);
    guest.stranger.ok(&["cluster", "gc"]);
    assert_eq!(guest.labelled(), theirs, "the stranger's own gc spares the runs of guests");
    assert!(guest.stranger.ok(&["cluster", "status"]).contains("healthy"));
}

#[test]
fn a_user_of_limited_rights_is_told_what_is_missing() {
    let guest = Guest::new();
    let jane = guest.limited(&[
        ("create,list,delete", "namespaces"),
        ("get,list", "serviceaccounts,nodes"),
        ("create,patch,delete,deletecollection", "deployments.apps,replicasets.apps"),
        ("list,watch,delete", "pods"),
    ]);
    let kubeconfig = jane.display().to_string();
    let preflight = guest.machine.xtask(&["cluster", "preflight", "--kubeconfig", &kubeconfig]);
    assert_eq!(preflight.status.code(), Some(13), "{}", text(&preflight));
    let said = text(&preflight);
    for line in [
        "system:serviceaccount:default:jane",
        "NOT create, NOT delete, NOT deletecollection, list, NOT watch",
        "fairness  not readable by this user",
        "nodepool_smoke: not selected: needs create, watch, delete, deletecollection on nodes",
    ] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }

    // In the default selection the row is listed and not run; asked for by name, it is a verdict.
    let flags = ["--allow-nodes", "--allow-load"];
    let listed = guest.run(&jane, &flags);
    assert_eq!(listed.status.code(), Some(12), "{}", text(&listed));
    let missing = "needs create, watch, delete, deletecollection on nodes";
    let listed_row = serde_json::Value::from(format!("kperf-suite nodepool_smoke: {missing}"));
    assert!(guest.record()["not_selected"].as_array().unwrap().contains(&listed_row), "{}", guest.record());
    assert!(
        text(&listed).contains(&format!("not selected: kperf-suite nodepool_smoke: {missing}")),
        "{}",
        text(&listed)
    );
    let summary = std::fs::read_to_string(guest.results.path().join("latest/summary.md")).unwrap();
    assert!(summary.contains(missing) && summary.contains("not selected"), "{summary}");

    let named = guest.run(&jane, &[&flags[..], &["--filter", "test(nodepool_smoke)"]].concat());
    assert_eq!(named.status.code(), Some(13), "{}", text(&named));
    let trial = &guest.record()["trials"][0];
    assert_eq!((trial["verdict"].as_str(), trial["reason"].as_str()), (Some("unsupported"), Some(missing)));
    assert_eq!(guest.labelled(), "");

    // A token that nobody knows any more.
    let text_of = std::fs::read_to_string(&jane).unwrap();
    let token = text_of.split("token: '").nth(1).unwrap().split('\'').next().unwrap();
    std::fs::write(&jane, text_of.replace(token, "expired")).unwrap();
    let expired = guest.machine.xtask(&["cluster", "preflight", "--kubeconfig", &kubeconfig]);
    assert_eq!(expired.status.code(), Some(3), "{}", text(&expired));
    assert!(
        text(&expired).contains("it refuses the credentials of user `jane` (401 Unauthorized)"),
        "{}",
        text(&expired)
    );
}

#[test]
fn with_the_rights_that_preflight_asks_for_a_killed_run_goes_with_its_pods() {
    let guest = Guest::new();
    let mut rights: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for right in Needs::all_rights() {
        let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
        rights.entry(format!("{}{group}", right.resource)).or_default().push(right.verb);
    }
    let rights: Vec<(String, String)> = rights.into_iter().map(|(on, verbs)| (verbs.join(","), on)).collect();
    let rights: Vec<(&str, &str)> = rights.iter().map(|(verbs, on)| (verbs.as_str(), on.as_str())).collect();
    let jane = guest.limited(&rights).display().to_string();
    let out = guest.results.path().display().to_string();
    let row = ["--filter", "test(nodepool_smoke)", "--set", "nodes=10", "--set", "replicas=100"];
    let run = ["run", "kperf", "--provider", "existing", "--kubeconfig", &jane, "--out", &out];
    let leave = ["--allow-nodes", "--allow-load"];
    let mut child = guest.machine.spawn(&[&run[..], &row[..], &leave[..]].concat());
    let pods = || guest.kubectl(&["get", "pods", "-A", "-l", OURS, "-o", "name", "--ignore-not-found"]);
    wait_for("pods", || pods().lines().count() > 20);
    child.kill().unwrap();
    child.wait().unwrap();
    let gc = guest.machine.ok(&["cluster", "gc"]);
    assert!(gc.contains("is forgotten"), "{gc}");
    assert_eq!(guest.labelled(), "");
}

#[test]
fn without_kwok_the_row_is_unsupported_and_the_probe_is_gone() {
    let guest = Guest::new();
    let controller = guest.stranger.descriptor("default").component("kwok-controller").unwrap().process;
    assert!(controller.kill(Duration::from_secs(5)));
    let row = ["--filter", "test(nodepool_smoke)", "--allow-nodes", "--allow-load"];
    let ran = guest.run(&guest.admin(), &row);
    assert_eq!(ran.status.code(), Some(13), "{}", text(&ran));
    let reason = guest.record()["trials"][0]["reason"].as_str().unwrap().to_owned();
    assert_eq!(reason, "needs kwok (no node with the annotation kwok.x-k8s.io/node becomes Ready)");
    assert_eq!(guest.labelled(), "");
}
