//! The Tenant Control Planes of a row: their names, their addresses, and the document's object.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

/// The port of every tenant's apiserver, as in the document: each has an address of its own.
pub const PORT: u16 = 6443;

/// The group of Kamaji's kinds.
pub const GROUP: &str = "kamaji.clastix.io";

/// A Tenant Control Plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its address: one of loopback's, no two tenants of a machine share one.
    pub address: Ipv4Addr,
    /// The DataStore that it names.
    pub datastore: String,
}

/// What all objects of a row have in common.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// Labels of the trial.
    pub labels: &'a BTreeMap<String, String>,
    /// Version of Kubernetes.
    pub version: &'a str,
    /// Pods of each.
    pub replicas: u32,
}

/// Tenants with these names, dealt out to so many DataStores. `network` is the second number of their addresses, so that
/// two trials on one machine do not meet.
pub fn tenants(names: impl IntoIterator<Item = String>, datastores: u32, network: u8) -> Vec<Tenant> {
    let tenant = |(i, name): (usize, String)| Tenant {
        name,
        address: Ipv4Addr::new(127, network.max(1), (i / 250) as u8, (i % 250) as u8 + 1),
        datastore: datastore_name(i as u32 % datastores.max(1)),
    };
    names.into_iter().enumerate().map(tenant).collect()
}

/// The document's names: `benchmark001`, `benchmark002`, …
pub fn benchmark_names(count: u32) -> impl Iterator<Item = String> {
    (1..=count).map(|i| format!("benchmark{i:03}"))
}

/// The name of the `i`th DataStore, from 0: `etcd-01`.
pub fn datastore_name(i: u32) -> String {
    format!("etcd-{:02}", i + 1)
}

impl Tenant {
    /// The document's object, with an address in addition.
    pub fn object(&self, shape: &Shape<'_>) -> Value {
        let mut labels = shape.labels.clone();
        labels.insert("tenant.clastix.io".to_owned(), self.name.clone());
        json!({
            "apiVersion": format!("{GROUP}/v1alpha1"),
            "kind": "TenantControlPlane",
            "metadata": {"name": self.name, "namespace": shape.namespace, "labels": labels},
            "spec": {
                "dataStore": self.datastore,
                "controlPlane": {
                    "deployment": {
                        "replicas": shape.replicas,
                        "resources": {"apiServer": {"requests": {"memory": "320Mi", "cpu": "100m"}}},
                    },
                    "service": {"serviceType": "ClusterIP"},
                },
                "kubernetes": {
                    "version": shape.version,
                    "kubelet": {"cgroupfs": "cgroupfs"},
                    "admissionControllers": ["ResourceQuota", "LimitRanger"],
                },
                "networkProfile": {"address": self.address.to_string(), "port": PORT},
                "addons": {"coreDNS": {}, "kubeProxy": {}},
            },
        })
    }

    /// What its keys in etcd begin with, and what its user and its role are called: its namespace and its name with every
    /// dash made an underscore (`internal/resources/datastore/datastore_storage_config.go`).
    pub fn schema(&self, namespace: &str) -> String {
        format!("{namespace}_{}", self.name).replace('-', "_")
    }
}

/// Tenant Control Planes in a namespace.
pub fn api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource("TenantControlPlane", "tenantcontrolplanes"))
}

/// DataStores.
pub fn datastores(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource("DataStore", "datastores"))
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1alpha1", kind), plural)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_thousand_tenants_have_a_thousand_addresses_on_loopback() {
        let all = tenants(benchmark_names(1000), 10, 7);
        let addresses: BTreeSet<Ipv4Addr> = all.iter().map(|tenant| tenant.address).collect();
        assert_eq!(addresses.len(), 1000);
        assert!(addresses.iter().all(Ipv4Addr::is_loopback));
        let stores = |name: &str| all.iter().filter(|tenant| tenant.datastore == name).count();
        assert_eq!((stores("etcd-01"), stores("etcd-10"), stores("etcd-11")), (100, 100, 0));
    }

    #[test]
    fn the_object_is_the_documents_with_an_address() {
        let tenant = &tenants(benchmark_names(1), 1, 1)[0];
        let labels = BTreeMap::from([("kubedyno.io/run-id".to_owned(), "r".to_owned())]);
        let object =
            tenant.object(&Shape { namespace: "benchmark01", labels: &labels, version: "v1.25.4", replicas: 2 });
        assert_eq!(object["metadata"]["name"], "benchmark001");
        assert_eq!(object["metadata"]["labels"]["tenant.clastix.io"], "benchmark001");
        assert_eq!(object["spec"]["networkProfile"], json!({"address": "127.1.0.1", "port": 6443}));
        assert_eq!(object["spec"]["dataStore"], "etcd-01");
    }

    #[test]
    fn a_schema_has_no_dashes() {
        let tenant = &tenants(["a-1".to_owned()], 1, 1)[0];
        assert_eq!(tenant.schema("kd-x"), "kd_x_a_1");
    }
}
