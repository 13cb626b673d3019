//! host-local, the floor: the reference plugin, one range a node, its records in files of the node.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use harness::Error;
use serde_json::{Value, json};

use crate::addresses::Record;
use crate::cni::Cni;
use crate::plugin::{Failure, NETWORK, Plugin, Records, Sandbox};
use crate::pool::Pool;

/// host-local on every node.
#[derive(Debug)]
pub struct HostLocal {
    cni: Cni,
    nodes: Vec<(String, Value, PathBuf)>,
}

impl HostLocal {
    /// The plugin with the pools of each node, its files below `directory`.
    pub fn new(cni: Cni, directory: &Path, nodes: &[(String, Vec<Pool>)]) -> Self {
        let node = |(name, pools): &(String, Vec<Pool>)| {
            let files = directory.join(name);
            (name.clone(), config(pools, &files), files)
        };
        Self { cni, nodes: nodes.iter().map(node).collect() }
    }

    fn config(&self, node: &str) -> Result<&Value, Failure> {
        let found = self.nodes.iter().find(|(name, ..)| name == node);
        found.map(|(_, config, _)| config).ok_or_else(|| Failure::Unreachable(format!("no node {node}")))
    }
}

impl Plugin for HostLocal {
    fn add<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        Box::pin(async move { self.cni.add(sandbox, self.config(&sandbox.node)?).await })
    }

    fn del<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Option<Failure>, Failure>> {
        Box::pin(async move { self.cni.del(sandbox, self.config(&sandbox.node)?).await.map(|()| None) })
    }

    fn records(&self) -> BoxFuture<'_, Result<Records, Error>> {
        let records = self.nodes.iter().flat_map(|(_, _, files)| records(&files.join(NETWORK))).collect();
        Box::pin(async { Ok(Records { records, contradictions: Vec::new() }) })
    }
}

/// One set of ranges for each family, as the plugin wants them.
fn config(pools: &[Pool], files: &Path) -> Value {
    let range = |pool: &Pool, (first, last): (IpAddr, IpAddr)| json!({"subnet": pool.family.subnet(), "gateway": pool.family.gateway(), "rangeStart": first, "rangeEnd": last});
    let set = |pool: &Pool| pool.runs().into_iter().map(|run| range(pool, run)).collect::<Vec<_>>();
    json!({
        "cniVersion": "1.0.0",
        "name": NETWORK,
        "type": "host-local",
        "ipam": {"type": "host-local", "dataDir": files, "ranges": pools.iter().map(set).collect::<Vec<_>>()},
    })
}

/// One file an address, with the container id in its first line.
fn records(directory: &Path) -> Vec<Record> {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let record = |file: std::fs::DirEntry| {
        let address = file.file_name().to_string_lossy().parse().ok()?;
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        let container = text.lines().next().map(|line| line.trim().to_owned());
        Some(Record { address, pod: None, container })
    };
    files.filter_map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Family;

    #[test]
    fn a_range_stops_before_the_excluded_address_and_goes_on_after_it() {
        let config = config(&[Pool::of_node(Family::V4, 0, 4)], Path::new("/files"));
        let ends: Vec<_> = config["ipam"]["ranges"][0]
            .as_array()
            .unwrap()
            .iter()
            .map(|range| [range["rangeStart"].as_str().unwrap(), range["rangeEnd"].as_str().unwrap()])
            .collect();
        assert_eq!(ends, [["10.60.1.10", "10.60.1.11"], ["10.60.1.13", "10.60.1.14"]]);
    }

    #[test]
    fn a_record_is_a_file_and_other_files_are_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("10.60.1.10"), "abc\r\neth0").unwrap();
        std::fs::write(dir.path().join("last_reserved_ip.0"), "10.60.1.10").unwrap();
        std::fs::write(dir.path().join("lock"), "").unwrap();
        let address = "10.60.1.10".parse().unwrap();
        assert_eq!(records(dir.path()), [Record { address, pod: None, container: Some("abc".to_owned()) }]);
    }
}
