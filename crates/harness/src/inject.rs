//! Faults that a trial injects into its own system when a phase has come so far.

use std::time::Duration;

use tokio::task::JoinHandle;

/// What to do to the system, and when.
pub struct Injection {
    /// The phase.
    pub phase: &'static str,
    /// The share of its objects that are done when it happens, 0 to 1.
    pub share: f64,
    /// What it is, for the record: `kube-scheduler killed`.
    pub what: String,
    /// Does it; may block. An error is kept in the record's notes.
    pub act: Box<dyn FnOnce() -> Result<(), String> + Send>,
}

impl std::fmt::Debug for Injection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Injection({} at {} of {})", self.what, self.share, self.phase)
    }
}

/// A fault that has been injected.
#[derive(Clone, Debug)]
pub(crate) struct Injected {
    pub(crate) what: String,
    pub(crate) at: Duration,
}

/// The injections of a trial: those to come, those of the running phase, those that are still at work, and what
/// went wrong.
#[derive(Debug, Default)]
pub(crate) struct Injections {
    to_come: Vec<Injection>,
    injected: Vec<Injected>,
    at_work: Vec<JoinHandle<Result<(), String>>>,
    wrong: Vec<String>,
}

impl Injections {
    pub(crate) fn add(&mut self, injection: Injection) {
        self.to_come.push(injection);
    }

    /// Starts what is due when `done` of `total` objects of `phase` are done.
    pub(crate) fn look(&mut self, phase: &str, done: usize, total: usize, now: Duration) {
        let due = |injection: &mut Injection| {
            injection.phase == phase && done as f64 >= injection.share * total.max(1) as f64
        };
        for Injection { what, act, .. } in self.to_come.extract_if(.., due) {
            self.injected.push(Injected { what, at: now });
            self.at_work.push(tokio::task::spawn_blocking(act));
        }
    }

    /// Those of the phase that is over.
    pub(crate) fn of_phase(&mut self) -> Vec<Injected> {
        std::mem::take(&mut self.injected)
    }

    /// Waits until all that were started have done their work: the next phase, and the next trial, begin on a system that
    /// is left alone again.
    pub(crate) async fn settle(&mut self) {
        for work in self.at_work.drain(..) {
            let failed = match work.await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(error) => error.to_string(),
            };
            self.wrong.push(format!("a fault could not be injected: {failed}"));
        }
    }

    /// Waits the same way, and says what went wrong and what never came to be.
    pub(crate) async fn finish(&mut self) -> Vec<String> {
        self.settle().await;
        let never = self
            .to_come
            .drain(..)
            .map(|injection| format!("{} was never injected: {} did not come so far", injection.what, injection.phase));
        self.wrong.drain(..).chain(never).collect()
    }
}
