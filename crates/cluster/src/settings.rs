//! The settings of a cluster that change what is measured on it: all of them, and only here.
//!
//! Each is passed to its component explicitly, defaults included, so that what a record shows is what was set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::nodes::ANNOTATION;

/// What a descriptor and a record say of the settings, by provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingsUsed {
    /// Of a kwok cluster.
    Kwok(Settings),
    /// Of a kind cluster, by their paths in its configuration: `kubelet.serializeImagePulls`.
    Kind(BTreeMap<String, Value>),
}

/// Settings of a kwok cluster. Recorded in every result and shown by `cluster status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// etcd without fsync: the disk of a shared machine is not what is measured. Upstream's default is to sync.
    pub etcd_unsafe_no_fsync: bool,
    /// etcd's storage quota. 10,000 pods rolled once stay under 1 GiB; the largest quota that etcd recommends leaves room.
    pub etcd_quota_bytes: u64,
    /// Client rate limit of the controller manager, requests a second. With the default of 20 it is the limiter of
    /// every trial: 1,000 pods take 50 s whatever the machine can do.
    pub controller_manager_qps: u32,
    /// Burst of the same limit.
    pub controller_manager_burst: u32,
    /// Deployments, ReplicaSets and garbage that the controller manager handles at once.
    pub controller_manager_concurrent_syncs: u32,
    /// Client rate limit of the scheduler, requests a second; the default is 50.
    pub scheduler_qps: u32,
    /// Burst of the same limit.
    pub scheduler_burst: u32,
    /// Reads that the apiserver serves at once, upstream's default. Priority and fairness stays on.
    pub apiserver_max_inflight: u32,
    /// Writes that the apiserver serves at once, upstream's default.
    pub apiserver_max_mutating_inflight: u32,
    /// Whether reads may come from the apiserver's watch cache, upstream's default.
    pub apiserver_watch_cache: bool,
    /// Range of Service addresses; kwokctl's own /24 ends at 254 Services.
    pub service_cluster_ip_range: String,
    /// Life of a simulated node's Lease; it is renewed at a quarter of it. A kubelet's is 40, kwokctl's default 200.
    pub node_lease_seconds: u32,
    /// How long a node may be silent before it is NotReady.
    pub node_monitor_grace_seconds: u32,
    /// How often the controller manager looks.
    pub node_monitor_period_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            etcd_unsafe_no_fsync: true,
            etcd_quota_bytes: 8 << 30,
            controller_manager_qps: 1000,
            controller_manager_burst: 2000,
            controller_manager_concurrent_syncs: 20,
            scheduler_qps: 1000,
            scheduler_burst: 2000,
            apiserver_max_inflight: 400,
            apiserver_max_mutating_inflight: 200,
            apiserver_watch_cache: true,
            service_cluster_ip_range: "10.96.0.0/16".to_owned(),
            node_lease_seconds: 200,
            node_monitor_grace_seconds: 200,
            node_monitor_period_seconds: 25,
        }
    }
}

impl Settings {
    /// The flags that kwokctl sets by itself, to be replaced and not added.
    pub(crate) const REPLACED: [&str; 5] = [
        "quota-backend-bytes",
        "node-monitor-grace-period",
        "node-monitor-period",
        "node-lease-duration-seconds",
        "manage-all-nodes",
    ];

    /// The command-line arguments of `component` that carry these settings.
    pub fn args(&self, component: &str) -> Vec<(&'static str, String)> {
        let syncs = self.controller_manager_concurrent_syncs;
        match component {
            "etcd" => vec![
                ("unsafe-no-fsync", self.etcd_unsafe_no_fsync.to_string()),
                ("quota-backend-bytes", self.etcd_quota_bytes.to_string()),
            ],
            "kube-apiserver" => vec![
                ("max-requests-inflight", self.apiserver_max_inflight.to_string()),
                ("max-mutating-requests-inflight", self.apiserver_max_mutating_inflight.to_string()),
                ("watch-cache", self.apiserver_watch_cache.to_string()),
                ("service-cluster-ip-range", self.service_cluster_ip_range.clone()),
            ],
            "kube-controller-manager" => vec![
                ("kube-api-qps", self.controller_manager_qps.to_string()),
                ("kube-api-burst", self.controller_manager_burst.to_string()),
                ("concurrent-deployment-syncs", syncs.to_string()),
                ("concurrent-replicaset-syncs", syncs.to_string()),
                ("concurrent-gc-syncs", (2 * syncs).to_string()),
                ("node-monitor-grace-period", format!("{}s", self.node_monitor_grace_seconds)),
                ("node-monitor-period", format!("{}s", self.node_monitor_period_seconds)),
            ],
            "kube-scheduler" => vec![
                ("kube-api-qps", self.scheduler_qps.to_string()),
                ("kube-api-burst", self.scheduler_burst.to_string()),
            ],
            // kwok keeps to the nodes that carry its annotation: a suite may bring nodes whose pods are its own.
            "kwok-controller" => vec![
                ("manage-all-nodes", "false".to_owned()),
                ("manage-nodes-with-annotation-selector", format!("{ANNOTATION}=fake")),
                ("node-lease-duration-seconds", self.node_lease_seconds.to_string()),
            ],
            _ => Vec::new(),
        }
    }
}
