//! Plugins of the document for which there is no program to be built from Go modules alone: their rows say what they need.

use serde::Deserialize;

use crate::document::{CALICO, KUBE_OVN};
use crate::system::Families;

/// Parameters of such a row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    /// The plugin.
    pub plugin: AbsentPlugin,
    /// The families.
    pub families: Families,
    /// Deployments.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub deployments: u32,
    /// Pods of each.
    #[serde(deserialize_with = "harness::at_least_one")]
    pub replicas: u32,
}

/// A plugin that is not run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbsentPlugin {
    /// Calico's plugin, on the Kubernetes datastore.
    CalicoIpam,
    /// Kube-OVN, whose controller allocates.
    KubeOvn,
}

impl AbsentPlugin {
    /// Its place in the document's tables.
    pub(crate) fn system(self) -> &'static str {
        match self {
            Self::CalicoIpam => CALICO,
            Self::KubeOvn => KUBE_OVN,
        }
    }
}
