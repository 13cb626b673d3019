//! What every row runs on: machines with kubelets, the plugin, the pods' account and the addresses' account.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cluster::{NodeShape, RUN_LABEL};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Account, Error, Goal, PhaseSpec, Result, Trial, WatchSpec};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use measure::StallRule;
use measure::ledger::{CohortId, Stage};

use crate::addresses::{Addresses, Rule};
use crate::attribution::Edge;
use crate::automatic::faults;
use crate::kubelet::{Kubelets, Start};
use crate::machines::Machines;
use crate::matrix::Matrix;
use crate::plugin::{Plugin, Records};
use crate::pods::{App, Generation, PodSink, deployment};
use crate::stages::{DELETE_REQUESTED, POD};
use crate::system::Interpose;

/// Deployments that are created or deleted at once.
const DEPLOYMENTS_AT_ONCE: usize = 4;
/// How often the records are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(250);
/// Differences that a record names.
const NAMED: usize = 5;

/// A running rig.
pub(crate) struct Rig {
    pub(crate) account: Account,
    pub(crate) generations: Vec<Generation>,
    pub(crate) machines: Machines,
    pub(crate) plugin: Arc<dyn Plugin>,
    pub(crate) kubelets: Kubelets,
    pub(crate) pods: Api<Pod>,
    pub(crate) clock: Instant,
    row: Matrix,
    current: Arc<AtomicUsize>,
    addresses: Arc<Mutex<Addresses>>,
    deployments: Api<Deployment>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// The Deployments that live, each with its pods.
    living: Mutex<BTreeMap<String, u32>>,
    differences: Differences,
}

/// What the plugin's records and what lives disagreed about, over all phases, by the metric that counts it.
type Differences = BTreeMap<&'static str, usize>;

impl Rig {
    /// Starts everything. `apps` are the Deployments with their pods, which come in as many generations.
    pub(crate) async fn start(
        trial: &mut Trial,
        row: &Matrix,
        apps: &[(String, u32)],
        generations: u32,
        interpose: Option<Interpose>,
    ) -> Result<Self> {
        let suffix = trial.suffix();
        let names: Vec<String> = (0..row.nodes).map(|n| format!("worker-{suffix}-{n}")).collect();
        let Matrix { node_cpu: cpu, node_memory_gib: memory_gib, node_max_pods: max_pods, .. } = *row;
        let shape = NodeShape { cpu, memory_gib, max_pods };
        let machines = Machines::register(trial.client(), &names, &shape, &trial.cluster_labels()).await?;
        let system = row.system(names);
        let addresses = Arc::new(Mutex::new(Addresses::new(system.pools())));
        let plugin = system.start(trial, interpose).await?;
        let account = Account::new(POD);
        let generations: Vec<_> = (0..generations).map(|number| Generation::open(&account, apps, number)).collect();
        let start = Start {
            namespace: trial.namespace().to_owned(),
            plugin: Arc::clone(&plugin),
            account: account.clone(),
            addresses: Arc::clone(&addresses),
            clock: trial.clock(),
            sandboxes_per_node: row.sandboxes_per_node,
        };
        let kubelets = Kubelets::start(trial.client(), &machines, start);
        let current = Arc::new(AtomicUsize::new(0));
        let sink = PodSink {
            account: account.clone(),
            addresses: Arc::clone(&addresses),
            news: kubelets.news(),
            generations: generations.clone(),
            current: Arc::clone(&current),
        };
        let path = format!("/api/v1/namespaces/{}/pods", trial.namespace());
        let selector = format!("{RUN_LABEL}={}", trial.run_id());
        trial.watch("pods", &account, WatchSpec { path, selector, tamper: None }, sink).await?;
        Ok(Self {
            account,
            generations,
            machines,
            annotations: plugin.annotations(),
            plugin,
            kubelets,
            pods: Api::namespaced(trial.client().clone(), trial.namespace()),
            clock: trial.clock(),
            row: row.clone(),
            current,
            addresses,
            deployments: Api::namespaced(trial.client().clone(), trial.namespace()),
            labels: trial.labels(),
            living: Mutex::default(),
            differences: Differences::default(),
        })
    }

    /// Writes what became of the addresses into the record, and takes away what the API was extended with, while those who
    /// serve it still run.
    pub(crate) async fn end(self, trial: &mut Trial, outcome: Result<()>) -> Result<()> {
        self.conclude(trial)?;
        let selector = format!("{RUN_LABEL}={}", trial.run_id());
        let removed = cluster::remove_extensions(trial.client(), &selector).await;
        outcome.and(removed.map_err(Error::from))
    }

    /// A phase over `stages`, given up by the row's rule.
    pub(crate) fn spec(
        &self,
        name: &'static str,
        cohorts: Vec<CohortId>,
        goal: Goal,
        between: (Stage, Stage),
        stages: &[(Stage, Stage)],
    ) -> PhaseSpec {
        let rule = StallRule::seconds(self.row.stalled_after_s, self.row.phase_limit_s);
        PhaseSpec { goal, stages: stages.to_vec(), ..PhaseSpec::new(name, &self.account, cohorts, between, rule) }
    }

    /// Creates Deployments whose pods go to the machines of the trial.
    pub(crate) async fn create(&self, apps: &[App]) -> Result<()> {
        let create = async |App { name: app, replicas, cohort }: &App| {
            let deployment = deployment(app, *replicas, &self.labels, &self.annotations);
            let deployment = serde_json::from_value(deployment).map_err(kube::Error::SerdeError);
            let deployment: Deployment = deployment.map_err(Error::api(format!("cannot write Deployment {app}")))?;
            self.account.ledger().intend(*cohort, self.clock.elapsed());
            lock(&self.living).insert(app.clone(), *replicas);
            let created = self.deployments.create(&PostParams::default(), &deployment).await;
            created.map(drop).map_err(Error::api(format!("cannot create Deployment {app}")))
        };
        stream::iter(apps).map(create).buffer_unordered(DEPLOYMENTS_AT_ONCE).try_collect().await
    }

    /// Deletes Deployments, and leaves their pods to the garbage collector.
    pub(crate) async fn delete(&self, apps: &[App]) -> Result<()> {
        let delete = async |App { name: app, cohort, .. }: &App| {
            self.account.ledger().mark_cohort(*cohort, DELETE_REQUESTED, self.clock.elapsed());
            lock(&self.living).remove(app);
            let deleted = self.deployments.delete(app, &DeleteParams::background()).await;
            deleted.map(drop).map_err(Error::api(format!("cannot delete Deployment {app}")))
        };
        stream::iter(apps).map(delete).buffer_unordered(DEPLOYMENTS_AT_ONCE).try_collect().await
    }

    /// Pods that are seen for the first time from now on belong to that generation.
    pub(crate) fn next_generation(&self, number: usize) {
        self.current.store(number, Ordering::SeqCst);
    }

    /// What is counted when a phase begins.
    pub(crate) async fn edge(&self) -> Edge {
        Edge::now(&*self.plugin, &self.kubelets).await
    }

    /// What a phase cost, however it ended, and whether the plugin's records agree with what lives after it.
    pub(crate) async fn over(
        &mut self,
        trial: &mut Trial,
        phase: &str,
        edge: &Edge,
        outcome: Result<()>,
    ) -> Result<()> {
        edge.record(trial, phase, self.row.pods(), &*self.plugin, &self.kubelets).await;
        outcome?;
        let (started, within) = (tokio::time::Instant::now(), Duration::from_secs(self.row.records_within_s));
        loop {
            let found = self.disagreements().await?;
            let settled = started.elapsed();
            if found.values().all(Vec::is_empty) || settled > within {
                trial.metric(&format!("{phase}_records_settled_s"), settled.as_secs_f64());
                for (metric, what) in &found {
                    *self.differences.entry(*metric).or_default() += what.len();
                }
                for what in found.values().flatten().take(NAMED) {
                    trial.note(format!("after {phase}, {what}"));
                }
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What the plugin's records and what lives disagree about now, in words, by the metric that counts it.
    async fn disagreements(&self) -> Result<BTreeMap<&'static str, Vec<String>>> {
        let Records { records, contradictions } = self.plugin.records().await?;
        let difference = self.addresses().difference(&records);
        let leaked = difference.leaked.iter().map(|what| format!("leaked: {what}")).collect();
        let unrecorded = difference.unrecorded.iter().map(|what| format!("in no record: {what}")).collect();
        let mut found = BTreeMap::from([
            ("addresses_leaked", leaked),
            ("addresses_in_no_record", unrecorded),
            ("contradictions_in_records", contradictions),
        ]);
        if let Some(pools) = self.plugin.automatic_pools().await? {
            let faults = faults(&pools, self.row.families.all(), &lock(&self.living));
            let missing = faults.missing.iter().map(|what| format!("missing: {what}")).collect();
            let left = faults.left.iter().map(|what| format!("left: {what}")).collect();
            found.insert("automatic_pools_missing", missing);
            found.insert("automatic_pools_of_wrong_size", faults.of_wrong_size);
            found.insert("automatic_pools_left", left);
        }
        Ok(found)
    }

    /// The addresses' account, for as long as the guard lives.
    pub(crate) fn addresses(&self) -> MutexGuard<'_, Addresses> {
        lock(&self.addresses)
    }

    fn conclude(&self, trial: &mut Trial) -> Result<()> {
        let rules = [
            ("addresses_held_twice", Rule::HeldOnce),
            ("addresses_shown_twice", Rule::ShownOnce),
            ("addresses_outside_pools", Rule::InPool),
            ("pods_without_one_address_a_family", Rule::OneOfEachFamily),
        ];
        for (metric, rule) in rules {
            let count = self.addresses().count(rule);
            trial.metric(metric, count as f64);
        }
        let breaches: Vec<String> = self.addresses().breaches().iter().map(ToString::to_string).collect();
        breaches.into_iter().for_each(|breach| trial.note(breach));
        for (metric, count) in &self.differences {
            trial.metric(metric, *count as f64);
        }
        trial.metric("pods", f64::from(self.row.pods()));
        let csv = self.kubelets.log().csv();
        trial.attach("requests", &csv)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
