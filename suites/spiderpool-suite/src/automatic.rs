//! Pools that a plugin makes for each Deployment, and that go with it: what there has to be, against what there is.

use std::collections::BTreeMap;

use crate::pool::Family;

/// A pool that belongs to a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutomaticPool {
    /// Its name.
    pub name: String,
    /// The Deployment.
    pub deployment: String,
    /// The family.
    pub family: Family,
    /// How many addresses it may give.
    pub addresses: u128,
}

/// What is wrong with the pools, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Deployments without a pool of a family.
    pub missing: Vec<String>,
    /// Pools with more or fewer addresses than their Deployment has pods.
    pub of_wrong_size: Vec<String>,
    /// Pools of no Deployment that lives, and second ones of one that does.
    pub left: Vec<String>,
}

/// Compares pools with the Deployments that live, each with its pods: one pool a family, as many addresses as pods.
pub fn faults(pools: &[AutomaticPool], families: &[Family], deployments: &BTreeMap<String, u32>) -> Faults {
    let mut faults = Faults::default();
    let mut wanted: BTreeMap<(&str, Family), u32> = BTreeMap::new();
    for (deployment, pods) in deployments {
        wanted.extend(families.iter().map(|family| ((deployment.as_str(), *family), *pods)));
    }
    for AutomaticPool { name, deployment, family, addresses } in pools {
        match wanted.remove(&(deployment.as_str(), *family)) {
            None => faults.left.push(format!("{name} of {deployment}")),
            Some(pods) if u128::from(pods) != *addresses => {
                faults.of_wrong_size.push(format!("{name} has {addresses} addresses for {pods} pods of {deployment}"));
            }
            Some(_) => {}
        }
    }
    faults.missing = wanted.keys().map(|(deployment, family)| format!("a pool of {deployment}, {family:?}")).collect();
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn pool(name: &str, deployment: &str, addresses: u128) -> AutomaticPool {
        AutomaticPool { name: name.to_owned(), deployment: deployment.to_owned(), family: Family::V4, addresses }
    }

    #[rstest]
    #[case::right(&[pool("p1", "a", 10), pool("p2", "b", 10)], [0, 0, 0])]
    #[case::one_lacks(&[pool("p1", "a", 10)], [1, 0, 0])]
    #[case::one_is_too_large(&[pool("p1", "a", 11), pool("p2", "b", 10)], [0, 1, 0])]
    #[case::one_is_left(&[pool("p1", "a", 10), pool("p2", "b", 10), pool("p3", "c", 10)], [0, 0, 1])]
    #[case::a_second_one(&[pool("p1", "a", 10), pool("p2", "b", 10), pool("p3", "b", 10)], [0, 0, 1])]
    fn every_deployment_has_one_pool_of_its_size(#[case] pools: &[AutomaticPool], #[case] wanted: [usize; 3]) {
        let deployments = ["a", "b"].map(|name| (name.to_owned(), 10)).into();
        let found = faults(pools, &[Family::V4], &deployments);
        assert_eq!([found.missing.len(), found.of_wrong_size.len(), found.left.len()], wanted, "{found:?}");
    }

    #[test]
    fn both_families_have_a_pool() {
        let deployments = BTreeMap::from([("a".to_owned(), 10)]);
        let found = faults(&[pool("p1", "a", 10)], &[Family::V4, Family::V6], &deployments);
        assert_eq!(found.missing, ["a pool of a, V6"]);
    }
}
