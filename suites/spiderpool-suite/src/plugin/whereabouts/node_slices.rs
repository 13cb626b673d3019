//! Node slices: a controller divides the range among the nodes, and every node takes a Lease of its own. Upstream calls it fast
//! IPAM, and experimental.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use harness::{Error, Launch, Program, Service, Supervisor};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::plugin::NETWORK;

/// The kind of a network's definition. Whereabouts' module has none; Spiderpool's chart has it.
pub const DEFINITION_KIND: [&str; 1] = ["charts/spiderpool/crds/k8s.cni.cncf.io_networkattachmentdefinitions_crd.yaml"];

/// How long the controller may take to give every node its slice.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// What the mode needs.
#[derive(Debug)]
pub struct Slices<'a> {
    /// The controller that divides the range.
    pub controller: &'a Program,
    /// The namespace of its objects.
    pub namespace: &'a str,
    /// Labels of what is made for it.
    pub labels: &'a BTreeMap<String, String>,
    /// The nodes.
    pub nodes: &'a [String],
    /// Directory of its log.
    pub directory: &'a Path,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    allocations: Vec<Slice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slice {
    #[serde(default)]
    node_name: String,
}

/// Starts the controller with a kubeconfig whose contexts are in the namespace, defines the network, in whose configuration
/// the slices' size is, and waits until every node has a slice of it.
pub(super) async fn start(
    slices: &Slices<'_>,
    kubeconfig: &Path,
    network: &Value,
    client: &Client,
    supervisor: &Supervisor,
) -> Result<Service, Error> {
    let mut service = supervisor.launch(&Launch {
        name: "whereabouts-node-slice-controller".to_owned(),
        program: slices.controller.used.path.clone(),
        args: vec!["--kubeconfig".to_owned(), kubeconfig.display().to_string()],
        env: vec![("WHEREABOUTS_NAMESPACE".to_owned(), slices.namespace.to_owned())],
        log: slices.directory.join("node-slice-controller.log"),
    })?;
    let api = |group: &str, version: &str, kind: &str, plural: &str| -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        Api::namespaced_with(client.clone(), slices.namespace, &resource)
    };
    let definition = json!({
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": NETWORK, "labels": slices.labels},
        "spec": {"config": network.to_string()},
    });
    let cannot = || Error::api("cannot define the network of the node slices");
    let definition: DynamicObject =
        serde_json::from_value(definition).map_err(|error| cannot()(kube::Error::SerdeError(error)))?;
    let definitions = api("k8s.cni.cncf.io", "v1", "NetworkAttachmentDefinition", "network-attachment-definitions");
    definitions.create(&PostParams::default(), &definition).await.map_err(cannot())?;

    let pools = api("whereabouts.cni.cncf.io", "v1alpha1", "NodeSlicePool", "nodeslicepools");
    let until = tokio::time::Instant::now() + READY_WITHIN;
    loop {
        let pool = pools.get_opt(NETWORK).await.map_err(Error::api("cannot get the NodeSlicePool"))?;
        let lacking = pool.map_or(slices.nodes.len(), |pool| without_slice(&pool.data["status"], slices.nodes));
        if lacking == 0 {
            return Ok(service);
        }
        if service.has_ended() || tokio::time::Instant::now() > until {
            let ended = if service.has_ended() { "the node slice controller has ended" } else { "it is late" };
            let log = service.log().display();
            return Err(Error::Environment(format!("{lacking} nodes have no slice: {ended} ({log})")));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How many of the nodes have no slice.
fn without_slice(status: &Value, nodes: &[String]) -> usize {
    let Status { allocations } = serde_json::from_value(status.clone()).unwrap_or_default();
    nodes.iter().filter(|node| !allocations.iter().any(|slice| slice.node_name == **node)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_without_a_slice_are_counted() {
        let status = json!({"allocations": [{"nodeName": "a", "sliceRange": "10.60.0.0/24"}, {"nodeName": "", "sliceRange": "10.60.1.0/24"}]});
        let nodes = ["a", "b"].map(str::to_owned);
        assert_eq!(without_slice(&status, &nodes), 1);
        assert_eq!(without_slice(&Value::Null, &nodes), 2);
    }
}
