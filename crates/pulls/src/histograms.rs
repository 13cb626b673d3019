//! Histograms of kubelets and containerds as differences of two direct scrapes.
//!
//! containerd has named some of them differently from version to version, and its library doubles the ends of names
//! (`..._seconds_seconds`), so each is looked for under every name that it has had, and which was found is told.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{Error, Result};
use kube::Client;
use measure::promtext::{Sample, samples};

/// A histogram, under all the names that it has had, without `_bucket`, `_sum` and `_count`.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// What the document calls it.
    pub document: &'static str,
    /// Its unit there.
    pub unit: &'static str,
    /// Whose page it is on.
    pub page: Page,
    /// Its names, the newest first.
    pub names: &'static [&'static str],
    /// The label by which it is told apart.
    pub by: Option<&'static str>,
}

/// A page of metrics of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Page {
    /// The kubelet's.
    Kubelet,
    /// containerd's, which is there when its configuration gives it an address.
    Containerd,
}

/// Those of the document.
pub const FAMILIES: [Family; 8] = [
    Family {
        document: "ContainerdCriImagePullingThroughput",
        unit: "MB/s",
        page: Page::Containerd,
        names: &["containerd_cri_sandboxed_image_pulling_throughput", "containerd_cri_image_pulling_throughput"],
        by: None,
    },
    Family {
        document: "ContainerdCriNetworkPluginOperations",
        unit: "s",
        page: Page::Containerd,
        names: &[
            "containerd_cri_network_plugin_operations_duration_seconds_seconds",
            "containerd_cri_sandboxed_network_plugin_operations_duration_seconds_seconds",
        ],
        by: Some("operation_type"),
    },
    Family {
        document: "ContainerdCriSandboxCreateNetwork",
        unit: "s",
        page: Page::Containerd,
        names: &[
            "containerd_cri_sandbox_create_network_seconds",
            "containerd_cri_sandboxed_sandbox_create_network_seconds",
        ],
        by: None,
    },
    Family {
        document: "ContainerdCriSandboxDeleteNetwork",
        unit: "s",
        page: Page::Containerd,
        names: &[
            "containerd_cri_sandbox_delete_network_seconds",
            "containerd_cri_sandboxed_sandbox_delete_network_seconds",
        ],
        by: None,
    },
    Family {
        document: "KubeletPodStartupSLIDuration",
        unit: "s",
        page: Page::Kubelet,
        names: &["kubelet_pod_start_sli_duration_seconds"],
        by: None,
    },
    Family {
        document: "KubeletPodStartupDuration",
        unit: "s",
        page: Page::Kubelet,
        names: &["kubelet_pod_start_duration_seconds"],
        by: None,
    },
    Family {
        document: "KubeletRuntimeOperationDurationWithPullImage",
        unit: "s",
        page: Page::Kubelet,
        names: &["kubelet_runtime_operations_duration_seconds"],
        by: Some("operation_type"),
    },
    Family {
        document: "KubeletRunSandboxDuration",
        unit: "s",
        page: Page::Kubelet,
        names: &["kubelet_run_podsandbox_duration_seconds"],
        by: None,
    },
];

/// How long a node may take to serve a page: a kubelet that stands still never does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Both pages of each node.
#[derive(Clone, Debug, Default)]
pub struct Scrape(BTreeMap<(String, Page), String>);

/// What a histogram grew by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
    /// Samples.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Samples up to each bound, by the bound's text order.
    pub buckets: Vec<(f64, f64)>,
}

impl Scrape {
    /// Reads the pages of `nodes` by way of the apiserver. A page that is not served is left out: its figures are absent.
    ///
    /// # Errors
    /// When a kubelet's page is refused.
    pub async fn read(client: &Client, nodes: &[String]) -> Result<Self> {
        let mut pages = BTreeMap::new();
        for node in nodes {
            let page = |path: String| async move {
                let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
                client.request_text(request).await
            };
            let page = |path| tokio::time::timeout(PATIENCE, page(path));
            let silent = || Error::Environment(format!("the kubelet of {node} does not answer for its metrics"));
            let kubelet = page(format!("/api/v1/nodes/{node}/proxy/metrics")).await.map_err(|_| silent())?;
            let kubelet = kubelet.map_err(Error::api(format!("cannot read the metrics of the kubelet of {node}")))?;
            pages.insert((node.clone(), Page::Kubelet), kubelet);
            if let Ok(Ok(containerd)) = page(format!("/api/v1/nodes/{node}:1338/proxy/v1/metrics")).await {
                pages.insert((node.clone(), Page::Containerd), containerd);
            }
        }
        Ok(Self(pages))
    }

    /// The name under which a family is found.
    pub fn name(&self, family: &Family) -> Option<&'static str> {
        let pages = self.0.iter().filter(|((_, page), _)| *page == family.page);
        let texts: Vec<&str> = pages.map(|(_, text)| text.as_str()).collect();
        let has =
            |name: &&&str| texts.iter().any(|text| samples(text).any(|sample| sample.name == format!("{name}_count")));
        family.names.iter().find(has).copied()
    }

    /// What a family grew by since `before`, by node and by its label. Where a counter fell, its process was started again,
    /// and there is no difference.
    pub fn since(&self, before: &Self, family: &Family) -> BTreeMap<(String, String), Delta> {
        let Some(name) = self.name(family) else { return BTreeMap::new() };
        let mut deltas = BTreeMap::new();
        for ((node, page), text) in &self.0 {
            let Some(old) = before.0.get(&(node.clone(), *page)).filter(|_| *page == family.page) else { continue };
            let (old, new) = (totals(old, name, family.by), totals(text, name, family.by));
            for (label, total) in new {
                if let Some(delta) = total.less(old.get(&label)) {
                    deltas.insert((node.clone(), label), delta);
                }
            }
        }
        deltas
    }
}

impl Delta {
    /// All of these together.
    pub fn sum_of<'a>(deltas: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        for delta in deltas {
            all.count += delta.count;
            all.sum += delta.sum;
            for (bound, count) in &delta.buckets {
                match all.buckets.iter_mut().find(|(known, _)| known.total_cmp(bound).is_eq()) {
                    Some((_, sum)) => *sum += count,
                    None => all.buckets.push((*bound, *count)),
                }
            }
        }
        all.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    }

    /// The mean.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// A quantile as Prometheus' `histogram_quantile` has it: linear within its bucket, and no more than the highest bound
    /// that is finite.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.buckets.last()?.1;
        let rank = q * total;
        let at = self.buckets.iter().position(|(_, count)| *count >= rank && total > 0.0)?;
        let (bound, count) = self.buckets[at];
        let (lower, below) = if at == 0 { (0.0, 0.0) } else { self.buckets[at - 1] };
        if bound.is_infinite() {
            return Some(lower);
        }
        let inside = count - below;
        Some(if inside > 0.0 { lower + (bound - lower) * (rank - below) / inside } else { bound })
    }

    fn less(&self, old: Option<&Self>) -> Option<Self> {
        let Some(old) = old else { return Some(self.clone()) };
        let before = |bound: f64| {
            let found = old.buckets.iter().find(|(known, _)| known.total_cmp(&bound).is_eq());
            found.map_or(0.0, |(_, count)| *count)
        };
        let buckets = self.buckets.iter().map(|(bound, count)| (*bound, count - before(*bound))).collect();
        (self.count >= old.count).then_some(Self { count: self.count - old.count, sum: self.sum - old.sum, buckets })
    }
}

/// The totals of a histogram on a page, by a label; series that differ in other labels are added.
fn totals(text: &str, name: &str, by: Option<&str>) -> BTreeMap<String, Delta> {
    let mut totals = BTreeMap::<String, Delta>::new();
    let wanted = |sample: &Sample<'_>| sample.name.strip_prefix(name).map(str::to_owned);
    for sample in samples(text) {
        let Some(end) = wanted(&sample) else { continue };
        let label = by.and_then(|by| sample.label(by)).unwrap_or_default().to_owned();
        match end.as_str() {
            "_count" => totals.entry(label).or_default().count += sample.value,
            "_sum" => totals.entry(label).or_default().sum += sample.value,
            "_bucket" => {
                let bound = sample.label("le").and_then(|le| le.parse().ok()).unwrap_or(f64::INFINITY);
                let total = totals.entry(label).or_default();
                match total.buckets.iter_mut().find(|(known, _)| known.total_cmp(&bound).is_eq()) {
                    Some((_, count)) => *count += sample.value,
                    None => total.buckets.push((bound, sample.value)),
                }
            }
            _ => {}
        }
    }
    totals.values_mut().for_each(|total| total.buckets.sort_by(|a, b| a.0.total_cmp(&b.0)));
    totals
}

#[cfg(test)]
mod tests;
