//! What the tenants leave behind: in etcd, in the management cluster, and in the operator.

use std::collections::BTreeMap;

use harness::Error;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::management::DataStore;

/// Names that a record quotes of each kind.
const NAMED: usize = 3;

/// Everything that tenants could leave behind, by what it is: `etcd_keys`, `secrets`, …
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings(BTreeMap<&'static str, Vec<String>>);

impl Holdings {
    /// What there is now.
    ///
    /// # Errors
    /// When an etcd or the apiserver does not answer.
    pub async fn now(client: &Client, namespace: &str, datastores: &[DataStore]) -> Result<Self, Error> {
        let mut all: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for store in datastores {
            let account = store.administrator().account().await?;
            let named = |name: &str| format!("{}: {name}", store.name);
            let keys = account.keys.keys().map(|key| named(&String::from_utf8_lossy(key)));
            all.entry("etcd_keys").or_default().extend(keys);
            all.entry("etcd_users").or_default().extend(account.users.iter().map(|user| named(user)));
            all.entry("etcd_roles").or_default().extend(account.roles.iter().map(|role| named(role)));
        }
        all.insert("secrets", names::<Secret>(client, namespace).await?);
        all.insert("configmaps", names::<ConfigMap>(client, namespace).await?);
        all.insert("services", names::<Service>(client, namespace).await?);
        all.insert("deployments", names::<Deployment>(client, namespace).await?);
        Ok(Self(all))
    }

    /// What is here and was not in `before`, by what it is; also where there is none.
    pub fn beyond(&self, before: &Self) -> BTreeMap<&'static str, Vec<String>> {
        let none = Vec::new();
        let of = |(what, names): (&&'static str, &Vec<String>)| {
            let known = before.0.get(what).unwrap_or(&none);
            (*what, names.iter().filter(|name| !known.contains(name)).cloned().collect())
        };
        self.0.iter().map(of).collect()
    }

    /// How many there are of something.
    pub fn count(&self, what: &str) -> usize {
        self.0.get(what).map_or(0, Vec::len)
    }
}

/// What was left of some kind, in words.
pub fn told(what: &str, left: &[String]) -> String {
    let named: Vec<&str> = left.iter().take(NAMED).map(String::as_str).collect();
    let more = if left.len() > NAMED { format!(" and {} more", left.len() - NAMED) } else { String::new() };
    format!("left behind of {what}: {}{more}", named.join(", "))
}

async fn names<K>(client: &Client, namespace: &str) -> Result<Vec<String>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let what = format!("cannot list {} of {namespace}", K::plural(&()));
    let listed = api.list_metadata(&ListParams::default()).await.map_err(Error::api(what))?;
    Ok(listed.items.into_iter().filter_map(|object| object.metadata.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_not_left_behind() {
        let holdings = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Holdings(BTreeMap::from([("secrets", names), ("services", Vec::new())]))
        };
        let left = holdings(&["a", "b"]).beyond(&holdings(&["b", "c"]));
        assert_eq!(left, BTreeMap::from([("secrets", vec!["a".to_owned()]), ("services", Vec::new())]));
        assert_eq!(told("secrets", &left["secrets"]), "left behind of secrets: a");
    }
}
