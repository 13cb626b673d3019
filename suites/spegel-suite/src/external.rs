//! The document's own tool: both steps on any cluster, with images that its nodes can pull.

mod inventory;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::{Error, Result};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use pulls::{Pulled, await_pulled};
use serde_json::json;

use crate::daemonset::{NAME, Template, VERSION};
use crate::results::{Measurements, Sample, Suite, repository};

const LOOK: Duration = Duration::from_secs(1);

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Tool {
    /// What the results are called.
    pub name: String,
    /// Where the DaemonSet goes; one that is not there is made, and goes again.
    pub namespace: String,
    /// The image, first as it is created, then as it is updated to.
    pub images: [String; 2],
    /// Pods that the update may replace at once.
    pub max_unavailable: u32,
    /// How long each step may take.
    pub limit: Duration,
    /// Whether nodes may hold an image already.
    pub warm: bool,
}

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The results.
    pub suite: Suite,
    /// What is worth knowing of them: pods without a pull, pulls that failed before they succeeded.
    pub remarks: Vec<String>,
    /// Pods of which no kubelet told a pull.
    pub missing: usize,
}

impl Tool {
    /// Runs both steps. `say` is told what goes on.
    ///
    /// # Errors
    /// When a node holds an image already, the apiserver refuses something, or a step does not complete in time. What was made is
    /// taken away in any case.
    pub async fn run(&self, client: &Client, say: impl Fn(&str)) -> Result<Outcome> {
        if !self.warm {
            inventory::refuse_warm(client, &self.images, &say).await?;
        }
        let made = self.make_namespace(client).await?;
        let daemon_sets: Api<DaemonSet> = Api::namespaced(client.clone(), &self.namespace);
        let outcome = self.two_steps(client, &daemon_sets, say).await;
        // A DaemonSet that was there before is somebody else's, and its creation was refused.
        if !matches!(&outcome, Err(Error::Api { source, .. }) if is_conflict(source)) {
            daemon_sets.delete(NAME, &DeleteParams::background()).await.ok();
        }
        if made {
            let namespaces: Api<Namespace> = Api::all(client.clone());
            namespaces.delete(&self.namespace, &DeleteParams::background()).await.ok();
        }
        outcome
    }

    async fn two_steps(&self, client: &Client, daemon_sets: &Api<DaemonSet>, say: impl Fn(&str)) -> Result<Outcome> {
        let template = Template {
            labels: std::collections::BTreeMap::new(),
            images: self.images.clone(),
            max_unavailable: self.max_unavailable,
            node_selector: std::collections::BTreeMap::new(),
        };
        let written = template.daemon_set().map_err(Error::api(format!("cannot write DaemonSet {NAME}")))?;
        let created = daemon_sets.create(&PostParams::default(), &written).await;
        created.map_err(Error::api(format!(
            "cannot create DaemonSet {NAME}; one that an earlier run left: `kubectl delete daemonset {NAME} --namespace {}`",
            self.namespace
        )))?;
        let mut outcome = Outcome { suite: Suite::default(), remarks: Vec::new(), missing: 0 };
        let create = self.step(client, daemon_sets, 0, &mut outcome, &say).await?;
        let patch = Patch::Strategic(template.update());
        let patched = daemon_sets.patch(NAME, &PatchParams::default(), &patch).await;
        patched.map_err(Error::api(format!("cannot update DaemonSet {NAME}")))?;
        let update = self.step(client, daemon_sets, 1, &mut outcome, &say).await?;
        let suite = Suite::of_one(&self.name, repository(&self.images[0]), create, update);
        outcome.suite = inventory::described(client, suite).await?;
        Ok(outcome)
    }

    /// Waits until every node has its pod of a version, and reads its pull.
    async fn step(
        &self,
        client: &Client,
        daemon_sets: &Api<DaemonSet>,
        version: usize,
        outcome: &mut Outcome,
        say: &impl Fn(&str),
    ) -> Result<Measurements> {
        let image = &self.images[version];
        let nodes = self.rolled_out(daemon_sets, image).await?;
        say(&format!("{image}: {nodes} nodes"));
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let labelled =
            ListParams::default().labels(&format!("app={NAME},{VERSION}={}", crate::rollout::VERSIONS[version]));
        let pods = pods.list_metadata(&labelled).await.map_err(Error::api("cannot list pods"))?;
        let names: BTreeSet<String> = pods.items.into_iter().filter_map(|pod| pod.metadata.name).collect();
        let ours = |pulled: &Pulled| names.contains(&pulled.pod);
        let events = await_pulled(client, &self.namespace, names.len(), ours).await?;
        let told: BTreeSet<&String> = events.iter().map(|event| &event.pod).collect();
        let silent: Vec<&str> = names.iter().filter(|pod| !told.contains(pod)).map(String::as_str).collect();
        if !silent.is_empty() {
            let pods = silent.join(", ");
            outcome.missing += silent.len();
            outcome
                .remarks
                .push(format!("{image}: no kubelet told of a pull for {pods}: it was there, or the event is lost"));
        }
        let failures = inventory::failures(client, &self.namespace, &names).await?;
        if failures > 0 {
            outcome.remarks.push(format!("{image}: pulls failed {failures} times before they succeeded"));
        }
        Ok(Measurements { image: image.clone(), samples: events.iter().filter_map(sample).collect() })
    }

    /// Waits until every node that is to have a pod of the newest template has one that is ready; returns how many.
    async fn rolled_out(&self, daemon_sets: &Api<DaemonSet>, image: &str) -> Result<i32> {
        let started = Instant::now();
        loop {
            let found = daemon_sets.get(NAME).await.map_err(Error::api(format!("cannot read DaemonSet {NAME}")))?;
            let status = found.status.unwrap_or_default();
            let wanted = status.desired_number_scheduled;
            let updated = status.updated_number_scheduled.unwrap_or(0).min(status.number_ready);
            let current = status.observed_generation >= found.metadata.generation;
            if current && wanted > 0 && updated == wanted {
                return Ok(wanted);
            }
            if started.elapsed() > self.limit {
                let waited = measure::human(started.elapsed());
                return Err(Error::Environment(format!("{image}: {updated} of {wanted} nodes run it after {waited}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes the namespace when it is not there; says whether it did.
    async fn make_namespace(&self, client: &Client) -> Result<bool> {
        let (namespaces, name): (Api<Namespace>, _) = (Api::all(client.clone()), &self.namespace);
        let found = namespaces.get_metadata_opt(name).await;
        if found.map_err(Error::api(format!("cannot read namespace {name}")))?.is_some() {
            return Ok(false);
        }
        let written = serde_json::from_value(json!({"metadata": {"name": name}})).map_err(kube::Error::SerdeError);
        let written: Namespace = written.map_err(Error::api(format!("cannot write namespace {name}")))?;
        let made = namespaces.create(&PostParams::default(), &written).await;
        made.map(|_| true).map_err(Error::api(format!("cannot make namespace {name}")))
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// A pull as the document's tool counts it: with the wait for others, where the kubelet tells it.
fn sample(event: &Pulled) -> Option<Sample> {
    let took = event.with_waiting.unwrap_or(event.pull);
    Sample::new((event.told_ns? / 1_000).saturating_sub(took.as_micros() as u64), took)
}
