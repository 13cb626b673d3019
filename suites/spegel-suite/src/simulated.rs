//! The rollout alone, on simulated nodes: order and account, and no pull time, for nothing is pulled.

use cluster::{NodeShape, RUN_LABEL, create_nodes, node};
use harness::{Result, Tamper, Trial};
use measure::StallRule;

use crate::daemonset::Template;
use crate::parameters::Simulated;
use crate::rollout::Rollout;

/// Runs a row: nodes come, a DaemonSet is created and updated on them, and goes.
///
/// # Errors
/// When the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &Simulated, tamper: Option<Tamper>) -> Result<()> {
    let labels = trial.cluster_labels();
    let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let suffix = trial.suffix();
    let nodes = (0..row.nodes).map(|i| node(&format!("worker-{suffix}-{i}"), &NodeShape::default(), &labels, &[]));
    create_nodes(trial.client(), nodes, |_| ()).await?;
    let template = Template {
        labels: trial.labels(),
        images: ["benchmark:v1", "benchmark:v2"].map(str::to_owned),
        max_unavailable: row.max_unavailable,
        // A cluster may have nodes beside those of the row.
        node_selector: [(RUN_LABEL.to_owned(), trial.run_id().to_owned())].into(),
    };
    let rule = StallRule::seconds(row.stalled_after_s, row.phase_limit_s);
    let rollout = Rollout::watched(trial, template, row.nodes as usize, rule, tamper).await?;
    trial.phase(rollout.creation(), rollout.create()).await?;
    let updated = trial.phase(rollout.updating(), rollout.update()).await;
    trial.metric("update_unavailable_max", rollout.unavailable_max() as f64);
    updated?;
    trial.phase(rollout.deletion(), rollout.delete()).await
}
