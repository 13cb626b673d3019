//! The pods of a trial: their Deployments, and what their watch shows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harness::{Account, Change, Object, Sink};
use measure::Seen;
use measure::ledger::CohortId;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::addresses::Addresses;
use crate::kubelet::News;
use crate::stages::{GONE, INTENDED, OBSERVED, RUNNING, RUNNING_AGAIN, SCHEDULED};

/// Label of a pod: its Deployment.
const APP: &str = "app";

/// The pods that one phase of a trial brings, by their Deployment.
#[derive(Clone, Debug)]
pub(crate) struct Generation(BTreeMap<String, CohortId>);

impl Generation {
    /// Opens a cohort for each of `apps`, which should have `replicas` pods.
    pub(crate) fn open(account: &Account, apps: &[String], number: u32, replicas: u32) -> Self {
        let cohorts = apps.iter().map(|app| {
            let name = format!("{app} generation {number}");
            (app.clone(), account.ledger().cohort(&name, replicas as usize))
        });
        Self(cohorts.collect())
    }

    /// Each Deployment with its cohort.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, CohortId)> {
        self.0.iter().map(|(app, cohort)| (app.as_str(), *cohort))
    }

    /// Its cohorts.
    pub(crate) fn cohorts(&self) -> Vec<CohortId> {
        self.0.values().copied().collect()
    }
}

/// Stamps the pods' account and the addresses' account, and tells the kubelets.
pub(crate) struct PodSink {
    pub(crate) account: Account,
    pub(crate) addresses: Arc<Mutex<Addresses>>,
    pub(crate) news: mpsc::UnboundedSender<News>,
    pub(crate) generations: Vec<Generation>,
    /// The generation that a pod belongs to which is seen for the first time now.
    pub(crate) current: Arc<AtomicUsize>,
}

impl Sink for PodSink {
    fn change(&mut self, change: Change, object: &Object<'_>, at: Duration, seen: Seen) {
        let app = object.metadata.labels.get(APP).map_or("", |app| app);
        let generation = self.generations.get(self.current.load(Ordering::SeqCst));
        let Some(cohort) = generation.and_then(|generation| generation.0.get(app)).copied() else { return };
        let (name, leaving) = (&object.metadata.name, object.metadata.deletion_timestamp.is_some());
        {
            let mut ledger = self.account.ledger();
            if ledger.mark(name, cohort, OBSERVED, at, seen) {
                ledger.mark_intended(name, cohort, INTENDED);
            }
            if !object.spec.node_name.is_empty() && ledger.mark(name, cohort, SCHEDULED, at, seen) {
                ledger.note(name, &object.spec.node_name);
            }
            if object.status.phase == "Running" && object.is("Ready") {
                ledger.mark(name, cohort, RUNNING, at, seen);
                if object.status.containers.iter().any(|container| container.restart_count > 0) {
                    ledger.mark(name, cohort, RUNNING_AGAIN, at, seen);
                }
            }
            if change == Change::Gone {
                ledger.mark(name, cohort, GONE, at, seen);
            }
        }
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = object.metadata.uid.to_string();
        let news = match change {
            Change::Gone => {
                addresses.hide(name);
                News::Gone(uid)
            }
            Change::Present => {
                let shown = object.status.pod_ips.iter().filter_map(|shown| shown.ip.parse().ok());
                addresses.show(name, shown.collect(), leaving, at);
                News::Pod { name: name.to_string(), uid, node: object.spec.node_name.to_string(), leaving }
            }
        };
        // When the kubelets are gone, the trial is over.
        self.news.send(news).ok();
    }

    fn listed(&mut self, present: &[String], at: Duration) {
        self.account.ledger().mark_absent(present, OBSERVED, GONE, at);
        self.news.send(News::Listed(present.to_vec())).ok();
    }
}

/// A Deployment whose pods go to the machines with `machine` among their labels.
pub(crate) fn deployment(
    app: &str,
    replicas: u32,
    labels: &BTreeMap<String, String>,
    machine: (&str, &str),
) -> Value {
    let mut of_pod = labels.clone();
    of_pod.insert(APP.to_owned(), app.to_owned());
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {APP: app}},
            "template": {
                "metadata": {"labels": of_pod},
                "spec": {
                    "nodeSelector": {machine.0: machine.1},
                    "containers": [{"name": "pause", "image": "pause"}],
                },
            },
        },
    })
}
