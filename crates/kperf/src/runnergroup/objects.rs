//! The objects of a group, as values.

use std::collections::BTreeMap;
use std::str::FromStr;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::spec::GroupSpec;
use super::{Driver, NAMESPACE};

/// Label of everything of a group: its name.
pub const GROUP_LABEL: &str = "runnergroups.kperf.io/name";
/// Key of the profile in the group's ConfigMap, as kperf calls it.
pub(super) const PROFILE: &str = "load_profile.yaml";
/// Key of a runner's result in its ConfigMap.
pub(super) const RESULT: &str = "result.json";
/// Who manages the Jobs whose runners are processes.
pub(super) const MANAGER: &str = "kubedyno.io/kperf";
/// ServiceAccount, ClusterRole and ClusterRoleBinding of the runners, and their FlowSchema.
pub const RUNNER: &str = "kperf-runner";

/// Which priority level the requests of runners get, and before which other FlowSchemas.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlowControl {
    /// The PriorityLevelConfiguration.
    pub priority_level: String,
    /// The FlowSchema's precedence.
    pub precedence: i32,
}

impl FromStr for FlowControl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (level, precedence) = text.split_once(':').unwrap_or((text, ""));
        match precedence.parse() {
            Ok(precedence) if !level.is_empty() => Ok(Self { priority_level: level.to_owned(), precedence }),
            _ => Err("give PriorityLevel:MatchingPrecedence, such as workload-low:1000".to_owned()),
        }
    }
}

/// The Job of a group.
pub(super) fn job(name: &str, spec: &GroupSpec, driver: Driver, image: &str, verbosity: u8) -> Value {
    let labels = json!({GROUP_LABEL: name});
    let terms = spec.node_affinity.iter().map(|(key, values)| json!({"key": key, "operator": "In", "values": values}));
    let terms: Vec<Value> = terms.collect();
    let affinity = if terms.is_empty() {
        json!({})
    } else {
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchExpressions": terms}]}}})
    };
    let owners: Vec<Value> = spec
        .owner_reference
        .iter()
        .filter_map(|owner| {
            let [version, kind, name, uid] = owner.split(':').collect::<Vec<_>>()[..] else { return None };
            Some(json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid}))
        })
        .collect();
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels, "ownerReferences": owners},
        "spec": {
            "completionMode": "Indexed",
            "completions": spec.count,
            "parallelism": spec.count,
            // A runner that is started again would send its load twice, and one that fails must not end the others.
            "backoffLimitPerIndex": 0,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "affinity": affinity,
                    "restartPolicy": "Never",
                    "serviceAccountName": spec.service_account.as_deref().unwrap_or(RUNNER),
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": labels},
                    }],
                    "containers": [{
                        "name": "runner",
                        "image": image,
                        // The index comes from the variable that the Job controller sets.
                        "args": ["-v", verbosity.to_string(), "runnergroup", "runner", name],
                    }],
                },
            },
        },
    });
    if driver == Driver::Local {
        job["spec"]["managedBy"] = MANAGER.into();
    }
    job
}

/// A ConfigMap that goes with the Job.
pub(super) fn config_map(name: &str, job: &Job, data: BTreeMap<String, String>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {GROUP_LABEL: job.metadata.name},
            "ownerReferences": [owner(job)],
        },
        "immutable": true,
        "data": data,
    })
}

fn owner(job: &Job) -> OwnerReference {
    OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        name: job.metadata.name.clone().unwrap_or_default(),
        uid: job.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    }
}

/// ServiceAccount, ClusterRole, ClusterRoleBinding and FlowSchema of runners in Pods, in the order of their creation.
pub(super) fn rights(flow_control: &FlowControl) -> [Value; 4] {
    let metadata = json!({"name": RUNNER});
    let account = json!({"kind": "ServiceAccount", "name": RUNNER, "namespace": NAMESPACE});
    let all = |verbs: &[&str]| json!({"apiGroups": ["*"], "resources": ["*"], "verbs": verbs});
    let rules = json!([
        all(&["get", "list", "watch"]),
        // What put, patch and postDel write, and the result.
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps", "pods"], "verbs": ["create", "update", "delete"]},
    ]);
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": RUNNER, "namespace": NAMESPACE}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": RUNNER},
            "subjects": [account],
        }),
        json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": metadata,
            "spec": {
                "priorityLevelConfiguration": {"name": flow_control.priority_level},
                "matchingPrecedence": flow_control.precedence,
                "distinguisherMethod": {"type": "ByUser"},
                "rules": [{
                    "subjects": [{"kind": "ServiceAccount",
                        "serviceAccount": {"name": RUNNER, "namespace": NAMESPACE}}],
                    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                        "clusterScope": true, "namespaces": ["*"]}],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                }],
            },
        }),
    ]
}

/// A value as an object of its type.
pub(super) fn typed<K: DeserializeOwned>(value: Value) -> Result<K, kube::Error> {
    serde_json::from_value(value).map_err(kube::Error::SerdeError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
    use k8s_openapi::api::flowcontrol::v1::FlowSchema;
    use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
    use rstest::rstest;

    fn spec() -> GroupSpec {
        let text = "count: 3\nloadProfile:\n  version: 1\n  spec:\n    requests: [{shares: 1, staleList: {version: v1, \
                    resource: pods}}]\nnodeAffinity: {disk: [ssd, nvme]}\nownerReference: v1:ConfigMap:me:u-1\n";
        GroupSpec::parse("s.yaml", text).unwrap()
    }

    #[rstest]
    #[case::in_pods(Driver::Job, "job_in_pods")]
    #[case::as_processes(Driver::Local, "job_as_processes")]
    fn a_group_is_an_indexed_job(#[case] driver: Driver, #[case] name: &str) {
        let value = job("runnergroup-server-0", &spec(), driver, "kperf:1", 2);
        let typed: Job = typed(value).unwrap();
        insta::assert_snapshot!(name, serde_json::to_string_pretty(&typed).unwrap());
    }

    #[test]
    fn what_belongs_to_a_group_is_owned_by_its_job() {
        let mut job: Job = typed(job("g", &spec(), Driver::Job, "kperf:1", 2)).unwrap();
        job.metadata.uid = Some("u-2".to_owned());
        let map: ConfigMap = typed(config_map("g-0", &job, BTreeMap::new())).unwrap();
        let owner = &map.metadata.owner_references.unwrap()[0];
        assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str()), ("Job", "g", "u-2"));
    }

    #[test]
    fn runners_have_the_rights_and_the_priority_that_they_need() {
        let [account, role, binding, flow] = rights(&"workload-low:1000".parse().unwrap());
        assert_eq!(typed::<ServiceAccount>(account).unwrap().metadata.name.as_deref(), Some(RUNNER));
        assert_eq!(typed::<ClusterRole>(role).unwrap().rules.unwrap().len(), 3);
        assert_eq!(typed::<ClusterRoleBinding>(binding).unwrap().subjects.unwrap()[0].name, RUNNER);
        let flow = typed::<FlowSchema>(flow).unwrap().spec.unwrap();
        assert_eq!(
            (flow.priority_level_configuration.name.as_str(), flow.matching_precedence),
            ("workload-low", Some(1_000))
        );
    }

    #[rstest]
    #[case::no_precedence("workload-low")]
    #[case::no_number("workload-low:high")]
    #[case::no_level(":1000")]
    fn a_flow_control_that_says_nothing_is_refused(#[case] text: &str) {
        assert!(text.parse::<FlowControl>().is_err());
    }
}
