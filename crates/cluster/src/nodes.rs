//! Simulated nodes, created through the API, many at once.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Label of the nodes that `cluster up --nodes` made: they belong to the fixture and not to a trial.
pub const POOL_LABEL: &str = "kubedyno.io/pool";

/// The annotation of the nodes that kwok simulates.
pub(crate) const ANNOTATION: &str = "kwok.x-k8s.io/node";

/// Creates under way at once. kwok and the apiserver of a 2-core machine are saturated by 8; more only queue.
const AT_ONCE: usize = 8;

/// What a simulated node offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeShape {
    /// CPUs.
    pub cpu: u32,
    /// Memory in GiB.
    pub memory_gib: u32,
    /// Pods that fit.
    pub max_pods: u32,
}

impl Default for NodeShape {
    /// The node of document 003's example: 32 CPUs, 96 GiB, and upstream's default of 110 pods.
    fn default() -> Self {
        Self { cpu: 32, memory_gib: 96, max_pods: 110 }
    }
}

/// A simulated node with `labels`; `taints` as `key`, `value`, `effect`.
pub fn node(name: &str, shape: &NodeShape, labels: &[(&str, &str)], taints: &[(&str, &str, &str)]) -> Node {
    let own = [("kubernetes.io/hostname", name), ("kubernetes.io/os", "linux"), ("kubernetes.io/role", "agent")];
    let labels = labels.iter().chain(&own).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let taints = taints.iter().map(|(key, value, effect)| Taint {
        key: (*key).to_owned(),
        value: Some((*value).to_owned()),
        effect: (*effect).to_owned(),
        time_added: None,
    });
    let capacity = BTreeMap::from([
        ("cpu".to_owned(), Quantity(shape.cpu.to_string())),
        ("memory".to_owned(), Quantity(format!("{}Gi", shape.memory_gib))),
        ("pods".to_owned(), Quantity(shape.max_pods.to_string())),
    ]);
    Node {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.collect()),
            annotations: Some(BTreeMap::from([(ANNOTATION.to_owned(), "fake".to_owned())])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec { taints: Some(taints.collect()), ..NodeSpec::default() }),
        status: Some(NodeStatus {
            capacity: Some(capacity.clone()),
            allocatable: Some(capacity),
            ..NodeStatus::default()
        }),
    }
}

/// Creates nodes, several at once. `created` is told of each, in no order.
///
/// # Errors
/// The first refusal. One that exists already is one: it is not the caller's.
pub async fn create_nodes(
    client: &Client,
    nodes: impl IntoIterator<Item = Node>,
    created: impl Fn(&str) + Copy,
) -> Result<usize> {
    let api: Api<Node> = Api::all(client.clone());
    let api = &api;
    stream::iter(nodes)
        .map(async |node| {
            let name = node.metadata.name.clone().unwrap_or_default();
            let made = api.create(&PostParams::default(), &node).await;
            made.map_err(Error::api(format!("cannot create node {name}")))?;
            created(&name);
            Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_fold(0, async |n, ()| Ok(n + 1))
        .await
}

/// How many of the nodes with these labels are Ready, by what the apiserver has in its watch cache: fresh enough for a wait, and
/// it costs no read of etcd.
///
/// # Errors
/// When they cannot be listed.
pub async fn ready_nodes(client: &Client, selector: &str) -> Result<usize> {
    let selected = ListParams::default().labels(selector).match_any();
    let nodes = Api::<Node>::all(client.clone()).list(&selected).await.map_err(Error::api("cannot list nodes"))?;
    Ok(nodes.items.iter().filter(|node| is_ready(node)).count())
}

/// Whether a node is Ready.
pub fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_what_its_shape_and_labels_say() {
        let shape = NodeShape { cpu: 4, memory_gib: 8, max_pods: 50 };
        let node =
            node("n-1", &shape, &[("type", "kperf-virtualnodes")], &[("kperf.io/nodepool", "fake", "NoSchedule")]);
        let allocatable = node.status.and_then(|status| status.allocatable).expect("allocatable");
        assert_eq!(allocatable["memory"].0, "8Gi");
        assert_eq!(allocatable["pods"].0, "50");
        assert_eq!(node.metadata.labels.expect("labels")["type"], "kperf-virtualnodes");
        let taints = node.spec.and_then(|spec| spec.taints).expect("taints");
        assert_eq!((taints[0].key.as_str(), taints[0].effect.as_str()), ("kperf.io/nodepool", "NoSchedule"));
    }
}
