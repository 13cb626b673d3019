//! Phases in which nobody asks for anything.

use std::time::Duration;

use harness::{Result, Trial};
use measure::StallRule;
use measure::ledger::Stage;

use crate::rig::Rig;
use crate::stages::{STEADY_FROM, STEADY_TO, UNANSWERED_FROM, UNANSWERED_TO};

/// How long the operator may go on with what it was left to do.
const SETTLES_WITHIN: Duration = Duration::from_secs(30);
/// It has settled when it has reconciled nothing for so long.
const SETTLED: Duration = Duration::from_secs(3);

/// What the operator's retries cost while its tenants have no apiserver: a cost of the simulation, told by itself.
pub(super) async fn unanswered(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    rig.proxy.refuse(true);
    let seconds = rig.row.unanswered_s;
    let outcome = wait(trial, rig, "unanswered", (UNANSWERED_FROM, UNANSWERED_TO), seconds).await;
    rig.proxy.refuse(false);
    outcome
}

/// Nobody has anything to do: an operator that goes on reconciles for nothing. What the phase before left it to do is not
/// counted.
pub(super) async fn steady(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let until = tokio::time::Instant::now() + SETTLES_WITHIN;
    let reconciles = async || rig.management.operator.figures().await.and_then(|figures| figures.get("reconciles"));
    let mut seen = reconciles().await;
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(SETTLED).await;
        let now = reconciles().await;
        if now == seen {
            break;
        }
        seen = now;
    }
    let seconds = rig.row.steady_s;
    wait(trial, rig, "steady", (STEADY_FROM, STEADY_TO), seconds).await
}

async fn wait(
    trial: &mut Trial,
    rig: &mut Rig,
    name: &'static str,
    (from, to): (Stage, Stage),
    seconds: u64,
) -> Result<()> {
    let time = Duration::from_secs(seconds);
    let mut spec = rig.spec(name, rig.all(), (from, to), &[]);
    // Nothing moves before its end.
    spec.rule = StallRule { no_progress_for: time * 2, at_most: time * 2 };
    let (edge, _meddling) = rig.begin(name).await;
    rig.mark_all(&rig.all(), from);
    let action = async {
        tokio::time::sleep(time).await;
        rig.mark_all(&rig.all(), to);
        Ok(())
    };
    let outcome = trial.phase(spec, action).await;
    edge.record(trial, name, rig.tenants.len(), &rig.management, &rig.proxy, &mut rig.spent).await;
    outcome
}
