//! `kperf virtualcluster nodepool`: pools of simulated nodes on the kwok controller that the cluster has.
//!
//! kperf installs a Helm release and a kwok controller for each node. Here a pool is a ConfigMap in the same namespace and
//! its nodes; they are simulated by the one controller that runs already, because a second one would fight over them.
//! Names, labels and the taint are those of `manifests/virtualcluster/nodes` of Azure/kperf v0.3.5.

mod store;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cluster::{NodeShape, create_nodes, is_ready, node, ready_nodes};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::columns::columns;
use crate::error::{Error, Result};
pub use store::{NAMESPACE, Pool};

/// The label that says whose a node is.
const POOL_LABEL: &str = "alpha.kperf.io/nodepool";
/// Suffix that kperf keeps for the controller of a pool.
const RESERVED: &str = "-controller";
/// Nodes that become Ready in a second at least: a quarter of what kwok's README promises.
const READY_PER_SECOND: u64 = 5;
/// What a controller may take before its first node is Ready.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

/// Labels by their values: `--affinity KEY=VALUE[,VALUE]`.
pub type Affinity = BTreeMap<String, Vec<String>>;

/// A pool with the number of its nodes that are Ready.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The pool.
    pub pool: Pool,
    /// How far it is: `deployed`, or `pending-install` while its nodes are created or when that was broken off.
    pub status: String,
    /// Nodes that are Ready.
    pub ready: usize,
}

/// Creates a pool, and waits until its nodes are Ready.
///
/// # Errors
/// When the pool is malformed or is there already, when `affinity` cannot be kept, when the apiserver refuses a node, and
/// when the nodes do not become Ready.
pub async fn add(client: &Client, pool: &Pool, affinity: &Affinity) -> Result<()> {
    check(pool)?;
    if !affinity.is_empty() {
        place_controller(client, affinity).await?;
    }
    store::create(client, pool).await?;
    let shape = NodeShape { cpu: pool.cpu, memory_gib: pool.memory_gib, max_pods: pool.max_pods };
    let own = [
        ("beta.kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("node-role.kubernetes.io/agent", ""),
        ("node.kubernetes.io/exclude-from-external-load-balancers", "true"),
        ("type", "kperf-virtualnodes"),
        (POOL_LABEL, pool.name.as_str()),
    ];
    let labels: Vec<(&str, &str)> =
        own.into_iter().chain(pool.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))).collect();
    // Real Pods are to stay away from simulated nodes.
    let taints = [("kperf.io/nodepool", "fake", "NoSchedule")];
    let nodes = (0..pool.nodes).map(|index| {
        let mut node = node(&format!("{}-{index}", pool.name), &shape, &labels, &taints);
        if let (Some(spec), Some(id)) = (&mut node.spec, &pool.provider_id) {
            spec.provider_id = Some(id.clone());
        }
        node
    });
    create_nodes(client, nodes, |_| ()).await?;
    store::deployed(client, &pool.name).await?;
    wait_until_ready(client, pool).await
}

/// Creates pools `<name>-0`, `<name>-1`, … of at most `batch_size` nodes each.
///
/// # Errors
/// As [`add`].
pub async fn batch_add(client: &Client, pool: &Pool, affinity: &Affinity, batch_size: u32) -> Result<()> {
    if batch_size == 0 {
        return Err(Error::Usage("--batch-size is 0: give at least 1".to_owned()));
    }
    check(pool)?;
    for (index, first) in (0..pool.nodes).step_by(batch_size as usize).enumerate() {
        let nodes = batch_size.min(pool.nodes - first);
        let batch = Pool { name: format!("{}-{index}", pool.name), nodes, ..pool.clone() };
        add(client, &batch, affinity).await?;
    }
    Ok(())
}

/// The pools that there are, by name.
///
/// # Errors
/// When the apiserver refuses.
pub async fn list(client: &Client) -> Result<Vec<Listed>> {
    let mut ready = BTreeMap::<String, usize>::new();
    for node in nodes(client, POOL_LABEL).await? {
        let pool = node.metadata.labels.as_ref().and_then(|labels| labels.get(POOL_LABEL)).cloned().unwrap_or_default();
        *ready.entry(pool).or_default() += usize::from(is_ready(&node));
    }
    let pools = store::all(client).await?;
    let listed = pools.into_iter().map(|(pool, status)| {
        let ready = ready.get(&pool.name).copied().unwrap_or_default();
        Listed { pool, status, ready }
    });
    Ok(listed.collect())
}

/// The table of pools, with the ready nodes where kperf has a question mark.
pub fn table(pools: &[Listed]) -> String {
    let rows: Vec<[String; 6]> = pools
        .iter()
        .map(|Listed { pool, status, ready }| {
            [
                pool.name.clone(),
                format!("{ready} / {}", pool.nodes),
                pool.cpu.to_string(),
                pool.memory_gib.to_string(),
                pool.max_pods.to_string(),
                status.clone(),
            ]
        })
        .collect();
    columns(["NAME", "NODES", "CPU", "MEMORY (GiB)", "MAX PODS", "STATUS"], &rows)
}

/// Deletes a pool with its nodes, and waits until they are gone.
///
/// # Errors
/// When there is no such pool, or the apiserver refuses.
pub async fn delete(client: &Client, name: &str) -> Result<()> {
    store::require(client, name).await?;
    let selector = format!("{POOL_LABEL}={name}");
    let api: Api<Node> = Api::all(client.clone());
    let labelled = ListParams::default().labels(&selector);
    let cannot = || format!("cannot delete the nodes of pool {name}");
    api.delete_collection(&DeleteParams::background(), &labelled).await.map_err(Error::api(cannot()))?;
    let until = Instant::now() + PATIENCE;
    while !nodes(client, &selector).await?.is_empty() {
        if Instant::now() > until {
            return Err(Error::TimedOut(format!("{}: some are still there after {} s", cannot(), PATIENCE.as_secs())));
        }
        tokio::time::sleep(LOOK).await;
    }
    store::delete(client, name).await
}

fn check(pool: &Pool) -> Result<()> {
    let sizes = [("nodes", pool.nodes), ("cpu", pool.cpu), ("memory", pool.memory_gib), ("max-pods", pool.max_pods)];
    if let Some((flag, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
        return Err(Error::Usage(format!("--{flag} is 0: give at least 1")));
    }
    if pool.name.ends_with(RESERVED) || pool.name.starts_with("lifecycle-") {
        let message = format!("`{}` is no name for a pool: kperf keeps `lifecycle-…` and `…{RESERVED}`", pool.name);
        return Err(Error::Usage(message));
    }
    Ok(())
}

/// Moves the controller to the nodes that it is to run on.
async fn place_controller(client: &Client, affinity: &Affinity) -> Result<()> {
    let api: Api<Deployment> = Api::all(client.clone());
    let controllers = ListParams::default().labels("app=kwok-controller");
    let found = api.list_metadata(&controllers).await.map_err(Error::api("cannot look for the kwok controller"))?;
    let Some(controller) = found.items.into_iter().next().map(|found| found.metadata) else {
        return Err(Error::Unsupported(
            "--affinity places the controller of the nodes (kwok), and this cluster has none inside: it runs outside, where \
             no affinity reaches it. Leave --affinity out"
                .to_owned(),
        ));
    };
    let (name, namespace) = (controller.name.unwrap_or_default(), controller.namespace.unwrap_or_default());
    let terms = affinity.iter().map(|(key, values)| json!({"key": key, "operator": "In", "values": values}));
    let terms = json!([{"matchExpressions": terms.collect::<Vec<_>>()}]);
    let affinity =
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
    let patch = json!({"spec": {"template": {"spec": {"affinity": affinity}}}});
    let api: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let patched = api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map(drop).map_err(Error::api(format!("cannot place Deployment {namespace}/{name}")))
}

async fn wait_until_ready(client: &Client, pool: &Pool) -> Result<()> {
    let patience = PATIENCE + Duration::from_secs(u64::from(pool.nodes) / READY_PER_SECOND);
    let until = Instant::now() + patience;
    loop {
        let ready = ready_nodes(client, &format!("{POOL_LABEL}={}", pool.name)).await?;
        if ready >= pool.nodes as usize {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(Error::TimedOut(format!(
                "{ready} of {} nodes of pool {} are Ready after {} s: is there a kwok controller that manages nodes with the \
                 annotation kwok.x-k8s.io/node?",
                pool.nodes,
                pool.name,
                patience.as_secs()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The nodes that a selector selects, from the watch cache.
async fn nodes(client: &Client, selector: &str) -> Result<Vec<Node>> {
    let api: Api<Node> = Api::all(client.clone());
    let selected = ListParams::default().labels(selector).match_any();
    Ok(api.list(&selected).await.map_err(Error::api("cannot list nodes"))?.items)
}
