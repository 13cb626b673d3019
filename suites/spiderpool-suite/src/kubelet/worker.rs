//! The worker of one pod: from its binding to the end of its object.

use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use measure::Seen;
use measure::ledger::Stage;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::{SemaphorePermit, watch};

use super::{Attempt, Node, Operation, Order, Shared, lock};
use crate::addresses::Holder;
use crate::plugin::{Failure, Sandbox};
use crate::stages::{ADDRESSED, ADDRESSED_AGAIN, RELEASED};

/// A pod that failed to sync is synced again after `backOffPeriod` and up to half of it more
/// (`workerBackOffPeriodJitterFactor`, `pkg/kubelet` of Kubernetes).
const BACK_OFF: Duration = Duration::from_secs(10);
/// A status or a deletion that the apiserver refused is tried again after this long.
const STATUS_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    shared: Arc<Shared>,
    node: String,
    pod: String,
    uid: String,
    orders: watch::Receiver<Order>,
    made: Option<Made>,
    sandboxes: u32,
    restarts: u32,
}

/// A sandbox that a plugin was asked about.
struct Made {
    sandbox: Sandbox,
    /// How often its machine had been started when it was made: a later machine does not know it any more.
    boots: u32,
    addresses: Vec<IpAddr>,
    /// Whether the plugin gave it addresses.
    usable: bool,
    /// Whether the pod's status shows them.
    shown: bool,
}

/// What comes after a step.
enum Step {
    /// The next one.
    Again,
    /// Nothing, until something changes.
    Wait,
    /// The same once more, after so long.
    Retry(Duration),
    /// Nothing any more.
    Over,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        node: String,
        pod: String,
        uid: String,
        orders: watch::Receiver<Order>,
    ) -> Self {
        Self { shared, node, pod, uid, orders, made: None, sandboxes: 0, restarts: 0 }
    }

    pub(super) async fn run(mut self) {
        let (mut orders, mut powered) = (self.orders.clone(), self.shared.power.clone());
        loop {
            let (order, power) = (*orders.borrow_and_update(), *powered.borrow_and_update());
            let step = if power.on {
                tokio::select! {
                    step = self.step(order, power.boots) => step,
                    // A power failure ends whatever was going on, plugins included.
                    _ = powered.changed() => continue,
                }
            } else {
                Step::Wait
            };
            let pause = match step {
                Step::Again => continue,
                Step::Over => return,
                Step::Wait => None,
                Step::Retry(pause) => Some(pause),
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = changed(&mut orders) => {}
                () = changed(&mut powered) => {}
            }
        }
    }

    async fn step(&mut self, order: Order, boots: u32) -> Step {
        match &self.made {
            Some(made) if order.leaving || made.boots != boots || !made.usable => self.tear_down(order.leaving).await,
            Some(made) if !made.shown => self.show().await,
            Some(_) => Step::Wait,
            None if order.gone => Step::Over,
            None if order.leaving => self.delete().await,
            None => self.make(boots).await,
        }
    }

    /// Makes a sandbox; one that gets no addresses is torn down at once, as containerd does it.
    async fn make(&mut self, boots: u32) -> Step {
        self.sandboxes += 1;
        let sandbox = Sandbox {
            node: self.node.clone(),
            namespace: self.shared.namespace.clone(),
            pod: self.pod.clone(),
            uid: self.uid.clone(),
            container: container_id(&self.uid, self.sandboxes),
        };
        let shared = Arc::clone(&self.shared);
        let _permit = permit(&shared, &self.node).await;
        let made = self.made.insert(Made { sandbox, boots, addresses: Vec::new(), usable: false, shown: false });
        let at = shared.clock.elapsed();
        let answer = shared.plugin.add(&made.sandbox).await;
        let answered = shared.clock.elapsed();
        let error = answer.as_ref().err().map(Failure::to_string);
        match answer {
            Ok(addresses) => {
                let Sandbox { pod, container, .. } = &made.sandbox;
                let holder = Holder { pod: pod.clone(), container: container.clone(), addresses: addresses.clone() };
                lock(&shared.addresses).hold(holder, answered);
                (made.addresses, made.usable) = (addresses, true);
                self.note(Operation::Add, at, answered, error, false);
                self.stamp(if boots == 0 { ADDRESSED } else { ADDRESSED_AGAIN });
                Step::Again
            }
            Err(_) => {
                self.note(Operation::Add, at, answered, error, false);
                self.release().await;
                Step::Retry(self.back_off())
            }
        }
    }

    async fn tear_down(&mut self, leaving: bool) -> Step {
        let shared = Arc::clone(&self.shared);
        let _permit = permit(&shared, &self.node).await;
        let ran = self.made.as_ref().is_some_and(|made| made.shown);
        if !self.release().await {
            return Step::Retry(self.back_off());
        }
        if leaving {
            self.stamp(RELEASED);
        } else if ran {
            self.restarts += 1;
        }
        Step::Again
    }

    /// Asks for the release of the sandbox's addresses; says whether it is over. The caller has the node's permit.
    async fn release(&mut self) -> bool {
        let Some(made) = &self.made else { return true };
        let shared = Arc::clone(&self.shared);
        lock(&shared.addresses).let_go(&made.sandbox.container);
        let at = shared.clock.elapsed();
        let answer = shared.plugin.del(&made.sandbox).await;
        let answered = shared.clock.elapsed();
        let (error, hidden) = match &answer {
            Ok(hidden) => (hidden.as_ref(), true),
            Err(failure) => (Some(failure), false),
        };
        let error = error.map(Failure::to_string);
        self.note(Operation::Del, at, answered, error.clone(), hidden && error.is_some());
        if answer.is_ok() {
            self.made = None;
        }
        answer.is_ok()
    }

    /// Shows the pod as running, with its addresses.
    async fn show(&mut self) -> Step {
        let Some(made) = &mut self.made else { return Step::Again };
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let conditions = ["Initialized", "ContainersReady", "Ready"]
            .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now}));
        // A strategic merge would add to the addresses of a sandbox before.
        let replaced = std::iter::once(json!({"$patch": "replace"}));
        let addresses: Vec<_> = replaced.chain(made.addresses.iter().map(|address| json!({"ip": address}))).collect();
        let patch = json!({
            "metadata": {"uid": self.uid},
            "status": {
                "phase": "Running",
                "startTime": now,
                "podIP": made.addresses.first(),
                "podIPs": addresses,
                "conditions": conditions,
                "containerStatuses": [{
                    "name": "pause",
                    "image": "pause",
                    "imageID": "",
                    "ready": true,
                    "restartCount": self.restarts,
                    "state": {"running": {"startedAt": now}},
                }],
            },
        });
        let limits = self.shared.nodes.get(&self.node);
        let _turn = turn(limits).await;
        let patched =
            self.shared.pods.patch_status(&self.pod, &PatchParams::default(), &Patch::Strategic(&patch)).await;
        match patched {
            Ok(_) => made.shown = true,
            // The pod is gone, or another one has its name: the watch will tell.
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => return Step::Wait,
            Err(_) => return Step::Retry(STATUS_AGAIN),
        }
        Step::Again
    }

    /// Deletes the pod's object, of which nothing is left on the node.
    async fn delete(&self) -> Step {
        let this = Preconditions { uid: Some(self.uid.clone()), resource_version: None };
        let now = DeleteParams::default().grace_period(0).preconditions(this);
        let _turn = turn(self.shared.nodes.get(&self.node)).await;
        match self.shared.pods.delete(&self.pod, &now).await {
            Ok(_) => Step::Over,
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Step::Over,
            Err(_) => Step::Retry(STATUS_AGAIN),
        }
    }

    fn stamp(&self, stage: Stage) {
        let now = self.shared.clock.elapsed();
        // The watch that told of the pod has put it on its account.
        self.shared.account.ledger().mark(&self.pod, 0, stage, now, Seen::Event);
    }

    fn note(&self, operation: Operation, at: Duration, answered: Duration, error: Option<String>, hidden: bool) {
        let took = answered.saturating_sub(at);
        let (pod, sandbox) = (self.pod.clone(), self.sandboxes);
        lock(&self.shared.log).push(Attempt { operation, pod, sandbox, at, took, error, hidden });
    }

    /// The jitter comes from the container's id, which is as good as random and the same in every account of the trial.
    fn back_off(&self) -> Duration {
        let id = container_id(&self.uid, self.sandboxes);
        let jitter = u32::from_str_radix(&id[..4], 16).map_or(0.0, |digits| f64::from(digits) / 65536.0);
        BACK_OFF.mul_f64(1.0 + 0.5 * jitter)
    }
}

/// 64 hexadecimal digits, as containerd makes them.
pub(crate) fn container_id(uid: &str, sandbox: u32) -> String {
    let digest = Sha256::digest(format!("{uid}/{sandbox}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn permit<'a>(shared: &'a Shared, node: &str) -> Option<SemaphorePermit<'a>> {
    match shared.nodes.get(node) {
        Some(limits) => limits.sandboxes.acquire().await.ok(),
        None => None,
    }
}

async fn turn(limits: Option<&Node>) -> Option<SemaphorePermit<'_>> {
    match limits {
        Some(limits) => limits.statuses.acquire().await.ok(),
        None => None,
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => pending().await,
    }
}

/// Returns at the next change; never when there can be none any more.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        pending().await
    }
}
