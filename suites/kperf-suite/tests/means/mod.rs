//! The means by which rows are disturbed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster::{Descriptor, Faults, Process, RUN_LABEL, Slowdown, Slowed, connect};
use harness::fixture;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kperf_suite::DISTURBED_FIXTURE;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use record::Trial;
use rustix::process::Signal;
use serde_json::json;

fn descriptor() -> Descriptor {
    fixture(DISTURBED_FIXTURE).unwrap().0
}

/// What can be done to the cluster that may be broken.
pub(crate) fn faults() -> Faults {
    let (descriptor, fixtures) = fixture(DISTURBED_FIXTURE).unwrap();
    Faults::of(&fixtures, &descriptor.name)
}

/// Stops a component for a while.
pub(crate) fn pause(component: &'static str, how_long: Duration) {
    faults().pause(component).unwrap();
    std::thread::spawn(move || {
        std::thread::sleep(how_long);
        faults().resume(component).unwrap();
    });
}

/// Slows the cluster down until what is returned is dropped.
pub(crate) async fn slow_down(slowdown: &Slowdown) -> Slowed {
    let (descriptor, fixtures) = fixture(DISTURBED_FIXTURE).unwrap();
    slowdown.begin(&fixtures, &descriptor.name).await.unwrap()
}

/// A component that can be stopped, and goes on when this is dropped.
pub(crate) struct Paused(Process);

pub(crate) fn paused_until_dropped(component: &str) -> Paused {
    Paused(descriptor().require(component).unwrap().process)
}

impl Paused {
    pub(crate) fn now(&self) {
        self.0.signal(Signal::STOP);
    }

    pub(crate) fn process(&self) -> Process {
        self.0
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}

/// Objects of a trial that nobody can account for.
pub(crate) fn unaccounted(record: &Trial) -> usize {
    record.phases.iter().map(|phase| phase.unaccounted).sum()
}

/// Deletes the first pod that any trial has, and lets `paused` go on when it is gone.
pub(crate) async fn evict_a_pod_and_continue(paused: Process) {
    let client = connect(&descriptor()).await.unwrap();
    let all: Api<Pod> = Api::all(client.clone());
    let trials = ListParams::default().labels(RUN_LABEL);
    let pod = loop {
        match all.list_metadata(&trials).await.unwrap().items.into_iter().next() {
            Some(pod) => break pod.metadata,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let (name, namespace) = (pod.name.unwrap(), pod.namespace.unwrap());
    let api: Api<Pod> = Api::namespaced(client, &namespace);
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    while api.get_metadata_opt(&name).await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    paused.signal(Signal::CONT);
}

/// Somebody else's controllers gone wild: some write a ConfigMap of 4 KB over and over, some list every pod.
#[derive(Clone)]
pub(crate) struct Neighbour(Arc<AtomicBool>);

impl Neighbour {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    pub(crate) fn start(&self) {
        self.0.store(true, Ordering::Relaxed);
        for writer in 0..6 {
            tokio::spawn(write(writer, Arc::clone(&self.0)));
            tokio::spawn(list(Arc::clone(&self.0)));
        }
    }

    pub(crate) fn stop(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

async fn write(writer: usize, wild: Arc<AtomicBool>) {
    let client = connect(&descriptor()).await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(client, "default");
    let name = format!("noisy-{writer}");
    for i in 0.. {
        let data = json!({"i": i.to_string(), "padding": "x".repeat(4000)});
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        api.patch(&name, &PatchParams::apply("noisy"), &Patch::Apply(&object)).await.ok();
        if !wild.load(Ordering::Relaxed) {
            break;
        }
    }
    api.delete(&name, &DeleteParams::default()).await.ok();
}

async fn list(wild: Arc<AtomicBool>) {
    let client = connect(&descriptor()).await.unwrap();
    while wild.load(Ordering::Relaxed) {
        let request = http::Request::get("/api/v1/pods").body(Vec::new()).unwrap();
        client.request_text(request).await.ok();
    }
}
