//! Deployments on the nodes of a pool, and every one of their pods accounted for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Account, Change, Error, Goal, Object, PhaseSpec, PodStages, Result, Sink, Tamper, Trial, WatchSpec};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use measure::ledger::{CohortId, Stage};
use measure::{Seen, StallRule};
use serde_json::{Value, json};

use super::{on_virtual_nodes, ours};

/// Label of a pod: which writing of its Deployment's template it was made from.
const GENERATION: &str = "kubedyno.io/generation";
/// Label of a pod: its Deployment.
const DEPLOYMENT: &str = "kubedyno.io/deployment";
/// Label of every pod, as `runkperf` gives it: its bench lists by it.
const APP: (&str, &str) = ("app", "benchmark");
/// Deployments that are created, patched or deleted at once.
const AT_ONCE: usize = 4;

/// Stages of a pod. It is intended when its Deployment is created or patched.
const STAGES: &[&str] = &["intended", "observed", "scheduled", "running", "delete requested", "gone"];
const INTENDED: Stage = 0;
const OBSERVED: Stage = 1;
const SCHEDULED: Stage = 2;
const RUNNING: Stage = 3;
const DELETE: Stage = 4;
const GONE: Stage = 5;
const LIFE: PodStages =
    PodStages { intended: INTENDED, observed: OBSERVED, scheduled: SCHEDULED, running: RUNNING, gone: GONE };

/// The Deployments of a trial and their pods.
pub(crate) struct Pods {
    replicas: u32,
    deployments: Api<Deployment>,
    labels: BTreeMap<String, String>,
    clock: Instant,
    account: Account,
    first: Generation,
    second: Generation,
    rule: StallRule,
}

/// The pods of all Deployments that were made from one writing of their templates.
#[derive(Clone, Debug)]
struct Generation {
    number: u32,
    by_app: BTreeMap<String, CohortId>,
}

impl Generation {
    fn open(account: &Account, apps: &[String], number: u32, replicas: u32) -> Self {
        let by_app = apps.iter().map(|app| {
            let name = format!("{app} generation {number}");
            (app.clone(), account.ledger().cohort(&name, replicas as usize))
        });
        Self { number, by_app: by_app.collect() }
    }

    fn cohorts(&self) -> Vec<CohortId> {
        self.by_app.values().copied().collect()
    }
}

impl Pods {
    /// Opens their account and the watch that stamps it.
    pub(crate) async fn watched(
        trial: &mut Trial,
        (deployments, replicas): (u32, u32),
        rule: StallRule,
        tamper: Option<Tamper>,
    ) -> Result<Self> {
        let account = Account::new(STAGES);
        let apps: Vec<String> = (0..deployments).map(|i| format!("deployment-{i}")).collect();
        let [first, second] = [0, 1].map(|number| Generation::open(&account, &apps, number, replicas));
        let sink = PodSink { account: account.clone(), generations: [first.clone(), second.clone()] };
        let path = format!("/api/v1/namespaces/{}/pods", trial.namespace());
        trial.watch("pods", &account, WatchSpec { path, selector: ours(trial), tamper }, sink).await?;
        Ok(Self {
            replicas,
            deployments: Api::namespaced(trial.client().clone(), trial.namespace()),
            labels: trial.labels(),
            clock: trial.clock(),
            account,
            first,
            second,
            rule,
        })
    }

    /// The phase in which they come.
    pub(crate) fn creation(&self) -> PhaseSpec {
        PhaseSpec { gap: Some((SCHEDULED, RUNNING)), ..self.running("create-pods", &self.first) }
    }

    /// Creates the Deployments.
    pub(crate) async fn create(&self) -> Result<()> {
        self.each(&self.first, async |app, cohort| {
            let deployment = serde_json::from_value(self.deployment(app)).map_err(kube::Error::SerdeError);
            let deployment: Deployment = deployment.map_err(Error::api(format!("cannot write Deployment {app}")))?;
            self.intend(cohort);
            let created = self.deployments.create(&PostParams::default(), &deployment).await;
            created.map(drop).map_err(Error::api(format!("cannot create Deployment {app}")))
        })
        .await
    }

    /// The phase in which others take their places.
    pub(crate) fn rolling(&self) -> PhaseSpec {
        PhaseSpec { also: Some((self.first.cohorts(), GONE)), ..self.running("roll-pods", &self.second) }
    }

    /// Changes each Deployment's template once.
    pub(crate) async fn roll(&self) -> Result<()> {
        self.each(&self.second, async |app, cohort| {
            let labels = json!({GENERATION: self.second.number.to_string()});
            let patch = json!({"spec": {"template": {"metadata": {"labels": labels}}}});
            self.intend(cohort);
            self.account.ledger().mark_cohort(self.first.by_app[app], DELETE, self.clock.elapsed());
            let patched = self.deployments.patch(app, &PatchParams::default(), &Patch::Merge(&patch)).await;
            patched.map(drop).map_err(Error::api(format!("cannot patch Deployment {app}")))
        })
        .await
    }

    /// The phase in which they go.
    pub(crate) fn deletion(&self, rolled: bool) -> PhaseSpec {
        let cohorts = self.last(rolled).cohorts();
        let spec = PhaseSpec::new("delete-pods", &self.account, cohorts, (DELETE, GONE), self.rule);
        PhaseSpec { goal: Goal::AllSeen, ..spec }
    }

    /// Deletes the Deployments.
    pub(crate) async fn delete(&self, rolled: bool) -> Result<()> {
        self.each(self.last(rolled), async |app, cohort| {
            self.account.ledger().mark_cohort(cohort, DELETE, self.clock.elapsed());
            let deleted = self.deployments.delete(app, &DeleteParams::background()).await;
            deleted.map(drop).map_err(Error::api(format!("cannot delete Deployment {app}")))
        })
        .await
    }

    fn last(&self, rolled: bool) -> &Generation {
        if rolled { &self.second } else { &self.first }
    }

    fn running(&self, name: &'static str, generation: &Generation) -> PhaseSpec {
        PhaseSpec {
            stages: vec![(INTENDED, OBSERVED), (OBSERVED, SCHEDULED), (SCHEDULED, RUNNING), (INTENDED, RUNNING)],
            ..PhaseSpec::new(name, &self.account, generation.cohorts(), (INTENDED, RUNNING), self.rule)
        }
    }

    async fn each(&self, generation: &Generation, action: impl AsyncFn(&str, CohortId) -> Result<()>) -> Result<()> {
        let action = &action;
        stream::iter(&generation.by_app)
            .map(async |(app, cohort)| action(app, *cohort).await)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// The pods of a cohort are intended now; each gets the stamp when it is first seen.
    fn intend(&self, cohort: CohortId) {
        self.account.ledger().intend(cohort, self.clock.elapsed());
    }

    fn deployment(&self, app: &str) -> Value {
        let mut labels = self.labels.clone();
        let own = [(DEPLOYMENT, app), (GENERATION, &self.first.number.to_string()), APP];
        labels.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": app, "labels": self.labels},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {DEPLOYMENT: app}},
                "template": {"metadata": {"labels": labels}, "spec": on_virtual_nodes()},
            },
        })
    }
}

struct PodSink {
    account: Account,
    generations: [Generation; 2],
}

impl PodSink {
    fn cohort(&self, object: &Object<'_>) -> Option<CohortId> {
        let number = object.metadata.labels.get(GENERATION)?.parse::<u32>().ok()?;
        let generation = self.generations.iter().find(|generation| generation.number == number)?;
        generation.by_app.get(&**object.metadata.labels.get(DEPLOYMENT)?).copied()
    }
}

impl Sink for PodSink {
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen) {
        let Some(cohort) = self.cohort(object) else { return };
        LIFE.stamp(&mut self.account.ledger(), cohort, change, object, at, seen);
    }

    fn listed(&mut self, present: &[String], at: Duration) {
        self.account.ledger().mark_absent(present, OBSERVED, GONE, at);
    }
}
