//! What a row needs of a cluster that is not ours: rights of the user, simulated nodes, and the owner's leave.

use std::fmt;

use indexmap::IndexMap;

/// Capability of a cluster on which a node with kwok's annotation becomes Ready.
pub const SIMULATED_NODES: &str = "simulated-nodes";

/// Objects that a row may create without leave. A node's default is 110 pods (kubelet's `maxPods`), so this is less than
/// what somebody adds who drains one node; a row sends as fast as the apiserver answers, so its rate is bound by
/// nothing else.
pub const FREE_OBJECTS: u64 = 100;

/// What a row creates, with the parameters that it runs with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Simulated nodes.
    pub nodes: u64,
    /// Pods that are there at once.
    pub pods: u64,
}

/// What the user gave leave for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leave {
    /// `--allow-nodes`: to create simulated nodes.
    pub nodes: bool,
    /// `--allow-load`: to create more than [`FREE_OBJECTS`].
    pub load: bool,
}

/// Something that a user may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The verb: `create`, `deletecollection`, …
    pub verb: &'static str,
    /// The API group, empty for the core.
    pub group: &'static str,
    /// The resource, or a path that is none: `/metrics`.
    pub resource: &'static str,
}

/// Reading the apiserver's metrics: no row needs it, and without it a record has fewer figures.
pub const METRICS: Right = right("get", "", "/metrics");

/// Of every row: a namespace of its own, which is found and removed when its run is dead.
const NAMESPACE: &[Right] = &[
    right("create", "", "namespaces"),
    right("list", "", "namespaces"),
    right("delete", "", "namespaces"),
    right("get", "", "serviceaccounts"),
    right("list", "", "nodes"),
];

const PODS: &[Right] = &[
    right("create", "apps", "deployments"),
    right("patch", "apps", "deployments"),
    right("delete", "apps", "deployments"),
    right("deletecollection", "apps", "deployments"),
    right("deletecollection", "apps", "replicasets"),
    right("list", "", "pods"),
    right("watch", "", "pods"),
    right("delete", "", "pods"),
];

const NODES: &[Right] = &[
    right("create", "", "nodes"),
    right("watch", "", "nodes"),
    right("delete", "", "nodes"),
    right("deletecollection", "", "nodes"),
];

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.verb, self.resource)
    }
}

impl Needs {
    /// Every right that some row needs.
    pub fn all_rights() -> impl Iterator<Item = Right> {
        Self { nodes: 1, pods: 1 }.rights()
    }

    /// What is missing in a cluster with `capabilities`, in words; `None` when nothing is. A row without needs was not
    /// made for a cluster of others.
    pub fn lacks(needs: Option<&Self>, capabilities: &[String]) -> Option<String> {
        let Some(needs) = needs else { return Some("a cluster that this project made".to_owned()) };
        needs.lacks_rights(capabilities).or_else(|| {
            let simulates = needs.nodes == 0 || capabilities.iter().any(|found| found == SIMULATED_NODES);
            (!simulates).then(|| "kwok (no node with the annotation kwok.x-k8s.io/node becomes Ready)".to_owned())
        })
    }

    /// The rights that are missing: `create, delete on nodes; create on namespaces`.
    pub fn lacks_rights(&self, capabilities: &[String]) -> Option<String> {
        let mut missing: IndexMap<&str, Vec<&str>> = IndexMap::new();
        for right in self.rights().filter(|right| !capabilities.contains(&right.to_string())) {
            missing.entry(right.resource).or_default().push(right.verb);
        }
        let missing: Vec<String> =
            missing.iter().map(|(resource, verbs)| format!("{} on {resource}", verbs.join(", "))).collect();
        (!missing.is_empty()).then(|| missing.join("; "))
    }

    /// The flags without which the row must not run on a cluster of others, each with what the row would do there.
    pub fn wants_leave(&self, leave: Leave) -> Vec<String> {
        let mut flags = Vec::new();
        if self.nodes > 0 && !leave.nodes {
            flags.push(format!(
                "--allow-nodes: it creates {} simulated nodes, and every DaemonSet that tolerates all taints gets a pod on each",
                self.nodes
            ));
        }
        let objects = self.nodes.saturating_add(self.pods);
        if objects > FREE_OBJECTS && !leave.load {
            flags.push(format!(
                "--allow-load: it creates {objects} nodes and pods as fast as the apiserver answers, more than {FREE_OBJECTS}"
            ));
        }
        flags
    }

    fn rights(self) -> impl Iterator<Item = Right> {
        let pods = if self.pods > 0 { PODS } else { &[] };
        let nodes = if self.nodes > 0 { NODES } else { &[] };
        NAMESPACE.iter().chain(pods).chain(nodes).copied()
    }
}

const fn right(verb: &'static str, group: &'static str, resource: &'static str) -> Right {
    Right { verb, group, resource }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const POOL: Needs = Needs { nodes: 20, pods: 100 };

    fn all_but(missing: &[&str]) -> Vec<String> {
        let rights = Needs::all_rights().map(|right| right.to_string()).chain([SIMULATED_NODES.to_owned()]);
        rights.filter(|right| !missing.contains(&right.as_str())).collect()
    }

    #[rstest]
    #[case::nothing(Some(POOL), &[], None)]
    #[case::one_right(Some(POOL), &["create on nodes"], Some("create on nodes"))]
    #[case::several(
        Some(POOL), &["create on namespaces", "create on nodes", "delete on nodes"], Some("create on namespaces; create, delete on nodes")
    )]
    #[case::rights_before_kwok(Some(POOL), &["create on nodes", SIMULATED_NODES], Some("create on nodes"))]
    #[case::kwok(
        Some(POOL), &[SIMULATED_NODES], Some("kwok (no node with the annotation kwok.x-k8s.io/node becomes Ready)")
    )]
    #[case::nodes_that_are_not_needed(Some(Needs { nodes: 0, ..POOL }), &["create on nodes", SIMULATED_NODES], None)]
    #[case::a_row_for_our_own_clusters(None, &[], Some("a cluster that this project made"))]
    fn what_a_row_lacks_is_named(#[case] needs: Option<Needs>, #[case] missing: &[&str], #[case] lacks: Option<&str>) {
        assert_eq!(Needs::lacks(needs.as_ref(), &all_but(missing)).as_deref(), lacks);
    }

    #[rstest]
    #[case::small_and_without_nodes(Needs { nodes: 0, pods: 100 }, false, false, &[])]
    #[case::nodes(Needs { nodes: 1, pods: 99 }, false, false, &["--allow-nodes"])]
    #[case::load(Needs { nodes: 0, pods: 101 }, true, false, &["--allow-load"])]
    #[case::both(Needs { nodes: 1, pods: 100 }, false, false, &["--allow-nodes", "--allow-load"])]
    #[case::with_leave(Needs { nodes: 1_000, pods: 10_000 }, true, true, &[])]
    #[case::more_than_can_be_counted(Needs { nodes: u64::MAX, pods: u64::MAX }, true, false, &["--allow-load"])]
    fn what_could_hurt_others_wants_its_flag(
        #[case] needs: Needs,
        #[case] nodes: bool,
        #[case] load: bool,
        #[case] flags: &[&str],
    ) {
        let wanted = needs.wants_leave(Leave { nodes, load });
        let wanted: Vec<&str> = wanted.iter().filter_map(|text| text.split(':').next()).collect();
        assert_eq!(wanted, flags);
    }
}
