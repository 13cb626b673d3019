//! The benches of `runkperf` that have virtual nodes: a load while workloads come and go on them.

mod churn;

use cluster::NodeShape;
use harness::{Result, Trial};
use measure::StallRule;
use serde::{Deserialize, Serialize};

use crate::load::{Load, send};
use crate::nodepool::{Nodes, Pods, Pool};
use churn::Churn;

/// Parameters of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bench {
    /// File of the profile in `fixtures/kperf`.
    pub profile: String,
    /// Runners, each of which sends the whole profile.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub runners: u32,
    /// The name of the node pool, with which the names of its nodes begin: a profile may name one of them.
    pub pool: String,
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
    /// Pods of the Job that is made, waited for and deleted over and over; with 0 there is none.
    pub job_pods: u32,
    /// How many of them there are at once.
    pub job_parallelism: u32,
    /// Deployments that are there before, and are restarted one after the other.
    pub deployments: u32,
    /// Pods of each.
    pub replicas: u32,
    /// Seconds from the end of one Job, or of one restart, to the next.
    pub pause_s: u64,
    /// Seconds that the load may take.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub limit_s: u64,
    /// Seconds without progress after which the phase of the nodes or of the pods is stalled.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// Seed of every random choice.
    pub seed: u64,
    /// As in [`Load`].
    pub judges_response: bool,
}

impl Bench {
    fn load(&self) -> Load {
        Load {
            profile: self.profile.clone(),
            runners: self.runners,
            pods: 0,
            pod_bytes: 0,
            configmaps: 0,
            configmap_bytes: 0,
            watches: 0,
            limit_s: self.limit_s,
            seed: self.seed,
            judges_response: self.judges_response,
        }
    }
}

/// Makes nodes and Deployments, puts the load on while Jobs and rollouts churn, and clears the nodes again.
///
/// # Errors
/// As [`crate::load::drive`], or when nodes or pods do not come or go.
pub async fn drive(trial: &mut Trial, row: &Bench, fixture_variable: &str) -> Result<()> {
    let rule = StallRule::seconds(row.stalled_after_s, row.limit_s);
    let pool = Pool {
        name: row.pool.clone(),
        prefix: row.pool.clone(),
        count: row.nodes,
        shape: NodeShape { cpu: row.node_cpu, memory_gib: row.node_memory_gib, max_pods: row.node_max_pods },
    };
    let nodes = Nodes::watched(trial, pool, rule).await?;
    trial.phase(nodes.creation(), nodes.create()).await?;
    if row.deployments > 0 {
        let pods = Pods::watched(trial, (row.deployments, row.replicas), rule, None).await?;
        trial.phase(pods.creation(), pods.create()).await?;
    }
    let churn = Churn::new(trial, row);
    // On the heap: the futures of a whole load are large.
    Box::pin(send(trial, &row.load(), fixture_variable, churn.run())).await?;
    trial.metric("churn_rounds", f64::from(churn.rounds()));
    churn.clear().await?;
    trial.phase(nodes.deletion(), nodes.delete()).await
}
