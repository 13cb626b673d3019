//! The simulated kubelets: pods are real objects, bound by the real scheduler, and get their addresses from the real
//! plugin. What a kubelet and its container runtime do around that is done here, and nothing else: no container runs.
//!
//! A worker a pod does what kubelet's pod workers and containerd do (`pkg/kubelet/pod_workers.go` of Kubernetes,
//! `internal/cri/server/sandbox_run.go` of containerd): a sandbox that does not get its addresses is torn down at once
//! with a DEL of its own, and another one is tried after 10 to 15 s; when its pod is to go, a sandbox is released first
//! and the object deleted last.

mod log;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use harness::Account;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::addresses::Addresses;
use crate::machines::{Machines, Power};
use crate::plugin::Plugin;

pub use log::{Attempt, Log, Operation, errors, summary};
use worker::Worker;
pub(crate) use worker::container_id;

/// What a kubelet is told of a pod by its watch.
#[derive(Clone, Debug)]
pub enum News {
    /// It is there.
    Pod {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
        /// Its node; empty before it is bound.
        node: String,
        /// Whether its deletion was asked for.
        leaving: bool,
    },
    /// It is gone, by its uid.
    Gone(String),
    /// A list shows these pods, by name and sorted, and no others.
    Listed(Vec<String>),
}

/// What a pod's worker is to bring about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Order {
    /// The pod is to go.
    leaving: bool,
    /// Its object is gone already: somebody forced it.
    gone: bool,
}

/// What all kubelets of a trial share.
struct Shared {
    namespace: String,
    pods: Api<Pod>,
    plugin: Arc<dyn Plugin>,
    account: Account,
    addresses: Arc<Mutex<Addresses>>,
    log: Arc<Mutex<Log>>,
    clock: Instant,
    power: watch::Receiver<Power>,
    nodes: HashMap<String, Node>,
}

/// A kubelet's own limits.
struct Node {
    /// Sandboxes that are made or torn down at once.
    sandboxes: Semaphore,
    /// A kubelet sends its pods' statuses one after the other.
    statuses: Semaphore,
}

/// The kubelets of a trial; they end when this is dropped.
pub struct Kubelets {
    news: mpsc::UnboundedSender<News>,
    shared: Arc<Shared>,
    dispatcher: JoinHandle<()>,
}

impl std::fmt::Debug for Kubelets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kubelets of {}", self.shared.namespace)
    }
}

/// What kubelets are started with.
#[derive(Clone)]
pub struct Start {
    /// The namespace whose pods are theirs.
    pub namespace: String,
    /// The plugin.
    pub plugin: Arc<dyn Plugin>,
    /// The pods' account.
    pub account: Account,
    /// The addresses' account.
    pub addresses: Arc<Mutex<Addresses>>,
    /// The start of the trial.
    pub clock: Instant,
    /// Sandboxes that are made or torn down at once on one node.
    pub sandboxes_per_node: usize,
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Start of {}", self.namespace)
    }
}

impl Kubelets {
    /// Starts a kubelet on each machine.
    pub fn start(client: &Client, machines: &Machines, start: Start) -> Self {
        let node = |name: &String| {
            let limits = Node { sandboxes: Semaphore::new(start.sandboxes_per_node), statuses: Semaphore::new(1) };
            (name.clone(), limits)
        };
        let shared = Arc::new(Shared {
            pods: Api::namespaced(client.clone(), &start.namespace),
            namespace: start.namespace,
            plugin: start.plugin,
            account: start.account,
            addresses: start.addresses,
            log: Arc::default(),
            clock: start.clock,
            power: machines.power(),
            nodes: machines.names().iter().map(node).collect(),
        });
        let (news, received) = mpsc::unbounded_channel();
        let dispatcher = tokio::spawn(dispatch(Arc::clone(&shared), received));
        Self { news, shared, dispatcher }
    }

    /// Where a watch of the pods tells its news.
    pub fn news(&self) -> mpsc::UnboundedSender<News> {
        self.news.clone()
    }

    /// Every request to the plugin so far.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.shared.log)
    }
}

impl Drop for Kubelets {
    fn drop(&mut self) {
        self.dispatcher.abort();
    }
}

/// Gives every pod of our nodes a worker, and each worker its orders.
async fn dispatch(shared: Arc<Shared>, mut news: mpsc::UnboundedReceiver<News>) {
    let mut orders: HashMap<String, (String, watch::Sender<Order>)> = HashMap::new();
    // The workers end with this task.
    let mut workers = JoinSet::new();
    while let Some(news) = news.recv().await {
        match news {
            News::Pod { name, uid, node, leaving } => {
                if let Some((_, order)) = orders.get(&uid) {
                    let leaves = |order: &mut Order| leaving && !std::mem::replace(&mut order.leaving, true);
                    order.send_if_modified(leaves);
                } else if shared.nodes.contains_key(&node) {
                    let (order, ordered) = watch::channel(Order { leaving, gone: false });
                    let worker = Worker::new(Arc::clone(&shared), node, name.clone(), uid.clone(), ordered);
                    workers.spawn(worker.run());
                    orders.insert(uid, (name, order));
                }
            }
            News::Gone(uid) => {
                if let Some((_, order)) = orders.remove(&uid) {
                    order.send_replace(Order { leaving: true, gone: true });
                }
            }
            News::Listed(present) => orders.retain(|_, (name, order)| {
                let there = present.binary_search(name).is_ok();
                if !there {
                    order.send_replace(Order { leaving: true, gone: true });
                }
                there
            }),
        }
        while workers.try_join_next().is_some() {}
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
