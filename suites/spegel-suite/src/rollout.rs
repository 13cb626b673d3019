//! The document's two steps: a DaemonSet is created, so that all nodes pull at once, and then updated, so that its pods are
//! replaced one after the other. Every pod of it is accounted for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::{Account, Change, Error, Goal, Object, PhaseSpec, PodStages, Result, Sink, Tamper, Trial, WatchSpec};
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use measure::ledger::{CohortId, Stage};
use measure::{Seen, StallRule};

use crate::daemonset::{NAME, Template, VERSION};

/// Stages of a pod. It is intended when the DaemonSet is created or patched.
const STAGES: &[&str] = &["intended", "observed", "scheduled", "running", "ending", "gone"];
const INTENDED: Stage = 0;
const OBSERVED: Stage = 1;
const SCHEDULED: Stage = 2;
const RUNNING: Stage = 3;
const ENDING: Stage = 4;
const GONE: Stage = 5;
const LIFE: PodStages =
    PodStages { intended: INTENDED, observed: OBSERVED, scheduled: SCHEDULED, running: RUNNING, gone: GONE };

/// The DaemonSet of a trial and the pods of both of its versions.
pub(crate) struct Rollout {
    template: Template,
    daemon_sets: Api<DaemonSet>,
    clock: Instant,
    account: Account,
    versions: [CohortId; 2],
    rule: StallRule,
}

/// The two versions, by what their pods are labelled with.
pub(crate) const VERSIONS: [&str; 2] = ["v1", "v2"];

impl Rollout {
    /// Opens the account of a pod of each version on each of so many nodes, and the watch that stamps it.
    pub(crate) async fn watched(
        trial: &mut Trial,
        template: Template,
        nodes: usize,
        rule: StallRule,
        tamper: Option<Tamper>,
    ) -> Result<Self> {
        let account = Account::new(STAGES);
        let versions = VERSIONS.map(|version| account.ledger().cohort(version, nodes));
        let path = format!("/api/v1/namespaces/{}/pods", trial.namespace());
        let selector = format!("{}={}", cluster::RUN_LABEL, trial.run_id());
        let sink = PodSink { account: account.clone(), versions };
        trial.watch("pods", &account, WatchSpec { path, selector, tamper }, sink).await?;
        let daemon_sets = Api::namespaced(trial.client().clone(), trial.namespace());
        Ok(Self { template, daemon_sets, clock: trial.clock(), account, versions, rule })
    }

    /// The phase in which every node gets its first pod.
    pub(crate) fn creation(&self) -> PhaseSpec {
        self.running("create", self.versions[0])
    }

    /// Creates the DaemonSet.
    pub(crate) async fn create(&self) -> Result<()> {
        let written = self.template.daemon_set().map_err(Error::api(format!("cannot write DaemonSet {NAME}")))?;
        self.intend(self.versions[0]);
        let created = self.daemon_sets.create(&PostParams::default(), &written).await;
        created.map(drop).map_err(Error::api(format!("cannot create DaemonSet {NAME}")))
    }

    /// The phase in which every node gets its second pod, once its first is gone.
    pub(crate) fn updating(&self) -> PhaseSpec {
        PhaseSpec { also: Some((vec![self.versions[0]], GONE)), ..self.running("update", self.versions[1]) }
    }

    /// Changes the image.
    pub(crate) async fn update(&self) -> Result<()> {
        self.intend(self.versions[1]);
        // Strategic: the container is in a list, which a merge patch would replace whole.
        let patch = Patch::Strategic(self.template.update());
        let patched = self.daemon_sets.patch(NAME, &PatchParams::default(), &patch).await;
        patched.map(drop).map_err(Error::api(format!("cannot update DaemonSet {NAME}")))
    }

    /// The phase in which all go.
    pub(crate) fn deletion(&self) -> PhaseSpec {
        let spec = PhaseSpec::new("delete", &self.account, vec![self.versions[1]], (ENDING, GONE), self.rule);
        PhaseSpec { goal: Goal::AllSeen, ..spec }
    }

    /// Deletes the DaemonSet.
    pub(crate) async fn delete(&self) -> Result<()> {
        let deleted = self.daemon_sets.delete(NAME, &DeleteParams::background()).await;
        deleted.map(drop).map_err(Error::api(format!("cannot delete DaemonSet {NAME}")))
    }

    /// The pods of a version that were seen, by 0 and 1.
    pub(crate) fn pods(&self, version: usize) -> BTreeSet<String> {
        let ledger = self.account.ledger();
        let of_version = ledger.rows().filter(|(_, cohort, _)| *cohort == VERSIONS[version]);
        of_version.map(|(pod, ..)| pod.to_owned()).collect()
    }

    /// The largest number of nodes that had no pod which runs, at any moment of the update.
    pub(crate) fn unavailable_max(&self) -> usize {
        let ledger = self.account.ledger();
        let ended = ledger.curve(&self.versions[..1], ENDING);
        let running = ledger.curve(&self.versions[1..], RUNNING);
        unavailable_max(&ended, &running)
    }

    fn running(&self, name: &'static str, version: CohortId) -> PhaseSpec {
        PhaseSpec {
            stages: vec![(INTENDED, OBSERVED), (OBSERVED, SCHEDULED), (SCHEDULED, RUNNING), (INTENDED, RUNNING)],
            ..PhaseSpec::new(name, &self.account, vec![version], (INTENDED, RUNNING), self.rule)
        }
    }

    fn intend(&self, version: CohortId) {
        self.account.ledger().intend(version, self.clock.elapsed());
    }
}

/// The most pods that had begun to end beyond those that ran in their place, of two sorted curves. Where both happen at one
/// moment, the new pod is what let the old one go.
fn unavailable_max(ended: &[Duration], running: &[Duration]) -> usize {
    let without = |(number, at): (usize, &Duration)| {
        let replaced = running.partition_point(|running| running <= at);
        (number + 1).saturating_sub(replaced)
    };
    ended.iter().enumerate().map(without).max().unwrap_or(0)
}

/// Stamps the pods of both versions.
struct PodSink {
    account: Account,
    versions: [CohortId; 2],
}

impl Sink for PodSink {
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen) {
        let version = object.metadata.labels.get(VERSION).map_or("", |version| version);
        let Some(version) = VERSIONS.iter().position(|known| *known == version) else { return };
        let (mut ledger, cohort) = (self.account.ledger(), self.versions[version]);
        LIFE.stamp(&mut ledger, cohort, change, object, at, seen);
        if object.metadata.deletion_timestamp.is_some() || change == Change::Gone {
            ledger.mark(&object.metadata.name, cohort, ENDING, at, seen);
        }
    }

    fn listed(&mut self, present: &[String], at: Duration) {
        self.account.ledger().mark_absent(present, OBSERVED, GONE, at);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one_at_a_time(&[10, 30, 50], &[20, 40, 60], 1)]
    #[case::handed_over_at_one_moment(&[10, 20, 30], &[20, 30, 40], 1)]
    #[case::two_at_a_time(&[10, 11, 50, 51], &[30, 40, 60, 70], 2)]
    #[case::all_at_once(&[10, 11, 12], &[], 3)]
    #[case::nothing_was_replaced(&[], &[], 0)]
    fn nodes_without_a_pod_are_counted(#[case] ended: &[u64], #[case] running: &[u64], #[case] wanted: usize) {
        let curve = |stamps: &[u64]| stamps.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        assert_eq!(unavailable_max(&curve(ended), &curve(running)), wanted);
    }
}
