//! What a group is to be: a file, or a key of a ConfigMap.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::profile::{self, Check, LoadProfile, ProfileError, Step, Wrong};

/// A group of runners (`api/types/runner_group.go` of Azure/kperf v0.3.5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupSpec {
    /// Runners.
    pub count: u32,
    /// What each of them sends.
    pub load_profile: LoadProfile,
    /// Labels of the nodes that may run them.
    #[serde(default)]
    pub node_affinity: BTreeMap<String, Vec<String>>,
    /// The ServiceAccount of their Pods; ours where none is named.
    #[serde(default)]
    pub service_account: Option<String>,
    /// What owns the group, as `APIVersion:Kind:Name:UID`.
    #[serde(default)]
    pub owner_reference: Option<String>,
}

impl GroupSpec {
    /// Reads a spec from a text that came from `file`.
    ///
    /// # Errors
    /// As [`LoadProfile::parse`].
    pub fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        profile::parse(file, text)
    }
}

impl Check for GroupSpec {
    fn check(&self) -> Result<(), Wrong> {
        if self.count == 0 {
            return Err(Wrong::new(&["count"], "is 0: give at least one runner"));
        }
        if self.owner_reference.as_ref().is_some_and(|owner| owner.split(':').count() != 4) {
            return Err(Wrong::new(&["ownerReference"], "is no owner: give APIVersion:Kind:Name:UID"));
        }
        self.load_profile.check().map_err(|wrong| wrong.below([Step::Key("loadProfile".to_owned())]))
    }
}

/// Reads the spec of a URI.
pub(super) async fn load(client: &Client, uri: &str) -> Result<GroupSpec> {
    match Source::parse(uri)? {
        Source::File(path) => Ok(profile::read(Path::new(path))?),
        Source::ConfigMap { name, namespace, key } => {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            let map = api.get(name).await.map_err(Error::api(format!("cannot read ConfigMap {namespace}/{name}")))?;
            let data = map.data.unwrap_or_default();
            let Some(text) = data.get(key) else {
                let known: Vec<&str> = data.keys().map(String::as_str).collect();
                let message = format!("ConfigMap {namespace}/{name} has no key {key}; it has: {}", known.join(", "));
                return Err(Error::Usage(message));
            };
            Ok(GroupSpec::parse(uri, text)?)
        }
    }
}

/// Where a spec is.
#[derive(Debug, PartialEq)]
enum Source<'a> {
    File(&'a str),
    ConfigMap { name: &'a str, namespace: &'a str, key: &'a str },
}

impl<'a> Source<'a> {
    fn parse(uri: &'a str) -> Result<Self> {
        let bad = |message: &str| {
            Error::Usage(format!(
                "--runnergroup {uri}: {message}; give file:///path, or configmap://name?namespace=ns&specName=key"
            ))
        };
        match uri.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path)),
            Some(("file", _)) => Err(bad("the path is not absolute")),
            Some(("configmap", rest)) => {
                let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
                let value = |key: &str| {
                    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                    pairs.filter(|(found, value)| *found == key && !value.is_empty()).map(|(_, value)| value).next()
                };
                match (value("namespace"), value("specName")) {
                    _ if name.is_empty() => Err(bad("it names no ConfigMap")),
                    (None, _) => Err(bad("it names no namespace")),
                    (_, None) => Err(bad("it names no specName")),
                    (Some(namespace), Some(key)) => Ok(Self::ConfigMap { name, namespace, key }),
                }
            }
            _ => Err(bad("this is no such URI")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_file("file:///tmp/spec.yaml", Source::File("/tmp/spec.yaml"))]
    #[case::a_config_map(
        "configmap://cm?namespace=ns&specName=a.yaml",
        Source::ConfigMap { name: "cm", namespace: "ns", key: "a.yaml" }
    )]
    fn a_uri_says_where_a_spec_is(#[case] uri: &str, #[case] source: Source<'_>) {
        assert_eq!(Source::parse(uri).unwrap(), source);
    }

    #[rstest]
    #[case::no_scheme("/tmp/spec.yaml", "this is no such URI")]
    #[case::another_scheme("https://a/b", "this is no such URI")]
    #[case::not_absolute("file://spec.yaml", "the path is not absolute")]
    #[case::no_name("configmap://?namespace=ns&specName=a", "it names no ConfigMap")]
    #[case::no_namespace("configmap://cm?specName=a", "it names no namespace")]
    #[case::no_key("configmap://cm?namespace=ns", "it names no specName")]
    fn a_uri_that_says_nothing_is_refused_with_what_would_be_right(#[case] uri: &str, #[case] message: &str) {
        let error = Source::parse(uri).unwrap_err().to_string();
        assert!(error.contains(message) && error.ends_with("configmap://name?namespace=ns&specName=key"), "{error}");
    }

    #[rstest]
    #[case::no_runners("count: 0\nloadProfile: {version: 1, spec: {requests: []}}", "s.yaml:1:1: count: is 0")]
    #[case::in_the_profile(
        "count: 1\nloadProfile: {version: 1, spec: {requests: []}}",
        "s.yaml:2:34: loadProfile.spec.requests: is empty"
    )]
    fn a_spec_is_refused_with_its_line(#[case] text: &str, #[case] message: &str) {
        let error = GroupSpec::parse("s.yaml", text).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }

    #[test]
    fn the_documents_group_is_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/kperf/example-runnergroup-spec.yaml");
        let spec: GroupSpec = profile::read(&path).unwrap();
        assert_eq!((spec.count, spec.load_profile.specs()[0].total()), (10, Some(10)));
        assert_eq!(spec.node_affinity["node.kubernetes.io/instance-type"], ["Standard_DS2_v2"]);
    }
}
