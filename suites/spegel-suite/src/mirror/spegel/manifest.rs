//! Spegel's DaemonSet, written for a cluster without a name service: instances share their nodes' network, and find each other
//! by a name of their `/etc/hosts`.

use std::collections::BTreeMap;

use cluster::KindNode;
use serde_json::{Value, json};

pub(super) const NAME: &str = "spegel";
/// The port of a node where its containerd asks.
pub const REGISTRY_PORT: u16 = 30_020;
/// Where instances find each other.
const ROUTER_PORT: u16 = 30_021;
pub(super) const METRICS_PORT: u16 = 30_022;
/// The name of all instances together.
const PEERS: &str = "peers.spegel.test";
const SOCKET: &str = "/run/containerd/containerd.sock";
const CONTENT: &str = "/var/lib/containerd/io.containerd.content.v1.content";
/// What its chart gives it.
const MEMORY: &str = "128Mi";

/// An instance on each worker.
pub(super) fn daemon_set(image: &str, workers: &[KindNode], labels: &BTreeMap<String, String>) -> Value {
    let mut of_pod = labels.clone();
    of_pod.insert("app".to_owned(), NAME.to_owned());
    let aliases: Vec<Value> =
        workers.iter().map(|worker| json!({"ip": worker.address.to_string(), "hostnames": [PEERS]})).collect();
    let mount =
        |name: &str, path: &str, read_only: bool| json!({"name": name, "mountPath": path, "readOnly": read_only});
    let container = json!({
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": args(),
        "env": [
            {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            // Where this is set, Spegel wants to run in the image of its own project, and ends.
            {"name": "KUBERNETES_SERVICE_HOST", "value": ""},
        ],
        "resources": {"requests": {"memory": MEMORY}, "limits": {"memory": MEMORY}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": REGISTRY_PORT}, "periodSeconds": 1},
        "volumeMounts": [mount("socket", SOCKET, false), mount("content", CONTENT, true)],
    });
    let volume = |name: &str, path: &str, kind: &str| json!({"name": name, "hostPath": {"path": path, "type": kind}});
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app": NAME}},
            "template": {
                "metadata": {"labels": of_pod},
                "spec": {
                    "hostNetwork": true,
                    "hostAliases": aliases,
                    "terminationGracePeriodSeconds": 5,
                    "containers": [container],
                    "volumes": [
                        volume("socket", SOCKET, "Socket"),
                        volume("content", CONTENT, "Directory"),
                    ],
                },
            },
        },
    })
}

/// The argument by which an instance is told from those of other nodes.
pub(super) fn router_addr(node: &str) -> String {
    format!("--router-addr={node}:{ROUTER_PORT}")
}

/// What it is started with. The router is bound to the node's own address, so that peers are told no other; content digests are
/// advertised whatever their registry, because a list of registries would be compared with labels that lack their ports.
fn args() -> Vec<String> {
    vec![
        "--log-level=DEBUG".to_owned(),
        "registry".to_owned(),
        format!("--registry-addr=:{REGISTRY_PORT}"),
        router_addr("$(NODE_IP)"),
        format!("--metrics-addr=$(NODE_IP):{METRICS_PORT}"),
        format!("--containerd-sock={SOCKET}"),
        format!("--containerd-content-path={CONTENT}"),
        "--bootstrap-kind=dns".to_owned(),
        format!("--dns-bootstrap-domain={PEERS}"),
        "--debug-web-enabled=false".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_knows_every_worker() {
        let worker = |last| KindNode {
            name: format!("worker{last}"),
            address: std::net::IpAddr::from([172, 18, 0, last]),
            control_plane: false,
        };
        let written = daemon_set("origin.test/spegel:1", &[worker(3), worker(4)], &BTreeMap::new());
        let aliases = &written["spec"]["template"]["spec"]["hostAliases"];
        assert_eq!((&aliases[0]["ip"], &aliases[1]["ip"]), (&json!("172.18.0.3"), &json!("172.18.0.4")));
        serde_json::from_value::<k8s_openapi::api::apps::v1::DaemonSet>(written).unwrap();
    }
}
