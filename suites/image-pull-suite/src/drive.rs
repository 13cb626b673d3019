//! The document's experiment: Deployments at a fixed rate, each pod pulling one image that no node has; and, where a row asks
//! for it, once more with the image there.

use std::time::{Duration, SystemTime};

use harness::{Account, Error, Goal, PhaseSpec, Result, Trial, WatchSpec};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use measure::StallRule;
use origin::Origin;
use pulls::histograms::Scrape;

use crate::pace::paced;
use crate::parameters::PullTest;
use crate::pods::{DELETE, GONE, INTENDED, OBSERVED, PodSink, READY, RUNNING, Round, SCHEDULED, STAGES, deployment};
use crate::report::Report;
use crate::rig::{Rig, clock_origin};

/// What disturbs a trial, for showing that its budgets can be missed: called when everything is there and nothing has begun.
pub type Disturb = Box<dyn FnOnce(&Origin, &[cluster::KindNode], &str) + Send>;

/// Runs a row.
///
/// # Errors
/// When the registry does not start, the apiserver refuses something, or a phase does not complete.
pub async fn drive(trial: &mut Trial, row: &PullTest, disturb: Option<Disturb>) -> Result<()> {
    let rig = Rig::start(trial, row).await?;
    if let Some(disturb) = disturb {
        disturb(&rig.origin, &rig.workers, &rig.image());
    }
    let account = Account::new(STAGES);
    let names: &[&str] = if row.again { &["pull", "again"] } else { &["pull"] };
    let rounds: Vec<Round> =
        names.iter().map(|name| Round::open(&account, name, row.deployments, row.replicas)).collect();
    let sink = PodSink { account: account.clone(), rounds: rounds.clone() };
    let path = format!("/api/v1/namespaces/{}/pods", trial.namespace());
    let selector = format!("{}={}", cluster::RUN_LABEL, trial.run_id());
    trial.watch("pods", &account, WatchSpec { path, selector, tamper: None }, sink).await?;

    let mut report = Report::new(&rig, row, clock_origin(trial.clock()))?;
    let rule = StallRule::seconds(row.stalled_after_s, row.phase_limit_s);
    let image = rig.image();
    let phases = [("create", "delete"), ("create-again", "delete-again")];
    for (round, (create, delete)) in rounds.iter().zip(phases) {
        let before = Scrape::read(trial.client(), &rig.names()).await?;
        let since = SystemTime::now();
        let spec = PhaseSpec {
            stages: vec![
                (INTENDED, OBSERVED),
                (OBSERVED, SCHEDULED),
                (SCHEDULED, RUNNING),
                (RUNNING, READY),
                (INTENDED, RUNNING),
            ],
            ..PhaseSpec::new(create, &account, round.cohorts(), (INTENDED, READY), rule)
        };
        let mut slips = Vec::new();
        let action = create_paced(trial, row, round, &account, &image, &mut slips);
        let outcome = trial.phase(spec, action).await;
        let reported = match report.pulled(trial, create, round, &account, since, &slips).await {
            Ok(()) => report.grown(trial, create, &before).await,
            Err(error) => Err(error),
        };
        // That a phase did not complete is the news, and not that a node that stands still answers nothing.
        outcome?;
        reported?;
        let spec = PhaseSpec {
            goal: Goal::AllSeen,
            ..PhaseSpec::new(delete, &account, round.cohorts(), (DELETE, GONE), rule)
        };
        let action = delete_all(trial, round, &account);
        trial.phase(spec, action).await?;
    }
    Ok(())
}

/// Creates each Deployment when it is due.
fn create_paced<'a>(
    trial: &Trial,
    row: &'a PullTest,
    round: &'a Round,
    account: &'a Account,
    image: &'a str,
    slips: &'a mut Vec<Duration>,
) -> impl Future<Output = Result<()>> + use<'a> {
    let api: Api<Deployment> = Api::namespaced(trial.client().clone(), trial.namespace());
    let (labels, clock) = (trial.labels(), trial.clock());
    async move {
        let apps: Vec<_> = round.apps().collect();
        let mut calls = paced(row.deployments, row.qps)?;
        let mut created = tokio::task::JoinSet::new();
        while let Some(call) = calls.recv().await {
            slips.push(call.due.elapsed());
            let Some((app, cohort)) = apps.get(call.number).copied() else { continue };
            // What a pod waits for begins when it was due, not when its creation was sent.
            account.ledger().intend(cohort, call.due.saturating_duration_since(clock));
            let written = serde_json::from_value(deployment(app, row.replicas, image, &labels));
            let written: Deployment = written
                .map_err(kube::Error::SerdeError)
                .map_err(Error::api(format!("cannot write Deployment {app}")))?;
            let (api, app) = (api.clone(), app.to_owned());
            created.spawn(async move {
                let created = api.create(&PostParams::default(), &written).await;
                created.map(drop).map_err(Error::api(format!("cannot create Deployment {app}")))
            });
        }
        while let Some(one) = created.join_next().await {
            one.map_err(|error| Error::Environment(error.to_string()))??;
        }
        Ok(())
    }
}

fn delete_all<'a>(trial: &Trial, round: &'a Round, account: &'a Account) -> impl Future<Output = Result<()>> + use<'a> {
    let api: Api<Deployment> = Api::namespaced(trial.client().clone(), trial.namespace());
    let clock = trial.clock();
    async move {
        for (app, cohort) in round.apps() {
            account.ledger().mark_cohort(cohort, DELETE, clock.elapsed());
            let deleted = api.delete(app, &DeleteParams::background()).await;
            deleted.map_err(Error::api(format!("cannot delete Deployment {app}")))?;
        }
        Ok(())
    }
}
