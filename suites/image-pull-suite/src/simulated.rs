//! The document's Deployments on simulated nodes: pacing, placement and startup, and no pull, for nothing is pulled there.

use std::time::Duration;

use cluster::{NodeShape, RUN_LABEL, create_nodes, is_ready, node};
use harness::{Account, Error, PhaseSpec, Result, Trial};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use measure::StallRule;

use crate::deployment::Template;
use crate::deployments::Deployments;
use crate::parameters::Simulated;
use crate::pods::{INTENDED, OBSERVED, RUNNING, Round, SCHEDULED, STAGES};
use crate::started::Started;

/// The scenario's nodes for its pods, Standard_D4s_v3: 4 vCPUs and 16 GiB. How many pods they take, it leaves to AKS.
const D4S_V3: NodeShape = NodeShape { cpu: 4, memory_gib: 16, max_pods: 110 };
/// How long they may take to be there for pods.
const THERE_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Runs a row: nodes come, Deployments are created at their rate, their pods are placed and start, and all go.
///
/// # Errors
/// When the apiserver refuses something, the nodes are not there in time, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &Simulated) -> Result<()> {
    make_nodes(trial, row.nodes).await?;
    let (account, scale) = (Account::new(STAGES), row.scale());
    let round = Round::open(&account, "start", scale);
    let template = Template {
        labels: trial.labels(),
        // A name alone: nobody resolves it.
        image: "image-pull:1".to_owned(),
        // A cluster may have nodes beside those of the row.
        node_selector: [(RUN_LABEL.to_owned(), trial.run_id().to_owned())].into(),
    };
    let rule = StallRule::seconds(row.stalled_after_s, row.phase_limit_s);
    let rounds = std::slice::from_ref(&round);
    let deployments = Deployments::watched(trial, &account, rounds, template, scale, rule).await?;

    let creation = PhaseSpec {
        // The document's probe is not run: a simulated pod is ready as it runs.
        to: RUNNING,
        stages: vec![(INTENDED, OBSERVED), (OBSERVED, SCHEDULED), (SCHEDULED, RUNNING), (INTENDED, RUNNING)],
        ..deployments.creation("create", &round)
    };
    let mut slips = Vec::new();
    let outcome = trial.phase(creation, deployments.create(&round, &mut slips)).await;
    let started = Started { round: &round, account: &account, slips: &slips, scale };
    let reported = started.report(trial, "create").await;
    outcome?;
    reported?;
    started.paced("create")?;
    trial.phase(deployments.deletion("delete", &round), deployments.delete(&round)).await
}

/// Makes the nodes, and waits until pods can be placed on all of them: one that is Ready has a taint for a moment more.
async fn make_nodes(trial: &Trial, count: u32) -> Result<()> {
    let labels = trial.cluster_labels();
    let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let suffix = trial.suffix();
    let nodes = (0..count).map(|i| node(&format!("worker-{suffix}-{i}"), &D4S_V3, &labels, &[]));
    create_nodes(trial.client(), nodes, |_| ()).await?;
    let api: Api<Node> = Api::all(trial.client().clone());
    let ours = ListParams::default().labels(&format!("{RUN_LABEL}={}", trial.run_id())).match_any();
    let until = tokio::time::Instant::now() + THERE_WITHIN;
    loop {
        let nodes = api.list(&ours).await.map_err(Error::api("cannot list nodes"))?.items;
        let there = nodes.iter().filter(|node| takes_pods(node)).count();
        if there == count as usize {
            return Ok(());
        }
        if tokio::time::Instant::now() > until {
            let within = THERE_WITHIN.as_secs();
            return Err(Error::Environment(format!("only {there} of {count} nodes take pods within {within} s")));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn takes_pods(node: &Node) -> bool {
    is_ready(node) && node.spec.as_ref().is_none_or(|spec| spec.taints.iter().flatten().next().is_none())
}
