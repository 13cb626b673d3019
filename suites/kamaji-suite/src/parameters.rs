//! Parameters of a row.

use std::time::Duration;

use measure::StallRule;
use serde::{Deserialize, Serialize};

/// How Tenant Control Planes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// One after the other, the next when the last was created, as the document's loop does it.
    OneByOne,
    /// Many requests at once.
    Burst,
    /// `batch` at once, and the next when all of the last are Ready: what one costs as a function of how many there are.
    Batches,
    /// One every `pace_ms`, whatever becomes of the last.
    Paced,
}

/// What is done to the tenants between their creation and their deletion, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The operator is killed and started again.
    Restart,
    /// One certificate of each is taken away.
    Rotate,
    /// The time of one certificate of each is over.
    Expire,
    /// Another version is asked for.
    Upgrade,
    /// They are scaled to 0 and back.
    Sleep,
}

/// How the key of the DataStores' authority is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyFormat {
    /// `BEGIN RSA PRIVATE KEY`.
    Pkcs1,
    /// `BEGIN PRIVATE KEY`, which Kamaji v1.0.0 cannot read.
    Pkcs8,
}

/// Parameters of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    /// Tenant Control Planes.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub tenants: u32,
    /// Of these, how many get a real apiserver.
    pub usable: u32,
    /// DataStores, each an etcd of its own.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub datastores: u32,
    /// How the key of their authority is written.
    pub authority_key: KeyFormat,
    /// How they arrive.
    pub arrival: Arrival,
    /// Milliseconds between two, where they are paced.
    pub pace_ms: u64,
    /// Tenants of a batch, where they come in batches.
    pub batch: u32,
    /// Tenants that the operator reconciles at once (`--max-concurrent-tcp-reconciles`).
    #[serde(deserialize_with = "harness::at_least_one")]
    pub reconciles: u32,
    /// Pods of each.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub replicas: u32,
    /// Version of Kubernetes that they ask for.
    pub version: String,
    /// The version that they are upgraded to.
    pub upgrade_to: String,
    /// Nodes of the operator and the DataStores: `t3.medium`. Nothing is scheduled to them.
    pub infra_nodes: u32,
    /// Nodes of the tenants: `r3.xlarge`.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub workload_nodes: u32,
    /// Seconds in which tenants without an apiserver refuse the operator, to see what its retries cost.
    pub unanswered_s: u64,
    /// Seconds in which nobody has anything to do.
    pub steady_s: u64,
    /// What else is done.
    pub steps: Vec<Step>,
    /// Seconds within which everything of a deleted tenant has to be gone. The garbage collector looks for kinds that are new
    /// to it every 30 s (`cmd/kube-controller-manager/app/core.go`), so that a short trial may be over before it knows tenants.
    pub leaks_within_s: u64,
    /// Seconds without progress after which a phase is stalled.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// Seconds after which a phase is over even if it moves.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub phase_limit_s: u64,
}

impl Benchmark {
    /// When a phase is given up.
    pub fn rule(&self) -> StallRule {
        StallRule {
            no_progress_for: Duration::from_secs(self.stalled_after_s),
            at_most: Duration::from_secs(self.phase_limit_s),
        }
    }
}
