//! The document's experiment and what it leaves out: tenants are created, answer, have nothing to do, go through what
//! operators of such platforms go through, and are deleted.

mod change;
pub(crate) mod create;
pub(crate) mod delete;
mod expired;
mod renew;
mod restart;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use harness::{Result, Trial};
use record::Breakdown;

use crate::bare::Objects;
use crate::cost::{WINDOW, peak_mcpu, peak_mib};
use crate::parameters::{Benchmark, Step};
use crate::rig::{Meddler, Rig};
use crate::stages::{APPLIED, READY};
use crate::tenant::benchmark_names;

/// The operator, as a component.
const OPERATOR: &str = "kamaji";

/// Runs all phases.
///
/// # Errors
/// When the system does not start, the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &Benchmark, meddler: Option<Arc<dyn Meddler>>) -> Result<()> {
    let mut rig = Rig::start(trial, row, benchmark_names(row.tenants), meddler).await?;
    let outcome = phases(trial, &mut rig).await;
    conclude(trial, &rig);
    rig.end(trial, outcome).await
}

async fn phases(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    create::create(trial, rig).await?;
    let objects = Objects::of(trial, &rig.tenants[0].name).await?;
    size(trial, rig, &objects).await?;
    if rig.row.unanswered_s > 0 {
        wait::unanswered(trial, rig).await?;
    }
    if rig.row.usable > 0 {
        create::usable(trial, rig).await?;
    }
    if rig.row.steady_s > 0 {
        wait::steady(trial, rig).await?;
    }
    for step in rig.row.steps.clone() {
        match step {
            Step::Restart => restart::restart(trial, rig).await?,
            Step::Rotate => renew::rotate(trial, rig).await?,
            Step::Expire => renew::expire(trial, rig).await?,
            Step::Upgrade => change::upgrade(trial, rig).await?,
            Step::Sleep => change::sleep(trial, rig).await?,
        }
    }
    delete::delete(trial, rig).await?;
    bare(trial, rig, &objects).await
}

/// How much the tenants hold.
async fn size(trial: &mut Trial, rig: &Rig, objects: &Objects) -> Result<()> {
    let (count, bytes) = objects.size();
    trial.metric("secrets_and_configmaps_per_tcp", count as f64);
    trial.metric("secret_and_configmap_bytes_per_tcp", bytes as f64);
    for (what, names) in rig.holdings().await? {
        trial.metric(&format!("{what}_per_tcp"), names.len() as f64 / f64::from(rig.row.tenants.max(1)));
    }
    Ok(())
}

/// The same keys and the same writes without an operator, and the operator's time and CPU beside them.
async fn bare(trial: &mut Trial, rig: &Rig, objects: &Objects) -> Result<()> {
    let sample = rig.row.tenants.min(10);
    let keys = rig.management.keys.bare(sample).await?;
    let writes_s = objects.write_again(trial, sample).await?;
    trial.metric("bare_keys_cpu_s_per_tcp", keys.cpu_s);
    trial.metric("bare_keys_s_per_tcp", keys.wall_s);
    trial.metric("bare_writes_s_per_tcp", writes_s);
    let create = trial.phases().iter().find(|phase| phase.name == "create");
    let Some((create_s, operator)) = create.map(|phase| (phase.took_s, phase.components.get(OPERATOR).cloned())) else {
        return Ok(());
    };
    let each_s = create_s / f64::from(rig.row.tenants.max(1));
    trial.metric("create_to_bare", each_s / (keys.wall_s + writes_s));
    where_the_time_goes(trial, rig, keys.wall_s, writes_s);
    if let Some(operator) = operator {
        let each_cpu_s = operator.cpu_s / f64::from(rig.row.tenants.max(1));
        trial.metric("create_operator_cpu_to_bare_keys", each_cpu_s / keys.cpu_s);
    }
    Ok(())
}

/// The parts of a tenant's time from its creation to Ready, at the mean of all. What the keys and the writes of a tenant take
/// is known from those that were made without an operator; Kamaji v1.0.0 has no metric of its handlers.
fn where_the_time_goes(trial: &mut Trial, rig: &Rig, keys_s: f64, writes_s: f64) {
    let times = rig.account.ledger().durations(&rig.all(), APPLIED, READY);
    let mean_s = times.iter().map(Duration::as_secs_f64).sum::<f64>() / times.len().max(1) as f64;
    let Some((waits_s, works_s)) =
        trial.figure("create_queue_wait_s_per_tcp").zip(trial.figure("create_reconcile_s_per_tcp"))
    else {
        return;
    };
    let parts = [
        ("in the work queue", waits_s),
        ("reconciled: the keys", keys_s.min(works_s)),
        ("reconciled: the writes", writes_s.min(works_s - keys_s)),
        ("reconciled: the rest", works_s - keys_s - writes_s),
    ];
    let name = "where the time of a tenant goes, from its creation to Ready, at the mean";
    trial.breakdown("create", Breakdown::with_rest(name, "s", mean_s, &parts, "rolled out, seen, or not yet queued"));
}

/// The document's figures, computed its way, and what the harness cost.
fn conclude(trial: &mut Trial, rig: &Rig) {
    let series = trial.usage_series(OPERATOR);
    let tenants = f64::from(rig.row.tenants.max(1));
    let figures = [
        ("operator_peak_mcpu", peak_mcpu(&series, WINDOW)),
        ("operator_peak_mcpu_per_tcp", peak_mcpu(&series, WINDOW).map(|mcpu| mcpu / tenants)),
        ("operator_peak_mib", peak_mib(&series)),
        ("operator_peak_mib_per_tcp", peak_mib(&series).map(|mib| mib / tenants)),
        ("harness_cpu_share_of_operator", rig.spent.harness_share()),
    ];
    for (name, value) in figures {
        if let Some(value) = value {
            trial.metric(name, value);
        }
    }
}
