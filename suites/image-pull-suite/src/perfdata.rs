//! Files in ClusterLoader2's own form (`PerfData`), for whoever reads its results already.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{Error, Result, Trial};
use pulls::histograms::Delta;
use serde::{Deserialize, Serialize};

use crate::startup::{Startup, TRANSITIONS};

/// What ClusterLoader2 calls the test of the document.
const TEST: &str = "image-pull-test";

/// A file of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerfData {
    /// The version of the form.
    pub version: String,
    /// The figures.
    pub data_items: Vec<DataItem>,
}

/// Figures of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataItem {
    /// By their names: `Perc50`, `Average`, …
    pub data: BTreeMap<String, f64>,
    /// Their unit.
    pub unit: String,
    /// What they are of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The percentiles that ClusterLoader2 gives.
const PERCENTILES: [u32; 3] = [50, 90, 99];

/// The percentile `p` of sorted samples by the nearest rank, `ceil(n p / 100)`, as ClusterLoader2 takes it.
pub fn nearest_rank<T: Copy>(sorted: &[T], p: u32) -> Option<T> {
    let rank = (sorted.len() * p as usize).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Pod startup: the name of the file and what is in it, in milliseconds.
pub fn pod_startup<'a>(startups: impl Iterator<Item = &'a Startup>) -> (String, PerfData) {
    let startups: Vec<[Duration; 5]> = startups.map(Startup::transitions).collect();
    let item = |(number, name): (usize, &&str)| {
        let mut times: Vec<f64> = startups.iter().map(|times| times[number].as_secs_f64() * 1e3).collect();
        times.sort_unstable_by(f64::total_cmp);
        let perc = |p: &u32| nearest_rank(&times, *p).map(|time| (format!("Perc{p}"), time));
        DataItem {
            data: PERCENTILES.iter().filter_map(perc).collect(),
            unit: "ms".to_owned(),
            labels: BTreeMap::from([("Metric".to_owned(), (*name).to_owned())]),
        }
    };
    let data_items = TRANSITIONS.iter().enumerate().map(item).collect();
    (format!("PodStartupLatency_{TEST}.json"), PerfData { version: "1.0".to_owned(), data_items })
}

/// A metric of the document: the name of the file and what is in it. `dimension` is the label that tells its parts apart.
pub fn query(metric: &str, unit: &str, dimension: Option<&str>, parts: &BTreeMap<String, Delta>) -> (String, PerfData) {
    let item = |(part, delta): (&String, &Delta)| {
        let mut data = BTreeMap::from([("Sum".to_owned(), delta.sum), ("Count".to_owned(), delta.count)]);
        data.extend(delta.mean().map(|mean| ("Average".to_owned(), mean)));
        let perc = |p: &u32| delta.quantile(f64::from(*p) / 100.0).map(|value| (format!("Perc{p}"), value));
        data.extend(PERCENTILES.iter().filter_map(perc));
        let labels = dimension.map(|dimension| (dimension.to_owned(), part.clone()));
        DataItem { data, unit: unit.to_owned(), labels: labels.into_iter().collect() }
    };
    let data_items = parts.iter().map(item).collect();
    (format!("GenericPrometheusQuery_{metric}_{TEST}.json"), PerfData { version: "1.0".to_owned(), data_items })
}

/// Keeps a file of a phase beside the record.
pub(crate) fn keep(trial: &mut Trial, phase: &str, file: &str, data: &PerfData) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(data)
        .map_err(|error| Error::Environment(format!("cannot write {phase}/{file}: {error}")))?;
    trial.drop_in(&format!("{phase}/{file}"), &bytes)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(50, Some(5))]
    #[case(90, Some(9))]
    #[case(99, Some(10))]
    #[case(100, Some(10))]
    fn the_nearest_rank_of_ten(#[case] p: u32, #[case] wanted: Option<u32>) {
        assert_eq!(nearest_rank(&(1..=10).collect::<Vec<u32>>(), p), wanted);
        assert_eq!(nearest_rank::<u32>(&[], p), None);
        assert_eq!(nearest_rank(&[7], p), Some(7));
    }
}
