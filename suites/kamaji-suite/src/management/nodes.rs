//! The document's two node pools, as simulated nodes of their instances' shapes.

use std::time::Duration;

use cluster::{NodeShape, RUN_LABEL, create_nodes, node, ready_nodes};
use harness::{Error, Trial};

use crate::parameters::Benchmark;

/// Label of a node: its pool, as EKS has it.
const POOL: &str = "eks.amazonaws.com/nodegroup";
/// A `t3.medium`: 2 vCPUs, 4 GiB, and 17 pods by the limit of its network interfaces.
const T3_MEDIUM: NodeShape = NodeShape { cpu: 2, memory_gib: 4, max_pods: 17 };
/// An `r3.xlarge`: 4 vCPUs, 30.5 GiB, and 58 pods.
const R3_XLARGE: NodeShape = NodeShape { cpu: 4, memory_gib: 30, max_pods: 58 };
/// How long they may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Makes both pools, and waits until all nodes are ready. The `infra` pool has the taints that the document's tolerations
/// answer, so that no tenant goes there.
pub(super) async fn make(trial: &Trial, row: &Benchmark) -> Result<(), Error> {
    let suffix = trial.suffix();
    let labels = trial.cluster_labels();
    let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let pool = |name: &'static str, count: u32, shape: &'static NodeShape, taints: &'static [(&str, &str, &str)]| {
        let labels = [&labels[..], &[(POOL, name)]].concat();
        let suffix = suffix.clone();
        (0..count).map(move |i| node(&format!("{name}-{suffix}-{i}"), shape, &labels, taints))
    };
    let taints = &[("pool", "infra", "NoSchedule"), ("pool", "infra", "NoExecute")];
    let infra = pool("infra", row.infra_nodes, &T3_MEDIUM, taints);
    let made = create_nodes(trial.client(), infra.chain(pool("workload", row.workload_nodes, &R3_XLARGE, &[])), |_| ())
        .await?;
    let ours = format!("{RUN_LABEL}={}", trial.run_id());
    let until = tokio::time::Instant::now() + READY_WITHIN;
    loop {
        let ready = ready_nodes(trial.client(), &ours).await?;
        if ready == made {
            return Ok(());
        }
        if tokio::time::Instant::now() > until {
            let within = READY_WITHIN.as_secs();
            return Err(Error::Environment(format!("only {ready} of {made} nodes are ready within {within} s")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
