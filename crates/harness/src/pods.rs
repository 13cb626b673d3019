//! The part of a pod's life that every suite stamps alike.

use std::time::Duration;

use measure::ledger::{CohortId, Stage};
use measure::{Ledger, Seen};

use crate::object::Object;
use crate::watch::Change;

/// Which stages of an account are those of a pod's life.
#[derive(Clone, Copy, Debug)]
pub struct PodStages {
    /// Somebody asked for it.
    pub intended: Stage,
    /// It is there.
    pub observed: Stage,
    /// It has a node.
    pub scheduled: Stage,
    /// It runs and is ready.
    pub running: Stage,
    /// It is gone.
    pub gone: Stage,
}

impl PodStages {
    /// Stamps what an event or a list shows of a pod of `cohort`.
    pub fn stamp(
        &self,
        ledger: &mut Ledger,
        cohort: CohortId,
        change: Change,
        object: &Object<'_>,
        at: Duration,
        seen: Seen,
    ) {
        let name = &object.metadata.name;
        if ledger.mark(name, cohort, self.observed, at, seen) {
            ledger.mark_intended(name, cohort, self.intended);
        }
        if !object.spec.node_name.is_empty() && ledger.mark(name, cohort, self.scheduled, at, seen) {
            ledger.note(name, &object.spec.node_name);
        }
        if object.runs() {
            ledger.mark(name, cohort, self.running, at, seen);
        }
        if change == Change::Gone {
            ledger.mark(name, cohort, self.gone, at, seen);
        }
    }
}
