//! The Deployments of a trial: each created when it is due, their pods watched, and all deleted.

use std::time::{Duration, Instant};

use harness::{Account, Error, Goal, PhaseSpec, Result, Trial, WatchSpec};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use measure::StallRule;

use crate::deployment::Template;
use crate::pace::paced;
use crate::parameters::Scale;
use crate::pods::{DELETE, GONE, INTENDED, OBSERVED, PodSink, READY, RUNNING, Round, SCHEDULED};

/// The Deployments of a trial.
pub(crate) struct Deployments {
    api: Api<Deployment>,
    clock: Instant,
    account: Account,
    template: Template,
    scale: Scale,
    rule: StallRule,
}

impl Deployments {
    /// Of rounds in `account`, whose pods are watched from now on.
    pub(crate) async fn watched(
        trial: &mut Trial,
        account: &Account,
        rounds: &[Round],
        template: Template,
        scale: Scale,
        rule: StallRule,
    ) -> Result<Self> {
        let sink = PodSink { account: account.clone(), rounds: rounds.to_vec() };
        let path = format!("/api/v1/namespaces/{}/pods", trial.namespace());
        let selector = format!("{}={}", cluster::RUN_LABEL, trial.run_id());
        trial.watch("pods", account, WatchSpec { path, selector, tamper: None }, sink).await?;
        let api = Api::namespaced(trial.client().clone(), trial.namespace());
        Ok(Self { api, clock: trial.clock(), account: account.clone(), template, scale, rule })
    }

    /// The phase in which the pods of a round come and are ready.
    pub(crate) fn creation(&self, name: &'static str, round: &Round) -> PhaseSpec {
        let stages = vec![
            (INTENDED, OBSERVED),
            (OBSERVED, SCHEDULED),
            (SCHEDULED, RUNNING),
            (RUNNING, READY),
            (INTENDED, RUNNING),
        ];
        PhaseSpec { stages, ..PhaseSpec::new(name, &self.account, round.cohorts(), (INTENDED, READY), self.rule) }
    }

    /// Creates each Deployment when it is due, and keeps how late that was.
    pub(crate) async fn create(&self, round: &Round, slips: &mut Vec<Duration>) -> Result<()> {
        let apps: Vec<_> = round.apps().collect();
        let mut calls = paced(self.scale.deployments, self.scale.qps)?;
        let mut created = tokio::task::JoinSet::new();
        while let Some(call) = calls.recv().await {
            slips.push(call.due.elapsed());
            let Some((app, cohort)) = apps.get(call.number).copied() else { continue };
            // What a pod waits for begins when it was due, not when its creation was sent.
            self.account.ledger().intend(cohort, call.due.saturating_duration_since(self.clock));
            let written = self.template.deployment(app, self.scale.replicas);
            let written = written.map_err(Error::api(format!("cannot write Deployment {app}")))?;
            let (api, app) = (self.api.clone(), app.to_owned());
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

    /// The phase in which all pods of a round go.
    pub(crate) fn deletion(&self, name: &'static str, round: &Round) -> PhaseSpec {
        let spec = PhaseSpec::new(name, &self.account, round.cohorts(), (DELETE, GONE), self.rule);
        PhaseSpec { goal: Goal::AllSeen, ..spec }
    }

    /// Deletes the Deployments of a round.
    pub(crate) async fn delete(&self, round: &Round) -> Result<()> {
        for (app, cohort) in round.apps() {
            self.account.ledger().mark_cohort(cohort, DELETE, self.clock.elapsed());
            let deleted = self.api.delete(app, &DeleteParams::background()).await;
            deleted.map_err(Error::api(format!("cannot delete Deployment {app}")))?;
        }
        Ok(())
    }
}
