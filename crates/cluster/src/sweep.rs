//! What dead runs left behind: objects in a cluster, clusters without a descriptor, cards and temporary files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret};
use kube::api::{DeleteParams, ListParams, PartialObjectMeta, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde::Serialize;
use serde_json::json;

use crate::error::{Error, Result};
use crate::extensions::remove_extensions;
use crate::hasten::hasten;
use crate::process::{Process, State};

/// Label of everything that a trial makes: the run that it belongs to.
pub const RUN_LABEL: &str = "kubedyno.io/run-id";

/// Label of everything that a trial makes: the test that made it.
pub const TEST_LABEL: &str = "kubedyno.io/test";

/// Label of the namespaces and nodes that a trial makes: the state directory that sweeps them when their run is dead. On
/// a cluster of others, what carries another owner belongs to somebody else's run.
pub const OWNER_LABEL: &str = "kubedyno.io/owner";

/// Pods that are deleted at once.
const AT_ONCE: usize = 16;

/// How often it is looked whether they are gone.
const LOOK: Duration = Duration::from_millis(50);
/// How long namespaces and nodes may take to go.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the kubeconfig of a fault of the network is called; its command's pid follows.
const FAULT_KUBECONFIG: &str = "kubeconfig.fault-";

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Clusters that were half-made, or of which nothing runs any more.
    pub clusters: Vec<String>,
    /// Processes that were ended: of those clusters, of dead runs and of dead commands.
    pub processes: usize,
    /// Namespaces.
    pub namespaces: usize,
    /// Simulated nodes.
    pub nodes: usize,
    /// Temporary and half-written files, cards of dead holders, and locks of clusters that are gone.
    pub files: usize,
    /// What could not be removed, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

impl Swept {
    /// Adds what another sweep removed.
    pub fn add(&mut self, other: Self) {
        self.clusters.extend(other.clusters);
        self.processes += other.processes;
        self.namespaces += other.namespaces;
        self.nodes += other.nodes;
        self.files += other.files;
        self.left.extend(other.left);
    }
}

/// Removes every namespace, node, kind and webhook that carries [`RUN_LABEL`] and `owner`, except those of the runs in `alive`, and
/// waits until they are gone; `say` is told what that is, because it may take its time. The caller holds the exclusive lease of the cluster, which is of `ours` or of others.
///
/// # Errors
/// When the apiserver refuses, or something is still there after five minutes.
pub(crate) async fn sweep_objects(
    client: &Client,
    owner: &str,
    alive: &[String],
    ours: bool,
    say: &dyn Fn(&str),
) -> Result<Swept> {
    let selector = selector(owner, alive);
    let labelled = ListParams::default().labels(&selector);
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let nodes: Api<Node> = Api::all(client.clone());
    let found = namespaces.list_metadata(&labelled).await.map_err(Error::api("cannot list namespaces"))?;
    let left = nodes.list_metadata(&labelled).await.map_err(Error::api("cannot list nodes"))?.items;
    if !(found.items.is_empty() && left.is_empty()) {
        say(&removing(&found.items, &left));
    }
    remove_extensions(client, &selector).await?;
    for namespace in &found.items {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        empty(client, name).await?;
        if ours {
            free_secrets(client, name).await?;
        }
        // Of that very namespace: another one of the same name would be somebody else's.
        let this = Preconditions { uid: namespace.metadata.uid.clone(), resource_version: None };
        match namespaces.delete(name, &DeleteParams::background().preconditions(this)).await {
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            other => drop(other.map_err(Error::api(format!("cannot delete namespace {name}")))?),
        }
    }
    let count = nodes.list_metadata(&labelled).await.map_err(Error::api("cannot list nodes"))?.items.len();
    if count > 0 {
        nodes
            .delete_collection(&DeleteParams::default(), &labelled)
            .await
            .map_err(Error::api("cannot delete nodes"))?;
    }
    for namespace in found.items.iter().filter(|_| ours) {
        // Where it cannot be hastened, the controller takes it off in its time.
        hasten(client, namespace.metadata.name.as_deref().unwrap_or_default()).await.ok();
    }
    let swept = Swept { namespaces: found.items.len(), nodes: count, ..Swept::default() };
    let started = tokio::time::Instant::now();
    while swept != Swept::default() {
        let left = namespaces.list_metadata(&labelled).await.map_err(Error::api("cannot list namespaces"))?.items.len()
            + nodes.list_metadata(&labelled).await.map_err(Error::api("cannot list nodes"))?.items.len();
        if left == 0 {
            break;
        }
        if started.elapsed() > PATIENCE {
            let message = format!(
                "{left} namespaces and nodes of dead runs do not go away; `cargo xtask cluster logs` may say why"
            );
            return Err(Error::Failed(message));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(swept)
}

fn selector(owner: &str, alive: &[String]) -> String {
    let spared = if alive.is_empty() { String::new() } else { format!(",{RUN_LABEL} notin ({})", alive.join(",")) };
    format!("{RUN_LABEL},{OWNER_LABEL}={owner}{spared}")
}

/// What is removed, and which runs left it.
fn removing(namespaces: &[PartialObjectMeta<Namespace>], nodes: &[PartialObjectMeta<Node>]) -> String {
    let metadata = namespaces.iter().map(|one| &one.metadata).chain(nodes.iter().map(|one| &one.metadata));
    let runs: BTreeSet<&str> =
        metadata.filter_map(|metadata| Some(metadata.labels.as_ref()?.get(RUN_LABEL)?.as_str())).collect();
    let runs = runs.into_iter().collect::<Vec<_>>().join(", ");
    format!("removing {} namespaces and {} nodes that dead runs left ({runs})", namespaces.len(), nodes.len())
}

/// Takes the finalizers off the Secrets of a namespace, for the same reason as off objects of a dead run's kinds.
async fn free_secrets(client: &Client, namespace: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let what = || Error::api(format!("cannot free the Secrets of namespace {namespace}"));
    let found = secrets.list_metadata(&ListParams::default()).await.map_err(what())?;
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    for secret in found.items.iter().filter(|secret| secret.metadata.finalizers.is_some()) {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        match secrets.patch_metadata(name, &PatchParams::default(), &none).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => drop(other.map_err(what())?),
        }
    }
    Ok(())
}

/// Ends the pods of a namespace at once. Left to the controller manager, a pod that no kubelet ends holds its namespace
/// for as long as its grace period and more.
async fn empty(client: &Client, namespace: &str) -> Result<()> {
    let all = ListParams::default();
    let what = || Error::api(format!("cannot empty namespace {namespace}"));
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    deployments.delete_collection(&DeleteParams::background(), &all).await.map_err(what())?;
    let replica_sets: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
    replica_sets.delete_collection(&DeleteParams::background(), &all).await.map_err(what())?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let found = pods.list_metadata(&all).await.map_err(what())?.items;
    let now = DeleteParams::background().grace_period(0);
    let names = found.iter().filter_map(|pod| pod.metadata.name.as_deref());
    // The apiserver's own deletion of a collection is one after the other, and gives up after a minute.
    let gone = stream::iter(names).map(async |name| match pods.delete(name, &now).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).map_err(what()),
    });
    gone.buffer_unordered(AT_ONCE).try_collect().await
}

/// The kubeconfig of this process's way to the apiserver of the cluster in `directory`.
pub fn fault_kubeconfig(directory: &Path) -> PathBuf {
    directory.join(format!("{FAULT_KUBECONFIG}{}", std::process::id()))
}

/// Removes what killed commands left directly in a cluster's directory: temporary files, and kubeconfigs that lead nowhere.
pub(crate) fn sweep_fixture(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let leads_nowhere = |entry: &std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(FAULT_KUBECONFIG).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| Process::of_pid(pid).is_none_or(|process| process.state() == State::Dead))
    };
    let left = entries.filter(leads_nowhere).filter(|entry| std::fs::remove_file(entry.path()).is_ok()).count();
    left + sweep_files(directory)
}

/// Removes temporary files directly in `directory` that nobody has touched for a minute; returns how many there were.
pub fn sweep_files(directory: &Path) -> usize {
    let old = |entry: &std::fs::DirEntry| {
        let modified = entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        modified.elapsed().is_ok_and(|age| age > Duration::from_secs(60))
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".tmp-") && old(entry))
        .filter(|entry| std::fs::remove_file(entry.path()).is_ok())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_of_a_fault_goes_with_its_command() {
        let directory = tempfile::tempdir().unwrap();
        let own = fault_kubeconfig(directory.path());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = directory.path().join(format!("{FAULT_KUBECONFIG}{}", child.id()));
        for path in [&own, &dead, &directory.path().join("kubeconfig")] {
            std::fs::write(path, "").unwrap();
        }
        child.wait().unwrap();
        assert_eq!(sweep_fixture(directory.path()), 1);
        assert!(own.exists() && !dead.exists());
    }

    #[test]
    fn what_is_swept_is_of_this_owner_and_of_no_living_run() {
        assert_eq!(selector("me", &[]), "kubedyno.io/run-id,kubedyno.io/owner=me");
        let spared = ["a".to_owned(), "b".to_owned()];
        assert_eq!(selector("me", &spared), "kubedyno.io/run-id,kubedyno.io/owner=me,kubedyno.io/run-id notin (a,b)");
    }

    #[test]
    fn what_is_removed_is_said_with_the_runs_that_left_it() {
        let of_run = |run: &str| json!({"metadata": {"name": "x", "labels": {RUN_LABEL: run}}});
        let namespaces = [serde_json::from_value(of_run("b")).unwrap()];
        let nodes = ["a", "b"].map(|run| serde_json::from_value(of_run(run)).unwrap());
        assert_eq!(removing(&namespaces, &nodes), "removing 1 namespaces and 2 nodes that dead runs left (a, b)");
    }
}
