//! The pods' network of a kind cluster: plain CNI plugins on every node, and routes between the nodes.
//!
//! Nothing of it is a pod, so nothing of it pulls an image or starts before the pods that are measured.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::docker;
use crate::error::{Error, Result};
use crate::shell::Shell;

/// How long nodes may take to join, and to get a range of addresses for their pods.
const JOIN_WITHIN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(250);
/// Of each node: its name, the range of its pods, its own address.
const COLUMNS: &str = "jsonpath={range .items[*]}{.metadata.name} {.spec.podCIDR} \
    {.status.addresses[?(@.type==\"InternalIP\")].address}{\"\\n\"}{end}";

/// A node as its neighbours see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    name: String,
    pods: String,
    address: String,
}

/// Waits until all nodes have joined. kind says success without looking.
pub(super) fn joined(kubectl: &Path, kubeconfig: &str, names: &[String], shell: &Shell) -> Result<Vec<Node>> {
    let args = ["--kubeconfig", kubeconfig, "get", "nodes", "--output", COLUMNS];
    let started = Instant::now();
    loop {
        let nodes = parse(&shell.output(kubectl, &args)?);
        if shell.is_dry() {
            let unknown =
                |name: &String| Node { name: name.clone(), pods: "PODS".to_owned(), address: "NODE".to_owned() };
            return Ok(names.iter().map(unknown).collect());
        }
        let absent: Vec<_> = names.iter().filter(|name| !nodes.iter().any(|node| node.name == **name)).collect();
        if absent.is_empty() {
            return Ok(nodes);
        }
        if started.elapsed() > JOIN_WITHIN {
            let absent: Vec<_> = absent.into_iter().map(String::as_str).collect();
            return Err(Error::Failed(format!(
                "{} of {} nodes have joined within {} s, not {}; look at `docker logs NODE` and at \
                 fs.inotify.max_user_instances, which `cargo xtask doctor` shows",
                nodes.len(),
                names.len(),
                JOIN_WITHIN.as_secs(),
                absent.join(", ")
            )));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Gives every node its CNI configuration and its routes to the pods of the others.
pub(super) fn connect(nodes: &[Node], directory: &Path, shell: &Shell) -> Result<()> {
    for node in nodes {
        let (configuration, routes) = (directory.join(format!("{}.conflist", node.name)), routes(node, nodes));
        shell.write(&configuration, conflist(node).to_string().as_bytes())?;
        // The node's start script sets the routes of this file again when the node is restarted.
        let file = directory.join(format!("{}.routes", node.name));
        shell.write(&file, routes.join("\n").as_bytes())?;
        let copy = |from: &Path, to: &str| {
            docker::run(&["cp", &from.display().to_string(), &format!("{}:{to}", node.name)], shell)
        };
        copy(&file, "/kind/routes")?;
        for route in &routes {
            let words: Vec<&str> =
                ["exec", &node.name, "ip", "route", "replace"].into_iter().chain(route.split(' ')).collect();
            docker::run(&words, shell)?;
        }
        // Last: from here on the node counts as Ready.
        copy(&configuration, "/etc/cni/net.d/10-pods.conflist")?;
    }
    Ok(())
}

fn conflist(node: &Node) -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": true,
                "mtu": 1500,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": node.pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

fn routes(node: &Node, nodes: &[Node]) -> Vec<String> {
    let others = nodes.iter().filter(|other| other.name != node.name);
    others.map(|other| format!("{} via {}", other.pods, other.address)).collect()
}

/// The nodes that have everything.
fn parse(text: &str) -> Vec<Node> {
    let node = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [name, pods, address] => {
            Some(Node { name: name.to_owned(), pods: pods.to_owned(), address: address.to_owned() })
        }
        _ => None,
    };
    text.lines().filter_map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str =
        "a-control-plane 10.244.0.0/24 172.18.0.2\na-worker 10.244.1.0/24 172.18.0.3\na-worker2  172.18.0.4\n";

    #[test]
    fn a_node_without_a_range_has_not_joined() {
        let names: Vec<_> = parse(TWO).into_iter().map(|node| node.name).collect();
        assert_eq!(names, ["a-control-plane", "a-worker"]);
    }

    #[test]
    fn every_node_knows_the_way_to_the_pods_of_the_others() {
        let nodes = parse(TWO);
        assert_eq!(routes(&nodes[0], &nodes), ["10.244.1.0/24 via 172.18.0.3"]);
        assert_eq!(routes(&nodes[1], &nodes), ["10.244.0.0/24 via 172.18.0.2"]);
        assert_eq!(conflist(&nodes[1])["plugins"][0]["ipam"]["ranges"][0][0]["subnet"], "10.244.1.0/24");
    }
}
