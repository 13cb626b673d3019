//! The Pods of a group, every one of them accounted for.

use std::time::{Duration, Instant};

use harness::{Account, Change, Goal, Object, PhaseSpec, Result, Sink, Trial, WatchSpec};
use kperf::runnergroup::{GROUP_LABEL, NAMESPACE};
use measure::ledger::{CohortId, Stage};
use measure::{Seen, StallRule};

use super::Group;

/// Stages of a runner. It is intended when the group is asked for.
const STAGES: &[&str] = &["intended", "observed", "scheduled", "running", "succeeded", "delete requested", "gone"];
const INTENDED: Stage = 0;
const OBSERVED: Stage = 1;
const SCHEDULED: Stage = 2;
const RUNNING: Stage = 3;
const SUCCEEDED: Stage = 4;
const DELETE: Stage = 5;
const GONE: Stage = 6;

/// The runners of a trial.
pub(super) struct Runners {
    account: Account,
    cohort: CohortId,
    rule: StallRule,
    clock: Instant,
}

impl Runners {
    /// Opens their account and the watch that stamps it.
    pub(super) async fn watched(trial: &mut Trial, row: &Group) -> Result<Self> {
        let account = Account::new(STAGES);
        let cohort = account.ledger().cohort("runners", row.runners as usize);
        let sink = PodSink { account: account.clone(), cohort };
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        let spec = WatchSpec { path, selector: GROUP_LABEL.to_owned(), tamper: None };
        trial.watch("runners", &account, spec, sink).await?;
        Ok(Self { account, cohort, rule: row.rule(), clock: trial.clock() })
    }

    /// They are asked for now.
    pub(super) fn intend(&self) {
        self.account.ledger().intend(self.cohort, self.clock.elapsed());
    }

    /// The phase in which they come.
    pub(super) fn start(&self) -> PhaseSpec {
        PhaseSpec {
            stages: vec![(INTENDED, OBSERVED), (OBSERVED, SCHEDULED), (SCHEDULED, RUNNING), (INTENDED, RUNNING)],
            ..self.phase("start", INTENDED, RUNNING)
        }
    }

    /// The phase in which they send.
    pub(super) fn load(&self) -> PhaseSpec {
        self.phase("load", RUNNING, SUCCEEDED)
    }

    /// Their deletion is asked for now.
    pub(super) fn delete(&self) {
        self.account.ledger().mark_cohort(self.cohort, DELETE, self.clock.elapsed());
    }

    /// The phase in which they go.
    pub(super) fn deletion(&self) -> PhaseSpec {
        PhaseSpec { goal: Goal::AllSeen, ..self.phase("delete", DELETE, GONE) }
    }

    fn phase(&self, name: &'static str, from: Stage, to: Stage) -> PhaseSpec {
        PhaseSpec::new(name, &self.account, vec![self.cohort], (from, to), self.rule)
    }
}

struct PodSink {
    account: Account,
    cohort: CohortId,
}

impl Sink for PodSink {
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen) {
        let (mut ledger, cohort, name) = (self.account.ledger(), self.cohort, &*object.metadata.name);
        let (node, phase) = (&*object.spec.node_name, &*object.status.phase);
        if ledger.mark(name, cohort, OBSERVED, at, seen) {
            ledger.mark_intended(name, cohort, INTENDED);
        }
        if !node.is_empty() {
            ledger.mark(name, cohort, SCHEDULED, at, seen);
            ledger.note(name, &format!("{phase} on {node}"));
        }
        // A runner of few requests may be over before its kubelet has told that it runs.
        if matches!(phase, "Running" | "Succeeded" | "Failed") {
            ledger.mark(name, cohort, RUNNING, at, seen);
        }
        if phase == "Succeeded" {
            ledger.mark(name, cohort, SUCCEEDED, at, seen);
        }
        if change == Change::Gone {
            ledger.mark(name, cohort, GONE, at, seen);
        }
    }

    fn listed(&mut self, present: &[String], at: Duration) {
        self.account.ledger().mark_absent(present, OBSERVED, GONE, at);
    }
}
