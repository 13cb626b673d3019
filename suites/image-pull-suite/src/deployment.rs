//! A Deployment as the document writes it.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

/// The label that all pods of the document share, and by which every Deployment selects.
const GROUP: (&str, &str) = ("group", "image-pull");
/// Label of a pod: its Deployment. Not in the document; no selector uses it.
pub(crate) const APP: &str = "kubedyno.io/deployment";
/// Seconds that a pod has to end: `sleep`, as the first process, hears no SIGTERM, and every deletion would take them.
const GRACE_S: u32 = 1;

/// What all Deployments of a trial are written from.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Labels of each Deployment and of its pods.
    pub(crate) labels: BTreeMap<String, String>,
    /// What their pods run.
    pub(crate) image: String,
    /// The nodes that they may run on, by their labels; with none, all.
    pub(crate) node_selector: BTreeMap<String, String>,
}

impl Template {
    /// The Deployment called `app`.
    pub(crate) fn deployment(&self, app: &str, replicas: u32) -> Result<Deployment, kube::Error> {
        serde_json::from_value(self.written(app, replicas)).map_err(kube::Error::SerdeError)
    }

    fn written(&self, app: &str, replicas: u32) -> Value {
        let mut of_pod = self.labels.clone();
        of_pod.extend([(APP, app), GROUP].map(|(key, value)| (key.to_owned(), value.to_owned())));
        let container = json!({
            "name": "image-pull",
            "image": self.image,
            "imagePullPolicy": "Always",
            "command": ["sleep", "3600"],
            "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}},
            "readinessProbe": {"exec": {"command": ["true"]}, "initialDelaySeconds": 5, "periodSeconds": 10},
        });
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": app, "labels": self.labels},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {GROUP.0: GROUP.1}},
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
    fn a_deployment_is_the_documents() {
        let (labels, node_selector) = (BTreeMap::new(), BTreeMap::new());
        let template = Template { labels, image: "origin.test/image:1".to_owned(), node_selector };
        let written = template.written("app-0", 1);
        let container = &written["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["imagePullPolicy"], "Always");
        assert_eq!(container["command"], json!(["sleep", "3600"]));
        assert_eq!(container["resources"]["requests"], json!({"cpu": "100m", "memory": "100Mi"}));
        assert_eq!(container["readinessProbe"]["initialDelaySeconds"], 5);
        assert_eq!(written["spec"]["selector"]["matchLabels"], json!({"group": "image-pull"}));
        assert_eq!(template.deployment("app-0", 3).unwrap().spec.unwrap().replicas, Some(3));
    }
}
