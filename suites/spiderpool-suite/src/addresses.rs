//! Who holds which address, judged as it happens.
//!
//! Two sources are kept apart, because each can be wrong alone. A sandbox holds what the plugin's answer gave it, from
//! that answer until its release is asked for: two holders of one address are a breach whatever the plugin says later.
//! And a pod shows addresses in its status, as everybody else in the cluster sees them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::pool::{Family, Pool};

/// Breaches that are kept in words; all are counted.
const NAMED: usize = 20;

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// No address is held by two sandboxes at any moment.
    HeldOnce,
    /// No address is in the status of two living pods at any moment.
    ShownOnce,
    /// Every address is inside a pool and not excluded.
    InPool,
    /// Every sandbox has exactly one address of each family.
    OneOfEachFamily,
}

/// What broke a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The rule.
    pub rule: Rule,
    /// From the start of the trial.
    pub at: Duration,
    /// Which pods and which addresses.
    pub what: String,
}

/// An address in a plugin's own records, with whatever the plugin knows of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The address.
    pub address: IpAddr,
    /// The pod, where the plugin knows pods.
    pub pod: Option<String>,
    /// The container, where it knows containers.
    pub container: Option<String>,
}

/// A sandbox with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its pod.
    pub pod: String,
    /// Its container id.
    pub container: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// What a pod's status shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// How often its containers were started again.
    pub restarts: u32,
    /// Whether the pod is being deleted: it shows its addresses still, but may have lost them.
    pub leaving: bool,
}

/// How the records of a plugin and the living sandboxes differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Records of nobody who lives: leaked addresses.
    pub leaked: Vec<String>,
    /// Addresses that live and are in no record: they can be given again.
    pub unrecorded: Vec<String>,
}

/// The account of all addresses of a trial.
#[derive(Debug)]
pub struct Addresses {
    pools: Vec<Pool>,
    families: BTreeSet<Family>,
    held: HashMap<IpAddr, String>,
    holders: BTreeMap<String, Holder>,
    shown: HashMap<IpAddr, BTreeSet<String>>,
    showing: HashMap<String, Shown>,
    lost: HashMap<String, u32>,
    counts: BTreeMap<Rule, usize>,
    breaches: Vec<Breach>,
}

impl Addresses {
    /// An account of addresses that may come from `pools`.
    pub fn new(pools: Vec<Pool>) -> Self {
        Self {
            families: pools.iter().map(|pool| pool.family).collect(),
            pools,
            held: HashMap::new(),
            holders: BTreeMap::new(),
            shown: HashMap::new(),
            showing: HashMap::new(),
            lost: HashMap::new(),
            counts: BTreeMap::new(),
            breaches: Vec::new(),
        }
    }

    /// The plugin gave a sandbox its addresses.
    pub fn hold(&mut self, holder: Holder, at: Duration) {
        let Holder { pod, container, addresses } = &holder;
        for address in addresses {
            if !self.pools.iter().any(|pool| pool.allows(address)) {
                self.breach(Rule::InPool, at, format!("{pod} got {address}, which no pool may give"));
            }
            if let Some(other) = self.held.get(address).filter(|other| *other != container) {
                let other = self.holders.get(other).map_or("another", |other| &other.pod).to_owned();
                self.breach(Rule::HeldOnce, at, format!("{pod} got {address}, which {other} holds"));
            }
            self.held.insert(*address, container.clone());
        }
        let mut families: Vec<Family> = addresses.iter().map(Family::of).collect();
        families.sort_unstable();
        if !families.iter().eq(&self.families) {
            self.breach(Rule::OneOfEachFamily, at, format!("{pod} got {addresses:?}, not one of each family"));
        }
        self.holders.insert(container.clone(), holder);
    }

    /// The release of a sandbox is asked for: from now on its addresses may be given to others.
    pub fn let_go(&mut self, container: &str) {
        let Some(holder) = self.holders.remove(container) else { return };
        for address in &holder.addresses {
            if self.held.get(address).is_some_and(|held| held == container) {
                self.held.remove(address);
            }
        }
    }

    /// A pod's status shows this.
    pub fn show(&mut self, pod: &str, shown: Shown, at: Duration) {
        let stale = self.lost.get(pod).is_some_and(|restarts| *restarts >= shown.restarts);
        if self.showing.get(pod).is_some_and(|known| *known != shown) {
            self.hide(pod);
        }
        if stale || shown.leaving || shown.addresses.is_empty() || self.showing.contains_key(pod) {
            return;
        }
        for address in &shown.addresses {
            let others = self.shown.entry(*address).or_default();
            let other = others.first().cloned();
            others.insert(pod.to_owned());
            if let Some(other) = other {
                self.breach(Rule::ShownOnce, at, format!("{pod} shows {address}, and so does {other}"));
            }
        }
        self.showing.insert(pod.to_owned(), shown);
    }

    /// All machines lost power: until their containers are started again, statuses show addresses of nobody who lives.
    pub fn power_lost(&mut self) {
        let pods: Vec<(String, u32)> = self.showing.iter().map(|(pod, shown)| (pod.clone(), shown.restarts)).collect();
        for (pod, restarts) in pods {
            self.hide(&pod);
            self.lost.insert(pod, restarts);
        }
    }

    /// A pod is gone.
    pub fn hide(&mut self, pod: &str) {
        for address in self.showing.remove(pod).unwrap_or_default().addresses {
            if let Some(pods) = self.shown.get_mut(&address) {
                pods.remove(pod);
            }
        }
    }

    /// Number of breaches of a rule.
    pub fn count(&self, rule: Rule) -> usize {
        self.counts.get(&rule).copied().unwrap_or(0)
    }

    /// The first breaches.
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// How the plugin's records differ from the sandboxes that hold addresses now.
    pub fn difference(&self, records: &[Record]) -> Difference {
        let of = |record: &Record| {
            self.holders.values().any(|holder| {
                let known =
                    |theirs: &Option<String>, ours: &String| theirs.as_ref().is_none_or(|theirs| theirs == ours);
                holder.addresses.contains(&record.address)
                    && known(&record.pod, &holder.pod)
                    && known(&record.container, &holder.container)
            })
        };
        let recorded: BTreeSet<IpAddr> = records.iter().map(|record| record.address).collect();
        let leaked = records.iter().filter(|record| !of(record)).map(|record| {
            let who = record.pod.as_ref().or(record.container.as_ref()).map_or("nobody", String::as_str);
            format!("{} of {who}", record.address)
        });
        let unrecorded = self.holders.values().flat_map(|holder| {
            let lost = holder.addresses.iter().filter(|address| !recorded.contains(address));
            lost.map(|address| format!("{address} of {}", holder.pod))
        });
        Difference { leaked: leaked.collect(), unrecorded: unrecorded.collect() }
    }

    fn breach(&mut self, rule: Rule, at: Duration, what: String) {
        *self.counts.entry(rule).or_default() += 1;
        if self.breaches.len() < NAMED {
            self.breaches.push(Breach { rule, at, what });
        }
    }
}

impl Difference {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.leaked.is_empty() && self.unrecorded.is_empty()
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at +{:.3} s", self.what, self.at.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn dual() -> Addresses {
        Addresses::new(vec![Pool::of(Family::V4, 10), Pool::of(Family::V6, 10)])
    }

    fn holder(pod: &str, addresses: &[&str]) -> Holder {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Holder { pod: pod.to_owned(), container: format!("{pod}-1"), addresses }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A plugin that misbehaves in one way each.
    #[rstest]
    #[case::right("b", &["10.60.0.11", "fd00:60::b"], None)]
    #[case::twice("b", &["10.60.0.10", "fd00:60::b"], Some(Rule::HeldOnce))]
    #[case::the_gateway("b", &["10.60.0.1", "fd00:60::b"], Some(Rule::InPool))]
    #[case::excluded("b", &["10.60.0.15", "fd00:60::b"], Some(Rule::InPool))]
    #[case::one_family_lacks("b", &["10.60.0.11"], Some(Rule::OneOfEachFamily))]
    #[case::two_of_a_family("b", &["10.60.0.11", "10.60.0.12"], Some(Rule::OneOfEachFamily))]
    fn what_a_plugin_gives_is_judged(#[case] pod: &str, #[case] given: &[&str], #[case] broken: Option<Rule>) {
        let mut account = dual();
        account.hold(holder("a", &["10.60.0.10", "fd00:60::a"]), at(1));
        account.hold(holder(pod, given), at(2));
        let found: Vec<Rule> = account.breaches().iter().map(|breach| breach.rule).collect();
        assert_eq!(found, Vec::from_iter(broken));
    }

    #[test]
    fn an_address_may_be_given_again_once_its_release_was_asked_for() {
        let mut account = dual();
        account.hold(holder("a", &["10.60.0.10", "fd00:60::a"]), at(1));
        account.let_go("a-1");
        account.hold(holder("b", &["10.60.0.10", "fd00:60::a"]), at(2));
        assert_eq!(account.breaches(), []);
    }

    fn shown(restarts: u32, leaving: bool) -> Shown {
        Shown { addresses: vec!["10.60.0.10".parse().unwrap()], restarts, leaving }
    }

    #[test]
    fn two_pods_that_show_one_address_are_found_unless_one_is_leaving() {
        let mut account = dual();
        account.show("a", shown(0, false), at(1));
        account.show("a", shown(0, true), at(2));
        account.show("b", shown(0, false), at(3));
        account.show("b", shown(0, false), at(4));
        assert_eq!(account.count(Rule::ShownOnce), 0);
        account.show("c", shown(0, false), at(5));
        assert_eq!(account.count(Rule::ShownOnce), 1);
        assert_eq!(account.breaches()[0].to_string(), "c shows 10.60.0.10, and so does b at +5.000 s");
        account.hide("c");
        account.hide("b");
        account.show("d", shown(0, false), at(6));
        assert_eq!(account.count(Rule::ShownOnce), 1);
    }

    #[test]
    fn what_a_pod_without_power_shows_is_nobodys_until_its_containers_start_again() {
        let mut account = dual();
        account.show("a", shown(0, false), at(1));
        account.power_lost();
        account.show("a", shown(0, false), at(2));
        account.show("b", shown(0, false), at(3));
        assert_eq!(account.count(Rule::ShownOnce), 0);
        account.show("a", shown(1, false), at(4));
        assert_eq!(account.count(Rule::ShownOnce), 1);
    }

    #[test]
    fn records_and_sandboxes_are_compared_both_ways() {
        let mut account = dual();
        account.hold(holder("a", &["10.60.0.10", "fd00:60::a"]), at(1));
        let record = |address: &str, pod: &str| Record {
            address: address.parse().unwrap(),
            pod: Some(pod.to_owned()),
            container: None,
        };
        let right = [record("10.60.0.10", "a"), record("fd00:60::a", "a")];
        assert!(account.difference(&right).is_none());
        let wrong = [record("10.60.0.10", "b"), record("10.60.0.12", "a")];
        let difference = account.difference(&wrong);
        assert_eq!(difference.leaked, ["10.60.0.10 of b", "10.60.0.12 of a"]);
        assert_eq!(difference.unrecorded, ["fd00:60::a of a"]);
    }
}
