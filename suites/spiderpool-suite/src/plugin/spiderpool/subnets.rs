//! SpiderSubnets: how a Deployment asks for a pool of its own, and which pools the controller has made for it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use harness::Error;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::Value;

use super::objects::{name, resource};
use crate::automatic::AutomaticPool;
use crate::pool::{Family, Pool};

/// Label of a pool: the namespace of the application that it was made for (`pkg/constant/k8s.go`).
const NAMESPACE: &str = "ipam.spidernet.io/owner-application-namespace";
/// Label of a pool: the application's name.
const APPLICATION: &str = "ipam.spidernet.io/owner-application-name";

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    ips: Vec<String>,
}

/// What pods are annotated with, so that their Deployment gets a pool of every family with as many addresses as it has pods:
/// `+0` beyond its replicas.
pub(super) fn annotations(pools: &[Pool]) -> BTreeMap<String, String> {
    let key = |pool: &Pool| if pool.family == Family::V4 { "ipv4" } else { "ipv6" };
    let subnets: BTreeMap<_, _> = pools.iter().map(|pool| (key(pool), [name(pool.family)])).collect();
    let subnets = serde_json::to_string(&subnets).unwrap_or_default();
    [("ipam.spidernet.io/subnet", subnets), ("ipam.spidernet.io/ippool-ip-number", "+0".to_owned())]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}

/// The pools that were made for the Deployments of a namespace.
pub(super) async fn automatic_pools(client: &Client, namespace: &str) -> Result<Vec<AutomaticPool>, Error> {
    let pools: Api<DynamicObject> = Api::all_with(client.clone(), &resource("SpiderIPPool"));
    let pools = pools.list(&ListParams::default().labels(&format!("{NAMESPACE}={namespace}"))).await;
    let pools = pools.map_err(Error::api("cannot list the automatic SpiderIPPools"))?;
    let pool = |pool: &DynamicObject| {
        let name = pool.metadata.name.clone().unwrap_or_default();
        let found = automatic_pool(&name, pool.metadata.labels.as_ref(), &pool.data["spec"]);
        found.ok_or_else(|| Error::Environment(format!("SpiderIPPool {name} is none: {}", pool.data["spec"])))
    };
    pools.items.iter().map(pool).collect()
}

fn automatic_pool(name: &str, labels: Option<&BTreeMap<String, String>>, spec: &Value) -> Option<AutomaticPool> {
    let Spec { ips } = serde_json::from_value(spec.clone()).ok()?;
    let ranges: Vec<(IpAddr, IpAddr)> = ips.iter().map(|range| bounds(range)).collect::<Option<_>>()?;
    Some(AutomaticPool {
        name: name.to_owned(),
        deployment: labels?.get(APPLICATION)?.clone(),
        family: Family::of(&ranges.first()?.0),
        addresses: ranges.iter().map(|(first, last)| bits(last).saturating_sub(bits(first)) + 1).sum(),
    })
}

/// A range is `first-last`, or one address.
fn bounds(range: &str) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn bits(address: &IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_deployment_asks_for_a_pool_of_each_family_as_large_as_itself() {
        let asked = annotations(&[Pool::of(Family::V4, 10), Pool::of(Family::V6, 10)]);
        assert_eq!(asked["ipam.spidernet.io/subnet"], r#"{"ipv4":["v4"],"ipv6":["v6"]}"#);
        assert_eq!(asked["ipam.spidernet.io/ippool-ip-number"], "+0");
        let asked = annotations(&[Pool::of(Family::V4, 10)]);
        assert_eq!(asked["ipam.spidernet.io/subnet"], r#"{"ipv4":["v4"]}"#);
    }

    #[test]
    fn the_addresses_of_a_pool_are_counted_over_its_ranges() {
        let labels = BTreeMap::from([(APPLICATION.to_owned(), "deployment-1".to_owned())]);
        let spec = json!({"ips": ["10.60.0.10-10.60.0.18", "10.60.0.20"]});
        let pool = automatic_pool("auto4-deployment-1", Some(&labels), &spec).unwrap();
        assert_eq!((pool.deployment.as_str(), pool.family, pool.addresses), ("deployment-1", Family::V4, 10));
        assert_eq!(automatic_pool("p", Some(&labels), &json!({"ips": ["oops"]})), None);
        assert_eq!(automatic_pool("p", None, &spec), None);
    }
}
