//! A virtual node pool through its whole life: nodes come, Deployments run on them, roll once, go, and the nodes go.

mod nodes;
mod pods;

use cluster::NodeShape;
use harness::{Result, Tamper, Trial};
use measure::StallRule;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use nodes::{Nodes, Pool};
pub(crate) use pods::Pods;

/// The pool's name. Kperf names its nodes `kperf-0`, `kperf-1`, …; these have the end of the run's id in between, because
/// somebody may have such a pool on the same cluster.
const POOL: &str = "kperf";

/// Parameters of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePool {
    /// Nodes of the pool.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub nodes: u32,
    /// CPUs of a node.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub node_cpu: u32,
    /// Memory of a node in GiB.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub node_memory_gib: u32,
    /// Pods that fit on a node.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub node_max_pods: u32,
    /// Deployments.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub deployments: u32,
    /// Pods of each.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub replicas: u32,
    /// Whether every Deployment is rolled once.
    pub roll: bool,
    /// Seconds without progress after which a phase is stalled.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// Seconds after which a phase is over even if it moves.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub phase_limit_s: u64,
}

/// Called with a phase's name when the phase begins.
pub type OnPhase = Box<dyn FnMut(&str) + Send>;

/// What disturbs a trial, for showing that its budgets can be missed.
#[derive(Default)]
pub struct Disturbance {
    /// Of the watch of the pods.
    pub pods: Option<Tamper>,
    /// Called with each phase's name when it begins.
    pub on_phase: Option<OnPhase>,
}

impl std::fmt::Debug for Disturbance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disturbance")
    }
}

/// Runs the five phases, or the four without the roll.
///
/// # Errors
/// When the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &NodePool, mut disturbance: Disturbance) -> Result<()> {
    let rule = StallRule::seconds(row.stalled_after_s, row.phase_limit_s);
    let pool = Pool {
        name: POOL.to_owned(),
        prefix: format!("{POOL}-{}", trial.suffix()),
        count: row.nodes,
        shape: NodeShape { cpu: row.node_cpu, memory_gib: row.node_memory_gib, max_pods: row.node_max_pods },
    };
    let nodes = Nodes::watched(trial, pool, rule).await?;
    let tamper = disturbance.pods.take();
    let pods = Pods::watched(trial, (row.deployments, row.replicas), rule, tamper).await?;

    trial.phase(nodes.creation(), begin(&mut disturbance, "create-nodes", nodes.create())).await?;
    trial.phase(pods.creation(), begin(&mut disturbance, "create-pods", pods.create())).await?;
    if row.roll {
        trial.phase(pods.rolling(), begin(&mut disturbance, "roll-pods", pods.roll())).await?;
    }
    trial.phase(pods.deletion(row.roll), begin(&mut disturbance, "delete-pods", pods.delete(row.roll))).await?;
    trial.phase(nodes.deletion(), begin(&mut disturbance, "delete-nodes", nodes.delete())).await?;
    trial.metric("nodes", f64::from(row.nodes));
    trial.metric("pods", f64::from(row.deployments * row.replicas));
    Ok(())
}

/// Tells the disturbance that a phase begins, and acts.
async fn begin(disturbance: &mut Disturbance, phase: &str, action: impl Future<Output = Result<()>>) -> Result<()> {
    if let Some(on_phase) = &mut disturbance.on_phase {
        on_phase(phase);
    }
    action.await
}

/// Selects what the trial made.
fn ours(trial: &Trial) -> String {
    format!("{}={}", cluster::RUN_LABEL, trial.run_id())
}

/// A pod on virtual nodes: affinity and toleration are those that the document gives for it.
pub(crate) fn on_virtual_nodes() -> Value {
    let terms = json!([{"matchExpressions": [{"key": "type", "operator": "In", "values": ["kperf-virtualnodes"]}]}]);
    let affinity = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    json!({
        "affinity": {"nodeAffinity": affinity},
        "tolerations": [{"key": "kperf.io/nodepool", "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [{"name": "pause", "image": "pause"}],
    })
}
