//! The objects that a load lists, gets and patches, there before it begins.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harness::{Error, Result, Trial};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{ListParams, PostParams, WatchParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::task::JoinSet;

use super::Load;

/// The name of the ConfigMaps in `read_update`, as `runkperf` gives it.
const CONFIGMAPS: &str = "runkperf-cm-kperf-read-update";
const AT_ONCE: usize = 8;

/// Creates the Pods and ConfigMaps of a row in the trial's namespace.
pub(super) async fn create(trial: &Trial, load: &Load) -> Result<()> {
    let labels = trial.labels();
    let padding = "x".repeat(load.pod_bytes as usize);
    let pods = (0..load.pods).map(|index| {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": format!("pod-{index}"), "labels": labels, "annotations": {"padding": padding}},
            // Nobody schedules it, so that nobody writes it while it is listed.
            "spec": {"schedulerName": "nobody", "containers": [{"name": "pause", "image": "pause"}]},
        })
    });
    all::<Pod>(trial, pods).await?;
    let content = "x".repeat(load.configmap_bytes as usize);
    let maps = (0..load.configmaps).map(|index| {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": format!("{CONFIGMAPS}-{index}"), "labels": labels},
            "data": {"payload": content},
        })
    });
    all::<ConfigMap>(trial, maps).await
}

/// Opens watches of one ConfigMap each, which end when the set is dropped.
pub(super) async fn watch(trial: &Trial, load: &Load) -> Result<JoinSet<()>> {
    let api: Api<ConfigMap> = Api::namespaced(trial.client().clone(), trial.namespace());
    let listed = api.list_metadata(&ListParams::default().limit(1)).await;
    let version = listed.map_err(Error::api("cannot list ConfigMaps"))?.metadata.resource_version.unwrap_or_default();
    let mut watches = JoinSet::new();
    for index in 0..load.watches {
        let one = WatchParams::default().fields(&format!("metadata.name={CONFIGMAPS}-{index}"));
        let events = api.watch_metadata(&one, &version).await.map_err(Error::api("cannot watch a ConfigMap"))?;
        watches.spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(Ok(_)) = events.next().await {}
        });
    }
    Ok(watches)
}

async fn all<K>(trial: &Trial, objects: impl Iterator<Item = serde_json::Value>) -> Result<()>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(trial.client().clone(), trial.namespace());
    let api = &api;
    let create = async |object: serde_json::Value| {
        let object: K =
            serde_json::from_value(object).map_err(kube::Error::SerdeError).map_err(Error::api("object"))?;
        let kind = K::kind(&());
        let created = api.create(&PostParams::default(), &object).await;
        created.map(drop).map_err(Error::api(format!("cannot create a {kind} of the load")))
    };
    stream::iter(objects).map(create).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    // The watch cache, which stale lists are answered from, follows etcd within milliseconds.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}
