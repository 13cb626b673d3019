//! One address too few: exactly one pod has to wait, and it runs when an address is freed.

use std::time::Duration;

use harness::{Error, Goal, PhaseSpec, Result, Trial};
use measure::ledger::CohortId;

use crate::kubelet::{Kubelets, Operation};
use crate::matrix::Matrix;
use crate::pods::App;
use crate::rig::Rig;
use crate::stages::{ADDRESSED, DELETE_REQUESTED, GONE, INTENDED, RUNNING, SCHEDULED};
use crate::system::Interpose;

/// The Deployment whose address is freed in the end.
const FIRST: &str = "first";
/// The one that holds all other addresses.
const REST: &str = "rest";
/// The one that comes when there is no address left.
const LATE: &str = "late";
/// How long the plugin may take to refuse: Spiderpool's CNI program waits 100 s for its agent.
const REFUSED_WITHIN: Duration = Duration::from_secs(120);

/// Fills the pools, brings one pod more, and frees one address. `interpose` puts something before the plugin.
///
/// # Errors
/// When the system does not start, the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &Matrix, interpose: Option<Interpose>) -> Result<()> {
    let apps = [(FIRST, 1), (REST, row.pods() - 1), (LATE, 1)].map(|(app, replicas)| (app.to_owned(), replicas));
    let mut rig = Rig::start(trial, row, &apps, 1, interpose).await?;
    let outcome = async {
        fill(trial, &mut rig).await?;
        exhaust(trial, &mut rig).await?;
        free(trial, &mut rig).await?;
        delete(trial, &mut rig).await
    };
    let outcome = outcome.await;
    rig.end(trial, outcome).await
}

async fn fill(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let apps = rig.generations[0].named(&[FIRST, REST]);
    let cohorts = cohorts(&apps);
    let spec = rig.spec("fill", cohorts, Goal::Expected, (INTENDED, RUNNING), &[(SCHEDULED, ADDRESSED)]);
    let edge = rig.edge().await;
    let outcome = trial.phase(spec, rig.create(&apps)).await;
    rig.over(trial, "fill", &edge, outcome).await
}

/// The phase is over when the pod is bound and its first sandbox was refused an address.
async fn exhaust(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let late = rig.generations[0].named(&[LATE]);
    let cohorts = cohorts(&late);
    let spec = rig.spec("exhaust", cohorts, Goal::Expected, (INTENDED, SCHEDULED), &[(INTENDED, SCHEDULED)]);
    let edge = rig.edge().await;
    let asked = rig.kubelets.log().len();
    let action = async {
        rig.create(&late).await?;
        refused(&rig.kubelets, asked).await
    };
    let outcome = trial.phase(spec, action).await;
    let waiting = rig.account.ledger().unaccounted(&rig.generations[0].cohorts(), RUNNING);
    trial.metric("pods_waiting_when_exhausted", waiting as f64);
    rig.over(trial, "exhaust", &edge, outcome).await
}

async fn refused(kubelets: &Kubelets, since: usize) -> Result<()> {
    let until = tokio::time::Instant::now() + REFUSED_WITHIN;
    loop {
        let refused = kubelets
            .log()
            .since(since)
            .iter()
            .any(|attempt| attempt.operation == Operation::Add && attempt.error.is_some());
        if refused {
            return Ok(());
        }
        if tokio::time::Instant::now() > until {
            let message = format!("no sandbox was refused an address within {} s", REFUSED_WITHIN.as_secs());
            return Err(Error::Environment(message));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn free(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let (first, late) = (rig.generations[0].named(&[FIRST]), rig.generations[0].named(&[LATE]));
    let spec = rig.spec("free", cohorts(&late), Goal::Expected, (INTENDED, RUNNING), &[(SCHEDULED, ADDRESSED)]);
    let spec = PhaseSpec { also: Some((cohorts(&first), GONE)), ..spec };
    let edge = rig.edge().await;
    let outcome = trial.phase(spec, rig.delete(&first)).await;
    rig.over(trial, "free", &edge, outcome).await
}

async fn delete(trial: &mut Trial, rig: &mut Rig) -> Result<()> {
    let apps = rig.generations[0].named(&[REST, LATE]);
    let cohorts = cohorts(&apps);
    let spec = rig.spec("delete", cohorts, Goal::AllSeen, (DELETE_REQUESTED, GONE), &[(DELETE_REQUESTED, GONE)]);
    let edge = rig.edge().await;
    let outcome = trial.phase(spec, rig.delete(&apps)).await;
    rig.over(trial, "delete", &edge, outcome).await
}

fn cohorts(apps: &[App]) -> Vec<CohortId> {
    apps.iter().map(|app| app.cohort).collect()
}
