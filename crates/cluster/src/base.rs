//! The simulated nodes that a cluster keeps from trial to trial (`cluster up --nodes`).

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::time::{Instant, sleep};

use crate::error::{Error, Result};
use crate::nodes::{NodeShape, POOL_LABEL, create_nodes, node, ready_nodes};

/// How long no further node may become Ready before they are given up; kwok makes about a hundred Ready in a second.
const STALL: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Creates those of `count` nodes that are missing, and waits until all of them are Ready.
///
/// # Errors
/// When the apiserver refuses, or nodes stay NotReady.
pub(crate) async fn ensure_nodes(client: &Client, count: u32, shape: &NodeShape, say: &dyn Fn(&str)) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let pool = ListParams::default().labels(POOL_LABEL);
    let there = api.list_metadata(&pool).await.map_err(Error::api("cannot list nodes"))?.items;
    let there: BTreeSet<String> = there.into_iter().filter_map(|node| node.metadata.name).collect();
    let missing: Vec<String> =
        (0..count).map(|i| format!("base-{i:05}")).filter(|name| !there.contains(name)).collect();
    if !missing.is_empty() {
        say(&format!("creating {} of {count} nodes", missing.len()));
    }
    let labels = [(POOL_LABEL, "base")];
    create_nodes(client, missing.iter().map(|name| node(name, shape, &labels, &[])), |_| {}).await?;

    let (mut most, mut since) = (0, Instant::now());
    loop {
        let ready = ready_nodes(client, POOL_LABEL).await?;
        if ready >= count as usize {
            return Ok(());
        }
        if ready > most {
            (most, since) = (ready, Instant::now());
            say(&format!("{ready} of {count} nodes Ready"));
        }
        if since.elapsed() > STALL {
            return Err(Error::NodesNotReady { ready, count: count as usize, stall: STALL });
        }
        sleep(PAUSE).await;
    }
}
