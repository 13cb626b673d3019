//! Somebody who writes to other people's pods.

use std::collections::HashSet;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::sweep::RUN_LABEL;

/// Patches this share of the pods that trials make, each once, for ever.
pub(super) async fn patch_pods(client: Client, share: f64) {
    let all: Api<Pod> = Api::all(client.clone());
    let mut seen = HashSet::new();
    let mut owed = 0.0;
    loop {
        let watch = all.watch_metadata(&WatchParams::default().labels(RUN_LABEL), "0").await;
        let Ok(watch) = watch else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mut events = watch.boxed();
        while let Ok(Some(event)) = events.try_next().await {
            let WatchEvent::Added(pod) = event else { continue };
            let (Some(namespace), Some(name)) = (pod.metadata.namespace, pod.metadata.name) else { continue };
            if !seen.insert(pod.metadata.uid) {
                continue;
            }
            owed += share;
            if owed >= 1.0 {
                owed -= 1.0;
                let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
                let patch = json!({"metadata": {"annotations": {"kubedyno.io/chatter": "x".repeat(100)}}});
                tokio::spawn(async move {
                    pods.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&patch)).await
                });
            }
        }
    }
}
