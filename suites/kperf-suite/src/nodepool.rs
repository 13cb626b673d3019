//! A virtual node pool through its whole life: nodes come, Deployments run on them, roll once, go, and the nodes go.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{NodeShape, create_nodes, node};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Account, Change, Error, Goal, Object, PhaseSpec, Result, Sink, Tamper, Trial, WatchSpec};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use measure::ledger::{CohortId, Stage};
use measure::{Seen, StallRule};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The pool's name, as kperf labels its nodes. Kperf names them `kperf-0`, `kperf-1`, …; these have the end of the run's
/// id in between, because somebody may have such a pool on the same cluster.
const POOL: &str = "kperf";
/// Label of a pod: which writing of its Deployment's template it was made from.
const GENERATION: &str = "kubedyno.io/generation";
/// Label of a pod: its Deployment.
const APP: &str = "app";
/// Deployments that are created, patched or deleted at once.
const DEPLOYMENTS_AT_ONCE: usize = 4;
/// Nodes that are deleted at once.
const DELETES_AT_ONCE: usize = 8;

/// Stages of a node.
const NODE: &[&str] = &["intended", "acknowledged", "observed", "ready", "delete requested", "gone"];
const NODE_INTENDED: Stage = 0;
const NODE_ACKNOWLEDGED: Stage = 1;
const NODE_OBSERVED: Stage = 2;
const NODE_READY: Stage = 3;
const NODE_DELETE: Stage = 4;
const NODE_GONE: Stage = 5;

/// Stages of a pod. It is intended when its Deployment is created or patched.
const POD: &[&str] = &["intended", "observed", "scheduled", "running", "delete requested", "gone"];
const POD_INTENDED: Stage = 0;
const POD_OBSERVED: Stage = 1;
const POD_SCHEDULED: Stage = 2;
const POD_RUNNING: Stage = 3;
const POD_DELETE: Stage = 4;
const POD_GONE: Stage = 5;

/// Parameters of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePool {
    /// Nodes of the pool.
    pub nodes: u32,
    /// CPUs of a node.
    pub node_cpu: u32,
    /// Memory of a node in GiB.
    pub node_memory_gib: u32,
    /// Pods that fit on a node.
    pub node_max_pods: u32,
    /// Deployments.
    pub deployments: u32,
    /// Pods of each.
    pub replicas: u32,
    /// Whether every Deployment is rolled once.
    pub roll: bool,
    /// Seconds without progress after which a phase is stalled.
    pub stalled_after_s: u64,
    /// Seconds after which a phase is over even if it moves.
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
pub async fn drive(trial: &mut Trial, pool: &NodePool, mut disturbance: Disturbance) -> Result<()> {
    let rule = StallRule {
        no_progress_for: Duration::from_secs(pool.stalled_after_s),
        at_most: Duration::from_secs(pool.phase_limit_s),
    };
    let run = format!("{}={}", cluster::RUN_LABEL, trial.run_id());
    let (nodes, pods) = (Account::new(NODE), Account::new(POD));
    let pool_cohort = nodes.ledger().cohort(POOL, pool.nodes as usize);
    let apps: Vec<String> = (0..pool.deployments).map(|i| format!("deployment-{i}")).collect();
    let generations = [0, 1].map(|generation| Generation::open(&pods, &apps, generation, pool.replicas));
    let [first, second] = generations.each_ref().map(|generation| generation.cohorts());

    let sink = NodeSink { account: nodes.clone(), cohort: pool_cohort };
    let spec = WatchSpec { path: "/api/v1/nodes".to_owned(), selector: run.clone(), tamper: None };
    trial.watch("nodes", &nodes, spec, sink).await?;
    let sink = PodSink { account: pods.clone(), generations: generations.clone() };
    let path = format!("/api/v1/namespaces/{}/pods", trial.namespace());
    trial.watch("pods", &pods, WatchSpec { path, selector: run, tamper: disturbance.pods.take() }, sink).await?;

    let driver = Driver::new(trial, pool, &nodes, &pods);
    let phase = |name, account: &Account, cohorts: &[CohortId], goal, from, to, stages: &[(Stage, Stage)]| PhaseSpec {
        name,
        account: account.clone(),
        cohorts: cohorts.to_vec(),
        also: None,
        goal,
        from,
        to,
        stages: stages.to_vec(),
        gap: None,
        rule,
    };
    let node_stages = [(NODE_INTENDED, NODE_ACKNOWLEDGED), (NODE_INTENDED, NODE_OBSERVED), (NODE_OBSERVED, NODE_READY)];
    let pod_stages = [
        (POD_INTENDED, POD_OBSERVED),
        (POD_OBSERVED, POD_SCHEDULED),
        (POD_SCHEDULED, POD_RUNNING),
        (POD_INTENDED, POD_RUNNING),
    ];

    let spec = phase("create-nodes", &nodes, &[pool_cohort], Goal::Expected, NODE_INTENDED, NODE_READY, &node_stages);
    let spec = PhaseSpec { gap: Some((NODE_OBSERVED, NODE_READY)), ..spec };
    trial.phase(spec, begin(&mut disturbance, "create-nodes", driver.create_nodes())).await?;

    let spec = phase("create-pods", &pods, &first, Goal::Expected, POD_INTENDED, POD_RUNNING, &pod_stages);
    let spec = PhaseSpec { gap: Some((POD_SCHEDULED, POD_RUNNING)), ..spec };
    trial.phase(spec, begin(&mut disturbance, "create-pods", driver.create_deployments(&generations[0]))).await?;

    if pool.roll {
        let spec = phase("roll-pods", &pods, &second, Goal::Expected, POD_INTENDED, POD_RUNNING, &pod_stages);
        let spec = PhaseSpec { also: Some((first.clone(), POD_GONE)), ..spec };
        trial.phase(spec, begin(&mut disturbance, "roll-pods", driver.roll(&generations))).await?;
    }

    let (last, cohorts) = if pool.roll { (&generations[1], &second) } else { (&generations[0], &first) };
    let gone = [(POD_DELETE, POD_GONE)];
    let spec = phase("delete-pods", &pods, cohorts, Goal::AllSeen, POD_DELETE, POD_GONE, &gone);
    trial.phase(spec, begin(&mut disturbance, "delete-pods", driver.delete_deployments(last))).await?;

    let gone = [(NODE_DELETE, NODE_GONE)];
    let spec = phase("delete-nodes", &nodes, &[pool_cohort], Goal::AllSeen, NODE_DELETE, NODE_GONE, &gone);
    trial.phase(spec, begin(&mut disturbance, "delete-nodes", driver.delete_nodes())).await?;
    trial.metric("nodes", f64::from(pool.nodes));
    trial.metric("pods", f64::from(pool.deployments * pool.replicas));
    Ok(())
}

/// Tells the disturbance that a phase begins, and acts.
async fn begin(disturbance: &mut Disturbance, phase: &str, action: impl Future<Output = Result<()>>) -> Result<()> {
    if let Some(on_phase) = &mut disturbance.on_phase {
        on_phase(phase);
    }
    action.await
}

/// The pods of all Deployments that were made from one writing of their templates.
#[derive(Clone, Debug)]
struct Generation {
    number: u32,
    by_app: BTreeMap<String, CohortId>,
}

impl Generation {
    fn open(account: &Account, apps: &[String], number: u32, replicas: u32) -> Self {
        let by_app = apps.iter().map(|app| {
            let name = format!("{app} generation {number}");
            (app.clone(), account.ledger().cohort(&name, replicas as usize))
        });
        Self { number, by_app: by_app.collect() }
    }

    fn cohorts(&self) -> Vec<CohortId> {
        self.by_app.values().copied().collect()
    }
}

/// Everything that the phases' actions need, apart from the trial that runs them.
struct Driver {
    pool: NodePool,
    client: kube::Client,
    deployments: Api<Deployment>,
    labels: BTreeMap<String, String>,
    node_labels: BTreeMap<String, String>,
    node_prefix: String,
    clock: std::time::Instant,
    nodes: Account,
    pods: Account,
}

impl Driver {
    fn new(trial: &Trial, pool: &NodePool, nodes: &Account, pods: &Account) -> Self {
        Self {
            pool: pool.clone(),
            client: trial.client().clone(),
            deployments: Api::namespaced(trial.client().clone(), trial.namespace()),
            labels: trial.labels(),
            node_labels: trial.cluster_labels(),
            node_prefix: format!("{POOL}-{}", trial.run_id().rsplit('-').next().unwrap_or_default()),
            clock: trial.clock(),
            nodes: nodes.clone(),
            pods: pods.clone(),
        }
    }

    async fn create_nodes(&self) -> Result<()> {
        let NodePool { node_cpu: cpu, node_memory_gib: memory_gib, node_max_pods: max_pods, .. } = self.pool;
        let shape = NodeShape { cpu, memory_gib, max_pods };
        let labels = self.node_labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let labels: Vec<_> =
            labels.chain([("type", "kperf-virtualnodes"), ("alpha.kperf.io/nodepool", POOL)]).collect();
        let taints = [("kperf.io/nodepool", "fake", "NoSchedule")];
        let stamp = |name: &str, stage| self.nodes.ledger().mark(name, 0, stage, self.clock.elapsed(), Seen::Event);
        // The iterator is pulled when a request is about to be sent, so that is when the node is intended.
        let nodes = (0..self.pool.nodes).map(|i| {
            let name = self.node_name(i);
            stamp(&name, NODE_INTENDED);
            node(&name, &shape, &labels, &taints)
        });
        create_nodes(&self.client, nodes, |name| {
            stamp(name, NODE_ACKNOWLEDGED);
        })
        .await?;
        Ok(())
    }

    async fn create_deployments(&self, generation: &Generation) -> Result<()> {
        self.each_deployment(generation, async |app, cohort| {
            let deployment = serde_json::from_value(self.deployment(app)).map_err(kube::Error::SerdeError);
            let deployment: Deployment = deployment.map_err(Error::api(format!("cannot write Deployment {app}")))?;
            self.intend(cohort);
            let created = self.deployments.create(&PostParams::default(), &deployment).await;
            created.map(drop).map_err(Error::api(format!("cannot create Deployment {app}")))
        })
        .await
    }

    async fn roll(&self, [first, second]: &[Generation; 2]) -> Result<()> {
        self.each_deployment(second, async |app, cohort| {
            let labels = json!({GENERATION: second.number.to_string()});
            let patch = json!({"spec": {"template": {"metadata": {"labels": labels}}}});
            self.intend(cohort);
            self.pods.ledger().mark_cohort(first.by_app[app], POD_DELETE, self.clock.elapsed());
            let patched = self.deployments.patch(app, &PatchParams::default(), &Patch::Merge(&patch)).await;
            patched.map(drop).map_err(Error::api(format!("cannot patch Deployment {app}")))
        })
        .await
    }

    async fn delete_deployments(&self, generation: &Generation) -> Result<()> {
        self.each_deployment(generation, async |app, cohort| {
            self.pods.ledger().mark_cohort(cohort, POD_DELETE, self.clock.elapsed());
            let deleted = self.deployments.delete(app, &DeleteParams::background()).await;
            deleted.map(drop).map_err(Error::api(format!("cannot delete Deployment {app}")))
        })
        .await
    }

    async fn delete_nodes(&self) -> Result<()> {
        let api: Api<Node> = Api::all(self.client.clone());
        let delete = async |i: u32| {
            let name = self.node_name(i);
            let requested = self.clock.elapsed();
            self.nodes.ledger().mark(&name, 0, NODE_DELETE, requested, Seen::Event);
            let deleted = api.delete(&name, &DeleteParams::default()).await;
            deleted.map(drop).map_err(Error::api(format!("cannot delete node {name}")))
        };
        stream::iter(0..self.pool.nodes).map(delete).buffer_unordered(DELETES_AT_ONCE).try_collect().await
    }

    fn node_name(&self, i: u32) -> String {
        format!("{}-{i}", self.node_prefix)
    }

    async fn each_deployment(
        &self,
        generation: &Generation,
        action: impl AsyncFn(&str, CohortId) -> Result<()>,
    ) -> Result<()> {
        let action = &action;
        stream::iter(&generation.by_app)
            .map(async |(app, cohort)| action(app, *cohort).await)
            .buffer_unordered(DEPLOYMENTS_AT_ONCE)
            .try_collect()
            .await
    }

    /// The pods of a cohort are intended now; each gets the stamp when it is first seen.
    fn intend(&self, cohort: CohortId) {
        self.pods.ledger().intend(cohort, self.clock.elapsed());
    }

    fn deployment(&self, app: &str) -> serde_json::Value {
        let mut labels = self.labels.clone();
        labels.extend([(APP.to_owned(), app.to_owned()), (GENERATION.to_owned(), "0".to_owned())]);
        // Affinity and toleration are those that the document gives for pods on virtual nodes.
        let terms =
            json!([{"matchExpressions": [{"key": "type", "operator": "In", "values": ["kperf-virtualnodes"]}]}]);
        let affinity = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": app, "labels": self.labels},
            "spec": {
                "replicas": self.pool.replicas,
                "selector": {"matchLabels": {APP: app}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "affinity": {"nodeAffinity": affinity},
                        "tolerations": [{"key": "kperf.io/nodepool", "operator": "Exists", "effect": "NoSchedule"}],
                        "containers": [{"name": "pause", "image": "pause"}],
                    },
                },
            },
        })
    }
}

struct NodeSink {
    account: Account,
    cohort: CohortId,
}

impl Sink for NodeSink {
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen) {
        let name = &object.metadata.name;
        let mut ledger = self.account.ledger();
        ledger.mark(name, self.cohort, NODE_OBSERVED, at, seen);
        if object.is("Ready") {
            ledger.mark(name, self.cohort, NODE_READY, at, seen);
        }
        if change == Change::Gone {
            ledger.mark(name, self.cohort, NODE_GONE, at, seen);
        }
    }

    fn listed(&mut self, present: &[String], at: Duration) {
        self.account.ledger().mark_absent(present, NODE_OBSERVED, NODE_GONE, at);
    }
}

struct PodSink {
    account: Account,
    generations: [Generation; 2],
}

impl PodSink {
    fn cohort(&self, object: &Object<'_>) -> Option<CohortId> {
        let number = object.metadata.labels.get(GENERATION)?.parse::<u32>().ok()?;
        let generation = self.generations.iter().find(|generation| generation.number == number)?;
        generation.by_app.get(&**object.metadata.labels.get(APP)?).copied()
    }
}

impl Sink for PodSink {
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen) {
        let Some(cohort) = self.cohort(object) else { return };
        let name = &object.metadata.name;
        let mut ledger = self.account.ledger();
        if ledger.mark(name, cohort, POD_OBSERVED, at, seen) {
            ledger.mark_intended(name, cohort, POD_INTENDED);
        }
        if !object.spec.node_name.is_empty() && ledger.mark(name, cohort, POD_SCHEDULED, at, seen) {
            ledger.note(name, &object.spec.node_name);
        }
        if object.status.phase == "Running" && object.is("Ready") {
            ledger.mark(name, cohort, POD_RUNNING, at, seen);
        }
        if change == Change::Gone {
            ledger.mark(name, cohort, POD_GONE, at, seen);
        }
    }

    fn listed(&mut self, present: &[String], at: Duration) {
        self.account.ledger().mark_absent(present, POD_OBSERVED, POD_GONE, at);
    }
}
