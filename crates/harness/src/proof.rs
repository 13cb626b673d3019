//! Proof that a cluster to which something was done works again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cluster::{Descriptor, Faults, Fixtures, NodeShape, OWNER_LABEL, RUN_LABEL, SIMULATED_NODES, create_nodes, node};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::namespace;

/// How long it may take. A component that lost its apiserver watches again after a minute at the latest, and the next one in
/// the chain may have begun its own pause by then.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// Proves that the cluster works if something was done to it since that was last proven. Where nodes are real, none can be made to
/// prove it with.
///
/// # Errors
/// When it does not work.
pub(crate) async fn renew(fixtures: &Fixtures, descriptor: &Descriptor, client: &Client, run_id: &str) -> Result<()> {
    let faults = Faults::of(fixtures, &descriptor.name);
    if !faults.is_unproven() || !descriptor.capabilities.iter().any(|one| one == SIMULATED_NODES) {
        return Ok(());
    }
    let labels = [(RUN_LABEL, run_id.to_owned()), (OWNER_LABEL, fixtures.owner()?)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value)).into();
    works(client, &namespace::name("proof", run_id, std::process::id()), labels).await?;
    Ok(faults.proven()?)
}

/// Runs one pod of a Deployment on a simulated node of its own: whoever makes, places and runs pods has to see an object of
/// each kind on the way, and to act on it. What is made carries `labels`, by which the caller sweeps it. An apiserver that
/// comes back refuses some requests: each is tried again while there is time.
///
/// # Errors
/// When the pod does not run, with the last refusal.
async fn works(client: &Client, name: &str, labels: BTreeMap<String, String>) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let refused = match runs(client, name, &labels, until).await {
            Ok(true) => return Ok(()),
            Ok(false) => String::new(),
            Err(error) => format!("; {error}"),
        };
        if Instant::now() > until {
            return Err(Error::Environment(format!(
                "something was done to the cluster, and since then it does not run a pod within {} s{refused}; \
                 `cargo xtask cluster down` and `up` make it anew",
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn runs(client: &Client, name: &str, labels: &BTreeMap<String, String>, until: Instant) -> Result<bool> {
    let (namespaces, nodes): (Api<Namespace>, Api<Node>) = (Api::all(client.clone()), Api::all(client.clone()));
    if namespaces.get_metadata_opt(name).await.map_err(Error::api("cannot read a namespace"))?.is_none() {
        namespace::make(client, name, labels.clone()).await?;
    }
    if nodes.get_metadata_opt(name).await.map_err(Error::api("cannot read a node"))?.is_none() {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        create_nodes(client, [node(name, &NodeShape::default(), &labels, &[(name, "", "NoSchedule")])], |_| ()).await?;
    }
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), name);
    let wanted = Patch::Apply(deployment(name));
    let made = deployments.patch(name, &PatchParams::apply("kubedyno"), &wanted).await;
    made.map_err(Error::api(format!("cannot create deployment {name}")))?;
    while Instant::now() < until {
        let found = deployments.get(name).await.map_err(Error::api(format!("cannot read deployment {name}")))?;
        if found.status.and_then(|status| status.ready_replicas) == Some(1) {
            return Ok(true);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(false)
}

fn deployment(name: &str) -> Value {
    let labels = json!({"app": name});
    let spec = json!({
        "nodeSelector": {"kubernetes.io/hostname": name},
        "tolerations": [{"key": name, "operator": "Exists"}],
        "containers": [{"name": "pause", "image": "pause"}],
    });
    let template = json!({"metadata": {"labels": labels}, "spec": spec});
    let spec = json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": template});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
}
