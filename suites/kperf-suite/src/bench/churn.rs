//! What comes and goes on the nodes while the load goes on: a Job over and over, Deployments restarted one by one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::{Error, Result, Trial};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use measure::Verdict;
use serde_json::json;

use super::Bench;
use crate::nodepool::on_virtual_nodes;

/// Every Job has this name: one is gone before the next comes.
const JOB: &str = "batchjobs";
/// How often a Job, a rollout or what is left of them is looked at.
const LOOK: Duration = Duration::from_millis(500);

pub(super) struct Churn {
    job_pods: u32,
    job_parallelism: u32,
    limit: Duration,
    pause: Duration,
    jobs: Api<Job>,
    deployments: Api<Deployment>,
    pods: Api<Pod>,
    labels: BTreeMap<String, String>,
    rounds: AtomicU32,
}

impl Churn {
    pub(super) fn new(trial: &Trial, row: &Bench) -> Self {
        let (client, namespace) = (trial.client(), trial.namespace());
        Self {
            job_pods: row.job_pods,
            job_parallelism: row.job_parallelism,
            limit: Duration::from_secs(row.limit_s),
            pause: Duration::from_secs(row.pause_s),
            jobs: Api::namespaced(client.clone(), namespace),
            deployments: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client.clone(), namespace),
            labels: trial.labels(),
            rounds: AtomicU32::new(0),
        }
    }

    /// Goes on until it is dropped, or something is refused.
    pub(super) async fn run(&self) -> Result<()> {
        let listed = self.deployments.list_metadata(&ListParams::default()).await;
        let listed = listed.map_err(Error::api("cannot list Deployments"))?;
        let apps: Vec<String> = listed.items.into_iter().filter_map(|found| found.metadata.name).collect();
        if self.job_pods == 0 && apps.is_empty() {
            return Ok(());
        }
        loop {
            if self.job_pods > 0 {
                self.job().await?;
                self.round().await;
            }
            for app in &apps {
                self.restart(app).await?;
                self.round().await;
            }
        }
    }

    /// Jobs that completed and went, and restarts that rolled out.
    pub(super) fn rounds(&self) -> u32 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Takes away what is left, and waits until its pods are gone.
    pub(super) async fn clear(&self) -> Result<()> {
        let (all, background) = (ListParams::default(), DeleteParams::background());
        self.jobs.delete_collection(&background, &all).await.map_err(Error::api("cannot delete the Jobs"))?;
        let deleted = self.deployments.delete_collection(&background, &all).await;
        deleted.map_err(Error::api("cannot delete the Deployments"))?;
        let until = Instant::now() + self.limit;
        loop {
            let left = self.pods.list_metadata(&all).await.map_err(Error::api("cannot list Pods"))?.items.len();
            if left == 0 {
                return Ok(());
            }
            if Instant::now() > until {
                let end =
                    format!("{left} pods are still there {} s after their Jobs and Deployments", self.limit.as_secs());
                return Err(Error::Phase { phase: "clear".to_owned(), end, verdict: Verdict::Stalled });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.pause).await;
    }

    async fn job(&self) -> Result<()> {
        let mut pod = on_virtual_nodes();
        pod["restartPolicy"] = "Never".into();
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": JOB, "labels": self.labels},
            "spec": {
                "parallelism": self.job_parallelism,
                "completions": self.job_pods,
                "template": {"metadata": {"labels": self.labels}, "spec": pod},
            },
        });
        let job = serde_json::from_value(job).map_err(kube::Error::SerdeError).map_err(Error::api("Job"))?;
        self.jobs.create(&PostParams::default(), &job).await.map_err(Error::api("cannot create the Job"))?;
        loop {
            let job = self.jobs.get(JOB).await.map_err(Error::api("cannot read the Job"))?;
            let succeeded = job.status.and_then(|status| status.succeeded).unwrap_or(0);
            if succeeded as u32 >= self.job_pods {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        let deleted = self.jobs.delete(JOB, &DeleteParams::foreground()).await;
        deleted.map_err(Error::api("cannot delete the Job"))?;
        while self.jobs.get_metadata_opt(JOB).await.map_err(Error::api("cannot read the Job"))?.is_some() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// As `kubectl rollout restart`, and waits until it is done.
    async fn restart(&self, app: &str) -> Result<()> {
        let restarted_at = Timestamp::now().to_string();
        let annotations = json!({"kubectl.kubernetes.io/restartedAt": restarted_at});
        let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
        let patched = self.deployments.patch(app, &PatchParams::default(), &Patch::Merge(&patch)).await;
        let wanted = patched.map_err(Error::api(format!("cannot restart Deployment {app}")))?.metadata.generation;
        loop {
            let found = self.deployments.get(app).await;
            let found = found.map_err(Error::api(format!("cannot read Deployment {app}")))?;
            let replicas = found.spec.and_then(|spec| spec.replicas);
            let status = found.status.unwrap_or_default();
            let counts = [status.replicas, status.updated_replicas, status.available_replicas];
            if status.observed_generation >= wanted && counts.iter().all(|count| *count == replicas) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
