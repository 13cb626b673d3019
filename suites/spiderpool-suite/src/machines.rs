//! The simulated machines: nodes of our own, which no simulator manages. They are registered as a kubelet does it, and
//! their Leases are renewed for as long as they have power.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{NodeShape, node};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::Error;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Namespace of the nodes' Leases.
const LEASES: &str = "kube-node-lease";
/// A kubelet's `nodeLeaseDurationSeconds`.
const LEASE_SECONDS: i32 = 40;
/// It renews at a quarter of that.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// Requests under way at once.
const AT_ONCE: usize = 8;

/// Whether the machines have power, and how often they were started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// Whether they have it now.
    pub on: bool,
    /// How often it came back.
    pub boots: u32,
}

/// The machines of a trial.
pub struct Machines {
    client: Client,
    names: Vec<String>,
    power: watch::Sender<Power>,
    heart: JoinHandle<()>,
}

impl std::fmt::Debug for Machines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Machines({:?})", self.names)
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.heart.abort();
    }
}

impl Machines {
    /// Registers machines with these names, ready and with power.
    ///
    /// # Errors
    /// When the apiserver refuses.
    pub async fn register(
        client: &Client,
        names: &[String],
        shape: &NodeShape,
        labels: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let nodes: Api<Node> = Api::all(client.clone());
        let leases: Api<Lease> = Api::namespaced(client.clone(), LEASES);
        let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        stream::iter(names)
            .map(async |name| {
                let made = nodes.create(&PostParams::default(), &registered(node(name, shape, &labels, &[]))).await;
                let made = made.map_err(Error::api(format!("cannot register node {name}")))?;
                let lease = lease(name, made.metadata.uid.unwrap_or_default());
                let made = leases.create(&PostParams::default(), &lease).await;
                made.map(drop).map_err(Error::api(format!("cannot make the Lease of node {name}")))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        let (power, powered) = watch::channel(Power { on: true, boots: 0 });
        let heart = tokio::spawn(beat(leases, names.to_vec(), powered));
        Ok(Self { client: client.clone(), names: names.to_vec(), power, heart })
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Tells of changes of the power.
    pub fn power(&self) -> watch::Receiver<Power> {
        self.power.subscribe()
    }

    /// All machines lose power. Their condition becomes unknown, as the node controller would find after its grace.
    ///
    /// # Errors
    /// When the apiserver refuses.
    pub async fn power_off(&self) -> Result<(), Error> {
        self.power.send_modify(|power| power.on = false);
        self.condition("Unknown").await
    }

    /// Power is back.
    ///
    /// # Errors
    /// When the apiserver refuses.
    pub async fn power_on(&self) -> Result<(), Error> {
        self.condition("True").await?;
        self.power.send_modify(|power| *power = Power { on: true, boots: power.boots + 1 });
        Ok(())
    }

    async fn condition(&self, status: &str) -> Result<(), Error> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let patch = json!({"status": {"conditions": [ready(status)]}});
        stream::iter(&self.names)
            .map(async |name| {
                let patched = nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(&patch)).await;
                patched.map(drop).map_err(Error::api(format!("cannot set the condition of node {name}")))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

/// A node as its kubelet posts it: ready, and without the annotation by which kwok would take it for its own.
fn registered(mut node: Node) -> Node {
    node.metadata.annotations = None;
    node.status.get_or_insert_default().conditions = Some(vec![ready("True")]);
    node
}

fn ready(status: &str) -> NodeCondition {
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::now());
    NodeCondition {
        type_: "Ready".to_owned(),
        status: status.to_owned(),
        reason: Some(if status == "True" { "KubeletReady" } else { "NodeStatusUnknown" }.to_owned()),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: Some(now),
        ..NodeCondition::default()
    }
}

/// A Lease that goes with its node.
fn lease(name: &str, uid: String) -> Lease {
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: name.to_owned(),
        uid,
        ..OwnerReference::default()
    };
    Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.to_owned()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }),
    }
}

/// Renews the Leases for as long as there is power. One that could not be renewed is tried again at the next beat, as a
/// kubelet does it.
async fn beat(leases: Api<Lease>, names: Vec<String>, powered: watch::Receiver<Power>) {
    loop {
        tokio::time::sleep(RENEWED_EVERY).await;
        if powered.borrow().on {
            for name in &names {
                let patch = json!({"spec": {"renewTime": MicroTime(Timestamp::now())}});
                leases.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_node_is_ready_and_not_kwoks() {
        let node = registered(node("n-1", &NodeShape::default(), &[], &[]));
        assert_eq!(node.metadata.annotations, None);
        let conditions = node.status.and_then(|status| status.conditions).unwrap();
        assert_eq!((conditions[0].type_.as_str(), conditions[0].status.as_str()), ("Ready", "True"));
    }
}
