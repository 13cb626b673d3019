//! Pools as ConfigMaps of the namespace in which kperf keeps its Helm releases.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::{Error, Result};
use crate::objects::ensure_namespace;

/// The namespace of everything about virtual nodes.
pub const NAMESPACE: &str = "virtualnodes-kperf-io";
/// Label of what kperf manages.
const MANAGED: &str = "virtualnodes.kperf.io/managed";
const SPEC: &str = "nodepool.json";
const STATUS: &str = "status";
/// A status of Helm, which kperf shows.
const PENDING: &str = "pending-install";

/// A pool of simulated nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name; its nodes are `<name>-0`, `<name>-1`, ….
    pub name: String,
    /// Nodes.
    pub nodes: u32,
    /// CPUs of a node.
    pub cpu: u32,
    /// Memory of a node in GiB.
    pub memory_gib: u32,
    /// Pods that fit on a node.
    pub max_pods: u32,
    /// More labels of its nodes.
    pub labels: BTreeMap<String, String>,
    /// One provider's id for all nodes.
    pub provider_id: Option<String>,
}

/// Writes down that a pool is being made.
pub(super) async fn create(client: &Client, pool: &Pool) -> Result<()> {
    ensure_namespace(client, NAMESPACE).await?;
    let spec = serde_json::to_string(pool).unwrap_or_default();
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(pool.name.clone()),
            labels: Some(BTreeMap::from([(MANAGED.to_owned(), "true".to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(SPEC.to_owned(), spec), (STATUS.to_owned(), PENDING.to_owned())])),
        ..ConfigMap::default()
    };
    match maps(client).create(&PostParams::default(), &map).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Err(Error::Usage(format!(
            "pool {} is there already: `kperf vc nodepool delete {}` deletes it",
            pool.name, pool.name
        ))),
        Err(error) => Err(Error::api(format!("cannot create pool {}", pool.name))(error)),
    }
}

/// Writes down that all nodes of a pool were created.
pub(super) async fn deployed(client: &Client, name: &str) -> Result<()> {
    let patch = json!({"data": {STATUS: "deployed"}});
    let patched = maps(client).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map(drop).map_err(Error::api(format!("cannot update pool {name}")))
}

/// All pools with their status, by name.
pub(super) async fn all(client: &Client) -> Result<Vec<(Pool, String)>> {
    let managed = ListParams::default().labels(&format!("{MANAGED}=true"));
    let maps = maps(client).list(&managed).await.map_err(Error::api("cannot list pools"))?;
    let pool = |map: ConfigMap| {
        let data = map.data.unwrap_or_default();
        let pool = data.get(SPEC).and_then(|spec| serde_json::from_str(spec).ok())?;
        Some((pool, data.get(STATUS).cloned().unwrap_or_default()))
    };
    Ok(maps.items.into_iter().filter_map(pool).collect())
}

/// Makes sure that there is a pool of that name.
pub(super) async fn require(client: &Client, name: &str) -> Result<()> {
    let pools = all(client).await?;
    if pools.iter().any(|(pool, _)| pool.name == name) {
        return Ok(());
    }
    let known: Vec<&str> = pools.iter().map(|(pool, _)| pool.name.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(Error::Usage(format!("there is no pool {name}; there are: {known}")))
}

/// Forgets a pool.
pub(super) async fn delete(client: &Client, name: &str) -> Result<()> {
    let deleted = maps(client).delete(name, &DeleteParams::default()).await;
    deleted.map(drop).map_err(Error::api(format!("cannot delete pool {name}")))
}

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), NAMESPACE)
}
