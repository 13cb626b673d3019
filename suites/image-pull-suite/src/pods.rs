//! The pods of a round of Deployments, and what the watch shows of them.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{Account, Change, Object, Sink};
use measure::Seen;
use measure::ledger::{CohortId, Stage};

use crate::deployment::APP;
use crate::parameters::Scale;

/// Stages of a pod. It is intended when the creation of its Deployment was due.
pub(crate) const STAGES: &[&str] =
    &["intended", "observed", "scheduled", "running", "ready", "delete requested", "gone"];
pub(crate) const INTENDED: Stage = 0;
pub(crate) const OBSERVED: Stage = 1;
pub(crate) const SCHEDULED: Stage = 2;
pub(crate) const RUNNING: Stage = 3;
pub(crate) const READY: Stage = 4;
pub(crate) const DELETE: Stage = 5;
pub(crate) const GONE: Stage = 6;

/// The pods of one round of Deployments, by Deployment.
#[derive(Clone, Debug)]
pub(crate) struct Round(BTreeMap<String, CohortId>);

impl Round {
    pub(crate) fn open(account: &Account, name: &str, scale: Scale) -> Self {
        let cohort = |number| {
            let app = format!("{name}-{number}");
            let cohort = account.ledger().cohort(&app, scale.replicas as usize);
            (app, cohort)
        };
        Self((0..scale.deployments).map(cohort).collect())
    }

    /// Whether it has a Deployment of that name.
    pub(crate) fn has(&self, app: &str) -> bool {
        self.0.contains_key(app)
    }

    pub(crate) fn cohorts(&self) -> Vec<CohortId> {
        self.0.values().copied().collect()
    }

    pub(crate) fn apps(&self) -> impl Iterator<Item = (&str, CohortId)> {
        self.0.iter().map(|(app, cohort)| (app.as_str(), *cohort))
    }
}

/// Stamps the pods of every round.
pub(crate) struct PodSink {
    pub(crate) account: Account,
    pub(crate) rounds: Vec<Round>,
}

impl Sink for PodSink {
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen) {
        let app = object.metadata.labels.get(APP).map_or("", |app| app);
        let Some(cohort) = self.rounds.iter().find_map(|round| round.0.get(app)).copied() else { return };
        let (mut ledger, name) = (self.account.ledger(), &*object.metadata.name);
        if ledger.mark(name, cohort, OBSERVED, at, seen) {
            ledger.mark_intended(name, cohort, INTENDED);
        }
        if !object.spec.node_name.is_empty() && ledger.mark(name, cohort, SCHEDULED, at, seen) {
            ledger.note(name, &object.spec.node_name);
        }
        if object.status.phase == "Running" {
            ledger.mark(name, cohort, RUNNING, at, seen);
        }
        if object.runs() {
            ledger.mark(name, cohort, READY, at, seen);
        }
        if change == Change::Gone {
            ledger.mark(name, cohort, GONE, at, seen);
        }
    }

    fn listed(&mut self, present: &[String], at: Duration) {
        self.account.ledger().mark_absent(present, OBSERVED, GONE, at);
    }
}
