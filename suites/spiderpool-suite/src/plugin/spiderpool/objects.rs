//! What Spiderpool keeps in the cluster: its configuration, webhooks, pools, and what it has given to whom.

use std::collections::BTreeMap;
use std::path::Path;

use harness::Error;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Settings;
use super::certificate::Certificate;
use crate::addresses::Record;
use crate::plugin::{NETWORK, Records};
use crate::pool::Family;

/// The kinds that it needs, as files of its module.
pub const KINDS: [&str; 7] = [
    "charts/spiderpool/crds/k8s.cni.cncf.io_networkattachmentdefinitions_crd.yaml",
    "charts/spiderpool/crds/spiderpool.spidernet.io_spidercoordinators.yaml",
    "charts/spiderpool/crds/spiderpool.spidernet.io_spiderendpoints.yaml",
    "charts/spiderpool/crds/spiderpool.spidernet.io_spiderippools.yaml",
    "charts/spiderpool/crds/spiderpool.spidernet.io_spidermultusconfigs.yaml",
    "charts/spiderpool/crds/spiderpool.spidernet.io_spiderreservedips.yaml",
    "charts/spiderpool/crds/spiderpool.spidernet.io_spidersubnets.yaml",
];

/// What the chart's webhooks are asked about (`charts/spiderpool/templates/tls.yaml`), without those of networks that are
/// not built here.
const CHECKED: [&str; 3] = ["spiderippool", "spiderreservedip", "spidersubnet"];

/// The status of a pool; who holds what is JSON in a string.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PoolStatus {
    #[serde(default, rename = "allocatedIPs")]
    allocated_ips: Option<String>,
    #[serde(default, rename = "allocatedIPCount")]
    allocated_ip_count: Option<usize>,
}

#[derive(Deserialize)]
struct Allocation {
    pod: String,
}

#[derive(Deserialize)]
struct EndpointStatus {
    current: Current,
}

#[derive(Deserialize)]
struct Current {
    ips: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    ipv4: Option<String>,
    ipv6: Option<String>,
}

/// The configuration of an agent, with its socket, or of the controller.
pub(super) fn config(settings: &Settings, socket: Option<&Path>) -> Value {
    let has = |family| settings.pools.iter().any(|pool| pool.family == family);
    json!({
        "ipamUnixSocketPath": socket,
        "enableIPv4": has(Family::V4),
        "enableIPv6": has(Family::V6),
        "tuneSysctlConfig": false,
        "enableStatefulSet": true,
        "enableSpiderSubnet": settings.automatic,
        "enableAutoPoolForApplication": settings.automatic,
    })
}

/// The network configuration that the CNI program is given.
pub(super) fn network(socket: &Path, log: &Path) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": NETWORK,
        "type": "spiderpool",
        "ipam": {"type": "spiderpool", "ipam_unix_socket_path": socket, "log_file_path": log},
    })
}

/// Registers the controller's webhooks under its port on loopback. Those of subnets answer only when it serves subnets.
pub(super) async fn make_webhooks(
    client: &Client,
    settings: &Settings,
    port: u16,
    certificate: &Certificate,
) -> Result<(), Error> {
    let kinds = if settings.automatic { &CHECKED[..] } else { &CHECKED[..2] };
    let hook = |verb: &str, kind: &&str, operations: &[&str]| {
        json!({
            "name": format!("{kind}.spiderpool.spidernet.io"),
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "url": format!("https://127.0.0.1:{port}/{verb}-spiderpool-spidernet-io-v2beta1-{kind}"),
                "caBundle": certificate.bundle,
            },
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "rules": [{
                "apiGroups": ["spiderpool.spidernet.io"],
                "apiVersions": ["v2beta1"],
                "operations": operations,
                "resources": [format!("{kind}s")],
            }],
        })
    };
    let configuration = |kind: &str, hooks: Vec<Value>| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": "spiderpool-controller", "labels": settings.labels},
            "webhooks": hooks,
        })
    };
    let mutating = kinds.iter().map(|kind| hook("mutate", kind, &["CREATE", "UPDATE"])).collect();
    let mutating: MutatingWebhookConfiguration = typed(configuration("MutatingWebhookConfiguration", mutating))?;
    let validating = kinds.iter().map(|kind| hook("validate", kind, &["CREATE", "UPDATE"])).collect();
    let validating: ValidatingWebhookConfiguration =
        typed(configuration("ValidatingWebhookConfiguration", validating))?;
    let post = PostParams::default();
    let made = Api::all(client.clone()).create(&post, &mutating).await;
    made.map_err(Error::api("cannot register Spiderpool's mutating webhooks"))?;
    let made = Api::all(client.clone()).create(&post, &validating).await;
    made.map_err(Error::api("cannot register Spiderpool's validating webhooks"))?;
    Ok(())
}

/// Makes one pool a family, the default one of the cluster; or one SpiderSubnet a family, out of which the controller makes
/// pools.
pub(super) async fn make_pools(client: &Client, settings: &Settings) -> Result<(), Error> {
    let kind = if settings.automatic { "SpiderSubnet" } else { "SpiderIPPool" };
    for pool in &settings.pools {
        let name = name(pool.family);
        // What else it needs, the mutating webhook sets.
        let mut object = json!({
            "apiVersion": "spiderpool.spidernet.io/v2beta1",
            "kind": kind,
            "metadata": {"name": name, "labels": settings.labels},
            "spec": {
                "subnet": pool.family.subnet(),
                "gateway": pool.family.gateway(),
                "ips": [format!("{}-{}", pool.first, pool.last)],
                "excludeIPs": [pool.excluded],
            },
        });
        if !settings.automatic {
            object["spec"]["default"] = true.into();
        }
        let object: DynamicObject = typed(object)?;
        let made = Api::all_with(client.clone(), &resource(kind)).create(&PostParams::default(), &object).await;
        made.map_err(Error::api(format!("cannot make {kind} {name}")))?;
    }
    Ok(())
}

/// The name of the pool, or of the subnet, of a family.
pub(super) fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    }
}

/// What the pools and the endpoints of pods have on record.
pub(super) async fn records(client: &Client, namespace: &str) -> Result<Records, Error> {
    let all = ListParams::default();
    let pools: Api<DynamicObject> = Api::all_with(client.clone(), &resource("SpiderIPPool"));
    let endpoints: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource("SpiderEndpoint"));
    let pools = pools.list(&all).await.map_err(Error::api("cannot list SpiderIPPools"))?;
    let endpoints = endpoints.list(&all).await.map_err(Error::api("cannot list SpiderEndpoints"))?;
    let mut found = Records::default();
    for pool in &pools.items {
        let name = pool.metadata.name.as_deref().unwrap_or_default();
        match of_pool(&pool.data["status"]) {
            Some((records, count)) => {
                if count != records.len() {
                    let contradiction = format!("{name}: allocatedIPCount is {count}, of {} entries", records.len());
                    found.contradictions.push(contradiction);
                }
                found.records.extend(records);
            }
            None => found.contradictions.push(format!("{name}: a status that is none: {}", pool.data["status"])),
        }
    }
    for endpoint in &endpoints.items {
        let pod = endpoint.metadata.name.clone().unwrap_or_default();
        match of_endpoint(&pod, &endpoint.data["status"]) {
            Some(records) => found.records.extend(records),
            None => found.contradictions.push(format!("{pod}: an endpoint that is none: {}", endpoint.data["status"])),
        }
    }
    Ok(found)
}

/// A pool's allocations, and how many it says that there are.
fn of_pool(status: &Value) -> Option<(Vec<Record>, usize)> {
    let status: PoolStatus = serde_json::from_value(status.clone()).unwrap_or_default();
    let text = status.allocated_ips.filter(|text| !text.is_empty()).unwrap_or_else(|| "{}".to_owned());
    let entries: BTreeMap<String, Allocation> = serde_json::from_str(&text).ok()?;
    let record = |(address, allocation): (String, Allocation)| {
        let pod = allocation.pod.rsplit('/').next().map(str::to_owned);
        Some(Record { address: address.parse().ok()?, pod, container: None })
    };
    let records = entries.into_iter().map(record).collect::<Option<Vec<_>>>()?;
    Some((records, status.allocated_ip_count.unwrap_or(0)))
}

fn of_endpoint(pod: &str, status: &Value) -> Option<Vec<Record>> {
    let status: EndpointStatus = serde_json::from_value(status.clone()).ok()?;
    let addresses = status.current.ips.into_iter().flat_map(|detail| [detail.ipv4, detail.ipv6]).flatten();
    let record = |address: String| {
        let address = address.split('/').next()?.parse().ok()?;
        Some(Record { address, pod: Some(pod.to_owned()), container: None })
    };
    addresses.filter(|address| !address.is_empty()).map(record).collect()
}

pub(super) fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("spiderpool.spidernet.io", "v2beta1", kind))
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::api("cannot write an object")(kube::Error::SerdeError(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_what_is_read_from_a_pool() {
        let status = json!({
            "allocatedIPs": r#"{"10.60.0.10":{"pod":"ns/web-1","podUid":"u"}}"#,
            "allocatedIPCount": 1,
            "totalIPCount": 100,
        });
        let address = "10.60.0.10".parse().unwrap();
        let record = Record { address, pod: Some("web-1".to_owned()), container: None };
        assert_eq!(of_pool(&status), Some((vec![record], 1)));
        assert_eq!(of_pool(&json!({"totalIPCount": 100})), Some((Vec::new(), 0)));
        assert_eq!(of_pool(&json!({"allocatedIPs": "oops"})), None);
    }

    #[test]
    fn both_families_are_read_from_an_endpoint() {
        let ips = json!([{"interface": "eth0", "ipv4": "10.60.0.10/16", "ipv6": "fd00:60::a/112"}]);
        let records = of_endpoint("web-1", &json!({"current": {"uid": "u", "ips": ips}})).unwrap();
        let addresses: Vec<String> = records.iter().map(|record| record.address.to_string()).collect();
        assert_eq!(addresses, ["10.60.0.10", "fd00:60::a"]);
    }
}
