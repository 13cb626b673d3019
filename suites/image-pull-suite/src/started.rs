//! What a round shows on any cluster: how late its Deployments were created, where their pods went, and how long they took to
//! start.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use harness::{Account, Error, Result, Trial};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use measure::stats::millis;
use measure::{Seen, Verdict};
use pulls::micros;

use crate::deployment::APP;
use crate::parameters::Scale;
use crate::perfdata::{self, nearest_rank};
use crate::pods::{INTENDED, RUNNING, Round};
use crate::startup::startups;

/// A round whose pods should have started.
pub(crate) struct Started<'a> {
    pub(crate) round: &'a Round,
    pub(crate) account: &'a Account,
    /// How late each Deployment was created.
    pub(crate) slips: &'a [Duration],
    /// How much was to be created, and how fast.
    pub(crate) scale: Scale,
}

impl Started<'_> {
    /// Gives the figures of the round, and its startups in ClusterLoader2's form.
    pub(crate) async fn report(&self, trial: &mut Trial, phase: &str) -> Result<()> {
        let pods = self.listed(trial).await?;
        let ran = self.ran();
        let mut figures = self.placement(&pods);
        figures.extend(self.slips.iter().max().map(|slip| ("schedule_slip_max_ms", millis(*slip))));
        // Quantiles of some of the pods are no quantiles of the row.
        let all = ran.len() == self.scale.pods();
        if all {
            figures.extend(quantiles(ran.values().map(|(intended, ran)| millis(ran.saturating_sub(*intended)))));
        }
        for (name, value) in figures {
            trial.metric(&format!("{}_{name}", phase.replace('-', "_")), value);
        }
        if !all {
            let (seen, pods) = (ran.len(), self.scale.pods());
            trial.note(format!("{phase}: {seen} of {pods} pods were seen to run when they did: no startup is given"));
            return Ok(());
        }
        let origin_us = micros(clock_origin(trial.clock()));
        let watched = ran.into_iter().map(|(pod, (_, ran))| (pod, origin_us + ran.as_micros() as u64)).collect();
        let (file, data) = perfdata::pod_startup(startups(&pods, &watched).values());
        perfdata::keep(trial, phase, &file, &data)
    }

    /// Refuses a round that was not created at its rate: that is the harness's doing, and says nothing of the system.
    pub(crate) fn paced(&self, phase: &str) -> Result<()> {
        let late = self.slips.iter().max().copied().unwrap_or_default();
        let limit = Duration::from_secs(1) / self.scale.qps.max(1);
        if late < limit {
            return Ok(());
        }
        let (qps, late) = (self.scale.qps, millis(late));
        let end =
            format!("not {qps} Deployments a second: the harness came {late:.0} ms late to one, when another was due");
        Err(Error::Phase { phase: phase.to_owned(), end, verdict: Verdict::Invalid })
    }

    /// Its pods as the apiserver has them.
    async fn listed(&self, trial: &Trial) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(trial.client().clone(), trial.namespace());
        let mut pods = pods.list(&ListParams::default()).await.map_err(Error::api("cannot list pods"))?.items;
        pods.retain(|pod| {
            pod.metadata.labels.as_ref().and_then(|labels| labels.get(APP)).is_some_and(|app| self.round.has(app))
        });
        Ok(pods)
    }

    /// When each pod was intended, and when the watch showed that it runs.
    fn ran(&self) -> BTreeMap<String, (Duration, Duration)> {
        let ledger = self.account.ledger();
        let of_round = ledger.rows().filter(|(_, app, _)| self.round.has(app));
        let ran = of_round.filter_map(|(pod, _, stamps)| match (stamps[INTENDED], stamps[RUNNING]) {
            (Some((intended, _)), Some((ran, Seen::Event))) => Some((pod.to_owned(), (intended, ran))),
            _ => None,
        });
        ran.collect()
    }

    /// How many nodes have pods, and how many the fullest of them has: nothing, as long as a pod has no node.
    fn placement(&self, pods: &[Pod]) -> Vec<(&'static str, f64)> {
        let mut on = BTreeMap::<&str, usize>::new();
        for node in pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()) {
            *on.entry(node).or_default() += 1;
        }
        if on.values().sum::<usize>() < self.scale.pods() {
            return Vec::new();
        }
        let fullest = on.values().max().copied().unwrap_or_default();
        vec![("nodes_with_pods", on.len() as f64), ("pods_on_one_node_max", fullest as f64)]
    }
}

fn quantiles(times: impl Iterator<Item = f64>) -> Vec<(&'static str, f64)> {
    let mut times: Vec<f64> = times.collect();
    times.sort_unstable_by(f64::total_cmp);
    let named = [("pod_startup_p50_ms", 50), ("pod_startup_p90_ms", 90), ("pod_startup_p99_ms", 99)];
    named.into_iter().filter_map(|(name, p)| Some((name, nearest_rank(&times, p)?))).collect()
}

/// The moment at which a trial's clock was 0.
fn clock_origin(clock: Instant) -> SystemTime {
    SystemTime::now().checked_sub(clock.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodSpec;
    use rstest::rstest;

    use super::*;
    use crate::pods::STAGES;

    /// What a round of three pods at 10 a second shows, which was created so late.
    fn of_round<T>(slips: &[Duration], shown: impl FnOnce(Started<'_>) -> T) -> T {
        let (account, scale) = (Account::new(STAGES), Scale { deployments: 3, replicas: 1, qps: 10 });
        let round = Round::open(&account, "pull", scale);
        shown(Started { round: &round, account: &account, slips, scale })
    }

    #[rstest]
    #[case::spread(&[Some("a"), Some("b"), Some("a")], &[("nodes_with_pods", 2.0), ("pods_on_one_node_max", 2.0)])]
    #[case::one_without_a_node(&[Some("a"), Some("b"), None], &[])]
    #[case::one_too_few(&[Some("a"), Some("b")], &[])]
    fn placement_is_that_of_all_pods_or_absent(#[case] nodes: &[Option<&str>], #[case] wanted: &[(&str, f64)]) {
        let pod = |node: &Option<&str>| {
            let spec = PodSpec { node_name: node.map(str::to_owned), ..PodSpec::default() };
            Pod { spec: Some(spec), ..Pod::default() }
        };
        let pods: Vec<Pod> = nodes.iter().map(pod).collect();
        assert_eq!(of_round(&[], |round| round.placement(&pods)), wanted);
    }

    #[rstest]
    #[case::in_time(&[0, 99], None)]
    #[case::when_the_next_was_due(
        &[0, 100],
        Some("create: not 10 Deployments a second: the harness came 100 ms late to one, when another was due")
    )]
    fn a_rate_that_was_not_kept_is_refused(#[case] slips: &[u64], #[case] refusal: Option<&str>) {
        let slips: Vec<Duration> = slips.iter().map(|ms| Duration::from_millis(*ms)).collect();
        let refused = of_round(&slips, |round| round.paced("create")).err();
        assert_eq!(refused.map(|error| error.to_string()).as_deref(), refusal);
    }
}
