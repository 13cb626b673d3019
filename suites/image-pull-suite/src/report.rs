//! What the pulls of a round showed, as metrics, series and files in ClusterLoader2's form.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::SystemTime;

use harness::{Result, Trial};
use images::{Entry, Kind};
use measure::stats::millis;
use pulls::histograms::{Delta, FAMILIES, Family, Scrape};
use pulls::{Held, Pull, Pulled, await_pulled, failures, requests_csv};

use crate::parameters::PullTest;
use crate::perfdata::{self, nearest_rank};
use crate::pods::Round;
use crate::rig::Rig;

/// Reports one round after the other.
pub(crate) struct Report<'a> {
    rig: &'a Rig,
    row: &'a PullTest,
    /// What the workers held of the image when the round began.
    held: Held,
}

impl<'a> Report<'a> {
    /// Of rounds that begin now.
    pub(crate) fn new(rig: &'a Rig, row: &'a PullTest) -> Result<Self> {
        Ok(Self { rig, row, held: rig.held()? })
    }

    /// The pulls of a round: who pulled what, where its time went, and whether it adds up.
    pub(crate) async fn pulled(
        &mut self,
        trial: &mut Trial,
        phase: &str,
        round: &Round,
        since: SystemTime,
    ) -> Result<()> {
        let events = self.events(trial, round).await?;
        let (pulls, registry) = self.rig.pulls(events, since).await?;
        let prefix = phase.replace('-', "_");
        let mut figures = BTreeMap::from([("image_digests_held_before", self.held.digests() as f64)]);
        figures.extend(self.counts(&pulls));
        figures.extend(self.bytes(&registry.entries)?);
        // Figures of some of the pulls are no figures of the row.
        if pulls.len() == self.row.scale().pods() {
            let unmatched = pulls.iter().filter(|pull| pull.span.is_none()).count();
            figures.insert("pulls_unmatched", unmatched as f64);
            figures.extend(self.times(&pulls, &registry.entries));
        }
        figures.insert("goodput_bytes_per_s", self.rig.goodput);
        for (name, value) in figures {
            trial.metric(&format!("{prefix}_{name}"), value);
        }
        trial.attach(&format!("{phase}.pulls"), &pulls::csv(&pulls))?;
        trial.attach(&format!("{phase}.pull-times"), &quantiles_csv(&pulls))?;
        trial.attach(&format!("{phase}.requests"), &requests_csv(&registry.entries))
    }

    /// What the histograms of kubelets and containerds grew by.
    pub(crate) async fn grown(&self, trial: &mut Trial, phase: &str, before: &Scrape) -> Result<()> {
        let after = Scrape::read(trial.client(), &self.rig.names()).await?;
        let prefix = phase.replace('-', "_");
        for family in &FAMILIES {
            let Some(name) = after.name(family) else {
                trial.note(format!("{}: none of {} is on the nodes' pages", family.document, family.names.join(", ")));
                continue;
            };
            trial.note(format!("{} is {name} here", family.document));
            let parts = by_label(after.since(before, family));
            for (name, value) in metrics(family, &parts) {
                trial.metric(&format!("{prefix}_{name}"), value);
            }
            let (file, data) = perfdata::query(family.document, family.unit, family.by, &parts);
            perfdata::keep(trial, phase, &file, &data)?;
        }
        Ok(())
    }

    /// The events of the round's pods, once there are as many as pods, or no more come.
    async fn events(&self, trial: &Trial, round: &Round) -> Result<Vec<Pulled>> {
        // The name of a pod is its Deployment's, with the ends of its ReplicaSet's and of its own.
        let ours = |pulled: &Pulled| pulled.pod.rsplitn(3, '-').nth(2).is_some_and(|app| round.has(app));
        await_pulled(trial.client(), trial.namespace(), self.row.scale().pods(), ours).await
    }

    /// Every pod pulls: the policy is Always.
    fn counts(&self, pulls: &[Pull]) -> Vec<(&'static str, f64)> {
        let (expected, seen) = (self.row.scale().pods() as f64, pulls.len() as f64);
        let fetched = pulls.iter().filter(|pull| pull.stages.is_some()).count();
        let pods: BTreeSet<&str> = pulls.iter().map(|pull| pull.event.pod.as_str()).collect();
        // A pod that pulled twice makes up for none that did not pull.
        let missing = expected - pods.len() as f64;
        vec![
            ("pulls_expected", expected),
            ("pulls_seen", seen),
            ("pulls_missing", missing),
            ("pulls_too_many", seen - pods.len() as f64),
            ("pulls_that_fetched", fetched as f64),
        ]
    }

    /// What the registry has sent, beside what the nodes have got.
    fn bytes(&mut self, entries: &[Entry]) -> Result<Vec<(&'static str, f64)>> {
        let sent: u64 = entries.iter().map(|entry| entry.sent_bytes).sum();
        let held = self.rig.held()?;
        let got = held.bytes().saturating_sub(self.held.bytes());
        self.held = held;
        Ok(vec![
            ("registry_bytes", sent as f64),
            ("node_bytes", got as f64),
            ("bytes_astray", sent.abs_diff(got) as f64),
            ("registry_requests", entries.len() as f64),
            ("registry_failures", failures(entries) as f64),
        ])
    }

    /// How fast it was, beside what the registry could send.
    fn times(&self, pulls: &[Pull], entries: &[Entry]) -> Vec<(&'static str, f64)> {
        let blobs: Vec<&Entry> =
            entries.iter().filter(|entry| Kind::of(&entry.path) == Kind::Blob && entry.sent_bytes > 0).collect();
        let bytes: u64 = blobs.iter().map(|entry| entry.sent_bytes).sum();
        let first = blobs.iter().map(|entry| entry.came_us).min();
        let last = blobs.iter().map(|entry| entry.ended_us).max();
        let took_s = first.zip(last).map(|(first, last)| (last - first) as f64 / 1e6).filter(|took| *took > 0.0);
        let mut figures = Vec::new();
        if let Some(took_s) = took_s {
            let throughput = bytes as f64 / took_s;
            figures.push(("throughput_bytes_per_s", throughput));
            figures.push(("fetch_over_goodput", self.rig.goodput / throughput));
        }
        let disagreement = pulls.iter().filter_map(Pull::disagreement).max_by(f64::total_cmp);
        figures.extend(disagreement.map(|share| ("stages_off_total_percent", share * 100.0)));
        let mut times: Vec<f64> = pulls.iter().map(|pull| millis(pull.event.pull)).collect();
        times.sort_unstable_by(f64::total_cmp);
        for (name, p) in [("pull_p50_ms", 50), ("pull_p90_ms", 90), ("pull_p99_ms", 99)] {
            figures.extend(nearest_rank(&times, p).map(|time| (name, time)));
        }
        figures
    }
}

/// All nodes together.
fn by_label(deltas: BTreeMap<(String, String), Delta>) -> BTreeMap<String, Delta> {
    let mut parts = BTreeMap::<String, Vec<Delta>>::new();
    for ((_, label), delta) in deltas {
        parts.entry(label).or_default().push(delta);
    }
    parts.into_iter().map(|(label, deltas)| (label, Delta::sum_of(deltas.iter()))).collect()
}

/// The figures of a family that a budget or a reader may want.
fn metrics(family: &Family, parts: &BTreeMap<String, Delta>) -> Vec<(&'static str, f64)> {
    let mean_ms = |label: &str| parts.get(label).and_then(Delta::mean).map(|mean| mean * 1e3);
    let all = Delta::sum_of(parts.values());
    let named = |name, value: Option<f64>| value.map(|value| (name, value));
    let figures = match family.document {
        "KubeletRuntimeOperationDurationWithPullImage" => {
            vec![named("kubelet_pulls", parts.get("pull_image").map(|delta| delta.count))]
        }
        "ContainerdCriImagePullingThroughput" => {
            // The sum of each pull's MB/s, which upstream calls the total: pulls that overlap are counted as if they did not.
            vec![named("containerd_pulls", Some(all.count)), named("sum_of_mb_per_s", Some(all.sum))]
        }
        "ContainerdCriNetworkPluginOperations" => vec![
            named("network_setup_mean_ms", mean_ms("set_up_pod")),
            named("network_teardown_mean_ms", mean_ms("tear_down_pod")),
        ],
        "KubeletPodStartupSLIDuration" => vec![named("kubelet_sli_p99_s", all.quantile(0.99))],
        "KubeletRunSandboxDuration" => vec![named("sandbox_mean_ms", all.mean().map(|mean| mean * 1e3))],
        _ => Vec::new(),
    };
    figures.into_iter().flatten().collect()
}

/// Percentiles of the pulls by the nearest rank, of each node and of all.
fn quantiles_csv(pulls: &[Pull]) -> String {
    let mut nodes = BTreeMap::<&str, Vec<f64>>::new();
    for pull in pulls {
        for of in [pull.event.node.as_str(), "all"] {
            nodes.entry(of).or_default().push(millis(pull.event.pull));
        }
    }
    let mut csv = String::from("node,pulls,p50_ms,p90_ms,p99_ms\n");
    for (node, mut times) in nodes {
        times.sort_unstable_by(f64::total_cmp);
        let perc = |p| nearest_rank(&times, p).map_or(String::new(), |time| format!("{time:.0}"));
        let _ = writeln!(csv, "{node},{},{},{},{}", times.len(), perc(50), perc(90), perc(99));
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_total_is_kept_apart_from_the_throughput() {
        let parts = BTreeMap::from([(String::new(), Delta { count: 2.0, sum: 12.0, buckets: Vec::new() })]);
        assert_eq!(metrics(&FAMILIES[0], &parts), [("containerd_pulls", 2.0), ("sum_of_mb_per_s", 12.0)]);
    }
}
