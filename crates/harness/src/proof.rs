//! Proof that a cluster to which something was done works again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cluster::{NodeShape, create_nodes, node};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::namespace;

/// How long it may take. A component that lost its apiserver watches again after a minute at the latest, and the next one in
/// the chain may have begun its own pause by then.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// Runs one pod of a Deployment on a node of its own: whoever makes, places and runs pods has to see an object of each
/// kind on the way, and to act on it. What is made carries `labels`, by which the caller sweeps it.
///
/// # Errors
/// When something is refused, or the pod does not run.
pub(crate) async fn works(client: &Client, name: &str, labels: BTreeMap<String, String>) -> Result<()> {
    let began = Instant::now();
    namespace::make(client, name, labels.clone()).await?;
    let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    create_nodes(client, [node(name, &NodeShape::default(), &labels, &[(name, "", "NoSchedule")])], |_| ()).await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), name);
    let wanted = Patch::Apply(deployment(name));
    let made = deployments.patch(name, &PatchParams::apply("kubedyno"), &wanted).await;
    made.map_err(Error::api(format!("cannot create deployment {name}")))?;
    while began.elapsed() < PATIENCE {
        let found = deployments.get(name).await.map_err(Error::api(format!("cannot read deployment {name}")))?;
        if found.status.and_then(|status| status.ready_replicas) == Some(1) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Error::Environment(format!(
        "something was done to the cluster, and since then it does not run a pod within {} s; \
         `cargo xtask cluster down` and `up` make it anew",
        PATIENCE.as_secs()
    )))
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
