//! The document's experiment: Deployments come up on as many addresses as they have pods, all pods are deleted at once
//! and come back, all machines lose power and come back, and the Deployments go.

use std::time::Duration;

use harness::{Error, Goal, PhaseSpec, Result, Trial};
use kube::api::DeleteParams;
use measure::Seen;
use serde::{Deserialize, Serialize};

use crate::attribution;
use crate::performance::PerformanceResults;
use crate::rig::Rig;
use crate::stages::{
    ADDRESSED, ADDRESSED_AGAIN, DELETE_REQUESTED, GONE, INTENDED, OBSERVED, POWER_LOST, RELEASED, RUNNING,
    RUNNING_AGAIN, SCHEDULED,
};
use crate::system::{Families, Interpose, PluginName, System};

/// Parameters of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// The plugin.
    pub plugin: PluginName,
    /// The families.
    pub families: Families,
    /// Deployments.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub deployments: u32,
    /// Pods of each.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub replicas: u32,
    /// Addresses beyond one for each pod, in percent of the pods.
    pub spare_percent: u32,
    /// Machines.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub nodes: u32,
    /// CPUs of a machine.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub node_cpu: u32,
    /// Memory of a machine in GiB.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub node_memory_gib: u32,
    /// Pods that fit on a machine.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub node_max_pods: u32,
    /// Sandboxes that one kubelet makes or tears down at once.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub sandboxes_per_node: usize,
    /// Programs of a plugin that run at once on the machine that measures.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub execs_at_once: usize,
    /// Seconds without power.
    pub outage_s: u64,
    /// Seconds within which the plugin's records have to agree with what lives after a phase: what a collector that looks
    /// every few seconds has not found yet is no leak.
    pub records_within_s: u64,
    /// Seconds without progress after which a phase is stalled.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub stalled_after_s: u64,
    /// Seconds after which a phase is over even if it moves.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub phase_limit_s: u64,
}

impl Matrix {
    /// Pods of the row.
    pub fn pods(&self) -> u32 {
        self.deployments * self.replicas
    }

    pub(crate) fn system(&self, nodes: Vec<String>) -> System {
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
pub async fn drive(trial: &mut Trial, row: &Matrix, interpose: Option<Interpose>) -> Result<()> {
    let apps: Vec<_> = (0..row.deployments).map(|i| (format!("deployment-{i}"), row.replicas)).collect();
    let mut rig = Rig::start(trial, row, &apps, 2, interpose).await?;
    let outcome = async {
        create(trial, &mut rig).await?;
        rebuild(trial, &mut rig).await?;
        recover(trial, &mut rig, Duration::from_secs(row.outage_s)).await?;
        delete(trial, &mut rig).await
    };
    let outcome = outcome.await;
    if outcome.is_ok() {
        attribution::life(trial);
        if row.plugin.is_subject() {
            report(trial, row)?;
        }
    }
    rig.end(trial, outcome).await
}

/// Keeps the figures in the form of Spiderpool's own test, whose phases end when the records agree.
fn report(trial: &mut Trial, row: &Matrix) -> Result<()> {
    let seconds = |name: &str| {
        let phase = trial.phases().iter().find(|phase| phase.name == name).map_or(0.0, |phase| phase.took_s);
        phase + trial.figure(&format!("{name}_records_settled_s")).unwrap_or(0.0)
    };
    let [create, rebuild, delete] = ["create", "rebuild", "delete"].map(seconds);
    let results = PerformanceResults::new(row.pods(), create, rebuild, delete);
    trial.drop_in("performance.json", results.report().as_bytes())
}

/// "Record how long it takes until all pods are Running."
async fn create(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let first = rig.generations[0].clone();
    let spec = rig.spec(
        "create",
        first.cohorts(),
        Goal::Expected,
        (INTENDED, RUNNING),
        &[
            (INTENDED, OBSERVED),
            (OBSERVED, SCHEDULED),
            (SCHEDULED, ADDRESSED),
            (ADDRESSED, RUNNING),
            (INTENDED, RUNNING),
        ],
    );
    let edge = rig.edge().await;
    let outcome = trial.phase(spec, rig.create(&first.apps())).await;
    rig.over(trial, "create", &edge, outcome).await
}

/// All pods are deleted by name with one command, as `xargs kubectl delete pod` does it: one request after the other.
async fn rebuild(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let (first, second) = (rig.generations[0].cohorts(), rig.generations[1].cohorts());
    let stages = [(INTENDED, OBSERVED), (SCHEDULED, ADDRESSED), (INTENDED, RUNNING)];
    let spec = rig.spec("rebuild", second.clone(), Goal::Expected, (INTENDED, RUNNING), &stages);
    let spec = PhaseSpec { also: Some((first, GONE)), ..spec };
    let names: Vec<String> = rig.account.ledger().rows().map(|(name, ..)| name.to_owned()).collect();
    let edge = rig.edge().await;
    let action = async {
        rig.next_generation(1);
        second.iter().for_each(|cohort| rig.account.ledger().intend(*cohort, rig.clock.elapsed()));
        for name in &names {
            rig.account.ledger().mark(name, 0, DELETE_REQUESTED, rig.clock.elapsed(), Seen::Event);
            let deleted = rig.pods.delete(name, &DeleteParams::default()).await;
            deleted.map_err(Error::api(format!("cannot delete pod {name}")))?;
        }
        Ok(())
    };
    let outcome = trial.phase(spec, action).await;
    rig.over(trial, "rebuild", &edge, outcome).await
}

/// "All nodes are powered off and on again." The clock starts at power-on.
async fn recover(trial: &mut Trial, rig: &mut Rig, outage: Duration) -> Result<()> {
    let second = rig.generations[1].cohorts();
    let spec = rig.spec(
        "recover",
        second.clone(),
        Goal::AllSeen,
        (POWER_LOST, RUNNING_AGAIN),
        &[(POWER_LOST, ADDRESSED_AGAIN), (ADDRESSED_AGAIN, RUNNING_AGAIN), (POWER_LOST, RUNNING_AGAIN)],
    );
    rig.plugin.processes().iter().for_each(|component| trial.expect_death(component.process));
    rig.machines.power_off().await?;
    rig.plugin.power_off();
    rig.addresses().power_lost();
    tokio::time::sleep(outage).await;
    let edge = rig.edge().await;
    let action = async {
        second.iter().for_each(|cohort| rig.account.ledger().mark_cohort(*cohort, POWER_LOST, rig.clock.elapsed()));
        rig.plugin.power_on().await?;
        rig.machines.power_on().await
    };
    let outcome = trial.phase(spec, action).await;
    rig.plugin.processes().iter().for_each(|component| trial.observe(component));
    rig.over(trial, "recover", &edge, outcome).await
}

/// "Delete all Deployments, and record how long it takes until all pods are gone."
async fn delete(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let second = rig.generations[1].clone();
    let stages = [(DELETE_REQUESTED, RELEASED), (RELEASED, GONE), (DELETE_REQUESTED, GONE)];
    let spec = rig.spec("delete", second.cohorts(), Goal::AllSeen, (DELETE_REQUESTED, GONE), &stages);
    let edge = rig.edge().await;
    let outcome = trial.phase(spec, rig.delete(&second.apps())).await;
    rig.over(trial, "delete", &edge, outcome).await
}
