//! What the tool has to know of a cluster: who holds the images already, what its nodes are, which pulls failed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::{Error, Result};
use k8s_openapi::api::core::v1::{Event, Node};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::results::{Node as Described, Suite};

const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// A kubelet lists its images every 30 s, and writes its node's status every 10 s.
const KNOWN_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(1);

/// Refuses when a node that takes pods holds an image: its pull would be none. Kubelets tell of their 50 largest images unless
/// they are told otherwise, and for most of a minute of one that is gone.
///
/// # Errors
/// When one still does after that, with its name.
pub(super) async fn refuse_warm(client: &Client, images: &[String; 2], say: impl Fn(&str)) -> Result<()> {
    let started = Instant::now();
    let mut said = false;
    while let Some((node, image)) = warm(client, images).await? {
        if started.elapsed() > KNOWN_WITHIN {
            return Err(Error::Environment(format!(
                "{node} holds {image} already, so that it would not be pulled; `crictl rmi {image}` on each node, or --warm"
            )));
        }
        if !said {
            say(&format!("{node} says that it holds {image}; waiting until its kubelet has looked again"));
            said = true;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// A node that says that it holds an image, with it.
async fn warm(client: &Client, images: &[String; 2]) -> Result<Option<(String, String)>> {
    for node in nodes(client).await? {
        let held = node.status.iter().flat_map(|status| status.images.iter().flatten());
        let names: BTreeSet<&String> = held.flat_map(|image| image.names.iter().flatten()).collect();
        if let Some(image) = images.iter().find(|image| names.contains(image)) {
            return Ok(Some((node.metadata.name.unwrap_or_default(), image.clone())));
        }
    }
    Ok(None)
}

/// The same results with the cluster's version and its nodes.
pub(super) async fn described(client: &Client, suite: Suite) -> Result<Suite> {
    let version = client.apiserver_version().await.map_err(Error::api("cannot ask for the cluster's version"))?;
    let nodes = nodes(client).await?.iter().map(describe).collect();
    Ok(Suite { kubernetes_version: version.git_version, nodes, ..suite })
}

/// Pulls of these pods that failed, by the events of their kubelets.
pub(super) async fn failures(client: &Client, namespace: &str, pods: &BTreeSet<String>) -> Result<i32> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let events = events.list(&ListParams::default().fields("reason=Failed")).await;
    let events = events.map_err(Error::api("cannot list events"))?.items;
    let of_a_pull = |event: &&Event| {
        let pulls = event.message.as_deref().is_some_and(|message| message.starts_with("Failed to pull image"));
        pulls && event.involved_object.name.as_ref().is_some_and(|pod| pods.contains(pod))
    };
    Ok(events.iter().filter(of_a_pull).map(|event| event.count.unwrap_or(1)).sum())
}

/// The nodes without taints, as upstream counts them.
async fn nodes(client: &Client) -> Result<Vec<Node>> {
    let nodes: Api<Node> = Api::all(client.clone());
    let mut nodes = nodes.list(&ListParams::default()).await.map_err(Error::api("cannot list nodes"))?.items;
    nodes.retain(|node| node.spec.as_ref().is_none_or(|spec| spec.taints.iter().flatten().next().is_none()));
    Ok(nodes)
}

fn describe(node: &Node) -> Described {
    let capacity = node.status.as_ref().and_then(|status| status.capacity.as_ref());
    let quantity = |name: &str| capacity.and_then(|capacity| capacity.get(name)).and_then(number).unwrap_or(0);
    let labels = node.metadata.labels.as_ref();
    Described {
        name: node.metadata.name.clone().unwrap_or_default(),
        instance_type: labels.and_then(|labels| labels.get(INSTANCE_TYPE)).cloned().unwrap_or_default(),
        memory: quantity("memory"),
        cpu: quantity("cpu"),
    }
}

/// A whole quantity, as kubelets tell capacities.
fn number(quantity: &Quantity) -> Option<u64> {
    const UNITS: [(&str, u64); 4] = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("", 1)];
    UNITS.iter().find_map(|(unit, factor)| Some(quantity.0.strip_suffix(unit)?.parse::<u64>().ok()? * factor))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("16393244Ki", Some(16_786_681_856))]
    #[case("8", Some(8))]
    #[case("2Gi", Some(2_147_483_648))]
    #[case("many", None)]
    fn capacities_are_read(#[case] quantity: &str, #[case] wanted: Option<u64>) {
        assert_eq!(number(&Quantity(quantity.to_owned())), wanted);
    }
}
