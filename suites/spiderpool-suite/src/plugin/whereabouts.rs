//! Whereabouts: a program that is run for each request, with its records in objects of the cluster.
//!
//! In its cluster-wide mode every request takes one Lease by leader election (`pkg/storage/kubernetes/ipam.go`); with node slices
//! each node has one of its own.

mod node_slices;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use cluster::Component;
use futures_util::future::BoxFuture;
use harness::{Error, Service, Supervisor};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::config::Kubeconfig;
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::addresses::Record;
use crate::cni::Cni;
use crate::plugin::{Failure, NETWORK, Plugin, Records, Sandbox};
use crate::pool::{Pool, SLICE};

pub use node_slices::{DEFINITION_KIND, Slices};

/// The kinds that it needs, as files of its module.
pub const KINDS: [&str; 3] = [
    "doc/crds/whereabouts.cni.cncf.io_ippools.yaml",
    "doc/crds/whereabouts.cni.cncf.io_nodeslicepools.yaml",
    "doc/crds/whereabouts.cni.cncf.io_overlappingrangeipreservations.yaml",
];

/// Whereabouts in one of its modes.
pub struct Whereabouts {
    cni: Cni,
    config: Value,
    kubeconfig: PathBuf,
    controller: Option<Service>,
    pools: Api<DynamicObject>,
    reservations: Api<DynamicObject>,
}

#[derive(Deserialize)]
struct PoolSpec {
    range: String,
    #[serde(default)]
    allocations: BTreeMap<String, Allocation>,
}

#[derive(Deserialize)]
struct Allocation {
    id: String,
    podref: String,
}

#[derive(Deserialize)]
struct Reservation {
    podref: String,
}

impl std::fmt::Debug for Whereabouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Whereabouts({})", self.cni.program.display())
    }
}

impl Whereabouts {
    /// The plugin in its cluster-wide mode, with its pools; its files go to `directory`, its objects to `namespace`.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read, or a file cannot be written.
    pub fn new(
        cni: Cni,
        directory: &Path,
        pools: &[Pool],
        client: &Client,
        kubeconfig: &Path,
        namespace: &str,
    ) -> Result<Self, Error> {
        let own = directory.join("whereabouts.kubeconfig");
        write(&own, &in_namespace(kubeconfig, namespace)?)?;
        // It wants a file of defaults even when there is nothing left to say in it.
        let flat = directory.join("whereabouts.conf");
        let kubernetes = json!({"kubeconfig": own});
        write(&flat, &json!({"kubernetes": kubernetes}))?;
        let api = |kind: &str| {
            let gvk = GroupVersionKind::gvk("whereabouts.cni.cncf.io", "v1alpha1", kind);
            Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&gvk))
        };
        Ok(Self {
            cni,
            config: config(pools, &flat, &kubernetes),
            kubeconfig: own,
            controller: None,
            pools: api("IPPool"),
            reservations: api("OverlappingRangeIPReservation"),
        })
    }

    /// The same with node slices: starts their controller, and waits until every node has one.
    ///
    /// # Errors
    /// When the controller does not start, or a node gets no slice.
    pub async fn with_slices(
        mut self,
        slices: &Slices<'_>,
        client: &Client,
        supervisor: &Supervisor,
    ) -> Result<Self, Error> {
        self.config["ipam"]["node_slice_size"] = SLICE.into();
        let controller = node_slices::start(slices, &self.kubeconfig, &self.config, client, supervisor).await?;
        self.controller = Some(controller);
        Ok(self)
    }
}

impl Plugin for Whereabouts {
    fn add<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        Box::pin(self.cni.add(sandbox, &self.config))
    }

    fn del<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Option<Failure>, Failure>> {
        Box::pin(async move { self.cni.del(sandbox, &self.config).await.map(|()| None) })
    }

    fn processes(&self) -> Vec<Component> {
        self.controller.iter().map(|controller| controller.component().clone()).collect()
    }

    fn records(&self) -> BoxFuture<'_, Result<Records, Error>> {
        Box::pin(async {
            let all = ListParams::default();
            let pools = self.pools.list(&all).await.map_err(Error::api("cannot list IPPools"))?;
            let reserved = self.reservations.list(&all).await.map_err(Error::api("cannot list reservations"))?;
            let mut found = Records::default();
            for pool in &pools.items {
                match of_pool(&pool.data["spec"]) {
                    Some(records) => found.records.extend(records),
                    None => found.contradictions.push(format!("a pool that is none: {}", pool.data)),
                }
            }
            for reservation in &reserved.items {
                match of_reservation(reservation) {
                    Some(record) => found.records.push(record),
                    None => found.contradictions.push(format!("a reservation that is none: {}", reservation.data)),
                }
            }
            Ok(found)
        })
    }
}

fn config(pools: &[Pool], flat: &Path, kubernetes: &Value) -> Value {
    let range = |pool: &Pool| {
        let bits = if pool.excluded.is_ipv4() { 32 } else { 128 };
        json!({
            "range": pool.family.subnet(),
            "range_start": pool.first,
            "range_end": pool.last,
            "exclude": [format!("{}/{bits}", pool.excluded)],
        })
    };
    json!({
        "cniVersion": "1.0.0",
        "name": NETWORK,
        "type": "whereabouts",
        "ipam": {
            "type": "whereabouts",
            "ipRanges": pools.iter().map(range).collect::<Vec<_>>(),
            "kubernetes": kubernetes,
            "configuration_path": flat,
        },
    })
}

/// A pool keeps an address as its distance from the start of the range.
fn of_pool(spec: &Value) -> Option<Vec<Record>> {
    let PoolSpec { range, allocations } = serde_json::from_value(spec.clone()).ok()?;
    let base: IpAddr = range.split('/').next()?.parse().ok()?;
    let record = |(offset, allocation): (String, Allocation)| {
        let offset: u128 = offset.parse().ok()?;
        let address = match base {
            IpAddr::V4(base) => Ipv4Addr::from_bits(base.to_bits().checked_add(u32::try_from(offset).ok()?)?).into(),
            IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits().checked_add(offset)?).into(),
        };
        Some(Record { address, pod: Some(pod_of(&allocation.podref)), container: Some(allocation.id) })
    };
    allocations.into_iter().map(record).collect()
}

/// A reservation is named after its address, with `-` for `:`.
fn of_reservation(object: &DynamicObject) -> Option<Record> {
    let name = object.metadata.name.as_deref()?;
    let address = name.parse().or_else(|_| name.replace('-', ":").parse()).ok()?;
    let Reservation { podref } = serde_json::from_value(object.data.get("spec")?.clone()).ok()?;
    Some(Record { address, pod: Some(pod_of(&podref)), container: None })
}

/// `namespace/pod` without its namespace.
fn pod_of(podref: &str) -> String {
    podref.rsplit('/').next().unwrap_or(podref).to_owned()
}

/// The kubeconfig with its contexts in `namespace`: that is where the program keeps its objects.
fn in_namespace(kubeconfig: &Path, namespace: &str) -> Result<Value, Error> {
    let unusable = |error: String| Error::Environment(format!("cannot use {}: {error}", kubeconfig.display()));
    let mut config = Kubeconfig::read_from(kubeconfig).map_err(|error| unusable(error.to_string()))?;
    for context in config.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
        context.namespace = Some(namespace.to_owned());
    }
    let mut value = serde_json::to_value(&config).map_err(|error| unusable(error.to_string()))?;
    value["apiVersion"] = json!("v1");
    value["kind"] = json!("Config");
    Ok(value)
}

/// JSON, which is YAML.
fn write(path: &Path, value: &Value) -> Result<(), Error> {
    Ok(cluster::Shell::real().write(path, value.to_string().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Family;

    #[test]
    fn a_record_is_the_start_of_its_range_and_a_distance() {
        let spec = json!({
            "range": "fd00:60::/112",
            "allocations": {"11": {"id": "c0", "podref": "ns/web-1", "ifname": "eth0"}},
        });
        let address = "fd00:60::b".parse().unwrap();
        let record = Record { address, pod: Some("web-1".to_owned()), container: Some("c0".to_owned()) };
        assert_eq!(of_pool(&spec), Some(vec![record]));
        assert_eq!(of_pool(&json!({"range": "no range", "allocations": {}})), None);
    }

    #[test]
    fn the_range_and_what_is_excluded_are_those_of_the_pool() {
        let config = config(&[Pool::of(Family::V4, 100)], Path::new("/flat"), &json!({}));
        let range = &config["ipam"]["ipRanges"][0];
        assert_eq!(range["range_start"], "10.60.0.10");
        assert_eq!(range["range_end"], "10.60.0.110");
        assert_eq!(range["exclude"][0], "10.60.0.60/32");
    }
}
