//! The Deployments of the document, and what the watch of their pods shows.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{Account, Change, Object, Sink};
use measure::Seen;
use measure::ledger::{CohortId, Stage};
use serde_json::{Value, json};

/// Stages of a pod. It is intended when the creation of its Deployment was due.
pub(crate) const STAGES: &[&str] =
    &["intended", "observed", "scheduled", "running", "ready", "delete requested", "gone"];
pub(crate) const INTENDED: Stage = 0;
pub(crate) const OBSERVED: Stage = 1;
pub(crate) const SCHEDULED: Stage = 2;
pub(crate) const RUNNING: Stage = 3;
pub(crate) const READY: Stage = 4;
pub(crate) const DELETE: Stage = 5;
pub(crate) const GONE: Stage = 6;

/// The label that all pods of the document share, and by which every Deployment selects.
const GROUP: (&str, &str) = ("group", "image-pull");
/// Label of a pod: its Deployment. Not in the document; no selector uses it.
pub(crate) const APP: &str = "kubedyno.io/deployment";
/// Seconds that a pod has to end: `sleep`, as the first process, hears no SIGTERM, and every deletion would take them.
const GRACE_S: u32 = 1;

/// The pods of one round of Deployments, by Deployment.
#[derive(Clone, Debug)]
pub(crate) struct Round(BTreeMap<String, CohortId>);

impl Round {
    pub(crate) fn open(account: &Account, name: &str, deployments: u32, replicas: u32) -> Self {
        let cohort = |number| {
            let app = format!("{name}-{number}");
            let cohort = account.ledger().cohort(&app, replicas as usize);
            (app, cohort)
        };
        Self((0..deployments).map(cohort).collect())
    }

    pub(crate) fn cohorts(&self) -> Vec<CohortId> {
        self.0.values().copied().collect()
    }

    pub(crate) fn apps(&self) -> impl Iterator<Item = (&str, CohortId)> {
        self.0.iter().map(|(app, cohort)| (app.as_str(), *cohort))
    }
}

/// Stamps the pods of every round.
pub(crate) struct PodSink {
    pub(crate) account: Account,
    pub(crate) rounds: Vec<Round>,
}

impl Sink for PodSink {
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen) {
        let app = object.metadata.labels.get(APP).map_or("", |app| app);
        let Some(cohort) = self.rounds.iter().find_map(|round| round.0.get(app)).copied() else { return };
        let (mut ledger, name) = (self.account.ledger(), &*object.metadata.name);
        if ledger.mark(name, cohort, OBSERVED, at, seen) {
            ledger.mark_intended(name, cohort, INTENDED);
        }
        if !object.spec.node_name.is_empty() && ledger.mark(name, cohort, SCHEDULED, at, seen) {
            ledger.note(name, &object.spec.node_name);
        }
        if object.status.phase == "Running" {
            ledger.mark(name, cohort, RUNNING, at, seen);
        }
        if object.runs() {
            ledger.mark(name, cohort, READY, at, seen);
        }
        if change == Change::Gone {
            ledger.mark(name, cohort, GONE, at, seen);
        }
    }

    fn listed(&mut self, present: &[String], at: Duration) {
        self.account.ledger().mark_absent(present, OBSERVED, GONE, at);
    }
}

/// A Deployment as the document writes it.
pub(crate) fn deployment(app: &str, replicas: u32, image: &str, labels: &BTreeMap<String, String>) -> Value {
    let mut of_pod = labels.clone();
    of_pod.extend([(APP, app), GROUP].map(|(key, value)| (key.to_owned(), value.to_owned())));
    let container = json!({
        "name": "image-pull",
        "image": image,
        "imagePullPolicy": "Always",
        "command": ["sleep", "3600"],
        "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}},
        "readinessProbe": {"exec": {"command": ["true"]}, "initialDelaySeconds": 5, "periodSeconds": 10},
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {GROUP.0: GROUP.1}},
            "template": {
                "metadata": {"labels": of_pod},
                "spec": {"terminationGracePeriodSeconds": GRACE_S, "containers": [container]},
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_the_documents() {
        let written = deployment("app-0", 1, "origin.test/image:1", &BTreeMap::new());
        let container = &written["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["imagePullPolicy"], "Always");
        assert_eq!(container["command"], json!(["sleep", "3600"]));
        assert_eq!(container["resources"]["requests"], json!({"cpu": "100m", "memory": "100Mi"}));
        assert_eq!(container["readinessProbe"]["initialDelaySeconds"], 5);
        assert_eq!(written["spec"]["selector"]["matchLabels"], json!({"group": "image-pull"}));
    }
}
