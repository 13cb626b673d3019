//! The pods of a trial: their Deployments, and what their watch shows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster::RUN_LABEL;
use harness::{Account, Change, Object, PodStages, Sink};
use measure::Seen;
use measure::ledger::CohortId;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::addresses::{Addresses, Shown};
use crate::kubelet::News;
use crate::stages::{GONE, INTENDED, OBSERVED, RUNNING, RUNNING_AGAIN, SCHEDULED};

/// Label of a pod: its Deployment.
const APP: &str = "app";
const LIFE: PodStages =
    PodStages { intended: INTENDED, observed: OBSERVED, scheduled: SCHEDULED, running: RUNNING, gone: GONE };

/// A Deployment with those of its pods that belong to one generation.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) replicas: u32,
    pub(crate) cohort: CohortId,
}

/// The pods that one phase of a trial brings, by their Deployment.
#[derive(Clone, Debug)]
pub(crate) struct Generation(BTreeMap<String, App>);

impl Generation {
    /// Opens a cohort for each of `apps`, which should have so many pods.
    pub(crate) fn open(account: &Account, apps: &[(String, u32)], number: u32) -> Self {
        let app = |(name, replicas): &(String, u32)| {
            let cohort = account.ledger().cohort(&format!("{name} generation {number}"), *replicas as usize);
            (name.clone(), App { name: name.clone(), replicas: *replicas, cohort })
        };
        Self(apps.iter().map(app).collect())
    }

    /// Its Deployments.
    pub(crate) fn apps(&self) -> Vec<App> {
        self.0.values().cloned().collect()
    }

    /// The Deployments with these names.
    pub(crate) fn named(&self, names: &[&str]) -> Vec<App> {
        self.0.values().filter(|app| names.contains(&app.name.as_str())).cloned().collect()
    }

    /// Its cohorts.
    pub(crate) fn cohorts(&self) -> Vec<CohortId> {
        self.0.values().map(|app| app.cohort).collect()
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
        let Some(cohort) = generation.and_then(|generation| generation.0.get(app)).map(|app| app.cohort) else {
            return;
        };
        let (name, leaving) = (&object.metadata.name, object.metadata.deletion_timestamp.is_some());
        {
            let mut ledger = self.account.ledger();
            // Before its end, with which its account is closed.
            if object.runs() && object.status.containers.iter().any(|container| container.restart_count > 0) {
                ledger.mark(name, cohort, RUNNING_AGAIN, at, seen);
            }
            LIFE.stamp(&mut ledger, cohort, change, object, at, seen);
        }
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = object.metadata.uid.to_string();
        let news = match change {
            Change::Gone => {
                addresses.hide(name);
                News::Gone(uid)
            }
            Change::Present => {
                let ips = object.status.pod_ips.iter().filter_map(|shown| shown.ip.parse().ok());
                let restarts = object.status.containers.iter().map(|container| container.restart_count).max();
                let shown = Shown { addresses: ips.collect(), restarts: restarts.unwrap_or(0), leaving };
                addresses.show(name, shown, at);
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

/// A Deployment whose pods go to the machines of the trial, with the annotations that the plugin asks for.
pub(crate) fn deployment(
    app: &str,
    replicas: u32,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
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
                "metadata": {"labels": of_pod, "annotations": annotations},
                "spec": {
                    "nodeSelector": {RUN_LABEL: labels.get(RUN_LABEL)},
                    "containers": [{"name": "pause", "image": "pause"}],
                },
            },
        },
    })
}
