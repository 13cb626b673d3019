//! The kinds of requests, as data. Names, fields and rules are those of a kperf load profile (`api/types/load_traffic.go`
//! of Azure/kperf v0.3.5), so that one reads straight into the other.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::error::PlanError;

/// One kind of request with its fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// A list from the watch cache (`resourceVersion=0`).
    StaleList(List),
    /// A list that is consistent with etcd.
    QuorumList(List),
    /// A streaming list: a watch that sends the objects there are, up to the bookmark that ends them.
    WatchList(WatchList),
    /// One object from the watch cache.
    StaleGet(Get),
    /// One object, consistent with etcd.
    QuorumGet(Get),
    /// A new content for one of a set of ConfigMaps, which must be there.
    Put(Put),
    /// A patch of one of a set of objects, which must be there.
    Patch(Patch),
    /// The log of a container.
    GetPodLog(PodLog),
    /// Pods that are created, and some of them deleted again, the oldest first.
    PostDel(PostDel),
}

/// A list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = both_spellings)]
pub struct List {
    /// API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// API version.
    pub version: String,
    /// Resource, in the plural.
    pub resource: String,
    /// Namespace; empty for all of them.
    #[serde(default)]
    pub namespace: String,
    /// Objects in one page; 0 for all. A stale list has no pages.
    #[serde(default)]
    pub limit: u64,
    /// Label selector. Profiles before v0.3.5 spell it `seletor`.
    #[serde(default, alias = "seletor")]
    pub selector: String,
    /// Field selector.
    #[serde(default)]
    pub field_selector: String,
}

/// A streaming list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = both_spellings)]
pub struct WatchList {
    /// API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// API version.
    pub version: String,
    /// Resource, in the plural.
    pub resource: String,
    /// Namespace; empty for all of them.
    #[serde(default)]
    pub namespace: String,
    /// Label selector. Profiles before v0.3.5 spell it `seletor`.
    #[serde(default, alias = "seletor")]
    pub selector: String,
    /// Field selector.
    #[serde(default)]
    pub field_selector: String,
}

/// One object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Get {
    /// API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// API version.
    pub version: String,
    /// Resource, in the plural.
    pub resource: String,
    /// Namespace; empty for a resource of the cluster.
    #[serde(default)]
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A replacement of a ConfigMap's content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Put {
    /// API group; only the core group is known.
    #[serde(default)]
    pub group: String,
    /// API version; only `v1`.
    pub version: String,
    /// Resource; only `configmaps`.
    pub resource: String,
    /// Namespace.
    pub namespace: String,
    /// First part of the names: object `k` is `<name>-<k>`.
    pub name: String,
    /// How many objects there are.
    pub key_space_size: u64,
    /// Bytes of the content. The first 16 differ from request to request: an update without a change is not written to etcd.
    #[serde(default)]
    pub payload_size: usize,
}

/// A patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Patch {
    /// API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// API version.
    pub version: String,
    /// Resource, in the plural.
    pub resource: String,
    /// Namespace; empty for a resource of the cluster.
    #[serde(default)]
    pub namespace: String,
    /// First part of the names: object `k` is `<name>-<k>`.
    pub name: String,
    /// How many objects there are.
    pub key_space_size: u64,
    /// What kind of patch `body` is.
    pub patch_type: PatchType,
    /// The patch, as JSON. It is sent as it stands, so a second one on the same object changes nothing in etcd.
    pub body: String,
}

/// The kinds of patches.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7396.
    Merge,
    /// Kubernetes' own, which merges lists by key.
    StrategicMerge,
}

/// The log of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodLog {
    /// Namespace.
    pub namespace: String,
    /// The Pod.
    pub name: String,
    /// The container; empty where the Pod has only one.
    #[serde(default)]
    pub container: String,
    /// Lines from the end.
    #[serde(default)]
    pub tail_lines: Option<u64>,
    /// Bytes at most.
    #[serde(default)]
    pub limit_bytes: Option<u64>,
}

/// Pods that come and go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostDel {
    /// API group; only the core group is known.
    #[serde(default)]
    pub group: String,
    /// API version; only `v1`.
    pub version: String,
    /// Resource; only `pods`.
    pub resource: String,
    /// Namespace.
    pub namespace: String,
    /// Share of deletions among the requests, 0 to 0.5. Where nothing is there to delete, a Pod is created.
    #[serde(default)]
    pub delete_ratio: f64,
    /// Bytes of padding in each Pod.
    #[serde(default)]
    pub payload_size: usize,
}

impl Request {
    /// The kind, as it is spelled in a profile.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::StaleList(_) => "staleList",
            Self::QuorumList(_) => "quorumList",
            Self::WatchList(_) => "watchList",
            Self::StaleGet(_) => "staleGet",
            Self::QuorumGet(_) => "quorumGet",
            Self::Put(_) => "put",
            Self::Patch(_) => "patch",
            Self::GetPodLog(_) => "getPodLog",
            Self::PostDel(_) => "postDel",
        }
    }

    /// Checks the fields of the request at index `entry` of a mix.
    ///
    /// # Errors
    /// The first field that is empty or out of range.
    pub fn check(&self, entry: usize) -> Result<(), PlanError> {
        let wrong = |field, problem| Err(PlanError::Request { entry, kind: self.kind(), field, problem });
        for (field, value) in self.needed() {
            if value.is_empty() {
                return wrong(field, "is empty: name one");
            }
        }
        match self {
            Self::StaleList(list) if list.limit > 0 => {
                wrong("limit", "is set, but the watch cache gives no pages: leave it out, or use quorumList")
            }
            Self::Put(put)
                if (put.group.as_str(), put.version.as_str(), put.resource.as_str()) != ("", "v1", "configmaps") =>
            {
                wrong("resource", "is not one that a content is known for: only `configmaps` of the core group, `v1`")
            }
            Self::PostDel(pods)
                if (pods.group.as_str(), pods.version.as_str(), pods.resource.as_str()) != ("", "v1", "pods") =>
            {
                wrong("resource", "is not one that can be made up: only `pods` of the core group, `v1`")
            }
            Self::Put(Put { key_space_size: 0, .. }) | Self::Patch(Patch { key_space_size: 0, .. }) => {
                wrong("keySpaceSize", "is 0, so there is no object: give the number of objects")
            }
            Self::PostDel(pods) if !(0.0..=0.5).contains(&pods.delete_ratio) => {
                wrong("deleteRatio", "is not between 0 and 0.5: more would be deleted than is created")
            }
            Self::Patch(patch) if serde_json::from_str::<serde::de::IgnoredAny>(&patch.body).is_err() => {
                wrong("body", "is not JSON")
            }
            _ => Ok(()),
        }
    }

    /// The fields that may not be empty.
    fn needed(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::StaleList(r) | Self::QuorumList(r) => vec![("version", &r.version), ("resource", &r.resource)],
            Self::WatchList(r) => vec![("version", &r.version), ("resource", &r.resource)],
            Self::StaleGet(r) | Self::QuorumGet(r) => {
                vec![("version", &r.version), ("resource", &r.resource), ("name", &r.name)]
            }
            Self::Put(r) => vec![("namespace", &r.namespace), ("name", &r.name)],
            Self::Patch(r) => vec![("version", &r.version), ("resource", &r.resource), ("name", &r.name)],
            Self::GetPodLog(r) => vec![("namespace", &r.namespace), ("name", &r.name)],
            Self::PostDel(r) => vec![("namespace", &r.namespace)],
        }
    }
}

/// Lets a schema have the old spelling of `selector`, of which serde's alias tells it nothing.
fn both_spellings(schema: &mut Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(|properties| properties.as_object_mut()) else {
        return;
    };
    if let Some(mut old) = properties.get("selector").cloned() {
        old["deprecated"] = true.into();
        properties.insert("seletor".to_owned(), old);
    }
}
