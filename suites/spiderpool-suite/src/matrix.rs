//! The document's experiment: Deployments come up on as many addresses as they have pods, all pods are deleted at once
//! and come back, all machines lose power and come back, and the Deployments go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::{NodeShape, RUN_LABEL};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Account, Error, Goal, PhaseSpec, Result, Trial, WatchSpec};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use measure::ledger::{CohortId, Stage};
use measure::{Seen, StallRule};
use serde::{Deserialize, Serialize};

use crate::addresses::{Addresses, Rule};
use crate::attribution::Edge;
use crate::kubelet::{Kubelets, Start};
use crate::machines::Machines;
use crate::plugin::{Plugin, Records};
use crate::pods::{Generation, PodSink, deployment};
use crate::stages::{
    ADDRESSED, ADDRESSED_AGAIN, DELETE_REQUESTED, GONE, INTENDED, OBSERVED, POD, POWER_LOST, RELEASED, RUNNING,
    RUNNING_AGAIN, SCHEDULED,
};
use crate::system::{Families, PluginName, System};

/// Deployments that are created or deleted at once, as `kubectl` with a file does it.
const DEPLOYMENTS_AT_ONCE: usize = 4;
/// How long the plugin's records may take to agree with what lives: a collector that looks every few seconds is no leak.
const RECORDS_WITHIN: Duration = Duration::from_secs(30);
/// How often the records are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(250);
/// Differences that a record names.
const NAMED: usize = 5;

/// Parameters of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// The plugin.
    pub plugin: PluginName,
    /// The families.
    pub families: Families,
    /// Deployments.
    pub deployments: u32,
    /// Pods of each.
    pub replicas: u32,
    /// Addresses beyond one for each pod, in percent of the pods.
    pub spare_percent: u32,
    /// Machines.
    pub nodes: u32,
    /// CPUs of a machine.
    pub node_cpu: u32,
    /// Memory of a machine in GiB.
    pub node_memory_gib: u32,
    /// Pods that fit on a machine.
    pub node_max_pods: u32,
    /// Sandboxes that one kubelet makes or tears down at once.
    pub sandboxes_per_node: usize,
    /// Programs of a plugin that run at once on the machine that measures.
    pub execs_at_once: usize,
    /// Seconds without power.
    pub outage_s: u64,
    /// Seconds without progress after which a phase is stalled.
    pub stalled_after_s: u64,
    /// Seconds after which a phase is over even if it moves.
    pub phase_limit_s: u64,
}

impl Matrix {
    /// Pods of the row.
    pub fn pods(&self) -> u32 {
        self.deployments * self.replicas
    }

    fn system(&self, nodes: Vec<String>) -> System {
        let pods = self.pods();
        System {
            plugin: self.plugin,
            families: self.families,
            // A range that belongs to one node cannot be as tight as a pool of all.
            addresses: match self.plugin {
                PluginName::HostLocal => self.node_max_pods,
                _ => pods + pods * self.spare_percent / 100,
            },
            execs_at_once: self.execs_at_once,
            nodes,
        }
    }
}

/// Runs the four phases, and checks the addresses throughout.
///
/// # Errors
/// When the system does not start, the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &Matrix) -> Result<()> {
    let mut driver = Driver::start(trial, row).await?;
    let phases = async {
        driver.create(trial).await?;
        driver.rebuild(trial).await?;
        driver.recover(trial).await?;
        driver.delete(trial).await
    };
    let outcome = phases.await;
    driver.conclude(trial)?;
    // What the trial extended the API with goes while its servers still run.
    let selector = format!("{RUN_LABEL}={}", trial.run_id());
    let removed = cluster::remove_extensions(trial.client(), &selector).await;
    outcome.and(removed.map_err(Error::from))
}

struct Driver {
    row: Matrix,
    account: Account,
    generations: [Generation; 2],
    current: Arc<AtomicUsize>,
    addresses: Arc<Mutex<Addresses>>,
    machines: Machines,
    plugin: Arc<dyn Plugin>,
    kubelets: Kubelets,
    deployments: Api<Deployment>,
    pods: Api<Pod>,
    clock: std::time::Instant,
    leaked: usize,
    unrecorded: usize,
    contradictions: usize,
}

impl Driver {
    async fn start(trial: &mut Trial, row: &Matrix) -> Result<Self> {
        let suffix = trial.run_id().rsplit('-').next().unwrap_or_default().to_owned();
        let names: Vec<String> = (0..row.nodes).map(|n| format!("worker-{suffix}-{n}")).collect();
        let Matrix { node_cpu: cpu, node_memory_gib: memory_gib, node_max_pods: max_pods, .. } = *row;
        let shape = NodeShape { cpu, memory_gib, max_pods };
        let machines = Machines::register(trial.client(), &names, &shape, &trial.cluster_labels()).await?;
        let system = row.system(names);
        let addresses = Arc::new(Mutex::new(Addresses::new(system.pools())));
        let plugin = system.start(trial).await?;
        plugin.processes().iter().for_each(|component| trial.observe(component));
        let account = Account::new(POD);
        let apps: Vec<String> = (0..row.deployments).map(|i| format!("deployment-{i}")).collect();
        let generations = [0, 1].map(|number| Generation::open(&account, &apps, number, row.replicas));
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
            generations: generations.to_vec(),
            current: Arc::clone(&current),
        };
        let path = format!("/api/v1/namespaces/{}/pods", trial.namespace());
        let selector = format!("{RUN_LABEL}={}", trial.run_id());
        trial.watch("pods", &account, WatchSpec { path, selector, tamper: None }, sink).await?;
        Ok(Self {
            row: row.clone(),
            account,
            generations,
            current,
            addresses,
            machines,
            plugin,
            kubelets,
            deployments: Api::namespaced(trial.client().clone(), trial.namespace()),
            pods: Api::namespaced(trial.client().clone(), trial.namespace()),
            clock: trial.clock(),
            leaked: 0,
            unrecorded: 0,
            contradictions: 0,
        })
    }

    /// "Record how long it takes until all pods are Running."
    async fn create(&mut self, trial: &mut Trial) -> Result<()> {
        let [first, _] = &self.generations;
        let spec = self.spec("create", first.cohorts(), Goal::Expected, (INTENDED, RUNNING), &[
            (INTENDED, OBSERVED),
            (OBSERVED, SCHEDULED),
            (SCHEDULED, ADDRESSED),
            (ADDRESSED, RUNNING),
            (INTENDED, RUNNING),
        ]);
        let (labels, run) = (trial.labels(), trial.run_id().to_owned());
        let create = async |(app, cohort): (&str, CohortId)| {
            let deployment = deployment(app, self.row.replicas, &labels, (RUN_LABEL, &run));
            let deployment = serde_json::from_value(deployment).map_err(kube::Error::SerdeError);
            let deployment: Deployment = deployment.map_err(Error::api(format!("cannot write Deployment {app}")))?;
            self.account.ledger().intend(cohort, self.clock.elapsed());
            let created = self.deployments.create(&PostParams::default(), &deployment).await;
            created.map(drop).map_err(Error::api(format!("cannot create Deployment {app}")))
        };
        let action =
            stream::iter(first.iter()).map(create).buffer_unordered(DEPLOYMENTS_AT_ONCE).try_collect::<()>();
        let edge = self.edge();
        trial.phase(spec, action).await?;
        self.over(trial, "create", &edge).await
    }

    /// All pods are deleted by name with one command, as `xargs kubectl delete pod` does it: one request after the other.
    async fn rebuild(&mut self, trial: &mut Trial) -> Result<()> {
        let [first, second] = &self.generations;
        let spec = self.spec("rebuild", second.cohorts(), Goal::Expected, (INTENDED, RUNNING), &[
            (INTENDED, OBSERVED),
            (SCHEDULED, ADDRESSED),
            (INTENDED, RUNNING),
        ]);
        let spec = PhaseSpec { also: Some((first.cohorts(), GONE)), ..spec };
        let names: Vec<String> = self.account.ledger().rows().map(|(name, ..)| name.to_owned()).collect();
        let edge = self.edge();
        let action = async {
            self.current.store(1, Ordering::SeqCst);
            second.iter().for_each(|(_, cohort)| self.account.ledger().intend(cohort, self.clock.elapsed()));
            for name in &names {
                self.account.ledger().mark(name, 0, DELETE_REQUESTED, self.clock.elapsed(), Seen::Event);
                let deleted = self.pods.delete(name, &DeleteParams::default()).await;
                deleted.map_err(Error::api(format!("cannot delete pod {name}")))?;
            }
            Ok(())
        };
        trial.phase(spec, action).await?;
        self.over(trial, "rebuild", &edge).await
    }

    /// "All nodes are powered off and on again." The clock starts at power-on.
    async fn recover(&mut self, trial: &mut Trial) -> Result<()> {
        let second = self.generations[1].cohorts();
        let spec = self.spec("recover", second.clone(), Goal::AllSeen, (POWER_LOST, RUNNING_AGAIN), &[
            (POWER_LOST, ADDRESSED_AGAIN),
            (ADDRESSED_AGAIN, RUNNING_AGAIN),
            (POWER_LOST, RUNNING_AGAIN),
        ]);
        let before = self.plugin.processes();
        before.iter().for_each(|component| trial.expect_death(component.process));
        self.machines.power_off().await?;
        self.plugin.power_off();
        tokio::time::sleep(Duration::from_secs(self.row.outage_s)).await;
        let edge = self.edge();
        let action = async {
            second.iter().for_each(|id| self.account.ledger().mark_cohort(*id, POWER_LOST, self.clock.elapsed()));
            self.plugin.power_on().await?;
            self.machines.power_on().await
        };
        trial.phase(spec, action).await?;
        self.plugin.processes().iter().for_each(|component| trial.observe(component));
        self.over(trial, "recover", &edge).await
    }

    /// "Delete all Deployments, and record how long it takes until all pods are gone."
    async fn delete(&mut self, trial: &mut Trial) -> Result<()> {
        let second = &self.generations[1];
        let stages = [(DELETE_REQUESTED, RELEASED), (RELEASED, GONE), (DELETE_REQUESTED, GONE)];
        let spec = self.spec("delete", second.cohorts(), Goal::AllSeen, (DELETE_REQUESTED, GONE), &stages);
        let delete = async |(app, cohort): (&str, CohortId)| {
            self.account.ledger().mark_cohort(cohort, DELETE_REQUESTED, self.clock.elapsed());
            let deleted = self.deployments.delete(app, &DeleteParams::background()).await;
            deleted.map(drop).map_err(Error::api(format!("cannot delete Deployment {app}")))
        };
        let action =
            stream::iter(second.iter()).map(delete).buffer_unordered(DEPLOYMENTS_AT_ONCE).try_collect::<()>();
        let edge = self.edge();
        trial.phase(spec, action).await?;
        self.over(trial, "delete", &edge).await
    }

    fn spec(
        &self,
        name: &'static str,
        cohorts: Vec<CohortId>,
        goal: Goal,
        (from, to): (Stage, Stage),
        stages: &[(Stage, Stage)],
    ) -> PhaseSpec {
        let rule = StallRule {
            no_progress_for: Duration::from_secs(self.row.stalled_after_s),
            at_most: Duration::from_secs(self.row.phase_limit_s),
        };
        let (account, stages) = (self.account.clone(), stages.to_vec());
        PhaseSpec { name, account, cohorts, also: None, goal, from, to, stages, gap: None, rule }
    }

    fn edge(&self) -> Edge {
        Edge::now(&*self.plugin, &self.kubelets)
    }

    /// What a phase cost, and whether the plugin's records agree with what lives after it.
    async fn over(&mut self, trial: &mut Trial, phase: &str, edge: &Edge) -> Result<()> {
        edge.record(trial, phase, self.row.pods(), &*self.plugin, &self.kubelets);
        let started = tokio::time::Instant::now();
        loop {
            let Records { records, contradictions } = self.plugin.records().await?;
            let difference = self.addresses().difference(&records);
            let settled = started.elapsed();
            if (difference.is_none() && contradictions.is_empty()) || settled > RECORDS_WITHIN {
                trial.metric(&format!("{phase}_records_settled_s"), settled.as_secs_f64());
                self.leaked += difference.leaked.len();
                self.unrecorded += difference.unrecorded.len();
                self.contradictions += contradictions.len();
                let leaked = difference.leaked.iter().map(|what| format!("leaked: {what}"));
                let unrecorded = difference.unrecorded.iter().map(|what| format!("in no record: {what}"));
                for what in leaked.chain(unrecorded).chain(contradictions).take(NAMED) {
                    trial.note(format!("after {phase}, {what}"));
                }
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes what became of the addresses, and every request to the plugin, into the record.
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
        trial.metric("addresses_leaked", self.leaked as f64);
        trial.metric("addresses_in_no_record", self.unrecorded as f64);
        trial.metric("contradictions_in_records", self.contradictions as f64);
        trial.metric("pods", f64::from(self.row.pods()));
        let csv = self.kubelets.log().csv();
        trial.attach("requests", &csv)
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
