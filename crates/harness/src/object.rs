//! What is read of an object and of the lines that it comes in: few fields, borrowed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

/// The few fields of an object that a trial needs, borrowed from the line that they came in.
#[derive(Debug, Default, Deserialize)]
pub struct Object<'a> {
    /// Its metadata.
    #[serde(default, borrow)]
    pub metadata: Metadata<'a>,
    /// Its spec.
    #[serde(default, borrow)]
    pub spec: Spec<'a>,
    /// Its status.
    #[serde(default, borrow)]
    pub status: Status<'a>,
}

/// Metadata of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Name.
    #[serde(default, borrow)]
    pub name: Cow<'a, str>,
    /// What tells it apart from a later object of the same name.
    #[serde(default, borrow)]
    pub uid: Cow<'a, str>,
    /// The version that this state of the object has.
    #[serde(default, borrow)]
    pub resource_version: Cow<'a, str>,
    /// When its deletion was asked for.
    #[serde(default, borrow)]
    pub deletion_timestamp: Option<Cow<'a, str>>,
    /// Labels.
    #[serde(default, borrow)]
    pub labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

/// Spec of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec<'a> {
    /// The node that a pod is bound to.
    #[serde(default, borrow)]
    pub node_name: Cow<'a, str>,
}

/// Status of an object.
#[derive(Debug, Default, Deserialize)]
pub struct Status<'a> {
    /// Phase of a pod.
    #[serde(default, borrow)]
    pub phase: Cow<'a, str>,
    /// Conditions.
    #[serde(default, borrow)]
    pub conditions: Vec<Condition<'a>>,
    /// Addresses of a pod.
    #[serde(default, borrow, rename = "podIPs")]
    pub pod_ips: Vec<PodIp<'a>>,
    /// Containers of a pod.
    #[serde(default, rename = "containerStatuses")]
    pub containers: Vec<Container>,
    /// What Kamaji says of the resources of a TenantControlPlane.
    #[serde(default, borrow, rename = "kubernetesResources")]
    pub tenant: TenantResources<'a>,
}

/// Resources of a TenantControlPlane in its management cluster.
#[derive(Debug, Default, Deserialize)]
pub struct TenantResources<'a> {
    /// Its version.
    #[serde(default, borrow)]
    pub version: TenantVersion<'a>,
    /// Its Deployment.
    #[serde(default)]
    pub deployment: TenantDeployment,
}

/// The version of a TenantControlPlane.
#[derive(Debug, Default, Deserialize)]
pub struct TenantVersion<'a> {
    /// The version that runs.
    #[serde(default, borrow)]
    pub version: Cow<'a, str>,
    /// `Provisioning`, `Ready`, …
    #[serde(default, borrow)]
    pub status: Cow<'a, str>,
}

/// The Deployment of a TenantControlPlane.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantDeployment {
    /// Pods.
    #[serde(default)]
    pub replicas: u32,
    /// Pods that are ready.
    #[serde(default)]
    pub ready_replicas: u32,
}

/// An address of a pod.
#[derive(Debug, Deserialize)]
pub struct PodIp<'a> {
    /// The address.
    #[serde(borrow)]
    pub ip: Cow<'a, str>,
}

/// A container of a pod.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// How often it was started again.
    #[serde(default)]
    pub restart_count: u32,
}

/// A condition of an object.
#[derive(Debug, Deserialize)]
pub struct Condition<'a> {
    /// Its type.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// `True`, `False` or `Unknown`.
    #[serde(borrow)]
    pub status: Cow<'a, str>,
}

impl Object<'_> {
    /// Whether it is a pod that runs and is ready.
    pub fn runs(&self) -> bool {
        self.status.phase == "Running" && self.is("Ready")
    }

    /// Whether its condition of that type is `True`.
    pub fn is(&self, condition: &str) -> bool {
        self.status.conditions.iter().any(|found| found.kind == condition && found.status == "True")
    }
}

/// A line of a watch.
#[derive(Deserialize)]
pub(crate) struct EventLine<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) object: Object<'a>,
}

/// The line by which the apiserver ends a watch.
#[derive(Deserialize)]
pub(crate) struct ErrorLine {
    pub(crate) object: ErrorStatus,
}

#[derive(Deserialize)]
pub(crate) struct ErrorStatus {
    #[serde(default)]
    pub(crate) code: u16,
}

/// etcd's answer about a key (`etcdserverpb.RangeResponse` in JSON), of which only the revision is wanted.
#[derive(Deserialize)]
pub(crate) struct Range {
    pub(crate) header: RangeHeader,
}

#[derive(Deserialize)]
pub(crate) struct RangeHeader {
    pub(crate) revision: String,
}

/// One page of a list.
#[derive(Deserialize)]
pub(crate) struct Page<'a> {
    #[serde(borrow)]
    pub(crate) metadata: PageMetadata<'a>,
    #[serde(borrow)]
    pub(crate) items: Vec<Object<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageMetadata<'a> {
    #[serde(borrow)]
    pub(crate) resource_version: Cow<'a, str>,
    #[serde(default, rename = "continue", borrow)]
    pub(crate) next: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const POD: &str = r#"{"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-1","resourceVersion":"77","labels":{"a":"b"},"managedFields":[{"x":"y"}]},"spec":{"nodeName":"n-1","containers":[{"name":"c"}]},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}}"#;

    #[test]
    fn the_fields_that_a_trial_needs_are_read_from_an_event() {
        let line: EventLine<'_> = serde_json::from_str(POD).unwrap();
        assert_eq!((&*line.kind, &*line.object.metadata.name), ("MODIFIED", "web-1"));
        assert_eq!((&*line.object.spec.node_name, &*line.object.status.phase), ("n-1", "Running"));
        assert!(line.object.is("Ready") && !line.object.is("PodScheduled"));
    }

    #[rstest]
    #[case::bookmark(
        r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9","creationTimestamp":null}}}"#
    )]
    #[case::node_without_spec(r#"{"type":"ADDED","object":{"metadata":{"name":"n"},"spec":{},"status":{}}}"#)]
    fn other_lines_are_read_too(#[case] line: &str) {
        serde_json::from_str::<EventLine<'_>>(line).unwrap();
    }
}
