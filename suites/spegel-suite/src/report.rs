//! What a step showed: who pulled what from where, and how long it took.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use harness::{Error, Result, Trial};
use measure::stats::{millis, quantile};
use pulls::histograms::{Delta, FAMILIES, Page, Scrape};
use pulls::{Held, Pull, Pulled, await_pulled, failures, requests_csv};

use crate::mirror::COMPONENT;
use crate::parameters::Benchmark;
use crate::provenance::Provenance;
use crate::results::{Measurements, Sample, Suite, cell};
use crate::rig::Rig;
use crate::rollout::Rollout;

/// A step that has begun.
pub(crate) struct Step {
    phase: &'static str,
    version: usize,
    since: SystemTime,
    held: Held,
    histograms: Scrape,
    /// What the mirror's own counters stood at.
    counted: Option<f64>,
}

impl Step {
    /// Empties the accounts, and looks at what the workers hold of the version that they are about to pull.
    pub(crate) async fn begin(trial: &Trial, rig: &Rig, phase: &'static str, version: usize) -> Result<Self> {
        let (_, served) = rig.served().await?;
        let histograms = Scrape::read(trial.client(), &rig.names()).await?;
        let (held, since) = (rig.held(version)?, SystemTime::now());
        Ok(Self { phase, version, since, held, histograms, counted: served.counted })
    }
}

/// Reports one step after the other.
pub(crate) struct Report<'a> {
    rig: &'a Rig,
    rollout: &'a Rollout,
    measured: Vec<Measurements>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(rig: &'a Rig, rollout: &'a Rollout) -> Self {
        Self { rig, rollout, measured: Vec::new() }
    }

    /// The pulls of a step that has ended.
    pub(crate) async fn step(&mut self, trial: &mut Trial, step: Step) -> Result<()> {
        let Step { phase, version, since, held, histograms, counted } = step;
        let (pods, workers) = (self.rollout.pods(version), &self.rig.workers);
        let ours = |pulled: &Pulled| pods.contains(&pulled.pod);
        let events = await_pulled(trial.client(), trial.namespace(), workers.len(), ours).await?;
        let (registry, served) = self.rig.served().await?;
        let holding = self.rig.held(version)?;
        let provenance = Provenance::of(&held, &holding, &registry.entries, &served.sent);
        let origin_bytes: u64 = registry.entries.iter().map(|entry| entry.sent_bytes).sum();
        let mut figures = BTreeMap::from([
            ("image_digests_held_before", held.digests() as f64),
            // What is unpacked already is not fetched, and a pull that fetched nothing was not cold.
            ("blobs_not_fetched", (holding.sizes.len() * workers.len()).saturating_sub(holding.digests()) as f64),
            ("origin_bytes", origin_bytes as f64),
            ("origin_copies", origin_bytes as f64 / self.rig.images[version].transfer_bytes() as f64),
            ("registry_requests", registry.entries.len() as f64),
            ("registry_failures", failures(&registry.entries) as f64),
            ("goodput_bytes_per_s", self.rig.goodput),
        ]);
        // What the log attributes has to be what the counters say.
        let attributed: u64 = served.sent.values().map(|bytes| bytes.sent).sum();
        if let Some((before, after)) = counted.zip(served.counted).filter(|_| attributed > 0) {
            let off = (after - before - attributed as f64).abs() * 100.0 / attributed as f64;
            figures.insert("mirror_counters_off_percent", off);
        }
        figures.extend(misses(served.misses));
        let requests = match served.requests {
            Some(of_mirror) => registry.beside(of_mirror),
            None => registry,
        };
        let name = self.rig.images[version].reference.whole();
        let pulls = pulls::of_nodes(workers, &name, &events, since, &requests)?;
        figures.extend(counts(&pulls, workers.len()));
        figures.extend(provenance.figures());
        // Figures of some of the pulls are no figures of the step.
        if pulls.len() == workers.len() {
            figures.extend(self.times(&pulls, &provenance));
        }
        figures.extend(self.histograms(trial, &histograms).await?);
        figures.extend(progress(trial, phase));
        for (name, value) in figures {
            trial.metric(&format!("{phase}_{name}"), value);
        }
        trial.attach(&format!("{phase}.pulls"), &pulls::csv(&pulls))?;
        trial.attach(&format!("{phase}.provenance"), &provenance.csv())?;
        trial.attach(&format!("{phase}.requests"), &requests_csv(&requests.entries))?;
        self.measured.push(Measurements { image: name, samples: pulls.iter().filter_map(sample).collect() });
        Ok(())
    }

    /// Both steps in the form of upstream's newer tool, for whoever reads that.
    pub(crate) fn write_results(&self, trial: &mut Trial, row: &Benchmark) -> Result<()> {
        let [create, update] = &self.measured[..] else { return Ok(()) };
        let cell = cell(row.image_bytes, self.rig.images[0].layers.len() as u64 - 1);
        // Rows that differ in their rates alone must not be pooled.
        let cell = format!("{cell}-{}to{}mbit", row.origin_mbit, row.mirror_mbit);
        let suite = Suite::of_one(row.mirror.as_str(), cell, create.clone(), update.clone());
        let written = serde_json::to_vec_pretty(&suite);
        let written = written.map_err(|error| Error::Environment(format!("cannot write the results: {error}")))?;
        trial.drop_in("suite.json", &written)
    }

    /// Pull times, those that were fed by the registry and those by the mirror apart as well. A percentile that so few pulls
    /// cannot carry is left out.
    fn times(&self, pulls: &[Pull], provenance: &Provenance) -> Vec<(&'static str, f64)> {
        let address = |pull: &Pull| {
            let worker = self.rig.workers.iter().find(|worker| worker.name == pull.event.node);
            worker.map(|worker| worker.address)
        };
        let by_mirror = |pull: &&Pull| address(pull).is_some_and(|node| provenance.fed_by_mirror(node));
        let (mirror, origin): (Vec<&Pull>, Vec<&Pull>) = pulls.iter().partition(by_mirror);
        let mixed = pulls.iter().filter(|pull| address(pull).is_some_and(|node| provenance.is_mixed(node)));
        let mut figures = vec![
            ("origin_fed_pulls", origin.len() as f64),
            ("mirror_fed_pulls", mirror.len() as f64),
            ("mixed_pulls", mixed.count() as f64),
        ];
        let all: Vec<&Pull> = pulls.iter().collect();
        let names = [
            ["pull_p50_ms", "pull_p90_ms", "pull_p99_ms", "pull_max_ms"],
            ["origin_fed_pull_p50_ms", "origin_fed_pull_p90_ms", "origin_fed_pull_p99_ms", "origin_fed_pull_max_ms"],
            ["mirror_fed_pull_p50_ms", "mirror_fed_pull_p90_ms", "mirror_fed_pull_p99_ms", "mirror_fed_pull_max_ms"],
        ];
        for (names, pulls) in names.into_iter().zip([all, origin, mirror]) {
            let mut times: Vec<Duration> = pulls.iter().map(|pull| pull.event.pull).collect();
            times.sort_unstable();
            let of = |(name, p): (&'static str, f64)| quantile(&times, p).map(|time| (name, millis(time)));
            figures.extend(names.into_iter().zip([0.5, 0.9, 0.99, 1.0]).filter_map(of));
        }
        figures
    }

    /// What the histograms of kubelets and containerds say of the same pulls: how many, and how long by the kubelets.
    async fn histograms(&self, trial: &Trial, before: &Scrape) -> Result<Vec<(&'static str, f64)>> {
        let after = Scrape::read(trial.client(), &self.rig.names()).await?;
        let mut figures = Vec::new();
        for family in &FAMILIES {
            let deltas = after.since(before, family);
            let pulls = match (family.page, family.document) {
                (Page::Kubelet, "KubeletRuntimeOperationDurationWithPullImage") => {
                    Delta::sum_of(deltas.iter().filter(|((_, of), _)| of == "pull_image").map(|(_, delta)| delta))
                }
                (Page::Containerd, "ContainerdCriImagePullingThroughput") => Delta::sum_of(deltas.values()),
                _ => continue,
            };
            if family.page == Page::Kubelet {
                figures.push(("kubelet_pulls", pulls.count));
                figures.extend(pulls.mean().map(|mean| ("kubelet_pull_mean_ms", mean * 1e3)));
            } else {
                figures.push(("containerd_pulls", pulls.count));
            }
        }
        Ok(figures)
    }
}

/// Every node pulls once.
fn counts(pulls: &[Pull], expected: usize) -> Vec<(&'static str, f64)> {
    let nodes: std::collections::BTreeSet<&str> = pulls.iter().map(|pull| pull.event.node.as_str()).collect();
    let unmatched = pulls.iter().filter(|pull| pull.span.is_none()).count();
    vec![
        ("pulls_expected", expected as f64),
        ("pulls_seen", pulls.len() as f64),
        // A node that pulled twice makes up for none that did not pull.
        ("pulls_missing", expected as f64 - nodes.len() as f64),
        ("pulls_unmatched", unmatched as f64),
    ]
}

/// What a mirror took to say that it had not what it was asked for.
fn misses(mut misses: Vec<Duration>) -> Vec<(&'static str, f64)> {
    misses.sort_unstable();
    let of = |(name, p)| quantile(&misses, p).map(|time| (name, millis(time)));
    let times = [("mirror_miss_p50_ms", 0.5), ("mirror_miss_max_ms", 1.0)].into_iter().filter_map(of);
    times.chain([("mirror_misses", misses.len() as f64)]).collect()
}

/// When shares of the nodes had their pod, in seconds from the start of the phase; and what the mirror's processes cost meanwhile:
/// the CPU time of all of them, and the memory of the largest.
fn progress(trial: &Trial, phase: &str) -> Vec<(&'static str, f64)> {
    let Some(record) = trial.phases().iter().rev().find(|record| record.name == phase) else { return Vec::new() };
    let times = [record.progress.t50_s, record.progress.t90_s, record.progress.t100_s];
    let times = ["t50_s", "t90_s", "t100_s"].into_iter().zip(times).filter_map(|(name, time)| Some((name, time?)));
    let mirror = || record.components.iter().filter(|(name, _)| name.starts_with(COMPONENT)).map(|(_, used)| used);
    let largest = mirror().map(|used| used.rss_bytes).max();
    let cost = largest.into_iter().flat_map(|largest| {
        [("mirror_cpu_s", mirror().map(|used| used.cpu_s).sum()), ("mirror_rss_bytes", largest as f64)]
    });
    times.chain(cost).collect()
}

/// A pull as upstream's tool writes it. Its begin is containerd's, where that is known.
fn sample(pull: &Pull) -> Option<Sample> {
    let began_us = match pull.span {
        Some(span) => span.began_us,
        None => (pull.event.told_ns? / 1_000).saturating_sub(pull.event.pull.as_micros() as u64),
    };
    Sample::new(began_us, pull.event.pull)
}
