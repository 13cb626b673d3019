//! The document's experiment on real nodes: create, so that all pull at once; update, so that one pulls after the other.

use harness::{Result, Trial};
use measure::StallRule;

use crate::daemonset::Template;
use crate::parameters::Benchmark;
use crate::report::{Report, Step};
use crate::rig::Rig;
use crate::rollout::Rollout;

/// What disturbs a trial, for showing that its budgets can be missed: called when everything is there and nothing has begun.
pub type Disturb = Box<dyn FnOnce(&Rig) + Send>;

/// Runs a row.
///
/// # Errors
/// When the registry or the mirror does not start, the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &Benchmark, disturb: Option<Disturb>) -> Result<()> {
    // On the heap: both are large, and rows are run in turns.
    let rig = Box::pin(Rig::start(trial, row)).await?;
    if let Some(disturb) = disturb {
        disturb(&rig);
    }
    let outcome = Box::pin(two_steps(trial, row, &rig)).await;
    let ended = rig.end(trial).await;
    outcome?;
    ended
}

async fn two_steps(trial: &mut Trial, row: &Benchmark, rig: &Rig) -> Result<()> {
    let template = Template {
        labels: trial.labels(),
        images: rig.image_names(),
        max_unavailable: row.max_unavailable,
        node_selector: std::collections::BTreeMap::new(),
    };
    let rule = StallRule::seconds(row.stalled_after_s, row.phase_limit_s);
    let rollout = Rollout::watched(trial, template, rig.workers.len(), rule, None).await?;
    let mut report = Report::new(rig, &rollout);

    let step = Step::begin(trial, rig, "create", 0).await?;
    let outcome = trial.phase(rollout.creation(), rollout.create()).await;
    let reported = report.step(trial, step).await;
    // That a phase did not complete is the news, and not that a node that stands still answers nothing.
    outcome?;
    reported?;

    let step = Step::begin(trial, rig, "update", 1).await?;
    let outcome = trial.phase(rollout.updating(), rollout.update()).await;
    trial.metric("update_unavailable_max", rollout.unavailable_max() as f64);
    let reported = report.step(trial, step).await;
    outcome?;
    reported?;

    report.write_results(trial, row)?;
    trial.phase(rollout.deletion(), rollout.delete()).await
}
