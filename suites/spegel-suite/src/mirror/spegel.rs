//! Spegel, from a program that is given: an image of it alone, and manifests of ours.
//!
//! It says in its log what each node asked it for and whether a peer had it, and counts bytes without saying whose: the log
//! attributes, and the counters have to say as much.

mod log;
mod manifest;
mod program;
mod shape;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::{Component, KindNode, Process, State};
use futures_util::future::LocalBoxFuture;
use harness::{Error, Result, Trial};
use images::{File, Image, Ledger, Source, Spec};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use kube::{Api, Client};
use measure::promtext;
use origin::Origin;
use pulls::{Account, broken};

use super::{Bytes, COMPONENT, Mirror, Served};
use log::{Asked, asked};
use manifest::{METRICS_PORT, NAME};

pub use manifest::REGISTRY_PORT;
pub use program::PROGRAM;
pub(super) use shape::unshape;

/// How long instances may take to be ready: beyond the document's 60 s, so that a row can say that it was longer.
const READY_WITHIN: Duration = Duration::from_secs(150);
/// How long instances may take to end.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// How long one may take to tell its counters.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(200);

/// Spegel on every worker.
pub struct Spegel {
    client: Client,
    namespace: String,
    workers: Vec<KindNode>,
    processes: Vec<Process>,
    /// Sizes of what nodes will ask for, by digest.
    sizes: BTreeMap<String, u64>,
    /// Until when logs were read.
    read: Mutex<Timestamp>,
}

/// An instance.
struct Instance {
    pod: String,
    node: IpAddr,
    /// Whether its container was started again, so that some of its log is its predecessor's.
    restarted: bool,
}

impl std::fmt::Debug for Spegel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spegel({} workers)", self.workers.len())
    }
}

/// The instance of a worker, as this machine sees its process; none when it does not run.
pub fn instance(worker: &KindNode) -> Option<Process> {
    Process::with_argument(&manifest::router_addr(&worker.address.to_string())).first().copied()
}

impl Spegel {
    pub(super) async fn start(
        trial: &mut Trial,
        origin: &Origin,
        workers: &[KindNode],
        images: &[Image],
        mbit: u32,
    ) -> Result<Self> {
        let program = program::given()?;
        let file = File { path: NAME.into(), source: Source::Program(program.used.path.clone()) };
        trial.program(&program);
        let spec = Spec::of_sizes(0, &[]).over(vec![file], &[&format!("/{NAME}")]);
        let image = origin.push("spegel:1", &spec).await.map_err(broken)?;
        let written = manifest::daemon_set(&image.reference.whole(), workers, &trial.labels());
        let written = serde_json::from_value(written).map_err(kube::Error::SerdeError);
        let written: DaemonSet = written.map_err(Error::api(format!("cannot write DaemonSet {NAME}")))?;
        let (client, namespace) = (trial.client().clone(), trial.namespace().to_owned());
        let daemon_sets: Api<DaemonSet> = Api::namespaced(client.clone(), &namespace);
        let created = daemon_sets.create(&PostParams::default(), &written).await;
        created.map_err(Error::api(format!("cannot create DaemonSet {NAME}")))?;
        let ready = ready(&daemon_sets, workers.len()).await?;
        trial.metric("mirror_ready_s", ready.as_secs_f64());
        let processes = workers.iter().map(|worker| observed(trial, worker)).collect::<Result<_>>()?;
        workers.iter().try_for_each(|worker| shape::shape(worker, mbit))?;
        let target = |worker: &KindNode| Some(SocketAddr::new(worker.address, REGISTRY_PORT));
        origin.mirrored(workers, target).map_err(broken)?;
        let blobs = images.iter().flat_map(|image| image.blobs().chain([&image.manifest]));
        let sizes = blobs.map(|blob| (blob.digest().to_string(), blob.size())).collect();
        let read = Mutex::new(Timestamp::now());
        Ok(Self { client, namespace, workers: workers.to_vec(), processes, sizes, read })
    }

    async fn instances(&self) -> Result<Vec<Instance>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let pods = pods.list(&ListParams::default().labels(&format!("app={NAME}"))).await;
        let pods = pods.map_err(Error::api(format!("cannot list the pods of {NAME}")))?;
        let instance = |pod: Pod| {
            let status = pod.status?;
            let restarted = status.container_statuses.iter().flatten().any(|container| container.restart_count > 0);
            Some(Instance { pod: pod.metadata.name?, node: status.host_ip?.parse().ok()?, restarted })
        };
        Ok(pods.items.into_iter().filter_map(instance).collect())
    }

    /// What an instance was asked for after a moment.
    async fn asked(&self, instance: &Instance, since: Timestamp) -> Result<Asked> {
        let (pods, pod): (Api<Pod>, _) = (Api::namespaced(self.client.clone(), &self.namespace), &instance.pod);
        let read = async |previous: bool| {
            let log = pods.logs(pod, &LogParams { previous, ..LogParams::default() }).await;
            log.map_err(Error::api(format!("cannot read the log of {pod}")))
        };
        let before = if instance.restarted { read(true).await? } else { String::new() };
        Ok(asked(&(before + &read(false).await?), since))
    }

    /// Bytes that an instance has answered with since it was started, by its own counter.
    async fn counted(&self, Instance { pod, .. }: &Instance) -> Result<f64> {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}:{METRICS_PORT}/proxy/metrics", self.namespace);
        let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError);
        let request = request.map_err(Error::api("cannot ask for metrics"))?;
        let page = tokio::time::timeout(ANSWERS_WITHIN, self.client.request_text(request)).await;
        let page = page.map_err(|_| {
            let seconds = ANSWERS_WITHIN.as_secs();
            Error::Environment(format!("{pod} does not answer with its metrics within {seconds} s"))
        })?;
        let page = page.map_err(Error::api(format!("cannot read the metrics of {pod}")))?;
        let of_content = |sample: &promtext::Sample<'_>| {
            sample.label("method") == Some("GET") && sample.label("code").is_some_and(|code| code.starts_with("20"))
        };
        Ok(promtext::sum(&page, "http_response_size_bytes_sum", of_content).unwrap_or(0.0))
    }
}

impl Mirror for Spegel {
    fn served<'a>(&'a self, registry: &'a Account) -> LocalBoxFuture<'a, Result<Served>> {
        Box::pin(async move {
            let until = Timestamp::now();
            let since = std::mem::replace(&mut *self.read.lock().unwrap_or_else(PoisonError::into_inner), until);
            let from_registry = Ledger::tallies(&registry.entries);
            let mut served = Served::default();
            let mut counted = 0.0;
            for instance in self.instances().await? {
                let Asked { hits, misses } = self.asked(&instance, since).await?;
                for digest in hits {
                    let key = (instance.node, digest);
                    let Some(size) = self.sizes.get(&key.1) else { continue };
                    // A peer that went in the middle of it leaves the rest to the registry.
                    let rest = from_registry.get(&key).map_or(0, |tally| tally.sent_bytes);
                    served.sent.insert(key, Bytes { sent: size.saturating_sub(rest), missed: 0 });
                }
                served.misses.extend(misses);
                counted += self.counted(&instance).await?;
            }
            // Who asks passes on what a peer sends, and both count it.
            served.counted = Some(counted / 2.0);
            Ok(served)
        })
    }

    /// Waits until its instances are gone: the next ones take the same ports of the nodes.
    fn end<'a>(&'a self, trial: &'a Trial) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            // One that is gone already was not ended here.
            let alive = self.processes.iter().filter(|process| process.state() != State::Dead);
            alive.for_each(|process| trial.expect_death(*process));
            self.workers.iter().try_for_each(unshape)?;
            let daemon_sets: Api<DaemonSet> = Api::namespaced(self.client.clone(), &self.namespace);
            let deleted = daemon_sets.delete(NAME, &DeleteParams::background()).await;
            deleted.map_err(Error::api(format!("cannot delete DaemonSet {NAME}")))?;
            let started = Instant::now();
            while !self.instances().await?.is_empty() {
                if started.elapsed() > GONE_WITHIN {
                    let seconds = GONE_WITHIN.as_secs();
                    return Err(Error::Environment(format!("{NAME}: instances are still there after {seconds} s")));
                }
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        })
    }
}

/// Waits until every worker has one that is ready.
async fn ready(daemon_sets: &Api<DaemonSet>, workers: usize) -> Result<Duration> {
    let started = Instant::now();
    loop {
        let found = daemon_sets.get(NAME).await.map_err(Error::api(format!("cannot read DaemonSet {NAME}")))?;
        let ready = found.status.map_or(0, |status| status.number_ready);
        if ready as usize == workers {
            return Ok(started.elapsed());
        }
        if started.elapsed() > READY_WITHIN {
            return Err(Error::Environment(format!(
                "{NAME}: {ready} of {workers} instances are ready after {} s; {PROGRAM} has to be linked statically, and its log \
                 says more",
                READY_WITHIN.as_secs()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Observes a worker's instance as a component of the trial.
fn observed(trial: &mut Trial, worker: &KindNode) -> Result<Process> {
    let process = instance(worker);
    let process =
        process.ok_or_else(|| Error::Environment(format!("{NAME} is ready on {}, and not there", worker.name)))?;
    let args = process.command_line().into_iter().skip(1).collect();
    let (name, log) = (format!("{COMPONENT}/{}", worker.name), PathBuf::new());
    trial.observe(&Component { name, process, metrics_url: None, log, args });
    Ok(process)
}
