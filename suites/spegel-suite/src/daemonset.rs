//! The DaemonSet of the document, in both of its versions.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::{Value, json};

/// What the DaemonSet is called.
pub(crate) const NAME: &str = "spegel-benchmark";
/// Label of a pod: the version of the image that its template asked for.
pub(crate) const VERSION: &str = "kubedyno.io/version";
/// The label by which the DaemonSet selects its pods.
const APP: (&str, &str) = ("app", NAME);
const CONTAINER: &str = "benchmark";
/// Seconds that a pod has to end: a first process that handles no SIGTERM would take the default of 30.
const GRACE_S: u32 = 1;

/// What the DaemonSet is written from.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Labels of the DaemonSet and of its pods.
    pub(crate) labels: BTreeMap<String, String>,
    /// The image, first as it is created, then as it is updated to.
    pub(crate) images: [String; 2],
    /// Pods that an update may replace at once.
    pub(crate) max_unavailable: u32,
    /// The nodes that get a pod, by their labels; with none, all that tolerate it.
    pub(crate) node_selector: BTreeMap<String, String>,
}

impl Template {
    /// The DaemonSet as it is created.
    pub(crate) fn daemon_set(&self) -> Result<DaemonSet, kube::Error> {
        serde_json::from_value(self.written()).map_err(kube::Error::SerdeError)
    }

    /// What changes with the update: the image, and the label by which the account knows it.
    pub(crate) fn update(&self) -> Value {
        let container = json!({"name": CONTAINER, "image": self.images[1]});
        let template = json!({"metadata": {"labels": {VERSION: "v2"}}, "spec": {"containers": [container]}});
        json!({"spec": {"template": template}})
    }

    fn written(&self) -> Value {
        let mut of_pod = self.labels.clone();
        of_pod.extend([APP, (VERSION, "v1")].map(|(key, value)| (key.to_owned(), value.to_owned())));
        let container = json!({
            "name": CONTAINER,
            "image": self.images[0],
            "imagePullPolicy": "IfNotPresent",
            // An image's own program that reads from its standard input waits.
            "stdin": true,
        });
        json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": NAME, "labels": self.labels},
            "spec": {
                "selector": {"matchLabels": {APP.0: APP.1}},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": self.max_unavailable}},
                "template": {
                    "metadata": {"labels": of_pod},
                    "spec": {
                        "terminationGracePeriodSeconds": GRACE_S,
                        "nodeSelector": self.node_selector,
                        "containers": [container],
                    },
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_update_replaces_one_pod_at_a_time_and_changes_the_image() {
        let template = Template {
            labels: BTreeMap::new(),
            images: ["a:1", "a:2"].map(str::to_owned),
            max_unavailable: 1,
            node_selector: BTreeMap::new(),
        };
        let written = template.written();
        assert_eq!(written["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"], 1);
        assert_eq!(written["spec"]["template"]["spec"]["containers"][0]["image"], "a:1");
        assert_eq!(template.update()["spec"]["template"]["spec"]["containers"][0]["image"], "a:2");
        let read = template.daemon_set().unwrap();
        assert_eq!(read.spec.unwrap().selector.match_labels.unwrap()["app"], NAME);
    }
}
